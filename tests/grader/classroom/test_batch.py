"""A class, graded for real: what ends a run costs nothing, and what is hostile harms nobody."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from grader import catalogue, engine
from grader.classroom import batch, fingerprints, policy, pool, roster
from grader.classroom.batch import Done, Exercised, Planned, Run
from grader.classroom.problems import ClassroomError
from grader.classroom.record import Record
from grader.sandbox.nursery import NurseryError

from .conftest import KNOWN, RIGHT, RULES, TILED, assignment, lay, outcomes

Grade = Callable[..., list[batch.Event]]
ID = "ch5/repeat_kv"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "out/record.sqlite"


def exercised(events: list[batch.Event]) -> list[str]:
    return [event.submission.name for event in events if isinstance(event, Exercised)]


def test_right_is_right_and_wrong_is_named(subs: Path, graded: Grade, place: Path) -> None:
    events = graded(subs)
    assert outcomes(place) == {"alice": {ID: "passed"}, "bob": {ID: "failed"}}
    assert [type(event).__name__ for event in events[2:5]] == ["Planned", "Started", "Exercised"]
    with Record.read(place) as record:
        (_, bob) = record.submissions()
        result = record.grades(bob.id)[ID]
        assert result.graded.mistake is not None
        assert result.graded.mistake.id == "tiled"
        assert result.basis.seed == 7


def test_what_is_graded_is_not_graded_again(subs: Path, graded: Grade) -> None:
    assert exercised(graded(subs)) == ["alice", "bob"]
    lay(subs / "carol")  # the same text as alice's: the verdict is known by its content
    assert exercised(graded(subs)) == []
    lay(subs / "bob", RIGHT + "\n")
    assert exercised(graded(subs)) == ["bob"]


def test_the_same_files_are_graded_once_and_count_for_each(
    subs: Path, graded: Grade, place: Path
) -> None:
    for name in ("carol", "dave"):
        lay(subs / name)
    graded(subs, jobs=2)
    assert {one[ID] for name, one in outcomes(place).items() if name != "bob"} == {"passed"}
    with Record.read(place) as record:
        assert record._rows("SELECT count(*) FROM results") == [(2,)]


def test_everybodys_newest_comes_before_anybodys_one_before(tmp_path: Path, place: Path) -> None:
    subs = tmp_path / "subs"
    for number, name in enumerate(("alice", "alice-2", "alice-3", "bob", "bob-2")):
        lay(subs / name, RIGHT + "\n" * number)
    with Record.open(place) as record:
        rules = RULES.replace("[grading]", 'attempt = "best"\n[grading]')
        run = Run(record, assignment(rules))
        list(run.collect(roster.match(roster.listed(subs), None)))
        events = list(run.grade())
    done = [event.submission.name for event in events if isinstance(event, Done)]
    assert done == ["alice-3", "bob-2", "alice-2", "bob", "alice"]


def test_where_the_last_counts_only_the_last_that_can_be_read_is_graded(
    tmp_path: Path, graded: Grade, place: Path
) -> None:
    subs = tmp_path / "subs"
    lay(subs / "alice", TILED)
    lay(subs / "alice-2")
    (subs / "alice-3.zip").write_text("no archive")
    graded(subs)
    assert outcomes(place) == {"alice": {}, "alice-2": {ID: "passed"}, "alice-3.zip": {}}


# ---- what ends a run

_RUN = """
from pathlib import Path
from grader import catalogue
from grader.classroom import batch, policy, roster
from grader.classroom.record import Record
known = catalogue.load()
what = batch.assignment("ch5", known, policy.parse({rules!r}, known))
with Record.open(Path({place!r})) as record:
    run = batch.Run(record, what)
    for _ in run.collect(roster.match(roster.listed(Path({subs!r})), None)):
        pass
    for event in run.grade():
        if isinstance(event, batch.Exercised):
            print(event.submission.name, flush=True)
