"""Which hand-ins of a class are alike: frozen dataclasses, and their JSON form.

The form is published in schema/similarity.schema.json. What is in here is evidence for a person to
look at; nothing in it is a verdict, and no grade depends on it.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from .catalogue import Text

RESEMBLANCE_VERSION = 1
SCHEMA = Path(__file__).parent / "schema" / "similarity.schema.json"


@dataclass(frozen=True)
class Span:
    """Lines that say the same on both sides, counted from 1.

    Attributes:
        tokens: how many tokens they have in common.
    """

    left_first: int
    left_last: int
    right_first: int
    right_last: int
    tokens: int


@dataclass(frozen=True)
class Match:
    """What two hand-ins have in common in one exercise.

    Attributes:
        score: the larger of the two shares.
        left_share, right_share: how much of what each has of its own is also in the other's; what
            the stub gives, the book shows and much of the class has is nobody's own.
        tokens: how many tokens they have in common.
        as_solution: how much of that is in the grader's own solution too, which whoever has solved
            an exercise or given up is shown.
        spans: where, in the order of the left side.
    """

    exercise: str
    file: str
    score: float
    left_share: float
    right_share: float
    tokens: int
    as_solution: float
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Pair:
    """Two hand-ins that are alike, by the ids of their students."""

    left: str
    right: str
    matches: tuple[Match, ...]

    @property
    def score(self) -> float:
        return max(match.score for match in self.matches)

    @property
    def tokens(self) -> int:
        return sum(match.tokens for match in self.matches)


@dataclass(frozen=True)
class Compared:
    """One exercise: what was compared of it, and what was not.

    Attributes:
        hand_ins: how many were compared.
        own: tokens of its solution that neither the stub gives nor the book shows.
        too_short: these are too few to tell two authors by, and nothing was compared.
        shared: hand-ins most of which is what much of the class has; that was left out.
    """

    exercise: str
    hand_ins: int
    own: int
    too_short: bool
    shared: int


@dataclass(frozen=True)
class NotCompared:
    """A hand-in, or one file of it, that cannot be compared, and why."""

    student: str
    file: str
    why: Text


@dataclass(frozen=True)
class Resemblance:
    """A class, compared.

    Attributes:
        hand_ins: how many were read.
        threshold: pairs whose score is lower are not listed.
    """

    version: int
    happyllm: str
    chapter: str
    title: Text
    hand_ins: int
    threshold: float
    pairs: tuple[Pair, ...]
    exercises: tuple[Compared, ...]
    not_compared: tuple[NotCompared, ...]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), ensure_ascii=True, indent=2) + "\n"
