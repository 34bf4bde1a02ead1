"""Hidden suite of ch5/speculative.

In `chances` a token's chances hang on the token before it alone, by a table, so what should come
can be worked out by hand; `thinking` has random weights, so that every token before counts.
"""

import dataclasses
import math

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.llama.cache import new_cache
from happyllm.llama.config import ModelConfig
from happyllm.llama.generate import generate
from happyllm.llama.model import Transformer
from happyllm.llama.sampling import distribution
from happyllm.llama.speculative import residual, speculative_generate, verify

V = 16


def small(**changes):
    sizes = {"dim": V, "n_heads": 2, "n_kv_heads": 1, "vocab_size": V, "hidden_dim": 8}
    more = {"n_layers": 1, "max_seq_len": 16, "tie_word_embeddings": False, "norm_eps": 1e-12}
    return Transformer(ModelConfig(**(sizes | more | changes))).eval()


def chances(table, **changes):
    """A model that gives `table[a][b]` to token b after a, and all else as good as nothing."""
    model = small(**changes)
    for layer in model.layers:
        layer.attention.wo.weight.data.zero_()
        layer.feed_forward.w2.weight.data.zero_()
    model.tok_embeddings.weight.data.copy_(torch.eye(V))
    logits = torch.full((V, V), -60.0)
    for before, row in table.items():
        for after, chance in row.items():
            logits[before, after] = math.log(chance)
    model.output.weight.data.copy_(logits.T / 4)  # the norm makes 4 of a one in sixteen
    return model


def counting(step=1, **changes):
    """A model that is sure: step more than the token before."""
    return chances({t: {(t + step) % V: 1.0} for t in range(V)}, **changes)


def thinking(**changes):
    model = small(n_layers=2, **changes)
    for weight in model.parameters():
        weight.data += 0.4 * torch.randn_like(weight)
    return model


def in_the_room(student, model):
    """The same model, with the same weights, where the learner's code can use it."""
    args = student.lib("ch5.config").ModelConfig(**dataclasses.asdict(model.args))
    twin = student.lib("ch5.model").Transformer(args)
    twin.load_state_dict(dict(model.state_dict()))
    return twin


def probs_of(*rows):
    return torch.tensor(rows, dtype=torch.float32)


def verified(m, target, draft, n):
    """verify(target, draft, …) of tokens drawn from draft, often: how often each text, in percent

    对从 draft 抽出的 token 反复调用 verify(target, draft, …)：各文本出现的百分比
    """
    k, size = draft.shape
    drafted = torch.multinomial(draft, n, replacement=True).T  # (n, k)
    rest = torch.multinomial(target, n, replacement=True).T  # what the target would go on with
    counts = torch.zeros(size ** (k + 1))
    for tokens, after in zip(drafted, rest, strict=True):
        text = m.verify(target, draft, tokens)
        text = torch.cat([text, after[len(text) :]]).tolist()
        counts[sum(token * size**i for i, token in enumerate(reversed(text)))] += 1
    return [round(100 * count / n) for count in counts.tolist()]


def in_percent(target):
    expected = target[0]
    for row in target[1:]:
        expected = torch.outer(expected, row).flatten()
    return (100 * expected).tolist()


def check_percent(got, target, off):
    expected = in_percent(target)
    size = target.size(1)
    worst = max(range(len(expected)), key=lambda i: abs(got[i] - expected[i]))
    check.that(
        abs(got[worst] - expected[worst]) <= off,
        en=f"The target gives text {worst} (in base {size}) {expected[worst]:.0f} % of the time; "
        f"it came {got[worst]} %.",
        zh=f"目标模型给出文本 {worst}（{size} 进制）的概率是 {expected[worst]:.0f}%，"
        f"实际出现了 {got[worst]}%。",
        got=got,
    )


def test_the_residual_is_what_the_draft_has_missed(student):
    """max(0, p - q), divided by its sum: where the draft gave too much, nothing is left to add.

    max(0, p - q) 再除以总和：草稿给多了的地方，什么都不用补。
    """
    p, q = probs_of([0.5, 0.3, 0.2]), probs_of([0.7, 0.1, 0.2])
    check.close(student.residual(p, q), probs_of([0.0, 1.0, 0.0]))
    p, q = probs_of([0.1, 0.2, 0.3, 0.4]), probs_of([0.4, 0.4, 0.1, 0.1])
    check.close(student.residual(p, q), probs_of([0.0, 0.0, 0.4, 0.6]), terms=100)


