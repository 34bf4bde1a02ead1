"""The autograder that Gradescope runs: a zip with the grader in it, and what starts it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from grader import shelf
from grader.catalogue import Catalogue, Language, Text
from happyllm import __version__

from . import policy, release
from .release import ReleaseError

_LEFT_OUT: Final = {"__pycache__", "site", ".DS_Store"}


def autograder(
    chapter: str,
    known: Catalogue,
    language: Language = "en",
    *,
    rules: Path | None = None,
    wheels: Path | None = None,
) -> bytes:
    """The zip to upload. It holds the hidden suites and the solutions: it is the instructor's.

    Args:
        chapter: what is handed in, `ch5`.
        known: the exercises there are.
        language: of the feedback.
        rules: the policy, a TOML file.
        wheels: a folder of wheels to take along, so that setting up needs no network.

    Raises:
        ClassroomError: the policy cannot be, or the wheels cannot be read.
    """
    release.chapter_of(chapter, known)
    files: dict[str, bytes] = {}
    if rules is not None:
        files["policy.toml"] = policy.load(rules, known).text.encode()
    name, data = _wheel()
    if wheels is not None:
        files |= {f"wheels/{one.name}": one.read_bytes() for one in _listed(wheels)}
    files[f"wheels/{name}"] = data
    grade = release.template("grade.py")
    files["grade.py"] = grade.replace("{chapter}", chapter).replace("{language}", language).encode()
    files["constraints.txt"] = "".join(f"{line}\n" for line in _constraints()).encode()
    for script in ("run_autograder", "setup.sh"):
        files[script] = release.template(script).encode()
    return release.zipped(files, executable=("run_autograder", "setup.sh"))


def _listed(wheels: Path) -> list[Path]:
    try:
        found = sorted(one for one in wheels.iterdir() if one.suffix == ".whl")
    except OSError as error:
        raise ReleaseError(
            Text(
                f"{wheels}: cannot be read: {error.strerror}.",
                f"{wheels}：无法读取：{error.strerror}。",
            )
        ) from error
    if not any(one.name.startswith("torch-") for one in found):
        raise ReleaseError(
            Text(
                f"{wheels}: holds no wheel of torch; `pip download -d {wheels} happyllm` on a "
                "system like Gradescope's fills it.",
                f"{wheels}：没有 torch 的 wheel；在与 Gradescope 相同的系统上运行 "
                f"`pip download -d {wheels} happyllm` 即可备齐。",
            )
        )
    return [one for one in found if not one.name.startswith("happyllm-")]


def _wheel() -> tuple[str, bytes]:
    """This very version of the grader, with its suites and solutions, as a wheel."""
    packages = shelf.GRADER.parent
    root = shelf.checkout()
    files = dict(_tree(packages / "happyllm", "happyllm"))
    files |= _tree(packages / "grader", "grader")
    if root is not None:
        for view in ("exercises", "solutions"):
            files |= _tree(root / view, f"grader/views/{view}")
    needs = "".join(f"Requires-Dist: {line}\n" for line in _requires("happyllm"))
    about = (
        f"Metadata-Version: 2.4\nName: happyllm\nVersion: {__version__}\n"
        f"Requires-Python: >=3.11\n{needs}"
    )
    entry = "[console_scripts]\nhappyllm-grade = grader.cli:main\n"
    return release.zipped_wheel("happyllm", files, about, entry)


def _tree(folder: Path, name: str) -> dict[str, bytes]:
    return {
        f"{name}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _LEFT_OUT & set(path.parts) and path.suffix != ".pyc"
    }


def _requires(name: str) -> list[str]:
    listed = metadata.requires(name) or []
    return [line for line in listed if "extra ==" not in line]


def _constraints() -> Iterator[str]:
    """The versions that are installed here of all that the grader needs, near and far."""
    found: dict[str, str] = {}
    left = ["happyllm"]
    while left:
        for line in _requires(left.pop()):
            need = Requirement(line)
            name = re.sub(r"[-_.]+", "-", need.name).lower()
            if name in found:
                continue
            try:
                found[name] = metadata.version(name).partition("+")[0]
            except metadata.PackageNotFoundError:
                continue  # for another system
            left.append(name)
    yield from (f"{name}=={version}" for name, version in sorted(found.items()))
