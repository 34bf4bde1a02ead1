"""How long from a save to its verdict on the screen of `watch`, beside a cold `pytest`.

    python benchmarks/watch.py [--rounds 15] [--load 0]

The real command runs in a terminal of its own. Each round saves a wrong answer and a right one as
an editor does (a temporary file, renamed), and takes the time from the rename until the verdict is
drawn; then `pytest` is started on a suite that compares the same file with the reference. They take
turns, so that a busy machine slows all of them alike. `--load N` keeps N processors busy meanwhile.
Prints medians and exits 1 when one is over its limit, or less than 7 times faster than pytest.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pexpect

from grader import catalogue, shelf

ROOT = Path(__file__).resolve().parents[1]
COMMAND = [sys.executable, "-m", "grader"]
AT_LEAST = 7.0
PATIENCE_S = 120.0
PASSED, FAILED, AT_WORK, IDLE = "✔", "✘", "●", "○"

REPEAT_KV = """
import pytest, torch
from ch5.repeat_kv import repeat_kv as mine
from happyllm.llama.attention import repeat_kv

@pytest.mark.parametrize(("K", "n_rep"), [(2, 3), (4, 2), (1, 8), (3, 1)])
def test_the_heads(K, n_rep):
    x = torch.randn(2, 5, K, 8)
    torch.testing.assert_close(mine(x, n_rep), repeat_kv(x, n_rep))

def test_the_dtype():
    x = torch.randn(2, 5, 2, 8).bfloat16()
    assert torch.equal(mine(x, 3), repeat_kv(x, 3))

def test_a_view():
    x = torch.randn(2, 2, 5, 8).transpose(1, 2)
    torch.testing.assert_close(mine(x, 3), repeat_kv(x, 3))

@pytest.mark.parametrize("n_rep", [1, 3])
def test_the_gradient(n_rep):
    x = torch.randn(2, 5, 2, 8, requires_grad=True)
    w = torch.randn(2, 5, 2 * n_rep, 8)
    ours, = torch.autograd.grad((mine(x, n_rep) * w).sum(), x)
    theirs, = torch.autograd.grad((repeat_kv(x, n_rep) * w).sum(), x)
    torch.testing.assert_close(ours, theirs)
"""

ATTENTION = """
import pytest, torch
from ch5.attention import Attention as Mine, causal_mask as mask
from happyllm.llama.attention import Attention, causal_mask
from happyllm.llama.cache import KVCache
from happyllm.llama.config import ModelConfig
from happyllm.llama.rotary import precompute_freqs_cis

def both(**more):
    config = ModelConfig(dim=16, n_heads=4, n_kv_heads=2, n_layers=1, max_seq_len=32, **more)
    ours, theirs = Mine(config).eval(), Attention(config).eval()
    theirs.load_state_dict(ours.state_dict())
    return config, ours, theirs

@pytest.mark.parametrize(("T", "S"), [(1, 1), (5, 5), (2, 7), (1, 4)])
def test_the_mask(T, S):
    assert torch.equal(mask(T, S), causal_mask(T, S))

@pytest.mark.parametrize("flash_attn", [True, False])
@pytest.mark.parametrize("T", [1, 2, 7, 16])
@pytest.mark.parametrize("B", [1, 3])
def test_the_output(flash_attn, T, B):
    config, ours, theirs = both(flash_attn=flash_attn)
    x, tables = torch.randn(B, T, 16), precompute_freqs_cis(config.head_dim, T)
    torch.testing.assert_close(ours(x, *tables), theirs(x, *tables))

@pytest.mark.parametrize("flash_attn", [True, False])
def test_a_mask_is_obeyed(flash_attn):
    config, ours, theirs = both(flash_attn=flash_attn)
    x, tables = torch.randn(2, 6, 16), precompute_freqs_cis(config.head_dim, 6)
    seen = torch.rand(6, 6).gt(0.5) | torch.eye(6, dtype=torch.bool)
    torch.testing.assert_close(ours(x, *tables, seen), theirs(x, *tables, seen))

@pytest.mark.parametrize("flash_attn", [True, False])
def test_the_gradients(flash_attn):
    config, ours, theirs = both(flash_attn=flash_attn)
    x, tables = torch.randn(2, 6, 16), precompute_freqs_cis(config.head_dim, 6)
    for one in (ours, theirs):
        one(x, *tables).square().sum().backward()
    for mine, its in zip(ours.parameters(), theirs.parameters()):
        torch.testing.assert_close(mine.grad, its.grad)
