"""Comparisons: what is told first, what rounding excuses, and what it does not."""

from __future__ import annotations

import math

import pytest
import torch

from grader.judge import check
from grader.judge.check import CheckFailed
from grader.judge.student import Raised, Remote
from grader.sandbox.wire import Handle


def failure(compare, *args, **kwargs):
    with pytest.raises(CheckFailed) as caught:
        compare(*args, **kwargs)
    told = caught.value.failure
    assert told.message.en
    assert told.message.zh
    return told


def ones(*shape, **kwargs):
    return torch.ones(*shape, **kwargs)


# ---- each kind of difference, and its words


def test_none_asks_for_the_missing_return():
    told = failure(check.equal, None, ones(2))
    assert told.kind == "type"
    assert told.message.en == "The answer is None; a Tensor is expected. Is a `return` missing?"


def test_another_type_is_told_with_both_types():
    told = failure(check.close, [1.0], ones(1))
    assert told.kind == "type"
    assert told.message.en == "The answer is of type list; Tensor is expected."


def test_an_object_of_the_room_is_told_by_its_type():
    told = failure(check.equal, Remote(None, Handle(1, "Net"), ""), ones(1))
    assert told.message.en == "The answer is of type Net; Tensor is expected."


def test_another_shape_is_told_with_both_shapes():
    told = failure(check.equal, ones(2, 3), ones(3, 2))
    assert told.kind == "shape"
    assert told.message.en == "The answer has shape [2, 3]; [3, 2] is expected."


def test_another_dtype_is_told_with_both_dtypes():
    told = failure(check.close, ones(2).double(), ones(2))
    assert told.kind == "dtype"
    assert told.message.en == "The answer is float64; float32 is expected."


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_told_with_its_place(number):
    got = ones(2, 2)
    got[1, 0] = number
    told = failure(check.close, got, ones(2, 2))
    assert (told.kind, told.worst) == ("finite", (1, 0))
    assert f"holds {number}, first at [1, 0]" in told.message.en


def test_wrong_values_are_told_with_the_worst_place_and_how_many():
    got = ones(2, 3)
    got[0, 1], got[1, 2] = 1.5, 3.0
    told = failure(check.close, got, ones(2, 3))
    assert (told.kind, told.worst, told.difference) == ("values", (1, 2), 2.0)
    words = "The answer is 3 at [1, 2], where 1 is expected; 2 of 6 values are off."
    assert told.message.en == words


def test_a_failure_shows_what_came_and_what_was_expected():
    told = failure(check.equal, torch.tensor([1, 2]), torch.tensor([1, 3]))
    assert told.got.text.split() == ["1", "2"]
    assert told.expected.text.split() == ["1", "3"]


def test_a_part_of_an_answer_is_told_by_its_place():
    told = failure(check.equal, (ones(1), {"a": [1, 2]}), (ones(1), {"a": [1, 3]}))
    assert told.message.en == "Part [1]['a'][1] of the answer is 2; 3 is expected."


def test_missing_and_superfluous_parts_are_told():
    assert failure(check.equal, [1], [1, 2]).message.en == "The answer has 1 part; 2 are expected."
    assert failure(check.equal, [1, 2], [1]).message.en == "The answer has 2 parts; 1 is expected."
    told = failure(check.equal, {"a": 1}, {"b": 1})
    assert told.message.en == "The answer lacks 'b' and has 'a' too many."
    assert failure(check.equal, {}, {"b": 1}).message.en == "The answer lacks 'b'."


@pytest.mark.parametrize(
    ("expected", "words"), [(1, "an int is"), ([1], "a list is"), (1.5, "a float is")]
)
def test_a_type_has_its_article(expected, words):
    assert words in failure(check.equal, None, expected).message.en


@pytest.mark.parametrize(
    ("error", "words"), [(AttributeError, "An AttributeError"), (UnicodeError, "A UnicodeError")]
)
def test_an_error_has_its_article(error, words):
    assert failure(check.raises, error, lambda: 3).message.en.startswith(words)


@pytest.mark.parametrize(
    ("en", "said"),
    [
        ("it grows.", "It grows."),
        ("wq.weight is off.", "wq.weight is off."),
        ("f() is.", "f() is."),
    ],
)
def test_a_sentence_begins_with_a_capital_and_a_name_stays_as_it_is(en, said):
    assert failure(check.that, False, en, "否").message.en == said


