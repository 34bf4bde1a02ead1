"""How long learning BPE takes, against the Rust trainer of `tokenizers`, medians of one run.

    python benchmarks/tokenizer.py [--rounds 5]

Prints a table and exits 1 when a value is over its limit. Both learn from the same text to the
same size and take turns, so that a busy machine slows both alike; their merges must be the same.
Encoding is told too, without a limit.
"""

from __future__ import annotations

import argparse
import json
import pydoc_data.topics
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from happyllm.tokenizer import BPETokenizer, train_bpe
from happyllm.tokenizer.letters import letters_of

ENGLISH = Path(pydoc_data.topics.__file__).read_text(encoding="utf-8")
LARGE, MERGES = ENGLISH, 8000
SMALL, FEW_MERGES = ENGLISH[:130_000], 500
RATIO_LIMIT, SECONDS_LIMIT = 12.0, 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        ours = timed(times, "ours, large", lambda: train_bpe(LARGE, 256 + MERGES))
        theirs = timed(times, "theirs, large", lambda: rust(LARGE, 256 + MERGES))
        small = timed(times, "ours, small", lambda: train_bpe(SMALL, 256 + FEW_MERGES))
        rust_small = timed(times, "theirs, small", lambda: rust(SMALL, 256 + FEW_MERGES))
        fresh = BPETokenizer(ours.vocab, ours.merges)  # it has seen no word yet
        ids = timed(times, "ours, encode", lambda fresh=fresh: fresh.encode(LARGE))
        expected = timed(times, "theirs, encode", lambda theirs=theirs: theirs.encode(LARGE).ids)
        if not (same(ours, theirs) and same(small, rust_small) and ids == expected):
            print("merges or ids differ from those of tokenizers")
            return 1
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    print(f"{'what':44} {'ours s':>8} {'theirs s':>9} {'ratio':>6} {'limit':>7}")
    over = False
    for what, name, limit in (
        (f"learn {MERGES} merges from {len(LARGE) // 1000} KB", "large", f"{RATIO_LIMIT:.0f} x"),
        (f"learn {FEW_MERGES} merges from {len(SMALL) // 1000} KB", "small", f"{SECONDS_LIMIT} s"),
        (f"encode {len(LARGE) // 1000} KB", "encode", ""),
    ):
        mine, rusts = medians[f"ours, {name}"], medians[f"theirs, {name}"]
        within = (name != "large" or mine / rusts <= RATIO_LIMIT) and (
            name != "small" or mine <= SECONDS_LIMIT
        )
        over = over or not within
        mark = "" if within else "  OVER"
        print(f"{what:44} {mine:8.3f} {rusts:9.3f} {mine / rusts:6.2f} {limit:>7}{mark}")
    return int(over)


def timed(times: dict[str, list[float]], name: str, work: Callable):
    start = time.perf_counter()
    result = work()
    times.setdefault(name, []).append(time.perf_counter() - start)
    return result


def rust(text: str, vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def same(ours: BPETokenizer, theirs: Tokenizer) -> bool:
    merges = json.loads(theirs.to_str())["model"]["merges"]
    return merges == [[letters_of(left), letters_of(right)] for left, right in ours.merges]


if __name__ == "__main__":
    raise SystemExit(main())
