"""Hidden suite of ch5/sampling."""

import math

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.llama.sampling import apply_temperature, apply_top_k, apply_top_p, sample

INF = float("inf")


def drawn(m, logits, temperature, top_k, top_p):
    """sample(logits, …): how often each token is drawn, in tenths, of 4,000 draws a row

    sample(logits, …)：每行抽样 4000 次，各 token 被抽中的频率（以十分之一计）
    """
    rates = []
    for row in logits:
        many = row.expand(4000, -1)
        tokens = m.sample(many, temperature=temperature, top_k=top_k, top_p=top_p)
        counts = torch.bincount(tokens.flatten(), minlength=len(row))
        rates.append([round(count / 4000, 1) for count in counts.tolist()])
    return rates


@pytest.mark.parametrize("temperature", [0.7, 2.5])
def test_a_temperature_divides_the_logits(student, temperature):
    """Every logit is divided by the temperature: below 1 sharpens, above 1 flattens.

    每个 logit 都除以温度：小于 1 使分布更尖，大于 1 使分布更平。
    """
    logits = torch.randn(3, 7)
    got = student.apply_temperature(logits, temperature)
    check.close(got, apply_temperature(logits, temperature))


@pytest.mark.parametrize("k", [1, 3, 8, 20])
def test_top_k_keeps_the_k_largest_logits_in_their_places(student, k):
    """Each row keeps its k largest logits where they were; the rest become -inf. k > V keeps all.

    每行在原位保留最大的 k 个 logit，其余变为 -inf；k 大于 V 时全部保留。
    """
    logits = torch.randn(2, 3, 8)
    check.equal(student.apply_top_k(logits, k), apply_top_k(logits, k))


def test_top_k_keeps_all_that_tie_with_the_last(student):
    """Tokens as probable as the k-th largest stay with it: chance of order decides nothing.

    与第 k 大并列的 token 一同保留：谁先谁后不应决定去留。
    """
    logits = torch.tensor([[2.0, 1.0, 3.0, 2.0, 2.0], [0.0, 1.0, 2.0, 3.0, 4.0]])
    expected = torch.tensor([[2.0, -INF, 3.0, 2.0, 2.0], [-INF, -INF, -INF, 3.0, 4.0]])
    check.equal(student.apply_top_k(logits, 2), expected)


@pytest.mark.parametrize(
    ("p", "kept"), [(0.7, [1, 3]), (0.3, [1]), (0.9, [0, 1, 3])], ids=["0.7", "0.3", "0.9"]
)
def test_the_token_that_crosses_the_line_stays(student, p, kept):
    """With 0.5 and 0.3 on top, p = 0.7 keeps both: the sum reaches p only with the second.

    最大的两个概率是 0.5 和 0.3 时，p = 0.7 两个都要保留：加上第二个才达到 p。
    """
    logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log()
    expected = torch.full((4,), -INF)
    expected[kept] = logits[kept]
    check.equal(student.apply_top_p(logits, p), expected)


@pytest.mark.parametrize("p", [0.01, 0.6, 0.95])
def test_every_row_has_a_nucleus_of_its_own(student, p):
    """Each row is sorted and cut by itself, and what stays is back in its own place.

    每行各自排序、各自截断，保留的 token 回到自己的位置。
    """
    logits = 2 * torch.randn(2, 3, 11)
    check.equal(student.apply_top_p(logits, p), apply_top_p(logits, p))


@pytest.mark.parametrize(("V", "p", "kept"), [(4, 0.5, 2), (8, 0.25, 2), (8, 0.875, 7)])
def test_the_nucleus_is_the_smallest_set_that_reaches_p(student, V, p, kept):
    """Of V equal tokens exactly p * V are enough: reaching p is enough, passing it is not needed.

    V 个等概率的 token 中恰好 p * V 个就够：达到 p 即可，不必超过。
    """
    got = student.apply_top_p(torch.zeros(2, V), p)
    check.shape(got, (2, V))
    count = got.isfinite().sum(-1).tolist()
    check.that(
        count == [kept, kept],
        en=f"Of {V} equal tokens p={p} keeps {kept}; {count} were kept in the two rows.",
        zh=f"{V} 个等概率的 token，p={p} 应保留 {kept} 个；两行分别保留了 {count} 个。",
        got=got,
    )


