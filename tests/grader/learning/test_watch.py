"""The loop of `watch`, without a terminal: real files, real gradings, keys handed in."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from grader import catalogue, shelf
from grader.catalogue import Text
from grader.engine import Policy
from grader.learning import workspace
from grader.learning.progress import Progress
from grader.learning.watch import (
    AllGraded,
    Asked,
    Began,
    Event,
    Hint,
    Listing,
    Page,
    Shown,
    Solved,
    Trouble,
    Verdict,
    Watch,
)

KNOWN = catalogue.load()
REPEAT_KV, RMS_NORM = KNOWN["ch5/repeat_kv"], KNOWN["ch5/rms_norm"]
RIGHT = shelf.solution(REPEAT_KV)
TILED = "def repeat_kv(x, n_rep):\n    return x.repeat(1, 1, n_rep, 1)\n"
ENDLESS = "def repeat_kv(x, n_rep):\n    while True:\n        pass\n"
PATIENCE_S = 60.0

Kind = TypeVar("Kind")


class Running:
    """A watch on a thread of its own, and what it has said so far."""

    def __init__(self, root: Path, *names: str, **policy: Any):
        self.root = root
        self.place = workspace.find(root, KNOWN)
        self.watch = Watch(
            self.place,
            [KNOWN[name] for name in names],
            Policy(**policy),
            open_page=lambda exercise: Text(f"page {exercise.section}", ""),
        )
        self.events: list[Event] = []
        self.read = 0  # what came before was looked at
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        for event in self.watch.events():
            with self.changed:
                self.events.append(event)
                self.changed.notify_all()

    def until(
        self, kind: type[Kind], which: Callable[[Any], bool] = lambda _: True
    ) -> tuple[Kind, list[Event]]:
        """Wait for an event; what came before it, since the last that was waited for."""
        end = time.monotonic() + PATIENCE_S
        with self.changed:
            at = self.read
            while True:
                while at < len(self.events):
                    event = self.events[at]
                    at += 1
                    if isinstance(event, kind) and which(event):
                        before, self.read = self.events[self.read : at - 1], at
                        return event, before
                left = end - time.monotonic()
                assert left > 0, f"it has not come; {[type(e).__name__ for e in self.events]}"
                self.changed.wait(left)

    def verdict(self, exercise_id: str = REPEAT_KV.id) -> Verdict:
        """The next whole verdict on an exercise."""
        return self.until(Verdict, lambda e: e.exercise.id == exercise_id and e.report)[0]

    def save(self, text: str | bytes, name: str = REPEAT_KV.file) -> None:
        """Save as an editor does, and forget what came before."""
        with self.changed:
            self.read = len(self.events)
        replace(self.root / name, text)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.watch.press(key)

    def settle(self) -> None:
        """Save a right answer that says what it is, and wait until all that follows has come."""
        mark = f"settled {time.monotonic_ns()}"
        self.save(f"{RIGHT}\nprint({mark!r})\n")
        self.until(
            Verdict, lambda e: e.report and e.graded.printed and mark in e.graded.printed.text
        )
        self.verdict(RMS_NORM.id)

    @property
    def processes(self) -> list[psutil.Process]:
        nursery = self.watch._grader.judges._nursery
        assert nursery is not None
        server = psutil.Process(nursery._process.pid)
        return [server, *server.children(recursive=True)]

    def close(self) -> None:
        self.watch.stop()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()


def replace(path: Path, text: str | bytes) -> None:
    data = text.encode() if isinstance(text, str) else text
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    os.replace(temporary, path)


@contextlib.contextmanager
def run(root: Path, *names: str, **policy: Any) -> Iterator[Running]:
    workspace_of(root)
    running = Running(root, *names, **policy)
    try:
        yield running
    finally:
        running.close()


def workspace_of(root: Path) -> None:
    for exercise in KNOWN:
        path = root / exercise.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(shelf.stub(exercise), encoding="utf-8")
    (root / ".happyllm").mkdir()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A watch on two exercises, for all tests that leave it as it was."""
    with run(tmp_path_factory.mktemp("shared"), REPEAT_KV.id, RMS_NORM.id) as running:
        first = running.verdict()
        assert (first.graded.outcome, first.focus) == ("untouched", True)
        yield running