def test_acceptance_and_residual_give_the_target(student):
    """q min(1, p / q), and the residual for what was refused, add up to p for every token.

    q·min(1, p/q) 加上被拒部分乘以补差分布，对每个 token 都恰好等于 p。
    """
    p, q = (2 * torch.randn(2, 5, 9)).softmax(-1)
    got = student.residual(p, q)
    check.shape(got, (5, 9))
    accepted = torch.minimum(p, q)
    check.close(accepted + (1 - accepted.sum(-1, keepdim=True)) * got, p, terms=300, scale=1.0)


def test_where_both_agree_the_target_itself_is_left(student):
    """p = q leaves nothing missing, and 0 / 0 is NaN: the residual is then p.

    p = q 时什么都不缺，0 / 0 会得到 NaN：这时补差分布就是 p。
    """
    p = probs_of([0.5, 0.25, 0.25], [0.5, 0.5, 0.0])
    q = probs_of([0.5, 0.25, 0.25], [0.75, 0.25, 0.0])
    check.close(student.residual(p, q), probs_of([0.5, 0.25, 0.25], [0.0, 1.0, 0.0]))


def test_a_draft_that_is_surely_right_stands_and_one_more_follows(student):
    """k tokens that the target is sure of all stand, and the target adds one of its own.

    目标模型确信的 k 个 token 全部通过，目标再添一个自己的。
    """
    target = torch.eye(4)[[2, 0, 3]]
    draft = probs_of([0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1])
    check.equal(student.verify(target, draft, torch.tensor([2, 0])), torch.tensor([2, 0, 3]))
    check.equal(
        student.verify(target[2:], draft[:0], torch.zeros(0, dtype=torch.int64)), torch.tensor([3])
    )


def test_after_a_refusal_nothing_of_the_draft_stands(student):
    """The first refused token is replaced, and what was drafted after it falls, right or not.

    第一个被拒的 token 被替换，它后面的草稿一律作废，无论对错。
    """
    target = torch.eye(4)[[2, 1, 3, 0]]
    draft = torch.full((3, 4), 0.25)
    check.equal(student.verify(target, draft, torch.tensor([2, 0, 3])), torch.tensor([2, 1]))
    check.equal(student.verify(target, draft, torch.tensor([3, 1, 3])), torch.tensor([2]))


def test_what_stands_has_the_distribution_of_the_target(student):
    """Whatever the draft proposes, the text comes as often as if the target had drawn it alone.

    无论草稿提出什么，各文本出现的频率都与目标模型独自抽样时相同。
    """
    target = probs_of([0.6, 0.3, 0.1], [0.05, 0.05, 0.9], [0.5, 0.5, 0.0])
    draft = probs_of([0.1, 0.3, 0.6], [0.5, 0.4, 0.1])
    check_percent(student.run(verified, target, draft, 1500), target, off=6)


def test_the_generator_alone_decides_what_stands(student):
    """A generator of the same seed decides the same, whatever the global seed.

    种子相同的生成器做出相同的决定，与全局种子无关。
    """

    def decisions(m, target, draft):
        """verify(…, generator=…) twenty times, from the same seed twice: is it the same

        用同一种子两次各调用二十次 verify(…, generator=…)：结果是否相同
        """
        runs = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            generator = torch.Generator().manual_seed(7)
            drafted = torch.tensor([0, 1, 2])
            runs.append([m.verify(target, draft, drafted, generator).tolist() for _ in range(20)])
        return {"the same": runs[0] == runs[1], "each its own": len(set(map(tuple, runs[0]))) > 2}

    target = torch.tensor([[0.4, 0.3, 0.3]]).expand(4, 3).contiguous()
    draft = torch.tensor([[0.6, 0.2, 0.2]]).expand(3, 3).contiguous()
    check.equal(student.run(decisions, target, draft), {"the same": True, "each its own": True})


def clear_prompts(model, B, T, n):
    """Prompts whose greedy continuation is never a close call, and that continuation."""
    while True:
        prompts = torch.randint(V, (B, T))
        text = generate(model, prompts, n, use_cache=False)
        best = model(text)[0][:, T - 1 : -1].topk(2).values
        if (best[..., 0] - best[..., 1]).min() > 1e-3:
            return prompts, text


