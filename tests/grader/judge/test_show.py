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
    said = show.call(call)
    assert said.en == said.zh == "repeat_kv(float16[2, 3], 3, eps=1.00e-05)"


def test_a_probe_is_shown_by_what_it_does_in_both_languages():
    probe = asked("probe", "The gradient of f\n\n    f 的梯度\n    ")
    assert (show.call(probe).en, show.call(probe).zh) == ("The gradient of f", "f 的梯度")


def test_all_arguments_of_a_probe_are_shown():
    probe = asked("probe", "f", (torch.zeros(2), 3, {"a": 1}), parameters=("x", "n", "args"))
    assert [(one.name, one.value.text) for one in show.arguments(probe, {})] == [
        ("x", "0  0"),
        ("n", "3"),
        ("args", "{'a': 1}"),
    ]


def test_of_an_argument_that_part_is_shown_that_the_worst_answer_came_from():
    x = torch.zeros(3, 5, 2, 2)
    x[2, 1] = 7.0
    call = asked(args=(x,))
    (one,) = show.arguments(call, {}, worst=(2, 1, 5, 0), shape=(3, 5, 6, 2))
    assert one.value.corner == "[2, 1, 0:2, 0:2]"
    assert "7" in one.value.text


def test_a_case_is_shown_by_its_parameters():
    assert show.case({"n_rep": 3, "theta": 0.5, "name": "a"}) == "n_rep=3, theta=0.5, name='a'"


# ---- where a matrix is off


def test_a_heat_map_shows_how_far_each_value_is_off():
    expected = torch.zeros(2, 3)
    got = torch.tensor([[0.0, 1.0, 0.0], [4.0, 0.0, 1e-9]])
    heat = show.heat(got, expected, (1, 0), 1e-6)
    assert heat.cells == ((0.0, 0.25, 0.0), (1.0, 0.0, 0.0))
    assert (heat.shape, heat.at) == ((2, 3), "[:, :]")


def test_a_heat_map_shows_the_matrix_that_holds_the_worst_value():
    got = torch.zeros(2, 3, 4, 5)
    got[1, 2, 3, 4] = 1.0
    heat = show.heat(got, torch.zeros(2, 3, 4, 5), (1, 2, 3, 4), 0.0)
    assert heat.at == "[1, 2, :, :]"
    assert [sum(row) for row in heat.cells] == [0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("place", [(0, 0), (99, 199), (57, 3)])
def test_in_a_large_heat_map_no_wrong_value_is_lost(place):
    got = torch.zeros(100, 200)
    got[place] = 1.0
    heat = show.heat(got, torch.zeros(100, 200), place, 0.0)
    assert len(heat.cells) <= show.HEAT_ROWS
    assert {len(row) for row in heat.cells} <= set(range(show.HEAT_COLUMNS + 1))
    row, column = place[0] * len(heat.cells) // 100, place[1] * len(heat.cells[0]) // 200
    assert sum(cell > 0 for row in heat.cells for cell in row) == 1
    assert any(heat.cells[row][max(0, column - 1) : column + 2])


def test_what_is_not_finite_is_the_hottest():
    got = torch.tensor([[0.0, math.nan], [5.0, math.inf]])
    heat = show.heat(got, torch.zeros(2, 2), (0, 1), 0.0)
    assert heat.cells == ((0.0, 1.0), (0.3, 1.0))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.bfloat16, torch.complex64])
def test_a_heat_map_can_be_made_of_every_dtype(dtype):
    got, expected = torch.zeros(4, 4, dtype=dtype), torch.ones(4, 4, dtype=dtype)
    assert show.heat(got, expected, (0, 0), 0.0).cells == ((1.0,) * 4,) * 4


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
