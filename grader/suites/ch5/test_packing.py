"""Hidden suite of ch5/packing."""

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.data.pack import document_ids, document_mask, document_positions

EOS = 0
REFERENCE = {
    "document_ids": document_ids,
    "document_positions": document_positions,
    "document_mask": document_mask,
}
ROWS = torch.tensor(
    [
        [5, 6, 0, 8, 0, 9, 9],  # two documents, and the beginning of a third
        [0, 4, 0, 0, 7, 7, 7],  # the end of one from before; a document of its end alone
        [3, 3, 3, 3, 3, 3, 0],  # one that fills the row
        [2, 2, 2, 2, 2, 2, 2],  # one that ends elsewhere
    ]
)


def drawn(rows=3, length=11, eos=EOS):
    """Rows of other ids, in which about every third token is an end."""
    tokens = torch.randint(20, 30, (rows, length))
    tokens[torch.rand(rows, length) < 0.3] = eos
    tokens[:, 4] = eos
    return tokens


# ---- document_ids


def test_each_document_has_a_number(student):
    """0 for the first document of a row, 1 for the next; an end token belongs to the one it ends.

    每行第一篇文档是 0，下一篇是 1；结束符属于它所结束的那一篇。
    """
    check.equal(student.document_ids(ROWS[:1], EOS), torch.tensor([[0, 0, 0, 1, 1, 2, 2]]))
    check.equal(student.document_ids(ROWS, EOS), document_ids(ROWS, EOS))
    tokens = drawn()
    check.equal(student.document_ids(tokens, EOS), document_ids(tokens, EOS))


# ---- document_positions


def test_positions_begin_anew_after_every_end(student):
    """Each document is counted from 0, and the end token is the last of its own.

    每篇文档都从 0 数起，结束符是自己那一篇的最后一个。
    """
    check.equal(student.document_positions(ROWS[:1], EOS), torch.tensor([[0, 1, 2, 0, 1, 0, 1]]))
    check.equal(student.document_positions(ROWS, EOS), document_positions(ROWS, EOS))
    tokens = drawn()
    check.equal(student.document_positions(tokens, EOS), document_positions(tokens, EOS))


def test_what_a_row_goes_on_with_is_counted_from_its_start(student):
    """A row knows nothing of the one before it: a document that was cut begins at 0 again.

    一行不知道上一行：被切断的文档在这一行重新从 0 数起。
    """
    tokens = torch.tensor([[7, 7, 7], [7, 0, 8]])
    check.equal(student.document_positions(tokens, EOS), torch.tensor([[0, 1, 2], [0, 1, 0]]))


# ---- document_mask


def test_a_token_sees_what_came_before_it_in_its_own_document(student):
    """True where query t may see key s: s is not after t, and both are of one document.

    查询 t 能看到键 s 的地方为 True：s 不在 t 之后，且两者同属一篇文档。
    """
    expected = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]])
    tokens = torch.tensor([[5, 0, 8, 9]])
    check.equal(student.document_mask(tokens, EOS), expected.bool()[None, None])


def test_every_row_of_a_batch_has_its_own_mask(student):
    """(B, T) tokens give (B, 1, T, T): one mask a row, the same for all heads.

    (B, T) 的 token 得到 (B, 1, T, T)：每行一个掩码，各头共用。
    """
    check.equal(student.document_mask(ROWS, EOS), document_mask(ROWS, EOS))
    tokens = drawn()
    check.equal(student.document_mask(tokens, EOS), document_mask(tokens, EOS))


def test_packed_documents_attend_as_they_would_alone(student):
    """Attention over a packed row gives each document what it gets in a row of its own.

    在打包的行上做注意力，每篇文档得到的结果与它独占一行时相同。
    """
    docs = [[21, 22, 23, EOS], [24, EOS], [25, 26, 27]]
    tokens = torch.tensor([[i for doc in docs for i in doc]])
    q, k, v = torch.randn(3, 1, 2, tokens.size(1), 4)
    attend = torch.nn.functional.scaled_dot_product_attention
    mask = student.document_mask(tokens, EOS)
    check.equal(mask, document_mask(tokens, EOS))
    alone = [
        attend(*(x[:, :, start : start + len(doc)] for x in (q, k, v)), is_causal=True)
        for start, doc in zip((0, 4, 6), docs, strict=True)
    ]
    check.close(attend(q, k, v, attn_mask=mask), torch.cat(alone, dim=2), scale=4.0)


# ---- all of them


@pytest.mark.parametrize("name", REFERENCE)
def test_another_id_may_be_the_end(student, name):
    """The end token is the one that is given; 0 may be a word.

    结束符由参数给出；0 也可以是一个普通的词。
    """
    tokens = torch.tensor([[5, 0, 7, 0, 0, 7, 7, 1]])
    check.equal(getattr(student, name)(tokens, 7), REFERENCE[name](tokens, 7))


