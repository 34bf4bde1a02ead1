"""What of the reference belongs into one exercise's file: its objects and what they need."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

import libcst as cst

from grader.authoring.imports import Import
from grader.authoring.rewrite import Redirect
from grader.authoring.source import LIBRARY, Library, Piece, Source, ViewError, is_ours
from grader.catalogue import Catalogue, Exercise

Owners = Mapping[tuple[str, str], Exercise]
"""The exercise that an object of the reference belongs to, by (module, name)."""


@dataclass(frozen=True)
class Extract:
    """The contents of one exercise's file.

    Attributes:
        files: the modules of the reference that it is made from, the objects' own first.
        postponed: whether it needs `from __future__ import annotations`.
        imports: what it imports, the learner's own files among them.
        statements: its definitions in order, pointing at the learner's files.
    """

    files: tuple[str, ...]
    postponed: bool
    imports: frozenset[Import]
    statements: tuple[cst.BaseStatement, ...]


def owners(catalogue: Catalogue) -> Owners:
    """The exercise that every object belongs to."""
    return {
        (module, name): exercise
        for exercise in catalogue
        for module, _, name in (reference.partition(":") for reference in exercise.objects)
    }


def extract(exercise: Exercise, catalogue: Catalogue, library: Library) -> Extract:
    """Collect an exercise's objects, their helpers and their imports.

    Raises:
        ViewError: with every problem found in this exercise.
    """
    return _Extraction(exercise, catalogue, library).run()


class _Extraction:
    """One walk from an exercise's objects through the names that they use."""

    def __init__(self, exercise: Exercise, catalogue: Catalogue, library: Library):
        self.exercise = exercise
        self.library = library
        self.owners = owners(catalogue)
        self.allowed = {exercise.id, *(e.id for e in catalogue.requirements(exercise))}
        self.imports: set[Import] = set()
        self.pieces: dict[Piece, Source] = {}
        self.needs: dict[Source, set[Source]] = {}  # modules whose definitions must come first
        self.problems: dict[str, None] = {}  # in order, each once

    def run(self) -> Extract:
        for reference in self.exercise.objects:
            module, _, name = reference.partition(":")
            try:
                source = self.library.source(module)
            except ViewError as error:
                self.problems |= dict.fromkeys(error.problems)
                continue
            if source.defining(name):
                self.define(source, name)
            else:
                near = difflib.get_close_matches(name, source.names, n=1)
                hint = f"did you mean '{near[0]}'?" if near else "name the module that defines it"
                self.problem(source.file, name, f"not defined there; {hint}")
        statements = [self.redirected(piece, source) for piece, source in self.in_order()]
        self.check_names()
        if self.problems:
            raise ViewError(self.problems)
        return Extract(
            files=tuple(dict.fromkeys(source.file for source in self.pieces.values())),
            postponed=any(source.postponed for source in self.needs),
            imports=frozenset(self.settled_imports()),
            statements=tuple(statements),
        )

    def problem(self, file: str, name: str, what: str) -> None:
        self.problems[f"{file}: {name}: {what}"] = None

    def define(self, source: Source, name: str) -> None:
        """Take in what a module says a name is, or import it where another exercise owns it."""
        owner = self.owners.get((source.module, name))
        if owner is not None and owner is not self.exercise:
            self.imports.add(Import(self.from_learner(owner, source, name), name))
            return
        self.needs.setdefault(source, set())
        for piece in source.defining(name):
            if piece not in self.pieces:
                self.pieces[piece] = source
                for used in sorted(piece.uses):
                    self.follow(source, used)

    def follow(self, source: Source, name: str) -> None:
        """Take in what a module knows by a name: its own definition, or an import."""
        for one in source.imports.get(name, ()):
            if is_ours(one.module):
                self.follow_import(source, one)
            else:
                self.imports.add(one)
        if source.defining(name):
            self.define(source, name)

    def follow_import(self, source: Source, one: Import) -> None:
        """Take in what is imported from the reference: from a learner's file, or as a helper."""
        whole = f"is a whole module of {LIBRARY}; import the names that are used, from it"
        if one.name is None:
            self.problem(source.file, one.bound, whole)
            return
        try:
            found = self.library.resolve(one.module, one.name)
        except ViewError as error:
            if self.library.has(f"{one.module}.{one.name}"):
                self.problem(source.file, one.bound, whole)
            else:
                self.problems |= dict.fromkeys(error.problems)
            return
        if isinstance(found, Import):
            alias = one.bound if found.bound != one.bound else found.alias
            self.imports.add(replace(found, alias=alias, type_only=one.type_only))
            return
        owner = self.owners.get((found.module, one.name))
        if owner is not None and owner is not self.exercise:
            if not one.type_only:
                self.from_learner(owner, source, one.name)
            self.imports.add(replace(one, module=owner.module))
        elif one.bound != one.name:
            fix = f"import it as {one.name}"
            self.problem(source.file, one.bound, f"renames {one.name}, which is copied in; {fix}")
        else:
            self.define(found, one.name)
            if not one.type_only:
                self.needs[source].add(found)

    def from_learner(self, owner: Exercise, source: Source, name: str) -> str:
        """The learner's module for an object; a problem unless this exercise builds on it."""
        if owner.id not in self.allowed:
            fix = f'add "{owner.id}" to requires of {self.exercise.id} in chapter.toml'
            self.problem(
                source.file, name, f"{self.exercise.id} needs it, {owner.id} holds it; {fix}"
            )
        return owner.module

    def redirected(self, piece: Piece, source: Source) -> cst.BaseStatement:
        """A definition whose inner imports and examples point at the learner's files."""

        def owner_of(module: str, name: str) -> Exercise | None:
            try:
                found = self.library.resolve(module, name)
            except ViewError:
                return None
            return None if isinstance(found, Import) else self.owners.get((found.module, name))

        def place(module: str, name: str) -> str | None:
            owner = owner_of(module, name)
            if owner is None:
                fix = "import it at the top of the file"
                self.problem(source.file, name or module, f"imported inside a function; {fix}")
                return None
            return self.from_learner(owner, source, name)

        def example(module: str, name: str) -> str | None:
            owner = owner_of(module, name)
            return owner.module if owner else None

        changed = piece.node.visit(Redirect(source.package, place, example))
        assert isinstance(changed, cst.BaseStatement)
        return changed

    def in_order(self) -> list[tuple[Piece, Source]]:
        """The definitions in source order; a helper's module before the module that uses it."""
        try:
            # Modules in the order of their names where nothing else decides: a set has no order.
            needs = {
                source: sorted(self.needs[source], key=lambda one: one.module)
                for source in sorted(self.needs, key=lambda one: one.module)
            }
            sources = list(TopologicalSorter(needs).static_order())
        except CycleError as error:
            circle = error.args[1]
            shown = " -> ".join(source.file for source in circle)
            fix = "move what they share into a module of its own"
            self.problem(circle[0].file, "import", f"goes in a circle, {shown}; {fix}")
            return []
        return [
            (piece, source) for source in sources for piece in source.pieces if piece in self.pieces
        ]

    def settled_imports(self) -> set[Import]:
        """The imports, each once; what is needed when the code runs is no longer type-only."""
        running = {one for one in self.imports if not one.type_only}
        typing = {
            o for o in self.imports if o.type_only and replace(o, type_only=False) not in running
        }
        if typing:
            running.add(Import("typing", "TYPE_CHECKING"))
        return running | typing

    def check_names(self) -> None:
        """One name must not mean two things in the file that is put together."""
        meanings: dict[str, set[str]] = {}
        for one in self.imports:
            meanings.setdefault(one.bound, set()).add(one.origin)
        for piece, source in self.pieces.items():
            for name in piece.binds:
                meanings.setdefault(name, set()).add(f"{source.module}.{name}")
        for name, origins in sorted(meanings.items()):
            if len(origins) > 1:
                file = next(iter(self.needs)).file
                both = " and ".join(sorted(origins))
                self.problem(file, name, f"means both {both} in {self.exercise.id}; rename one")