@pytest.mark.parametrize("n_draft", [1, 3, 20])
def test_greedy_text_is_that_of_the_target(student, n_draft):
    """At temperature 0 the text is what generate writes with the target, whatever the draft says.

    温度为 0 时，无论草稿如何，文本都与目标模型用 generate 写出的相同。
    """
    target, draft = thinking(), thinking()
    prompts, text = clear_prompts(target, B=2, T=3, n=9)
    for helper in (draft, target):
        got = student.speculative_generate(
            in_the_room(student, target), in_the_room(student, helper), prompts, 9, n_draft=n_draft
        )
        check.equal(got, text)


@pytest.mark.parametrize("n_new", [0, 1, 5])
def test_no_more_than_max_new_tokens_are_written(student, n_new):
    """The last draft is cut to what is left, so that the text never becomes longer than asked for.

    最后一次起草只写剩余的数量，文本不会比要求的长。
    """
    model = counting(max_seq_len=8)
    prompts = torch.tensor([[1, 2, 3]])
    models = (in_the_room(student, model), in_the_room(student, model))
    got = student.speculative_generate(*models, prompts, n_new, n_draft=4)
    check.equal(got, torch.arange(1, 4 + n_new)[None])


def passes(m, target, draft, prompts, n_new, options):
    """speculative_generate(target, draft, …): of each call of the target, tokens seen and mode

    speculative_generate(target, draft, …)：每次调用目标模型时看到的 token 数和模式
    """
    calls = []
    forward = target.forward

    def spy(tokens, *args, **kwargs):
        answer = forward(tokens, *args, **kwargs)
        training = target.training or draft.training
        calls.append((tokens.shape[1], training, answer[0].requires_grad))
        return answer

    target.forward = spy
    m.speculative_generate(target, draft, prompts, n_new, **options)
    del target.forward
    return calls


def test_the_target_is_asked_less_often(student):
    """A good draft of 3 makes 4 tokens a pass: 8 tokens in 2 passes, and no token is shown twice.

    好的 3 个草稿让每遍产出 4 个 token：8 个 token 只需 2 遍，且没有 token 被输入两次。
    """
    models = (in_the_room(student, counting()), in_the_room(student, counting()))
    calls = student.run(passes, *models, torch.tensor([[1, 2]]), 8, {"n_draft": 3})
    check.equal([call[0] for call in calls], [5, 4])


def test_a_bad_draft_costs_passes_and_no_text(student):
    """A draft that is always wrong leaves one token a pass, and the same text.

    总是出错的草稿让每遍只产出一个 token，但文本不变。
    """
    models = (in_the_room(student, counting()), in_the_room(student, counting(step=2)))
    prompts = torch.tensor([[1, 2]])
    got = student.speculative_generate(*models, prompts, 5, n_draft=3)
    check.equal(got, torch.arange(1, 8)[None])
    calls = student.run(passes, *models, prompts, 5, {"n_draft": 3})
    check.equal([call[0] for call in calls], [5, 4, 3, 2, 1])


def test_rows_stop_each_at_its_own_stop_token(student):
    """A row ends with the first stop token that it writes; shorter rows are filled with pad_id.

    一行写到第一个停止符就结束；较短的行用 pad_id 填充。
    """
    models = (in_the_room(student, counting()), in_the_room(student, counting()))
    prompts = torch.tensor([[3], [9], [5]])
    got = student.speculative_generate(
        *models, prompts, 6, n_draft=3, stop_tokens=[5, 13], pad_id=1
    )
    check.equal(
        got,
        torch.tensor([[3, 4, 5, 1, 1, 1, 1], [9, 10, 11, 12, 13, 1, 1], [5, 6, 7, 8, 9, 10, 11]]),
    )


def test_a_padded_prompt_goes_on_as_it_would_alone(student):
    """Padding on the left changes nothing of what a row writes.

    左侧的填充不改变一行写出的内容。
    """
    target, draft = thinking(), thinking()
    short, short_text = clear_prompts(target, B=1, T=2, n=6)
    long, long_text = clear_prompts(target, B=1, T=5, n=6)
    padding = torch.randint(V, (1, 3))
    prompts = torch.cat([torch.cat([padding, short], 1), long])
    mask = torch.tensor([[0, 0, 0, 1, 1], [1, 1, 1, 1, 1]])
    models = (in_the_room(student, target), in_the_room(student, draft))
    got = student.speculative_generate(*models, prompts, 6, attention_mask=mask)
    check.equal(got, torch.cat([torch.cat([padding, short_text], 1), long_text]))