@pytest.mark.parametrize("name", REFERENCE)
def test_a_row_may_be_one_token(student, name):
    """T = 1: a word or an end, document 0 at position 0, that sees itself.

    T = 1：一个词或一个结束符，属于第 0 篇、位置 0，并且看得到自己。
    """
    tokens = torch.tensor([[5], [EOS]])
    check.equal(getattr(student, name)(tokens, EOS), REFERENCE[name](tokens, EOS))


@pytest.mark.parametrize("name", REFERENCE)
def test_the_tokens_stay_as_they_were(student, name):
    """The caller's tokens are read and not changed.

    调用者的 tokens 只读，不改。
    """

    def left_behind(m, name, tokens, eos):
        """tokens, after the function of this name was called with (tokens, eos)

        以 (tokens, eos) 调用这个函数之后的 tokens
        """
        getattr(m, name)(tokens, eos)
        return tokens

    check.equal(student.run(left_behind, name, ROWS, EOS), ROWS)


# ---- other right ways


@also_right("document_ids", en="ends moved on by one place, then summed")
def shifted_sum(tokens, eos):
    before = torch.zeros_like(tokens)
    before[:, 1:] = (tokens[:, :-1] == eos).to(torch.int64)
    return torch.cumsum(before, 1)


@also_right("document_ids", en="a loop over tokens")
def counted(tokens, eos):
    rows = []
    for row in tokens.tolist():
        number, numbers = 0, []
        for token in row:
            numbers.append(number)
            number += token == eos
        rows.append(numbers)
    return torch.tensor(rows)


@also_right("document_positions", en="a loop over tokens")
def stepped(tokens, eos):
    out = torch.zeros_like(tokens)
    for b in range(len(tokens)):
        for t in range(1, tokens.shape[1]):
            out[b, t] = 0 if tokens[b, t - 1] == eos else out[b, t - 1] + 1
    return out


@also_right("document_positions", en="how many tokens of one's document a token sees, less one")
def by_the_mask(tokens, eos):
    return document_mask(tokens, eos)[:, 0].sum(-1) - 1


@also_right("document_mask", en="no key from before the start of one's document")
def by_the_start(tokens, eos):
    place = torch.arange(tokens.shape[1])
    start = place - document_positions(tokens, eos)  # (B, T)
    keys = place.view(1, 1, -1)
    seen = (keys >= start.unsqueeze(2)) & (keys <= place.view(1, -1, 1))
    return seen.unsqueeze(1)


@also_right("document_mask", en="a block for each document")
def by_blocks(tokens, eos):
    B, T = tokens.shape
    mask = torch.zeros(B, 1, T, T, dtype=torch.bool)
    for b, row in enumerate(tokens.tolist()):
        ends = [t + 1 for t, token in enumerate(row) if token == eos] + [T]
        start = 0
        for end in ends:
            n = end - start
            mask[b, 0, start:end, start:end] = torch.ones(n, n, dtype=torch.bool).tril()
            start = end
    return mask


EQUIVALENT = (
    *(
        equivalent_mutant(where, f"return {what}", becomes, because="integers carry no gradient")
        for where, what, becomes in (
            (
                "document_ids",
                "ends.cumsum(dim=1) - ends",
                "return (ends.cumsum(dim=1) - ends).detach()",
            ),
            (
                "document_positions",
                "index - starts.cummax(dim=1).values",
                "return (index - starts.cummax(dim=1).values).detach()",
            ),
            (
                "document_mask",
                "(same & causal)[:, None]",
                "return (same & causal)[:, None].detach()",
            ),
        )
    ),
    equivalent_mutant(
        "document_positions",
        "starts[:, 1:] = torch.where(tokens[:, :-1] == eos, index[1:], 0)",
        "starts[:, 1:] = torch.where(tokens[:, :-1] == eos, index[1:], -1)",
        because="the start of the row is 0, and the greater of the two counts",
    ),
    equivalent_mutant(
        "document_mask",
        "ids = document_ids(tokens, eos)",
        "ids = document_ids(eos, tokens)",
        because="tokens == eos is eos == tokens",
    ),
)


# ---- mistakes that people make


@known_wrong(
    "document_ids",
    en="The end token is counted to the document after it. It is the last token of its own: "
    "subtract the ends themselves from the running sum.",
    zh="结束符被算进了后一篇文档。它是自己那一篇的最后一个 token：累积和还要减去结束符自身。",
)
def ends_begin(tokens, eos):
    return (tokens == eos).long().cumsum(dim=1)


@known_wrong(
    "document_ids",
    en="You count on from row to row. Sum along the tokens of a row: cumsum(dim=1).",
    zh="你跨行一直往下数。应沿一行的 token 累加：cumsum(dim=1)。",
)
def numbered_throughout(tokens, eos):
    ends = (tokens == eos).long()
    return ends.flatten().cumsum(dim=0).view_as(tokens) - ends


@known_wrong(
    "document_ids",
    en="The first document has the number 1 here; count from 0.",
    zh="第一篇文档的编号是 1；应从 0 数起。",
)
def numbered_from_one(tokens, eos):
    return document_ids(tokens, eos) + 1


