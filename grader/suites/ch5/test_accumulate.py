"""Hidden suite of ch5/accumulate."""

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.train import accumulate as reference


def accumulated(m, pieces, n_tokens):
    """A small model's accumulate_gradients(model, micro_batches): the answer, and the gradients

    小模型的 accumulate_gradients(model, micro_batches)：返回值与各参数的梯度
    """

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Parameter(torch.linspace(-1, 1, 35).view(7, 5).sin())
            self.out = torch.nn.Parameter(torch.linspace(-2, 2, 35).view(5, 7).cos())

        def forward(self, tokens, targets):
            logits = self.embed[tokens] @ self.out
            counted = targets != -100
            losses = -logits.log_softmax(-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
            loss = losses.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)
            return logits, loss

    model = Model()
    batches = [{"tokens": tokens, "targets": targets} for tokens, targets in pieces]
    more = () if n_tokens is None else (n_tokens,)
    loss = m.accumulate_gradients(model, batches, *more)
    return loss.detach(), [model.embed.grad, model.out.grad]


def pieces(*counts):
    """Micro-batches of two rows; of each, so many tokens count."""
    made = []
    for count in counts:
        targets = torch.randint(7, (12,))
        targets[torch.randperm(12)[count:]] = -100
        made.append((torch.randint(7, (2, 6)), targets.view(2, 6)))
    return made


@pytest.mark.parametrize(
    ("number", "size"), [(6, 2), (3, 1), (2, 4)], ids=["6 by 2", "3 by 1", "2 by 4"]
)
def test_items_come_in_lists_of_the_size(student, number, size):
    """Six items in windows of two are three lists, in the order of the items.

    六个元素按两个一组，是三个列表，次序不变。
    """

    def grouped(m, number, size):
        """list(windows(range(number), size))"""
        return [list(window) for window in m.windows(range(number), size)]

    check.equal(student.run(grouped, number, size), grouped(reference, number, size))


@pytest.mark.parametrize(("number", "size"), [(5, 2), (7, 3), (1, 3)], ids=["5-2", "7-3", "1-3"])
def test_the_last_window_may_be_shorter(student, number, size):
    """What is left at the end is a window too: its tokens are learned from as well.

    末尾剩下的也是一个窗口：其中的 token 同样要学。
    """

    def grouped(m, number, size):
        """list(windows(range(number), size))"""
        return [list(window) for window in m.windows(range(number), size)]

    check.equal(student.run(grouped, number, size), grouped(reference, number, size))


def test_nothing_makes_no_window(student):
    """Without items there is no window, not an empty one.

    没有元素就没有窗口，而不是一个空窗口。
    """

    def grouped(m):
        """list(windows([], 3))"""
        return [list(window) for window in m.windows([], 3)]

    check.equal(student.run(grouped), [])


def test_each_window_is_a_list_of_its_own(student):
    """A window that was handed out stays as it was when the next one is filled.

    已经交出去的窗口，在填充下一个时保持不变。
    """

    def kept(m):
        """All windows of range(5), size 2, looked at when the last has come

        range(5) 按 2 分组，全部取完之后再看各个窗口
        """
        return list(m.windows(range(5), 2))

    check.equal(student.run(kept), [[0, 1], [2, 3], [4]])


def test_items_are_read_one_window_at_a_time(student):
    """The items may be endless, and where they stand is saved: nothing is read ahead.

    元素可能无穷无尽，读到哪里还要存进检查点：不能提前多读。
    """

    def read(m):
        """How many items have been read after the first, and after the second window of size 3

        取出第一个、第二个大小为 3 的窗口之后，各读了多少个元素
        """
        count = [0]

        def endless():
            while count[0] < 1000:
                count[0] += 1
                yield count[0]

        found = iter(m.windows(endless(), 3))
        seen = []
        for _ in range(2):
            next(found)
            seen.append(count[0])
        return seen

    check.equal(student.run(read), [3, 6])


@pytest.mark.parametrize("size", [0, -2])
def test_a_window_of_no_size_is_refused(student, size):
    """A size below 1 raises ValueError.

    大小小于 1 时抛出 ValueError。
    """
    check.raises(ValueError, lambda: list(student.windows([1, 2, 3], size)), match="size")


