"""Values made ready to be read."""

from __future__ import annotations

import math

import pytest
import torch

from grader.judge import show
from grader.judge.student import Asked, Remote
from grader.sandbox.wire import Handle


def asked(op="call", title="f", args=(), kwargs=None, **more):
    return Asked(op, None, None, args, kwargs or {}, None, title, **more)


REMOTE = Remote(None, Handle(1, "Net"), "Net(…)")


def test_a_small_tensor_is_shown_whole():
    value = show.value(torch.tensor([[1.0, 2.5], [-3.0, 4.0]]))
    assert value.text.split() == ["1.000", "2.500", "-3.000", "4.000"]
    assert (value.type, value.shape, value.dtype) == ("Tensor", (2, 2), "float32")
    assert value.corner is None


def test_columns_stand_under_each_other():
    lines = show.value(torch.tensor([[1.0, 200.25], [-30.5, 4.0]])).text.splitlines()
    assert len({len(line) for line in lines}) == 1


def test_a_large_tensor_is_cut_and_says_where():
    value = show.value(torch.zeros(3, 100, 100))
    assert value.corner == "[0, 0:6, 0:6]"
    assert len(value.text.splitlines()) == show.ROWS


@pytest.mark.parametrize("focus", [(0, 0, 0), (2, 57, 99), (1, 99, 3)])
def test_the_part_that_is_shown_holds_the_place_that_matters(focus):
    x = torch.zeros(3, 100, 100)
    x[focus] = 7.0
    assert "7" in show.value(x, focus).text


def test_a_number_in_a_tensor_of_no_dimensions_is_shown():
    assert show.value(torch.tensor(2.5)).text == "2.5"


def test_an_empty_tensor_says_so():
    assert show.value(torch.zeros(2, 0)).text == "(empty)"


@pytest.mark.parametrize(
    "x",
    [
        torch.tensor([math.nan, math.inf, -math.inf, 1.0]),
        torch.tensor([True, False]),
        torch.tensor([1 + 2j, -1j]),
        torch.tensor([2**40, -1]),
        torch.tensor([1e-30, 1e30]),
        torch.zeros([1] * 10),
        torch.ones(3, dtype=torch.bfloat16),
    ],
    ids=str,
)
def test_any_tensor_can_be_shown(x):
    value = show.value(x)
    assert value.text
    assert len(value.text) < 500


@pytest.mark.parametrize(
    ("what", "text", "kind"),
    [
        (None, "None", "NoneType"),
        (True, "True", "bool"),
        (3, "3", "int"),
        (0.1 + 0.2, "0.3", "float"),
        (1.5e-9, "1.50e-09", "float"),
        ("a\x1b[31m", r"'a\x1b[31m'", "str"),
        ([1, (2.0, "x")], "[1, (2, 'x')]", "list"),
        ({"a": torch.zeros(2)}, "{'a': float32[2]}", "dict"),
        ({3}, "{3}", "set"),
        (set(), "set()", "set"),
        (slice(1, None), "slice(1, None, None)", "slice"),
        (list(range(20)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …]", "list"),
        (REMOTE, "<Net>", "Net"),
    ],
)
def test_plain_data_is_shown_as_one_would_write_it(what, text, kind):
    value = show.value(what)
    assert (value.text, value.type) == (text, kind)


HUGE = 10**5000


@pytest.mark.parametrize(
    "what",
    [HUGE, [HUGE], {HUGE: HUGE}, {HUGE}, frozenset({HUGE}), slice(HUGE), "x" * 10**6, b"x" * 10**6],
    ids=lambda what: type(what).__name__,
)
def test_what_is_huge_is_shown_short(what):
    assert len(show.value(what).text) <= show.MAX_TEXT


def test_a_call_is_shown_as_one_would_write_it():
    x = torch.zeros(2, 3, dtype=torch.float16)
    call = asked(title="repeat_kv", args=(x, 3), kwargs={"eps": 1e-5})
    assert show.call(call) == "repeat_kv(float16[2, 3], 3, eps=1.00e-05)"


def test_a_probe_is_shown_by_its_title_and_named_arguments():
    probe = asked("probe", "The gradient of f", (torch.zeros(2), 3), parameters=("x", "n"))
    assert show.call(probe) == "The gradient of f  ·  x = float32[2], n = 3"


def test_tensors_among_the_arguments_get_the_names_of_the_parameters():
    names = show.signatures("def f(x, n, y): ...")
    call = asked(args=(torch.zeros(2), 3, torch.ones(1)), kwargs={"z": torch.zeros(1)})
    assert [one.name for one in show.arguments(call, names)] == ["x", "y", "z"]


def test_an_argument_without_a_known_name_is_counted():
    assert [one.name for one in show.arguments(asked(args=(1, torch.zeros(2))), {})] == ["2"]


def test_signatures_know_functions_and_methods_by_the_title_of_their_call():
    code = """
def f(a, b): ...
class Net:
    def __init__(self, dim): ...
    def forward(self, x): ...
    def step(self, y): ...
"""
    assert show.signatures(code) == {
        "f": ["a", "b"],
        "Net": ["dim"],
        "Net(…)": ["x"],
        "Net(…).step": ["y"],
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [(1.0, 1.0 + 1e-6), (1.0, 1.0 + 1e-15), (1e-9, 1.0001e-9), (3, 4), (0.0, 1e-7)],
)
def test_two_numbers_that_differ_are_shown_so_that_they_differ(one, other):
    first, second = show.told_apart(one, other)
    assert first != second
