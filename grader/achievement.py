"""What a chapter's milestone showed, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

from .catalogue import Text
from .report import Failure, Printed


@dataclass(frozen=True)
class Claim:
    """One thing that a milestone claims, and what was found.

    Attributes:
        found: the numbers, `0.003 < 0.1`.
    """

    text: Text
    holds: bool
    found: str


@dataclass(frozen=True)
class Achievement:
    """How an attempt at a milestone ended.

    Attributes:
        milestone: its id, `ch5/milestone`.
        losses: the loss of each step, first to last.
        given: the beginning of the text, which the model was given.
        written: what it wrote after that.
        expected: what it was to write.
        parameters: how many numbers the model has.
        failure: what ended the attempt, if it did not come to its end.
    """

    milestone: str
    losses: tuple[float, ...]
    given: str
    written: str
    expected: str
    claims: tuple[Claim, ...]
    parameters: int
    seed: int
    isolation: str
    duration_s: float
    failure: Failure | None = None
    printed: Printed | None = None

    @property
    def reached(self) -> bool:
        """All that is claimed holds, and something was claimed."""
        return self.failure is None and bool(self.claims) and all(c.holds for c in self.claims)

    @property
    def exit_code(self) -> int:
        """0 reached, 1 not, 3 the grader's own fault."""
        if self.failure is not None and self.failure.kind == "fault":
            return 3
        return 0 if self.reached else 1


@dataclass(frozen=True)
class Progressed:
    """How far the training of a milestone has come."""

    characters: int
    step: int
    loss: float
