"""Hidden suite of ch5/generate.

Three models write here. `counting` says t + 1 after t, so what should come can be worked out by
hand; `weighing` gives the same chances to the next token wherever it is; `thinking` has random
weights, so that every token before counts.
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
from happyllm.llama.sampling import sample

V = 16


def small(**changes):
    sizes = {"dim": V, "n_heads": 2, "n_kv_heads": 1, "vocab_size": V, "hidden_dim": 8}
    more = {"n_layers": 1, "max_seq_len": 12, "tie_word_embeddings": False}
    return Transformer(ModelConfig(**(sizes | more | changes))).eval()


def plain(**changes):
    """A model whose layer adds nothing: logits = output.weight @ (4 * one-hot of a token)."""
    model = small(**changes)
    for layer in model.layers:
        layer.attention.wo.weight.data.zero_()
        layer.feed_forward.w2.weight.data.zero_()
    model.tok_embeddings.weight.data.copy_(torch.eye(V))
    return model


def counting(**changes):
    model = plain(**changes)
    model.output.weight.data.copy_(4 * torch.eye(V).roll(1, 0))
    return model


def weighing(logits):
    model = plain()
    model.output.weight.data.fill_(-50.0)
    model.output.weight.data[: len(logits)] = torch.tensor(logits)[:, None] / 4
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


def clear_prompts(model, B, T, n):
    """Prompts whose greedy continuation is never a close call, and that continuation."""
    while True:
        prompts = torch.randint(V, (B, T))
        text = generate(model, prompts, n, use_cache=False)
        best = model(text)[0][:, T - 1 : -1].topk(2).values
        if (best[..., 0] - best[..., 1]).min() > 1e-3:
            return prompts, text


def watched(m, model, tokens, max_new_tokens, options):
    """generate(model, tokens, …): of each call of the model, how many tokens it saw, and how

    generate(model, tokens, …)：每次调用模型时它看到多少个 token、处于什么状态
    """
    calls = []
    forward = model.forward

    def spy(tokens, *args, **kwargs):
        answer = forward(tokens, *args, **kwargs)
        training = any(part.training for part in model.modules())
        calls.append((tokens.shape[1], training, answer[0].requires_grad))
        return answer

    model.forward = spy
    m.generate(model, tokens, max_new_tokens, **options)
    del model.forward
    return calls


def first_tokens(m, model, options):
    """generate(model, prompts, 1, …): how often each token is written first, in tenths

    generate(model, prompts, 1, …)：各 token 首先被写出的频率（以十分之一计）
    """
    prompts = torch.zeros(3000, 1, dtype=torch.int64)
    counts = torch.bincount(m.generate(model, prompts, 1, **options)[:, 1], minlength=4)
    return [round(count / 3000, 1) for count in counts.tolist()]


def test_new_tokens_follow_the_prompt(student):
    """The prompts come first, as given; behind them stand max_new_tokens new ones.

    前面是原样的提示词，后面接 max_new_tokens 个新 token。
    """
    model = in_the_room(student, counting(max_seq_len=8))
    expected = torch.tensor([[7, 4, 5, 6, 7, 8, 9, 10], [9, 2, 3, 4, 5, 6, 7, 8]])
    for n in (3, 0, 6):
        check.equal(student.generate(model, expected[:, :2], n), expected[:, : 2 + n])


@pytest.mark.parametrize("use_cache", [True, False], ids=["cached", "uncached"])
def test_greedy_writes_the_most_probable_token_after_all_that_came_before(student, use_cache):
    """Each new token is the model's first choice after the whole text so far, cached or not.

    每个新 token 都是模型看过此前全部文本后的首选，有没有缓存都一样。
    """
    model = thinking()
    prompts, text = clear_prompts(model, B=3, T=4, n=5)
    got = student.generate(in_the_room(student, model), prompts, 5, use_cache=use_cache)
    check.equal(got, text)


def test_with_the_cache_no_token_is_shown_twice(student):
    """The prompt runs through the model once; after it, only the newest token does.

    提示词只过一次模型；之后每次只需输入最新的那个 token。
    """
    model, prompts = in_the_room(student, counting()), torch.tensor([[1, 2, 3], [7, 8, 9]])
    shown = [call[0] for call in student.run(watched, model, prompts, 5, {})]
    check.that(
        sum(shown) <= 8,
        en=f"A text of 3 + 5 tokens showed the model {shown} tokens, call by call; "
        "with the cache [3, 1, 1, 1, 1] are enough.",
        zh=f"写 3 + 5 个 token 的文本，各次调用给模型看了 {shown} 个 token；"
        "有缓存时 [3, 1, 1, 1, 1] 就够。",
        got=shown,
    )


def test_without_the_cache_the_whole_text_is_shown_each_time(student):
    """use_cache=False keeps nothing, so every step needs the text from its beginning.

    use_cache=False 不保存任何东西，所以每一步都要从头输入全文。
    """
    model, prompts = in_the_room(student, counting()), torch.tensor([[1, 2, 3], [7, 8, 9]])
    calls = student.run(watched, model, prompts, 4, {"use_cache": False})
    check.equal([call[0] for call in calls][:4], [3, 4, 5, 6])


@pytest.mark.parametrize("pad_id", [0, 15])
def test_a_row_that_stops_keeps_its_stop_token_and_is_filled_up(student, pad_id):
    """A finished row ends in its stop token and then pad_id; the other rows write on.

    已结束的行保留停止符，之后填 pad_id；其他行继续写。
    """
    model, prompts = in_the_room(student, counting()), torch.tensor([[3], [9]])
    got = student.generate(model, prompts, 4, stop_tokens=[5], pad_id=pad_id)
    check.equal(got, torch.tensor([[3, 4, 5, pad_id, pad_id], [9, 10, 11, 12, 13]]))


def test_any_of_several_stop_tokens_ends_a_row(student):
    """There may be many stop tokens, in any collection; pad_id may be one of them.

    停止符可以有多个，放在任何容器里都行；pad_id 也可以是其中之一。
    """
    model, prompts = in_the_room(student, counting()), torch.tensor([[3], [9], [1]])
    got = student.generate(model, prompts, 4, stop_tokens={5, 11}, pad_id=5)
    check.equal(got, torch.tensor([[3, 4, 5, 5, 5], [9, 10, 11, 5, 5], [1, 2, 3, 4, 5]]))


def test_writing_ends_when_every_row_has_stopped(student):
    """No column of nothing but padding is written: the last row to stop ends the text.

    不会写出整列填充：最后一行一停，文本就结束。
    """
    model, prompts = in_the_room(student, counting()), torch.tensor([[3], [2]])
    got = student.generate(model, prompts, 9, stop_tokens=[5])
    check.equal(got, torch.tensor([[3, 4, 5, 0], [2, 3, 4, 5]]))


def test_a_stop_token_in_the_prompt_stops_nothing(student):
    """Only what a row writes can finish it; prompts often hold the end of an earlier turn.

    只有自己写出的停止符才算结束；提示词里常有上一轮对话的结束符。
    """
    model, prompts = in_the_room(student, counting()), torch.tensor([[5, 8], [7, 5]])
    got = student.generate(model, prompts, 3, stop_tokens=[5])
    check.equal(got, torch.tensor([[5, 8, 9, 10, 11], [7, 5, 6, 7, 8]]))


@pytest.mark.parametrize("use_cache", [True, False], ids=["cached", "uncached"])
def test_a_padded_prompt_goes_on_as_it_would_alone(student, use_cache):
    """Padding on the left, whatever ids stand in it, changes nothing of what a row writes.

    左侧的填充无论放什么编号，都不改变这一行写出的内容。
    """
    model = thinking()
    short, short_text = clear_prompts(model, B=1, T=2, n=4)
    long, long_text = clear_prompts(model, B=1, T=5, n=4)
    padding = torch.randint(V, (1, 3))
    prompts = torch.cat([torch.cat([padding, short], 1), long])
    mask = torch.tensor([[0, 0, 0, 1, 1], [1, 1, 1, 1, 1]])
    twin = in_the_room(student, model)
    got = student.generate(twin, prompts, 4, attention_mask=mask, use_cache=use_cache)
    check.equal(got, torch.cat([torch.cat([padding, short_text], 1), long_text]))


@pytest.mark.parametrize(
    ("weights", "options", "expected"),
    [
        ([0.2, 0.5, 0.3], {"temperature": 2.0}, [0.2, 0.5, 0.3, 0.0]),
        ([0.16, 0.06, 0.64, 0.14], {"temperature": 1.0, "top_k": 2}, [0.2, 0.0, 0.8, 0.0]),
        ([0.12, 0.48, 0.08, 0.32], {"temperature": 1.0, "top_p": 0.6}, [0.0, 0.6, 0.0, 0.4]),
    ],
    ids=["temperature", "top_k", "top_p"],
)
def test_tokens_are_drawn_as_the_options_say(student, weights, options, expected):
    """temperature, top_k and top_p reach the sampling: tokens come as often as they allow.

    temperature、top_k、top_p 都要传给采样：各 token 按它们规定的频率出现。
    """
    logits = [options["temperature"] * math.log(weight) for weight in weights]
    got = student.run(first_tokens, in_the_room(student, weighing(logits)), options)
    check.equal(got, expected)


def test_the_generator_alone_decides_the_text(student):
    """A generator of the same seed writes the same text again, whatever the global seed.

    种子相同的生成器会写出同样的文本，与全局种子无关。
    """

    def texts(m, model):
        """generate(model, prompts, 3, generator=…), several times: which texts are the same

        多次调用 generate(model, prompts, 3, generator=…)：哪些文本相同
        """
        prompts = torch.zeros(4, 1, dtype=torch.int64)
        written = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            generator = torch.Generator().manual_seed(7)
            options = {"temperature": 1.0, "generator": generator}
            written.append([m.generate(model, prompts, 3, **options) for _ in range(2)])
        (a, b), (again, _) = written
        return {
            "same seed, same text": torch.equal(a, again),
            "the next text is another": not torch.equal(a, b),
            "each step draws anew": a[:, 1:].unique(dim=1).shape[1] > 1,
        }

    got = student.run(texts, in_the_room(student, weighing([0.0] * V)))
    check.equal(got, dict.fromkeys(got, True))


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluating"])
def test_it_writes_in_evaluation_mode_and_restores_the_mode(student, training):
    """Dropout is off while it writes; afterwards the model is in the mode that it was in.

    写作时 dropout 关闭；之后模型回到原来的模式。
    """
    model = in_the_room(student, thinking(dropout=0.5))
    model.train(training)
    calls = student.run(watched, model, torch.randint(V, (2, 3)), 3, {})
    check.that(
        not any(call[1] for call in calls),
        en="The model was in training mode while it wrote, dropout on: call model.eval() first.",
        zh="写作时模型还在训练模式，dropout 是开着的：先调用 model.eval()。",
    )
    after = model.training
    check.that(
        after is training,
        en=f"model.training was {training} before and is {after} afterwards: restore it.",
        zh=f"model.training 之前是 {training}，之后变成了 {after}：应恢复原样。",
    )


def test_no_graph_is_built(student):
    """Nothing is learned while writing: the logits carry no graph, so memory does not grow.

    写作时不学习：logits 不带计算图，内存不会随步数增长。
    """
    model = in_the_room(student, counting())
    calls = student.run(watched, model, torch.tensor([[1, 2]]), 3, {})
    check.that(
        not any(call[2] for call in calls),
        en="The logits require a gradient: each step keeps its graph. Write under torch.no_grad().",
        zh="logits 需要梯度：每一步的计算图都留着。应在 torch.no_grad() 下写作。",
    )


def test_a_bfloat16_model_writes_with_its_cache(student):
    """The cache has the dtype of the model's weights, not always float32.

    缓存的 dtype 与模型权重相同，而不总是 float32。
    """
    model = in_the_room(student, counting())
    model.to(torch.bfloat16)
    got = student.generate(model, torch.tensor([[3, 4], [8, 9]]), 3)
    check.equal(got, torch.tensor([[3, 4, 5, 6, 7], [8, 9, 10, 11, 12]]))


@pytest.mark.parametrize(
    "wrong", ["longer than max_seq_len", "an empty prompt", "padding on the right", "below 0"]
)
def test_what_cannot_be_continued_is_refused(student, wrong):
    """A text over max_seq_len, a prompt of nothing and a row that ends in padding: ValueError.

    文本超过 max_seq_len、提示词为空、某行以填充结尾，都要抛出 ValueError。
    """
    model = in_the_room(student, counting(max_seq_len=8))
    prompts, n, mask = torch.tensor([[1, 2, 3], [4, 5, 6]]), 2, None
    if wrong == "longer than max_seq_len":
        n = 6
    elif wrong == "an empty prompt":
        prompts = prompts[:, :0]
    elif wrong == "padding on the right":
        mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    else:
        n = -1
    match = "max_seq_len" if n == 6 else ""
    check.raises(
        ValueError, lambda: student.generate(model, prompts, n, attention_mask=mask), match=match
    )


# ---- other right ways


@also_right("generate", en="a text reserved at once, rows written one by one, the options by name")
@torch.no_grad()
def row_by_row(
    model,
    tokens,
    max_new_tokens,
    *,
    temperature=0.0,
    top_k=None,
    top_p=None,
    stop_tokens=(),
    pad_id=0,
    attention_mask=None,
    generator=None,
    use_cache=True,
):
    B, T = tokens.size()
    end = T + max_new_tokens
    if T < 1 or max_new_tokens < 0 or end > model.args.max_seq_len:
        raise ValueError("no prompt, or a text longer than max_seq_len")
    if attention_mask is not None and (attention_mask[:, -1] == 0).any():
        raise ValueError("padding belongs on the left")
    stops, training, weight = set(stop_tokens), model.training, next(model.parameters())
    text = tokens.new_full((B, end), pad_id)
    text[:, :T] = tokens
    mask = None
    if attention_mask is not None:
        mask = torch.ones_like(text)
        mask[:, :T] = attention_mask
    writing = set(range(B))
    model.eval()
    cache = new_cache(model.args, B, dtype=weight.dtype) if use_cache else None
    for t in range(T, end):
        if not writing:
            end = t
            break
        first = 0 if cache is None or t == T else t - 1
        seen = None if mask is None else mask[:, :t]
        logits = model(text[:, first:t], attention_mask=seen, cache=cache)[0][:, -1]
        options = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        chosen = sample(logits, generator=generator, **options).tolist()
        for row in sorted(writing):
            text[row, t] = chosen[row]
            if chosen[row] in stops:
                writing.remove(row)
    model.train(training)
    return text[:, :end]


EQUIVALENT = (
    *(
        equivalent_mutant(
            "generate",
            "if len(stops) > 0:",
            f"if {always}:",
            because="without stop tokens no row is finished; the branch saves the work",
        )
        for always in ("True", "len(stops) >= 0", "len(stops) > -1")
    ),
    equivalent_mutant(
        "generate",
        "stops = torch.tensor(list(stop_tokens), dtype=torch.int64, device=tokens.device)",
        "stops = torch.tensor(list(stop_tokens), device=tokens.device)",
        because="a list of ints becomes int64 anyway, and an empty one holds no token of any dtype",
    ),
    equivalent_mutant(
        "generate",
        "unseen = tokens if cache is None else tokens[:, cache[0].length :]",
        "unseen = tokens if cache is None else tokens[:, cache[-1].length :]",
        because="all layers hold equally many tokens",
    ),
    *(
        equivalent_mutant(
            "generate",
            "logits, _ = model(unseen, None, attention_mask, cache, logits_to_keep=1)",
            f"logits, _ = model(unseen, None, attention_mask, cache{kept})",
            because="it only saves work: no more than the last position is read",
        )
        for kept in ("", ", logits_to_keep=2")
    ),
    equivalent_mutant(
        "generate",
        "chosen = sample(logits[:, -1], temperature, top_k, top_p, generator)",
        "chosen = sample(logits[:, 0], temperature, top_k, top_p, generator)",
        because="one position is kept, so the first is the last",
    ),
)


@also_right("generate", en="a for loop over columns kept in a list, stop tokens one by one")
@torch.no_grad()
def column_by_column(
    model,
    tokens,
    max_new_tokens,
    *,
    temperature=0.0,
    top_k=None,
    top_p=None,
    stop_tokens=(),
    pad_id=0,
    attention_mask=None,
    generator=None,
    use_cache=True,
):
    B, T = tokens.shape
    if not T or max_new_tokens < 0 or T + max_new_tokens > model.args.max_seq_len:
        raise ValueError("no prompt, or a text longer than max_seq_len")
    columns, running = list(tokens.unbind(1)), torch.ones(B, dtype=torch.bool)
    mask = None if attention_mask is None else list(attention_mask.unbind(1))
    if mask is not None and (mask[-1] == 0).any():
        raise ValueError("padding belongs on the left")
    stops, training, dtype = list(stop_tokens), model.training, next(model.parameters()).dtype
    cache = new_cache(model.args, B, T + max_new_tokens, dtype) if use_cache else None
    model.train(False)
    try:
        for step in range(max_new_tokens):
            if not running.any():
                break
            new = columns[-1:] if cache and step else columns
            seen = None if mask is None else torch.stack(mask, dim=1)
            text = torch.stack(new, dim=1)
            logits, _ = model(text, attention_mask=seen, cache=cache, logits_to_keep=1)
            chosen = sample(logits[:, 0], temperature, top_k, top_p, generator)
            columns.append(torch.where(running, chosen, pad_id))
            if mask is not None:
                mask.append(torch.ones_like(mask[0]))
            for stop in stops:
                running = running & (columns[-1] != stop)
    finally:
        model.train(training)
    return torch.stack(columns, dim=1)


# ---- mistakes that people make


def written(
    model,
    tokens,
    max_new_tokens,
    wrong,
    *,
    temperature=0.0,
    top_k=None,
    top_p=None,
    stop_tokens=(),
    pad_id=0,
    attention_mask=None,
    generator=None,
    use_cache=True,
):
    """The loop, with the mistake that `wrong` names."""
    B, T = tokens.shape
    room = T + max_new_tokens
    if T == 0 or max_new_tokens < 0 or room > model.args.max_seq_len:
        raise ValueError("max_seq_len")
    ends_well = attention_mask is None or bool(attention_mask[:, -1].all())
    if not ends_well and wrong != "right padding goes through":
        raise ValueError("attention_mask")

    was_training = model.training
    model.train(was_training and wrong == "dropout stays on")
    dtype = torch.float32 if wrong == "float32 cache" else model.tok_embeddings.weight.dtype
    cache = new_cache(model.args, B, room, dtype) if use_cache else None
    stops = torch.tensor(list(stop_tokens), dtype=torch.int64)
    finished = torch.zeros(B, dtype=torch.bool)
    if wrong == "prompts can stop":
        finished = torch.isin(tokens, stops).any(1)
    with torch.set_grad_enabled(wrong == "graph"):
        while tokens.size(1) < room and not finished.all():
            unseen = tokens if cache is None else tokens[:, cache[0].length :]
            if wrong == "everything again":
                unseen = tokens
            if wrong == "always the last only":
                unseen = tokens[:, -1:] if tokens.size(1) > T else tokens
            logits, _ = model(unseen, None, attention_mask, cache)
            chosen = sample(logits[:, -1], temperature, top_k, top_p, generator)
            if wrong != "finished rows write on":
                chosen = chosen.masked_fill(finished, pad_id)
            tokens = torch.cat([tokens, chosen[:, None]], dim=1)
            if attention_mask is not None and wrong != "mask stays short":
                attention_mask = torch.cat([attention_mask, attention_mask.new_ones(B, 1)], 1)
            stopped = torch.isin(chosen, stops)
            finished = finished | (stopped.any() if wrong == "one stops all" else stopped)
    model.train(was_training)
    return tokens


@known_wrong(
    "generate",
    en="With a cache the whole text is fed again at every step, and is stored again. After the "
    "prompt show the model only tokens[:, -1:].",
    zh="有缓存时每一步又把全文输入一遍，也重复存了一遍。提示词之后只需输入 tokens[:, -1:]。",
)
def everything_again(model, tokens, max_new_tokens, **options):
    return written(model, tokens, max_new_tokens, "everything again", **options)


@known_wrong(
    "generate",
    en="Without a cache only the last token is fed, so the model has forgotten the rest. "
    "use_cache=False needs the whole text at every step.",
    zh="没有缓存时也只输入最后一个 token，模型看不到前文。use_cache=False 时每一步都要输入全文。",
)
def always_the_last_only(model, tokens, max_new_tokens, **options):
    return written(model, tokens, max_new_tokens, "always the last only", **options)


@known_wrong(
    "generate",
    en="There is no cache: every step runs the whole text through the model. Make one with "
    "new_cache when use_cache is True, and hand it to the model.",
    zh="没有用缓存：每一步都让全文重新过一遍模型。use_cache 为 True 时，用 new_cache 建好缓存"
    "交给模型。",
)
def never_cached(model, tokens, max_new_tokens, **options):
    return generate(model, tokens, max_new_tokens, **(options | {"use_cache": False}))


@known_wrong(
    "generate",
    en="use_cache is ignored: with False everything has to be computed anew.",
    zh="没有理会 use_cache：为 False 时一切都应重新计算。",
)
def always_cached(model, tokens, max_new_tokens, **options):
    return generate(model, tokens, max_new_tokens, **(options | {"use_cache": True}))


@known_wrong(
    "generate",
    en="Only the new tokens come back; the prompts belong in front of them.",
    zh="只返回了新的 token；前面应带上提示词。",
)
def new_tokens_only(model, tokens, max_new_tokens, **options):
    return generate(model, tokens, max_new_tokens, **options)[:, tokens.size(1) :]


@known_wrong(
    "generate",
    en="max_new_tokens counts the new tokens; you took it for the length of the whole text.",
    zh="max_new_tokens 是新 token 的个数；你把它当成了全文的长度。",
)
def length_of_all(model, tokens, max_new_tokens, **options):
    generate(model, tokens, min(max_new_tokens, 0), **options)
    if tokens.size(1) + max_new_tokens > model.args.max_seq_len:
        raise ValueError("max_seq_len")
    return generate(model, tokens, max(max_new_tokens - tokens.size(1), 0), **options)


@known_wrong(
    "generate",
    en="Temperature 0, the default, must be greedy; you sampled at temperature 1.",
    zh="温度 0（默认值）应是贪心；你却按温度 1 采样了。",
)
def greedy_that_samples(model, tokens, max_new_tokens, **options):
    temperature = options.pop("temperature", 0.0) or 1.0
    return generate(model, tokens, max_new_tokens, temperature=temperature, **options)


@known_wrong(
    "generate",
    en="It always takes the most probable token: give temperature, top_k and top_p to sample.",
    zh="总是取概率最大的 token：要把 temperature、top_k、top_p 交给 sample。",
)
def always_greedy(model, tokens, max_new_tokens, **options):
    return generate(model, tokens, max_new_tokens, **(options | {"temperature": 0.0}))


@known_wrong(
    "generate",
    en="top_k and top_p never reach sample: hand them on.",
    zh="top_k 和 top_p 没有传给 sample：要传下去。",
)
def no_filters(model, tokens, max_new_tokens, **options):
    return generate(model, tokens, max_new_tokens, **(options | {"top_k": None, "top_p": None}))


@known_wrong(
    "generate",
    en="The generator never reaches sample, so a run cannot be repeated: hand it on.",
    zh="generator 没有传给 sample，结果无法重现：要传下去。",
)
def no_generator(model, tokens, max_new_tokens, **options):
    return generate(model, tokens, max_new_tokens, **(options | {"generator": None}))


@known_wrong(
    "generate",
    en="No stop token is heeded: remember which rows are finished, fill them with pad_id, and end "
    "when all are.",
    zh="没有理会停止符：要记住哪些行已结束，用 pad_id 填充，全部结束就停。",
)
def never_stops(model, tokens, max_new_tokens, **options):
    return generate(model, tokens, max_new_tokens, **(options | {"stop_tokens": ()}))


@known_wrong(
    "generate",
    en="The stop token itself is lost. It belongs to the text; pad_id comes after it.",
    zh="停止符本身丢了。它属于文本，之后才填 pad_id。",
)
def stop_token_dropped(model, tokens, max_new_tokens, **options):
    text = generate(model, tokens, max_new_tokens, **options)
    stops = torch.tensor(list(options.get("stop_tokens", ())), dtype=torch.int64)
    is_stop = torch.isin(text, stops)
    is_stop[:, : tokens.size(1)] = False
    return text.masked_fill(is_stop, options.get("pad_id", 0))


@known_wrong(
    "generate",
    en="Finished rows write on until the last row is done. From the stop token on they get pad_id.",
    zh="已结束的行还在继续写，直到最后一行结束。停止符之后应填 pad_id。",
)
def finished_rows_write_on(model, tokens, max_new_tokens, **options):
    return written(model, tokens, max_new_tokens, "finished rows write on", **options)


@known_wrong(
    "generate",
    en="One row that stops ends all the others. Keep `finished` a row, and end when all() are.",
    zh="一行停下，其余各行也跟着停了。应为每行各记一个 finished，全部 all() 结束才停。",
)
def one_stops_all(model, tokens, max_new_tokens, **options):
    return written(model, tokens, max_new_tokens, "one stops all", **options)


@known_wrong(
    "generate",
    en="A stop token in the prompt counts as written. Look at the newly chosen tokens only.",
    zh="提示词里的停止符也被当成写出来的了。只应检查新选出的 token。",
)
def prompts_can_stop(model, tokens, max_new_tokens, **options):
    return written(model, tokens, max_new_tokens, "prompts can stop", **options)


@known_wrong(
    "generate",
    en="Finished rows are filled with 0; the argument pad_id says with what.",
    zh="已结束的行总是用 0 填充；应该用参数 pad_id。",
)
def zeros_for_padding(model, tokens, max_new_tokens, **options):
    return generate(model, tokens, max_new_tokens, **(options | {"pad_id": 0}))


@known_wrong(
    "generate",
    en="The attention_mask is not given to the model, so rows read their padding.",
    zh="attention_mask 没有交给模型，各行把填充也读进去了。",
)
def mask_ignored(model, tokens, max_new_tokens, **options):
    mask = options.pop("attention_mask", None)
    if mask is not None and not mask[:, -1].all():
        raise ValueError("attention_mask")
    return generate(model, tokens, max_new_tokens, **options)


@known_wrong(
    "generate",
    en="The attention_mask stays as long as the prompt. It covers all tokens so far: add a column "
    "of ones at each step.",
    zh="attention_mask 一直和提示词一样长。它要覆盖到目前为止的全部 token：每步增加一列 1。",
)
def mask_stays_short(model, tokens, max_new_tokens, **options):
    return written(model, tokens, max_new_tokens, "mask stays short", **options)


@known_wrong(
    "generate",
    en="Rows padded on the right go on from their padding: refuse them with ValueError.",
    zh="右侧填充的行会从填充处往下写：应抛出 ValueError。",
)
def right_padding_goes_through(model, tokens, max_new_tokens, **options):
    return written(model, tokens, max_new_tokens, "right padding goes through", **options)


@known_wrong(
    "generate",
    en="The model writes in training mode, with dropout on: call model.eval() first.",
    zh="模型在训练模式下写作，dropout 是开着的：先调用 model.eval()。",
)
def dropout_stays_on(model, tokens, max_new_tokens, **options):
    return written(model, tokens, max_new_tokens, "dropout stays on", **options)


@known_wrong(
    "generate",
    en="The model is left in evaluation mode, so training would go on without dropout. Remember "
    "model.training and restore it.",
    zh="模型被留在了评估模式，之后的训练就没有 dropout 了。应记住 model.training 并恢复。",
)
def left_in_evaluation(model, tokens, max_new_tokens, **options):
    text = generate(model, tokens, max_new_tokens, **options)
    model.eval()
    return text


@known_wrong(
    "generate",
    en="Every step builds a graph for gradients that nobody takes: write under torch.no_grad().",
    zh="每一步都在为没人要的梯度建计算图：应在 torch.no_grad() 下写作。",
)
def graph_built(model, tokens, max_new_tokens, **options):
    return written(model, tokens, max_new_tokens, "graph", **options)


@known_wrong(
    "generate",
    en="The cache is float32 whatever the model is: give new_cache the dtype of its weights.",
    zh="不管模型是什么精度，缓存都是 float32：应把权重的 dtype 交给 new_cache。",
)
def float32_cache(model, tokens, max_new_tokens, **options):
    return written(model, tokens, max_new_tokens, "float32 cache", **options)