TARGET = {1: {2: 0.5, 3: 0.3, 4: 0.2}, 2: {2: 0.2, 3: 0.8}, 3: {2: 0.6, 4: 0.4}, 4: {4: 1.0}}
DRAFT = {1: {2: 0.2, 3: 0.2, 4: 0.6}, 2: {2: 0.7, 3: 0.3}, 3: {2: 0.1, 4: 0.9}, 4: {3: 1.0}}


def two_tokens(m, target, draft, n, options):
    """speculative_generate from 1, two tokens, often: how often each text, in tenths

    从 1 开始多次写两个 token：各文本出现的频率（以十分之一计）
    """
    prompts = torch.ones(n, 1, dtype=torch.int64)
    texts = m.speculative_generate(target, draft, prompts, 2, **options)[:, 1:].tolist()
    counts = {}
    for a, b in texts:
        counts[f"{a} {b}"] = counts.get(f"{a} {b}", 0) + 1
    return {text: round(10 * count / n) for text, count in sorted(counts.items())}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"temperature": 1.0}, {"2 3": 4, "2 2": 1, "3 2": 2, "3 4": 1, "4 4": 2}),
        ({"temperature": 1.0, "top_k": 1}, {"2 3": 10}),
        ({"temperature": 1.0, "top_p": 0.45}, {"2 3": 10}),
        ({"temperature": 1.0, "min_p": 0.65}, {"2 3": 10}),
    ],
    ids=["all", "top_k", "top_p", "min_p"],
)
def test_sampled_text_is_distributed_as_the_target_would_write_it(student, options, expected):
    """The draft's own chances leave no trace in the text; filters hold as they do for the target.

    草稿自己的概率在文本里不留痕迹；各过滤器的作用与目标模型独自写作时相同。
    """
    models = (in_the_room(student, chances(TARGET)), in_the_room(student, chances(DRAFT)))
    n = 150 if len(options) == 1 else 10
    got = student.run(two_tokens, *models, n, {"n_draft": 2, **options})
    off = max(abs(got.get(t, 0) - expected.get(t, 0)) for t in {*got, *expected})
    check.that(
        off <= (1 if len(options) == 1 else 0) and set(got) <= set(expected),
        en=f"In tenths of all texts, the target would write {expected}; here it was {got}.",
        zh=f"以十分之一计，目标模型会写出 {expected}；这里却是 {got}。",
        got=got,
    )


def test_a_temperature_sharpens_or_flattens(student):
    """Divided by a temperature, the chances of the target are those that are drawn.

    抽样所用的，是目标的 logits 除以温度之后的概率。
    """
    sharp = {t: {t + 1: 0.9, t + 2: 0.1} for t in range(1, 8)}
    models = (in_the_room(student, chances(sharp)), in_the_room(student, chances(sharp)))
    cold = student.run(two_tokens, *models, 20, {"n_draft": 1, "temperature": 0.2})
    check.equal(cold, {"2 3": 10})


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluating"])
def test_both_models_write_in_evaluation_mode_and_are_restored(student, training):
    """Dropout is off in both and no graph is built; afterwards both are in the mode they were in.

    两个模型都关闭 dropout，不建计算图；之后各自回到原来的模式。
    """
    target = in_the_room(student, thinking(dropout=0.5))
    draft = in_the_room(student, thinking(dropout=0.5))
    target.train(training)
    draft.train(not training)
    calls = student.run(passes, target, draft, torch.randint(V, (1, 3)), 4, {})
    check.equal([call[1:] for call in calls], [(False, False)] * len(calls))
    check.equal((target.training, draft.training), (training, not training))


def test_bfloat16_models_write_with_their_caches(student):
    """Each cache has the dtype of its model's weights.

    每个缓存的 dtype 与各自模型的权重相同。
    """
    target, draft = in_the_room(student, counting()), in_the_room(student, counting(step=2))
    target.to(torch.bfloat16)
    got = student.speculative_generate(target, draft, torch.tensor([[3, 4]]), 3)
    check.equal(got, torch.tensor([[3, 4, 5, 6, 7]]))


