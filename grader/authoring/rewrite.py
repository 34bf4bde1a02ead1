"""Two changes to a definition: blank its body, and point its inner imports at learners' files."""

from __future__ import annotations

import io
import re
import textwrap
import tokenize
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final, TypeVar

import libcst as cst
from libcst.helpers import get_full_name_for_node

from grader.authoring.imports import Import, render
from grader.authoring.source import imports_of, is_ours

STEP: Final = "# Step"

Place = Callable[[str, str], str | None]
"""Says for (module, name) of the reference which module of the learner holds it, if any does."""

_EXAMPLE = re.compile(
    r"^(?P<lead>[ \t]*(?:>>>|\.\.\.)[ \t]+)"
    r"(?P<line>from[ \t]+[\w.]+[ \t]+import[ \t]+\w[\w \t,]*?)"
    r"(?P<tail>[ \t]*(?:#.*)?)$",
    re.MULTILINE,
)

_Definition = TypeVar("_Definition", cst.FunctionDef, cst.ClassDef)


def blank(node: cst.BaseStatement, names: Collection[str]) -> cst.BaseStatement:
    """Blank a function named in `names`, or those methods of a class that are: `Class.method`."""
    if isinstance(node, cst.FunctionDef) and node.name.value in names:
        return _blanked(node)
    if isinstance(node, cst.ClassDef):
        body = [
            _blanked(part)
            if isinstance(part, cst.FunctionDef) and f"{node.name.value}.{part.name.value}" in names
            else part
            for part in node.body.body
        ]
        return node.with_changes(body=node.body.with_changes(body=body))
    return node


def _blanked(function: cst.FunctionDef) -> cst.FunctionDef:
    """Keep signature, docstring and steps; everything else becomes NotImplementedError."""
    if _is_overload(function):
        return function
    kept: Sequence[cst.BaseStatement] = ()
    rest: cst.BaseSuite = function.body
    if isinstance(rest, cst.IndentedBlock) and function.get_docstring(clean=False) is not None:
        kept, rest = rest.body[:1], rest.with_changes(body=rest.body[1:])
    steps = [cst.EmptyLine(comment=cst.Comment(step)) for step in _steps(rest)]
    stop = cst.parse_statement("raise NotImplementedError").with_changes(leading_lines=steps)
    body = cst.IndentedBlock(body=[*kept, stop])
    if isinstance(function.body, cst.IndentedBlock):
        body = body.with_changes(header=function.body.header)
    return function.with_changes(body=body)


def _is_overload(function: cst.FunctionDef) -> bool:
    names = (get_full_name_for_node(d.decorator) or "" for d in function.decorators)
    return any(name.split(".")[-1] == "overload" for name in names)


def _steps(body: cst.BaseSuite) -> list[str]:
    """The comment lines that begin with `# Step`, each with the comment lines that continue it."""
    code = "if True:" + cst.Module(body=()).code_for_node(body)
    lines = code.splitlines()
    steps: list[str] = []
    end: tuple[int, int] | None = None  # where a line that continues the last step would stand
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        row, column = token.start
        if token.type != tokenize.COMMENT or lines[row - 1][:column].strip():
            continue
        if token.string.startswith(STEP) or (row, column) == end:
            steps.append(token.string)
            end = (row + 1, column)
    return steps


class Redirect(cst.CSTTransformer):
    """Rewrites `from happyllm…` inside functions and in the examples of docstrings.

    Args:
        package: the package that relative imports start from.
        place: asked for every name that is imported inside a function.
        example: asked for every name that an example in a docstring imports.
    """

    def __init__(self, package: str, place: Place, example: Place):
        super().__init__()
        self.package = package
        self.place = place
        self.example = example
        self.depth = 0

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> None:
        self.depth += 1

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        self.depth -= 1
        return updated_node

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.SimpleStatementLine | cst.FlattenSentinel[cst.SimpleStatementLine]:
        found = list(imports_of(updated_node.body[0], self.package))
        if len(updated_node.body) > 1 or not any(is_ours(one.module) for one in found):
            return updated_node
        moved = [self._moved(one, self.place) for one in found]
        text = textwrap.dedent(render(moved, indent=4 * self.depth))
        lines = [cst.ensure_type(s, cst.SimpleStatementLine) for s in cst.parse_module(text).body]
        lines[0] = lines[0].with_changes(leading_lines=updated_node.leading_lines)
        lines[-1] = lines[-1].with_changes(trailing_whitespace=updated_node.trailing_whitespace)
        return cst.FlattenSentinel(lines)

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        return self._documented(updated_node)

    def leave_ClassDef(
        self, original_node: cst.ClassDef, updated_node: cst.ClassDef
    ) -> cst.ClassDef:
        return self._documented(updated_node)

    def _documented(self, node: _Definition) -> _Definition:
        """Point the examples of a docstring at the learner's files."""
        body = node.body
        if not isinstance(body, cst.IndentedBlock) or node.get_docstring(clean=False) is None:
            return node
        line = cst.ensure_type(body.body[0], cst.SimpleStatementLine)
        expression = cst.ensure_type(line.body[0], cst.Expr)
        if not isinstance(expression.value, cst.SimpleString):
            return node
        said = expression.value
        told = said.with_changes(value=_EXAMPLE.sub(self._examples, said.value))
        return node.with_deep_changes(expression, value=told)

    def _examples(self, match: re.Match[str]) -> str:
        """One line of imports in an example, a line for each file that the names come from."""
        try:
            statement = cst.parse_statement(match["line"])
        except cst.ParserSyntaxError:
            return match[0]
        line = cst.ensure_type(statement, cst.SimpleStatementLine)
        found = list(imports_of(line.body[0], self.package))
        moved = [self._moved(one, self.example) for one in found]
        if moved == found:
            return match[0]
        names: dict[str, list[str]] = {}
        for one in moved:
            shown = f"{one.name} as {one.alias}" if one.alias else str(one.name)
            names.setdefault(one.module, []).append(shown)
        return "\n".join(
            f"{match['lead']}from {module} import {', '.join(group)}{match['tail']}"
            for module, group in names.items()
        )

    @staticmethod
    def _moved(one: Import, place: Place) -> Import:
        there = place(one.module, one.name or "") if is_ours(one.module) else None
        return replace(one, module=there) if there else one