@pytest.mark.parametrize(
    "counts",
    [(8,), (6, 6), (1, 12), (11, 2, 5), (1,)],
    ids=["one", "equal", "1-12", "11-2-5", "one token"],
)
def test_the_gradient_is_that_of_one_big_batch(student, counts):
    """However the tokens are cut into micro-batches, the gradient is that of all of them at once.

    不管 token 怎样切成小批次，梯度都等于把它们一次算完的梯度。
    """
    some = pieces(*counts)
    whole = [tuple(torch.cat(part) for part in zip(*some, strict=True))]
    _, got = student.run(accumulated, some, None)
    _, expected = accumulated(reference, whole, None)
    check.gradients(got, expected, names=("embed", "out"), terms=64)


@pytest.mark.parametrize("counts", [(8,), (1, 12), (11, 2, 5)], ids=["one", "1-12", "11-2-5"])
def test_the_loss_is_the_mean_over_all_tokens(student, counts):
    """What comes back is the loss of the big batch: every token weighs the same.

    返回的是大批次的损失：每个 token 分量相同。
    """
    some = pieces(*counts)
    whole = [tuple(torch.cat(part) for part in zip(*some, strict=True))]
    loss, _ = student.run(accumulated, some, None)
    check.close(loss, accumulated(reference, whole, None)[0], terms=64)


def test_tokens_that_do_not_count_have_no_weight(student):
    """A micro-batch without a single label changes neither the loss nor the gradient.

    一个标签都没有的小批次，既不改变损失，也不改变梯度。
    """
    some = pieces(5, 0, 7)
    got = student.run(accumulated, some, None)
    expected = accumulated(reference, [some[0], some[2]], None)
    check.close(got[0], expected[0], terms=64)
    check.gradients(got[1], expected[1], names=("embed", "out"), terms=64)


def test_where_nothing_counts_the_loss_is_zero(student):
    """All labels -100, in all micro-batches: the loss is 0 and the gradient zeros, not NaN.

    所有小批次的标签全是 -100：损失为 0，梯度为零，而不是 NaN。
    """
    loss, gradients = student.run(accumulated, pieces(0, 0), None)
    check.equal(loss, torch.tensor(0.0))
    check.equal(gradients, [torch.zeros(7, 5), torch.zeros(5, 7)])


def test_a_number_of_tokens_that_is_given_is_divided_by(student):
    """With n_tokens, as of several processes, the sum of the losses is divided by that.

    给出 n_tokens（如多个进程合计的个数）时，损失之和除以它。
    """
    some = pieces(4, 9)
    got = student.run(accumulated, some, 26)
    expected = accumulated(reference, some, 26)
    check.close(got[0], expected[0], terms=64)
    check.gradients(got[1], expected[1], names=("embed", "out"), terms=64)


def test_gradients_are_added_to_those_that_are_there(student):
    """Two calls leave the sum of both: nothing in here clears a gradient.

    调用两次，梯度是两次之和：这个函数不清除任何梯度。
    """

    def twice(m):
        """A weight's gradient after accumulate_gradients was called twice; the loss is weight * 3

        调用两次 accumulate_gradients 之后权重的梯度；损失是 weight * 3
        """

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = torch.nn.Parameter(torch.tensor(2.0))

            def forward(self, targets):
                return None, self.weight * 3

        model = Model()
        for _ in range(2):
            m.accumulate_gradients(model, [{"targets": torch.tensor([[1, 2]])}])
        return model.weight.grad

    check.close(student.run(twice), torch.tensor(6.0))


