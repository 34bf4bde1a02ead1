"""Hidden suite of ch5/masked_loss."""

import torch

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.train import loss as reference
from happyllm.train.loss import masked_cross_entropy

B, T, V = 3, 5, 7


def conversation():
    """Logits, and labels of which each row counts another number: 2, 5 and 1."""
    labels = torch.randint(V, (B, T))
    labels[0, :3] = -100
    labels[2, [0, 1, 3, 4]] = -100
    return 2 * torch.randn(B, T, V), labels


def gradient(m, logits, labels):
    """The gradient of masked_cross_entropy(logits, labels) for the logits

    masked_cross_entropy(logits, labels) 对 logits 的梯度
    """
    logits = logits.clone().requires_grad_()
    m.masked_cross_entropy(logits, labels).backward()
    return logits.grad


def test_the_loss_is_the_mean_of_minus_log_probability(student):
    """Each position gives -log of the probability of its own label; no shift: they are aligned.

    每个位置给出其标签概率的 -log；两者已经对齐，不再移位。
    """
    logits, labels = torch.randn(B, T, V), torch.randint(V, (B, T))
    got = student.masked_cross_entropy(logits, labels)
    check.close(got, masked_cross_entropy(logits, labels))


def test_positions_of_minus_100_are_left_out(student):
    """What is marked -100 adds nothing to the sum, and is not counted in the divisor either.

    标为 -100 的位置既不计入总和，也不计入除数。
    """
    logits, labels = conversation()
    got = student.masked_cross_entropy(logits, labels)
    check.close(got, masked_cross_entropy(logits, labels))


def test_the_token_of_id_zero_counts(student):
    """0 is a token like any other; only -100 is left out.

    0 和其他 token 一样；只有 -100 被忽略。
    """
    logits, labels = conversation()
    labels[1] = torch.tensor([0, 3, 0, 6, 0])
    got = student.masked_cross_entropy(logits, labels)
    check.close(got, masked_cross_entropy(logits, labels))


def test_nothing_to_learn_is_a_loss_of_zero(student):
    """Where all labels are -100 the loss is 0, not 0/0 = NaN.

    标签全是 -100 时损失为 0，而不是 0/0 = NaN。
    """
    logits, labels = torch.randn(B, T, V), torch.full((B, T), -100)
    check.equal(student.masked_cross_entropy(logits, labels), torch.tensor(0.0))


def test_nothing_to_learn_has_a_gradient_of_zeros(student):
    """Backward runs where nothing counts, and leaves zeros: no weight moves, none becomes NaN.

    没有任何标签计入时，反向传播照常进行，梯度全为零：权重不动，也不会变成 NaN。
    """
    got = student.run(gradient, torch.randn(B, T, V), torch.full((B, T), -100))
    check.equal(got, torch.zeros(B, T, V))


def test_the_gradient_reaches_the_counted_positions_only(student):
    """A counted position has softmax minus one-hot, over the number that counts; others have 0.

    计入的位置，梯度是 softmax 减去 one-hot，再除以计入的个数；其余为 0。
    """
    logits, labels = conversation()
    expected = gradient(reference, logits, labels)
    check.gradients(student.run(gradient, logits, labels), expected, names=("logits",))


def test_one_counted_position_is_its_own_loss(student):
    """A reply of a single token: its loss is divided by 1, not by the length of the row.

    回复只有一个 token：它的损失除以 1，而不是行长。
    """
    logits, labels = torch.randn(1, T, V), torch.full((1, T), -100)
    labels[0, 3] = 4
    got = student.masked_cross_entropy(logits, labels)
    check.close(got, masked_cross_entropy(logits, labels))


def test_half_precision_is_summed_in_float32(student):
    """bfloat16 logits give a float32 loss: the probabilities are computed in float32.

    bfloat16 的 logits 给出 float32 的损失：概率要用 float32 计算。
    """
    logits, labels = conversation()
    logits = logits.to(torch.bfloat16)
    got = student.masked_cross_entropy(logits, labels)
    check.close(got, masked_cross_entropy(logits, labels))


