"""The source text of the reference, cut into its top-level statements; nothing is imported."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import libcst as cst
from libcst.helpers import get_absolute_module_from_package_for_import, get_full_name_for_node
from libcst.metadata import Assignment, GlobalScope, MetadataWrapper, ScopeProvider

from grader.authoring.imports import Import

LIBRARY: Final = "happyllm"


class ViewError(Exception):
    """The views cannot be built; each problem names the file, the object and the fix."""

    def __init__(self, problems: Iterable[str]):
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, eq=False)
class Piece:
    """One top-level statement that is not an import.

    Attributes:
        node: the statement, with the comments above it.
        binds: the names that it defines.
        uses: the names of its module that it needs, annotations included.
    """

    node: cst.BaseStatement
    binds: frozenset[str]
    uses: frozenset[str]


@dataclass(frozen=True, eq=False)
class Source:
    """One module of the reference.

    Attributes:
        module: its name, `happyllm.llama.attention`.
        package: the package that relative imports in it start from.
        file: its path from the root of the repository.
        pieces: its statements in order, without docstring and imports.
        imports: what each imported name stands for.
        postponed: whether it has `from __future__ import annotations`.
    """

    module: str
    package: str
    file: str
    tree: cst.Module
    pieces: tuple[Piece, ...]
    imports: Mapping[str, tuple[Import, ...]]
    postponed: bool

    def defining(self, name: str) -> tuple[Piece, ...]:
        """The statements that define a name: one, or several where a function is overloaded."""
        return tuple(piece for piece in self.pieces if name in piece.binds)

    @property
    def names(self) -> list[str]:
        return sorted({name for piece in self.pieces for name in piece.binds})


@dataclass(frozen=True)
class Library:
    """The modules of the reference under a root, each read once."""

    root: Path
    _read: dict[str, Source] = field(default_factory=dict)

    def source(self, module: str) -> Source:
        """Read one module.

        Raises:
            ViewError: there is no such file, or it does not parse.
        """
        if module not in self._read:
            self._read[module] = _read(self.root, module)
        return self._read[module]

    def has(self, module: str) -> bool:
        """Whether there is a file or a folder for a module."""
        path = self.root.joinpath(*module.split("."))
        return path.is_dir() or path.with_suffix(".py").is_file()

    def resolve(self, module: str, name: str) -> Source | Import:
        """Follow a name through re-exports to the module that defines it, or out of the library.

        Raises:
            ViewError: it leads to no definition.
        """
        asked, seen = f"{module}.{name}", set[str]()
        while module not in seen:
            seen.add(module)
            source = self.source(module)
            if source.defining(name):
                return source
            found = source.imports.get(name, ())
            if not found:
                near = difflib.get_close_matches(name, source.names, n=1)
                hint = f"did you mean '{near[0]}'?" if near else "import what a module defines"
                raise ViewError([f"{source.file}: {name}: not defined there; {hint}"])
            if not is_ours(found[0].module):
                return found[0]
            if found[0].name is None:
                break
            if found[0].name != name:
                raise ViewError(
                    [f"{source.file}: {name}: renamed with 'as'; hand names on under their own"]
                )
            module = found[0].module
        raise ViewError([f"{asked}: leads to no definition; import it from where it is defined"])


def is_ours(module: str) -> bool:
    """Whether a module belongs to the reference."""
    return module.split(".")[0] == LIBRARY


def imports_of(node: cst.BaseSmallStatement, package: str) -> Iterator[Import]:
    """What an import statement binds, by absolute names; a star is the name `*`."""
    if isinstance(node, cst.Import):
        for alias in node.names:
            yield Import(alias.evaluated_name, None, alias.evaluated_alias)
    elif isinstance(node, cst.ImportFrom):
        module = get_absolute_module_from_package_for_import(package, node) or ""
        if isinstance(node.names, cst.ImportStar):
            yield Import(module, "*")
        else:
            for alias in node.names:
                yield Import(module, alias.evaluated_name, alias.evaluated_alias)


def _read(root: Path, module: str) -> Source:
    path = root.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    shown = file.relative_to(root).as_posix()
    try:
        wrapper = MetadataWrapper(cst.parse_module(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        fix = f"correct the module '{module}' in objects or in the import"
        raise ViewError([f"{shown}: there is no such file; {fix}"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ViewError([f"{shown}: cannot be read: {error}"]) from None
    except cst.ParserSyntaxError as error:
        fix = "correct the syntax"
        raise ViewError([f"{shown}:{error.raw_line}: {error.message}; {fix}"]) from None
    package = module if path.is_dir() else module.rpartition(".")[0]
    return _cut(wrapper, module, package, shown)


def _cut(wrapper: MetadataWrapper, module: str, package: str, file: str) -> Source:
    """Sort the statements of a module into imports and pieces, with what each binds and uses."""
    statements = wrapper.module.body
    binds, uses = _names(wrapper)
    imports: dict[str, tuple[Import, ...]] = {}
    pieces: list[Piece] = []
    postponed = False

    def note(line: cst.SimpleStatementLine, *, type_only: bool) -> None:
        nonlocal postponed
        for small in line.body:
            for one in imports_of(small, package):
                if one.name == "*":
                    fix = "import the names that are used"
                    raise ViewError([f"{file}: from {one.module} import *: {fix}"])
                if one.module == "__future__":
                    postponed = True
                    continue
                noted = Import(one.module, one.name, one.alias, type_only)
                imports[noted.bound] = (*imports.get(noted.bound, ()), noted)

    for index, statement in enumerate(statements):
        if _is_import(statement):
            assert isinstance(statement, cst.SimpleStatementLine)
            note(statement, type_only=False)
        elif isinstance(statement, cst.If) and _asks_type_checking(statement):
            for line in statement.body.body:
                if not isinstance(line, cst.SimpleStatementLine) or not _is_import(line):
                    fix = "keep only imports there"
                    raise ViewError([f"{file}: if TYPE_CHECKING: holds more than imports; {fix}"])
                note(line, type_only=True)
        else:
            own = frozenset(binds.get(index, ()))
            piece = Piece(statement, own, frozenset(uses.get(index, ())) - own)
            pieces.append(piece)
    return Source(module, package, file, wrapper.module, tuple(pieces), imports, postponed)


def _names(wrapper: MetadataWrapper) -> tuple[dict[int, set[str]], dict[int, set[str]]]:
    """For each top-level statement, by its index: the global names it binds and those it uses."""
    index_of: dict[cst.CSTNode, int] = {}
    for index, statement in enumerate(wrapper.module.body):
        stack: list[cst.CSTNode] = [statement]
        while stack:
            node = stack.pop()
            index_of[node] = index
            stack.extend(node.children)
    binds: dict[int, set[str]] = {}
    uses: dict[int, set[str]] = {}
    scopes = set(wrapper.resolve(ScopeProvider).values())
    for scope in scopes:
        for assignment in scope.assignments if isinstance(scope, GlobalScope) else ():
            name = assignment.name.split(".")[0]
            if isinstance(assignment, Assignment) and assignment.node in index_of:
                binds.setdefault(index_of[assignment.node], set()).add(name)
            for access in assignment.references:
                if access.node in index_of:
                    uses.setdefault(index_of[access.node], set()).add(name)
    return binds, uses


def _is_import(statement: cst.BaseStatement) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and all(
        isinstance(small, cst.Import | cst.ImportFrom) for small in statement.body
    )


def _asks_type_checking(statement: cst.If) -> bool:
    named = get_full_name_for_node(statement.test) or ""
    return named.split(".")[-1] == "TYPE_CHECKING" and statement.orelse is None
