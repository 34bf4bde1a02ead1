"""Hidden suite of ch5/filters."""

import math

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.llama.sampling import apply_min_p, apply_repetition_penalty

INF = float("inf")


@pytest.mark.parametrize(
    ("min_p", "kept"), [(0.2, [0, 1, 3]), (0.5, [1, 3]), (0.9, [1])], ids=["0.2", "0.5", "0.9"]
)
def test_a_token_stays_where_it_reaches_a_share_of_the_best(student, min_p, kept):
    """With 0.5 the largest probability, min_p = 0.5 keeps what has 0.25 or more, 0.9 only the best.

    最大概率为 0.5 时，min_p = 0.5 保留不小于 0.25 的 token，0.9 则只剩最大的那个。
    """
    logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log()
    expected = torch.full((4,), -INF)
    expected[kept] = logits[kept]
    check.equal(student.apply_min_p(logits, min_p), expected)


def test_a_sure_model_leaves_less_to_choose_from(student):
    """Each row has its own best token: a sharp row keeps one, a flat one keeps all.

    每行都以自己最大的概率为准：尖的一行只留一个，平的一行全部保留。
    """
    logits = torch.tensor([[9.0, 0.0, 0.5, 1.0], [0.1, 0.0, 0.2, 0.3], [-7.0, -3.0, -3.1, -9.0]])
    expected = logits.clone()
    expected[0, 1:] = -INF
    expected[2, [0, 3]] = -INF
    check.equal(student.apply_min_p(logits, 0.2), expected)


@pytest.mark.parametrize("min_p", [0.03, 0.4])
def test_the_filter_works_on_the_last_dimension(student, min_p):
    """Logits of any shape (..., V) are filtered row by row, whatever is added to a row.

    任意形状 (..., V) 的 logits 都逐行过滤；整行加上同一个数不影响结果。
    """
    logits = 2 * torch.randn(2, 3, 11) + 20 * torch.randn(2, 3, 1)
    check.equal(student.apply_min_p(logits, min_p), apply_min_p(logits, min_p))


def test_a_min_p_of_one_keeps_what_ties_with_the_best(student):
    """Reaching the share is enough: with min_p = 1 the best stays, and all that are as probable.

    达到比例即可保留：min_p = 1 时，最大的以及与它并列的都留下。
    """
    logits = torch.tensor([[2.0, 1.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    expected = torch.tensor([[2.0, -INF, 2.0, -INF], [0.0, 0.0, 0.0, 0.0]])
    check.equal(student.apply_min_p(logits, 1.0), expected)


def test_a_min_p_of_zero_keeps_every_token(student):
    """min_p = 0 rules nothing out, not even a token whose probability rounds to zero.

    min_p = 0 什么都不排除，哪怕某个 token 的概率舍入为零。
    """
    logits = torch.tensor([[60.0, 0.0, -90.0], [0.0, 200.0, 0.0]])
    check.equal(student.apply_min_p(logits, 0.0), logits)


def test_what_was_ruled_out_before_stays_out(student):
    """After top-k some logits are -inf already; they stay so, and the others are judged.

    经过 top-k 之后已有 -inf 的 logit；它们保持不变，其余照常判断。
    """
    logits = torch.tensor([[-INF, 3.0, 2.5, -INF, -1.0]])
    check.equal(student.apply_min_p(logits, 0.3), torch.tensor([[-INF, 3.0, 2.5, -INF, -INF]]))


@pytest.mark.parametrize("penalty", [1.3, 2.0])
def test_a_token_that_stood_in_the_text_gets_a_lower_score(student, penalty):
    """A score above 0 is divided by the penalty and one below 0 is multiplied: both get less.

    大于 0 的分数除以惩罚系数，小于 0 的则乘以它：两种都变小。
    """
    logits = torch.tensor([[2.0, -1.0, 3.0, -4.0, 0.0]])
    expected = torch.tensor([[2.0 / penalty, -1.0 * penalty, 3.0, -4.0, 0.0]])
    got = student.apply_repetition_penalty(logits, torch.tensor([[1, 0, 4]]), penalty)
    check.close(got, expected)


def test_a_token_is_penalised_once_however_often_it_stands(student):
    """Three times in the text or once: the score is lowered once.

    在文本里出现三次还是一次都一样：分数只降一次。
    """
    logits = torch.tensor([[4.0, -2.0, 1.0]])
    expected = torch.tensor([[2.0, -4.0, 1.0]])
    got = student.apply_repetition_penalty(logits, torch.tensor([[0, 1, 0, 0, 1]]), 2.0)
    check.close(got, expected)


def test_each_row_has_repeated_only_its_own_tokens(student):
    """A token that another row of the batch wrote is not penalised here.

    批次里别的行写过的 token，在这一行不受惩罚。
    """
    logits, tokens = 3 * torch.randn(3, 12), torch.randint(12, (3, 5))
    expected = apply_repetition_penalty(logits, tokens, 1.7)
    check.close(student.apply_repetition_penalty(logits, tokens, 1.7), expected)


def test_padding_is_no_part_of_the_text(student):
    """An id under a mask of 0 is not penalised, unless the same id stands in the text as well.

    掩码为 0 处的编号不受惩罚，除非同一编号也真的出现在文本里。
    """
    logits = torch.tensor([[4.0, 3.0, -2.0], [4.0, 3.0, -2.0], [4.0, 3.0, -2.0]])
    tokens = torch.tensor([[0, 0, 1], [0, 2, 0], [0, 1, 2]])
    mask = torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 1]])
    expected = torch.tensor([[4.0, 1.5, -2.0], [2.0, 3.0, -4.0], [2.0, 1.5, -4.0]])
    check.close(student.apply_repetition_penalty(logits, tokens, 2.0, mask), expected)
    check.close(student.apply_repetition_penalty(logits, tokens, 2.0, mask.bool()), expected)