def test_large_logits_do_not_overflow(student):
    """With logits of 1000 exp is infinite; the loss is still a number.

    logits 达到 1000 时 exp 会溢出；损失仍应是有限的数。
    """
    logits, labels = conversation()
    logits = 500 * logits
    got = student.masked_cross_entropy(logits, labels)
    check.close(got, masked_cross_entropy(logits, labels), scale=2000.0)


def test_the_caller_keeps_its_labels(student):
    """The labels are as they were afterwards, -100 and all.

    调用之后 labels 保持原样，-100 也还在。
    """

    def left_behind(m, logits, labels):
        """labels, after masked_cross_entropy(logits, labels)

        调用 masked_cross_entropy(logits, labels) 之后的 labels
        """
        labels = labels.clone()
        m.masked_cross_entropy(logits, labels)
        return labels

    logits, labels = conversation()
    check.equal(student.run(left_behind, logits, labels), labels)


def test_labels_of_another_shape_are_refused(student):
    """Labels that would broadcast to the logits' positions raise ValueError instead.

    会悄悄广播到各位置的 labels，应抛出 ValueError。
    """
    logits = torch.randn(B, T, V)
    for shape in ((1, T), (B, 1), (T,), (B, T, V)):
        labels = torch.randint(V, shape)
        check.raises(
            ValueError, lambda y=labels: student.masked_cross_entropy(logits, y), match="labels"
        )


# ---- other right ways


def _fitting(logits, labels):
    if labels.shape != logits.shape[:-1]:
        raise ValueError("labels")


@also_right("masked_cross_entropy", en="log_softmax of the counted positions alone")
def counted_alone(logits, labels):
    if tuple(labels.shape) != tuple(logits.shape[:-1]):
        raise ValueError("labels")
    keep = labels.ne(-100)
    rows = logits[keep].float().log_softmax(-1)
    return -rows[torch.arange(len(rows)), labels[keep]].sum() / max(1, len(rows))


@also_right("masked_cross_entropy", en="by one-hot in float64")
def by_one_hot(logits, labels):
    if labels.shape != logits.shape[:2]:
        raise ValueError("labels")
    hot = (labels.unsqueeze(-1) == torch.arange(logits.shape[-1])).double()  # -100 is in no place
    wide = logits.double()
    wide = wide - wide.amax(-1, keepdim=True)
    logs = wide - wide.exp().sum(-1, keepdim=True).log()
    return (-(hot * logs).sum() / hot.sum().clamp(min=1)).float()


@also_right("masked_cross_entropy", en="a loop over the positions")
def position_by_position(logits, labels):
    if labels.shape != logits.shape[:-1]:
        raise ValueError("labels")
    total, count = logits.sum().float() * 0, 0
    for row, label in zip(logits.reshape(-1, logits.shape[-1]), labels.flatten(), strict=True):
        if label != -100:
            total, count = total - row.float().log_softmax(0)[label], count + 1
    return total / count if count else total


EQUIVALENT = (
    equivalent_mutant(
        "masked_cross_entropy",
        "targets = labels.masked_fill(~counted, 0)",
        "targets = labels.masked_fill(~counted, 1)",
        because="what is looked up where nothing counts is thrown away",
    ),
)


# ---- mistakes that people make


def _losses(logits, labels):
    logs = logits.float().log_softmax(-1)
    return -logs.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1) * (labels != -100)


@known_wrong(
    "masked_cross_entropy",
    en="You divide by all positions, so an answer in a long conversation counts less. Divide by "
    "how many labels are not -100.",
    zh="你除以了全部位置数，长对话里的回答分量就变小了。应除以不是 -100 的标签个数。",
)
def mean_over_all(logits, labels):
    _fitting(logits, labels)
    return _losses(logits, labels).mean()


@known_wrong(
    "masked_cross_entropy",
    en="You shift again. The labels are shifted already: logits[:, t] belongs to labels[:, t].",
    zh="你又移了一位。labels 已经移好了：logits[:, t] 对应 labels[:, t]。",
)
def shifted_again(logits, labels):
    _fitting(logits, labels)
    losses = _losses(logits[:, :-1], labels[:, 1:])
    return losses.sum() / (labels[:, 1:] != -100).sum().clamp(min=1)