@pytest.fixture
def running(shared: Running) -> Running:
    """That watch, with a right answer to the first exercise and a stub as the second."""
    shared.root.joinpath(RMS_NORM.file).write_text(shelf.stub(RMS_NORM), encoding="utf-8")
    shared.settle()
    return shared


# ---- what is saved


def test_a_wrong_answer_is_named_a_right_one_passes_and_the_next_is_shown(running: Running) -> None:
    running.save(TILED)
    wrong = running.verdict()
    assert (wrong.graded.outcome, wrong.focus) == ("failed", True)
    assert wrong.graded.mistake is not None
    assert wrong.graded.mistake.id == "tiled"
    running.save(RIGHT)
    assert running.verdict().graded.outcome == "passed"
    following = running.verdict(RMS_NORM.id)
    assert (following.graded.outcome, following.focus) == ("untouched", True)


def test_the_verdict_comes_before_the_name_of_the_mistake(running: Running) -> None:
    running.save(TILED)
    early, _ = running.until(Verdict)
    assert (early.graded.outcome, early.report, early.graded.mistake) == ("failed", None, None)
    assert early.graded.failure is not None
    whole, between = running.until(Verdict)
    assert between == []
    assert whole.graded.failure is not None
    assert whole.graded.failure.message == early.graded.failure.message
    assert whole.graded.mistake is not None


def test_when_all_have_passed_it_says_so(running: Running) -> None:
    running.save(shelf.solution(RMS_NORM), RMS_NORM.file)
    assert running.verdict(RMS_NORM.id).graded.outcome == "passed"
    solved, _ = running.until(Solved)
    assert solved.exercises == running.watch.exercises


def test_what_is_found_is_remembered(running: Running) -> None:
    running.save(TILED)
    running.verdict()
    progress = Progress.of(running.place)
    assert progress.state(REPEAT_KV).mistake == "tiled"
    running.save(RIGHT)
    running.verdict(RMS_NORM.id)
    assert progress.state(REPEAT_KV).solved


@pytest.mark.parametrize(
    ("text", "outcome", "said"),
    [
        ("", "error", "no longer defines repeat_kv"),
        ("def repeat_kv(x:\n", "error", "ch5/repeat_kv.py:1: SyntaxError"),
        ("import sys\nsys.exit(0)\n", "error", "calls sys.exit() (line 2)"),
        ("import nothing_here\n", "error", "No module named 'nothing_here'"),
        ("import os\nos.abort()\n", "error", "crashed the Python interpreter"),
        ("import os\nos._exit(0)\n", "error", "ended the Python interpreter"),
        ("import ctypes\nctypes.string_at(0)\n", "error", "crashed the Python interpreter"),
        ("from ch5.my_helpers import thing\n", "error", "there is no ch5/my_helpers.py"),
        ("import happyllm.llama\n", "blocked", "write it yourself"),
        ("def repeat_kv(x, n_rep): raise KeyboardInterrupt\n", "error", "KeyboardInterrupt"),
        ("def repeat_kv(x, n_rep): return repeat_kv(x, n_rep)\n", "error", "RecursionError"),
        ("def repeat_kv(x, n_rep): pass\n", "failed", "The answer is None"),
        (
            "import torch\ndef repeat_kv(x, n_rep): return torch.empty(1 << 40)\n",
            "memory",
            "MiB of memory",
        ),
    ],
)
def test_no_file_stops_the_watch(running: Running, text: str, outcome: str, said: str) -> None:
    running.save(text)
    verdict = running.verdict()
    assert verdict.graded.outcome == outcome
    assert verdict.graded.failure is not None
    assert said in verdict.graded.failure.message.en
    running.save(RIGHT)
    assert running.verdict().graded.outcome == "passed"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"x = 1\ny = '\xff'\n", "ch5/repeat_kv.py:2: byte 0xff is no UTF-8"),
        (b"x = 1\n\0\n", "ch5/repeat_kv.py:2: a null byte"),
        (b"#" * (1 << 21), "is larger than"),
    ],
    ids=["no UTF-8", "null byte", "large"],
)
def test_a_file_that_cannot_be_read_is_told_and_the_watch_goes_on(
    running: Running, data: bytes, said: str
) -> None:
    running.save(data)
    trouble, before = running.until(Trouble)
    assert said in trouble.text.en
    assert not [event for event in before if isinstance(event, Verdict)]
    running.save(RIGHT)
    assert running.verdict().graded.outcome == "passed"


