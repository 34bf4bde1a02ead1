"""The two views of the reference: exercises/ with bodies blanked, solutions/ with them filled in.

Both are made from the source text of happyllm and from the chapter.toml files; nobody writes one
by hand, and nothing of the reference is imported to make them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grader.authoring.assemble import MARK, solution, stub
from grader.authoring.extract import extract
from grader.authoring.source import LIBRARY, Library, ViewError
from grader.catalogue import Catalogue, Exercise

__all__ = ["Change", "ViewError", "build", "stale", "stale_of", "stale_rest", "write"]

EXERCISES: Final = "exercises"
SOLUTIONS: Final = "solutions"

_READMES: Final = {
    EXERCISES: f"""# Exercises

The stubs: one file an exercise, with signatures and docstrings in place and the bodies left to
write. `happyllm-grade init DIR` copies them into a workspace; fill them in there, not here.

{MARK} from `{LIBRARY}/`. An edit here is lost at the next build.
""",
    SOLUTIONS: f"""# Solutions

The worked files: the same files as in `exercises/`, with the bodies filled in. Files import one
another as `ch5.rotary`, so put this folder on `sys.path` to run them.

{MARK} from `{LIBRARY}/`. An edit here is lost at the next build.
""",
}


@dataclass(frozen=True)
class Change:
    """A file of a view that is not as it should be, or was not until it was written.

    Attributes:
        path: from the root of the repository, `exercises/ch5/repeat_kv.py`.
        reason: one line.
        text: what the file must hold; None where there must be no file.
    """

    path: Path
    reason: str
    text: str | None


def build(catalogue: Catalogue, root: Path) -> dict[Path, str]:
    """Make the text of every file in both views; write nothing.

    Args:
        catalogue: the exercises.
        root: the folder that holds happyllm/.

    Returns:
        The text of each file, by its path from `root`.

    Raises:
        ViewError: with the problems of all exercises.
    """
    library = Library(root)
    files = {Path(top, "README.md"): text for top, text in _READMES.items()}
    problems: dict[str, None] = {}
    for exercise in catalogue:
        try:
            files |= _of_exercise(exercise, catalogue, library)
        except ViewError as error:
            problems |= dict.fromkeys(error.problems)
    if problems:
        raise ViewError(problems)
    return files


def _of_exercise(exercise: Exercise, catalogue: Catalogue, library: Library) -> dict[Path, str]:
    contents = extract(exercise, catalogue, library)
    return {
        Path(EXERCISES, exercise.file): stub(exercise, contents),
        Path(SOLUTIONS, exercise.file): solution(exercise, contents),
    }


def stale_of(exercise: Exercise, catalogue: Catalogue, root: Path) -> tuple[Change, ...]:
    """Find which of one exercise's two files are missing or changed.

    Raises:
        ViewError: they cannot be built.
    """
    return tuple(_changed(_of_exercise(exercise, catalogue, Library(root)), root))


def stale_rest(catalogue: Catalogue, root: Path) -> tuple[Change, ...]:
    """Find what is not as it should be in both views besides the files of exercises."""
    readmes = {Path(top, "README.md"): text for top, text in _READMES.items()}
    files = {Path(top, one.file) for top in _READMES for one in catalogue}
    return (*_changed(readmes, root), *_left_over({*readmes, *files}, root))


def stale(catalogue: Catalogue, root: Path) -> tuple[Change, ...]:
    """Find the files that differ from what `build` makes: missing, changed or left over.

    Raises:
        ViewError: the views cannot be built.
    """
    return tuple(_differences(build(catalogue, root), root))


def write(catalogue: Catalogue, root: Path) -> tuple[Change, ...]:
    """Bring both views up to date, and say what that changed.

    Each file is replaced whole. A file that no exercise has is removed only where it says that it
    was generated.

    Raises:
        ViewError: the views cannot be built; nothing was written.
    """
    changes = stale(catalogue, root)
    for change in changes:
        path = root / change.path
        if change.text is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            draft.write_bytes(change.text.encode())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    return changes


def _differences(files: dict[Path, str], root: Path) -> Iterator[Change]:
    yield from _changed(files, root)
    yield from _left_over(files, root)


def _left_over(files: Collection[Path], root: Path) -> Iterator[Change]:
    for top in (EXERCISES, SOLUTIONS):
        for found in sorted((root / top).rglob("*")):
            path = found.relative_to(root)
            if path not in files and path.suffix in {".py", ".md"} and _is_generated(found):
                yield Change(path, "left over: no exercise has this file", None)


def _changed(files: dict[Path, str], root: Path) -> Iterator[Change]:
    for path, text in sorted(files.items()):
        try:
            now = (root / path).read_bytes()
        except FileNotFoundError:
            yield Change(path, "missing: it was never built", text)
            continue
        if now != text.encode():
            yield Change(path, f"changed: not what {LIBRARY}/ and chapter.toml make of it", text)


def _is_generated(file: Path) -> bool:
    return file.is_file() and MARK.encode() in file.read_bytes()[:4000]
