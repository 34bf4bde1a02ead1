"""How long a learner waits, as ratios to `python -c "import torch"`, medians of one run.

    python benchmarks/latency.py [--rounds 7]

Prints a table and exits 1 when a ratio is over its limit. Commands take turns, so that a busy
machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GRADE = (sys.executable, "-m", "grader")
SOLUTIONS = ("--workspace", str(ROOT / "solutions"), "--format", "plain")

COMMANDS = {
    "python -c 'import torch'": (sys.executable, "-c", "import torch"),
    "happyllm-grade ch5/repeat_kv": (*GRADE, "ch5/repeat_kv", *SOLUTIONS),
    "happyllm-grade 5.1": (*GRADE, "5.1", *SOLUTIONS),
    "happyllm-grade --help": (*GRADE, "--help"),
    "happyllm-grade list": (*GRADE, "list"),
}
BASE = "python -c 'import torch'"
RATIO_LIMITS = {"happyllm-grade ch5/repeat_kv": 1.5, "happyllm-grade 5.1": 3.0}
SECOND_LIMITS = {"happyllm-grade --help": 0.3, "happyllm-grade list": 0.3}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, command in COMMANDS.items():
            took = measure(command)
            if number:  # the first round fills the file cache
                times[name].append(took)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    over = False
    print(f"{'command':32} {'median s':>9} {'spread':>15} {'ratio':>6} {'limit':>7}")
    for name, median in medians.items():
        ratio = median / medians[BASE]
        limit, within = "", True
        if name in RATIO_LIMITS:
            limit, within = f"{RATIO_LIMITS[name]:.1f} x", ratio <= RATIO_LIMITS[name]
        elif name in SECOND_LIMITS:
            limit, within = f"{SECOND_LIMITS[name]:.1f} s", median <= SECOND_LIMITS[name]
        over = over or not within
        spread = f"{min(times[name]):.2f} to {max(times[name]):.2f}"
        mark = "" if within else "  OVER"
        print(f"{name:32} {median:9.3f} {spread:>15} {ratio:6.2f} {limit:>7}{mark}")
    return int(over)


def measure(command: tuple[str, ...]) -> float:
    started = time.perf_counter()
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
        env=dict(os.environ, LANG="C.UTF-8"),
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
