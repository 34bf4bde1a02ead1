"""Files that somebody could hand in: solutions with a variant of the suite in them."""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
import textwrap
from collections.abc import Callable, Sequence
from types import CodeType, ModuleType

from grader import shelf
from grader.catalogue import Exercise
from grader.judge.marks import AlsoRight, KnownWrong
from tests.grader.suites.loading import suite_of


def variants(
    exercise: Exercise, which: Callable[[ModuleType], Sequence[KnownWrong | AlsoRight]]
) -> list[tuple[str, str, str]]:
    """The solution with each variant of the suite put in: the exercise, the variant, the text.

    Those that lean on helpers of the suite, or on what they stand in for, are left out: nobody
    could hand them in.
    """
    solution = shelf.solution(exercise)
    there = used(compile(solution, exercise.file, "exec"), "STORE_NAME") | set(dir(builtins))
    found = []
    for entry in which(suite_of(exercise)):
        tree = ast.parse(textwrap.dedent(inspect.getsource(entry.variant)))
        variant = tree.body[0]
        assert isinstance(variant, ast.FunctionDef | ast.ClassDef)
        variant.decorator_list = [  # less the suite's marks
            one
            for one in variant.decorator_list
            if not ast.unparse(one).startswith(("known_wrong(", "also_right("))
        ]
        text = ast.unparse(tree)
        code = compile(text, "<variant>", "exec")
        reads = used(code, "LOAD_GLOBAL") | used(code, "LOAD_NAME")
        alone = reads - used(code, "STORE_NAME") <= there | {"__name__"}
        owner, _, method = entry.target.rpartition(".")
        touched = used(code, "LOAD_ATTR") | used(code, "LOAD_METHOD")
        calls_itself = entry.target in reads or (owner in reads and method in touched)
        if alone and not calls_itself:
            put = f"\n\n{text}\n\n{entry.target} = {entry.id}\n"
            found.append((exercise.id, entry.id, solution + put))
    return found


def used(code: CodeType, step: str) -> set[str]:
    """The names that code reads or sets, and the functions and classes in it."""
    names = {str(one.argval) for one in dis.get_instructions(code) if one.opname == step}
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    return names.union(*(used(one, step) for one in inner)) if inner else names
