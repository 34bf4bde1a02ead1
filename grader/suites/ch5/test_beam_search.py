"""Hidden suite of ch5/beam_search.

Two models search here. In `chances` a token's chances hang on the token before it alone, by a table
that can be worked out by hand; `thinking` has random weights, so that every token before counts.
"""

import dataclasses
import math

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.llama.beam import beam_search
from happyllm.llama.config import ModelConfig
from happyllm.llama.model import Transformer

V = 16


def small(**changes):
    sizes = {"dim": V, "n_heads": 2, "n_kv_heads": 1, "vocab_size": V, "hidden_dim": 8}
    more = {"n_layers": 1, "max_seq_len": 12, "tie_word_embeddings": False, "norm_eps": 1e-12}
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


def search(student, model, prompts, n_new, n_beams, **options):
    """What the learner's search finds, as (texts, scores)."""
    got = student.beam_search(in_the_room(student, model), prompts, n_new, n_beams, **options)
    check.that(
        isinstance(got, list | tuple) and len(got) == 2,
        en="beam_search returns two things: (texts, scores).",
        zh="beam_search 返回两样东西：(texts, scores)。",
        got=got,
    )
    return got


def compare(student, model, prompts, n_new, n_beams, **options):
    texts, scores = search(student, model, prompts, n_new, n_beams, **options)
    expected, expected_scores = beam_search(model, prompts, n_new, n_beams, **options)
    check.equal(texts, expected)
    check.close(scores, expected_scores, terms=200, scale=20.0)


# 1 -> 2 is likelier than 1 -> 3, but after 2 nothing is likely, and after 3 one thing is sure.
TRAP = {1: {2: 0.6, 3: 0.4}, 2: {4: 0.4, 5: 0.35, 6: 0.25}, 3: {7: 0.9, 8: 0.1}}
# From 1 one may stop (9) at once, or go on 2 -> 2 -> 2, ever less sure.
STOP = {1: {9: 0.3, 2: 0.7}, 2: {2: 0.6, 9: 0.4}}


def test_it_finds_what_greedy_misses(student):
    """0.6 x 0.4 is less than 0.4 x 0.9: the likeliest text begins with the less likely word.

    0.6 x 0.4 小于 0.4 x 0.9：概率最大的文本，开头并不是概率最大的词。
    """
    texts, scores = search(student, chances(TRAP), torch.tensor([[1]]), 2, 2)
    check.equal(texts, torch.tensor([[[1, 3, 7], [1, 2, 4]]]))
    check.close(scores, torch.tensor([[0.36, 0.24]]).log() / 2, terms=200)


def test_one_beam_is_greedy(student):
    """With n_beams = 1 each step takes the likeliest token.

    n_beams = 1 时每一步都取概率最大的 token。
    """
    texts, scores = search(student, chances(TRAP), torch.tensor([[1], [3]]), 1, 1)
    check.equal(texts, torch.tensor([[[1, 2]], [[3, 7]]]))
    check.close(scores, torch.tensor([[0.6], [0.9]]).log(), terms=200)
    compare(student, thinking(), torch.randint(V, (2, 3)), 5, 1)


def test_all_beams_come_back_the_best_first(student):
    """n different texts with their scores, from the best down.

    返回 n 条不同的文本及其分数，从最好的往下排。
    """
    texts, scores = search(student, chances(TRAP), torch.tensor([[1]]), 2, 4)
    check.equal(texts, torch.tensor([[[1, 3, 7], [1, 2, 4], [1, 2, 5], [1, 2, 6]]]))
    check.close(scores, torch.tensor([[0.36, 0.24, 0.21, 0.15]]).log() / 2, terms=200)