def test_a_penalty_of_one_changes_nothing_and_one_below_rewards(student):
    """1 leaves the scores as they are; 0.5 makes what was written more probable.

    系数为 1 时分数不变；0.5 则让写过的更可能再出现。
    """
    logits, tokens = torch.tensor([[2.0, -3.0, 1.0]]), torch.tensor([[0, 1]])
    check.equal(student.apply_repetition_penalty(logits, tokens, 1.0), logits)
    got = student.apply_repetition_penalty(logits, tokens, 0.5)
    check.close(got, torch.tensor([[4.0, -1.5, 1.0]]))


def test_the_filters_keep_the_dtype(student):
    """bfloat16 logits come back as bfloat16.

    bfloat16 的 logits 返回时仍是 bfloat16。
    """
    logits = torch.tensor([[1.0, 4.0, 2.5, -3.0], [0.0, -2.0, 3.0, 1.5]]).to(torch.bfloat16)
    tokens = torch.tensor([[1, 3], [0, 1]])
    check.equal(student.apply_min_p(logits, 0.2), apply_min_p(logits, 0.2))
    expected = apply_repetition_penalty(logits, tokens, 2.0)
    check.close(student.apply_repetition_penalty(logits, tokens, 2.0), expected)


def test_the_caller_keeps_its_logits(student):
    """Both answer with new logits and leave those that they were given as they were.

    两个函数都返回新的 logits，传入的那份保持原样。
    """

    def left_behind(m, logits, tokens):
        """logits, after apply_min_p and apply_repetition_penalty

        调用 apply_min_p、apply_repetition_penalty 之后的 logits
        """
        first, second = logits.clone(), logits.clone()
        m.apply_min_p(first, 0.9)
        m.apply_repetition_penalty(second, tokens, 2.0)
        return first, second

    logits, tokens = torch.randn(2, 6), torch.randint(6, (2, 4))
    check.equal(student.run(left_behind, logits, tokens), (logits, logits))


@pytest.mark.parametrize("name", ["apply_min_p", "apply_repetition_penalty"])
def test_what_makes_no_sense_is_refused(student, name):
    """A min_p outside [0, 1] and a penalty that is not above 0 or not finite raise ValueError.

    min_p 不在 [0, 1] 内、惩罚系数不大于 0 或非有限，都要抛出 ValueError。
    """
    logits, tokens = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[1]])
    if name == "apply_min_p":
        for bad in (-0.1, 1.5, float("nan")):
            check.raises(ValueError, lambda bad=bad: student.apply_min_p(logits, bad))
        return
    for bad in (0.0, -1.0, INF, float("nan")):
        check.raises(
            ValueError, lambda bad=bad: student.apply_repetition_penalty(logits, tokens, bad)
        )


# ---- other right ways


@also_right("apply_min_p", en="in logarithms, without a softmax")
def in_logarithms(logits, min_p):
    if not (min_p >= 0 and min_p <= 1):
        raise ValueError("min_p")
    if min_p == 0:
        return logits.clone()
    below = logits.double().amax(-1, keepdim=True) + math.log(min_p)
    return torch.where(logits.double() >= below, logits, torch.full_like(logits, -INF))


@also_right("apply_repetition_penalty", en="a loop over rows, each with its set of tokens")
def row_by_row(logits, tokens, penalty, attention_mask=None):
    if math.isnan(penalty) or math.isinf(penalty) or penalty <= 0:
        raise ValueError("penalty")
    out = logits.clone()
    for b in range(len(tokens)):
        row = tokens[b] if attention_mask is None else tokens[b][attention_mask[b] != 0]
        for token in set(row.tolist()):
            score = out[b, token]
            out[b, token] = score / penalty if score > 0 else score * penalty
    return out


