"""What a suite says of itself: mistakes that people make, other right ways, idle mutants.

The marks stand beside the tests. A mistake is named to the learner who makes it; another right way
must pass; a mutant of the reference that changes nothing is named with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from grader.catalogue import Text
from grader.sandbox.modules import Source
from grader.sandbox.worker import Room, local_room

_MARK = "__suite_mark__"

Variant = TypeVar("Variant", bound=Callable[..., Any])
Kind = TypeVar("Kind", "KnownWrong", "AlsoRight")


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


@dataclass(frozen=True)
class AlsoRight:
    """A right answer that does not look like the reference.

    Attributes:
        id: the variant's own name in the suite, `by_einsum`.
        target: what it stands in for.
        en: what is different about it, for an author.
        variant: the function or class.
    """

    id: str
    target: str
    en: str
    variant: Any


@dataclass(frozen=True)
class EquivalentMutant:
    """A mutant of the reference that no test can kill, because it changes nothing.

    Attributes:
        target: the function that is mutated, `repeat_kv` or `RMSNorm.forward`.
        was: the line of the solution that the mutant changes, or several.
        becomes: what it becomes; empty where the line is dropped.
        because: why nothing changes.
    """

    target: str
    was: str
    becomes: str
    because: str


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


def also_right(target: str, *, en: str = "") -> Callable[[Variant], Variant]:
    """Mark a function or class of a suite as a right answer that does not look like the reference.

    Args:
        target: the object of the exercise that it stands in for.
        en: what is different about it, for the next author.
    """

    def mark(variant: Variant) -> Variant:
        setattr(variant, _MARK, AlsoRight(variant.__name__, target, en, variant))
        return variant

    return mark


def equivalent_mutant(target: str, was: str, becomes: str, *, because: str) -> EquivalentMutant:
    """Name a mutant that changes nothing, in the suite's tuple `EQUIVALENT`.

    `happyllm-grade check` prints each survivor in this form, ready to be copied.

    Args:
        target: the function that is mutated, `repeat_kv` or `RMSNorm.forward`.
        was: the line of the solution that the mutant changes.
        becomes: what the line becomes; empty where it is dropped.
        because: why no test can tell.
    """
    return EquivalentMutant(target, was, becomes, because)


def known_wrongs(suite: ModuleType) -> tuple[KnownWrong, ...]:
    """The mistakes that a suite knows, in the order of its file."""
    return _marked(suite, KnownWrong)


def rights(suite: ModuleType) -> tuple[AlsoRight, ...]:
    """The other right ways that a suite knows, in the order of its file."""
    return _marked(suite, AlsoRight)


def equivalents(suite: ModuleType) -> tuple[EquivalentMutant, ...]:
    """The mutants that a suite says change nothing."""
    return tuple(getattr(suite, "EQUIVALENT", ()))


def _marked(suite: ModuleType, kind: type[Kind]) -> tuple[Kind, ...]:
    return tuple(
        entry
        for name, value in vars(suite).items()
        if isinstance(entry := getattr(value, "__dict__", {}).get(_MARK), kind) and entry.id == name
    )


def variant_room(solution: Sequence[Source], target: str, *entries: KnownWrong | AlsoRight) -> Room:
    """A room that holds the solution with variants put into it, one after another.

    Args:
        solution: the worked files, requirements first.
        target: the module that the variants belong into, `ch5.rms_norm`.
        entries: the variants; none leaves the solution as it is.

    Raises:
        AttributeError: a target is not in the solution.
    """
    room = local_room(solution, target)
    for entry in entries:
        *path, name = entry.target.split(".")
        owner: Any = room.modules[target]
        for step in path:
            inner = getattr(owner, step)
            if isinstance(inner, type) and any(inner is other.variant for other in entries):
                inner = type(inner.__name__, (inner,), {})  # the suite's own class stays as it is
                setattr(owner, step, inner)
            owner = inner
        getattr(owner, name)  # a target that is not there is the suite's mistake
        setattr(owner, name, entry.variant)
    return room


def wrong_room(solution: Sequence[Source], target: str, wrong: KnownWrong) -> Room:
    """A room that holds the solution with one mistake put into it."""
    return variant_room(solution, target, wrong)
