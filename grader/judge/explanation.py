"""Which failure is explained first, and what is found out about it.

This is done for one failure of an exercise, and only when somebody will read it: a suite that is
being proven fails thousands of times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from grader.catalogue import Text
from grader.report import Failure, Outcome, Test

from . import patterns, show
from .check import Compared
from .student import Asked

# A wrong shape makes any talk of values idle, and a wrong value any talk of gradients.
_RANK = {"type": 0, "shape": 1, "dtype": 2, "raises": 4, "gradient": 5}
_VALUES = 3


@dataclass(frozen=True)
class Clue:
    """What is known of a failing test besides its record.

    Attributes:
        asked: the call that led to the failure.
        compared: the tensors that are not the same.
        place: the place of the test's function in the suite.
    """

    asked: Asked | None
    compared: Compared | None
    place: int

    @property
    def size(self) -> int:
        """How many numbers the call was given, and how many should have come."""
        given = (self.asked.args, self.asked.kwargs) if self.asked is not None else ()
        answer = self.compared.expected.numel() if self.compared is not None else 0
        return answer + sum(part.numel() for part in _tensors(given))


def first(tests: Iterable[Test], outcome: Outcome, clues: Mapping[str, Clue]) -> Test | None:
    """The test to explain: shape before dtype before values before gradient, then the simplest.

    Among failures of one kind it is the first of the suite, which goes from simple to involved, and
    of the cases of one test the smallest. What is not finite comes before other wrong values if it
    takes no larger input to see it: it can be traced.
    """
    failing = [test for test in tests if test.outcome == outcome and test.failure is not None]
    if not failing:
        return None
    none = Clue(None, None, len(failing))

    def order(test: Test) -> tuple[int, int, int]:
        assert test.failure is not None
        clue = clues.get(test.id, none)
        return _RANK.get(test.failure.kind, _VALUES), clue.place, clue.size

    best = min(failing, key=order)
    rank, _, size = order(best)
    odd = [test for test in failing if test.failure and test.failure.kind == "finite"]
    smallest = min(odd, key=lambda test: order(test)[1:], default=None)
    if smallest is not None and rank == _VALUES and order(smallest)[2] <= size:
        return smallest
    return best


def explain(failure: Failure, clue: Clue, solution: str) -> Failure:
    """A failure with its pattern and its heat map, where two tensors were compared."""
    compared = clue.compared
    if compared is None:
        return failure
    names = show.signatures(solution)
    pattern = _pattern(failure, compared, show.given(clue.asked, names) if clue.asked else {})
    heat = None
    if compared.got.shape == compared.expected.shape and failure.worst is not None:
        heat = show.heat(compared.got, compared.expected, failure.worst, compared.allowed)
    return replace(failure, pattern=pattern, heat=heat)


def _pattern(failure: Failure, compared: Compared, given: Mapping[str, Any]) -> Text | None:
    got, expected, allowed = compared.got, compared.expected, compared.allowed
    if got.shape != expected.shape:
        found = patterns.of_shapes(got, expected, allowed)
    elif got.dtype != expected.dtype:
        found = patterns.of_dtypes(got, expected, allowed)
    else:
        found = patterns.of_values(got, expected, allowed)
    if failure.kind != "gradient":
        tensors = {name: one for name, one in given.items() if isinstance(one, torch.Tensor)}
        return patterns.of_arguments(got, tensors) or found
    return found


def _tensors(given: Any) -> Iterable[torch.Tensor]:
    if isinstance(given, torch.Tensor):
        yield given
    elif isinstance(given, list | tuple):
        for one in given:
            yield from _tensors(one)
    elif isinstance(given, dict):
        yield from _tensors(list(given.values()))