@pytest.mark.parametrize(
    "wrong",
    [
        "too long for the draft",
        "an empty prompt",
        "padding on the right",
        "other words",
        "no draft",
    ],
)
def test_what_cannot_be_written_is_refused(student, wrong):
    """What generate refuses for either model, two vocabularies, n_draft below 1: ValueError.

    对任一模型 generate 会拒绝的情形、词表不同、n_draft 小于 1，都要抛出 ValueError。
    """
    target, draft = counting(), counting(max_seq_len=8)
    prompts, n_new, mask, n_draft = torch.tensor([[1, 2, 3], [4, 5, 6]]), 2, None, 2
    if wrong == "too long for the draft":
        n_new = 6
    elif wrong == "an empty prompt":
        prompts = prompts[:, :0]
    elif wrong == "padding on the right":
        mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    elif wrong == "other words":
        draft = small(vocab_size=V + 1)
    else:
        n_draft = 0
    models = (in_the_room(student, target), in_the_room(student, draft))
    options = {"attention_mask": mask, "n_draft": n_draft}
    check.raises(
        ValueError, lambda: student.speculative_generate(*models, prompts, n_new, **options)
    )


# ---- other right ways


@also_right("residual", en="as p - min(p, q), in float64")
def without_what_both_have(target, draft):
    p, q = target.double(), draft.double()
    left = p - torch.minimum(p, q)
    empty = left.sum(-1, keepdim=True) == 0
    left = torch.where(empty, p, left)
    return (left / left.sum(-1, keepdim=True)).to(target.dtype)


@also_right("verify", en="token by token, with a random number only where one is needed")
def token_by_token(target, draft, drafted, generator=None):
    kept = []
    for i, x in enumerate(drafted.tolist()):
        p, q = target[i, x], draft[i, x]
        if p >= q or torch.rand((), generator=generator) < p / q:
            kept.append(x)
            continue
        kept.append(int(torch.multinomial(residual(target[i], draft[i]), 1, generator=generator)))
        return torch.tensor(kept)
    kept.append(int(torch.multinomial(target[-1], 1, generator=generator)))
    return torch.tensor(kept)


# ---- mistakes that people make


@known_wrong(
    "residual",
    en="A refused token is drawn from the target itself. Then what the draft proposes often comes "
    "too often: draw from max(0, p - q), normalised.",
    zh="被拒后直接从目标分布重抽，草稿偏爱的 token 就会出现得太多："
    "应从归一化的 max(0, p - q) 中抽。",
)
def the_target_itself(target, draft):
    return target


@known_wrong(
    "residual",
    en="You took |p - q|. Where the draft gave too much nothing is missing: clamp at 0.",
    zh="你取了 |p - q|。草稿给多了的地方并不缺什么：应当截到 0。",
)
def both_ways(target, draft):
    apart = (target - draft).abs()
    total = apart.sum(-1, keepdim=True)
    return torch.where(total > 0, apart / total, target)


@known_wrong(
    "residual",
    en="It is the wrong way round: what is missing is p - q, target minus draft.",
    zh="方向反了：缺的是 p - q，目标减草稿。",
)
def draft_minus_target(target, draft):
    return residual(draft, target)


@known_wrong(
    "residual",
    en="The differences do not add up to 1: divide by their sum.",
    zh="这些差加起来不是 1：要除以总和。",
)
def not_normalised(target, draft):
    missing = (target - draft).clamp(min=0)
    return torch.where(missing.sum(-1, keepdim=True) > 0, missing, target)


@known_wrong(
    "residual",
    en="Where p and q are equal you divide 0 by 0: give p there.",
    zh="p 与 q 相等时你用 0 除以 0：这时应返回 p。",
)
def nan_where_equal(target, draft):
    missing = (target - draft).clamp(min=0)
    return missing / missing.sum(-1, keepdim=True)


def decided(target, draft, drafted, generator, *, stands=None, first=True, last=residual):
    """The rule, with one part of it changed."""
    k = len(drafted)
    p, q = target[range(k), drafted], draft[range(k), drafted]
    u = torch.rand(k, generator=generator)
    ok = u * q < p if stands is None else stands(u, p, q)
    n = int(ok.long().cumprod(0).sum()) if first else int(ok.sum())
    kept = drafted[:n] if first else drafted[ok]
    probs = target[k] if n == k else last(target[n], draft[n])
    return torch.cat([kept, torch.multinomial(probs, 1, generator=generator)])


