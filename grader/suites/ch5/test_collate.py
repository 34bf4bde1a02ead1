"""Hidden suite of ch5/collate."""

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.data.datasets import collate

END = 2


def tokens_of(m, batch, pad_id):
    """The tokens of collate(batch, pad_id)

    collate(batch, pad_id) 返回的 tokens
    """
    return m.collate(batch, pad_id)[0]


def targets_of(m, batch, pad_id):
    """The targets of collate(batch, pad_id)

    collate(batch, pad_id) 返回的 targets
    """
    return m.collate(batch, pad_id)[1]


def mask_of(m, batch, pad_id):
    """The attention_mask of collate(batch, pad_id)

    collate(batch, pad_id) 返回的 attention_mask
    """
    return m.collate(batch, pad_id)[2]


def rows(*lengths):
    """Rows of (tokens, targets) with these lengths; ends among the tokens and among the targets."""
    made = []
    for length in lengths:
        tokens = torch.randint(10, 90, (length,))
        targets = torch.randint(10, 90, (length,))
        targets[: length // 2] = -100
        tokens[length // 2], targets[-1] = END, END
        made.append((tokens, targets))
    return made


def test_rows_of_one_length_are_stacked(student):
    """(T,) rows become (B, T), in their order, with nothing added.

    (T,) 的各行按次序叠成 (B, T)，什么也不添。
    """
    batch = rows(4, 4, 4)
    check.equal(student.collate(batch, END), collate(batch, END))


def test_shorter_rows_are_filled_up_on_the_right(student):
    """T is the longest row; the others get pad_id behind their tokens, so that positions stay.

    T 取最长的一行；其余的在 token 之后补 pad_id，这样各 token 的位置不变。
    """
    batch = rows(3, 6, 1, 5)
    check.equal(student.run(tokens_of, batch, 99), collate(batch, 99)[0])


def test_nothing_is_learned_from_padding(student):
    """Targets are filled up with -100, which the loss leaves out, and not with pad_id.

    目标用损失函数会忽略的 -100 填充，而不是用 pad_id。
    """
    batch = rows(3, 6, 1, 5)
    check.equal(student.run(targets_of, batch, 99), collate(batch, 99)[1])


def test_an_end_is_learned_where_padding_has_its_id(student):
    """With pad_id the end token's own id, the ends that are targets stay targets.

    pad_id 就是结束符的编号时，作为目标的结束符仍然是目标。
    """
    batch = rows(3, 6, 2)
    check.equal(student.run(targets_of, batch, END), collate(batch, END)[1])


def test_the_mask_is_one_for_real_tokens_by_their_place(student):
    """1 for each token of the row, also where it has the id of the padding; 0 behind it; int64.

    行内的 token 都是 1，哪怕它的编号恰好与填充相同；其后为 0；类型是 int64。
    """
    batch = rows(3, 6, 2)
    for pad_id in (END, 99):
        check.equal(student.run(mask_of, batch, pad_id), collate(batch, pad_id)[2])


def test_a_batch_of_one_row_has_no_padding(student):
    """B = 1 gives (1, T).

    B = 1 时得到 (1, T)。
    """
    batch = rows(5)
    check.equal(student.collate(batch, END), collate(batch, END))


def test_the_rows_stay_as_they_were(student):
    """The dataset keeps its rows: they are copied, not changed, and the batch is not a view.

    数据集里的行保持原样：复制它们，不改动，也不让批次成为它们的视图。
    """

    def left_behind(m, batch, pad_id):
        """batch, after the three tensors of collate(batch, pad_id) were overwritten

        把 collate(batch, pad_id) 返回的三个张量改写之后的 batch
        """
        for tensor in m.collate(batch, pad_id):
            tensor.fill_(7)
        return batch

    batch = rows(4, 2)
    check.equal(student.run(left_behind, batch, END), batch)
    check.equal(student.run(left_behind, batch[:1], END), batch[:1])


def test_a_batch_of_no_rows_is_refused(student):
    """An empty batch raises ValueError that speaks of the batch.

    空批次抛出提到 batch 的 ValueError。
    """
    check.raises(ValueError, lambda: student.collate([], END), match="batch")


@pytest.mark.parametrize("pad_id", [0, 1])
def test_any_id_will_do_as_padding(student, pad_id):
    """0 and 1 are ids like any other, in the batch and out of it.

    0 和 1 与其他编号一样，不管批次里有没有。
    """
    batch = [(torch.tensor([0, 1, 5]), torch.tensor([1, 5, 0])), (torch.tensor([1]),) * 2]
    check.equal(student.collate(batch, pad_id), collate(batch, pad_id))


# ---- other right ways


@also_right("collate", en="by pad_sequence, the mask from ones")
def by_pad_sequence(batch, pad_id):
    if len(batch) == 0:
        raise ValueError("the batch is empty")
    pad = torch.nn.utils.rnn.pad_sequence
    tokens = pad([row for row, _ in batch], batch_first=True, padding_value=pad_id)
    targets = pad([row for _, row in batch], batch_first=True, padding_value=-100)
    mask = pad([torch.ones_like(row) for row, _ in batch], batch_first=True)
    return tokens, targets, mask


@also_right("collate", en="lists, and the mask by comparing places with lengths")
def by_lists(batch, pad_id):
    lengths = torch.tensor([len(row) for row, _ in batch])
    if not len(lengths):
        raise ValueError("the batch is empty")
    T = int(lengths.max())
    tokens = torch.tensor([row.tolist() + [pad_id] * (T - len(row)) for row, _ in batch])
    targets = torch.tensor([row.tolist() + [-100] * (T - len(row)) for _, row in batch])
    return tokens, targets, (torch.arange(T)[None] < lengths[:, None]).long()


@also_right("collate", en="a list for a tuple, rows padded one by one")
def one_by_one(batch, pad_id):
    T = max((len(row) for row, _ in batch), default=0)
    if T == 0:
        raise ValueError("the batch is empty")
    pad = torch.nn.functional.pad
    parts = [
        (
            pad(row, (0, T - len(row)), value=pad_id),
            pad(following, (0, T - len(row)), value=-100),
            pad(torch.ones(len(row), dtype=torch.int64), (0, T - len(row))),
        )
        for row, following in batch
    ]
    return [torch.stack(part) for part in zip(*parts, strict=True)]


EQUIVALENT = tuple(
    equivalent_mutant(
        "collate",
        "return tokens, targets, attention_mask",
        becomes,
        because="integers carry no gradient",
    )
    for becomes in (
        "return tokens.detach(), targets, attention_mask",
        "return tokens, targets.detach(), attention_mask",
        "return tokens, targets, attention_mask.detach()",
    )
)


# ---- mistakes that people make


def _filled(batch, pad_id, ignored):
    tokens, targets, mask = collate(batch, pad_id)
    targets = targets.masked_fill(mask == 0, ignored)
    return tokens, targets, mask


@known_wrong(
    "collate",
    en="Targets are filled up with pad_id, and the loss leaves out only -100: the model learns to "
    "write padding, the more of it the shorter its row.",
    zh="目标用 pad_id 填充了，而损失只忽略 -100：模型会学着写填充符，行越短学得越多。",
)
def padding_learned(batch, pad_id):
    return _filled(batch, pad_id, pad_id)


@known_wrong(
    "collate",
    en="Targets are filled up with 0, which is a token; only -100 is left out of the loss.",
    zh="目标用 0 填充了，而 0 是一个 token；损失只忽略 -100。",
)
def zeros_learned(batch, pad_id):
    return _filled(batch, pad_id, 0)


@known_wrong(
    "collate",
    en="You set every target that is pad_id to -100. Where the end token pads, that takes the ends "
    "of the answers too, and the model never learns to stop: go by the length, not by the id.",
    zh="你把所有等于 pad_id 的目标都换成了 -100。用结束符填充时，回答的结尾也被去掉了，"
    "模型永远学不会停下：应按长度判断，而不是按编号。",
)
def ends_not_learned(batch, pad_id):
    tokens, targets, mask = collate(batch, pad_id)
    return tokens, targets.masked_fill(targets == pad_id, -100), mask


@known_wrong(
    "collate",
    en="The mask is taken from the ids: a real token that has the id of the padding is hidden. Go "
    "by the length of the row.",
    zh="掩码是按编号算的：编号与填充相同的真实 token 也被遮住了。应按行的长度来定。",
)
def mask_by_id(batch, pad_id):
    tokens, targets, _ = collate(batch, pad_id)
    return tokens, targets, (tokens != pad_id).long()


@known_wrong(
    "collate",
    en="Padding is found by its id, in targets and mask alike. Where the end token pads, every "
    "real end is taken for padding: it is not learned, and not even seen. Go by the length.",
    zh="目标和掩码都是按编号去找填充的。用结束符填充时，真正的结束符也被当成了填充："
    "既学不到，也看不到。应按长度判断。",
)
def padding_by_id(batch, pad_id):
    tokens, targets, _ = collate(batch, pad_id)
    return tokens, targets.masked_fill(targets == pad_id, -100), (tokens != pad_id).long()


@known_wrong(
    "collate",
    en="Rows are filled up on the left. That is for generation; in training it moves every token "
    "to another position. Fill up on the right.",
    zh="你在左边填充了。那是生成时的做法；训练时会让每个 token 换了位置。应在右边填充。",
)
def padded_on_the_left(batch, pad_id):
    tokens, targets, mask = collate(batch, pad_id)
    for b, (row, _) in enumerate(batch):
        by = tokens.size(1) - len(row)
        tokens[b], targets[b], mask[b] = (x[b].roll(by) for x in (tokens, targets, mask))
    return tokens, targets, mask


@known_wrong(
    "collate",
    en="All rows are cut to the shortest: answers stand at the end, and are lost. Fill up to the "
    "longest.",
    zh="所有行都截成了最短的长度：回答在行末，就这样丢了。应补到最长的长度。",
)
def cut_to_the_shortest(batch, pad_id):
    T = min((len(row) for row, _ in batch), default=None)
    return tuple(x[:, :T].contiguous() for x in collate(batch, pad_id))


@known_wrong(
    "collate",
    en="The mask marks the padding with 1. It is 1 for real tokens and 0 for padding.",
    zh="掩码把填充标成了 1。真实 token 应为 1，填充为 0。",
)
def mask_inverted(batch, pad_id):
    tokens, targets, mask = collate(batch, pad_id)
    return tokens, targets, 1 - mask


@known_wrong(
    "collate",
    en="The mask leaves out what is not learned. The questions are not learned, but have to be "
    "read: it is 0 for padding alone.",
    zh="掩码把不学的部分也去掉了。提问不用学，却必须读到：只有填充处才是 0。",
)
def mask_of_the_targets(batch, pad_id):
    tokens, targets, _ = collate(batch, pad_id)
    return tokens, targets, (targets != -100).long()


@known_wrong(
    "collate",
    en="The mask is bool (or float); int64 is asked for, as tokenizers give it.",
    zh="掩码是 bool（或浮点）；题目要 int64，与分词器给出的一致。",
)
def mask_of_bools(batch, pad_id):
    tokens, targets, mask = collate(batch, pad_id)
    return tokens, targets, mask.bool()


@known_wrong(
    "collate",
    en="A batch of no rows has no longest row: raise a ValueError that says so, before max() or a "
    "tensor of no size tells of it elsewhere.",
    zh="空批次没有最长的一行：应抛出说明原因的 ValueError，而不是让别处去出错。",
)
def nothing_from_nothing(batch, pad_id):
    if not batch:
        empty = torch.zeros(0, 0, dtype=torch.int64)
        return empty, empty, empty
    return collate(batch, pad_id)
