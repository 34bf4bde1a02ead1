"""On the stage: what the solution answered once need not be worked out again, and nothing changes.

Every verdict is compared with the one that the suite itself gives, asked from the beginning.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest

from grader.judge.job import Job
from grader.judge.session import Stage, grade_in_worker, on_stage
from grader.report import Graded
from grader.sandbox.nursery import Lease, Nursery

from .conftest import SOLUTION

SUITE = """
import sys
sys.ran = getattr(sys, "ran", [])

def test_it_doubles(student):
    sys.ran.append("doubles")
    for _ in range(3):
        x = torch.randn(3)
        check.equal(student.double(x), x * 2)
    check.raises(TypeError, lambda: student.double(None))

def test_it_halves(student):
    sys.ran.append("halves")
    x = torch.randn(3)
    check.equal(student.half(x), x / 2)

@known_wrong("double", en="You tripled it.", zh="你乘了三。")
def tripled(x):
    return x * 3

@known_wrong("half", en="You took a third.", zh="你取了三分之一。")
def thirds(x):
    return x / 3
"""
HALF = "def half(x): return x / 2\n"
BLANK = "raise NotImplementedError"

Staged = Callable[..., tuple[Graded, list[str]]]


@pytest.fixture
def staged(warm: Nursery) -> Staged:
    """Grade a job on a stage where its solution was rehearsed; which tests were run comes too."""

    def grade(job: Job, *, hear: bool = True, seed: int | None = None) -> tuple[Graded, list[str]]:
        import sys

        found = []

        def then(stage: Stage) -> None:
            stage.rehearse(
                dataclasses.replace(job, files={}, seed=job.seed if seed is None else seed)
            )
            if hear:
                stage.learn(job.exercise.id, stage.hear(job))
            sys.ran = []  # type: ignore[attr-defined]
            found.append(grade_in_worker(job, Lease(warm._connection), stage))

        assert job.suite is not None
        on_stage([job.suite], then)
        ran: list[str] = sys.ran  # type: ignore[attr-defined]
        return found[0], ran

    return grade


def essence(graded: Graded) -> Any:
    """A verdict without what depends on the clock."""
    tests = [dataclasses.replace(test, duration_s=0.0) for test in graded.tests]
    return dataclasses.replace(graded, duration_s=0.0, tests=tuple(tests))


def test_what_answers_as_the_solution_passes_and_no_test_is_run(make_job, staged, grade) -> None:
    graded, ran = staged(make_job(SUITE, SOLUTION + "# in my own words\n"))
    assert graded.outcome == "passed"
    assert [test.outcome for test in graded.tests] == ["passed", "passed"]
    assert ran == []
    assert essence(graded) == essence(grade(SUITE, SOLUTION + "# in my own words\n"))


def test_an_exception_in_the_same_words_is_the_same_wherever_it_was_raised(
    make_job, staged
) -> None:
    graded, ran = staged(
        make_job(SUITE, "\n\n" + HALF + "def double(x):\n    y = x * 2\n    return y")
    )
    assert graded.outcome == "passed"
    assert ran == []


ANSWERS = {
    "a known mistake": HALF + "def double(x): return x * 3",
    "two known mistakes": "def double(x): return x * 3\ndef half(x): return x / 3",
    "a mistake that nobody knows": HALF + "def double(x): return x * 5",
    "right in other bits": HALF + "def double(x): return (x.double() * 2.0000000001).float()",
    "right in another dtype": HALF + "def double(x): return (x * 2).double()",
    "an exception": HALF + "def double(x): return x.lost",
    "an exception in other words": HALF
    + "def double(x):\n if x is None: raise TypeError('no')\n return x * 2",
    "wrong from the third call on": HALF
    + "n = [0]\ndef double(x):\n n[0] += 1\n return x * (2 if n[0] < 3 else 3)",
    "right as often as it is asked by the suite": HALF
    + "n = [0]\ndef double(x):\n n[0] += 1\n return x * (2 if n[0] < 5 else 3)",
    "half of it": HALF + f"def double(x): {BLANK}",
    "nothing": f"def double(x): {BLANK}\ndef half(x): {BLANK}",
    "no Python": "def double(x:",
    "a crash": HALF + "import ctypes\ndef double(x): ctypes.string_at(0)",
    "a crash at the second call": HALF + "import os\nn = [0]\ndef double(x):\n n[0] += 1\n"
    " if n[0] == 2: os._exit(3)\n return x * 2",
    "what is printed": HALF + "def double(x):\n print('twice', x is None)\n return x * 3",
}


@pytest.mark.parametrize("hear", [True, False], ids=["heard", "unheard"])
@pytest.mark.parametrize("code", ANSWERS.values(), ids=ANSWERS.keys())
def test_a_verdict_is_the_one_that_the_suite_itself_gives(
    make_job, staged, grade, code: str, hear: bool
) -> None:
    graded, _ = staged(make_job(SUITE, code), hear=hear)
    assert essence(graded) == essence(grade(SUITE, code))


def test_a_loop_without_end_is_a_timeout(make_job, staged) -> None:
    graded, _ = staged(make_job(SUITE, HALF + "def double(x):\n while True: pass", time_s=0.5))
    assert graded.outcome == "timeout"


def test_only_what_answers_otherwise_is_put_to_the_suite(make_job, staged) -> None:
    graded, ran = staged(make_job(SUITE, "def double(x): return x * 2\ndef half(x): return x / 3"))
    assert graded.outcome == "failed"
    assert graded.mistake is not None
    assert graded.mistake.id == "thirds"
    assert ran == ["halves"]


def test_the_code_is_asked_nothing_twice(make_job, staged) -> None:
    counts = (
        "n = [0]\ndef half(x): return x / 2\ndef double(x):\n n[0] += 1\n print('call', n[0])\n"
    )
    graded, ran = staged(make_job(SUITE, counts + " return x * (2 if n[0] < 3 else 3)"))
    assert ran == ["doubles"]
    assert graded.printed is not None
    assert re.findall(r"call (\d+)", graded.printed.text) == ["1", "2", "3"]


def test_under_another_seed_the_suite_itself_is_run(make_job, staged) -> None:
    graded, ran = staged(make_job(SUITE), seed=2)
    assert graded.outcome == "passed"
    assert ran == ["doubles", "halves"]


def test_a_test_that_asks_otherwise_each_time_is_always_run(make_job, staged) -> None:
    suite = "import itertools, sys\nn = itertools.count()\nsys.ran = []\n"
    suite += "def test_it(student):\n    sys.ran.append('it')\n    x = next(n)\n"
    suite += "    check.equal(student.double(x), x * 2)\n"
    graded, ran = staged(make_job(suite))
    assert graded.outcome == "passed"
    assert ran == ["it"]


def test_a_suite_that_strays_from_its_script_is_asked_from_the_beginning(make_job, staged) -> None:
    suite = "import sys\nsys.ran = []\nn = [0]\n"
    suite += "def test_it(student):\n    n[0] += 1\n    sys.ran.append('it')\n"
    suite += "    x = torch.ones(2) * (1 if n[0] < 3 else 5)\n"
    suite += "    check.close(student.double(x), x * 2)\n"
    code = HALF + "def double(x): return (x.double() * 2.0000005).float()"
    graded, ran = staged(make_job(suite, code))
    assert graded.outcome == "passed"
    assert ran == ["it"]  # the suite was imported anew
