"""Train small models for the figures of 5.3.4 and 5.3.5: python docs/figures/runs/training.py.

What comes out differs in its last digits from processor to processor, so it is kept in
training.json, beside this script, and the figures are drawn from there. A few minutes of one core.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from happyllm.data import PretrainDataset, SFTDataset, collate, encode_prompt
from happyllm.data.tinytales import Dice, Story, TaleConfig, is_exact, make_story
from happyllm.llama import ModelConfig, Transformer, generate
from happyllm.tokenizer import train_bpe
from happyllm.train import AdamW, cosine_lr, decay_groups, train_step

EASY = TaleConfig(n_people=1, n_events=3, level=1)
LONG = TaleConfig(n_people=3, n_events=8, level=1, questions_per_story=12)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
END, IM_START, IM_END = range(3)

dice = Dice("5.3")
tales = [make_story(dice, "en", EASY) for _ in range(2000)]
coder = train_bpe([tale.text for tale in tales], 512, list(SPECIAL))
sizes = ModelConfig(
    dim=64,
    n_layers=2,
    n_heads=4,
    n_kv_heads=2,
    vocab_size=coder.vocab_size,
    multiple_of=32,
    max_seq_len=512,
)


def packed(stories: Sequence[Story]) -> PretrainDataset:
    """The stories end to end, in rows of 64."""
    return PretrainDataset([i for s in stories for i in (*coder.encode(s.text), END)], 64)


def updates(
    model: Transformer, rows: PretrainDataset | SFTDataset, steps: int, lr: float, warmup: int
) -> Iterator[float]:
    """Train on batches of 8 rows; yield the loss of each update."""
    generator = torch.Generator().manual_seed(0)
    optimizer = AdamW(decay_groups(model, 0.1), betas=(0.9, 0.95))
    for step in range(1, steps + 1):
        chosen = torch.randint(len(rows), (8,), generator=generator).tolist()
        tokens, targets, _ = collate([rows[i] for i in chosen], END)
        rate = cosine_lr(step, max_lr=lr, min_lr=lr / 10, warmup_steps=warmup, total_steps=steps)
        batch = {"tokens": tokens, "targets": targets}
        yield train_step(model, optimizer, [batch], lr=rate, max_norm=1.0).loss


def conversation(tale: Story, questions: int) -> list[dict[str, str]]:
    """The first questions about a story, each with its answer; the story stands before them."""
    messages = []
    for number, asked in enumerate(tale.questions[:questions]):
        text = asked.text if number else f"{tale.text}\n{asked.text}"
        messages.append({"role": "user", "content": text})
        messages.append({"role": "assistant", "content": asked.answer})
    return messages


def exact(model: Transformer, unseen: Sequence[Story]) -> float:
    """The share of exact answers to the first question about each story."""
    prompts, answers = [], []
    for tale in unseen:
        messages = conversation(tale, 1)
        prompts.append(encode_prompt(messages[:1], coder, IM_START, IM_END))
        answers.append(messages[1]["content"])
    longest = max(map(len, prompts))
    rows = [[END] * (longest - len(prompt)) + prompt for prompt in prompts]
    real = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    written = generate(
        model,
        torch.tensor(rows),
        16,
        stop_tokens=[IM_END],
        attention_mask=torch.tensor(real),
    )
    texts = [coder.decode(row[longest:], skip_special=True) for row in written.tolist()]
    right = [is_exact(text, answer) for text, answer in zip(texts, answers, strict=True)]
    return sum(right) / len(right)


def rates() -> dict[str, list[float]]:
    """The loss of 300 updates at several highest rates."""
    rows, curves = packed(tales), {}
    for lr in (1e-4, 1e-3, 8e-3, 1e-1):
        torch.manual_seed(0)
        curves[f"{lr:g}"] = [round(x, 3) for x in updates(Transformer(sizes), rows, 300, lr, 20)]
    return curves


def density(kind: TaleConfig, fresh: bool) -> dict[str, list[tuple[int, float]]]:
    """(tokens read, exact answers) with all questions about a story, and with one."""
    dice = Dice("density")
    stories = [make_story(dice, "en", kind) for _ in range(16_000)]
    unseen = [make_story(dice, "en", kind, held_out=True) for _ in range(200)]
    torch.manual_seed(0)
    start = Transformer(sizes)
    for _ in updates(start, packed(stories[:2000]), 0 if fresh else 300, 8e-3, 20):
        pass
    curves = {}
    for name, questions in (("all", 12), ("one", 1)):
        model = Transformer(sizes)
        model.load_state_dict(start.state_dict())
        talks = [conversation(tale, questions) for tale in stories]
        rows = SFTDataset(talks, coder, IM_START, IM_END, sizes.max_seq_len - 12)
        mean = sum(len(tokens) for tokens, _ in rows.rows) / len(rows)
        steps = round(1.6e6 / 8 / mean)
        points = [(0, exact(model, unseen))]
        for step, _ in enumerate(updates(model, rows, steps, 5e-3, 20), start=1):
            if step % (steps // 16) == 0:
                points.append((round(step * 8 * mean), exact(model, unseen)))
        curves[name] = points
    return curves


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {
        "rates": rates(),
        "short": density(EASY, fresh=False),
        "long": density(LONG, fresh=False),
        "fresh": density(EASY, fresh=True),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(found) + "\n", encoding="utf-8")
