"""The milestone of chapter 5: the learner's own model learns a paragraph by heart and writes it.

There is no tokenizer yet, so the vocabulary is the paragraph's own characters, in the order of
their code points. One text, all of it in each step: what is shown is that every part works with
every other, not that the model can speak.
"""

import math

import torch

PARAGRAPH = {
    "en": "A language model reads one token after another and keeps asking the same question: what "
    "comes next? Nobody told it what a word is. It only learned to be a little less surprised, "
    "again and again, until this sentence came out. The model that writes it is yours.",
    "zh": "语言模型一个接一个地读着字，心里始终只有一个问题：下一个是什么？没有人告诉过它什么是词。"
    "它只是一遍又一遍地学着少吃一点惊，直到这句话从它那里写了出来。写下这段话的模型，"
    "是你亲手搭起来的。",
}
GIVEN = {"en": 18, "zh": 6}  # how many characters the model is given to go on from

STEPS, AT_ONCE = 200, 10
ENOUGH = 0.02  # nats a character, in training
SIZES = {"dim": 96, "n_layers": 2, "n_heads": 6, "n_kv_heads": 3, "max_seq_len": 384}
AT_FIRST = 0.5  # how far from ln V the first loss may lie
AT_LAST = 0.1  # nats a character; the pairs of letters alone leave more than twice that


def milestone(stage):
    """Train, then write, then ask whether it was luck."""
    student, text = stage.student, PARAGRAPH[stage.language]
    letters = sorted(set(text))
    ids = torch.tensor([[letters.index(letter) for letter in text]])
    given, V = GIVEN[stage.language], len(letters)
    stage.begin(characters=len(text))

    config, model_file = student.lib("ch5.config"), student.lib("ch5.model")
    model, adam, parameters = student.run(prepare, config, model_file, SIZES | {"vocab_size": V})
    stage.has(parameters=parameters)
    while len(stage.losses) < STEPS and (not stage.losses or stage.losses[-1] > ENOUGH):
        stage.learned(student.run(train, model, adam, ids, AT_ONCE))

    logits = student.run(score, model, ids)
    loss = surprise(logits, ids)
    from_cache = student.run(
        score_with_cache, model, student.lib("ch5.kv_cache"), ids, SIZES["max_seq_len"]
    )
    changed = ids.clone()
    changed[:, -1] = (ids[:, -1] + 1) % V
    unaware = student.run(score, model, changed)
    written = student.run(write, model, ids[:, :given], len(text) - given, True)
    anew = student.run(write, model, ids[:, :given], len(text) - given, False)

    stage.wrote(text[:given], spell(written, letters)[given:], text[given:])
    first = stage.losses[0]
    stage.claim(
        en=f"Before it learns, it knows nothing: the first loss is near ln {V}.",
        zh=f"学习之前它一无所知：第一步的损失接近 ln {V}。",
        holds=abs(first - math.log(V)) < AT_FIRST,
        found=f"{first:.2f} ≈ {math.log(V):.2f}",
    )
    stage.claim(
        en="It has learned the paragraph: little surprises it any more.",
        zh="它学会了这段话：几乎不再感到意外。",
        holds=loss < AT_LAST,
        found=f"{loss:.3f} < {AT_LAST}",
    )
    stage.claim(
        en="It did so without looking ahead: another last character changes nothing before it.",
        zh="它没有偷看后文：改掉最后一个字，前面的打分不变。",
        holds=apart(logits[:, :-1], unaware[:, :-1]) < 1e-3,
        found=f"{apart(logits[:, :-1], unaware[:, :-1]):.0e}",
    )
    right = agreement(written, ids)
    stage.claim(
        en="It writes the rest by itself, each character the most probable one.",
        zh="它自己写出了余下的部分，每一步都取概率最大的字。",
        holds=same(written, ids),
        found=f"{right}/{len(text)}",
    )
    stage.claim(
        en="With the KV cache and without it, it writes the same and scores the same.",
        zh="用不用 KV 缓存，写出的字和打分都一样。",
        holds=same(written, anew) and apart(logits, from_cache) < 1e-3,
        found=f"{apart(logits, from_cache):.0e}",
    )


# ---- what runs in the room, on the learner's code


def prepare(m, config, model_file, sizes):
    """Transformer(ModelConfig(…))"""
    model = model_file.Transformer(config.ModelConfig(**sizes))
    weights = list(model.parameters())
    means = [torch.zeros_like(weight) for weight in weights]
    squares = [torch.zeros_like(weight) for weight in weights]
    done = [0]

    def adam(rate=3e-3, keep=0.9, keep_square=0.99):
        """One step of Adam; the library's own first imports a compiler, which takes seconds."""
        done[0] += 1
        with torch.no_grad():
            for weight, mean, square in zip(weights, means, squares, strict=True):
                if weight.grad is None:
                    continue
                mean.mul_(keep).add_(weight.grad, alpha=1 - keep)
                square.mul_(keep_square).addcmul_(weight.grad, weight.grad, value=1 - keep_square)
                size = (square / (1 - keep_square ** done[0])).sqrt() + 1e-8
                warm = min(1.0, done[0] / 10)  # the first steps know too little to be large
                weight.sub_(rate * warm * mean / (1 - keep ** done[0]) / size)
                weight.grad = None

    return model, adam, sum(weight.numel() for weight in weights)


def train(m, model, adam, ids, steps):
    """model(tokens, targets), backward, step"""
    model.train()
    losses = []
    for _ in range(steps):
        _, loss = model(ids[:, :-1], targets=ids[:, 1:])
        loss.backward()
        adam()
        losses.append(loss.item())
    return losses


def score(m, model, ids):
    """model(tokens)"""
    model.eval()
    with torch.no_grad():
        return model(ids)[0]


def score_with_cache(m, model, cache_file, ids, room):
    """model(tokens, cache=new_cache(…)), token by token"""
    model.eval()
    cache = cache_file.new_cache(model.args, 1, room)
    with torch.no_grad():
        steps = [model(ids[:, t : t + 1], cache=cache)[0] for t in range(ids.shape[1])]
    return torch.cat(steps, dim=1)


def write(m, model, prompt, n, use_cache):
    """generate(model, prompt, n)"""
    return m.generate(model, prompt, n, use_cache=use_cache)


# ---- what the judge makes of it


def surprise(logits, ids):
    """The mean cross entropy, in nats a character, of the scores that came back."""
    if logits.shape[:2] != ids.shape or not torch.isfinite(logits).all():
        return math.inf
    flat, targets = logits[0, :-1].double(), ids[0, 1:]
    return float(-flat.log_softmax(-1)[range(len(targets)), targets].mean())


def apart(a, b):
    """How far two tensors lie apart; infinitely, where they cannot be compared."""
    if a.shape != b.shape or not torch.isfinite(a).all() or not torch.isfinite(b).all():
        return math.inf
    return float((a - b).abs().max())


def same(a, b):
    return a.shape == b.shape and bool((a == b).all())


def agreement(written, ids):
    """How many characters are right before the first that is wrong."""
    count = 0
    for a, b in zip(written.flatten().tolist(), ids.flatten().tolist(), strict=False):
        if a != b:
            break
        count += 1
    return count


def spell(written, letters):
    return "".join(
        letters[one] if 0 <= one < len(letters) else "\ufffd" for one in written.flatten().tolist()
    )
