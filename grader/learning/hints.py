"""The ladder of hints: which of them comes next."""

from __future__ import annotations

from collections.abc import Iterable

from grader.catalogue import Exercise
from grader.standing import Rung, State


def ladder(exercise: Exercise, shown: Iterable[int], state: State | None) -> tuple[Rung, ...]:
    """All hints in the order in which this learner meets them.

    Those that were shown come first, as they came. Of the rest, those that fit what the last
    grading found come before the others; otherwise the ladder goes from the idea to the code.
    """
    hints = exercise.hints
    seen = [place for place in dict.fromkeys(shown) if 0 <= place < len(hints)]
    found = found_last(state)
    rest = [place for place in range(len(hints)) if place not in seen]
    rest.sort(key=lambda place: not found.intersection(hints[place].fits))
    return tuple(
        Rung(hints[place], place, number, len(hints), bool(found.intersection(hints[place].fits)))
        for number, place in enumerate([*seen, *rest], start=1)
    )


def found_last(state: State | None) -> frozenset[str]:
    """The mistake and the tests that the last grading found, by their names in the suite."""
    if state is None or state.solved:
        return frozenset()
    tests = (test.rpartition("::")[2].partition("[")[0] for test in state.failed)
    return frozenset({*tests, state.mistake or ""} - {""})
