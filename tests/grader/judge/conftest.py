"""A small exercise with a suite of the test's own, graded for real."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grader.catalogue import Exercise, Text
from grader.judge.job import Job
from grader.judge.session import grade_in_worker
from grader.judge.student import AnyLease
from grader.report import Graded
from grader.sandbox.jail import Limits
from grader.sandbox.modules import Source

EXERCISE = Exercise(
    id="ch9/it",
    section="9.1",
    title=Text("It", "它"),
    objects=("happyllm.it:double", "happyllm.it:half"),
    blanks=("double", "half"),
    points=5,
    requires=(),
    time_limit_s=20.0,
    preload=("torch",),
    hints=(),
)
SOLUTION = "def double(x):\n    return x * 2\n\n\ndef half(x):\n    return x / 2\n"
HEAD = """
import random
import pytest, torch
from grader.judge import check
from grader.judge.diagnosis import known_wrong
"""


@pytest.fixture
def make_job(tmp_path: Path) -> Callable[..., Job]:
    """A job of the small exercise: a suite, and a submission."""

    def make(suite: str, code: str = SOLUTION, **changes: Any) -> Job:
        path = tmp_path / "test_it.py"
        path.write_text(HEAD + textwrap.dedent(suite), encoding="utf-8")
        given: dict[str, Any] = {
            "exercise": EXERCISE,
            "files": {"ch9/it.py": textwrap.dedent(code)},
            "solutions": (Source("ch9.it", "solutions/ch9/it.py", SOLUTION),),
            "own": False,
            "seed": 1,
            "time_s": 20.0,
            "limits": Limits(),
            "output_bytes": 4000,
            "suite": path,
        }
        return Job(**(given | changes))

    return make


@pytest.fixture
def grade(make_job: Callable[..., Job], lease: AnyLease) -> Callable[..., Graded]:
    """Grade a submission by a suite, in a jailed worker."""

    def run(suite: str, code: str = SOLUTION, **changes: Any) -> Graded:
        return grade_in_worker(make_job(suite, code, **changes), lease)

    return run
