"""Patterns: told when they explain every element, and not told when one element says otherwise."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.judge import patterns

ALLOWED = 1e-6


def tensor(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def said(got, expected, allowed=ALLOWED):
    found = patterns.of_values(got, expected, allowed)
    if found is None:
        return None
    assert found.zh
    assert any("\u4e00" <= one <= "\u9fff" for one in found.zh)
    return found.en


X = tensor(4, 6)
Y = tensor(2, 3, 4, 5)
SQUARE = tensor(5, 5)


# ---- what every value is


@pytest.mark.parametrize(
    ("got", "words"),
    [
        (2 * X, "Every value is 2.000 times what is expected."),
        (X / math.sqrt(8), "Every value is 0.354 times (1/√8) what is expected."),
        (X * math.sqrt(6), "Every value is 2.449 times (√6) what is expected."),
        (X / 5, "Every value is 0.200 times (1/5) what is expected."),
        (-X, "Every value is the negative of what is expected."),
        (X + 0.5, "Every value is 0.5 more than expected."),
        (X - 2, "Every value is 2 less than expected."),
        (0 * X, "Every value is zero."),
        (0 * X + 3, "Every value is the same, 3."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_holds_of_every_value_is_told(got, words):
    assert said(got, X) == words


def test_a_mask_that_means_the_opposite_is_told():
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    assert "True and False are swapped" in said(~mask, mask)


# ---- the right values in another place


@pytest.mark.parametrize(
    ("got", "expected", "words"),
    [
        (SQUARE.T, SQUARE, "The matrix is transposed"),
        (tensor(2, 3, 3).transpose(1, 2), tensor(2, 3, 3), "dimensions 1 and 2 are swapped"),
        (X.roll(1, 0), X, "row by row, are shifted on by 1"),
        (X.roll(-2, 1), X, "column by column, are shifted back by 2"),
        (Y.roll(1, 2), Y, "along dimension 2, are shifted on by 1"),
        (X.flip(1), X, "column by column, come in reverse order"),
        (X[:, [0, 2, 4, 1, 3, 5]], X, "column by column: 0, 2, 4, 1, 3, 5 of those"),
        (Y[:, [1, 0, 2]], Y, "along dimension 1: 1, 0, 2 of those"),
        (X.T.reshape(4, 6), X, "Every expected value is there, but not in its place."),
    ],
)
def test_right_values_in_another_place_are_told(got, expected, words):
    assert words in said(got, expected)


def test_heads_that_are_tiled_are_told_as_heads_in_another_order():
    heads = tensor(2, 5, 2, 8)
    told = said(heads.repeat(1, 1, 3, 1), heads.repeat_interleave(3, 2))
    assert "along dimension 2: 0, 3, 1, 4, 2, 5 of those expected" in told


def test_a_mask_on_its_side_is_told():
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    assert "transposed" in said(mask.T, mask)


# ---- where the wrong values are


def off_at(where, shape=(6, 6), seed=3):
    x = tensor(*shape)
    return torch.where(where, x + 1 + tensor(*shape, seed=seed).abs(), x), x


STEPS = torch.arange(6)[None, :] - torch.arange(6)[:, None]
ROWS, COLUMNS = torch.meshgrid(torch.arange(6), torch.arange(6), indexing="ij")


@pytest.mark.parametrize(
    ("where", "words"),
    [
        (STEPS > 0, "above the diagonal"),
        (STEPS >= 0, "on and above the diagonal"),
        (STEPS < 0, "below the diagonal"),
        (STEPS == 0, "on the diagonal"),
        (STEPS == 1, "on the diagonal just above the main one"),
        (STEPS == -2, "where column = row -2"),
        (STEPS >= 3, "where column >= row + 3"),
        (COLUMNS % 2 == 1, "at the odd columns"),
        (COLUMNS % 2 == 0, "at the even columns"),
        (COLUMNS % 3 == 1, "at columns 1, 4"),
        (ROWS >= 4, "at rows 4 and up"),
        (ROWS < 2, "at rows 0 to 1"),
        (ROWS == 3, "at row 3"),
        ((ROWS > 1) & (ROWS < 4), "at rows 2 to 3"),
        (ROWS != 2, "at all rows but 2"),
        ((ROWS >= 4) & (COLUMNS % 2 == 1), "at rows 4 and up and at the odd columns"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_region_that_is_wrong_is_told(where, words):
    assert said(*off_at(where)) == f"Wrong only {words}; all else is right."


def test_one_head_that_is_wrong_is_told_by_its_dimension():
    got = Y.clone()
    got[:, 1] = tensor(2, 4, 5, seed=9)
    assert said(got, Y) == "Wrong only at index 1 of dimension 1; all else is right."


def test_what_holds_of_the_wrong_values_alone_is_told_with_their_region():
    got = X.clone()
    got[:, 1::2] *= -1
    assert said(got, X) == (
        "Wrong only at the odd columns, where every value is the negative of what is expected; "
        "all else is right."
    )


def test_nan_is_told_by_where_it_is():
    got = X.clone()
    got[2] = math.nan
    assert said(got, X) == "Wrong only at row 2; all else is right."


@pytest.mark.parametrize("places", [[(0, 0)], [(0, 1), (3, 4)], [(0, 0), (1, 3), (3, 1), (2, 5)]])
def test_wrong_values_here_and_there_are_no_pattern(places):
    got = X.clone()
    for number, place in enumerate(places):
        got[place] += 1.5 + number
    assert said(got, X) is None


# ---- shape and dtype


def test_dimensions_in_another_order_are_told():
    told = patterns.of_shapes(Y.permute(0, 2, 1, 3), Y, 0.0)
    assert told.en == "The values are right, but dimensions 1 and 2 are swapped."
    told = patterns.of_shapes(Y.permute(1, 2, 3, 0), Y, 0.0)
    assert told.en.endswith("permute(3, 0, 1, 2) mends it.")
    assert torch.equal(Y.permute(1, 2, 3, 0).permute(3, 0, 1, 2), Y)


def test_right_values_in_another_shape_are_told():
    assert "only the shape is not" in patterns.of_shapes(Y.flatten(2), Y, 0.0).en


def test_the_one_dimension_that_differs_is_told():
    told = patterns.of_shapes(Y[:, :2], Y, 0.0)
    assert told.en == "Only dimension 1 differs: its size is 2 in place of 3."


def test_other_values_in_another_shape_are_no_pattern():
    assert patterns.of_shapes(tensor(24, 5, seed=1), Y, 0.0) is None


def test_right_values_of_another_dtype_are_told():
    assert patterns.of_dtypes(X.double(), X, ALLOWED).en.startswith("The values are right")
    assert patterns.of_dtypes(2 * X.double(), X, ALLOWED) is None


def test_an_argument_that_comes_back_is_told_by_its_name():
    told = patterns.of_arguments(X.clone(), {"y": X + 1, "x": X})
    assert told.en == "The answer is x itself, unchanged."
    assert patterns.of_arguments(X + 1, {"x": X}) is None


# ---- never claimed unless it explains every element

shapes = st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple)
numbers = st.floats(-100, 100, width=32).filter(lambda x: x == 0 or abs(x) > 1e-2)


@st.composite
def answers(draw):
    """A right answer, and a wrong one made of it by something plain, or by chance."""
    shape = draw(shapes)
    size = math.prod(shape)
    expected = torch.tensor(draw(st.lists(numbers, min_size=size, max_size=size))).view(shape)
    other = torch.tensor(draw(st.lists(numbers, min_size=size, max_size=size))).view(shape)
    mask = torch.tensor(draw(st.lists(st.booleans(), min_size=size, max_size=size))).view(shape)
    factor = draw(st.sampled_from([2.0, -1.0, 0.5, 3.0]))
    axis = draw(st.integers(0, len(shape) - 1))
    got = draw(
        st.sampled_from(
            [
                expected * factor,
                expected + factor,
                expected.roll(1, axis),
                expected.flip(axis),
                other,
                torch.where(mask, other, expected),
                torch.where(mask, expected * factor, expected),
            ]
        )
    )
    return got, expected


def is_true(words, got, expected, slack):
    """Whether what is claimed of all values holds of each of them, looked at one by one."""
    pairs = list(zip(got.flatten().tolist(), expected.flatten().tolist(), strict=True))
    if words.startswith("Wrong only"):
        pairs = [(a, b) for a, b in pairs if abs(a - b) > slack]
    if "times" in words:
        factor = float(words.partition(" times")[0].split()[-1])
        return all(abs(a - factor * b) <= 6e-3 * abs(b) + slack for a, b in pairs)
    if "the negative" in words:
        return all(abs(a + b) <= slack for a, b in pairs)
    if "more than" in words or "less than" in words:
        offset = float(words.partition(" more" if "more" in words else " less")[0].split()[-1])
        sign = 1 if "more" in words else -1
        return all(abs(a - b - sign * offset) <= 1e-3 * offset + slack for a, b in pairs)
    if "is zero" in words:
        return all(a == 0 for a, _ in pairs)
    if "is the same" in words:
        return len({a for a, _ in pairs}) == 1
    if words.startswith("Wrong only"):
        return True
    return sorted(got.flatten().tolist()) == pytest.approx(
        sorted(expected.flatten().tolist()), abs=slack
    )


@settings(max_examples=120, deadline=None)
@given(answers())
def test_no_claim_is_made_that_does_not_hold_of_every_element(case):
    got, expected = case
    words = said(got, expected)
    assert words is None or is_true(words, got, expected, 1e-4)


@settings(max_examples=60, deadline=None)
@given(answers(), st.data())
def test_one_element_that_says_otherwise_takes_a_claim_about_all_back(case, data):
    got, expected = case
    words = said(got, expected)
    if words is None or not words.startswith(("Every value", "The ")):
        return
    place = data.draw(st.integers(0, got.numel() - 1))
    spoiled = got.clone()
    spoiled.view(-1)[place] += 777.0
    assert said(spoiled, expected) != words


@settings(max_examples=60, deadline=None)
@given(answers())
def test_outside_the_region_that_is_told_every_value_is_right(case):
    got, expected = case
    off = (got - expected).abs() > ALLOWED
    region = patterns._region(off)
    if region is not None:
        size = max(size for size, said in patterns._regions(off) if said == region)
        assert int(off.sum()) <= size < off.numel()
        assert int(off.sum()) >= patterns.FILLED * size


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (300, 300)], ids=str)
def test_what_is_too_small_or_too_large_is_passed_over(shape):
    x = torch.ones(shape)
    assert said(x + 1, x) is None
