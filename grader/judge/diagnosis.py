"""Naming the mistake: the known wrong answer that always says what the learner's code says.

A mistake is named for certain only when it alone explains every answer, right ones and wrong ones.
Where none does, two mistakes met perhaps: then the one that explains the most is named, with the
share that it explains. A variant explains nothing where it answers as the solution does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from grader.report import Mistake
from grader.sandbox.worker import Room

from .marks import KnownWrong, known_wrong, known_wrongs, wrong_room
from .student import Asked, Backend, LocalBackend, Raised, Remote, Student, StudentFailure

__all__ = ["KnownWrong", "Seen", "diagnose", "explainers", "known_wrong", "known_wrongs"]
__all__ += ["same", "wrong_room"]

ROUNDINGS = 256  # two ways to make the same mistake differ by rounding, not by more
FEW_ROUNDINGS = 2
COARSE = 0.01  # the largest share of a value that many roundings may come to

OpenRoom = Callable[[KnownWrong | None], Room]
"""Makes a room that holds the solution with one mistake put into it, or the solution itself."""


@dataclass(frozen=True)
class Seen:
    """One test as it went: what it asked and was answered, and whether it passed."""

    log: Sequence[Asked]
    passed: bool


def diagnose(
    seen: Iterable[Seen], wrongs: Iterable[KnownWrong], open_room: OpenRoom
) -> Mistake | None:
    """Name the mistake that explains every answer, or else the one that explains the most.

    Args:
        seen: every test that asked something.
        wrongs: the mistakes to try, in order.
        open_room: makes a room that holds one of them, or none.
    """
    fits = explainers(seen, wrongs, open_room)
    if not fits:
        return None
    (wrong, share), *others = fits
    rivals = tuple(other.id for other, _ in others)
    certain = share == 1.0 and not rivals
    return Mistake(wrong.id, wrong.message, certain, round(share, 4), rivals)


def explainers(
    seen: Iterable[Seen], wrongs: Iterable[KnownWrong], open_room: OpenRoom
) -> list[tuple[KnownWrong, float]]:
    """The mistakes that explain the most failing tests, and what share of them that is.

    A mistake explains a failing test when it gives every answer that the learner's code gave, and
    one of them is not the solution's. It must not give another answer where the learner's is right.
    """
    tests = [one for one in seen if one.log]
    if all(one.passed for one in tests):
        return []
    solution = open_room(None)
    failing = [_Failing(one.log, solution) for one in tests if not one.passed]
    telling = [one for one in failing if one.wrong]
    others = [one.log for one in tests if one.passed]
    others += [one.log for one in failing if not one.wrong]
    rooms = [(wrong, open_room(wrong)) for wrong in wrongs]
    sure = [
        (wrong, 1.0)
        for wrong, room in rooms
        if telling
        and all(one.is_explained(room) for one in telling)
        and all(explains(room, log) for log in others)
    ]
    return sure or _nearest(telling, others, rooms)


def _nearest(
    telling: Sequence[_Failing],
    others: Sequence[Sequence[Asked]],
    rooms: Sequence[tuple[KnownWrong, Room]],
) -> list[tuple[KnownWrong, float]]:
    """The mistakes that explain the most tests and contradict none of the others."""
    counts = [
        (sum(one.is_explained(room) for one in telling), number)
        for number, (_, room) in enumerate(rooms)
    ]
    best: list[tuple[KnownWrong, float]] = []
    most = 1
    for count, number in sorted(counts, key=lambda entry: (-entry[0], entry[1])):
        wrong, room = rooms[number]
        if count < most:
            break
        if all(explains(room, log) for log in others):
            most = count
            best.append((wrong, count / len(telling)))
    return best


class _Failing:
    """A test that the learner's code fails, beside what the solution answers in it."""

    def __init__(self, log: Sequence[Asked], solution: Room):
        self.log = log
        self.right = [ours for ours, _ in replay(LocalBackend(solution), log)]
        self.wrong = {  # the answers that are not the solution's, to the last bits
            number
            for number, (right, asked) in enumerate(zip(self.right, log, strict=True))
            if not same(right, asked.answer, FEW_ROUNDINGS)
        }

    def is_explained(self, room: Room) -> bool:
        """Whether a room gives the same answers, and at a wrong one not the solution's."""
        found = False
        for number, (ours, theirs) in enumerate(replay(LocalBackend(room), self.log)):
            if not same(ours, theirs):
                return False
            right = self.right[number]
            found = found or (number in self.wrong and not same(right, ours, FEW_ROUNDINGS))
        return found


def explains(room: Room, log: Sequence[Asked]) -> bool:
    """Whether a room gives the same answers to the same requests."""
    return all(same(answer, theirs) for answer, theirs in replay(LocalBackend(room), log))


def replay(backend: Backend, log: Sequence[Asked]) -> Iterator[tuple[Any, Any]]:
    """Put the same requests to a room; its answers, each beside the learner's."""
    again = Student(backend, (), "")
    for asked in log:
        what = (asked.op, asked.on, asked.name, asked.args, asked.kwargs)
        try:
            answer = again._ask(*what, title=asked.title, code=asked.code)
        except StudentFailure as failure:
            answer = failure
        yield answer, asked.answer


def _same_exceptions(ours: Raised, theirs: Raised) -> bool:
    """Whether two exceptions tell of one mistake.

    Where the learner's own `raise` speaks, the words are the learner's and only the type counts.
    What Python or torch says must be said of both: many mistakes end in some TypeError.
    """
    if ours.type != theirs.type:
        return False
    if theirs.frames and theirs.frames[-1].text.startswith(("raise", "assert")):
        return True
    return _said(ours) == _said(theirs)


def _said(error: Raised) -> str:
    return re.sub(r"0x[0-9a-f]+", "0x", error.message)


def same(one: Any, other: Any, roundings: int = ROUNDINGS) -> bool:
    """Whether our answer and the learner's are the same up to rounding."""
    if isinstance(one, Raised) and isinstance(other, Raised):
        return _same_exceptions(one, other)
    if isinstance(one, StudentFailure) or isinstance(other, StudentFailure):
        return False
    if isinstance(one, Remote) or isinstance(other, Remote):
        return isinstance(one, Remote) and isinstance(other, Remote)
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return _same_tensors(one, other, roundings)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(same(a, b, roundings) for a, b in pairs)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            same(one[key], other[key], roundings) for key in one
        )
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-8) or (
            one != one and other != other
        )
    return type(one) is type(other) and bool(one == other)


def _same_tensors(one: torch.Tensor, other: torch.Tensor, roundings: int) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.is_complex:
        return _same_tensors(torch.view_as_real(one), torch.view_as_real(other), roundings)
    if one.numel() == 0 or not one.dtype.is_floating_point:
        return bool(torch.equal(one, other))
    a, b = one.double(), other.double()
    finite = b.isfinite()
    if not torch.equal(a.isfinite(), finite):
        return False
    odd_a, odd_b = a[~finite], b[~finite]
    if not bool(((odd_a == odd_b) | (odd_a.isnan() & odd_b.isnan())).all()):
        return False
    size = float(b[finite].abs().max()) if finite.any() else 0.0
    eps = torch.finfo(one.dtype).eps
    allowed = max(FEW_ROUNDINGS * eps, min(roundings * eps, COARSE)) * size
    return bool(((a - b)[finite].abs() <= allowed).all())
