"""A workspace: the folder in which a learner writes, `ch5/repeat_kv.py` and so on."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader import shelf
from grader.catalogue import Catalogue, Exercise, UnknownTarget

MAX_FILE_BYTES = 1 << 20
MAX_FILES, MAX_BYTES = 200, 8 << 20
HOME = ".happyllm"  # what the grader keeps in a workspace
_IGNORED = "__pycache__/\n*.py[cod]\n.venv/\n"


# Windows has neither.
NO_LINK, NO_WAIT = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)


class WorkspaceError(Exception):
    """A workspace, or a file in it, cannot be used; the message names it and the fix."""


@dataclass(frozen=True)
class Workspace:
    """A folder that holds chapter folders."""

    root: Path

    def sources(self, exercises: Iterable[Exercise]) -> dict[str, str]:
        """The texts of every Python file in the chapters that these exercises touch.

        A learner may put helpers of their own beside the exercises, so all of a chapter is read.

        Raises:
            WorkspaceError: a file cannot be read, is too large, or is no UTF-8.
        """
        chapters = {exercise.chapter for exercise in exercises}
        chapters |= {required.split("/")[0] for e in exercises for required in e.requires}
        files: dict[str, str] = {}
        left = MAX_BYTES
        for chapter in sorted(chapters):
            for path in sorted((self.root / chapter).glob("*.py")):
                text = _read(path, self.root)
                files[f"{chapter}/{path.name}"] = text
                left -= len(text)
                if len(files) > MAX_FILES or left < 0:
                    raise WorkspaceError(
                        f"{self.root}: over {MAX_FILES} Python files, or {MAX_BYTES >> 20} MiB of "
                        "them; keep the exercises and your helpers here, and nothing else"
                    )
        return files

    def text(self, name: str) -> str:
        """The text of one file, `ch5/repeat_kv.py`.

        Raises:
            WorkspaceError: it cannot be read, is too large, or is no UTF-8.
        """
        return _read(self.root / name, self.root)

    def exercises(self, catalogue: Catalogue) -> tuple[Exercise, ...]:
        """What there is to do here: the exercises of every chapter that has a folder."""
        return tuple(e for e in catalogue if (self.root / e.chapter).is_dir())


def find(start: Path, catalogue: Catalogue) -> Workspace:
    """The workspace that a folder is, or lies in.

    Raises:
        WorkspaceError: neither it nor a folder above it holds a chapter.
    """
    if not start.exists():
        raise WorkspaceError(
            f"{start}: there is no such folder; `happyllm-grade init {start}` makes it"
        )
    here = start.resolve()
    for folder in (here, *here.parents):
        if _is_workspace(folder, catalogue):
            return Workspace(folder)
    raise WorkspaceError(
        f"{here} is no workspace, and lies in none: there is no folder "
        f"{' or '.join(chapter.id for chapter in catalogue.chapters)} with exercises in it. "
        "`happyllm-grade init DIR` makes a workspace; `--workspace DIR` names one."
    )


def _is_workspace(folder: Path, catalogue: Catalogue) -> bool:
    return any((folder / exercise.file).is_file() for exercise in catalogue)


def aim(
    targets: Sequence[str], catalogue: Catalogue, workspace: Path | None
) -> tuple[Workspace, tuple[Exercise, ...]]:
    """Find what the targets of a command line mean: which workspace, which exercises in it.

    Args:
        targets: ids, chapters, sections, names, or paths of files and chapter folders.
        catalogue: the exercises there are.
        workspace: where the learner's files lie; else it is found from the paths, or from here.

    Raises:
        UnknownTarget: a target names nothing.
        WorkspaceError: there is no workspace, or paths lie in two.
    """
    found: dict[str, Exercise] = {}
    roots: dict[Path, str] = {}
    for target in targets:
        try:
            exercises = catalogue.find(target)
        except UnknownTarget:
            there = _at(_path(target, workspace), catalogue) if target else None
            if there is None:
                raise
            root, exercises = there
            roots[root] = target
        found |= {exercise.id: exercise for exercise in exercises}
    if roots and workspace is None:
        place = Workspace(next(iter(roots)))
    else:
        place = find(workspace or Path(), catalogue)
    for root, target in roots.items():
        if root != place.root:
            raise WorkspaceError(
                f"{target} lies outside the workspace {place.root}; grade one workspace at a time"
            )
    chosen = tuple(e for e in catalogue if e.id in found) if targets else place.exercises(catalogue)
    return place, chosen


def _path(target: str, workspace: Path | None) -> Path:
    """A target as a path: from the workspace that was named, or else from here."""
    inside = (workspace or Path()) / target
    return inside if os.path.exists(inside) else Path(target)


def _at(path: Path, catalogue: Catalogue) -> tuple[Path, tuple[Exercise, ...]] | None:
    """The workspace and the exercises that a path means, if it is a file or a folder of them."""
    if path.suffix == ".py" or os.path.isfile(path):
        exercise = _exercise_at(path, catalogue)
        return path.resolve().parents[1], (exercise,)
    if not os.path.isdir(path):
        return None
    here = path.resolve()
    for chapter in catalogue.chapters:
        if chapter.id == here.name:
            return here.parent, chapter.exercises
    if _is_workspace(here, catalogue):
        return here, Workspace(here).exercises(catalogue)
    return None


def _exercise_at(path: Path, catalogue: Catalogue) -> Exercise:
    if not os.path.exists(path):
        raise WorkspaceError(
            f"{path}: there is no such file; `happyllm-grade list` shows the exercises, "
            "and `happyllm-grade init .` puts missing files back"
        )
    resolved = path.resolve()
    name = f"{resolved.parent.name}/{resolved.stem}"
    try:
        return catalogue[name]
    except UnknownTarget as unknown:
        near = (
            f" Did you mean {' or '.join(f'{n}.py' for n in unknown.near)}?" if unknown.near else ""
        )
        raise WorkspaceError(
            f"{path} is no exercise: there is none called {name}.{near} "
            "`happyllm-grade list` shows them all."
        ) from None


@dataclass(frozen=True)
class Created:
    """What `create` did: files that it wrote, and files that it found and left alone."""

    root: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


def create(folder: Path, catalogue: Catalogue, chapters: Iterable[str] = ()) -> Created:
    """Put the stubs of some chapters, or of all, into a folder; what lies there is left alone.

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
    texts = {e.file: shelf.stub(e) for e in catalogue if not wanted or e.chapter in wanted}
    texts |= {".gitignore": _IGNORED}
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
    (folder / HOME).mkdir(exist_ok=True)
    return Created(folder, tuple(written), tuple(kept))


def _put(path: Path, text: str) -> None:
    """Write a new file, whole or not at all."""
    with path.open("x", encoding="utf-8", newline="\n") as file:
        try:
            file.write(text)
            file.flush()
        except BaseException:
            path.unlink()
            raise


def _read(path: Path, root: Path) -> str:
    """The text of a file of the workspace; a link that leads out of it is not followed."""
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(root.resolve()):
            raise WorkspaceError(
                f"{path}: is a link that leads out of the workspace; put the file itself there"
            )
        with open(os.open(real, os.O_RDONLY | NO_LINK | NO_WAIT), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise WorkspaceError(f"{path}: is no regular file; put your code there")
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise WorkspaceError(
                f"{path}: is larger than {MAX_FILE_BYTES >> 20} MiB; that is no exercise"
            )
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise WorkspaceError(
            f"{path}:{line}: byte {error.object[error.start]:#x} is no UTF-8; "
            "save the file in UTF-8 and grade again"
        ) from None
    except OSError as error:
        raise WorkspaceError(f"{path}: cannot be read: {error.strerror}") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise WorkspaceError(
            f"{path}:{line}: a null byte; save the file as plain text in UTF-8 and grade again"
        )
    return re.sub(r"\r\n?", "\n", text)