def test_a_p_of_one_keeps_every_token(student):
    """p = 1 cuts nothing, not even a token whose probability rounds to zero.

    p = 1 什么都不切，哪怕某个 token 的概率舍入为零。
    """
    logits = torch.tensor([[60.0, 0.0, -60.0, 59.0], [0.0, 0.0, 0.0, 200.0]])
    check.equal(student.apply_top_p(logits, 1.0), logits)


def test_the_filters_keep_the_dtype(student):
    """bfloat16 logits come back as bfloat16, and those that stay have the value they had.

    bfloat16 的 logits 返回时仍是 bfloat16，保留下来的值不变。
    """
    logits = torch.tensor([[1.0, 4.0, 2.5, -3.0], [0.0, -2.0, 3.0, 1.5]]).to(torch.bfloat16)
    check.close(student.apply_temperature(logits, 0.7), apply_temperature(logits, 0.7))
    check.equal(student.apply_top_k(logits, 2), apply_top_k(logits, 2))
    check.equal(student.apply_top_p(logits, 0.9), apply_top_p(logits, 0.9))


def test_the_caller_keeps_its_logits(student):
    """A filter answers with new logits and leaves those that it was given as they were.

    过滤器返回新的 logits，传入的那份保持原样。
    """

    def left_behind(m, logits):
        """logits, after apply_temperature, apply_top_k and apply_top_p

        调用 apply_temperature、apply_top_k、apply_top_p 之后的 logits
        """
        first, second, third = logits.clone(), logits.clone(), logits.clone()
        m.apply_temperature(first, 0.5)
        m.apply_top_k(second, 1)
        m.apply_top_p(third, 0.2)
        return first, second, third

    logits = torch.randn(2, 6)
    check.equal(student.run(left_behind, logits), (logits, logits, logits))


@pytest.mark.parametrize("name", ["apply_temperature", "apply_top_k", "apply_top_p", "sample"])
def test_what_makes_no_sense_is_refused(student, name):
    """A temperature not above 0, a k below 1 and a p outside (0, 1] raise ValueError.

    温度不大于 0、k 小于 1、p 不在 (0, 1] 内，都要抛出 ValueError。
    """
    logits = torch.tensor([[0.0, 40.0, 80.0, 120.0], [120.0, 80.0, 40.0, 0.0]])
    if name == "sample":
        for bad, word in (({"temperature": -1.0}, "temperature"), ({"top_k": 0}, "k")):
            check.raises(ValueError, lambda bad=bad: student.sample(logits, **bad), match=word)
        check.raises(ValueError, lambda: student.sample(logits, top_p=0.0), match="p")
        return
    refused = {
        "apply_temperature": (0.0, -0.5, INF, float("nan")),
        "apply_top_k": (0, -1),
        "apply_top_p": (0.0, -0.1, 1.5, float("nan")),
    }
    for bad in refused[name]:
        check.raises(ValueError, lambda bad=bad: getattr(student, name)(logits, bad))


def test_one_token_is_chosen_for_each_row(student):
    """A batch (B, V) gives (B,) int64 ids, greedy or drawn, from float32 or half precision.

    一批 (B, V) 给出 (B,) 的 int64 编号：贪心或抽样、float32 或半精度都一样。
    """
    likely = torch.tensor([4, 0, 2])
    logits = torch.full((3, 5), -50.0)
    logits[torch.arange(3), likely] = 50.0
    check.equal(student.sample(logits, temperature=0.0), likely)
    check.equal(student.sample(logits), likely)
    check.equal(student.sample(logits.to(torch.bfloat16)), likely)


def test_a_temperature_of_zero_takes_the_most_probable_token(student):
    """Greedy draws nothing: it takes the largest logit every time, however close the next is.

    贪心不抽签：每次都取最大的 logit，哪怕第二名与它很接近。
    """
    logits = torch.tensor([[0.2, 0.3, 0.2, 0.2, 0.1], [0.5, 0.0001, 0.4999, 0.0, 0.0]]).log()
    got = student.run(drawn, logits, 0.0, None, None)
    check.equal(got, [[0.0, 1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]])


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_tokens_are_drawn_as_often_as_their_probabilities_say(student, temperature):
    """Over many draws each token comes up with the probability softmax(logits / temperature).

    多次抽取后，每个 token 出现的频率等于 softmax(logits / temperature)。
    """
    probs = torch.tensor([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]])
    got = student.run(drawn, temperature * probs.log(), temperature, None, None)
    check.equal(got, [[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]])