@known_wrong(
    "verify",
    en="A token stands only where p(x) >= q(x). Where p is less it stands by chance, with "
    "probability p(x) / q(x).",
    zh="只有 p(x) >= q(x) 的 token 才通过。p 较小时应按概率 p(x) / q(x) 随机通过。",
)
def only_the_better(target, draft, drafted, generator=None):
    return decided(target, draft, drafted, generator, stands=lambda u, p, q: p >= q)


@known_wrong(
    "verify",
    en="A token stands with probability p(x). It was drafted with probability q(x) already, so the "
    "chance to stand is p(x) / q(x).",
    zh="token 以概率 p(x) 通过。但它被起草时已经有概率 q(x)，所以通过的概率应是 p(x) / q(x)。",
)
def accepted_by_the_target_alone(target, draft, drafted, generator=None):
    return decided(target, draft, drafted, generator, stands=lambda u, p, q: u < p)


@known_wrong(
    "verify",
    en="The ratio is upside down: a token stands with probability p(x) / q(x), target over draft.",
    zh="比值倒过来了：通过的概率是 p(x) / q(x)，目标除以草稿。",
)
def upside_down(target, draft, drafted, generator=None):
    return decided(target, draft, drafted, generator, stands=lambda u, p, q: u * p < q)


@known_wrong(
    "verify",
    en="Tokens after a refused one still stand. They were drafted for a text that is not written: "
    "stop at the first refusal.",
    zh="被拒的 token 之后，后面的草稿还留着。它们是为另一段没写出来的文本起草的："
    "遇到第一个被拒就停。",
)
def after_a_refusal(target, draft, drafted, generator=None):
    return decided(target, draft, drafted, generator, first=False)


@known_wrong(
    "verify",
    en="Where all drafted tokens stand, the target's own next token is thrown away: it was "
    "computed in the same pass, so add it.",
    zh="草稿全部通过时，目标模型自己的下一个 token 被丢了：它在同一遍里已经算好，应当加上。",
)
def no_bonus(target, draft, drafted, generator=None):
    text = verify(target, draft, drafted, generator)
    return text[:-1] if len(text) > len(drafted) > 0 else text


@known_wrong(
    "verify",
    en="What replaces a refused token is drawn from the target. Draw it from "
    "residual(target[n], draft[n]).",
    zh="被拒的 token 用目标分布重抽来替换。应从 residual(target[n], draft[n]) 中抽。",
)
def replaced_from_the_target(target, draft, drafted, generator=None):
    return decided(target, draft, drafted, generator, last=lambda p, q: p)


@known_wrong(
    "verify",
    en="The generator is ignored: hand it to torch.rand and torch.multinomial.",
    zh="没有用到 generator：要传给 torch.rand 和 torch.multinomial。",
)
def no_generator(target, draft, drafted, generator=None):
    return verify(target, draft, drafted)


def written(target, draft, tokens, max_new_tokens, wrong, **options):
    """The rounds of one row after another, with the mistake that `wrong` names."""
    n_draft = options.get("n_draft", 4)
    names = ("temperature", "top_k", "top_p", "min_p")
    filters = {name: options[name] for name in names if name in options}
    filters.setdefault("temperature", 0.0)
    stops = set() if wrong == "stops" else set(options.get("stop_tokens", ()))
    mask = None if wrong == "padding" else options.get("attention_mask")
    generator = options.get("generator")
    modes = target.training, draft.training
    target.eval(), draft.eval()
    rows = []
    for b in range(len(tokens)):
        text = tokens[b] if mask is None else tokens[b][mask[b].bool()]
        start, room = len(text), len(text) + max_new_tokens
        caches = [
            new_cache(m.args, 1, m.args.max_seq_len, m.tok_embeddings.weight.dtype)
            for m in (target, draft)
        ]
        ended, seen = False, [0, 0]  # how much of the text each model has been shown
        while len(text) < room and not ended:
            size = len(text)
            k = min(n_draft, room - size - 1)
            if wrong == "too long":
                k = min(n_draft, target.args.max_seq_len - size - 1)
            if wrong == "one":
                k = 0
            guess, probs = text, []
            for _ in range(k):
                logits, _ = draft(guess[None, seen[1] :], None, None, caches[1])
                seen[1] = len(guess)
                probs.append(distribution(logits[0, -1], **filters))
                guess = torch.cat([guess, torch.multinomial(probs[-1], 1, generator=generator)])
            logits, _ = target(guess[None, seen[0] :], None, None, caches[0])
            p = distribution(logits[0, -k - 1 :], **filters)
            q = torch.stack(probs) if probs else p[:0]
            for token in verify(p, q, guess[size:], generator).tolist():
                text = torch.cat([text, torch.tensor([token])])
                if token in stops:
                    ended = True
                    break
            seen = [min(len(guess), len(text) - 1), min(seen[1], len(text) - 1)]
            for cache, length in zip(caches, seen, strict=True):
                for layer in cache:
                    layer.length = layer.length if wrong == "never forgets" else length
        rows.append(text[start:])
    target.train(modes[0]), draft.train(modes[1])
    fill = options.get("pad_id", 0)
    new = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)
    return torch.cat([tokens, new], dim=1)


