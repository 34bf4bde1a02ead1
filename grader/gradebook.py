"""What a class has got: frozen dataclasses, and their JSON form (schema/gradebook.schema.json).

Everything that the class's renderers show is in here as plain values; none looks anywhere else.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .catalogue import Text
from .report import Outcome, Report

BOOK_VERSION = 1
SCHEMA = Path(__file__).parent / "schema" / "gradebook.schema.json"

Status = Literal[
    "graded",
    "unreadable",  # something was handed in, and cannot be read
    "missing",  # nothing was handed in
    "ungraded",  # handed in, and not graded yet
]


@dataclass(frozen=True)
class Student:
    """One line of the roster; without a roster, the name of what was handed in."""

    id: str
    name: str = ""
    email: str = ""
    section: str = ""

    @property
    def shown(self) -> str:
        return self.name or self.id


@dataclass(frozen=True)
class Column:
    """One exercise of the assignment, and what it is worth here."""

    exercise: str
    title: Text
    points: float


@dataclass(frozen=True)
class Mark:
    """What one exercise has given.

    Attributes:
        points: before what lateness takes away.
        mistake: the known mistake that was named, if one was.
    """

    exercise: str
    outcome: Outcome
    points: float
    possible: float
    mistake: Text | None = None


@dataclass(frozen=True)
class Integrity:
    """What a grade rests on, so that it can be found again.

    Attributes:
        submission: hash of the files that count.
        suites: hash of the suites, with the solutions that they need.
        environment: hash of the versions and of the grader's own code.
        policy: hash of the parts of the policy that change a verdict.
        isolation: the weakest that was in force.
        seal: hash of all that and of the report.
    """

    happyllm: str
    python: str
    torch: str
    submission: str
    suites: str
    environment: str
    policy: str
    seed: int
    isolation: str
    seal: str

    @property
    def line(self) -> str:
        """All in one line, to be printed at the foot of a page."""
        hashes = {
            "submission": self.submission,
            "suites": self.suites,
            "environment": self.environment,
            "policy": self.policy,
            "seal": self.seal,
        }
        said = " ".join(f"{name}={value[:16]}" for name, value in hashes.items())
        versions = f"happyllm={self.happyllm} python={self.python} torch={self.torch}"
        return f"{versions} {said} seed={self.seed} isolation={self.isolation}"


@dataclass(frozen=True)
class Attempt:
    """One hand-in of a student.

    Attributes:
        name: of the folder or archive.
        number: 1 for the first.
        submitted_at: in UTC, where it is known.
        late_s: how late it came, after the student's own extension.
        penalty: the share of the points that lateness takes away.
        points: after the penalty.
        report: what was found; none where it could not be read.
        problem: why it cannot be read.
        notes: what was left out of it.
    """

    name: str
    number: int
    submitted_at: str | None
    late_s: float
    penalty: float
    points: float
    marks: tuple[Mark, ...] = ()
    report: Report | None = None
    problem: Text | None = None
    notes: tuple[Text, ...] = ()
    integrity: Integrity | None = None


@dataclass(frozen=True)
class Row:
    """One student's line: the attempt that counts, and how many there were."""

    student: Student
    status: Status
    attempts: int
    points: float
    counted: Attempt | None = None

    @property
    def has_fault(self) -> bool:
        """Whether the grader itself failed on something: then this is no grade yet."""
        return self.counted is not None and any(
            mark.outcome == "fault" for mark in self.counted.marks
        )


@dataclass(frozen=True)
class Book:
    """A class and its grades.

    Attributes:
        made_at: when the newest of the grades was made, in UTC.
        attempt: which attempt counts, `best` or `last`.
        strangers: hand-ins that belong to nobody on the roster.
    """

    version: int
    title: Text
    chapter: str
    made_at: str
    attempt: str
    seed: int
    happyllm: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    strangers: tuple[str, ...] = ()

    @property
    def possible(self) -> float:
        return neat(sum(column.points for column in self.columns))

    @property
    def graded(self) -> tuple[Row, ...]:
        """The rows with a grade that stands."""
        return tuple(row for row in self.rows if row.status == "graded")

    def to_json(self) -> str:
        """The book without the reports, which have a form and a file of their own."""
        table = _table(self) | {"points_possible": self.possible}
        text = json.dumps(table, ensure_ascii=False, indent=2, allow_nan=False)
        return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


@dataclass(frozen=True)
class Sheet:
    """What one student is told: their row, and of its report what the policy lets them see.

    Attributes:
        due: their own due date, in UTC.
        hints: for exercises that did not pass, by exercise.
    """

    title: Text
    row: Row
    columns: tuple[Column, ...]
    due: str | None = None
    hints: tuple[tuple[str, Text], ...] = ()

    @property
    def report(self) -> Report | None:
        return self.row.counted.report if self.row.counted is not None else None

    @property
    def possible(self) -> float:
        return neat(sum(column.points for column in self.columns))


def _table(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [field.name for field in dataclasses.fields(value) if field.name != "report"]
        return {name: _table(getattr(value, name)) for name in fields}
    if isinstance(value, tuple):
        return [_table(one) for one in value]
    return value


def neat(points: float) -> float:
    """Points rounded to hundredths; whole ones as whole numbers."""
    rounded = round(points, 2)
    return int(rounded) if rounded == int(rounded) else rounded


def file_names(ids: Iterable[str]) -> Iterator[tuple[str, str]]:
    """A name for a file of each, that every file system takes, and no two the same."""
    import hashlib
    import re

    taken: set[str] = set()
    for one in ids:
        plain = re.sub(r"[^\w.-]", "_", one).strip(".")[:80] or "_"
        reserved = re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", plain)
        if plain != one or reserved or plain.casefold() in taken:
            sum_ = hashlib.sha256(one.encode("utf-8", "surrogatepass")).hexdigest()[:8]
            plain = f"{plain}-{sum_}" if not reserved else f"_{plain}-{sum_}"
        taken.add(plain.casefold())
        yield one, plain
