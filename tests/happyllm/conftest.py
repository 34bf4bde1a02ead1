"""A workspace in which all of chapter 5 is solved."""

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """The solutions as a learner's own files."""
    shutil.copytree(ROOT / "solutions" / "ch5", tmp_path / "my-llm" / "ch5")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path / "my-llm"
    for name in [name for name in sys.modules if name.split(".")[0] == "ch5"]:
        del sys.modules[name]