@also_right("apply_repetition_penalty", en="by gather and scatter, padding sent to a spare column")
def by_scatter(logits, tokens, penalty, attention_mask=None):
    if not 0 < penalty < INF:
        raise ValueError("penalty")
    V = logits.shape[-1]
    wide = torch.cat([logits, logits[:, :1]], dim=-1)
    if attention_mask is not None:
        tokens = torch.where(attention_mask.bool(), tokens, V)
    scores = wide.gather(1, tokens)
    factor = torch.where(scores < 0, penalty, 1 / penalty).to(scores.dtype)
    return wide.scatter(1, tokens, scores * factor)[:, :V]


EQUIVALENT = (
    equivalent_mutant(
        "apply_min_p",
        "return logits.masked_fill(probs < least, -torch.inf)",
        "return logits.masked_fill(probs < least, -torch.inf).detach()",
        because="the task is to choose tokens, where no gradient is taken",
    ),
    equivalent_mutant(
        "apply_repetition_penalty",
        "return torch.where(seen, lowered, logits)",
        "return torch.where(seen, lowered, logits).detach()",
        because="the task is to choose tokens, where no gradient is taken",
    ),
    equivalent_mutant(
        "apply_repetition_penalty",
        "lowered = torch.where(logits > 0, logits / penalty, logits * penalty)",
        "lowered = torch.where(logits >= 0, logits / penalty, logits * penalty)",
        because="0 over the penalty is 0 times the penalty",
    ),
)


# ---- mistakes that people make


def _in_range(min_p):
    if not 0 <= min_p <= 1:
        raise ValueError(f"min_p={min_p}")


@known_wrong(
    "apply_min_p",
    en="You compared with min_p itself. It is a share of the largest probability: compare with "
    "min_p * probs.max.",
    zh="你直接与 min_p 比较。它是相对最大概率的比例：应与 min_p 乘以最大概率比较。",
)
def an_absolute_line(logits, min_p):
    _in_range(min_p)
    return logits.masked_fill(logits.float().softmax(-1) < min_p, -torch.inf)


@known_wrong(
    "apply_min_p",
    en="You took the share of the largest LOGIT. The share is one of probabilities: softmax first.",
    zh="你取的是最大 logit 的比例。比例说的是概率：要先做 softmax。",
)
def a_share_of_the_logit(logits, min_p):
    _in_range(min_p)
    return logits.masked_fill(logits < min_p * logits.amax(-1, keepdim=True), -torch.inf)


@known_wrong(
    "apply_min_p",
    en="One largest probability serves all rows. Each row has its own: amax(dim=-1, keepdim=True).",
    zh="所有行共用了同一个最大概率。每行各有自己的：amax(dim=-1, keepdim=True)。",
)
def one_line_for_all_rows(logits, min_p):
    _in_range(min_p)
    probs = logits.float().softmax(-1)
    return logits.masked_fill(probs < min_p * probs.max(), -torch.inf)


@known_wrong(
    "apply_min_p",
    en="A token that reaches the line exactly is dropped, with min_p = 1 even the best: compare "
    "with <, not <=.",
    zh="恰好达到界线的 token 被去掉了，min_p = 1 时连最大的也没留下：用 <，不是 <=。",
)
def reaching_is_not_enough(logits, min_p):
    _in_range(min_p)
    probs = logits.float().softmax(-1)
    return logits.masked_fill(probs <= min_p * probs.amax(-1, keepdim=True), -torch.inf)


@known_wrong(
    "apply_min_p",
    en="Tokens that are ruled out got the logit 0, which softmax takes for exp(0) = 1. Set them to "
    "-inf.",
    zh="被排除的 token 的 logit 设成了 0，softmax 会当作 exp(0) = 1。应设为 -inf。",
)
def zeros_for_min_p(logits, min_p):
    kept = apply_min_p(logits, min_p)
    return kept.masked_fill(kept == -torch.inf, 0.0)


@known_wrong(
    "apply_min_p",
    en="Probabilities come back. A filter takes logits and gives logits: the next one needs them.",
    zh="返回的是概率。过滤器接收 logits、返回 logits，后面的才能接着用。",
)
def probabilities_come_back(logits, min_p):
    _in_range(min_p)
    probs = logits.float().softmax(-1)
    kept = probs.masked_fill(probs < min_p * probs.amax(-1, keepdim=True), 0.0)
    return (kept / kept.sum(-1, keepdim=True)).to(logits.dtype)


@known_wrong(
    "apply_min_p",
    en="A min_p outside [0, 1] goes through: raise ValueError for it.",
    zh="min_p 不在 [0, 1] 内时没有报错：应抛出 ValueError。",
)
def any_min_p(logits, min_p):
    probs = logits.float().softmax(-1)
    return logits.masked_fill(probs < min_p * probs.amax(-1, keepdim=True), -torch.inf)


