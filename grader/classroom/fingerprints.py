"""Hashes of what a verdict rests on: the files, the suite, the environment."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from grader import shelf
from grader.catalogue import Catalogue, Exercise
from happyllm import __version__


def of(value: Any) -> str:
    """The hash of plain values, the same in every run."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def of_files(files: Mapping[str, str]) -> str:
    """The hash of a submission's files, by path and text."""
    return of(dict(files))


@functools.lru_cache(maxsize=512)
def of_suite(exercise: Exercise, known: Catalogue) -> str:
    """The hash of all that judges an exercise and is not the grader itself.

    That is its lines in the catalogue, its suite with what lies beside it, and the solutions that
    stand in for what it requires.
    """
    beside = sorted(exercise.suite.parent.glob("*.py"))
    helpers = [file for file in beside if not file.name.startswith("test_")]
    facts = {
        "id": exercise.id,
        "objects": exercise.objects,
        "blanks": exercise.blanks,
        "requires": exercise.requires,
        "forbids": exercise.forbids,
        "time_limit_s": exercise.time_limit_s,
        "suite": [_of_file(file) for file in (exercise.suite, *helpers)],
        "solutions": [of(shelf.solution(one)) for one in (*known.requirements(exercise), exercise)],
    }
    return of(facts)


def of_suites(exercises: Iterable[Exercise], known: Catalogue) -> str:
    """One hash for several exercises."""
    return of([of_suite(exercise, known) for exercise in exercises])


@functools.lru_cache(maxsize=1)
def environment() -> str:
    """The hash of the versions, and of the code that judges: the reference and the grader's own."""
    import happyllm

    reference = Path(happyllm.__file__).parent
    grader = Path(__file__).resolve().parents[1]
    code = [
        *sorted(reference.rglob("*.py")),
        *sorted((grader / "judge").glob("*.py")),
        *sorted((grader / "sandbox").glob("*.py")),
        grader / "engine.py",
    ]
    return of([versions(), platform.system(), platform.machine(), [_of_file(f) for f in code]])


def versions() -> dict[str, str]:
    """What is installed here that a verdict may depend on."""
    return {"happyllm": __version__, "python": sys.version.split()[0], **_packages()}


@functools.lru_cache(maxsize=1)
def _packages() -> Mapping[str, str]:
    return {name: metadata.version(name) for name in ("torch", "numpy", "pytest")}


def _of_file(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