def test_each_micro_batch_is_freed_before_the_next(student):
    """backward runs after each forward: only one micro-batch is held in memory at a time.

    每次前向之后立刻反向：内存里同时只有一个小批次的激活值。
    """

    def order(m):
        """The order of forward and backward in accumulate_gradients over three micro-batches

        accumulate_gradients 处理三个小批次时，前向与反向的次序
        """
        events = []

        class Noted(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                events.append("forward")
                return x * 1

            @staticmethod
            def backward(ctx, grad):
                events.append("backward")
                return grad

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = torch.nn.Parameter(torch.tensor(2.0))

            def forward(self, targets):
                return None, Noted.apply(self.weight)

        m.accumulate_gradients(Model(), [{"targets": torch.tensor([[1]])} for _ in range(3)])
        return events

    check.equal(student.run(order), ["forward", "backward"] * 3)


def test_the_loss_holds_no_graph(student):
    """A loss with a graph would keep the activations alive for as long as it is in a list.

    带计算图的损失只要还留在某个列表里，激活值就一直占着内存。
    """

    def needs_gradient(m):
        """accumulate_gradients(model, [batch]).requires_grad"""

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = torch.nn.Parameter(torch.tensor(2.0))

            def forward(self, targets):
                return None, self.weight * 3

        loss = m.accumulate_gradients(Model(), [{"targets": torch.tensor([[1]])}])
        return loss.requires_grad

    check.equal(student.run(needs_gradient), False)


# ---- other right ways


@also_right("windows", en="by islice")
def by_islice(items, size):
    from itertools import islice

    if size <= 0:
        raise ValueError("size")
    source = iter(items)
    while window := list(islice(source, size)):
        yield window


@also_right("accumulate_gradients", en="sums first, the gradients divided at the end")
def divided_at_the_end(model, micro_batches, n_tokens=None):
    before = {p: p.grad for p in model.parameters()}
    for p in before:
        p.grad = None
    total, count = 0.0, 0
    for batch in micro_batches:
        here = int(batch["targets"].ne(-100).sum())
        loss = model(**batch)[1] * here
        loss.backward()
        total, count = total + loss.detach(), count + here
    count = max(count, 1) if n_tokens is None else n_tokens
    for p, old in before.items():
        p.grad = p.grad / count if old is None else old + p.grad / count
    return total / count


@also_right("accumulate_gradients", en="the gradient of backward scaled")
def scaled_backward(model, micro_batches, n_tokens=None):
    counts = [torch.count_nonzero(batch["targets"] + 100) for batch in micro_batches]
    divisor = torch.stack(counts).sum().clamp(min=1) if n_tokens is None else n_tokens
    shares = []
    for batch, count in zip(micro_batches, counts, strict=True):
        loss = model(**batch)[1]
        loss.backward(gradient=(count / divisor).to(loss.dtype))
        shares.append(loss.detach() * count / divisor)
    return torch.stack(shares).sum()


EQUIVALENT = (
    equivalent_mutant(
        "accumulate_gradients",
        "return total",
        "return total.detach()",
        because="the losses that it adds up are detached already",
    ),
    equivalent_mutant(
        "accumulate_gradients",
        "total = total.to(loss.device) + loss.detach()",
        "total = total + loss.detach()",
        because="on a CPU there is one device",
    ),
    equivalent_mutant(
        "accumulate_gradients",
        "n_tokens = max(1, sum(int(count) for count in counts))",
        "n_tokens = max(1, sum(count for count in counts))",
        because="a tensor of one number divides as the number does",
    ),
    *(
        equivalent_mutant(
            "accumulate_gradients",
            "for batch, count in zip(micro_batches, counts, strict=True):",
            f"for batch, count in zip(micro_batches, counts{rest}):",
            because="there is a count for each micro-batch",
        )
        for rest in ("", ", strict=False")
    ),
)


# ---- mistakes that people make


def _counts(micro_batches):
    return [(batch["targets"] != -100).sum() for batch in micro_batches]


def _weighted(model, micro_batches, weights):
    total = torch.zeros(())
    for batch, weight in zip(micro_batches, weights, strict=True):
        loss = model(**batch)[1] * weight
        loss.backward()
        total = total + loss.detach()
    return total


@known_wrong(
    "windows",
    en="What is left at the end never comes out: those batches are computed for nothing. After the "
    "loop, yield the rest.",
    zh="末尾剩下的永远没有交出来：那些批次白算了。循环之后要把剩余的 yield 出去。",
)
def rest_lost(items, size):
    if size < 1:
        raise ValueError("size")
    window = []
    for item in items:
        window.append(item)
        if len(window) == size:
            yield window
            window = []


@known_wrong(
    "windows",
    en="window.clear() empties the list that you have handed out. Begin a new one: window = [].",
    zh="window.clear() 清空了已经交出去的列表。应新建一个：window = []。",
)
def same_list_again(items, size):
    if size < 1:
        raise ValueError("size")
    window = []
    for item in items:
        window.append(item)
        if len(window) == size:
            yield window
            window.clear()
    if window:
        yield window


@known_wrong(
    "windows",
    en="You read all items into a list first. They may be endless: take one window at a time.",
    zh="你先把所有元素读进了列表。它们可能无穷无尽：一次只取一个窗口。",
)
def reads_everything(items, size):
    if size < 1:
        raise ValueError("size")
    items = list(items)
    for start in range(0, len(items), size):
        yield items[start : start + size]


@known_wrong(
    "accumulate_gradients",
    en="You average the micro-batches' means, so a token in a short one weighs more. Weight each "
    "by its number of tokens.",
    zh="你直接平均了各小批次的均值，短批次里的 token 分量就更大。应按各自的 token 数加权。",
)
def mean_of_means(model, micro_batches, n_tokens=None):
    share = 1 / len(micro_batches) if n_tokens is None else None
    weights = [share or count / n_tokens for count in _counts(micro_batches)]
    return _weighted(model, micro_batches, weights)


@known_wrong(
    "accumulate_gradients",
    en="You add the micro-batches' means without dividing, so the gradient grows with their "
    "number.",
    zh="你把各小批次的均值直接相加，没有除，梯度会随小批次的个数变大。",
)
def summed(model, micro_batches, n_tokens=None):
    if n_tokens is not None:
        return _weighted(model, micro_batches, [c / n_tokens for c in _counts(micro_batches)])
    return _weighted(model, micro_batches, [1.0] * len(micro_batches))


@known_wrong(
    "accumulate_gradients",
    en="You weight by all positions, those of -100 too. Count (targets != -100).",
    zh="你按全部位置加权，把 -100 的也算上了。应数 (targets != -100)。",
)
def all_positions_counted(model, micro_batches, n_tokens=None):
    sizes = [batch["targets"].numel() for batch in micro_batches]
    return _weighted(model, micro_batches, [size / (n_tokens or sum(sizes)) for size in sizes])


@known_wrong(
    "accumulate_gradients",
    en="You weight by rows; rows have different numbers of tokens. Count the tokens.",
    zh="你按行数加权；各行的 token 数不同。应数 token。",
)
def by_rows(model, micro_batches, n_tokens=None):
    if n_tokens is not None:
        return _weighted(model, micro_batches, [c / n_tokens for c in _counts(micro_batches)])
    rows = [int((batch["targets"] != -100).any(-1).sum()) for batch in micro_batches]
    return _weighted(model, micro_batches, [row / max(1, sum(rows)) for row in rows])


@known_wrong(
    "accumulate_gradients",
    en="Where no token counts you divide by 0. Divide by at least 1.",
    zh="没有 token 计入时，你除以了 0。除数至少取 1。",
)
def nothing_over_nothing(model, micro_batches, n_tokens=None):
    counts = _counts(micro_batches)
    n_tokens = sum(counts) if n_tokens is None else n_tokens
    return _weighted(model, micro_batches, [count / n_tokens for count in counts])


@known_wrong(
    "accumulate_gradients",
    en="One backward at the end holds the activations of all micro-batches in memory: the big "
    "batch again. Call backward for each.",
    zh="最后只反向一次，所有小批次的激活值都留在内存里：又成了大批次。每个小批次都要 backward。",
)
def one_backward(model, micro_batches, n_tokens=None):
    counts = _counts(micro_batches)
    n_tokens = max(1, sum(int(c) for c in counts)) if n_tokens is None else n_tokens
    losses = [
        model(**batch)[1] * (count / n_tokens)
        for batch, count in zip(micro_batches, counts, strict=True)
    ]
    total = torch.stack(losses).sum()
    total.backward()
    return total.detach()


@known_wrong(
    "accumulate_gradients",
    en="n_tokens is not used: processes that share a batch would each divide by their own count.",
    zh="没有用到 n_tokens：共用一个批次的各进程会各除各的个数。",
)
def own_count_only(model, micro_batches, n_tokens=None):
    counts = _counts(micro_batches)
    total = max(1, sum(int(count) for count in counts))
    return _weighted(model, micro_batches, [count / total for count in counts])


@known_wrong(
    "accumulate_gradients",
    en="You clear the gradients in here, and what was accumulated before is lost.",
    zh="你在这里清除了梯度，之前累积的就丢了。",
)
def cleared(model, micro_batches, n_tokens=None):
    for p in model.parameters():
        p.grad = None
    counts = _counts(micro_batches)
    n_tokens = max(1, sum(int(c) for c in counts)) if n_tokens is None else n_tokens
    return _weighted(model, micro_batches, [count / n_tokens for count in counts])


@known_wrong(
    "accumulate_gradients",
    en="The loss that you return still holds its graph; add loss.detach().",
    zh="返回的损失还带着计算图；累加时用 loss.detach()。",
)
def graph_kept(model, micro_batches, n_tokens=None):
    counts = _counts(micro_batches)
    n_tokens = max(1, sum(int(c) for c in counts)) if n_tokens is None else n_tokens
    total = torch.zeros(())
    for batch, count in zip(micro_batches, counts, strict=True):
        loss = model(**batch)[1] * (count / n_tokens)
        loss.backward()
        total = total + loss
    return total
