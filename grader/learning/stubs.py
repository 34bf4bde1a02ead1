"""Stubs over time: what `init` wrote, what an upgrade brings, and how to begin an exercise anew.

`.happyllm/workspace.json` remembers which stub each file began as. A file that is still that stub
holds no work and may be replaced; any other is the learner's, and is never written to.
"""

from __future__ import annotations

import ast
import difflib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from grader import shelf
from grader.catalogue import Catalogue, Exercise, Language, UnknownTarget
from grader.files import write_whole
from happyllm import __version__

from .furniture import furniture
from .progress import Progress, fingerprint
from .workspace import HOME, Workspace, WorkspaceError

VERSION = 1
FILE = "workspace.json"


@dataclass(frozen=True)
class Created:
    """What `create` did: files that it wrote, and files that it found and left alone."""

    root: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


def create(
    folder: Path,
    catalogue: Catalogue,
    chapters: Iterable[str] = (),
    language: Language = "en",
) -> Created:
    """Make a workspace: the stubs of some chapters, or of all, and what belongs beside them.

    What lies there is left alone.

    Raises:
        UnknownTarget: there is no such chapter.
        WorkspaceError: the folder cannot be written.
        ShelfError: a stub is missing from this installation.
    """
    wanted = tuple(chapters)
    known = {chapter.id for chapter in catalogue.chapters}
    for chapter in wanted:
        if chapter not in known:
            raise UnknownTarget(chapter, sorted(known))
    chosen = [e for e in catalogue if not wanted or e.chapter in wanted]
    stubs = {e.file: shelf.stub(e) for e in chosen}
    texts = {**stubs, **furniture(chosen, language)}
    written, kept = [], []
    for name, text in texts.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _put(path, text)
            written.append(name)
        except FileExistsError:
            if not path.is_file():
                raise WorkspaceError(f"{path.parent}: is in the way of a folder; move it") from None
            kept.append(name)
        except OSError as error:
            raise WorkspaceError(f"{path}: cannot be written: {error.strerror}") from error
    place = Workspace(folder)
    origin = Origin.of(place)
    fresh = {name: fingerprint(stubs[name]) for name in written if name in stubs}
    fresh |= {
        name: fingerprint(stubs[name]) for name in kept if stubs.get(name) == _at(place, name)
    }
    before = set(origin.chapters or known) if origin.stubs else set()
    all_of_them = before | (set(wanted) or known)
    Origin(
        origin.happyllm if origin.stubs else __version__,
        tuple(sorted(all_of_them)) if all_of_them != known else (),
        {**origin.stubs, **fresh},
    ).keep(place)
    return Created(folder, tuple(written), tuple(kept))