"""


@dataclass(frozen=True)
class Case:
    """One exercise: a wrong answer to it, a suite for pytest, and the limit in seconds."""

    id: str
    right: str
    wrong: str
    suite: str
    limit_s: float


@dataclass
class Times:
    wrong: list[float] = field(default_factory=list)
    named: list[float] = field(default_factory=list)
    right: list[float] = field(default_factory=list)
    pytest: list[float] = field(default_factory=list)


def cases() -> list[Case]:
    known = catalogue.load()
    attention = shelf.solution(known["ch5/attention"])
    tiled = attention.replace("repeat_kv(xk, self.n_rep)", "xk.repeat(1, 1, self.n_rep, 1)")
    assert tiled != attention
    return [
        Case(
            "ch5/repeat_kv",
            shelf.solution(known["ch5/repeat_kv"]),
            "def repeat_kv(x, n_rep):\n    return x.repeat(1, 1, n_rep, 1)\n",
            REPEAT_KV,
            0.25,
        ),
        Case("ch5/attention", attention, tiled, ATTENTION, 0.5),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--load", type=int, default=0, help="processors kept busy meanwhile")
    given = parser.parse_args()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(given.load)]
    print(f"load average at the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    over = False
    try:
        for case in cases():
            with tempfile.TemporaryDirectory() as folder:
                times = measure(case, Path(folder), given.rounds)
            over = report(case, times) or over
    finally:
        for process in busy:
            process.kill()
            process.wait()
    print(f"load average at the end: {os.getloadavg()[0]:.1f}")
    return int(over)


def measure(case: Case, folder: Path, rounds: int) -> Times:
    shutil.copytree(ROOT / "solutions" / "ch5", folder / "ch5")
    suite = folder / "test_beside.py"
    suite.write_text(case.suite, encoding="utf-8")
    file = folder / f"{case.id}.py"
    child = pexpect.spawn(
        COMMAND[0],
        [*COMMAND[1:], "watch", case.id, "--workspace", str(folder), "--lang", "en"],
        cwd=str(ROOT),
        env=dict(os.environ, TERM="xterm-256color", LANG="C.UTF-8"),
        dimensions=(60, 100),
        encoding="utf-8",
        timeout=PATIENCE_S,
    )
    times = Times()
    wait(child, PASSED)
    try:
        for number in range(rounds + 1):
            started = save(file, case.wrong)
            wrong = wait(child, FAILED) - started
            named = wait(child, IDLE) - started
            started = save(file, case.right)
            right = wait(child, PASSED) - started
            wait(child, "passed.")
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(suite)],
                cwd=folder,
                env=dict(os.environ, PYTHONPATH=f"{folder}{os.pathsep}{ROOT}"),
                check=True,
                stdout=subprocess.DEVNULL,
            )
            took = time.perf_counter() - started
            if number:  # the first round fills caches
                times.wrong.append(wrong)
                times.named.append(named)
                times.right.append(right)
                times.pytest.append(took)
        child.send("q")
        child.expect(pexpect.EOF)
    finally:
        child.close(force=True)
    return times


def save(file: Path, text: str) -> float:
    """Save as an editor does; the time of the rename."""
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, file)
    return time.perf_counter()


def wait(child: pexpect.spawn, mark: str) -> float:
    """When a mark is drawn."""
    child.expect_exact(mark)
    return time.perf_counter()


def report(case: Case, times: Times) -> bool:
    """Print one exercise's medians; whether one is over its limit."""
    cold = statistics.median(times.pytest)
    print(f"\n{case.id}")
    print(f"  {'':34} {'p50 s':>7} {'spread':>14} {'pytest is':>12} {'limit':>7}")
    print(f"  {'pytest, cold':34} {cold:7.3f} {spread(times.pytest):>14}")
    over = False
    for name, taken, counts in (
        ("save to verdict, wrong answer", times.wrong, True),
        ("save to verdict, right answer", times.right, True),
        ("save to the end of the diagnosis", times.named, False),
    ):
        median = statistics.median(taken)
        slow = counts and (median > case.limit_s or cold / median < AT_LEAST)
        over = over or slow
        limit = f"{case.limit_s:.2f} s" if counts else ""
        print(
            f"  {name:34} {median:7.3f} {spread(taken):>14} {cold / median:8.1f} x  "
            f"{limit:>7}{'  OVER' if slow else ''}"
        )
    return over


def spread(taken: list[float]) -> str:
    return f"{min(taken):.2f} to {max(taken):.2f}"


if __name__ == "__main__":
    sys.exit(main())
