"""The ladder: from the idea to the code, and what fits the last failure first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grader.catalogue import Exercise, Hint, load
from grader.learning.hints import ladder
from grader.standing import State

HINTS = (
    Hint("idea", "想法"),
    Hint("shapes", "形状", ("tiled",)),
    Hint("code", "代码", ("detached", "test_it")),
)


@pytest.fixture(scope="module")
def exercise() -> Exercise:
    return replace(load()["ch5/repeat_kv"], hints=HINTS)


def order(exercise: Exercise, shown: tuple[int, ...], state: State | None) -> list[int]:
    rungs = ladder(exercise, shown, state)
    assert [rung.number for rung in rungs] == [1, 2, 3]
    return [rung.place for rung in rungs]


def test_without_a_failure_it_goes_from_the_idea_to_the_code(exercise: Exercise) -> None:
    assert order(exercise, (), None) == [0, 1, 2]
    assert order(exercise, (), State("untouched")) == [0, 1, 2]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State("failing", mistake="tiled"), [1, 0, 2]),
        (State("failing", failed=("test_it[3-2]",)), [2, 0, 1]),
        (State("failing", mistake="tiled", failed=("test_it",)), [1, 2, 0]),
        (State("failing", mistake="unheard_of"), [0, 1, 2]),
        (State("solved", mistake="tiled"), [0, 1, 2]),
    ],
)
def test_what_fits_the_last_failure_comes_first(
    exercise: Exercise, state: State, expected: list[int]
) -> None:
    assert order(exercise, (), state) == expected


def test_what_was_shown_stays_where_it_was(exercise: Exercise) -> None:
    assert order(exercise, (0,), State("failing", mistake="detached")) == [0, 2, 1]


def test_what_an_older_ladder_had_more_is_forgotten(exercise: Exercise) -> None:
    assert order(exercise, (7, 1, 1, -3), None) == [1, 0, 2]


def test_every_mistake_that_a_hint_fits_is_one_of_the_suite() -> None:
    known = load()  # which refuses a name that is not there
    fitted = [name for exercise in known for hint in exercise.hints for name in hint.fits]
    assert len(fitted) > 100