@dataclass(frozen=True)
class Origin:
    """What a workspace began as.

    Attributes:
        happyllm: the version whose stubs these are; empty when that is not known.
        chapters: the chapters that were asked for; none means all, those to come too.
        stubs: the fingerprint of the stub that each file began as.
    """

    happyllm: str
    chapters: tuple[str, ...]
    stubs: Mapping[str, str]

    @classmethod
    def of(cls, place: Workspace) -> Origin:
        """What is remembered; a file that cannot be read remembers nothing."""
        try:
            table: Any = json.loads((place.root / HOME / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            table = {}
        table = table if isinstance(table, dict) else {}
        stubs, chapters = table.get("stubs"), table.get("chapters")
        told = table.get("happyllm")
        return cls(
            told if isinstance(told, str) else "",
            tuple(map(str, chapters)) if isinstance(chapters, list) else (),
            {str(name): str(of) for name, of in stubs.items()} if isinstance(stubs, dict) else {},
        )

    def keep(self, place: Workspace) -> None:
        """Write it down.

        Raises:
            WorkspaceError: it cannot be written.
        """
        table = {
            "v": VERSION,
            "happyllm": self.happyllm,
            "chapters": list(self.chapters),
            "stubs": dict(sorted(self.stubs.items())),
        }
        replace(place.root / HOME / FILE, json.dumps(table, indent=2) + "\n")


# ---- an upgrade


@dataclass(frozen=True)
class Changed:
    """A stub that is new, of an exercise that the learner has begun.

    Attributes:
        exercise: which.
        put: where the new stub was put.
        parts: the functions and classes whose signature or docstring is new, by name.
        lines: the difference between them and the learner's, line by line, as a diff.
    """

    exercise: str
    put: str
    parts: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Updated:
    """What `update` did, by exercise.

    Attributes:
        added: stubs that were not there.
        renewed: stubs without work in them, replaced by the new ones.
        changed: exercises that were begun and whose stub is new; the learner's file is as it was.
        same: how many files there was nothing to do for.
    """

    added: tuple[str, ...]
    renewed: tuple[str, ...]
    changed: tuple[Changed, ...]
    same: int


def update(place: Workspace, catalogue: Catalogue) -> Updated:
    """Bring the stubs of this version into a workspace; nothing that was written is touched.

    Raises:
        WorkspaceError: a file cannot be read or written.
        ShelfError: a stub is missing from this installation.
    """
    origin = Origin.of(place)
    stubs = dict(origin.stubs)
    added, renewed, changed, same = [], [], [], 0
    here = {e.chapter for e in place.exercises(catalogue)}
    for exercise in catalogue:
        all_of_them = bool(origin.stubs) and not origin.chapters
        if not all_of_them and exercise.chapter not in here.union(origin.chapters):
            continue
        stub, path = shelf.stub(exercise), place.root / exercise.file
        was, stubs[exercise.file] = stubs.get(exercise.file), fingerprint(stub)
        if not os.path.lexists(path):
            _make(path, stub)
            added.append(exercise.id)
            continue
        mine = place.text(exercise.file)
        if mine == stub or was == fingerprint(stub):
            same += 1
        elif was == fingerprint(mine):
            replace(path, stub)
            renewed.append(exercise.id)
        else:
            put = f"{HOME}/new/{exercise.file}"
            parts, lines = _news(mine, stub)
            if parts:
                replace(place.root / put, stub)
                changed.append(Changed(exercise.id, put, parts, lines))
            else:
                same += 1
    Origin(__version__, origin.chapters, stubs).keep(place)
    return Updated(tuple(added), tuple(renewed), tuple(changed), same)


def _news(mine: str, stub: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the new stub asks that the learner's file does not: names, and the lines that differ."""
    asked = _asked(stub)
    try:
        have = _asked(mine)
    except (SyntaxError, ValueError, RecursionError):  # then all of it may be new
        have = {}
    parts = tuple(name for name in asked if have.get(name) != asked[name])
    lines: list[str] = []
    for name in parts:
        before = have.get(name, "").splitlines()
        diff = difflib.unified_diff(before, asked[name].splitlines(), n=1, lineterm="")
        lines += [line for line in diff if not line.startswith(("---", "+++", "@@"))]
    return parts, tuple(lines)


def _asked(text: str) -> dict[str, str]:
    """The signature and the docstring of every function and class, by its name."""
    found: dict[str, str] = {}

    def visit(body: Iterable[ast.stmt], path: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{path}{node.name}"
                doc = ast.get_docstring(node) or ""
                if isinstance(node, ast.ClassDef):
                    head = f"class {node.name}({', '.join(map(ast.unparse, node.bases))})"
                    visit(node.body, f"{name}.")
                else:
                    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
                    head = f"def {node.name}({ast.unparse(node.args)}){returns}"
                found[name] = f"{head}:\n{doc}"

    visit(ast.parse(text).body, "")
    return found


# ---- beginning anew


@dataclass(frozen=True)
class Reset:
    """What `reset` did: where the learner's file went, if there was one."""

    exercise: str
    backup: str | None


def reset(place: Workspace, exercise: Exercise) -> Reset:
    """Put the stub back. What was written is moved to `.happyllm/backups/`, under the time.

    Raises:
        WorkspaceError: a file cannot be moved or written.
        ShelfError: the stub is missing from this installation.
    """
    stub, path = shelf.stub(exercise), place.root / exercise.file
    backup: str | None = None
    if os.path.lexists(path):
        if path.is_dir() and not path.is_symlink():
            raise WorkspaceError(f"{path}: is a folder; move it away")
        backup = _backup_name(place, exercise)
        try:
            (place.root / backup).parent.mkdir(parents=True, exist_ok=True)
            os.rename(path, place.root / backup)
        except OSError as error:
            raise WorkspaceError(f"{path}: cannot be moved: {error.strerror}") from error
    _make(path, stub)
    origin = Origin.of(place)
    stubs = {**origin.stubs, exercise.file: fingerprint(stub)}
    Origin(origin.happyllm or __version__, origin.chapters, stubs).keep(place)
    Progress.of(place).reset(exercise.id)
    return Reset(exercise.id, backup)


def is_stub(place: Workspace, exercise: Exercise) -> bool:
    """Whether a file holds no work: it is the stub of this version, or the one it began as."""
    text = _at(place, exercise.file)
    began = Origin.of(place).stubs.get(exercise.file)
    return text is not None and (text == shelf.stub(exercise) or fingerprint(text) == began)


def _backup_name(place: Workspace, exercise: Exercise) -> str:
    now = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    for more in ("", *(f"-{number}" for number in range(2, 1000))):
        name = f"{HOME}/backups/{exercise.id}-{now}{more}.py"
        if not os.path.lexists(place.root / name):
            return name
    raise WorkspaceError(f"{place.root / HOME}/backups: over a thousand backups in a second")


# ---- writing


def replace(path: Path, text: str) -> None:
    """Write a file whole or not at all, in place of what is there.

    Raises:
        WorkspaceError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise WorkspaceError(f"{path}: cannot be written: {error.strerror}") from error


def _make(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(path, text)
    except OSError as error:
        raise WorkspaceError(f"{path}: cannot be written: {error.strerror}") from error


def _put(path: Path, text: str) -> None:
    """Write a new file, whole or not at all."""
    with path.open("x", encoding="utf-8", newline="\n") as file:
        try:
            file.write(text)
            file.flush()
        except BaseException:
            path.unlink()
            raise


def _at(place: Workspace, name: str) -> str | None:
    try:
        return place.text(name)
    except WorkspaceError:
        return None
