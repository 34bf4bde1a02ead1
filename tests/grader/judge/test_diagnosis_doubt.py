"""A mistake is named for certain only when it alone explains every answer; else with its doubt."""

from __future__ import annotations

import pytest

from grader.judge.diagnosis import same
from grader.judge.student import Raised
from grader.render.words import mistake
from grader.report import Frame

SUITE = """
from grader.judge.marks import also_right


def test_double(student):
    x = torch.randn(4)
    check.close(student.double(x), x * 2)


def test_half(student):
    x = torch.randn(4)
    check.close(student.half(x), x / 2)


@also_right("double", en="by a product with two")
def multiplied(x):
    return 2.0 * x


@known_wrong("double", en="You squared it.", zh="你算了平方。")
def squared(x):
    return x * x


@known_wrong("double", en="You gave it back.", zh="你原样返回了。")
def unchanged(x):
    return x


@known_wrong("half", en="You gave the half back whole.", zh="你没有减半。")
def whole(x):
    return x


@known_wrong("double", en="You added twice.", zh="你加了两次。")
def added_twice(x):
    return x + x + x.sum() - x.sum() + 1e-9 * x
"""


def test_one_mistake_is_named_for_certain(grade):
    named = grade(SUITE, "def double(x): return x * x\ndef half(x): return x / 2").mistake
    assert (named.id, named.certain, named.explains, named.rivals) == ("squared", True, 1.0, ())


def test_of_two_mistakes_the_nearest_is_named_with_its_doubt(grade):
    named = grade(SUITE, "def double(x): return x * x\ndef half(x): return x").mistake
    assert named.id in ("squared", "whole")
    assert not named.certain
    assert named.explains == 0.5
    assert len(named.rivals) == 1


def test_a_known_mistake_beside_an_unknown_one_is_named_with_its_doubt(grade):
    named = grade(SUITE, "def double(x): return x * x\ndef half(x): return x / 3").mistake
    assert (named.id, named.certain, named.explains) == ("squared", False, 0.5)


def test_a_variant_that_answers_as_the_solution_does_explains_nothing(grade):
    """`added_twice` is right but for rounding, and so near to this answer; it is not a mistake."""
    code = "def double(x): return x + x + 1e-6\ndef half(x): return x / 2"
    named = grade(SUITE, code).mistake
    assert named is None or named.id != "added_twice"


@pytest.mark.parametrize("double", ["x * 2", "x + x", "2.0 * x", "x / 0.5", "x - (-x)"])
def test_a_right_answer_is_never_called_a_mistake(grade, double):
    code = f"def double(x): return {double}\ndef half(x): return x / 2"
    graded = grade(SUITE, code)
    assert graded.outcome == "passed"
    assert graded.mistake is None


TWINS = """
def test_double(student):
    check.equal(student.double(2), 4)


@known_wrong("double", en="You tripled it.", zh="你乘了三。")
def tripled(x):
    return 3 * x


@known_wrong("double", en="You added four.", zh="你加了四。")
def plus_four(x):
    return x + 4
"""


def test_of_two_that_explain_everything_neither_is_certain(grade):
    named = grade(TWINS, "def double(x): return 6\ndef half(x): return x / 2").mistake
    assert (named.id, named.certain, named.explains) == ("tripled", False, 1.0)
    assert named.rivals == ("plus_four",)


# ---- how the doubt is said


def test_what_is_certain_is_said_plainly_and_the_rest_with_its_doubt(grade):
    sure = grade(TWINS, "def double(x): return x + x + x").mistake
    assert sure is None  # `half` is missing, and no test asked for anything
    named = grade(TWINS, "def double(x): return 6\ndef half(x): return x / 2").mistake
    assert mistake(named, "en").startswith("This looks most like (another known mistake")
    partly = grade(SUITE, "def double(x): return x * x\ndef half(x): return x / 3").mistake
    assert "explains 50% of the tests that fail): You squared it." in mistake(partly, "en")
    assert "你算了平方。" in mistake(partly, "zh")


# ---- exceptions


def raised(message: str, *lines: str, kind: str = "TypeError") -> Raised:
    frames = tuple(Frame("ch5/it.py", number, "f", line) for number, line in enumerate(lines))
    return Raised(kind, ("Exception",), message, frames)


@pytest.mark.parametrize(
    ("theirs", "alike"),
    [
        (raised("cannot add", "return x + None"), True),
        (raised("cannot call", "return x()"), False),
        (raised("no such thing", "raise TypeError('no such thing')"), True),
        (raised("cannot add", "return x + None", kind="ValueError"), False),
    ],
)
def test_pythons_words_must_be_the_same_and_the_learners_own_need_not(theirs, alike):
    assert same(raised("cannot add"), theirs) is alike


def test_an_address_in_a_message_does_not_matter():
    one, other = raised("<object at 0x7f01>"), raised("<object at 0x7f02>", "return x")
    assert same(one, other)
