"""The learner's code and the solution, compared: what was blanked only, without docstrings."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from grader.catalogue import Exercise


@dataclass(frozen=True)
class Part:
    """One function or method, without its docstring: the learner's, and the solution's."""

    name: str
    mine: tuple[str, ...]
    solution: tuple[str, ...]


def parts(exercise: Exercise, mine: str, solution: str) -> tuple[Part, ...] | None:
    """What was blanked, in both; none where Python cannot read the learner's file."""
    try:
        written = _functions(mine)
    except (SyntaxError, ValueError, RecursionError):
        return None
    worked = _functions(solution)
    return tuple(
        Part(name, written.get(name, ()), worked.get(name, ())) for name in exercise.blanks
    )


def aligned(part: Part) -> Iterator[tuple[int | None, int | None, bool]]:
    """The lines of both, beside one another where they are alike."""
    matcher = difflib.SequenceMatcher(None, part.mine, part.solution, autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        for step in range(max(b - a, d - c)):
            left = a + step if a + step < b else None
            right = c + step if c + step < d else None
            yield left, right, tag == "equal"


def _functions(text: str) -> dict[str, tuple[str, ...]]:
    """The lines of every function and method, by name, dedented and without the docstring."""
    lines = text.splitlines()
    found: dict[str, tuple[str, ...]] = {}

    def visit(body: list[ast.stmt], path: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{path}{node.name}.")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                kept = list(range(first, (node.end_lineno or first) + 1))
                if ast.get_docstring(node, clean=False) is not None:
                    doc = node.body[0]
                    cut = range(doc.lineno, (doc.end_lineno or doc.lineno) + 1)
                    kept = [number for number in kept if number not in cut]
                source = [lines[number - 1][node.col_offset :].rstrip() for number in kept]
                found[f"{path}{node.name}"] = tuple(source)

    visit(ast.parse(text).body, "")
    return found
