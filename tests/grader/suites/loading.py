"""A suite as a module, with its variants: loaded once in a process."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from grader.catalogue import Exercise


def suite_of(exercise: Exercise) -> ModuleType:
    """The suite of an exercise."""
    name = f"suite_of_{exercise.name}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, exercise.suite)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
