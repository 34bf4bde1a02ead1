"""The shelf: where stubs, solutions and the book's pages are kept, and how they are read.

In a source checkout they lie in exercises/ and solutions/ beside happyllm/; an installed wheel
carries them inside the package, under grader/views/.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from grader.catalogue import Exercise

GRADER = Path(__file__).resolve().parent

View = Literal["exercises", "solutions"]


class ShelfError(Exception):
    """A stub or a solution cannot be read; the message names the file and the fix."""

    def __init__(self, file: Path, what: str, fix: str):
        self.file = file
        super().__init__(f"{file}: {what}; {fix}")


def stub(exercise: Exercise) -> str:
    """The text of the file that a learner starts from.

    Raises:
        ShelfError: it is not there, or cannot be read.
    """
    return _read("exercises", exercise)


def solution(exercise: Exercise) -> str:
    """The text of the worked file.

    Raises:
        ShelfError: it is not there, or cannot be read.
    """
    return _read("solutions", exercise)


def docs() -> Path:
    """The book as it is written: a folder of pages for each language, and what they share."""
    return (checkout() or GRADER / "views") / "docs"


def pages() -> Iterator[str]:
    """The pages of the book as they are written; their code is the same in both languages."""
    for file in sorted((docs() / "en").rglob("*.md")):
        yield file.read_text(encoding="utf-8")


def checkout() -> Path | None:
    """The root of the repository when the grader runs from its source, None when installed."""
    root = GRADER.parent
    project = root / "pyproject.toml"
    try:
        ours = _project_name(project, project.stat().st_mtime_ns) == "happyllm"
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    return root if ours and (root / "happyllm").is_dir() else None


@functools.lru_cache(maxsize=1)  # asked for with each file that is read
def _project_name(project: Path, _stamp: int) -> object:
    return tomllib.loads(project.read_text(encoding="utf-8")).get("project", {}).get("name")


def _read(view: View, exercise: Exercise) -> str:
    root = checkout()
    file = (root or GRADER / "views") / view / exercise.file
    fix = "run `happyllm-grade build`" if root else "install happyllm again"
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ShelfError(file, "there is no such file", fix) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ShelfError(file, f"cannot be read ({error})", fix) from None