def test_how_many_are_off_is_told_in_words_that_fit():
    assert "all 3 values are off" in failure(check.equal, ones(3) + 1, ones(3)).message.en
    one = torch.tensor([1.0, 2.0, 1.0])
    assert "the only one of 3 values that is off" in failure(check.equal, one, ones(3)).message.en


@pytest.mark.parametrize(
    ("got", "expected"),
    [(1, True), (True, 1), (1.0, 1), ("1", 1), (b"a", "a"), (True, 1.0), ([1], {1}), (None, 0)],
)
def test_a_value_of_another_type_is_not_the_same(got, expected):
    assert failure(check.equal, got, expected).kind == "type"


def test_lists_and_tuples_are_not_told_apart():
    check.equal([1, (2, 3)], (1, [2, 3]))


def test_shape_alone_can_be_required():
    check.shape(ones(2, 3), (2, 3))
    assert failure(check.shape, ones(3), (2, 3)).kind == "shape"
    assert failure(check.shape, "x", (2, 3)).kind == "type"


def test_a_property_is_told_in_the_suites_own_words():
    check.that(True, "no", "否")
    told = failure(check.that, False, "it grows", "它在增大", got=2, expected=1)
    assert (told.kind, told.message.zh, told.got.text) == ("claim", "它在增大", "2")
    assert told.message.en == "It grows"


# ---- what is told first


def test_a_wrong_shape_is_told_before_a_wrong_dtype():
    assert failure(check.close, ones(2).double(), ones(3)).kind == "shape"


def test_a_wrong_dtype_is_told_before_what_is_not_finite():
    assert failure(check.close, torch.full((2,), math.nan).double(), ones(2)).kind == "dtype"


def test_what_is_not_finite_is_told_before_wrong_values():
    got = torch.tensor([99.0, math.nan])
    assert failure(check.close, got, ones(2)).kind == "finite"


def test_a_wrong_shape_in_a_later_part_is_told_before_wrong_values_in_an_earlier_one():
    told = failure(check.close, (ones(2) + 1, ones(3)), (ones(2), ones(2)))
    assert (told.kind, told.message.en[:8]) == ("shape", "Part [1]")
    told = failure(
        check.close, {"a": ones(2) + 1, "b": ones(2).double()}, {"a": ones(2)} | {"b": ones(2)}
    )
    assert told.kind == "dtype"


# ---- gradients


def test_a_gradient_that_is_wrong_is_told_by_what_it_is_for():
    told = failure(
        check.gradients, (ones(2), ones(3) + 1), (ones(2), ones(3)), names=("x", "weight")
    )
    assert told.kind == "gradient"
    assert told.message.en.startswith("The gradient for weight is 2 at [0]")
    assert told.message.zh.startswith("weight 的梯度在 [0] 处是 2")


def test_a_gradient_that_does_not_come_is_told_by_what_it_is_for():
    expected = {"wq.weight": ones(2), "wk.weight": ones(2)}
    got = {"wq.weight": ones(2), "wk.weight": None}
    told = failure(check.gradients, (ones(1), got), (ones(1), expected), names=("x",))
    assert told.kind == "gradient"
    assert told.message.en.startswith("No gradient reaches wk.weight.")


def test_one_gradient_needs_one_name():
    told = failure(check.gradients, ones(2) + 1, ones(2), names=("xq",))
    assert told.message.en.startswith("The gradient for xq is 2")


def test_gradients_that_are_right_pass_up_to_rounding():
    check.gradients((ones(2) + 1e-7, {"w": ones(1)}), (ones(2), {"w": ones(1)}), names=("x",))
    check.gradients([None, ones(1)], [None, ones(1)], names=("a", "b"))


def test_gradients_in_another_form_are_told_as_such():
    assert failure(check.gradients, ones(2), (ones(2), ones(2))).kind == "type"
    assert failure(check.gradients, {"a": ones(1)}, {"b": ones(1)}).kind == "shape"


# ---- errors that are expected


def raising(kind, message="", bases=("Exception",)):
    def action():
        raise Raised(kind, bases, message, ())

    return action


