"""What people do to a text that is not theirs: each changes how it looks, and not what it does."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable


def rename(text: str) -> str:
    """Other names for whatever a function binds."""
    tree = ast.parse(text)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            bound = {
                node.id
                for node in ast.walk(function)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
            fresh = {name: f"my_{name[::-1]}_{len(name)}" for name in bound}
            for node in ast.walk(function):
                if isinstance(node, ast.Name):
                    node.id = fresh.get(node.id, node.id)
    return ast.unparse(tree)


def rename_attributes(text: str) -> str:
    """Other names for what an object keeps for itself."""
    kept = set(re.findall(r"self\.(\w+)(?:, self\.\w+)* =", text))
    return re.sub(r"self\.(\w+)", lambda m: f"self.{m[1]}_x" if m[1] in kept else m[0], text)


def comment(text: str) -> str:
    """Other comments, no docstrings, another layout, and annotations of one's own."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body[0].value.value = "What I thought here."  # type: ignore[attr-defined]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in node.args.args:
                argument.annotation = None
    lines = ast.unparse(tree).split("\n")
    return "\n".join(f"{line}  # step {n}" if line else "# ----" for n, line in enumerate(lines))


def reorder(text: str) -> str:
    """Functions and methods the other way round."""
    tree = ast.parse(text)
    for node in [tree, *ast.walk(tree)]:
        if isinstance(node, ast.Module | ast.ClassDef):
            functions = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            places = [i for i, n in enumerate(node.body) if isinstance(n, ast.FunctionDef)]
            for place, function in zip(places, reversed(functions), strict=True):
                node.body[place] = function
    return ast.unparse(tree)


def swap(text: str) -> str:
    """Neighbouring statements that do not concern each other, the other way round."""
    tree = ast.parse(text)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            body, place = function.body, 0
            while place + 1 < len(body):
                if _independent(body[place], body[place + 1]):
                    body[place], body[place + 1] = body[place + 1], body[place]
                    place += 1
                place += 1
    return ast.unparse(tree)


def _independent(one: ast.stmt, other: ast.stmt) -> bool:
    if not all(isinstance(statement, ast.Assign) for statement in (one, other)):
        return False
    return all(
        not (_written(a) & (_written(b) | _read(b)))
        for a, b in itertools.permutations((one, other))
    )


def _written(statement: ast.stmt) -> set[str]:
    assert isinstance(statement, ast.Assign)
    return {_whole(part) for target in statement.targets for part in _parts(target)}


def _whole(target: ast.expr) -> str:
    """What is changed by writing to it: of `x[:, 1:]` it is `x`."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return ast.unparse(target)


def _parts(target: ast.expr) -> list[ast.expr]:
    return list(target.elts) if isinstance(target, ast.Tuple) else [target]


def _read(statement: ast.stmt) -> set[str]:
    assert isinstance(statement, ast.Assign)
    return {
        ast.unparse(node)
        for node in ast.walk(statement.value)
        if isinstance(node, ast.Name | ast.Attribute)
    }


def pad(text: str) -> str:
    """Much code behind it that is of no use."""
    more = "\n".join(
        f"def unused_{n}(value):\n    table = [value * {n}, value - {n}]\n"
        f"    return max(table) if len(table) > {n} else sorted(table)[0]\n"
        for n in range(30)
    )
    return f"{text}\n{more}"


def all_of_it(text: str) -> str:
    return comment(swap(reorder(rename(rename_attributes(text)))))


WAYS: dict[str, Callable[[str], str]] = {
    one.__name__: one for one in (rename, rename_attributes, comment, reorder, swap, pad, all_of_it)
}