@known_wrong(
    "document_ids",
    en="You sum down the batch instead of along the row: the dimension is 1.",
    zh="你沿批次方向累加了，而不是沿一行：维度应是 1。",
)
def summed_down(tokens, eos):
    ends = (tokens == eos).long()
    return ends.cumsum(dim=0) - ends


@known_wrong(
    "document_positions",
    en="The positions run on through the whole row: a document in the middle starts at a position "
    "that tells how long its neighbours were. Begin anew after each end.",
    zh="位置在整行里一直往下数：中间那篇文档从哪里开始，取决于前面的有多长。"
    "应在每个结束符之后重新数起。",
)
def never_begun_anew(tokens, eos):
    return torch.arange(tokens.size(1)).expand_as(tokens)


@known_wrong(
    "document_positions",
    en="The count begins anew at the end token itself. It is the last of its document; the token "
    "after it has the position 0.",
    zh="你在结束符处就重新数起了。它是本篇的最后一个；它之后的 token 才是位置 0。",
)
def anew_at_the_end(tokens, eos):
    index = torch.arange(tokens.size(1)).expand_as(tokens)
    return index - torch.where(tokens == eos, index, 0).cummax(dim=1).values


@known_wrong(
    "document_positions",
    en="Positions begin at 1 here; the first token of a document has the position 0.",
    zh="位置从 1 数起了；一篇文档的第一个 token 位置是 0。",
)
def counted_from_one(tokens, eos):
    return document_positions(tokens, eos) + 1


@known_wrong(
    "document_positions",
    en="The count goes on from one row into the next. Each row begins at 0, as its attention "
    "sees nothing of the row before.",
    zh="计数从一行延续到了下一行。每行都从 0 开始：注意力看不到上一行。",
)
def on_into_the_next_row(tokens, eos):
    return document_positions(tokens.reshape(1, -1), eos).view_as(tokens)


@known_wrong(
    "document_mask",
    en="The mask is causal and no more: a token sees the documents before its own, which have "
    "nothing to do with it. Require the same document as well.",
    zh="掩码只管因果：token 还能看到前面那些不相干的文档。还要求同属一篇文档。",
)
def causal_alone(tokens, eos):
    B, T = tokens.shape
    return torch.ones(T, T, dtype=torch.bool).tril().expand(B, 1, T, T)


@known_wrong(
    "document_mask",
    en="Within a document a token sees its own future. Keep only keys that are not after the "
    "query: tril().",
    zh="在同一篇文档里，token 看到了自己的未来。只保留不在查询之后的键：tril()。",
)
def future_seen(tokens, eos):
    ids = document_ids(tokens, eos)
    return (ids[:, :, None] == ids[:, None, :])[:, None]


@known_wrong(
    "document_mask",
    en="Queries and keys are exchanged: a token sees what comes after it, and not what came "
    "before. The lower triangle is wanted: tril().",
    zh="查询和键弄反了：token 看到的是后面的，而不是前面的。应取下三角：tril()。",
)
def past_hidden(tokens, eos):
    return document_mask(tokens, eos).transpose(-1, -2)


@known_wrong(
    "document_mask",
    en="A token does not see itself, so the first of each document sees nothing at all: its "
    "softmax is 0/0, NaN. The diagonal belongs to the mask.",
    zh="token 看不到自己，每篇文档的第一个就什么也看不到：softmax 变成 0/0，即 NaN。"
    "对角线应当包含在内。",
)
def itself_hidden(tokens, eos):
    T = tokens.size(1)
    return document_mask(tokens, eos) & ~torch.eye(T, dtype=torch.bool)


@known_wrong(
    "document_mask",
    en="True and False are exchanged: True is where a query MAY see a key.",
    zh="True 和 False 弄反了：True 表示查询可以看到键。",
)
def inverted(tokens, eos):
    return ~document_mask(tokens, eos)


@known_wrong(
    "document_mask",
    en="The axis for the heads is missing: (B, T, T) would be spread over the batch as if it were "
    "heads. Give (B, 1, T, T).",
    zh="少了头的那一维：(B, T, T) 会被当作头来广播。应给出 (B, 1, T, T)。",
)
def without_heads(tokens, eos):
    return document_mask(tokens, eos)[:, 0]


@known_wrong(
    "document_mask",
    en="The mask of the first row serves all: each row has its own documents.",
    zh="所有行都用了第一行的掩码：每行的文档各不相同。",
)
def first_row_for_all(tokens, eos):
    return document_mask(tokens[:1], eos).expand(len(tokens), -1, -1, -1)


@known_wrong(
    "document_mask",
    en="The end token is cut off from the document that it ends, so the model cannot learn from "
    "the text when to stop.",
    zh="结束符和它所结束的文档被隔开了，模型就无法根据正文学会何时停下。",
)
def end_cut_off(tokens, eos):
    ids = (tokens == eos).long().cumsum(dim=1)
    same = ids[:, :, None] == ids[:, None, :]
    return (same & torch.ones_like(same).tril())[:, None]
