"""What a killed grader leaves in the temporary folder is removed by the next, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from grader.sandbox import scratch
from grader.sandbox.scratch import scratch_folder

HOLDS = """
import time
from grader.sandbox.scratch import scratch_folder
print(scratch_folder().path, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def aged(path: str) -> Path:
    """The same folder, as if it had been made long ago."""
    os.utime(path, (time.time() - 1000, time.time() - 1000))
    return Path(path)


def test_what_a_killed_grader_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, env=env) as held:
        assert held.stdout is not None
        left = aged(held.stdout.readline().decode().strip())
        (left / "file").write_text("of a worker")
        aged(str(left))
        scratch_folder().remove()
        assert left.exists(), "its grader is alive"
        held.kill()
    scratch_folder().remove()
    assert not left.exists()


def test_one_that_was_made_just_now_is_left_alone(tmp_path: Path) -> None:
    young = tmp_path / f"{scratch.PREFIX}young"
    young.mkdir()
    scratch_folder().remove()
    assert young.exists()


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("precious")
    link = tmp_path / f"{scratch.PREFIX}link"
    link.symlink_to(other)
    os.utime(link, (0, 0), follow_symlinks=False)
    (tmp_path / f"{scratch.PREFIX}file").write_text("no folder")
    aged(str(other))
    scratch_folder().remove()
    assert (other / "file").read_text() == "precious"
    assert link.is_symlink()