def _wrongly(name, target, draft, tokens, max_new_tokens, options):
    """Refuse what is to be refused, then write with a mistake."""
    if tokens.size(1) == 0 or options.get("n_draft", 4) < 1 or max_new_tokens < 0:
        raise ValueError("nothing to write")
    if target.args.vocab_size != draft.args.vocab_size:
        raise ValueError("vocab_size")
    if tokens.size(1) + max_new_tokens > min(target.args.max_seq_len, draft.args.max_seq_len):
        raise ValueError("max_seq_len")
    mask = options.get("attention_mask")
    if mask is not None and not mask[:, -1].all():
        raise ValueError("attention_mask")
    with torch.no_grad():
        return written(target, draft, tokens, max_new_tokens, name, **options)


@also_right(
    "speculative_generate", en="with the whole vocabulary's logits, and caches of full size"
)
def with_large_caches(target, draft, tokens, max_new_tokens, **options):
    return _wrongly("", target, draft, tokens, max_new_tokens, options)


@known_wrong(
    "speculative_generate",
    en="Stop tokens end nothing, or not where they stand within a draft: end the row with the "
    "first one, and drop what follows it.",
    zh="停止符没有起作用，或在一段草稿中间时被忽略：遇到第一个就结束这一行，丢掉它后面的。",
)
def stops_ignored(target, draft, tokens, max_new_tokens, **options):
    return _wrongly("stops", target, draft, tokens, max_new_tokens, options)


@known_wrong(
    "speculative_generate",
    en="The last draft writes beyond max_new_tokens: draft no more than what is left, less one.",
    zh="最后一次起草写过了 max_new_tokens：起草数不超过剩余个数减一。",
)
def too_long(target, draft, tokens, max_new_tokens, **options):
    return _wrongly("too long", target, draft, tokens, max_new_tokens, options)


@known_wrong(
    "speculative_generate",
    en="Nothing is drafted: the target is asked for every token. Draft n_draft tokens and let it "
    "score them in one pass.",
    zh="根本没有起草：每个 token 都去问目标模型。应起草 n_draft 个，让它一遍打分。",
)
def one_at_a_time(target, draft, tokens, max_new_tokens, **options):
    return _wrongly("one", target, draft, tokens, max_new_tokens, options)


@known_wrong(
    "speculative_generate",
    en="Padding is read as if it were text: take from each row the tokens where attention_mask "
    "is 1.",
    zh="填充被当成文本读了：每行只取 attention_mask 为 1 的 token。",
)
def padding_is_read(target, draft, tokens, max_new_tokens, **options):
    mask = options.get("attention_mask")
    if mask is not None and not mask[:, -1].all():
        raise ValueError("attention_mask")
    return _wrongly("padding", target, draft, tokens, max_new_tokens, options)


@known_wrong(
    "speculative_generate",
    en="The caches keep what did not stand, and later tokens attend to it. Set layer.length back "
    "to len(text) - 1.",
    zh="缓存里还留着没通过的草稿，后面的 token 会看到它们。应把 layer.length 退回 len(text) - 1。",
)
def never_forgets(target, draft, tokens, max_new_tokens, **options):
    return _wrongly("never forgets", target, draft, tokens, max_new_tokens, options)


@known_wrong(
    "speculative_generate",
    en="It draws although the temperature is 0: that is greedy, and must give the target's first "
    "choices.",
    zh="温度为 0 却在抽样：那是贪心，必须给出目标模型的首选。",
)
def greedy_that_samples(target, draft, tokens, max_new_tokens, **options):
    temperature = options.pop("temperature", 0.0) or 1.0
    return speculative_generate(
        target, draft, tokens, max_new_tokens, temperature=temperature, **options
    )


