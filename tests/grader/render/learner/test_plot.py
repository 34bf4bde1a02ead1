"""A curve of braille dots: what is high stands high, and nothing makes it fall over."""

from __future__ import annotations

import math

import pytest

from grader.render.learner.plot import curve


def heights(lines: list[str]) -> list[int]:
    """For each column of dots the highest dot, counted from the bottom; -1 where there is none."""
    rows = [
        [(ord(cell) - 0x2800) >> bit & 1 for cell in line for bit in pair]
        for line in lines
        for pair in ((0, 3), (1, 4), (2, 5), (6, 7))
    ]
    return [
        max((len(rows) - 1 - y for y in range(len(rows)) if rows[y][x]), default=-1)
        for x in range(len(rows[0]))
    ]


def test_a_falling_line_falls_from_the_top_to_the_bottom() -> None:
    found = heights(curve([3.0, 2.0, 1.0, 0.0], 10, 4))
    assert found == sorted(found, reverse=True)
    assert (found[0], found[-1]) == (15, 1)  # joined to its neighbour, one dot above


def test_it_has_the_size_that_was_asked_for() -> None:
    lines = curve([1.0, 2.0, 5.0], 17, 3)
    assert [len(line) for line in lines] == [17, 17, 17]


def test_neighbours_are_joined() -> None:
    lines = curve([4.0] * 10 + [0.0] * 10, 10, 4)
    assert all(any(ord(cell) > 0x2800 for cell in line) for line in lines)


@pytest.mark.parametrize("values", [[], [0.0], [5.0], [math.nan], [math.inf, math.nan], [0.0, 0.0]])
def test_nothing_to_draw_is_drawn_all_the_same(values: list[float]) -> None:
    assert [len(line) for line in curve(values, 6, 2)] == [6, 6]


def test_what_is_no_number_leaves_a_gap() -> None:
    found = heights(curve([1.0, 1.0, math.nan, 1.0, 1.0], 10, 2))
    assert found[0] > 0
    assert found[-1] > 0
    assert -1 in found


def test_what_lies_below_zero_stands_on_the_ground() -> None:
    assert heights(curve([1.0, -5.0], 8, 2))[-1] <= 1