def _checked(penalty):
    if not 0 < penalty < INF:
        raise ValueError(f"penalty={penalty}")


@known_wrong(
    "apply_repetition_penalty",
    en="You divide every score. A score below 0 RISES by that, so what was written becomes more "
    "probable: multiply those.",
    zh="你对所有分数都做除法。小于 0 的分数除完反而变大，写过的词更可能再出现：这些应当乘。",
)
def always_divided(logits, tokens, penalty, attention_mask=None):
    _checked(penalty)
    seen = apply_repetition_penalty(torch.ones_like(logits), tokens, 2.0, attention_mask) < 1
    return torch.where(seen, logits / penalty, logits)


@known_wrong(
    "apply_repetition_penalty",
    en="A token that stands in the text several times is penalised several times. Once is enough: "
    "ask whether it stands there, not how often.",
    zh="在文本里出现几次就惩罚了几次。一次就够：只看有没有出现，不看出现几次。",
)
def once_for_each_time(logits, tokens, penalty, attention_mask=None):
    _checked(penalty)
    real = torch.ones_like(tokens) if attention_mask is None else attention_mask.to(tokens.dtype)
    counts = torch.zeros(logits.shape, dtype=tokens.dtype).scatter_add(1, tokens, real)
    factor = (penalty**counts).to(logits.dtype)
    return torch.where(logits > 0, logits / factor, logits * factor)


@known_wrong(
    "apply_repetition_penalty",
    en="The tokens of all rows are penalised in every row: each row has a text of its own.",
    zh="所有行的 token 在每一行都受了惩罚：每行各有自己的文本。",
)
def one_text_for_all_rows(logits, tokens, penalty, attention_mask=None):
    _checked(penalty)
    real = tokens if attention_mask is None else tokens[attention_mask.bool()]
    out = logits.clone()
    column = out[:, real.unique()]
    out[:, real.unique()] = torch.where(column > 0, column / penalty, column * penalty)
    return out


@known_wrong(
    "apply_repetition_penalty",
    en="Padding is penalised as if it were text: leave out what the attention_mask hides.",
    zh="填充也被当成文本惩罚了：attention_mask 遮住的部分不算。",
)
def padding_counts(logits, tokens, penalty, attention_mask=None):
    return apply_repetition_penalty(logits, tokens, penalty)


@known_wrong(
    "apply_repetition_penalty",
    en="The id of the padding is never penalised, even where the text holds it too: look at each "
    "place, not at the id.",
    zh="填充所用的编号从不受惩罚，即使文本里真的有它：应逐个位置看，而不是看编号。",
)
def padding_forgives(logits, tokens, penalty, attention_mask=None):
    out = apply_repetition_penalty(logits, tokens, penalty, attention_mask)
    if attention_mask is None:
        return out
    for b, row in enumerate(tokens):
        hidden = row[attention_mask[b] == 0]
        out[b, hidden] = logits[b, hidden]
    return out


@known_wrong(
    "apply_repetition_penalty",
    en="The penalty is subtracted. It is a factor: divide scores above 0, multiply those below.",
    zh="你减去了惩罚系数。它是倍数：大于 0 的分数除以它，小于 0 的乘以它。",
)
def subtracted(logits, tokens, penalty, attention_mask=None):
    _checked(penalty)
    seen = apply_repetition_penalty(torch.ones_like(logits), tokens, 2.0, attention_mask) < 1
    return torch.where(seen, logits - penalty, logits)


@known_wrong(
    "apply_repetition_penalty",
    en="It is the wrong way round: scores above 0 are divided by the penalty, those below 0 "
    "multiplied.",
    zh="方向反了：大于 0 的分数除以惩罚系数，小于 0 的乘以它。",
)
def the_wrong_way_round(logits, tokens, penalty, attention_mask=None):
    _checked(penalty)
    return apply_repetition_penalty(logits, tokens, 1 / penalty, attention_mask)


@known_wrong(
    "apply_repetition_penalty",
    en="You wrote into the caller's own logits; make new ones.",
    zh="你就地改动了调用者的 logits；应返回新的。",
)
def penalty_in_place(logits, tokens, penalty, attention_mask=None):
    return logits.copy_(apply_repetition_penalty(logits, tokens, penalty, attention_mask))


@known_wrong(
    "apply_repetition_penalty",
    en="A penalty of 0, below 0 or infinite goes through: raise ValueError for it.",
    zh="惩罚系数为 0、为负或无穷大时没有报错：应抛出 ValueError。",
)
def any_penalty(logits, tokens, penalty, attention_mask=None):
    seen = apply_repetition_penalty(torch.ones_like(logits), tokens, 2.0, attention_mask) < 1
    factor = torch.tensor(penalty, dtype=logits.dtype)
    return torch.where(seen, torch.where(logits > 0, logits / factor, logits * factor), logits)
