"""Progress: what counts, what helps, and what no crash or second terminal can lose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grader import shelf
from grader.catalogue import Catalogue, Exercise, Text, load
from grader.learning import stubs
from grader.learning.progress import Progress, State
from grader.learning.workspace import Workspace
from grader.report import Graded, Mistake, Outcome, Report, Test

MINE = "def repeat_kv(x, n_rep):\n    return x\n"


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return load()


@pytest.fixture(scope="module")
def exercise(known: Catalogue) -> Exercise:
    return known["ch5/repeat_kv"]


@pytest.fixture
def place(tmp_path: Path, known: Catalogue) -> Workspace:
    stubs.create(tmp_path, known)
    return Workspace(tmp_path)


@pytest.fixture
def file(place: Workspace) -> Path:
    return place.root / ".happyllm/progress.jsonl"


def write(place: Workspace, text: str = MINE) -> None:
    (place.root / "ch5/repeat_kv.py").write_text(text, encoding="utf-8")


def report(outcome: Outcome, mistake: str | None = None) -> Report:
    test = Test("test_a[2]", Text("a", "一"), outcome, 0.1)
    graded = Graded(
        *(
            "ch5/repeat_kv",
            "5.1.3.1",
            Text("t", "题"),
            "ch5/repeat_kv.py",
            outcome,
            0,
            5,
            0.1,
            "none",
        ),
        tests=(test,) if outcome != "untouched" else (),
        mistake=Mistake(mistake, Text("m", "错")) if mistake else None,
    )
    return Report(1, "0.1.0", "3.11.7", "2.6.0", 7, "none", 1.5, (graded,), None)


def graded(place: Workspace, outcome: Outcome, text: str = MINE) -> None:
    write(place, text)
    Progress.of(place).record(report(outcome))


def state(place: Workspace, exercise: Exercise) -> State:
    return Progress.of(place).state(exercise)


# ---- what counts


def test_what_was_never_graded_is_untouched(place: Workspace, exercise: Exercise) -> None:
    assert state(place, exercise) == State("untouched")


def test_a_stub_that_is_graded_stays_untouched_and_leaves_no_line(
    place: Workspace, exercise: Exercise, file: Path
) -> None:
    Progress.of(place).record(report("untouched"))
    assert state(place, exercise).name == "untouched"
    assert not file.exists()


def test_a_fault_of_the_grader_counts_for_nothing(
    place: Workspace, exercise: Exercise, file: Path
) -> None:
    graded(place, "fault")
    assert not file.exists()


def test_a_file_that_is_not_there_is_no_attempt(
    place: Workspace, exercise: Exercise, file: Path
) -> None:
    (place.root / exercise.file).unlink()
    Progress.of(place).record(report("error"))
    assert not file.exists()


def test_a_failure_remembers_its_tests_and_its_mistake(
    place: Workspace, exercise: Exercise
) -> None:
    write(place)
    Progress.of(place).record(report("failed", mistake="tiled"))
    found = state(place, exercise)
    assert (found.name, found.outcome, found.mistake) == ("failing", "failed", "tiled")
    assert found.failed == ("test_a[2]",)


def test_a_pass_without_help_is_solved(place: Workspace, exercise: Exercise) -> None:
    graded(place, "failed", "one = 1\n")
    graded(place, "passed", "two = 2\n")
    found = state(place, exercise)
    assert (found.name, found.best, found.attempts) == ("solved", "passed", 2)


def test_the_same_file_graded_again_and_again_is_one_attempt_and_one_line(
    place: Workspace, exercise: Exercise, file: Path
) -> None:
    for _ in range(5):
        graded(place, "failed")
    assert state(place, exercise).attempts == 1
    assert len(file.read_text().splitlines()) == 1


def test_what_is_broken_after_a_pass_is_failing_and_its_best_is_remembered(
    place: Workspace, exercise: Exercise
) -> None:
    graded(place, "passed")
    graded(place, "error", "oops\n")
    found = state(place, exercise)
    assert (found.name, found.best) == ("failing", "passed")


def test_a_pass_belongs_to_the_file_that_passed(place: Workspace, exercise: Exercise) -> None:
    graded(place, "passed")
    assert not state(place, exercise).changed
    write(place, MINE + "# more\n")
    assert state(place, exercise).changed
    write(place)
    assert not state(place, exercise).changed


def test_line_ends_of_windows_are_no_change(place: Workspace, exercise: Exercise) -> None:
    graded(place, "passed")
    (place.root / exercise.file).write_bytes(MINE.replace("\n", "\r\n").encode())
    assert not state(place, exercise).changed


def test_what_was_graded_counts_and_not_what_was_saved_meanwhile(
    place: Workspace, exercise: Exercise
) -> None:
    write(place, "later = 1\n")
    Progress.of(place).record(report("passed"), {exercise.file: MINE})
    assert state(place, exercise).changed


def test_a_stub_that_was_written_in_is_changed_before_it_is_graded(
    place: Workspace, exercise: Exercise
) -> None:
    assert not state(place, exercise).changed
    write(place)
    found = state(place, exercise)
    assert (found.name, found.changed) == ("untouched", True)


def test_a_stub_put_back_by_hand_is_untouched_again(place: Workspace, exercise: Exercise) -> None:
    graded(place, "failed")
    graded(place, "untouched", shelf.stub(exercise))
    assert state(place, exercise).name == "untouched"


# ---- help


def test_a_hint_before_the_pass_is_help_and_one_after_is_not(
    place: Workspace, exercise: Exercise
) -> None:
    progress = Progress.of(place)
    assert progress.climb(exercise.id) == 1
    assert progress.climb(exercise.id) == 2
    graded(place, "passed")
    progress.climb(exercise.id)
    found = state(place, exercise)
    assert (found.name, found.hints_used, found.gave_up) == ("solved_with_help", 2, False)
    assert Progress.of(place).rung(exercise.id) == 3


def test_a_hint_that_is_shown_again_is_one_hint(place: Workspace, exercise: Exercise) -> None:
    progress = Progress.of(place)
    for hint in (2, 0, 2):
        progress.climb(exercise.id, hint)
    assert progress.shown(exercise.id) == (2, 0)
    assert state(place, exercise).hints_used == 2


def test_the_next_hint_is_the_lowest_that_was_not_seen(
    place: Workspace, exercise: Exercise
) -> None:
    progress = Progress.of(place)
    progress.climb(exercise.id, 1)
    progress.climb(exercise.id)
    progress.climb(exercise.id)
    assert progress.shown(exercise.id) == (1, 0, 2)


def test_a_milestone_once_reached_stays_reached(place: Workspace) -> None:
    Progress.of(place).record_milestone("ch5/milestone", reached=False)
    assert not Progress.of(place).reached("ch5/milestone")
    for reached in (True, False, True):
        Progress.of(place).record_milestone("ch5/milestone", reached=reached)
    assert Progress.of(place).reached("ch5/milestone")
    assert len(Progress.of(place).events()) == 1
    assert Progress.of(place).last is None


def test_the_solution_read_before_the_pass_is_help(place: Workspace, exercise: Exercise) -> None:
    Progress.of(place).gave_up(exercise.id)
    graded(place, "passed")
    found = state(place, exercise)
    assert (found.name, found.hints_used, found.gave_up) == ("solved_with_help", 0, True)


def test_the_solution_read_after_the_pass_is_no_help(place: Workspace, exercise: Exercise) -> None:
    graded(place, "passed")
    Progress.of(place).gave_up(exercise.id)
    assert state(place, exercise).name == "solved"


def test_begun_anew_it_is_untouched_and_the_help_stays_had(
    place: Workspace, exercise: Exercise
) -> None:
    Progress.of(place).gave_up(exercise.id)
    graded(place, "failed")
    Progress.of(place).reset(exercise.id)
    found = state(place, exercise)
    assert (found.name, found.outcome, found.mistake, found.gave_up) == (
        *("untouched", None, None),
        True,
    )


def test_the_last_event_says_what_was_worked_on(place: Workspace) -> None:
    progress = Progress.of(place)
    assert progress.last is None
    progress.climb("ch5/mlp")
    graded(place, "failed")
    assert progress.last == "ch5/repeat_kv"


# ---- what survives


def test_what_another_terminal_writes_is_seen_at_once(place: Workspace) -> None:
    here, there = Progress.of(place), Progress.of(place)
    there.climb("ch5/mlp")
    assert here.rung("ch5/mlp") == 1


WRITER = """
import sys
from pathlib import Path
from grader.learning.progress import Progress
from grader.learning.workspace import Workspace
progress = Progress.of(Workspace(Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    progress._append([{"exercise": sys.argv[3], "kind": "hint", "hint": number, "long": "x" * 300}])
"""


def writer(place: Workspace, times: int, name: str) -> subprocess.Popen[bytes]:
    started = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(place.root), str(times), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    return started


def test_two_terminals_that_write_at_once_lose_no_line(place: Workspace, file: Path) -> None:
    both = [writer(place, 200, name) for name in ("ch5/mlp", "ch5/config")]
    for one in both:
        assert one.stdin is not None
        one.stdin.write(b"go\n")
        one.stdin.flush()
    for one in both:
        with one:
            one.communicate(timeout=60)
        assert one.returncode == 0
    lines = file.read_bytes().splitlines()
    assert len(lines) == 400
    assert {json.loads(line)["exercise"] for line in lines} == {"ch5/mlp", "ch5/config"}
    progress = Progress.of(place)
    assert (progress.rung("ch5/mlp"), progress.rung("ch5/config")) == (200, 200)


def test_a_writer_killed_at_work_leaves_what_it_had_written_and_the_next_goes_on(
    place: Workspace, file: Path
) -> None:
    with writer(place, 10**9, "ch5/mlp") as killed:
        assert killed.stdin is not None
        killed.stdin.write(b"go\n")
        killed.stdin.flush()
        until = time.monotonic() + 60
        while not file.exists() or file.read_bytes().count(b"\n") < 50:
            assert killed.poll() is None
            assert time.monotonic() < until
            time.sleep(0.005)
        killed.send_signal(signal.SIGKILL)
    before = Progress.of(place).rung("ch5/mlp")
    assert before >= 50
    assert Progress.of(place).climb("ch5/mlp") == before + 1  # the lock died with its holder


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_line_is_left_out_and_the_next_begins_a_line_of_its_own(
    place: Workspace, file: Path, cut: int
) -> None:
    progress = Progress.of(place)
    progress.climb("ch5/mlp")
    progress.climb("ch5/mlp")
    whole = file.read_bytes()
    file.write_bytes(whole[: -cut - 1])
    progress = Progress.of(place)
    progress.climb("ch5/mlp")
    progress.climb("ch5/mlp")
    assert progress.rung("ch5/mlp") == 3
    assert progress.note is None


def test_lines_of_a_later_version_and_of_nobody_are_left_alone(
    place: Workspace, file: Path, exercise: Exercise
) -> None:
    later = '{"v": 9, "exercise": "ch5/repeat_kv", "kind": "danced", "how": [1, {"a": null}]}'
    foreign = [
        "<<<<<<< HEAD",
        "[1, 2]",
        '"text"',
        "{}",
        '{"v": 1, "exercise": 3, "kind": []}',
        "\0",
    ]
    file.write_text("\n".join([*foreign, later]) + "\n", encoding="utf-8")
    before = file.read_bytes()
    graded(place, "passed")
    found = state(place, exercise)
    assert found.name == "solved"
    assert file.read_bytes().startswith(before)
    assert Progress.of(place).events()[0]["kind"] == "danced"


def test_events_with_odd_values_are_read_all_the_same(
    place: Workspace, file: Path, exercise: Exercise
) -> None:
    odd = {"v": 1, "exercise": "ch5/repeat_kv", "kind": "graded"}
    more = [{"outcome": 7, "failed": {"a": 1}, "mistake": [2], "hash": None}, {}]
    file.write_text("".join(json.dumps(odd | one) + "\n" for one in more), encoding="utf-8")
    assert state(place, exercise).name == "failing"
    assert Progress.of(place).note is None


# ---- a file that cannot be used costs a line, and no verdict


def test_a_file_that_is_all_garbage_is_noted_and_written_on(
    place: Workspace, file: Path, exercise: Exercise
) -> None:
    file.write_bytes(os.urandom(4096))
    progress = Progress.of(place)
    assert progress.note is not None
    assert str(file) in progress.note.en
    graded(place, "passed")
    assert state(place, exercise).name == "solved"


def test_a_file_that_cannot_be_used_is_noted(place: Workspace, file: Path) -> None:
    file.mkdir()
    progress = Progress.of(place)
    progress.climb("ch5/mlp")
    assert progress.note is not None
    assert "not remembered" in progress.note.en


def test_a_pipe_in_its_place_does_not_hold_anybody_up(place: Workspace, file: Path) -> None:
    os.mkfifo(file)
    progress = Progress.of(place)
    progress.climb("ch5/mlp")
    assert progress.note is not None


def test_a_link_in_its_place_is_not_followed(
    place: Workspace, file: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / "profile"
    other.write_text("mine\n", encoding="utf-8")
    file.symlink_to(other)
    progress = Progress.of(place)
    progress.climb("ch5/mlp")
    assert other.read_text(encoding="utf-8") == "mine\n"
    assert progress.note is not None


def test_a_folder_that_no_init_made_remembers_nothing_and_says_nothing(
    place: Workspace, file: Path
) -> None:
    file.parent.rename(place.root / "elsewhere")
    progress = Progress.of(place)
    assert progress.climb("ch5/mlp") == 0
    assert (progress.note, progress.kept, file.parent.exists()) == (None, False, False)
