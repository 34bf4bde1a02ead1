"""A class with known verdicts, graded in isolation, beside one pytest process a submission without.

    python benchmarks/classroom.py [--size 200] [--jobs 2] [--pytest 20] [--exercises 5.1]

Prints submissions a minute for both in one run, the ratio, and the memory of the grader early and
late; every verdict is compared with what the class was made to be. Exits 1 when one differs, when
somebody was harmed, or when the ratio is below its limit (which counts from 100 submissions on).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from grader import catalogue, shelf  # noqa: E402
from grader.catalogue import Exercise  # noqa: E402
from grader.classroom import batch, policy, roster  # noqa: E402
from grader.classroom.record import Record  # noqa: E402
from grader.sandbox.jail import STRENGTHS  # noqa: E402
from tests.attacks import hand_ins  # noqa: E402

LIMIT = 5.0  # times as fast as pytest
WRONG = {
    "ch5/repeat_kv": "def repeat_kv(x, n_rep):\n    return x.repeat(1, 1, n_rep, 1)\n",
    "ch5/rms_norm": (
        "import torch\n\n\nclass RMSNorm(torch.nn.Module):\n"
        "    def __init__(self, dim, eps=1e-5):\n        super().__init__()\n"
        "        self.eps = eps\n        self.weight = torch.nn.Parameter(torch.ones(dim))\n\n"
        "    def forward(self, x):\n"
        "        return x * torch.rsqrt(x.pow(2).sum(-1, keepdim=True) + self.eps) * self.weight\n"
    ),
}


@dataclass(frozen=True)
class Member:
    """One of the class, and the outcomes that each exercise may have; none is unreadable."""

    name: str
    kind: str
    outcomes: dict[str, set[str]] | None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--pytest", type=int, default=20, help="so many of them by pytest")
    parser.add_argument("--exercises", default="5.1")
    told = parser.parse_args()
    known = catalogue.load()
    exercises = known.find(told.exercises)
    with tempfile.TemporaryDirectory() as folder:
        subs = Path(folder, "subs")
        members = make(subs, exercises, told.size)
        marker = Path(folder, "marker")
        minutes, memory, found = ours(subs, Path(folder, "out"), told.exercises, told.jobs)
        sample = [member for member in members if member.kind in ("right", "wrong")][: told.pytest]
        theirs = by_pytest([subs / member.name for member in sample], exercises, told.jobs)
        harmed = marker.exists() or any(Path("/tmp").glob("PWNED*"))
    wrong = compared(members, found)
    per_minute = len(members) / minutes
    pytest_per_minute = len(sample) / theirs
    kinds = {
        kind: sum(m.kind == kind for m in members)
        for kind in dict.fromkeys(m.kind for m in members)
    }
    print(f"{len(members)} submissions of {len(exercises)} exercises, {told.jobs} at once: {kinds}")
    print(f"{'':34}{'a minute':>10}")
    print(f"{'happyllm-grade class, isolated':34}{per_minute:10.1f}")
    print(f"{'pytest, a process each, no jail':34}{pytest_per_minute:10.1f}")
    ratio = per_minute / pytest_per_minute
    print(f"ratio {ratio:.1f}, limit {LIMIT:.0f} from 100 submissions on")
    if memory:
        early, late = memory[len(memory) // 10], memory[-1]
        print(f"memory of the grader and its judges: {early:.0f} MB early, {late:.0f} MB late")
    print(f"verdicts that are not what they were made to be: {len(wrong)}; harmed: {harmed}")
    for line in wrong:
        print(f"  {line}")
    return int(bool(wrong) or harmed or (told.size >= 100 and ratio < LIMIT))


def make(subs: Path, exercises: tuple[Exercise, ...], size: int) -> list[Member]:
    """Half right, a quarter wrong, and of the rest a third each hostile, broken and empty."""
    chance = random.Random(1)
    hostile = [
        one
        for one in hand_ins.all_of_them()
        if one.exercise in {e.id for e in exercises}
        and "{{" not in one.text
        and not (one.one("link") or one.one("pipe") or one.one("many") or one.one("hole"))
        and one.is_stopped_by(STRENGTHS[0])
    ]
    members = []
    for number in range(size):
        name, root = f"s{number:04}", subs / f"s{number:04}"
        kind = ("right", "wrong", "right", chance.choice(("hostile", "broken", "empty")))[
            number % 4
        ]
        passed = {e.id: {"passed"} for e in exercises}
        if kind == "empty":
            root.mkdir(parents=True)
            members.append(Member(name, kind, None))
            continue
        for exercise in exercises:
            text = shelf.solution(exercise) + f"\n# {name}\n"  # nobody's is the same
            place = root / exercise.file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        if kind == "wrong":
            one = chance.choice([name for name in WRONG if name in passed])
            (root / f"{one}.py").write_text(WRONG[one] + f"# {name}\n")
            passed[one] = {"failed"}
        elif kind == "broken":
            one = chance.choice(list(passed))
            (root / f"{one}.py").write_text(f"def broken(:  # {name}\n")
            passed[one] = {"error"}
        elif kind == "hostile":
            attack = hostile[number % len(hostile)]
            (root / f"{attack.exercise}.py").write_text(attack.text)
            passed[attack.exercise] = attack.deserved
        members.append(Member(name, kind, passed))
    return members


def ours(
    subs: Path, out: Path, chapter: str, jobs: int
) -> tuple[float, list[float], dict[str, dict[str, str]]]:
    """Minutes from a cold start to the last verdict, memory while it ran, and the outcomes."""
    known = catalogue.load()
    what = batch.assignment(chapter, known, policy.parse("[grading]\nseed = 1\n", known))
    memory: list[float] = []
    found: dict[str, dict[str, str]] = {}
    started = time.perf_counter()
    with Record.open(out / "record.sqlite") as record, watched(memory):
        run = batch.Run(record, what, jobs=jobs)
        for _ in run.collect(roster.match(roster.listed(subs), None)):
            pass
        for event in run.grade():
            if isinstance(event, batch.Exercised):
                found.setdefault(event.submission.name, {})[event.graded.id] = event.graded.outcome
    return (time.perf_counter() - started) / 60, memory, found


@contextlib.contextmanager
def watched(memory: list[float]) -> Iterator[None]:
    """Note, once a second, the memory of this process and of the warm ones beside it."""
    over = threading.Event()

    def look() -> None:
        me = psutil.Process()
        while not over.wait(1.0):
            mb = me.memory_info().rss / (1 << 20)
            for child in me.children():
                with contextlib.suppress(psutil.Error):
                    mb += child.memory_info().rss / (1 << 20)
            memory.append(mb)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def by_pytest(roots: list[Path], exercises: tuple[Exercise, ...], jobs: int) -> float:
    """Minutes for one pytest process a submission, as many at once, without any isolation.

    It runs the same tests on the same code: a conftest gives each suite the submission's own module
    as `student`, in the process of the tests.
    """
    with tempfile.TemporaryDirectory() as folder:
        suites = []
        for exercise in exercises:
            suite = Path(folder, f"test_{exercise.name}.py")
            suite.write_text(exercise.suite.read_text(encoding="utf-8"), encoding="utf-8")
            suites.append(str(suite))
        Path(folder, "conftest.py").write_text(_CONFTEST)
        started = time.perf_counter()
        left, running = list(roots), []
        while left or running:
            while left and len(running) < jobs:
                env = dict(os.environ, SUBMISSION=str(left.pop()), OMP_NUM_THREADS="1")
                env["PYTHONPATH"] = str(ROOT)
                command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c"]
                command += [os.devnull, "--rootdir", folder, "--import-mode=importlib", *suites]
                running.append(
                    subprocess.Popen(
                        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                    )
                )
            running.pop(0).wait()
        return (time.perf_counter() - started) / 60


_CONFTEST = """
import importlib, os, sys
from types import SimpleNamespace
import pytest
sys.path.insert(0, os.environ["SUBMISSION"])

class Student:
    def __init__(self, module):
        self._module = module
    def __getattr__(self, name):
        return getattr(self._module, name)
    def run(self, probe, *args, **more):
        return probe(self._module, *args, **more)
    def lib(self, name):
        return importlib.import_module(name)

@pytest.fixture
def student(request):
    name = request.node.path.stem.removeprefix("test_")
    return Student(importlib.import_module(f"ch5.{name}"))
"""


def compared(members: list[Member], found: dict[str, dict[str, str]]) -> list[str]:
    """What did not come out as it was made to."""
    wrong = []
    for member in members:
        got = found.get(member.name, {})
        if member.outcomes is None:
            if got:
                wrong.append(f"{member.name} ({member.kind}): graded, and there is nothing in it")
            continue
        for exercise, deserved in member.outcomes.items():
            if got.get(exercise) not in deserved:
                said = f"{exercise} is {got.get(exercise)}, and not {' or '.join(sorted(deserved))}"
                wrong.append(f"{member.name} ({member.kind}): {said}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