@known_wrong(
    "masked_cross_entropy",
    en="You average each row, and then the rows: a token in a short answer counts more than one in "
    "a long. Sum over all rows first.",
    zh="你先对每行求平均，再对各行求平均：短回答里的 token 分量更大。应先把所有行加在一起。",
)
def mean_of_rows(logits, labels):
    _fitting(logits, labels)
    counts = (labels != -100).sum(-1).clamp(min=1)
    return (_losses(logits, labels).sum(-1) / counts).mean()


@known_wrong(
    "masked_cross_entropy",
    en="With no label left you divide 0 by 0, and NaN spreads to all weights. Divide by at "
    "least 1.",
    zh="没有标签可算时，你用 0 除以 0，NaN 会传到所有权重。除数至少取 1。",
)
def nothing_over_nothing(logits, labels):
    _fitting(logits, labels)
    return _losses(logits, labels).sum() / (labels != -100).sum()


@known_wrong(
    "masked_cross_entropy",
    en="Where nothing counts you return a 0 of your own making. It hangs on no graph, and "
    "backward() fails in the middle of a run: let the sum itself be 0.",
    zh="没有标签计入时，你返回了一个自己造的 0。它不在计算图上，训练中途 backward() 会报错："
    "让总和自己等于 0。",
)
def a_zero_of_its_own(logits, labels):
    _fitting(logits, labels)
    if not (labels != -100).any():
        return torch.tensor(0.0)
    return masked_cross_entropy(logits, labels)


@known_wrong(
    "masked_cross_entropy",
    en="The log of a softmax is -inf where a probability rounds to 0. Use log_softmax, or "
    "logsumexp: they never form the probability.",
    zh="概率舍入为 0 时，softmax 再取 log 得到 -inf。用 log_softmax 或 logsumexp：它们不会真的算出"
    "概率。",
)
def log_of_softmax(logits, labels):
    _fitting(logits, labels)
    counted = labels != -100
    probs = logits.float().softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return -probs.log().masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)


@known_wrong(
    "masked_cross_entropy",
    en="You leave out the label 0 as if it were padding. 0 is a token; only -100 is left out.",
    zh="你把标签 0 当作填充忽略了。0 是一个 token；只有 -100 才忽略。",
)
def zero_is_padding(logits, labels):
    _fitting(logits, labels)
    counted = labels > 0
    return (_losses(logits, labels) * counted).sum() / counted.sum().clamp(min=1)


@known_wrong(
    "masked_cross_entropy",
    en="You computed in the precision of the logits. bfloat16 has 8 bits: go to float32 first.",
    zh="你用 logits 自己的精度计算。bfloat16 只有 8 位有效数字：先转成 float32。",
)
def half_precision(logits, labels):
    _fitting(logits, labels)
    counted = labels != -100
    chosen = logits.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    losses = (logits.logsumexp(-1) - chosen).masked_fill(~counted, 0.0)
    return losses.sum() / counted.sum().clamp(min=1)


@known_wrong(
    "masked_cross_entropy",
    en="That is the sum of the losses, and grows with the batch. Divide by how many count.",
    zh="这是损失之和，会随批次变大。要除以计入的个数。",
)
def summed(logits, labels):
    _fitting(logits, labels)
    return _losses(logits, labels).sum()


@known_wrong(
    "masked_cross_entropy",
    en="You wrote over the caller's labels (masked_fill_, or labels[...] = 0): the -100 are gone "
    "when they are used again. Make a copy.",
    zh="你改写了调用者的 labels（masked_fill_ 或 labels[...] = 0）：再次使用时 -100 已经没了。"
    "应另存一份。",
)
def labels_overwritten(logits, labels):
    _fitting(logits, labels)
    counted = labels != -100
    labels[~counted] = 0
    losses = _losses(logits, labels).masked_fill(~counted, 0.0)
    return losses.sum() / counted.sum().clamp(min=1)


@known_wrong(
    "masked_cross_entropy",
    en="Labels of another shape are broadcast in silence. Compare the shapes, raise ValueError.",
    zh="形状不同的 labels 被悄悄广播了。应比较形状，并抛出 ValueError。",
)
def any_shape(logits, labels):
    labels = labels.expand(logits.shape[:-1]) if labels.dim() < 3 else labels[..., 0]
    losses = _losses(logits, labels)
    return losses.sum() / (labels != -100).sum().clamp(min=1)
