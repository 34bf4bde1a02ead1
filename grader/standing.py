"""Where a learner stands, as plain values: what `learning` finds out, and the renderers show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .catalogue import Chapter, Exercise, Hint, Milestone, Text

StateName = Literal["untouched", "failing", "solved", "solved_with_help"]


@dataclass(frozen=True)
class State:
    """Where the learner stands with one exercise.

    Hints and the solution are both help, when they came before the first pass; what is read after
    it is not.

    Attributes:
        name: `solved` when the last grading passed, and nothing helped before the first pass.
        outcome: of the last grading; None when there was none, or the exercise was begun anew.
        best: `passed` once it has passed, whatever came after; else the last outcome.
        attempts: how many different files were graded, up to the first pass.
        hints_used: how many rungs of the ladder were read before the first pass.
        gave_up: the solution was read before the first pass.
        changed: the file is no longer what was graded, or, ungraded, no longer the stub.
        mistake: the known mistake that the last grading named, by its id in the suite.
        failed: the tests that the last grading did not pass, by id.
    """

    name: StateName
    outcome: str | None = None
    best: str | None = None
    attempts: int = 0
    hints_used: int = 0
    gave_up: bool = False
    changed: bool = False
    mistake: str | None = None
    failed: tuple[str, ...] = ()

    @property
    def solved(self) -> bool:
        return self.name in ("solved", "solved_with_help")


@dataclass(frozen=True)
class Row:
    """One exercise, and where the learner stands with it.

    Attributes:
        waits_on: what it builds on that is not solved: it is right in isolation until then.
    """

    exercise: Exercise
    state: State
    waits_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChapterStanding:
    """One chapter."""

    chapter: Chapter
    rows: tuple[Row, ...]
    reached: bool

    @property
    def solved(self) -> int:
        return sum(row.state.solved for row in self.rows)

    @property
    def points(self) -> int:
        return sum(row.exercise.points for row in self.rows if row.state.solved)

    @property
    def points_possible(self) -> int:
        return sum(row.exercise.points for row in self.rows)


@dataclass(frozen=True)
class Step:
    """What to do next: an exercise, a chapter's milestone, or nothing more.

    Attributes:
        why: `begin` a stub, `grade` what was begun, `mend` what failed, `again` what was changed
            after it passed, the `milestone`, or `done`.
    """

    why: Literal["begin", "grade", "mend", "again", "milestone", "done"]
    row: Row | None = None
    milestone: Milestone | None = None

    @property
    def command(self) -> str:
        if self.row is not None:
            return f"happyllm-grade {self.row.exercise.id}"
        if self.milestone is not None:
            return f"happyllm-grade milestone {self.milestone.chapter}"
        return ""


@dataclass(frozen=True)
class Standing:
    """All of a workspace.

    Attributes:
        made_with: the version whose stubs these are, where it is not the present one.
        note: what is wrong with the memory, if anything is.
    """

    root: Path
    chapters: tuple[ChapterStanding, ...]
    next: Step
    made_with: str
    note: Text | None

    @property
    def waits(self) -> dict[str, tuple[str, ...]]:
        """What is right in isolation, and what it waits on."""
        return {row.exercise.id: row.waits_on for row in self if row.waits_on}

    def __iter__(self) -> Iterator[Row]:
        return (row for chapter in self.chapters for row in chapter.rows)


@dataclass(frozen=True)
class Rung:
    """One hint as it is shown.

    Attributes:
        place: where it stands in the catalogue's ladder, from 0.
        number: the how-manieth it is for this learner, from 1.
        of: how many there are.
        fits: it helps with what the last grading found.
    """

    hint: Hint
    place: int
    number: int
    of: int
    fits: bool
