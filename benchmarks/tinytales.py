"""What a small LLaMA2 learns of TinyTales in a given time, and how fast stories are made.

    python benchmarks/tinytales.py --seconds 600 --lang zh --levels 0.3 0.5 0.2

Pretraining documents and conversations are trained on side by side, the latter on their answers
alone. An answer is right when every token of it is the most probable one, which is what greedy
generation would write.
"""

import argparse
import itertools
import math
import time
from collections import defaultdict

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from happyllm.data import SFTDataset, collate
from happyllm.data.tinytales import Mix, records
from happyllm.llama import ModelConfig, Transformer, generate

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
EOS, IM_START, IM_END = range(3)


class Bpe:
    """Byte-level BPE, trained on some of the corpus; it takes special tokens as plain text."""

    def __init__(self, texts, vocab_size):
        self.tokenizer = Tokenizer(models.BPE())
        self.tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size - len(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        self.tokenizer.train_from_iterator(texts, trainer)
        self.size = self.tokenizer.get_vocab_size() + len(SPECIAL)

    def encode(self, text):
        return [i + len(SPECIAL) for i in self.tokenizer.encode(text).ids]

    def decode(self, ids):
        return self.tokenizer.decode([i - len(SPECIAL) for i in ids if i >= len(SPECIAL)])


def speed():
    for lang in ("en", "zh"):
        for level in range(3):
            mix = Mix(weights=tuple(float(i == level) for i in range(3)))
            source = records("eval_questions", lang, 1, mix), records("sft", lang, 1, mix)
            start = time.process_time()
            for _ in itertools.islice(source[1], 3000):
                pass
            rate = 3000 / (time.process_time() - start)
            print(f"{lang} level {level + 1}: {rate:,.0f} conversations/s")


def conversations_of(record):
    """The questions about one held-out story, as one conversation."""
    messages = [{"role": "system", "content": record["system"]}]
    for number, question in enumerate(record["questions"]):
        text = question["question"]
        text = f"{record['story']}\n{text}" if number == 0 else text
        messages.append({"role": "user", "content": text})
        messages.append({"role": "assistant", "content": question["answer"]})
    return messages


def accuracy(model, bpe, lang, mix, n_stories, max_len, alone):
    """Share of exact answers to held-out questions, by kind and level."""
    right, asked = defaultdict(int), defaultdict(int)
    model.eval()
    for record in itertools.islice(records("eval_questions", lang, 1, mix), n_stories):
        groups = [record["questions"]]
        if alone:  # each question by itself, at once after the story
            groups = [[question] for question in record["questions"]]
        for group in groups:
            messages = conversations_of(record | {"questions": group})
            tokens, targets = SFTDataset([messages], bpe, IM_START, IM_END, max_len)[0]
            with torch.no_grad():
                best = model(tokens[None])[0][0].argmax(-1)
            wrong = ((best != targets) & (targets != -100)).tolist()
            ends = (targets == IM_END).nonzero().flatten().tolist()
            start = 0
            for end, question in zip(ends, group, strict=False):
                is_right = not any(wrong[start : end + 1])
                for key in ("all", f"level {record['level']}", question["kind"]):
                    asked[key] += 1
                    right[key] += is_right
                start = end + 1
    model.train()
    return {key: (right[key] / asked[key], asked[key]) for key in sorted(asked)}


def batches(bpe, lang, mix, size, seq_len):
    """Endless batches: conversations of about one length, then a row of documents each."""
    talk = (record["messages"] for record in records("sft", lang, 0, mix))
    docs = (record["text"] for record in records("pretrain", lang, 0, mix))
    while True:
        rows = SFTDataset(itertools.islice(talk, 4 * size), bpe, IM_START, IM_END, seq_len).rows
        rows.sort(key=lambda row: len(row[0]))
        for i in range(0, len(rows), size):
            group = [(torch.tensor(a), torch.tensor(b)) for a, b in rows[i : i + size]]
            yield "answers", collate(group, EOS)[:2]
            group = []
            for text in itertools.islice(docs, size // 2):
                ids = torch.tensor([EOS, *bpe.encode(text), EOS][: seq_len + 1])
                group.append((ids[:-1], ids[1:]))
            yield "text", collate(group, EOS)[:2]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--lang", default="en")
    parser.add_argument("--levels", type=float, nargs=3, default=(0.3, 0.5, 0.2))
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--vocab", type=int, default=768)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--seq-len", type=int, default=384)
    parser.add_argument("--speed", action="store_true", help="only say how fast stories are made")
    given = parser.parse_args()
    if given.speed:
        speed()
        return
    torch.manual_seed(0)
    mix = Mix(weights=tuple(given.levels))
    texts = [r["text"] for r in itertools.islice(records("pretrain", given.lang, 0, mix), 2000)]
    bpe = Bpe(texts, given.vocab)
    args = ModelConfig(
        dim=given.dim,
        n_layers=given.layers,
        n_heads=4,
        n_kv_heads=4,
        vocab_size=bpe.size,
        multiple_of=32,
        max_seq_len=given.seq_len,
    )
    model = Transformer(args)
    adam = torch.optim.AdamW(model.parameters(), lr=given.lr, betas=(0.9, 0.95), weight_decay=0.01)
    print(f"{model.num_params():,} parameters, {bpe.size} tokens, {sum(map(len, texts)):,} letters")
    print(
        "ids a letter:", sum(len(bpe.encode(t)) for t in texts[:200]) / sum(map(len, texts[:200]))
    )
    start, seen, step, losses = time.monotonic(), 0, 0, {"answers": [], "text": []}
    report = 15.0
    for kind, (tokens, targets) in batches(bpe, given.lang, mix, given.batch, given.seq_len):
        done = (time.monotonic() - start) / given.seconds
        if done >= 1:
            break
        rate = given.lr * min(1, step / 50) * (0.55 + 0.45 * math.cos(math.pi * done))
        for group in adam.param_groups:
            group["lr"] = rate
        loss = model(tokens, targets)[1]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)
        losses[kind].append(loss.item())
        seen, step = seen + tokens.numel(), step + 1
        if time.monotonic() - start > report:
            report += 15 if given.seconds < 200 else 60
            told = "  ".join(f"{k} {sum(v[-20:]) / len(v[-20:]):.3f}" for k, v in losses.items())
            rate = seen / (time.monotonic() - start)
            print(f"{time.monotonic() - start:5.0f} s  step {step}  {rate:,.0f} tokens/s  {told}")
    for alone in (False, True):
        found = accuracy(model, bpe, given.lang, mix, 60, given.seq_len, alone)
        print("each question alone" if alone else "all questions of a story in turn")
        print("  " + "  ".join(f"{key} {share:.0%} of {n}" for key, (share, n) in found.items()))
    prompt = torch.tensor([[EOS]])
    model.eval()
    for _ in range(2):
        ids = generate(model, prompt, 120, temperature=0.7, stop_tokens=(EOS,))[0].tolist()
        print("--", bpe.decode(ids))


if __name__ == "__main__":
    main()
