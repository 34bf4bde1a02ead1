"""Which failure is explained first, and what is found out about it."""

from __future__ import annotations

import json

import pytest
import torch

from grader.catalogue import Text
from grader.judge import explanation
from grader.judge.check import Compared
from grader.judge.explanation import Clue
from grader.judge.student import Asked
from grader.report import Failure, Test


def failing(test_id, kind, place=0, size=8):
    asked = Asked("call", None, None, (torch.zeros(size),), {}, None, "f")
    said = Text(test_id, test_id)
    return Test(test_id, said, "failed", 0.0, Failure(kind, said)), Clue(asked, None, place)


def first(*pairs):
    tests = [test for test, _ in pairs]
    found = explanation.first(tests, "failed", {test.id: clue for test, clue in pairs})
    return None if found is None else found.id


# ---- which comes first


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        *(("type", "shape"), ("shape", "dtype"), ("dtype", "values"), ("dtype", "finite")),
        *(("values", "gradient"), ("claim", "gradient"), ("values", "raises")),
    ],
)
def test_kinds_are_told_in_order_wherever_they_stand(earlier, later):
    assert first(failing("b", later, 0), failing("a", earlier, 1)) == "a"


def test_of_one_kind_the_first_of_the_suite_is_told():
    assert first(failing("b", "values", 1, 2), failing("a", "values", 0, 99)) == "a"


def test_of_the_cases_of_one_test_the_smallest_is_told():
    assert first(failing("t[9]", "values", 0, 9), failing("t[2]", "values", 0, 2)) == "t[2]"


def test_a_nan_is_told_before_wrong_values_if_it_takes_no_larger_input():
    assert first(failing("a", "values", 0, 40), failing("b", "finite", 1, 24)) == "b"
    assert first(failing("a", "values", 0, 4), failing("b", "finite", 1, 24)) == "a"
    assert first(failing("a", "shape", 0, 40), failing("b", "finite", 1, 24)) == "a"


def test_only_tests_of_the_outcome_that_speaks_are_told():
    test, clue = failing("a", "values")
    assert explanation.first([test], "error", {"a": clue}) is None


# ---- in a grading

SUITE = """
@pytest.mark.parametrize("n", [9, 3])
def test_it_doubles(student, n):
    x = torch.randn(n, 4)
    check.close(student.double(x), x * 2)

def test_zero_halved_is_zero(student):
    x = torch.zeros(2, 2)
    check.close(student.half(x), x / 2)

def test_the_gradient_is_two(student):
    def gradient(m, x):
        \"\"\"The gradient of double(x) for x

        double(x) 对 x 的梯度
        \"\"\"
        x = x.clone().requires_grad_()
        m.double(x).sum().backward()
        return x.grad

    check.gradients(student.run(gradient, torch.ones(3)), 2 * torch.ones(3), names=("x",))
"""
HALF = "import torch\ndef half(x): return x / 2\n"
DOUBLE = "import torch\ndef double(x): return 2 * x\n"


def test_a_factor_is_told_with_the_smallest_case(grade):
    graded = grade(SUITE, HALF + "def double(x): return 6 * x")
    assert graded.failure.pattern.en == "Every value is 3.000 times what is expected."
    assert graded.failure.call == "double(float32[3, 4])"
    assert graded.first_failure.case == "n=3"


def test_a_mask_is_seen_in_the_map_and_told_in_words(grade):
    code = HALF + "def double(x): return torch.where(x.cumsum(0) * 0 + 1 > 0, 2 * x, x).clone()"
    code += ".index_add(0, torch.tensor([1]), torch.ones(1, 4))"
    graded = grade(SUITE, code)
    assert "at row 1" in graded.failure.pattern.en
    assert [max(row) > 0 for row in graded.failure.heat.cells] == [False, True, False]


def test_only_the_failure_that_is_explained_has_a_map_and_a_pattern(grade):
    graded = grade(SUITE, HALF + "def double(x): return 6 * x")
    told = [test.id for test in graded.tests if test.failure and test.failure.heat]
    assert told == [graded.first_failure.id] == ["test_it_doubles[3]"]


def test_a_nan_is_traced_in_a_grading(grade):
    graded = grade(SUITE, DOUBLE + "def half(x):\n    y = x / x\n    return y * x / 2")
    assert graded.failure.kind == "finite"
    found = graded.failure.origin
    assert (found.operation, found.frame.file, found.frame.line) == ("/", "ch9/it.py", 4)


def test_an_answer_cut_off_from_the_graph_is_a_wrong_gradient_and_no_error(grade):
    graded = grade(SUITE, HALF + "def double(x): return 2 * x.detach()")
    assert (graded.outcome, graded.failure.kind) == ("failed", "gradient")
    assert graded.failure.message.en.startswith("No gradient flows back")
    assert graded.failure.call_zh == "double(x) 对 x 的梯度"


def test_an_error_of_the_learners_own_backward_is_an_error(grade):
    code = HALF + "def double(x):\n    x.detach().sum().backward()\n    return 2 * x"
    assert grade(SUITE, code).failure.kind == "exception"


def test_a_wrong_gradient_is_told_by_its_name(grade):
    code = HALF + "def double(x): return 2 * x.detach() + x - x.detach()"
    graded = grade(SUITE, code)
    assert graded.failure.message.en.startswith("The gradient for x is 1")


def test_what_is_printed_in_a_test_is_kept_with_it(grade):
    code = HALF + "print('loaded')\ndef double(x):\n    print(len(x))\n    return x"
    graded = grade(SUITE, code)
    assert [test.printed.text if test.printed else None for test in graded.tests] == [
        *("9\n", "3\n", None, "3\n"),
    ]
    assert graded.printed.text == "loaded\n9\n3\n3\n"


def test_a_suite_that_changes_its_own_tensor_spoils_no_diagnosis(grade):
    suite = """
    from grader.judge.diagnosis import known_wrong

    def test_it_doubles(student):
        x = torch.ones(3)
        got = student.double(x)
        x.mul_(10)
        check.close(got, 2 * torch.ones(3))

    @known_wrong("double", en="You tripled.", zh="你乘了三。")
    def tripled(x):
        return x * 3
    """
    graded = grade(suite, HALF + "def double(x): return 3 * x")
    assert graded.mistake.id == "tripled"


def test_a_report_stays_small_whatever_a_learner_does(grade):
    code = HALF + "import sys\nname = 'n' * 10**5\n"
    code += "def double(x):\n    print('p' * 10**6)\n"
    code += f"    {' = '.join(f'x{n}' for n in range(60))} = torch.ones(10**6)\n"
    code += f"    raise ValueError('m' * 10**6, {', '.join(f'x{n}' for n in range(60))})\n"
    graded = grade(SUITE, code, output_bytes=16 * 1024)
    import dataclasses

    assert len(json.dumps(dataclasses.asdict(graded))) < 200_000


def test_a_comparison_knows_what_was_made_up():
    nan, inf = torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.inf])
    assert Compared(nan, torch.ones(2), 0.0).made_up() == "nan"
    assert Compared(inf, torch.ones(2), 0.0).made_up() == "inf"
    assert Compared(inf, inf, 0.0).made_up() is None
    assert Compared(torch.ones(3), torch.ones(2), 0.0).made_up() is None
