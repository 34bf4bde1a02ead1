"""What goes wrong around a run over a class: it is told in words, and nothing is lost by it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from .conftest import COMMAND, RIGHT, TILED, environment, run

RULES = '[assignment]\nexercises = ["ch5/repeat_kv"]\n[grading]\nseed = 7\n'
WORDS = ("class", "subs", "--chapter", "ch5", "--policy", "rules.toml", "--plain", "--jobs", "1")
SIZE = 6


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A class of six, every other one right, and no two the same."""
    for number in range(SIZE):
        file = tmp_path / f"subs/s{number}/ch5/repeat_kv.py"
        file.parent.mkdir(parents=True)
        file.write_text((TILED if number % 2 else RIGHT) + f"# {'x' * 3000}\n" * (number + 1))
    (tmp_path / "rules.toml").write_text(RULES)
    return tmp_path


@pytest.fixture
def disk(place: Path) -> Iterator[Path]:
    """A disk of its own for what comes of the class."""
    root = place / "grades"
    root.mkdir()
    made = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(root)]
    if subprocess.run(made, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield root
    subprocess.run(["umount", "-l", str(root)], check=True)


def remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def rows(out: Path) -> list[tuple[int, str, str]]:
    """Every verdict in a record: its number, when it was found, and what it is."""
    path = out / "record.sqlite"
    if not path.exists():
        return []
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT id, made_at, outcome FROM results ORDER BY id").fetchall()


def is_complete(out: Path) -> bool:
    """Whether all are graded, each once."""
    with contextlib.closing(sqlite3.connect(out / "record.sqlite")) as db:
        ((grades,),) = db.execute("SELECT count(*) FROM grades").fetchall()
    outcomes = sorted(outcome for _, _, outcome in rows(out))
    return grades == SIZE and outcomes == ["failed"] * 3 + ["passed"] * 3


# ---- kill -9


def wait_for_end(process: psutil.Process, patience_s: float = 30) -> None:
    """Wait until a killed process holds nothing more; nobody may be there to reap it."""
    end = time.monotonic() + patience_s
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < end, f"{process} lives on"
            time.sleep(0.01)


@pytest.mark.parametrize("lines", [0, 1, 3, SIZE + 1])
def test_a_command_that_is_killed_goes_on_where_it_was(place: Path, lines: int) -> None:
    """At the start, after some, and while the files are written."""
    temporary = place / "tmp"
    temporary.mkdir()
    env = environment(TMPDIR=str(temporary))
    with subprocess.Popen([COMMAND, *WORDS], cwd=place, env=env, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        for _ in range(lines):
            assert killed.stdout.readline()
        family = [psutil.Process(killed.pid), *psutil.Process(killed.pid).children(recursive=True)]
        for one in family:  # the fork server too, so that nobody is left to tidy up
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGKILL)
    for one in family:
        wait_for_end(one)
    kept = rows(place / "grades")
    assert len(kept) >= lines - 1
    for left in temporary.iterdir():
        os.utime(left, (time.time() - 1000, time.time() - 1000))
    ran = run(*WORDS, cwd=place, env={"TMPDIR": str(temporary)})
    assert ran.status == 0
    assert f"{SIZE} of {SIZE} students graded" in ran.out
    assert rows(place / "grades")[: len(kept)] == kept, "what was found is kept, and not found anew"
    assert is_complete(place / "grades")
    assert not list(temporary.iterdir())
    assert not [path for path in (place / "grades").rglob(".*") if path.is_file()]


# ---- disks


def test_a_disk_that_fills_up_is_told_and_with_room_the_run_goes_on(
    place: Path, disk: Path
) -> None:
    ran = run(*WORDS, cwd=place)
    assert ran.status == 2
    assert re.search(r"no room left|No space left", ran.err)
    assert "run the same command again" in ran.err
    kept = rows(disk)
    remount(disk, "size=64m")
    assert run(*WORDS, cwd=place).status == 0
    assert rows(disk)[: len(kept)] == kept
    assert is_complete(disk)


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_graded(
    place: Path, disk: Path
) -> None:
    remount(disk, "ro")
    ran = run(*WORDS, cwd=place)
    assert ran.status == 2
    assert "cannot be written" in ran.err
    assert "--out" in ran.err


def test_files_that_cannot_be_written_leave_the_record_whole(place: Path) -> None:
    (place / "grades").mkdir()
    (place / "grades/feedback").write_text("a file where a folder should be")
    ran = run(*WORDS, cwd=place)
    assert ran.status == 2
    assert "The record is whole" in ran.err
    assert is_complete(place / "grades")


# ---- others at work, and nobody at all


def test_two_runs_at_once_are_one_and_a_refusal(place: Path) -> None:
    env = environment()
    with subprocess.Popen([COMMAND, *WORDS], cwd=place, env=env, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline()
        second = run(*WORDS, cwd=place)
        assert first.poll() is None, "the first was over before the second began"
        first.stdout.read()
    assert second.status == 2
    assert f"another run is at work on it (pid {first.pid}" in second.err
    assert first.returncode == 0
    assert is_complete(place / "grades")


def test_an_empty_class_has_an_empty_gradebook(place: Path) -> None:
    (place / "none").mkdir()
    ran = run("class", "none", *WORDS[2:], cwd=place)
    assert ran.status == 0
    assert "0 hand-ins" in ran.out
    assert len((place / "grades/gradebook.csv").read_text("utf-8").splitlines()) == 1
