"""Naming the mistake: the known wrong answer that always says what the learner's code says.

A mistake is named for certain only when it alone explains every answer, right ones and wrong ones.
Where none does, two mistakes met perhaps: then the one that explains the most is named, with the
share that it explains. A variant explains nothing where it answers as the solution does.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from grader.report import Mistake
from grader.sandbox.worker import Room

from .marks import KnownWrong, known_wrong, known_wrongs, wrong_room
from .rehearsal import Script
from .student import (
    Asked,
    Backend,
    LocalBackend,
    Raised,
    Remote,
    Student,
    StudentFailure,
    told_by,
)

__all__ = [
    "Heard",
    "KnownWrong",
    "Seen",
    "diagnose",
    "hear",
    "explainers",
    "known_wrong",
    "known_wrongs",
]
__all__ += ["same", "wrong_room"]

ROUNDINGS = 256  # two ways to make the same mistake differ by rounding, not by more
FEW_ROUNDINGS = 2
COARSE = 0.01  # the largest share of a value that many roundings may come to

OpenRoom = Callable[[KnownWrong | None], Room]
"""Makes a room that holds the solution with one mistake put into it, or the solution itself."""


@dataclass(frozen=True)
class Seen:
    """One test as it went: what it asked and was answered, and whether it passed.

    Attributes:
        test: its name, where there is a script of it.
        followed: every answer was the solution's, as in the script.
    """

    log: Sequence[Asked]
    passed: bool
    test: str = ""
    followed: bool = False


@dataclass(frozen=True)
class Heard:
    """What the known mistakes answer to a script, found out before anybody makes one.

    Attributes:
        replies: by mistake and test, the replies that are not the solution's, by their place.
        agreeing: by mistake, the tests in which it answers as the solution does.
    """

    replies: Mapping[str, Mapping[str, Mapping[int, bytes]]]
    agreeing: Mapping[str, frozenset[str]]


def hear(script: Script, wrongs: Iterable[KnownWrong], open_room: OpenRoom) -> Heard:
    """Put a script to every known mistake."""
    replies: dict[str, dict[str, dict[int, bytes]]] = {}
    agreeing: dict[str, frozenset[str]] = {}
    for wrong in wrongs:
        backend = LocalBackend(open_room(wrong))
        others: dict[str, dict[int, bytes]] = {}
        agrees = set()
        for test, scene in script.tests.items():
            lines = scene.lines
            came = [backend.ask(line.asked.sent) for line in lines]
            pairs = [
                (n, one, line.asked) for n, (one, line) in enumerate(zip(came, lines, strict=True))
            ]
            others[test] = {n: one for n, one, asked in pairs if one != asked.came}
            if all(
                same(told_by(one, lines[n].asked), lines[n].asked.answer)
                for n, one in others[test].items()
            ):
                agrees.add(test)
        replies[wrong.id], agreeing[wrong.id] = others, frozenset(agrees)
    return Heard(replies, agreeing)


def diagnose(
    seen: Iterable[Seen],
    wrongs: Iterable[KnownWrong],
    open_room: OpenRoom,
    script: Script | None = None,
    heard: Heard | None = None,
) -> Mistake | None:
    """Name the mistake that explains every answer, or else the one that explains the most.

    Args:
        seen: every test that asked something.
        wrongs: the mistakes to try, in order.
        open_room: makes a room that holds one of them, or none.
        script: what the solution answers, if it has been asked before.
        heard: what the mistakes answer to the script, if they have been asked before.
    """
    fits = explainers(seen, wrongs, open_room, script, heard)
    if not fits:
        return None
    (wrong, share), *others = fits
    rivals = tuple(other.id for other, _ in others)
    certain = share == 1.0 and not rivals
    return Mistake(wrong.id, wrong.message, certain, round(share, 4), rivals)


def explainers(
    seen: Iterable[Seen],
    wrongs: Iterable[KnownWrong],
    open_room: OpenRoom,
    script: Script | None = None,
    heard: Heard | None = None,
) -> list[tuple[KnownWrong, float]]:
    """The mistakes that explain the most failing tests, and what share of them that is.

    A mistake explains a failing test when it gives every answer that the learner's code gave, and
    one of them is not the solution's. It must not give another answer where the learner's is right.
    """
    tests = [one for one in seen if one.log]
    if all(one.passed for one in tests):
        return []
    solution = _Voice(None, open_room, script, heard)
    failing = [_Failing(one, solution) for one in tests if not one.passed]
    telling = [one for one in failing if one.wrong]
    others = [one for one in tests if one.passed]
    others += [one.seen for one in failing if not one.wrong]
    voices = [(wrong, _Voice(wrong, open_room, script, heard)) for wrong in wrongs]
    sure = [
        (wrong, 1.0)
        for wrong, voice in voices
        if telling
        and all(one.is_explained(voice) for one in telling)
        and all(voice.explains(one) for one in others)
    ]
    return sure or _nearest(telling, others, voices)


def _nearest(
    telling: Sequence[_Failing],
    others: Sequence[Seen],
    voices: Sequence[tuple[KnownWrong, _Voice]],
) -> list[tuple[KnownWrong, float]]:
    """The mistakes that explain the most tests and contradict none of the others."""
    counts = [
        (sum(one.is_explained(voice) for one in telling), number)
        for number, (_, voice) in enumerate(voices)
    ]
    best: list[tuple[KnownWrong, float]] = []
    most = 1
    for count, number in sorted(counts, key=lambda entry: (-entry[0], entry[1])):
        wrong, voice = voices[number]
        if count < most:
            break
        if all(voice.explains(one) for one in others):
            most = count
            best.append((wrong, count / len(telling)))
    return best


class _Voice:
    """A known mistake, or the solution: it is asked only what it has not been asked before."""

    def __init__(
        self,
        wrong: KnownWrong | None,
        open_room: OpenRoom,
        script: Script | None,
        heard: Heard | None,
    ):
        self.wrong = wrong
        self.open_room = open_room
        self.script = script if wrong is None or heard is not None else None
        self.heard = heard

    @functools.cached_property
    def room(self) -> Room:
        return self.open_room(self.wrong)

    def answers(self, one: Seen) -> Iterator[Any]:
        """What it answers to what a test asked."""
        scene = self.script.tests.get(one.test) if self.script is not None else None
        lines = scene.lines if scene is not None else ()
        asked = [entry.sent for entry in one.log]
        if not lines or asked != [line.asked.sent for line in lines[: len(asked)]]:
            for answer, _ in replay(LocalBackend(self.room), one.log):
                yield answer
            return
        replies: Mapping[int, bytes] = {}
        if self.wrong is not None and self.heard is not None:
            replies = self.heard.replies[self.wrong.id].get(one.test, {})
        for number, entry in enumerate(one.log):
            ours = lines[number].asked
            reply = replies.get(number, ours.came)
            if reply == entry.came:
                yield entry.answer
            else:
                yield told_by(reply, entry) if number in replies else ours.answer

    def explains(self, one: Seen) -> bool:
        """Whether it gives the same answers to the same requests."""
        if one.followed and self.wrong is not None and self.heard is not None:
            return one.test in self.heard.agreeing[self.wrong.id]
        theirs = (entry.answer for entry in one.log)
        return all(
            same(mine, other) for mine, other in zip(self.answers(one), theirs, strict=False)
        )


class _Failing:
    """A test that the learner's code fails, beside what the solution answers in it."""

    def __init__(self, seen: Seen, solution: _Voice):
        self.seen = seen
        self.right = list(solution.answers(seen))
        self.wrong = {  # the answers that are not the solution's, to the last bits
            number
            for number, (right, asked) in enumerate(zip(self.right, seen.log, strict=True))
            if not same(right, asked.answer, FEW_ROUNDINGS)
        }
        self.found: dict[_Voice, bool] = {}

    def is_explained(self, voice: _Voice) -> bool:
        """Whether a mistake gives the same answers, and at a wrong one not the solution's."""
        if voice not in self.found:
            self.found[voice] = self._is_explained(voice)
        return self.found[voice]

    def _is_explained(self, voice: _Voice) -> bool:
        found = False
        for number, ours in enumerate(voice.answers(self.seen)):
            if not same(ours, self.seen.log[number].answer):
                return False
            right = self.right[number]
            found = found or (number in self.wrong and not same(right, ours, FEW_ROUNDINGS))
        return found


def replay(backend: Backend, log: Sequence[Asked]) -> Iterator[tuple[Any, Any]]:
    """Put the same requests to a room; its answers, each beside the learner's."""
    again = Student(backend, (), "")
    for asked in log:
        yield again._ask_again(asked), asked.answer


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
    if one is other and not isinstance(one, StudentFailure):  # they came as the same bytes
        return True
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