@pytest.mark.parametrize("n_beams", [2, 3])
def test_each_row_searches_for_itself(student, n_beams):
    """A batch finds what each of its prompts would find alone.

    一批提示词各自找到的，与单独搜索时相同。
    """
    table = TRAP | {10: {11: 0.55, 12: 0.45}, 11: {13: 0.5, 14: 0.5}, 12: {15: 0.99, 0: 0.01}}
    prompts = torch.tensor([[10], [1], [3]])
    texts, _ = search(student, chances(table), prompts, 2, n_beams)
    check.equal(texts[:, 0], torch.tensor([[10, 12, 15], [1, 3, 7], [3, 7, texts[2, 0, 2]]]))
    compare(student, thinking(), torch.randint(V, (3, 2)), 4, n_beams)


@pytest.mark.parametrize("n_new", [3, 6])
def test_every_beam_has_its_own_cache(student, n_new):
    """A beam goes on from its own text: when beams change places, so do their keys and values.

    每条束都从自己的文本继续：束换了位置，键和值也要跟着换。
    """
    compare(student, thinking(), torch.randint(V, (2, 3)), n_new, 4)


def test_a_finished_text_keeps_its_score(student):
    """A text that stops is settled; it is not written on, and worse ones do not push it out.

    停下的文本就此定分：不再往下写，也不会被更差的挤掉。
    """
    texts, scores = search(
        student, chances(STOP), torch.tensor([[1]]), 4, 2, length_penalty=0.0, stop_tokens=[9]
    )
    check.equal(texts, torch.tensor([[[1, 9, 0], [1, 2, 9]]]))
    check.close(scores, torch.tensor([[0.3, 0.28]]).log(), terms=200)


@pytest.mark.parametrize("length_penalty", [0.0, 0.5, 1.0, 2.0])
def test_the_length_penalty_divides_by_the_length_to_its_power(student, length_penalty):
    """sum / length ** length_penalty, over the new tokens with the stop token: 2 favours length.

    分数是 总和 / length ** length_penalty，长度为新 token 数（含停止符）：取 2 时偏爱长文本。
    """
    options = {"length_penalty": length_penalty, "stop_tokens": [9]}
    compare(student, chances(STOP), torch.tensor([[1], [2]]), 5, 3, **options)


def test_what_follows_a_stop_token_is_padding(student):
    """Shorter texts are filled up with pad_id, to the length of the longest one found.

    较短的文本用 pad_id 填到所找到的最长文本的长度。
    """
    options = {"length_penalty": 0.0, "stop_tokens": {9, 15}, "pad_id": 5}
    texts, _ = search(student, chances(STOP), torch.tensor([[1], [2]]), 6, 2, **options)
    check.equal(texts, torch.tensor([[[1, 9, 5], [1, 2, 9]], [[2, 9, 5], [2, 2, 9]]]))


def test_enough_beams_go_on_when_one_stops(student):
    """A candidate that stops leaves its place to the next that does not: n go on.

    停下的候选把位置让给下一个没停的：始终有 n 条继续。
    """
    table = {
        1: {2: 0.5, 3: 0.5 - 1e-3},
        2: {9: 0.5, 4: 0.45, 5: 0.05},
        3: {6: 0.4, 7: 0.35, 8: 0.25},
        4: dict.fromkeys(range(10, 15), 0.2),
        6: {15: 1.0},
        8: {15: 1.0},
    }
    options = {"length_penalty": 0.0, "stop_tokens": [9]}
    texts, _ = search(student, chances(table), torch.tensor([[1]]), 3, 2, **options)
    check.equal(texts, torch.tensor([[[1, 2, 9, 0], [1, 3, 6, 15]]]))


def test_with_several_stop_tokens_enough_beams_go_on(student):
    """Two stop tokens can take two places of every beam before the next that goes on.

    停止符有两个时，每条束的前面都可能有两个名额被停止符占去。
    """
    others = {10: 0.1, 11: 0.1, 12: 0.1, 13: 0.09, 14: 0.09}
    table = {
        1: {2: 0.5, 3: 0.5 - 1e-3},
        2: {4: 0.4, 9: 0.35, 8: 0.2, 5: 0.05},
        3: {9: 0.24, 6: 0.16, 7: 0.12, **others},
        4: dict.fromkeys(range(10, 15), 0.2),
        6: {15: 1.0},
    }
    options = {"length_penalty": 0.0, "stop_tokens": [9, 8]}
    texts, _ = search(student, chances(table), torch.tensor([[1]]), 3, 2, **options)
    check.equal(texts, torch.tensor([[[1, 2, 9, 0], [1, 3, 6, 15]]]))