def test_a_file_that_is_a_link_out_of_the_workspace_is_told(
    running: Running, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.py"
    elsewhere.write_text(RIGHT, encoding="utf-8")
    file = running.root / REPEAT_KV.file
    file.unlink()
    file.symlink_to(elsewhere)
    assert "leads out of the workspace" in running.until(Trouble)[0].text.en
    running.save(RIGHT)
    assert running.verdict().graded.outcome == "passed"


def test_a_file_that_is_deleted_is_told_and_graded_when_it_is_back(running: Running) -> None:
    file = running.root / REPEAT_KV.file
    file.unlink()
    gone = running.verdict().graded
    assert (gone.outcome, gone.failure and gone.failure.kind) == ("error", "missing")
    running.save(TILED)
    assert running.verdict().graded.outcome == "failed"


def test_an_editor_that_moves_the_old_file_away_first_is_understood(running: Running) -> None:
    file = running.root / REPEAT_KV.file
    kept = file.with_name("repeat_kv.py~")
    running.save(TILED)
    running.verdict()
    os.rename(file, kept)
    file.write_text(f"{TILED}# again\n", encoding="utf-8")
    kept.unlink()
    verdict, before = running.until(Verdict, lambda e: e.report is not None)
    assert verdict.graded.mistake is not None
    assert not [e for e in before if isinstance(e, Verdict) and e.graded.outcome == "error"]


def test_a_chapter_that_is_moved_away_and_back_is_watched_again(running: Running) -> None:
    folder, away = running.root / "ch5", running.root / "away"
    os.rename(folder, away)
    gone = running.verdict().graded
    assert gone.failure is not None
    assert gone.failure.kind == "missing"
    os.rename(away, folder)
    assert running.verdict().graded.outcome == "passed"
    running.settle()
    running.save(TILED)
    assert running.verdict().graded.outcome == "failed"


def test_of_a_burst_of_saves_the_newest_has_the_last_word(running: Running) -> None:
    numbers = 12
    for number in range(numbers):
        text = f"{TILED if number % 2 else RIGHT}\nprint('number', {number})\n"
        replace(running.root / REPEAT_KV.file, text)
        time.sleep(0.03)  # as fast as an editor that saves at every key
    last = f"number {numbers - 1}\n"
    verdict, before = running.until(
        Verdict, lambda e: e.report and e.graded.printed and e.graded.printed.text == last
    )
    assert verdict.graded.outcome == "failed"
    said = [
        int(e.graded.printed.text.split()[1])
        for e in before
        if isinstance(e, Verdict) and e.exercise is REPEAT_KV and e.graded.printed
    ]
    assert said == sorted(said)
    running.save(RIGHT)
    _, before = running.until(Verdict, lambda e: e.report and e.graded.outcome == "passed")
    assert not [e for e in before if isinstance(e, Verdict) and e.exercise is REPEAT_KV]


def test_two_files_saved_at_once_are_both_graded_and_the_first_failure_is_in_focus(
    running: Running,
) -> None:
    with running.changed:
        running.read = len(running.events)
    for exercise in (RMS_NORM, REPEAT_KV):
        (running.root / exercise.file).write_text("x = 1\n", encoding="utf-8")
    running.until(Verdict, lambda e: e.exercise is RMS_NORM and e.report)
    assert {running.watch.found[e.id].outcome for e in (RMS_NORM, REPEAT_KV)} == {"error"}


def test_a_mode_that_is_changed_is_no_save(running: Running) -> None:
    (running.root / REPEAT_KV.file).chmod(0o600)
    running.save(TILED)
    _, before = running.until(Verdict)
    assert len([event for event in before if isinstance(event, Began)]) == 1


def test_other_files_are_no_business_of_the_watch(running: Running) -> None:
    for name in ("ch5/.repeat_kv.py.swp", "ch5/4913", "ch5/repeat_kv.py~", "notes.md"):
        (running.root / name).write_text("x", encoding="utf-8")
    (running.root / "ch5/mlp.py").write_text("x = 1\n", encoding="utf-8")  # is not watched
    running.save(TILED)
    _, before = running.until(Verdict)
    assert [e.exercise.id for e in before if isinstance(e, Began)] == [REPEAT_KV.id]


def test_a_helper_beside_the_exercises_is_graded_with_the_one_in_focus(running: Running) -> None:
    running.save("from ch5.my_helper import repeat_kv\n")
    running.verdict()
    running.save(TILED, "ch5/my_helper.py")
    assert running.verdict().graded.outcome == "failed"
    running.save(RIGHT, "ch5/my_helper.py")
    assert running.verdict().graded.outcome == "passed"
    (running.root / "ch5/my_helper.py").unlink()


# ---- nothing of one grading is left for the next


def test_every_grading_draws_new_inputs(running: Running) -> None:
    running.save("def repeat_kv(x, n_rep):\n    print(x.sum().item())\n    return x\n")
    first = running.verdict()
    running.press("r")
    second = running.verdict()
    assert first.report is not None
    assert second.report is not None
    assert first.report.seed != second.report.seed
    assert first.graded.printed != second.graded.printed


def test_what_one_submission_spoils_is_whole_for_the_next(running: Running) -> None:
    running.save(
        f"import torch, builtins\ntorch.Tensor.expand = None\nbuiltins.len = None\n{RIGHT}"
    )
    assert running.verdict().graded.outcome != "passed"
    running.save(RIGHT)
    assert running.verdict().graded.outcome == "passed"


# ---- keys


def test_hints_climb_and_are_remembered(running: Running) -> None:
    running.save(TILED)
    running.verdict()
    rungs = []
    for _ in range(len(REPEAT_KV.hints) + 1):
        running.press("h")
        rungs.append(running.until(Hint)[0])
    shown = [hint.rung.number for hint in rungs if hint.rung is not None]
    top = len(REPEAT_KV.hints)
    assert shown == [min(n, top) for n in range(shown[0], shown[0] + len(rungs))]
    assert Progress.of(running.place).rung(REPEAT_KV.id) == top


def test_the_list_says_what_was_found_and_what_is_in_focus(running: Running) -> None:
    running.save(TILED)
    running.verdict()
    running.press("l")
    listing, _ = running.until(Listing)
    assert [(e.exercise.id, e.outcome, e.focus) for e in listing.entries] == [
        (REPEAT_KV.id, "failed", True),
        (RMS_NORM.id, "untouched", False),
    ]


def test_next_goes_on_to_what_has_not_passed(running: Running) -> None:
    running.save(TILED)
    running.verdict()
    running.press("n")
    assert running.until(Shown)[0].exercise is RMS_NORM
    running.press("n")
    shown, _ = running.until(Shown)
    assert shown.exercise is REPEAT_KV
    assert shown.graded is not None
    assert shown.graded.outcome == "failed"


def test_all_are_run_and_the_first_failure_is_in_focus(running: Running) -> None:
    running.save(TILED)
    running.verdict()
    running.press("a")
    every, before = running.until(AllGraded)
    assert [one.outcome for one in every.graded] == ["failed", "untouched"]
    focused = [e.exercise.id for e in before if isinstance(e, Verdict) and e.focus]
    assert set(focused) == {REPEAT_KV.id}


def test_the_page_of_the_one_in_focus_is_opened(running: Running) -> None:
    running.save(TILED)
    running.verdict()
    running.press("o")
    assert running.until(Page)[0].said.en == f"page {REPEAT_KV.section}"


def test_help_more_back_and_a_resize_are_handed_on_and_other_keys_are_not(running: Running) -> None:
    running.press("x", "é", "?", "m", "\x1b")
    running.watch.resize()
    asked = [running.until(Asked)[0].what for _ in range(4)]
    assert asked == ["help", "more", "back", "resize"]


# ---- while something is graded


def test_keys_are_answered_while_an_endless_loop_is_graded_and_a_save_ends_it(
    running: Running,
) -> None:
    running.save(ENDLESS)
    running.until(Began)
    running.press("h")
    _, before = running.until(Hint)
    assert not [event for event in before if isinstance(event, Verdict)]
    started = time.monotonic()
    running.save(RIGHT)
    verdict, before = running.until(Verdict, lambda e: e.report is not None)
    assert verdict.graded.outcome == "passed"
    assert time.monotonic() - started < REPEAT_KV.time_limit_s


def test_an_endless_loop_is_a_timeout(tmp_path: Path) -> None:
    with run(tmp_path / "ws", REPEAT_KV.id, timeout_s=1.0) as running:
        running.verdict()
        running.save(ENDLESS)
        assert running.verdict().graded.outcome == "timeout"
        running.save(RIGHT)
        assert running.verdict().graded.outcome == "passed"


# ---- faults of the grader


def test_a_fork_server_that_is_killed_is_started_again(running: Running) -> None:
    processes = running.processes
    processes[0].kill()
    assert not psutil.wait_procs(processes, timeout=PATIENCE_S)[1]
    running.save(TILED)
    assert running.verdict().graded.outcome == "failed"
    assert running.processes[0].pid != processes[0].pid


def test_a_judge_on_the_bench_that_is_killed_is_started_again(running: Running) -> None:
    bench = running.processes[1]
    bench.kill()
    assert not psutil.wait_procs([bench], timeout=PATIENCE_S)[1]
    running.save(TILED)
    assert running.verdict().graded.outcome == "failed"


def test_a_judge_that_is_killed_at_work_is_replaced(running: Running) -> None:
    bench = running.processes[1]
    running.save(f"{RIGHT}\nimport time\ntime.sleep(2)\n")
    end = time.monotonic() + PATIENCE_S
    while not (judges := bench.children()):
        assert time.monotonic() < end, "no judge is at work"
        time.sleep(0.01)
    judges[0].kill()
    graded = running.verdict().graded
    assert graded.outcome == "passed", graded.failure
    assert bench.is_running()


# ---- the end


def test_nothing_is_left_of_a_watch_that_has_ended(tmp_path: Path) -> None:
    with run(tmp_path / "ws", REPEAT_KV.id) as running:
        running.verdict()
        running.save(ENDLESS)
        running.until(Began)
        processes = running.processes
        nursery = running.watch._grader.judges._nursery
    assert nursery is not None
    assert not psutil.wait_procs(processes, timeout=PATIENCE_S)[1]
    assert not os.path.exists(nursery._scratch)
    assert not running.watch._eyes._thread.is_alive()
    assert not running.watch._grader._thread.is_alive()


def test_a_watch_that_is_ended_as_it_begins_ends(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    with run(tmp_path / "ws", REPEAT_KV.id) as running:
        running.press("q")
    after = set(psutil.Process().children(recursive=True)) - before
    assert not psutil.wait_procs(list(after), timeout=PATIENCE_S)[1]


def test_a_workspace_that_is_gone_is_told_and_graded_when_it_is_back(tmp_path: Path) -> None:
    with run(tmp_path / "ws", REPEAT_KV.id) as running:
        running.verdict()
        os.rename(tmp_path / "ws", tmp_path / "away")
        assert "is gone" in running.until(Trouble, lambda e: "is gone" in e.text.en)[0].text.en
        shutil.move(tmp_path / "away", tmp_path / "ws")
        running.until(Verdict, lambda e: e.graded.outcome == "untouched")
        running.save(RIGHT)
        assert running.verdict().graded.outcome == "passed"


def test_on_ones_own_files_a_requirement_that_is_saved_is_graded_too(tmp_path: Path) -> None:
    with run(tmp_path / "ws", "ch5/mlp", own=True) as running:
        running.verdict("ch5/mlp")
        running.save(shelf.solution(KNOWN["ch5/mlp"]), "ch5/mlp.py")
        assert running.verdict("ch5/mlp").graded.outcome != "passed"
        running.save(shelf.solution(KNOWN["ch5/config"]), "ch5/config.py")
        assert running.verdict("ch5/mlp").graded.outcome == "passed"


# ---- where there is no fork


def test_spawned_processes_are_kept_warm_and_replaced_when_a_grading_is_broken_off(
    tmp_path: Path,
) -> None:
    with run(tmp_path / "ws", REPEAT_KV.id, backend="spawn") as running:
        assert running.verdict().graded.outcome == "untouched"
        bench = running.watch._grader.judges._bench
        first = bench._judge
        running.save(TILED)
        wrong = running.verdict()
        assert wrong.graded.mistake is not None
        assert wrong.graded.isolation == "process"
        running.save(RIGHT)
        assert running.verdict().graded.outcome == "passed"
        assert bench._judge is first
        running.save(ENDLESS)
        running.until(Began)
        running.save(TILED)
        assert running.verdict().graded.outcome == "failed"
        processes = psutil.Process().children(recursive=True)
    spawned = [one for one in processes if one.is_running() and "spawned" in _command(one)]
    assert not psutil.wait_procs(spawned, timeout=PATIENCE_S)[1]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
