"""What `happyllm-grade check` found: whether each exercise is sound, and what is wrong where not.

Plain frozen values, as in report.py; renderers look nowhere else.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

FINDINGS_VERSION = 1


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an exercise.

    Attributes:
        exercise: its id; empty for a problem of the whole tree.
        rule: the name of the rule that it breaks, `mistakes`.
        where: a file, from the root of the tree.
        what: one sentence.
        fix: what to do about it.
    """

    exercise: str
    rule: str
    where: str
    what: str
    fix: str


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test kills.

    Attributes:
        what: the change in one line.
        diff: the change, with the lines around it.
        note: how the suite names it, should it be equivalent.
    """

    id: str
    what: str
    diff: str
    note: str


@dataclass(frozen=True)
class Checked:
    """One exercise, checked.

    Attributes:
        tests: how many tests its suite has.
        mistakes: how many mistakes the suite knows, and `named` of them are named as themselves.
        rights: how many other right ways it knows, and `accepted` of them pass under every seed.
        mutants: how many mutants can be told from the solution, and `killed` of them were.
        equivalent: how many more the suite says change nothing.
        seeds: under how many seeds the solution holds.
        time_s: what the solution takes in the sandbox.
        proven: whether it was proven at all; not where the suite or the views cannot be used.
        cached: whether the proof is an earlier one of the same content.
    """

    id: str
    tests: int = 0
    mistakes: int = 0
    named: int = 0
    rights: int = 0
    accepted: int = 0
    mutants: int = 0
    killed: int = 0
    equivalent: int = 0
    seeds: int = 0
    time_s: float = 0.0
    proven: bool = False
    cached: bool = False
    problems: tuple[Problem, ...] = ()
    survivors: tuple[Survivor, ...] = ()

    @property
    def sound(self) -> bool:
        return self.proven and not self.problems

    @property
    def kill_rate(self) -> float:
        return self.killed / self.mutants if self.mutants else 1.0


@dataclass(frozen=True)
class Findings:
    """Everything that one check found.

    Attributes:
        problems: those of the whole tree.
    """

    exercises: tuple[Checked, ...]
    problems: tuple[Problem, ...] = ()
    duration_s: float = 0.0
    version: int = FINDINGS_VERSION

    @property
    def sound(self) -> bool:
        return not self.problems and all(checked.sound for checked in self.exercises)

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        return (*self.problems, *(p for checked in self.exercises for p in checked.problems))

    @property
    def exit_code(self) -> int:
        return 0 if self.sound else 1

    def to_json(self) -> str:
        table = dataclasses.asdict(self) | {"sound": self.sound}
        for entry, checked in zip(table["exercises"], self.exercises, strict=True):
            entry |= {"sound": checked.sound, "kill_rate": round(checked.kill_rate, 4)}
        return json.dumps(table, ensure_ascii=False, indent=2, allow_nan=False)
