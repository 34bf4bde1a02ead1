"""What the judge is to do: one exercise of a submission, and by which rules."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.catalogue import Exercise
from grader.report import Graded
from grader.sandbox.jail import Limits
from grader.sandbox.modules import Source


@dataclass(frozen=True)
class Job:
    """One submission's file for one exercise, with what stands beside it and what judges it.

    Attributes:
        files: every file of the submission, by its path in the workspace.
        solutions: those of all that this exercise requires, in order, and its own last.
        own: the learner's own requirements are used, not the solutions.
        seed: the hidden inputs are drawn from it.
        suite: the hidden suite, where it is not the exercise's own.
        stop_early: end at the first test that does not pass.
        first: the tests to begin with, where the order is free.
        diagnose: name the mistake when a test does not pass.
        on_verdict: told the verdict while the mistake is still without its name.
    """

    exercise: Exercise
    files: Mapping[str, str]
    solutions: tuple[Source, ...]
    own: bool
    seed: int
    time_s: float
    limits: Limits
    output_bytes: int
    suite: Path | None = None
    stop_early: bool = False
    first: tuple[str, ...] = ()
    diagnose: bool = True
    on_verdict: Callable[[Graded], None] | None = None

    @property
    def modules(self) -> list[Source]:
        """What the room is given: the learner's files, and solutions in place of requirements."""
        modules = {
            path: Source(path.removesuffix(".py").replace("/", "."), path, text)
            for path, text in self.files.items()
        }
        if not self.own:
            for source in self.solutions[:-1]:
                modules[f"{source.name.replace('.', '/')}.py"] = source.compiled()
        return list(modules.values())


def names_of(exercise: Exercise) -> list[str]:
    """What an exercise asks to be defined, by name."""
    return [reference.split(":")[1] for reference in exercise.objects]


def seed_for(seed: int, *labels: str) -> int:
    """A seed for one purpose, from which no other can be told."""
    text = "/".join([str(seed), *labels]).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:6], "big")