@known_wrong(
    "speculative_generate",
    en="The draft's text is kept as it is; it has to pass verify, token by token.",
    zh="草稿被原样采用了；它必须逐个 token 通过 verify。",
)
def the_draft_alone(target, draft, tokens, max_new_tokens, **options):
    return speculative_generate(draft, draft, tokens, max_new_tokens, **options)


_DRAWN = "return torch.cat([drafted[:n], torch.multinomial(probs, 1, generator=generator)])"
SAME = {  # why: the object, its line, and the line of a mutant that does the same
    "the task is to choose tokens, where no gradient is taken": (
        (
            "residual",
            "return torch.where(total > 0, missing / total, target)",
            "return torch.where(total > 0, missing / total, target).detach()",
        ),
        (
            "verify",
            _DRAWN,
            f"{_DRAWN}.detach()",
        ),
    ),
    "there is one dimension": (
        ("verify", "k = drafted.size(0)", "k = drafted.size(-1)"),
        (
            "verify",
            "n = int(stands.long().cumprod(dim=0).sum())",
            "n = int(stands.long().cumprod(dim=-1).sum())",
        ),
        (
            "speculative_generate",
            "while text.size(0) < room and not ended:",
            "while text.size(-1) < room and not ended:",
        ),
        ("speculative_generate", "L = text.size(0)", "L = text.size(-1)"),
        (
            "speculative_generate",
            "layer.length = min(layer.length, text.size(0) - 1)",
            "layer.length = min(layer.length, text.size(-1) - 1)",
        ),
    ),
    "gather reads as many rows as tokens were drafted": (
        (
            "verify",
            "p, q = (rows[:k].gather(1, drafted[:, None]).squeeze(1) for rows in (target, draft))",
            "p, q = (rows[:].gather(1, drafted[:, None]).squeeze(1) for rows in (target, draft))",
        ),
    ),
    "a draw falls on the border itself with probability 0": (
        (
            "verify",
            "stands = torch.rand(k, generator=generator, device=drafted.device) * q < p",
            "stands = torch.rand(k, generator=generator, device=drafted.device) * q <= p",
        ),
    ),
    "a tensor of one whole number indexes as the number does": (
        (
            "verify",
            "n = int(stands.long().cumprod(dim=0).sum())",
            "n = stands.long().cumprod(dim=0).sum()",
        ),
    ),
    "the product of booleans is counted in int64 anyway": (
        (
            "verify",
            "n = int(stands.long().cumprod(dim=0).sum())",
            "n = int(stands.cumprod(dim=0).sum())",
        ),
    ),
    "the order in which both are set to evaluation changes nothing": (
        (
            "speculative_generate",
            "with evaluating(target, draft):",
            "with evaluating(draft, target):",
        ),
    ),
    "all layers hold the same number of tokens": (
        (
            "speculative_generate",
            "unseen = guess[None, caches[1][0].length :]",
            "unseen = guess[None, caches[1][-1].length :]",
        ),
        (
            "speculative_generate",
            "unseen = guess[None, caches[0][0].length :]",
            "unseen = guess[None, caches[0][-1].length :]",
        ),
    ),
    "only the last place is read, however many are projected": (
        (
            "speculative_generate",
            "logits, _ = draft(unseen, None, None, caches[1], logits_to_keep=1)",
            "logits, _ = draft(unseen, None, None, caches[1])",
        ),
        (
            "speculative_generate",
            "logits, _ = draft(unseen, None, None, caches[1], logits_to_keep=1)",
            "logits, _ = draft(unseen, None, None, caches[1], logits_to_keep=2)",
        ),
    ),
    "a row is written by itself: the batch has one": (
        (
            "speculative_generate",
            "probs.append(distribution(logits[0, -1], *filters))",
            "probs.append(distribution(logits[-1, -1], *filters))",
        ),
    ),
    "one place is projected": (
        (
            "speculative_generate",
            "probs.append(distribution(logits[0, -1], *filters))",
            "probs.append(distribution(logits[0, 0], *filters))",
        ),
    ),
    "where nothing was drafted no row of q is read": (
        (
            "speculative_generate",
            "q = torch.stack(probs) if probs else p[:0]",
            "q = torch.stack(probs) if probs else p[:-1]",
        ),
    ),
}
EQUIVALENT = tuple(
    equivalent_mutant(name, line, mutant, because=because)
    for because, mutants in SAME.items()
    for name, line, mutant in mutants
)