def calls_of_the_model(m, model, prompts, n_new, n_beams, options):
    """beam_search(model, …): for each call of the model, its mode and whether a graph is built

    beam_search(model, …)：每次调用模型时的模式、是否建了计算图
    """
    calls = []
    forward = model.forward

    def spy(tokens, *args, **kwargs):
        answer = forward(tokens, *args, **kwargs)
        calls.append((any(part.training for part in model.modules()), answer[0].requires_grad))
        return answer

    model.forward = spy
    m.beam_search(model, prompts, n_new, n_beams, **options)
    del model.forward
    return calls


@pytest.mark.parametrize(("table", "most"), [(STOP, 3), (TRAP, 10)], ids=["ends", "goes on"])
def test_a_row_ends_when_nothing_better_can_come(student, table, most):
    """With n texts finished, and no running one that could still be better, the search is over.

    已有 n 条结束，进行中的又不可能更好，搜索就结束。
    """
    model = in_the_room(student, chances(table))
    options = {"length_penalty": 0.0, "stop_tokens": [9]}
    calls = student.run(calls_of_the_model, model, torch.tensor([[1]]), 10, 2, options)
    check.that(
        len(calls) <= most,
        en=f"The model was asked {len(calls)} times; after {most} nothing better could come.",
        zh=f"模型被调用了 {len(calls)} 次；{most} 次之后已不可能有更好的了。",
        got=len(calls),
    )


def test_a_row_that_has_ended_takes_nothing_more(student):
    """A row is over when it is over, even where others of the batch still search.

    一行结束了就结束了，哪怕批次里别的行还在搜索。
    """
    table = {
        1: {2: 0.5, 3: 0.3, 9: 0.2},
        2: {9: 0.8, 4: 0.2},
        3: {9: 0.8, 4: 0.2},
        4: {4: 0.99, 9: 0.01},
        10: {11: 0.6, 12: 0.4},
        11: {11: 0.9, 9: 0.1},
        12: {12: 0.9, 9: 0.1},
    }
    prompts = torch.tensor([[1], [10]])
    options = {"length_penalty": 1.5, "stop_tokens": [9]}
    compare(student, chances(table), prompts, 11, 2, **options)


def test_a_padded_prompt_searches_as_it_would_alone(student):
    """Padding on the left changes nothing of what a row finds.

    左侧的填充不改变一行搜索的结果。
    """
    model = thinking()
    short, long = torch.randint(V, (1, 2)), torch.randint(V, (1, 4))
    prompts = torch.cat([torch.cat([torch.randint(V, (1, 2)), short], 1), long])
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    texts, scores = search(student, model, prompts, 4, 3, attention_mask=mask)
    check.equal(texts[:, :, :4], prompts[:, None].expand(2, 3, 4))
    for row, prompt in enumerate((short, long)):
        expected, expected_scores = beam_search(model, prompt, 4, 3)
        check.equal(texts[row, :, 4:], expected[0, :, prompt.size(1) :])
        check.close(scores[row], expected_scores[0], terms=200, scale=20.0)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluating"])
def test_it_searches_in_evaluation_mode_and_restores_the_mode(student, training):
    """Dropout is off and no graph is built; afterwards the model is in the mode that it was in.

    关闭 dropout，不建计算图；之后模型回到原来的模式。
    """
    model = in_the_room(student, thinking(dropout=0.5))
    model.train(training)
    calls = student.run(calls_of_the_model, model, torch.randint(V, (2, 3)), 3, 2, {})
    check.equal(calls, [(False, False)] * len(calls))
    check.equal(model.training, training)