"""


def test_a_run_that_is_killed_goes_on_and_grades_nothing_twice(
    tmp_path: Path, graded: Grade, place: Path
) -> None:
    subs = tmp_path / "subs"
    names = [f"s{number:02}" for number in range(8)]
    for number, name in enumerate(names):
        lay(subs / name, (RIGHT if number % 2 else TILED) + "\n" * number)
    code = _RUN.format(rules=RULES, place=str(place), subs=str(subs))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    seen = [process.stdout.readline().decode().strip() for _ in range(3)]
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    seen += process.stdout.read().decode().split()
    process.stdout.close()
    process.wait()
    assert 3 <= len(seen) < 8
    kept = {name for name, found in outcomes(place).items() if found}
    assert set(seen) <= kept
    again = exercised(graded(subs))
    assert set(again) == set(names) - kept
    expected = {n: {ID: "passed" if i % 2 else "failed"} for i, n in enumerate(names)}
    assert outcomes(place) == expected
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive, "the fork server, its judges and workers end with the run"


def test_a_run_that_is_left_ends_its_processes_and_goes_on(
    subs: Path, graded: Grade, place: Path
) -> None:
    before = set(psutil.Process().children(recursive=True))
    with Record.open(place) as record:
        run = Run(record, assignment())
        list(run.collect(roster.match(roster.listed(subs), None)))
        with contextlib.closing(run.grade()) as events:
            for event in events:
                if isinstance(event, Exercised):
                    break
        assert record._rows("SELECT ended FROM runs") == [("stopped",)]
    _, alive = psutil.wait_procs(
        set(psutil.Process().children(recursive=True)) - before, timeout=10
    )
    assert not alive
    assert exercised(graded(subs)) == ["bob"]


def test_a_clock_that_jumps_does_no_harm(
    subs: Path, graded: Grade, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: float(next(times)))
    graded(subs)
    with Record.read(place) as record:
        ((took,),) = record._rows("SELECT took_s FROM runs")
    assert 0 < took < 600
    assert len(outcomes(place)) == 2


# ---- what is handed in


def test_what_cannot_be_read_is_a_marked_row_and_the_others_are_graded(
    subs: Path, graded: Grade, place: Path, tmp_path: Path
) -> None:
    (subs / "corrupt.zip").write_bytes(b"PK\x03\x04 and no more")
    with zipfile.ZipFile(subs / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(40):
            archive.writestr(f"ch5/part_{number}.py", b"#" * (1 << 20))
    with (subs / "huge.zip").open("wb") as file:
        file.truncate(2 << 30)  # a hole: it takes no room
    (subs / "link").symlink_to(subs / "alice")
    (subs / "empty").mkdir()
    os.mkfifo(subs / "pipe.zip")
    secret = lay(tmp_path / "elsewhere")
    (subs / "escape/ch5").mkdir(parents=True)
    (subs / "escape" / f"{ID}.py").symlink_to(secret / f"{ID}.py")
    lay(subs / "large", "#" * (3 << 20))
    os.makedirs(os.fsencode(subs) + b"/caf\xe9/ch5")
    with open(os.fsencode(subs) + f"/caf\xe9/{ID}.py".encode("latin-1"), "w") as out:
        out.write(RIGHT)
    graded(subs)
    with Record.read(place) as record:
        said = {one.name: one.problem.en for one in record.submissions() if one.problem}
        notes = {one.name: one.notes for one in record.submissions()}
    assert "not a zip file" in said["corrupt.zip"]
    assert "8 MiB" in said["bomb.zip"]
    assert "larger than 64 MiB" in said["huge.zip"]
    assert "no regular file" in said["link"]
    assert "no regular file" in said["pipe.zip"]
    assert "no file of an exercise" in said["empty"]
    assert "no file of an exercise" in said["escape"]
    assert "larger than 1 MiB" in notes["large"][0].en
    found = outcomes(place)
    assert found["alice"] == found[r"caf\xe9"] == {ID: "passed"}
    assert found["large"] == {ID: "error"}  # nothing of it could be taken


HOSTILE = {
    "exits": ("import os\ndef repeat_kv(x, n_rep):\n    os._exit(0)\n", "error"),
    "kills": (RIGHT + "import os, signal\nos.kill(-1, signal.SIGKILL)\n", "blocked error passed"),
    "hangs": ("def repeat_kv(x, n_rep):\n    while True: pass\n", "timeout"),
    "floods": (RIGHT + "print('x' * 10**7)\n", "passed"),
    "writes": (RIGHT + "open('/tmp/PWNED-class', 'w')\n", "blocked error"),
}


def test_what_is_hostile_gets_its_verdict_and_harms_nobody(
    subs: Path, graded: Grade, place: Path
) -> None:
    for name, (text, _) in HOSTILE.items():
        lay(subs / name, text)
    rules = RULES + "time_s = 3\n"
    events = graded(subs, rules, jobs=2)
    found = outcomes(place)
    for name, (_, deserved) in HOSTILE.items():
        assert found[name][ID] in deserved.split(), name
    assert (found["alice"], found["bob"]) == ({ID: "passed"}, {ID: "failed"})
    assert not Path("/tmp/PWNED-class").exists()
    assert len([event for event in events if isinstance(event, Done)]) == len(HOSTILE) + 2


# ---- what fails in the grader itself


def test_a_judge_that_dies_costs_a_second_trial_and_no_grade(
    subs: Path, graded: Grade, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = engine.grade, []

    def grade(exercises, files, *args, nursery, **more):
        calls.append(files)
        if len(calls) == 1:  # the warm judge is killed under the first grading
            for process in psutil.Process().children(recursive=True):
                if process.ppid() != os.getpid():
                    process.kill()
        return real(exercises, files, *args, nursery=nursery, **more)

    monkeypatch.setattr(engine, "grade", grade)
    graded(subs)
    assert outcomes(place) == {"alice": {ID: "passed"}, "bob": {ID: "failed"}}
    assert len(calls) == 3


def test_what_fails_twice_is_marked_and_tried_again_by_the_next_run(
    subs: Path, graded: Grade, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = engine.grade
    with monkeypatch.context() as patched:

        def grade(exercises, files, *args, **more):
            if TILED in files.values():
                raise NurseryError("out of order")
            return real(exercises, files, *args, **more)

        patched.setattr(engine, "grade", grade)
        graded(subs)
    assert outcomes(place) == {"alice": {ID: "passed"}, "bob": {ID: "fault"}}
    assert exercised(graded(subs)) == ["bob"]
    assert outcomes(place)["bob"] == {ID: "failed"}


def test_the_warm_judge_is_renewed(subs: Path, graded: Grade, monkeypatch) -> None:
    opened = []
    real = pool.open_bench
    monkeypatch.setattr(pool, "open_bench", lambda *a: opened.append(1) or real(*a))
    for number in range(3):
        lay(subs / f"s{number}", RIGHT + "\n" * (number + 1))
    graded(subs, renew_after=2)
    assert len(opened) == 3


def test_a_machine_that_isolates_too_little_is_refused_before_anything_runs(
    subs: Path, graded: Grade, place: Path
) -> None:
    with pytest.raises(ClassroomError, match=r"'process' alone.*weakest = \"process\""):
        graded(subs, backend="spawn")
    assert outcomes(place) == {"alice": {}, "bob": {}}


def test_without_fork_it_is_graded_where_the_policy_allows_it(
    subs: Path, graded: Grade, place: Path
) -> None:
    graded(subs, RULES + 'weakest = "process"\n', backend="spawn")
    assert outcomes(place) == {"alice": {ID: "passed"}, "bob": {ID: "failed"}}


# ---- again


def test_grades_of_an_earlier_suite_stay_until_a_regrade_is_accepted(
    subs: Path, graded: Grade, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run has judged by a suite that took everything to be wrong."""
    real = engine.grade

    def wrong(exercises, files, *args, **more):
        return real(exercises, {f"{ID}.py": TILED}, *args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(engine, "grade", wrong)
        patched.setattr(fingerprints, "of_suite", lambda *_: "the suite of then")
        graded(subs)
    assert outcomes(place)["alice"] == {ID: "failed"}
    planned = next(event for event in graded(subs) if isinstance(event, Planned))
    assert (planned.to_grade, planned.outdated) == (0, 2)
    with Record.open(place) as record:
        run = Run(record, assignment(), kind="regrade")
        assert exercised(list(run.grade())) == ["alice", "bob"]
        assert outcomes(place)["alice"] == {ID: "failed"}  # nothing is accepted yet
        changes = run.changes()
        told = [(c.submission.name, c.matters, c.new.graded.outcome) for c in changes]
        assert told == [("alice", True, "passed"), ("bob", False, "failed")]
        run.accept(changes)
        assert run.changes() == []
        alice = record.submissions()[0].id
        history = [result.graded.outcome for _, result in record.history(alice, ID)]
        assert history == ["failed", "passed"]
    assert outcomes(place)["alice"] == {ID: "passed"}


def test_a_record_is_verified_and_a_change_to_it_is_found(
    subs: Path, graded: Grade, place: Path
) -> None:
    graded(subs)
    rules = policy.parse(RULES, KNOWN)
    with Record.read(place) as record:
        checked = list(batch.verify(record, KNOWN, rules))
        assert [(one.submission.student, one.same) for one in checked] == [
            ("alice", True),
            ("bob", True),
        ]
    with contextlib.closing(sqlite3.connect(place)) as db, db:
        ((text,),) = db.execute("SELECT graded FROM results WHERE outcome = 'failed'").fetchall()
        forged = json.dumps(json.loads(text) | {"outcome": "passed", "points": 5})
        db.execute("UPDATE results SET graded = ? WHERE outcome = 'failed'", (forged,))
    with Record.read(place) as record:
        (bob,) = batch.verify(record, KNOWN, rules, ["bob"])
        assert not bob.same
        assert bob.why is not None
        assert "changed after it was written" in bob.why.en
        with pytest.raises(ClassroomError, match="nobody"):
            list(batch.verify(record, KNOWN, rules, ["nobody"]))


def test_the_seed_is_drawn_once_and_kept_to(subs: Path, place: Path) -> None:
    rules = RULES.replace("seed = 7", "")
    seeds = []
    for _ in range(2):
        with Record.open(place) as record:
            seeds.append(Run(record, assignment(rules)).seed)
    assert seeds[0] == seeds[1]


def test_a_policy_that_names_nothing_of_the_chapter_is_refused() -> None:
    rules = policy.Policy(exercises=("ch5/mlp",))
    with pytest.raises(ClassroomError, match="names nothing of ch5/repeat_kv"):
        batch.assignment(ID, catalogue.load(), rules)