def test_the_expected_error_is_recognised_also_by_its_base():
    check.raises(ValueError, raising("ValueError"))
    check.raises(ValueError, raising("MyError", bases=("ValueError", "Exception")))


def test_the_message_must_hold_the_word_in_any_case():
    check.raises(ValueError, raising("ValueError", "N_HEADS is odd"), match="n_heads")
    told = failure(check.raises, ValueError, raising("ValueError", "bad"), match="n_heads")
    assert told.kind == "raises"
    assert "does not name 'n_heads': 'bad'" in told.message.en


def test_no_error_where_one_is_expected_is_told():
    told = failure(check.raises, ValueError, lambda: 3)
    assert told.kind == "raises"
    assert told.message.en == "A ValueError was expected here; none was raised."


def test_another_error_passes_through():
    with pytest.raises(Raised, match="KeyError"):
        check.raises(ValueError, raising("KeyError"))


# ---- rounding


def test_equal_means_to_the_last_bit():
    failure(check.equal, ones(1) + torch.finfo(torch.float32).eps, ones(1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("terms", [8, 64, 512])
def test_a_sum_in_another_order_passes(dtype, terms):
    generator = torch.Generator().manual_seed(terms)
    for _ in range(20):
        x = torch.randn(16, terms, generator=generator, dtype=torch.float64).to(dtype)
        forwards, backwards = torch.zeros(16, dtype=dtype), torch.zeros(16, dtype=dtype)
        for i in range(terms):
            forwards, backwards = forwards + x[:, i], backwards + x[:, terms - 1 - i]
        check.close(forwards, backwards, terms=terms, scale=float(forwards.abs().max()) + 1)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_a_small_error_that_is_real_is_rejected(dtype, error):
    x = torch.randn(64, dtype=dtype, generator=torch.Generator().manual_seed(0))
    assert failure(check.close, x * (1 + error), x).kind == "values"


def test_the_tolerance_grows_with_the_root_of_the_terms():
    few, many = (
        failure(check.close, ones(1) + 1, ones(1), terms=terms).tolerance for terms in (4, 400)
    )
    assert many == pytest.approx(10 * few)


def test_the_scale_stands_for_the_numbers_on_the_way():
    small = torch.tensor([1e-6])
    failure(check.close, small + 1e-5, small)
    check.close(small + 1e-5, small, scale=100.0)


def test_a_coarser_arithmetic_may_be_named():
    failure(check.close, ones(1) + 1e-3, ones(1))
    check.close(ones(1) + 1e-3, ones(1), dtype=torch.bfloat16)


def test_infinities_and_nans_that_are_expected_pass():
    x = torch.tensor([math.inf, -math.inf, math.nan, 1.0])
    check.close(x.clone(), x)
    check.equal(x.clone(), x)


@pytest.mark.parametrize("number", [0.0, math.nan, -math.inf])
def test_another_number_in_the_place_of_an_infinity_is_rejected(number):
    expected = torch.tensor([math.inf, 1.0])
    assert failure(check.close, torch.tensor([number, 1.0]), expected).worst == (0,)


def test_complex_numbers_are_compared_by_distance():
    x = torch.randn(4, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    check.close(x * (1 + 1e-8), x)
    assert failure(check.close, x.conj().resolve_conj(), x).kind == "values"


def test_whole_numbers_and_truth_values_admit_no_rounding():
    assert failure(check.close, torch.tensor([1000001]), torch.tensor([1000000])).kind == "values"
    assert failure(check.close, torch.tensor([True]), torch.tensor([False])).kind == "values"


def test_python_numbers_are_compared_up_to_rounding():
    check.close(0.1 + 0.2, 0.3)
    check.close(torch.tensor(0.3), 0.3)
    check.close(1, 1.0)
    assert failure(check.close, 0.31, 0.3).kind == "values"
    assert failure(check.close, math.nan, 0.3).kind == "finite"


def test_nothing_is_compared_in_an_empty_tensor_but_its_shape_and_dtype():
    check.equal(ones(0, 3), ones(0, 3))
    assert failure(check.equal, ones(0, 3), ones(3, 0)).kind == "shape"
    assert failure(check.equal, ones(0).double(), ones(0)).kind == "dtype"
