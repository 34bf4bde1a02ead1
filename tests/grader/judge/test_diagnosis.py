"""Naming the mistake: the variant that answers as the learner's code does, always, is named."""

from __future__ import annotations

import math
from types import ModuleType

import pytest
import torch

from grader.judge.diagnosis import known_wrong, known_wrongs, same
from grader.judge.student import BadAnswer, Died, OutOfMemory, Raised, TimedOut

SUITE = """
def test_one(student):
    x = torch.randn(4)
    check.close(student.double(x), x * 2)


def test_two(student):
    x = torch.randn(3, 3)
    check.close(student.double(x), x * 2)
    check.close(student.half(x), x / 2)


@known_wrong("double", en="You squared it.", zh="你算了平方。")
def squared(x):
    return x * x


@known_wrong("double", en="You gave it back.", zh="你原样返回了。")
def unchanged(x):
    return x


@known_wrong("double", en="It does not add.", zh="不能相加。")
def of_none(x):
    return x + None


@known_wrong("double", en="It is not a number.", zh="不是数。")
def undefined(x):
    return x * float("nan")
"""
HALF = "def half(x): return x / 2\n"


def test_the_mistake_that_explains_every_answer_is_named(grade):
    graded = grade(SUITE, HALF + "def double(x): return x")
    assert graded.outcome == "failed"
    assert graded.mistake.id == "unchanged"
    assert graded.mistake.message.zh == "你原样返回了。"


def test_the_same_mistake_is_named_however_it_is_written(grade):
    code = HALF + "import torch\ndef double(x): return torch.exp(2 * torch.log(x.abs()))"
    assert grade(SUITE, code).mistake.id == "squared"


def test_an_exception_may_be_the_mistake(grade):
    graded = grade(SUITE, HALF + "def double(x): return x + None")
    assert graded.outcome == "error"
    assert graded.mistake.id == "of_none"


def test_what_is_not_a_number_may_be_the_mistake(grade):
    assert grade(SUITE, HALF + "def double(x): return x / 0 * 0").mistake.id == "undefined"


def test_a_mistake_that_nobody_knows_has_no_name(grade):
    graded = grade(SUITE, HALF + "def double(x): return x * 3")
    assert graded.outcome == "failed"
    assert graded.mistake is None


def test_a_right_answer_has_no_mistake(grade):
    graded = grade(SUITE)
    assert graded.outcome == "passed"
    assert graded.mistake is None


def test_a_mistake_that_would_show_where_the_learner_is_right_is_not_named(grade):
    code = HALF + "def double(x): return x if x.ndim == 1 else x * 2"
    graded = grade(SUITE, code)
    assert [test.outcome for test in graded.tests] == ["failed", "passed"]
    assert graded.mistake is None


@pytest.mark.parametrize("end", ["import os; os._exit(1)", "while True: pass", "bytes(1 << 40)"])
def test_code_that_gives_no_answer_makes_no_mistake_with_a_name(grade, end):
    graded = grade(SUITE, HALF + f"def double(x): {end}", time_s=1.0)
    assert graded.outcome in ("error", "timeout", "memory")
    assert graded.mistake is None


def test_chance_in_the_learners_code_is_replayed_with_the_same_luck(grade):
    suite = """
def test_one(student):
    x = torch.ones(4)
    check.close(student.double(x), x * 2)


@known_wrong("double", en="You added noise.", zh="你加了噪声。")
def noisy(x):
    return x * 2 + torch.randn(4)
"""
    code = HALF + "import torch\ndef double(x): return torch.randn(4) + x + x"
    assert grade(suite, code).mistake.id == "noisy"


def test_a_method_may_be_the_mistake(grade):
    suite = """
def test_one(student):
    check.equal(student.double(2), 4)


@known_wrong("double", en="You tripled.", zh="你乘了三。")
class tripled:
    def __new__(cls, x):
        return x * 3
"""
    assert grade(suite, HALF + "def double(x): return x + x + x").mistake.id == "tripled"


# ---- what a suite knows


def test_mistakes_are_known_in_the_order_of_the_file():
    suite = ModuleType("suite")
    for name in ("b", "a"):
        exec(f"def {name}(): ...", suite.__dict__)
        known_wrong("f", en=name, zh=name)(getattr(suite, name))
    assert [wrong.id for wrong in known_wrongs(suite)] == ["b", "a"]


def test_a_mistake_that_has_a_second_name_is_known_once():
    suite = ModuleType("suite")
    exec("def a(): ...", suite.__dict__)
    suite.b = known_wrong("f", en="x", zh="x")(suite.a)
    assert [wrong.id for wrong in known_wrongs(suite)] == ["a"]


def test_a_subclass_of_a_mistake_is_not_one_by_birth():
    suite = ModuleType("suite")
    suite.Base = known_wrong("f", en="x", zh="x")(type("Base", (), {}))
    suite.Child = type("Child", (suite.Base,), {})
    assert [wrong.id for wrong in known_wrongs(suite)] == ["Base"]


# ---- when two answers are the same

X = torch.randn(64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (X, X * (1 + 1e-6)),
        (X.to(torch.complex64) * 1j, X.to(torch.complex64) * 1j * (1 + 1e-6)),
        (torch.tensor([math.nan, math.inf]), torch.tensor([math.nan, math.inf])),
        (torch.zeros(0), torch.zeros(0)),
        (0.1 + 0.2, 0.3),
        (math.nan, math.nan),
        ([1, (X, "a")], (1, [X, "a"])),
        ({"a": X}, {"a": X + 0}),
        (None, None),
        (Raised("ValueError", (), "x", ()), Raised("ValueError", (), "x", ())),
    ],
    ids=lambda _: "",
)
def test_answers_that_differ_by_rounding_alone_are_the_same(one, other):
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (X, X * 1.001),
        (X, X.double()),
        (X, X.reshape(8, 8)),
        (X.to(torch.complex64), X.to(torch.complex64) * 1j),
        (torch.tensor([math.nan, 1.0]), torch.tensor([math.inf, 1.0])),
        (torch.tensor([math.inf]), torch.tensor([-math.inf])),
        (torch.tensor([1]), torch.tensor([2])),
        (1, 1.0),
        (1, True),
        (1.0, math.nan),
        ([1], [1, 2]),
        ({"a": 1}, {"b": 1}),
        (None, X),
        (Raised("ValueError", (), "x", ()), Raised("TypeError", (), "x", ())),
        (Raised("ValueError", (), "x", ()), None),
        (TimedOut(), TimedOut()),
        (Died(1, 0), Died(1, 0)),
        (OutOfMemory(), OutOfMemory()),
        (BadAnswer(), BadAnswer()),
    ],
    ids=lambda _: "",
)
def test_answers_that_differ_by_more_are_not_the_same(one, other):
    assert not same(one, other)