def test_a_bfloat16_model_searches_with_its_cache(student):
    """The cache has the dtype of the weights; the scores are added up in float32.

    缓存的 dtype 与权重相同；分数用 float32 累加。
    """
    model = chances(TRAP).to(torch.bfloat16)
    twin = in_the_room(student, chances(TRAP))
    twin.to(torch.bfloat16)
    texts, scores = student.beam_search(twin, torch.tensor([[1]]), 2, 2)
    expected, expected_scores = beam_search(model, torch.tensor([[1]]), 2, 2)
    check.equal(texts, expected)
    check.close(scores, expected_scores, dtype=torch.bfloat16)


@pytest.mark.parametrize(
    "wrong",
    [
        "longer than max_seq_len",
        "an empty prompt",
        "padding on the right",
        "no beam",
        "nothing new",
    ],
)
def test_what_cannot_be_searched_is_refused(student, wrong):
    """What generate refuses, and a number of beams or of new tokens below 1: ValueError.

    generate 会拒绝的情形，以及束数或新 token 数小于 1，都要抛出 ValueError。
    """
    model = in_the_room(student, chances(TRAP, max_seq_len=8))
    prompts, n_new, n_beams, mask = torch.tensor([[1, 2, 3], [4, 5, 6]]), 2, 2, None
    if wrong == "longer than max_seq_len":
        n_new = 6
    elif wrong == "an empty prompt":
        prompts = prompts[:, :0]
    elif wrong == "padding on the right":
        mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    elif wrong == "no beam":
        n_beams = 0
    else:
        n_new = 0
    options = {"attention_mask": mask}
    check.raises(ValueError, lambda: student.beam_search(model, prompts, n_new, n_beams, **options))


_FULL = "torch.full((B, n, room), pad_id{}, device=device)"
_STOPS = "stops = torch.tensor(list(stop_tokens){}, device=device)"
_BEST = "best, index = candidates.topk(wanted{})"
_WANTED = "wanted = min(n * (1 + max({}, len(stops))), n * V)"
_KEPT = "scores, kept = torch.cat([scores, settled], dim=1).topk(n{})"
_GOING = "log_probs, going = best.masked_fill(stopped, -torch.inf).topk(n{})"
_LENGTHS = "lengths = torch.{}(B, n, dtype=torch.int64, device=device)"
_RETURN = "return texts[:, :, : T + {}], scores"

EQUIVALENT = (
    equivalent_mutant(
        "beam_search",
        "log_probs[:, 0] = 0.0",
        "log_probs[:, -1] = 0.0",
        because="in the beginning all beams of a row hold the same prompt",
    ),
    equivalent_mutant(
        "beam_search",
        "unseen = beams.flatten(0, 1)[:, cache[0].length :]",
        "unseen = beams.flatten(0, 1)[:, cache[-1].length :]",
        because="all layers hold the same number of tokens",
    ),
    *(
        equivalent_mutant(
            "beam_search",
            "logits, _ = model(unseen, None, mask, cache, logits_to_keep=1)",
            f"logits, _ = model(unseen, None, mask, cache{keep})",
            because="only the last place is read, however many are projected",
        )
        for keep in ("", ", logits_to_keep=2")
    ),
    *(
        equivalent_mutant(
            "beam_search",
            "steps = logits[:, -1].float().log_softmax(dim=-1).view(B, n, V)",
            steps,
            because="one place is projected, and without its axis two are left",
        )
        for steps in (
            "steps = logits[:, 0].float().log_softmax(dim=-1).view(B, n, V)",
            "steps = logits[:, -1].float().log_softmax(dim=1).view(B, n, V)",
        )
    ),
    equivalent_mutant(
        "beam_search",
        _STOPS.format(", dtype=torch.int64"),
        _STOPS.format(""),
        because="a list of ints becomes int64 anyway, and an empty one holds no token of any dtype",
    ),
    *(
        equivalent_mutant(
            "beam_search",
            f"{name} = {_FULL.format(', dtype=tokens.dtype')}",
            f"{name} = {_FULL.format('')}",
            because="pad_id is an int, and makes int64",
        )
        for name in ("texts", "finished")
    ),
    *(
        equivalent_mutant(
            "beam_search",
            line.format(", dim=-1"),
            line.format(dim),
            because="there are two dimensions, and topk works on the last by default",
        )
        for line in (_BEST, _KEPT, _GOING)
        for dim in ("", ", dim=1")
    ),
    *(
        equivalent_mutant(
            "beam_search",
            _WANTED.format(1),
            _WANTED.format(least),
            because="it decides only how many candidates are left over",
        )
        for least in (0, 2)
    ),
    equivalent_mutant(
        "beam_search",
        _LENGTHS.format("zeros"),
        _LENGTHS.format("ones"),
        because="the longest text found has one new token or more",
    ),
    equivalent_mutant(
        "beam_search",
        _RETURN.format("int(lengths.max())"),
        _RETURN.format("lengths.max()"),
        because="a tensor of one int can end a slice",
    ),
)

