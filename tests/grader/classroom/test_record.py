"""A record is whole, whatever happens to the run, the disk or the clock."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from grader import catalogue
from grader.catalogue import Text
from grader.classroom import record as module
from grader.classroom.problems import RecordError
from grader.classroom.record import MIGRATIONS, Basis, Record
from grader.gradebook import Student
from grader.report import Graded

EXERCISE = catalogue.load()["ch5/repeat_kv"]
BASIS = Basis(EXERCISE.id, "s" * 64, "e" * 64, "p" * 64, 7)
FILES = {"ch5/repeat_kv.py": "x = 1\n"}


def verdict(outcome: str = "passed", points: int = 5) -> Graded:
    return Graded(
        id=EXERCISE.id,
        section=EXERCISE.section,
        title=EXERCISE.title,
        file=EXERCISE.file,
        outcome=outcome,  # type: ignore[arg-type]
        points=points,
        points_possible=5,
        duration_s=0.25,
        isolation="landlock",
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "out/record.sqlite"


@pytest.fixture
def record(place: Path) -> Iterator[Record]:
    with Record.open(place) as opened:
        yield opened


def hand_in(record: Record, run: int, text: str = "x = 1\n", name: str = "alice"):
    return record.hand_in(run, "alice", name, 1, None, {"ch5/repeat_kv.py": text})


# ---- what is kept


def test_what_is_kept_comes_back(record: Record, place: Path) -> None:
    run = record.begin("class", "# rules", "landlock")
    when = datetime(2026, 11, 1, 12, tzinfo=UTC)
    notes = (Text("a", "一"),)
    found = record.hand_in(run, "ada", "ada-2.zip", 2, when, FILES, notes=notes)
    record.accept(run, found.id, [record.keep(run, found.content or "", BASIS, verdict())])
    record.end(run, "done", 1.5)
    with Record.read(place) as again:
        (kept,) = again.submissions()
        assert kept == found
        assert (kept.submitted_at, kept.notes, kept.number) == (when, notes, 2)
        assert again.files(kept.content or "") == FILES
        result = again.grades(kept.id)[EXERCISE.id]
        assert (result.graded, result.basis, result.is_whole) == (verdict(), BASIS, True)
        assert again.policy() == "# rules"
        line = result.integrity().line
        for said in ("torch=", "seed=7", "isolation=landlock", f"seal={result.seal[:16]}"):
            assert said in line


def test_the_roster_comes_back_with_its_extensions(record: Record) -> None:
    date = datetime(2026, 11, 1, tzinfo=UTC)
    students = [Student("z", "Z"), Student("a"), Student("m")]
    record.enrol(students, {"z": timedelta(days=2), "a": date}, all_of_them=True)
    assert record.students() == [
        (students[0], timedelta(days=2)),
        (students[1], date),
        (students[2], None),
    ]
    record.enrol(students[:1], {}, all_of_them=True)
    assert record.students() == [(students[0], None)]


def test_the_same_hand_in_is_one_and_another_under_its_name_takes_its_place(
    record: Record,
) -> None:
    run = record.begin("class", "", "")
    first, again, other = hand_in(record, run), hand_in(record, run), hand_in(record, run, "y")
    assert first.id == again.id != other.id
    assert [one.stands for one in record.submissions()] == [False, True]
    assert hand_in(record, run).id == first.id  # and it may come back
    assert [one.stands for one in record.submissions()] == [True, False]


def test_a_verdict_is_found_by_all_that_it_rests_on(record: Record) -> None:
    run = record.begin("class", "", "")
    content = hand_in(record, run).content or ""
    record.keep(run, content, BASIS, verdict())
    assert record.result(content, BASIS) is not None
    for other in (
        replace(BASIS, suite="x"),
        replace(BASIS, environment="x"),
        replace(BASIS, policy="x"),
        replace(BASIS, seed=8),
        replace(BASIS, exercise="ch5/mlp"),
    ):
        assert record.result(content, other) is None
    assert record.result("other", BASIS) is None


def test_a_verdict_is_never_overwritten_but_a_fault_is(record: Record) -> None:
    run = record.begin("class", "", "")
    content = hand_in(record, run).content or ""
    record.keep(run, content, BASIS, verdict("fault", 0))
    assert record.result(content, BASIS) is None  # a fault is no verdict
    record.keep(run, content, BASIS, verdict("failed", 0))
    kept = record.keep(run, content, BASIS, verdict("passed"))
    assert kept.graded.outcome == "failed"


def test_old_grades_are_kept_beside_the_new(record: Record) -> None:
    run = record.begin("class", "", "")
    one = hand_in(record, run)
    for number, outcome in enumerate(("failed", "passed")):
        basis = replace(BASIS, suite=str(number))
        record.accept(run, one.id, [record.keep(run, one.content or "", basis, verdict(outcome))])
    assert record.grades(one.id)[EXERCISE.id].graded.outcome == "passed"
    history = [result.graded.outcome for _, result in record.history(one.id, EXERCISE.id)]
    assert history == ["failed", "passed"]


# ---- what goes wrong


def test_two_runs_at_once_are_refused_with_the_pid_of_the_first(
    record: Record, place: Path
) -> None:
    code = (
        "from pathlib import Path; from grader.classroom.record import Record; "
        f"Record.open(Path({str(place)!r}))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"pid {os.getpid()}" in ended.stderr
    assert "wait for it, or end it" in ended.stderr
    with Record.read(place) as other:  # to look is allowed
        assert other.submissions() == []


def test_the_lock_goes_with_a_process_that_is_killed(place: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from grader.classroom.record import Record; "
        f"r = Record.open(Path({str(place)!r})); run = r.begin('class', '', ''); "
        "r.hand_in(run, 'a', 'a', 1, None, {'ch5/x.py': ''}); print('ready', flush=True); "
        "time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.wait()
    process.stdout.close()
    with Record.open(place) as again:
        assert [one.name for one in again.submissions()] == ["a"]


def test_a_transaction_that_does_not_end_leaves_nothing(record: Record) -> None:
    run = record.begin("class", "", "")

    def half() -> None:
        with record._writing() as db:
            db.execute("INSERT INTO facts VALUES ('a', 'b')")
            db.execute("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(RecordError):
        half()
    assert record.fact("a") is None
    hand_in(record, run)  # and the next one is not harmed
    assert len(record.submissions()) == 1


def test_a_file_that_is_no_record_is_refused_and_left_alone(place: Path) -> None:
    place.parent.mkdir()
    place.write_text("x" * 5000)
    for opening in (Record.open, Record.read):
        with pytest.raises(RecordError, match="is no record of a class"):
            opening(place)
    assert place.read_text() == "x" * 5000


def test_another_programs_database_is_refused_and_left_alone(place: Path) -> None:
    place.parent.mkdir()
    with contextlib.closing(sqlite3.connect(place)) as db:
        db.execute("CREATE TABLE grades (x)")
    with pytest.raises(RecordError, match="is no record of a class"):
        Record.open(place)
    with contextlib.closing(sqlite3.connect(place)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("grades",)]


def test_a_record_of_a_newer_version_is_refused(place: Path) -> None:
    Record.open(place).close()
    with contextlib.closing(sqlite3.connect(place)) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(RecordError, match="newer happyllm"):
        Record.open(place)


def test_an_older_record_is_brought_to_todays_form(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Record.open(place) as old:
        hand_in(old, old.begin("class", "", ""))
    step = "ALTER TABLE runs ADD COLUMN room TEXT NOT NULL DEFAULT 'here'"
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, step))
    with Record.open(place) as new:
        assert new._rows("SELECT room FROM runs") == [("here",)]
        assert len(new.submissions()) == 1


def test_a_step_that_fails_leaves_the_record_as_it_was(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Record.open(place).close()
    with monkeypatch.context() as patched:
        step = "CREATE TABLE half (x); CREATE TABLE half (x)"
        patched.setattr(module, "MIGRATIONS", (*MIGRATIONS, step))
        with pytest.raises(RecordError):
            Record.open(place)
    with Record.open(place) as again:
        assert again._rows("SELECT name FROM sqlite_master WHERE name = 'half'") == []


def test_a_record_that_is_not_there_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="there is no such record"):
        Record.read(tmp_path / "record.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_changed_verdict_and_changed_files_are_noticed(place: Path) -> None:
    with Record.open(place) as record:
        run = record.begin("class", "", "")
        one = hand_in(record, run)
        result = record.keep(run, one.content or "", BASIS, verdict("failed", 0))
        record.accept(run, one.id, [result])
    with contextlib.closing(sqlite3.connect(place)) as db, db:
        db.execute("UPDATE results SET graded = replace(graded, '\"failed\"', '\"passed\"')")
        db.execute("UPDATE contents SET files = x'00'")
    with Record.read(place) as record:
        assert not record.grades(one.id)[EXERCISE.id].is_whole
        with pytest.raises(RecordError, match="is damaged"):
            record.files(one.content or "")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file stands in the way")
    with pytest.raises(RecordError, match=r"out: cannot be written.*--out"):
        Record.open(tmp_path / "out/record.sqlite")


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few hundred kilobytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_told_and_loses_nothing(tiny: Path) -> None:
    place = tiny / "record.sqlite"
    kept = []
    with Record.open(place) as record:
        run = record.begin("class", "", "")

        def fill() -> None:
            for number in range(200):
                text = "".join(chr(33 + (i * i * (number + 7)) % 90) for i in range(9000))
                kept.append(hand_in(record, run, text, f"alice-{number}").name)

        with pytest.raises(RecordError, match="no room left on the disk"):
            fill()
    assert kept
    with Record.read(place) as record:
        assert [one.name for one in record.submissions()] == kept


def test_a_disk_that_cannot_be_written_is_told_and_can_be_looked_at(tiny: Path) -> None:
    place = tiny / "record.sqlite"
    with Record.open(place) as record:
        hand_in(record, record.begin("class", "", ""))
    subprocess.run(["mount", "-o", "remount,ro", str(tiny)], check=True)
    with pytest.raises(RecordError, match="cannot be written"):
        Record.open(place)
    with Record.read(place) as record:
        assert [one.name for one in record.submissions()] == ["alice"]


def test_a_clock_that_jumps_changes_no_order(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second grade counts, though the clock says that it came first."""
    times = iter(["2026-11-02T00:00:00+00:00", "1999-01-01T00:00:00+00:00"] * 10)
    monkeypatch.setattr(module, "now", lambda: next(times))
    run = record.begin("class", "", "")
    one = hand_in(record, run)
    for number, outcome in enumerate(("failed", "passed")):
        basis = replace(BASIS, seed=number)
        record.accept(run, one.id, [record.keep(run, one.content or "", basis, verdict(outcome))])
    assert record.grades(one.id)[EXERCISE.id].graded.outcome == "passed"


def test_times_are_in_utc(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert module.now().endswith("+00:00")
        told = datetime.fromisoformat(module.now())
        assert abs(told - datetime.now(UTC)) < timedelta(minutes=1)
    finally:
        monkeypatch.undo()
        time.tzset()