@pytest.mark.parametrize(
    ("probs", "temperature", "top_k", "top_p", "expected"),
    [
        ([0.16, 0.06, 0.64, 0.14], 1.0, 2, None, [0.2, 0.0, 0.8, 0.0]),  # top-k alone
        ([0.12, 0.48, 0.08, 0.32], 1.0, None, 0.6, [0.0, 0.6, 0.0, 0.4]),  # top-p alone
        ([0.12, 0.48, 0.08, 0.32], 2.0, None, 0.6, [0.0, 0.6, 0.0, 0.4]),  # at T = 1 it keeps one
        ([0.2, 0.4, 0.1, 0.3], 1.0, 2, 0.5, [0.0, 1.0, 0.0, 0.0]),  # p = 0.5 of all keeps two
    ],
    ids=["k", "p", "temperature-p", "k-p"],
)
def test_each_filter_judges_what_the_one_before_left(
    student, probs, temperature, top_k, top_p, expected
):
    """First the temperature, then top-k, then top-p: each sees the distribution that is left.

    先温度，再 top-k，再 top-p：每一步看到的都是前一步剩下的分布。
    """
    logits = temperature * torch.tensor([probs]).log()
    check.equal(student.run(drawn, logits, temperature, top_k, top_p), [expected])


def test_the_generator_alone_decides_the_draw(student):
    """A generator of the same seed draws the same, whatever the global seed; then it moves on.

    生成器种子相同，抽到的就相同，与全局种子无关；再抽一次则往下走，结果不同。
    """

    def draws(m, logits):
        """sample(logits, generator=…), several times: which draws are the same

        多次调用 sample(logits, generator=…)：哪些抽样相同
        """
        tokens = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            generator = torch.Generator().manual_seed(7)
            tokens.append([m.sample(logits, generator=generator) for _ in range(2)])
        (a, b), (again, _) = tokens
        return {"same seed, same draw": torch.equal(a, again), "next draw": torch.equal(a, b)}

    got = student.run(draws, torch.zeros(64, 50))
    check.equal(got, {"same seed, same draw": True, "next draw": False})


# ---- other right ways


@also_right("apply_temperature", en="times the inverse, in float64")
def times_the_inverse(logits, temperature):
    if math.isnan(temperature) or math.isinf(temperature) or temperature <= 0:
        raise ValueError("temperature")
    return (logits.double() * (1 / temperature)).to(logits.dtype)


@also_right("apply_top_k", en="by a full sort, with where")
def by_sorting(logits, k):
    if k < 1:
        raise ValueError("k")
    line = logits.sort(dim=-1, descending=True).values[..., : min(k, logits.shape[-1])][..., -1:]
    return torch.where(logits >= line, logits, torch.full_like(logits, -INF))


@also_right("apply_top_p", en="a loop over rows and tokens")
def token_by_token(logits, p):
    if not (p > 0 and p <= 1):
        raise ValueError("p")
    kept = []
    for probs in logits.reshape(-1, logits.shape[-1]).double().softmax(-1).tolist():
        total, keep = 0.0, [True] * len(probs)
        for token in sorted(range(len(probs)), key=lambda t: -probs[t]) if p < 1 else ():
            keep[token] = total < p
            total += probs[token]
        kept.append(keep)
    return logits.masked_fill(~torch.tensor(kept).reshape(logits.shape), -INF)