# ---- the search in other words, right and wrong


def searched(
    model,
    tokens,
    max_new_tokens,
    n_beams,
    wrong="",
    *,
    length_penalty=1.0,
    stop_tokens=(),
    pad_id=0,
    attention_mask=None,
):
    """The search with lists of texts, one row after another; with the mistake `wrong` names."""
    B, T = tokens.shape
    if T == 0 or max_new_tokens < 1 or n_beams < 1:
        raise ValueError("nothing to search")
    if T + max_new_tokens > model.args.max_seq_len:
        raise ValueError("max_seq_len")
    if attention_mask is not None and not attention_mask[:, -1].all():
        raise ValueError("attention_mask")
    stops, n, was_training = set(stop_tokens), n_beams, model.training
    extra = 0 if wrong == "too few go on" else max(1, len(stops))
    power = 0.0 if wrong == "no length penalty" else length_penalty
    rows = []
    model.eval()
    for b in range(B):
        prompt = tokens[b]
        if attention_mask is not None and wrong != "mask left behind":
            prompt = prompt[attention_mask[b].bool()]
        running = [(0.0, [])]
        if wrong == "all beams alike":
            running *= n
        done = []
        for length in range(1, max_new_tokens + 1):
            texts = torch.stack([torch.cat([prompt, prompt.new_tensor(t)]) for _, t in running])
            if wrong == "cache of another":  # all beams read the text of the first but for its end
                texts = torch.cat([texts[:1, :-1].expand(len(texts), -1), texts[:, -1:]], dim=1)
            logits = model(texts)[0][:, -1].float()
            steps = logits if wrong == "logits added" else logits.log_softmax(-1)
            log_probs = torch.tensor([s for s, _ in running])
            sums = (steps if wrong == "last step only" else log_probs[:, None] + steps).flatten()
            if wrong == "greedy each" and length > 1:  # every beam goes on with its own best token
                only = torch.full_like(steps, -torch.inf)
                best = steps.argmax(-1)
                keep = torch.arange(len(steps))
                only[keep, best] = log_probs + steps[keep, best]
                sums = only.flatten()
            best, index = sums.topk(min(n * (1 + extra), len(sums)))
            going = []
            for place, (score, i) in enumerate(zip(best.tolist(), index.tolist(), strict=True)):
                text = [*running[i // V][1], i % V]
                stopped = i % V in stops and wrong != "runs past the stop"
                if score == -math.inf:
                    continue
                if stopped or length == max_new_tokens:
                    lost = wrong == "stops are lost" and length < max_new_tokens
                    if place < n and not lost:
                        size = length + (T if wrong == "prompt counts" else 0)
                        done.append((score / size**power, text))
                elif len(going) < n:
                    going.append((score, text))
            done = sorted(done, key=lambda d: -d[0])[:n]
            running = going
            if not running:
                break
            over = len(done) == n and running[0][0] / length**power <= done[-1][0]
            if over and wrong != "to the last step":
                break
        rows.append(done)
    model.train(was_training)
    longest = max(len(text) for row in rows for _, text in row)
    out = torch.full((B, n, T + longest), pad_id, dtype=torch.int64)
    scores = torch.full((B, n), -torch.inf)
    for b, row in enumerate(rows):
        out[b, :, :T] = tokens[b]
        for i, (score, text) in enumerate(row):
            out[b, i, T : T + len(text)] = torch.tensor(text)
            scores[b, i] = score
    return out, scores


@also_right("beam_search", en="row by row, with lists of texts, and no cache")
@torch.no_grad()
def row_by_row(model, tokens, max_new_tokens, n_beams, **options):
    return searched(model, tokens, max_new_tokens, n_beams, **options)


@also_right("beam_search", en="each row on its own, in a batch of beams with a cache")
def one_row_at_a_time(model, tokens, max_new_tokens, n_beams, **options):
    mask, T = options.pop("attention_mask", None), tokens.size(1)
    found = [
        beam_search(
            model,
            tokens[b : b + 1],
            max_new_tokens,
            n_beams,
            attention_mask=None if mask is None else mask[b : b + 1],
            **options,
        )
        for b in range(len(tokens))
    ]
    width = max([texts.size(2) for texts, _ in found], default=T)
    fill = options.get("pad_id", 0)
    texts = [torch.nn.functional.pad(t, (0, width - t.size(2)), value=fill) for t, _ in found]
    return torch.cat(texts), torch.cat([scores for _, scores in found])


def _wrongly(name):
    def variant(model, tokens, max_new_tokens, n_beams, **options):
        with torch.no_grad():
            return searched(model, tokens, max_new_tokens, n_beams, name, **options)

    return variant


@known_wrong(
    "beam_search",
    en="All n beams begin with the same score, so they stay copies of one another. At first only "
    "one may count: give the others -inf.",
    zh="n 条束一开始分数相同，于是一直互为副本。起初只能算一条：其余的给 -inf。",
)
def all_beams_alike(model, tokens, max_new_tokens, n_beams, **options):
    return _wrongly("all beams alike")(model, tokens, max_new_tokens, n_beams, **options)


@known_wrong(
    "beam_search",
    en="Candidates are compared by their last step. The sum over the whole new text counts: add "
    "the beam's log probability.",
    zh="候选只按最后一步比较。要比的是整段新文本的总和：加上该束的对数概率。",
)
def last_step_only(model, tokens, max_new_tokens, n_beams, **options):
    return _wrongly("last step only")(model, tokens, max_new_tokens, n_beams, **options)


@known_wrong(
    "beam_search",
    en="You add up logits. They are not on one scale from step to step: log_softmax first.",
    zh="你累加的是 logits。不同步的 logits 不在同一尺度上：先做 log_softmax。",
)
def logits_added(model, tokens, max_new_tokens, n_beams, **options):
    return _wrongly("logits added")(model, tokens, max_new_tokens, n_beams, **options)


@known_wrong(
    "beam_search",
    en="Every beam goes on with its own best token, so n greedy texts come out. Let all n * V "
    "candidates of a row compete.",
    zh="每条束只取自己最好的 token，得到的是 n 条贪心文本。应让一行的 n * V 个候选一起竞争。",
)
def greedy_each(model, tokens, max_new_tokens, n_beams, **options):
    return _wrongly("greedy each")(model, tokens, max_new_tokens, n_beams, **options)


@known_wrong(
    "beam_search",
    en="Stop tokens end nothing: texts are written on past them.",
    zh="停止符没有起作用：文本越过它继续写。",
)
def runs_past_the_stop(model, tokens, max_new_tokens, n_beams, **options):
    return _wrongly("runs past the stop")(model, tokens, max_new_tokens, n_beams, **options)


@known_wrong(
    "beam_search",
    en="A text that stops is dropped from the search and forgotten. Keep it with its score: it may "
    "be the best.",
    zh="停下的文本被移出搜索后就丢了。要连同分数留下：它可能就是最好的。",
)
def stops_are_lost(model, tokens, max_new_tokens, n_beams, **options):
    return _wrongly("stops are lost")(model, tokens, max_new_tokens, n_beams, **options)


@known_wrong(
    "beam_search",
    en="The length counts the prompt. Only new tokens are scored, so only they count.",
    zh="长度把提示词也算进去了。只有新 token 计了分，所以只数新 token。",
)
def prompt_counts(model, tokens, max_new_tokens, n_beams, **options):
    return _wrongly("prompt counts")(model, tokens, max_new_tokens, n_beams, **options)


@known_wrong(
    "beam_search",
    en="length_penalty is never used: a finished text's score is sum / length ** length_penalty.",
    zh="没有用到 length_penalty：结束文本的分数是 总和 / length ** length_penalty。",
)
def no_length_penalty(model, tokens, max_new_tokens, n_beams, **options):
    return _wrongly("no length penalty")(model, tokens, max_new_tokens, n_beams, **options)


@known_wrong(
    "beam_search",
    en="Only n candidates are taken, so each that stops leaves one beam less. Take "
    "n * (1 + number of stop tokens), and go on with the best n that do not stop.",
    zh="只取了 n 个候选，每停一个就少一条束。应取 n * (1 + 停止符个数) 个，"
    "再用其中最好的 n 个没停的继续。",
)
def too_few_go_on(model, tokens, max_new_tokens, n_beams, **options):
    return _wrongly("too few go on")(model, tokens, max_new_tokens, n_beams, **options)


@known_wrong(
    "beam_search",
    en="The cache stays where it was when the beams change places, so a beam reads the text of "
    "another: reorder k and v of every layer by the beams that go on.",
    zh="束换了位置，缓存却没动，于是一条束读到了另一条的文本：每一层的 k 和 v 都要按继续的束重排。",
)
def cache_of_another(model, tokens, max_new_tokens, n_beams, **options):
    return _wrongly("cache of another")(model, tokens, max_new_tokens, n_beams, **options)


@known_wrong(
    "beam_search",
    en="The attention_mask is ignored, so rows read their padding.",
    zh="没有理会 attention_mask，各行把填充也读进去了。",
)
def mask_left_behind(model, tokens, max_new_tokens, n_beams, **options):
    return _wrongly("mask left behind")(model, tokens, max_new_tokens, n_beams, **options)


@known_wrong(
    "beam_search",
    en="The search goes on to the last step, though no running beam could be better than the n "
    "finished ones.",
    zh="已有 n 条结束，进行中的又不可能更好，搜索却一直走到最后一步。",
)
def to_the_last_step(model, tokens, max_new_tokens, n_beams, **options):
    return _wrongly("to the last step")(model, tokens, max_new_tokens, n_beams, **options)


@known_wrong(
    "beam_search",
    en="The rows of the batch are mixed up: tokens.repeat(n, 1) gives [1, 2, 1, 2], and a row's "
    "beams must stand together, [1, 1, 2, 2]: repeat_interleave.",
    zh="批次的各行混在一起了：tokens.repeat(n, 1) 得到 [1, 2, 1, 2]，"
    "而一行的束应当挨着，[1, 1, 2, 2]：用 repeat_interleave。",
)
def rows_mixed(model, tokens, max_new_tokens, n_beams, **options):
    order = torch.arange(len(tokens)).repeat(max(n_beams, 1))[:: max(n_beams, 1)]
    mask = options.pop("attention_mask", None)
    mixed = None if mask is None else mask[order]
    return beam_search(
        model, tokens[order], max_new_tokens, n_beams, attention_mask=mixed, **options
    )


@known_wrong(
    "beam_search",
    en="Only the best text comes back; the n best are asked for, [B, n, T + new] and [B, n].",
    zh="只返回了最好的一条；要的是最好的 n 条，形状 [B, n, T + new] 和 [B, n]。",
)
def only_the_best(model, tokens, max_new_tokens, n_beams, **options):
    texts, scores = beam_search(model, tokens, max_new_tokens, n_beams, **options)
    return texts[:, 0], scores[:, 0]
