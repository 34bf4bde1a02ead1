"""Naming the mistake: the known wrong answer that always says what the learner's code says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

import torch

from grader.catalogue import Text
from grader.report import Mistake
from grader.sandbox.modules import Source
from grader.sandbox.worker import Room, local_room

from .student import (
    Asked,
    BadAnswer,
    Died,
    LocalBackend,
    OutOfMemory,
    Raised,
    Remote,
    Student,
    StudentFailure,
    TimedOut,
)

_MARK = "__known_wrong__"
ROUNDINGS = 256  # two ways to make the same mistake differ by rounding, not by more

Variant = TypeVar("Variant", bound=Callable[..., Any])


@dataclass(frozen=True)
class KnownWrong:
    """A mistake that people make, as code.

    Attributes:
        id: the variant's own name in the suite, `tiled`.
        target: what it stands in for, `repeat_kv` or `RMSNorm.forward`.
        message: what to tell the learner who made it.
        variant: the function or class.
    """

    id: str
    target: str
    message: Text
    variant: Any


def known_wrong(target: str, *, en: str, zh: str) -> Callable[[Variant], Variant]:
    """Mark a function or class of a suite as a mistake that people make.

    Args:
        target: the object of the exercise that it stands in for, `repeat_kv` or `RMSNorm.forward`.
        en: what to say to who made it, in English.
        zh: the same, in Chinese.
    """

    def mark(variant: Variant) -> Variant:
        entry = KnownWrong(variant.__name__, target, Text(en=en, zh=zh), variant)
        setattr(variant, _MARK, entry)
        return variant

    return mark


def known_wrongs(suite: ModuleType) -> tuple[KnownWrong, ...]:
    """The mistakes that a suite knows, in the order of its file."""
    return tuple(
        entry
        for name, value in vars(suite).items()
        if isinstance(entry := getattr(value, "__dict__", {}).get(_MARK), KnownWrong)
        and entry.id == name
    )


def wrong_room(solution: Sequence[Source], target: str, wrong: KnownWrong) -> Room:
    """A room that holds the solution with one mistake put into it."""
    room = local_room(solution, target)
    *path, name = wrong.target.split(".")
    owner: Any = room.modules[target]
    for step in path:
        owner = getattr(owner, step)
    getattr(owner, name)  # a target that is not there is the suite's mistake
    setattr(owner, name, wrong.variant)
    return room


def diagnose(
    logs: Sequence[Sequence[Asked]],
    wrongs: Iterable[KnownWrong],
    open_room: Callable[[KnownWrong], Room],
) -> Mistake | None:
    """Name the mistake that explains every answer, if one of the known ones does.

    Args:
        logs: what each test asked and was answered.
        wrongs: the mistakes to try, in order.
        open_room: makes a room that holds one of them.
    """
    if not any(logs) or any(_unexplainable(asked.answer) for log in logs for asked in log):
        return None
    for wrong in wrongs:
        if all(explains(open_room(wrong), log) for log in logs):
            return Mistake(id=wrong.id, message=wrong.message)
    return None


def explains(room: Room, log: Sequence[Asked]) -> bool:
    """Whether a room gives the same answers to the same requests."""
    again = Student(LocalBackend(room), (), "")
    for asked in log:
        what = (asked.op, asked.on, asked.name, asked.args, asked.kwargs)
        try:
            answer = again._ask(*what, title=asked.title, code=asked.code)
        except StudentFailure as failure:
            answer = failure
        if not same(answer, asked.answer):
            return False
    return True


def _unexplainable(answer: Any) -> bool:
    return isinstance(answer, TimedOut | OutOfMemory | Died | BadAnswer)


def same(one: Any, other: Any) -> bool:
    """Whether two answers are the same up to rounding."""
    if isinstance(one, Raised) or isinstance(other, Raised):
        return isinstance(one, Raised) and isinstance(other, Raised) and one.type == other.type
    if isinstance(one, StudentFailure) or isinstance(other, StudentFailure):
        return False
    if isinstance(one, Remote) or isinstance(other, Remote):
        return isinstance(one, Remote) and isinstance(other, Remote)
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return _same_tensors(one, other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(_pairs(one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-8) or (
            one != one and other != other
        )
    return type(one) is type(other) and bool(one == other)


def _pairs(one: Sequence[Any], other: Sequence[Any]) -> Iterator[bool]:
    return (same(a, b) for a, b in zip(one, other, strict=True))


def _same_tensors(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.is_complex:
        return _same_tensors(torch.view_as_real(one), torch.view_as_real(other))
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
    allowed = ROUNDINGS * torch.finfo(one.dtype).eps * size
    return bool(((a - b)[finite].abs() <= allowed).all())