@also_right("sample", en="by the Gumbel trick")
def by_gumbel(logits, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature == 0:
        return logits.max(-1).indices
    scores = apply_temperature(logits.double(), temperature)
    scores = scores if top_k is None else apply_top_k(scores, top_k)
    scores = scores if top_p is None else apply_top_p(scores, top_p)
    uniform = torch.rand(scores.shape, generator=generator, dtype=torch.float64)
    return (scores - (-uniform.log()).log()).argmax(-1)


@also_right("sample", en="one uniform number a row, against the cumulative sum")
def by_inversion(logits, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature == 0:
        return logits.argmax(-1)
    scores = apply_temperature(logits.double(), temperature)
    scores = scores if top_k is None else apply_top_k(scores, top_k)
    scores = scores if top_p is None else apply_top_p(scores, top_p)
    total = scores.softmax(-1).cumsum(-1)
    uniform = torch.rand(len(scores), 1, generator=generator, dtype=torch.float64)
    return (total <= uniform * total[:, -1:]).sum(-1)


_CUT = "logits.masked_fill({}, -torch.inf)"
_SORTED = "probs, order = logits.float().softmax(dim=-1).sort({})"
_ARGMAX = "return logits.argmax({}){}"
_DRAWN = "return torch.multinomial(probs, num_samples=1, generator=generator).{}"
_BEFORE = "before = probs.cumsum(dim=-1).roll(1{})"
_THRESHOLD = "threshold = logits.topk(min(k, logits.size(-1)){}).values[..., -1:]"

EQUIVALENT = (
    *(
        equivalent_mutant(
            function,
            f"return {what}",
            f"return {cut}.detach()",
            because="the task is to choose tokens, where no gradient is taken",
        )
        for function, what, cut in (
            ("apply_temperature", "logits / temperature", "(logits / temperature)"),
            ("apply_top_k", _CUT.format("logits < threshold"), _CUT.format("logits < threshold")),
            ("apply_top_p", "logits", "logits"),
            ("apply_top_p", _CUT.format("ruled_out"), _CUT.format("ruled_out")),
        )
    ),
    equivalent_mutant(
        "apply_top_k",
        _THRESHOLD.format(", dim=-1"),
        _THRESHOLD.format(""),
        because="topk works on the last dimension by default",
    ),
    *(
        equivalent_mutant(
            "apply_top_p",
            _SORTED.format("dim=-1, descending=True, stable=True"),
            _SORTED.format(options),
            because="sort works on the last dimension; which of two equal tokens stays is open",
        )
        for options in (
            "descending=True, stable=True",
            "dim=-1, descending=True",
            "dim=-1, descending=True, stable=False",
        )
    ),
    equivalent_mutant(
        "apply_top_p",
        _BEFORE.format(", dims=-1"),
        _BEFORE.format(""),
        because="only the first place of each row comes from another row, and it is set to 0",
    ),
    *(
        equivalent_mutant(
            "sample",
            _ARGMAX.format("dim=-1", ""),
            _ARGMAX.format(*changed),
            because="logits are (B, V), and integers carry no gradient",
        )
        for changed in (("dim=-1", ".detach()"), ("dim=1", ""))
    ),
    equivalent_mutant(
        "sample",
        "logits = apply_temperature(logits.float(), temperature)",
        "logits = apply_temperature(logits, temperature)",
        because="half precision draws a little less finely, which no count of draws can tell",
    ),
    equivalent_mutant(
        "sample",
        "probs = logits.softmax(dim=-1)",
        "probs = logits.softmax(dim=1)",
        because="logits are (B, V)",
    ),
    *(
        equivalent_mutant(
            "sample",
            _DRAWN.format("squeeze(-1)"),
            _DRAWN.format(end),
            because="tokens are (B, 1) integers, which carry no gradient",
        )
        for end in ("squeeze(-1).detach()", "squeeze(1)")
    ),
)


# ---- mistakes that people make


@known_wrong(
    "apply_temperature",
    en="You multiplied by the temperature. Divide: a low temperature must sharpen.",
    zh="你乘以了温度。应当除以它：温度低才会使分布更尖。",
)
def multiplied(logits, temperature):
    if not 0 < temperature < INF:
        raise ValueError(f"temperature={temperature}")
    return logits * temperature


@known_wrong(
    "apply_temperature",
    en="A temperature of 0, below 0 or infinite goes through: raise ValueError for it.",
    zh="温度为 0、为负或无穷大时没有报错：应抛出 ValueError。",
)
def any_temperature(logits, temperature):
    return logits / torch.as_tensor(temperature, dtype=logits.dtype)


@known_wrong(
    "apply_top_k",
    en="Tokens that are cut got the logit 0, which softmax takes for exp(0) = 1. Set them to -inf.",
    zh="被切掉的 token 的 logit 设成了 0，softmax 会当作 exp(0) = 1。应设为 -inf。",
)
def zeros_for_top_k(logits, k):
    kept = apply_top_k(logits, k)
    return kept.masked_fill(kept == -torch.inf, 0.0)


@known_wrong(
    "apply_top_k",
    en="You kept exactly the k indices of topk, so of equal logits some stay and some go. Compare "
    "with the k-th largest value: logits < threshold.",
    zh="你恰好保留了 topk 给出的 k 个下标，于是相等的 logit 有的留、有的去。应与第 k 大的值比较："
    "logits < threshold。",
)
def exactly_k(logits, k):
    if k < 1:
        raise ValueError(f"k={k}")
    top = logits.topk(min(k, logits.size(-1)), dim=-1)
    return torch.full_like(logits, -torch.inf).scatter(-1, top.indices, top.values)


@known_wrong(
    "apply_top_k",
    en="topk(k) raises where k is more than the vocabulary: take min(k, V).",
    zh="k 大于词表时 topk(k) 会报错：应取 min(k, V)。",
)
def k_beyond_the_vocabulary(logits, k):
    if k < 1:
        raise ValueError(f"k={k}")
    return logits.masked_fill(logits < logits.topk(k, dim=-1).values[..., -1:], -torch.inf)


@known_wrong(
    "apply_top_k",
    en="You cut the caller's own tensor in place; make a new one (masked_fill, not masked_fill_).",
    zh="你就地改动了调用者的张量；应返回新的（用 masked_fill，而不是 masked_fill_）。",
)
def top_k_in_place(logits, k):
    if k < 1:
        raise ValueError(f"k={k}")
    threshold = logits.topk(min(k, logits.size(-1)), dim=-1).values[..., -1:]
    logits[logits < threshold] = -torch.inf
    return logits


def _nucleus(logits, ruled_out, order):
    verdict = torch.empty_like(ruled_out).scatter_(-1, order, ruled_out)
    return logits.masked_fill(verdict, -torch.inf)


def _sorted(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"p={p}")
    probs, order = logits.float().softmax(-1).sort(dim=-1, descending=True, stable=True)
    return probs, order


@known_wrong(
    "apply_top_p",
    en="The token that crosses the line is dropped, at times all are. Look at the sum BEFORE a "
    "token: it goes only if that has reached p already.",
    zh="跨过界线的那个 token 被去掉了，有时甚至一个不剩。应看某个 token 之前的累积和："
    "只有它已达到 p 才去掉。",
)
def crossing_token_dropped(logits, p):
    probs, order = _sorted(logits, p)
    return logits if p == 1 else _nucleus(logits, probs.cumsum(-1) > p, order)


@known_wrong(
    "apply_top_p",
    en="The token that crosses the line is dropped, and only the first is saved. Look at the sum "
    "BEFORE a token: it goes only if that has reached p already.",
    zh="跨过界线的 token 被去掉了，只救回了第一个。应看某个 token 之前的累积和："
    "只有它已达到 p 才去掉。",
)
def first_token_saved(logits, p):
    probs, order = _sorted(logits, p)
    ruled_out = probs.cumsum(-1) > p
    ruled_out[..., 0] = False
    return logits if p == 1 else _nucleus(logits, ruled_out, order)


@known_wrong(
    "apply_top_p",
    en="Where the sum before a token equals p exactly, that token must go: compare with >=, not >.",
    zh="某个 token 之前的累积和恰好等于 p 时，它也该去掉：用 >=，不是 >。",
)
def one_too_many(logits, p):
    probs, order = _sorted(logits, p)
    before = probs.cumsum(-1).roll(1, -1)
    before[..., 0] = 0.0
    return logits if p == 1 else _nucleus(logits, before > p, order)


@known_wrong(
    "apply_top_p",
    en="The decision stands in sorted order and was never carried back to the tokens' own places: "
    "scatter it with the sort's indices.",
    zh="去留的决定还停留在排序后的顺序里，没有放回各 token 原来的位置：用排序的下标 scatter 回去。",
)
def not_scattered(logits, p):
    probs, _ = _sorted(logits, p)
    return logits if p == 1 else logits.masked_fill(probs.cumsum(-1) - probs >= p, -torch.inf)


@known_wrong(
    "apply_top_p",
    en="You sorted upwards, so the least probable tokens fill the nucleus: descending=True.",
    zh="你按升序排序，于是最不可能的 token 占满了集合：排序时要 descending=True。",
)
def ascending(logits, p):
    if not 0 < p <= 1:
        raise ValueError(f"p={p}")
    probs, order = logits.float().softmax(-1).sort(dim=-1)
    return logits if p == 1 else _nucleus(logits, probs.cumsum(-1) - probs >= p, order)


@known_wrong(
    "apply_top_p",
    en="At p = 1 rounding makes the sum reach 1 early and cuts the rarest tokens: where p is 1, "
    "return the logits at once.",
    zh="p = 1 时，舍入会使累积和提前到 1，切掉最罕见的 token：p 为 1 时直接返回 logits。",
)
def cut_at_one(logits, p):
    probs, order = _sorted(logits, p)
    return _nucleus(logits, probs.cumsum(-1) - probs >= p, order)


@known_wrong(
    "sample",
    en="Temperature 0 must take the largest logit (argmax); you sampled at temperature 1 instead.",
    zh="温度为 0 应取最大的 logit（argmax）；你却按温度 1 采样了。",
)
def greedy_that_samples(logits, temperature=1.0, top_k=None, top_p=None, generator=None):
    return sample(logits, temperature or 1.0, top_k, top_p, generator)


@known_wrong(
    "sample",
    en="The temperature has no effect on the draw: divide the LOGITS by it, before the softmax. "
    "Probabilities that are scaled afterwards are normalised back.",
    zh="温度对抽样不起作用：应在 softmax 之前用它除 logits。之后再缩放概率，会被重新归一化抵消。",
)
def temperature_without_effect(logits, temperature=1.0, top_k=None, top_p=None, generator=None):
    apply_temperature(logits, temperature or 1.0)
    return sample(logits, 1.0 if temperature else 0.0, top_k, top_p, generator)


@known_wrong(
    "sample",
    en="You filtered before the temperature. Temperature comes first: top-p must see the "
    "distribution that is drawn from.",
    zh="你先过滤、后用温度。温度应在最前：top-p 要看的是真正用来抽样的分布。",
)
def temperature_last(logits, temperature=1.0, top_k=None, top_p=None, generator=None):
    logits = logits.float()
    if temperature > 0:
        logits = logits if top_k is None else apply_top_k(logits, top_k)
        logits = logits if top_p is None else apply_top_p(logits, top_p)
    return sample(logits, temperature, generator=generator)


@known_wrong(
    "sample",
    en="top-p came before top-k. First top-k; top-p then judges what is left of it.",
    zh="top-p 用在了 top-k 之前。应先 top-k，再让 top-p 判断剩下的部分。",
)
def top_p_first(logits, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature == 0:
        return logits.argmax(-1)
    logits = apply_temperature(logits.float(), temperature)
    logits = logits if top_p is None else apply_top_p(logits, top_p)
    return sample(logits, 1.0, top_k, None, generator)


@known_wrong(
    "sample",
    en="The generator is ignored: hand it to torch.multinomial, or a run cannot be repeated.",
    zh="没有用到 generator：要把它传给 torch.multinomial，否则结果无法重现。",
)
def no_generator(logits, temperature=1.0, top_k=None, top_p=None, generator=None):
    return sample(logits, temperature, top_k, top_p)


@known_wrong(
    "sample",
    en="multinomial answers (B, 1); squeeze the last axis so that (B,) comes back.",
    zh="multinomial 返回 (B, 1)；去掉最后一维，返回 (B,)。",
)
def column(logits, temperature=1.0, top_k=None, top_p=None, generator=None):
    tokens = sample(logits, temperature, top_k, top_p, generator)
    return tokens if temperature == 0 else tokens[:, None]


@known_wrong(
    "sample",
    en="`if top_k:` takes 0 for 'no filter'. Ask `is not None`, so that a senseless 0 is refused.",
    zh="`if top_k:` 把 0 当成“不过滤”。应判断 `is not None`，这样无意义的 0 才会被拒绝。",
)
def zero_is_none(logits, temperature=1.0, top_k=None, top_p=None, generator=None):
    return sample(logits, temperature, top_k or None, top_p or None, generator)


@known_wrong(
    "sample",
    en="You drew from the logits themselves; turn them into probabilities with softmax first.",
    zh="你直接用 logits 抽样；应先用 softmax 变成概率。",
)
def no_softmax(logits, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature == 0:
        return logits.argmax(-1)
    logits = apply_temperature(logits.float(), temperature)
    logits = logits if top_k is None else apply_top_k(logits, top_k)
    logits = logits if top_p is None else apply_top_p(logits, top_p)
    return torch.multinomial(logits, 1, generator=generator).squeeze(-1)
