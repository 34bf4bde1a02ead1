"""A class of a few, with real files, and the shortest assignment that there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from grader import catalogue, shelf
from grader.classroom import batch, policy, roster
from grader.classroom.batch import Assignment, Run
from grader.classroom.record import Record

KNOWN = catalogue.load()
RIGHT = shelf.solution(KNOWN["ch5/repeat_kv"])
TILED = "def repeat_kv(x, n_rep):\n    return x.repeat(1, 1, n_rep, 1)\n"
RULES = '[assignment]\nexercises = ["ch5/repeat_kv"]\n[grading]\nseed = 7\n'


def lay(root: Path, text: str = RIGHT, file: str = "ch5/repeat_kv.py") -> Path:
    """Put a hand-in into a folder."""
    place = root / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, encoding="utf-8")
    return root


def assignment(rules: str = RULES) -> Assignment:
    return batch.assignment("ch5", KNOWN, policy.parse(rules, KNOWN))


@pytest.fixture
def subs(tmp_path: Path) -> Path:
    """Two who handed in, one right and one wrong."""
    lay(tmp_path / "subs/alice")
    lay(tmp_path / "subs/bob", TILED)
    return tmp_path / "subs"


@pytest.fixture
def graded(tmp_path: Path) -> Callable[..., list[batch.Event]]:
    """Grade a folder into the record `out/record.sqlite`; what was told comes back."""

    def run(subs: Path, rules: str = RULES, jobs: int = 1, **more: object) -> list[batch.Event]:
        with Record.open(tmp_path / "out/record.sqlite") as record:
            work = Run(record, assignment(rules), jobs=jobs, **more)  # type: ignore[arg-type]
            matched = roster.match(roster.listed(subs), None)
            return [*work.collect(matched), *work.grade()]

    return run


def outcomes(place: Path) -> dict[str, dict[str, str]]:
    """The grades in a record: by the name of the hand-in and by exercise."""
    with Record.read(place) as record:
        return {
            one.name: {n: r.graded.outcome for n, r in record.grades(one.id).items()}
            for one in record.submissions()
            if one.stands
        }
