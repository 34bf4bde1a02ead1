"""The mutants of small functions: what is changed, and what is left alone."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from grader import catalogue, shelf
from grader.authoring.mutants import mutate

KNOWN = catalogue.load()


def changes(body: str, head: str = "def f(x, y):") -> set[str]:
    """What the lines of a small function become."""
    text = f"{head}\n" + "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
    return {mutant.becomes for mutant in mutate(text, ["f"])}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return x + y", "return x - y"),
        ("return x * y", "return x / y"),
        ("return x @ y", "return y @ x"),
        ("return x @ y", "return x @ y.mT"),
        ("return x < y", "return x <= y"),
        ("return x == y", "return x != y"),
        ("return x is None", "return x is not None"),
        ("return ~x", "return x"),
        ("return not x", "return x"),
        ("return x and y", "return x or y"),
        ("return x + 2", "return x + 3"),
        ("return x + 2", "return x + 1"),
        ("return x + 0.5", "return x + 0.25"),
        ("return x.mean(-1)", "return x.mean(-2)"),
        ("return x.mean(-1, keepdim=True)", "return x.mean(-1)"),
        ("return x.mean(-1, keepdim=True)", "return x.mean(-1, keepdim=False)"),
        ("return x.mean()", "return x.sum()"),
        ("return x.max()", "return x.min()"),
        ("return x.float() * y", "return x * y"),
        ("return x.to(y.dtype)", "return x"),
        ("return x.type_as(y)", "return x"),
        ("return x.softmax(dim=-1)", "return x"),
        ("return F.silu(x)", "return x"),
        ("return math.sqrt(x + 1) * y", "return (x + 1) * y"),
        ("return nn.Linear(x, y, bias=False)", "return nn.Linear(x, y, bias=True)"),
        ("return nn.Linear(x, y, bias=False)", "return nn.Linear(y, x, bias=False)"),
        ("return x.view(x, y, 4)", "return x.view(y, x, 4)"),
        ("return x.tril(diagonal=1)", "return x.triu(diagonal=1)"),
        ("return x.tril(diagonal=1)", "return x.tril(diagonal=0)"),
        ("return x[:, 1:]", "return x[:, :]"),
        ("return x if y else 0", "return x"),
        ("return x + y", "return (x + y).detach()"),
        ("return x, y", "return x.detach(), y"),
        ("return x, y", "return y, x"),
        ("return [a for a in range(x)]", "return [a for a in range(x - 1)]"),
        ("return x.to(torch.float32)", "return x.to(torch.float16)"),
    ],
)
def test_a_mistake_in_an_expression(line, expected):
    assert expected in changes(line)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("if x:\n    y = 1\n    x = 2\nreturn y", "if True:"),
        ("if x:\n    y = 1\n    x = 2\nreturn y", "if False:"),
        ("while x > y:\n    x = g(x)\nreturn x", "while False:"),
        ("x = x + y\nreturn x", "pass"),
        ("x += y\nreturn x", "x -= y"),
        ("x.zero_()\nreturn x", "pass"),
        ("self.x = y\nreturn x", "pass"),
        ("return x + y", "return x"),
    ],
)
def test_a_mistake_in_a_statement(body, expected):
    assert expected in changes(body)


def test_what_is_new_is_not_left_out_since_nothing_could_run_without_it():
    assert "pass" not in changes("z = y\nreturn z")


def test_a_function_that_learns_nothing_is_not_cut_off_from_the_graph():
    assert not any(
        "detach" in one for one in changes("return x + y", "@torch.no_grad()\ndef f(x, y):")
    )
    assert not any("detach" in one for one in changes("return 1 + y", "def f(x, y) -> int:"))


def test_docstrings_messages_and_annotations_are_nobodys_business():
    body = '''
    """Give 1 + 1."""
    z: Literal[1] = y
    if x:
        raise ValueError(f"{x + 1} is more than 1")
    return z
    '''
    texts = [mutant.text for mutant in mutate(source(body), ["f"])]
    assert texts
    for text in texts:
        assert '"""Give 1 + 1."""' in text
        assert "Literal[1]" in text
        assert '{x + 1} is more than 1"' in text or "raise" not in text


def source(body: str) -> str:
    return "def f(x, y):\n" + "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())


def test_only_the_bodies_that_learners_write_are_changed():
    text = dedent(
        """
        class C:
            def a(self, x):
                return x + 1

            def b(self, x):
                return x + 1


        def a(x):
            return x + 1
        """
    )
    found = mutate(text, ["C.b"], "ch5/it.py")
    assert {mutant.target for mutant in found} == {"C.b"}
    for mutant in found:
        tree = ast.parse(mutant.text)
        assert ast.unparse(tree.body[0].body[0]) == "def a(self, x):\n    return x + 1"
        assert ast.unparse(tree.body[1]) == "def a(x):\n    return x + 1"


def test_a_mutant_says_what_was_changed_and_shows_it():
    text = 'def f(x):\n    """Doc."""\n    # Step 1\n    y = x + 1  # (B, T)\n    return y\n'
    mutant = next(m for m in mutate(text, ["f"], "ch5/it.py") if "x - 1" in m.becomes)
    assert (mutant.was, mutant.becomes) == ("y = x + 1", "y = x - 1")
    assert mutant.what == "`y = x + 1` becomes `y = x - 1`"
    assert mutant.diff.splitlines() == [
        "@@ ch5/it.py:4 @@",
        '     """Doc."""',
        "     # Step 1",
        "-    y = x + 1  # (B, T)",
        "+    y = x - 1  # (B, T)",
        "     return y",
    ]


@pytest.mark.parametrize("exercise_id", ["ch5/repeat_kv", "ch5/rotary"])
def test_the_mutants_of_a_solution_differ_compile_and_come_in_the_same_order(exercise_id):
    exercise = KNOWN[exercise_id]
    text = shelf.solution(exercise)
    found = mutate(text, exercise.blanks, exercise.file)
    assert found == mutate(text, exercise.blanks, exercise.file)
    assert len({mutant.id for mutant in found}) == len(found) > 10
    programs = {ast.dump(ast.parse(mutant.text)) for mutant in found}
    assert len(programs) == len(found)
    assert ast.dump(ast.parse(text)) not in programs
