"""One exercise, graded: its hidden suite is run by pytest against the learner's code in the room.

pytest runs here with this plugin and no other, no configuration of anybody's, and no conftest.
Every test must leave a record; what has none is a fault of the grader, never a zero or a pass.
"""

from __future__ import annotations

import functools
import inspect
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest

from grader.catalogue import Exercise, Text
from grader.report import Failure, Graded, Outcome, Printed, Test, worst
from grader.sandbox.nursery import NurseryError
from grader.sandbox.worker import Room, forbidden, local_room, seed

from . import again, explanation, rehearsal, show
from .check import CheckFailed, Compared
from .diagnosis import Heard, Seen, diagnose, hear, known_wrongs
from .job import Job, names_of, seed_for
from .marks import KnownWrong, variant_room
from .rehearsal import Line, Scene, Script
from .seats import CommonRooms, FixedSeat, GuestSeat, LocalSeat, Seat, WorkerSeat
from .student import (
    ABORTED,
    FATAL,
    AnyLease,
    Asked,
    Backend,
    BadAnswer,
    Died,
    LocalBackend,
    OutOfMemory,
    Output,
    Raised,
    Student,
    StudentFailure,
    TimedOut,
    chance,
    origin,
    raised,
    set_chance,
)

# How lines begin that the interpreter prints when it crashes.
_OF_A_CRASH = ("  ", "Stack ", "Current thread ", "Thread ", "Extension modules: ")

ORIGINS = 3  # in so many tests of an exercise what is not finite is traced
SUITE_SECONDS = 60  # what one test may take in the judge itself, on values the learner's code gave

_PYTEST = (
    *("-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:unraisableexception"),
    *("-p", "no:threadexception", "-p", "no:faulthandler", "-p", "no:logging", "-p", "no:junitxml"),
    *("-p", "no:doctest", "-p", "no:stepwise", "-p", "no:setuponly", "-p", "no:setupplan"),
    *("-p", "no:debugging", "-p", "no:pastebin", "-p", "no:recwarn", "-p", "no:warnings"),
    *("-p", "no:tmpdir", "-p", "no:monkeypatch", "-p", "no:capturelog", "-p", "no:subtests"),
    *("--disable-plugin-autoload", "--noconftest", "--capture=no", "--assert=plain"),
    *("--import-mode=importlib", "-c", "/dev/null"),
)


def grade_in_worker(
    job: Job, lease: AnyLease, collected: Collected | Stage | None = None
) -> Graded:
    """Grade in jailed workers; a new one follows where the learner's code ended the last.

    The suite may be collected already; on a stage it is, and what the solution answers is known.
    """
    seat = WorkerSeat(job, lease, Output(job.output_bytes))
    started = time.monotonic()

    def whole(graded: Graded) -> Graded:
        return _whole(graded, job, seat, started)

    if (tell := job.on_verdict) is not None:
        job = replace(job, on_verdict=lambda graded: tell(whole(graded)))
    try:
        try:
            graded = _grade(job, seat, collected)
        except Strayed:  # it has to be asked everything anew, by the suite itself
            seat.close()
            seat = WorkerSeat(job, lease, Output(job.output_bytes))
            graded = _grade(job, seat)
    except NurseryError as error:
        graded = _ended(job, "fault", _fault(str(error)))
    except Exception:
        graded = _ended(job, "fault", _fault(traceback.format_exc()[-3000:]))
    finally:
        seat.close()
    return whole(graded)


def grade_as_guest(job: Job, rooms: CommonRooms, stage: Stage) -> Graded | None:
    """Grade in a room that others of the submission's exercises have been in.

    Returns:
        the verdict where the exercise passes, or nothing of it is written; else none, and it has
        to be graded in a room of its own.
    """
    suite = job.suite or job.exercise.suite
    script = stage.script(job)
    if script is None or not stage.holds(suite) or job.exercise.file not in job.files:
        return None
    started = time.monotonic()
    job = replace(job, diagnose=False)
    try:
        seat = rooms.enter(job, stage.forbids(job))
        reply = seat.load()
        if reply["state"] == "untouched":
            return _whole(_ended(job, "untouched", None), job, seat, started)
        if reply["state"] != "loaded" or reply["missing"] or reply["unwritten"]:
            return None
        with _kept_as_it_was():
            plugin = _Plugin(job, seat, (), script)
            if not stage.passes(suite, plugin):
                return None
            graded = _verdict(job, plugin, pytest.ExitCode.OK, stage)
    except Exception:  # whatever it was, in a room of its own it is told
        return None
    return _whole(graded, job, seat, started) if graded.outcome == "passed" else None


def grade_in_process(job: Job) -> Graded:
    """Grade in this very process, for `--debug`: breakpoints work, and nothing is held back."""
    started = time.monotonic()
    with _kept_as_it_was():
        graded = _grade(job, LocalSeat(job))
    return replace(graded, duration_s=round(time.monotonic() - started, 4))


def grade_room(job: Job, room: Room, collected: Collected | None = None) -> Graded:
    """Grade trusted code that stands in a room already, such as a known mistake."""
    return _grade(job, FixedSeat(room), collected)


def _whole(graded: Graded, job: Job, seat: WorkerSeat | GuestSeat, started: float) -> Graded:
    """A verdict with how long it took, under which isolation, and what was printed."""
    output = seat.output
    text = _own_lines(output.text(), job.files)
    printed = Printed(text, output.dropped) if output.kept else None
    took = round(time.monotonic() - started, 4)
    return replace(graded, duration_s=took, isolation=seat.isolation, printed=printed)


# ---- suites that are collected before anything is graded


class Collected:
    """A suite that pytest has collected once, for as many gradings as there are."""

    def __init__(self, suite: Path, text: bytes, hooks: _Hooks, items: Sequence[pytest.Function]):
        self._suite = suite
        self._text = text
        self._hooks = hooks
        self._items = items

    def holds(self, suite: Path) -> bool:
        """Whether it is this suite that was collected, as its file is now."""
        return suite == self._suite and suite.is_file() and suite.read_bytes() == self._text

    def run(self, job: Job, seat: Seat, blank: tuple[str, ...]) -> _Plugin:
        """Run the tests as `pytest.main` would, on other code; the records come back."""
        plugin = self._hooks.now = _Plugin(job, seat, blank)
        items = sorted(self._items, key=plugin.place)
        plugin.collected(items)
        for item in items:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            if job.stop_early and plugin.records[item.name].outcome != "passed":
                break
        return plugin


def collect(suite: Path, use: Callable[[Collected], None]) -> bool:
    """Have pytest collect a suite, and let `use` grade with it until it returns.

    pytest takes longer to begin and to collect than most mistakes take to be found out; whoever
    grades hundreds of submissions by one suite pays for that once.

    Returns:
        Whether there was something to use: not where the suite cannot be collected.
    """
    text = suite.read_bytes()
    used = []

    def then(hooks: _Hooks, items: Mapping[Path, Sequence[pytest.Function]]) -> None:
        if suite in items and not hooks.broken:
            used.append(suite)
            use(Collected(suite, text, hooks, items[suite]))

    with _kept_as_it_was():
        _in_session([suite], then)
    return bool(used)


class Strayed(Exception):
    """A suite asks otherwise than it did on the stage, although it is answered the same."""


class Stage:
    """Suites that pytest has collected already, and what the solutions answer in them.

    Everything on it was made before there was a submission. Each grading is a fork's own.
    """

    def __init__(self, hooks: _Hooks, items: Mapping[Path, Sequence[pytest.Function]]):
        self._hooks = hooks
        self._items = items
        self._scripts: dict[str, Script] = {}
        self._heard: dict[str, Heard] = {}
        self._forbidden: tuple[str, ...] = ()
        self._needing: set[str] = set()
        self.want: Callable[[str], None] = lambda _: None

    def holds(self, suite: Path) -> bool:
        """Whether a suite is on it."""
        return suite in self._items

    def play(self, suite: Path, plugin: _Plugin) -> None:
        """Run a suite's tests, but those in which the learner's code answers as in the script."""
        for item in self._begin(suite, plugin):
            if plugin.follows(item):
                continue
            try:
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            except pytest.exit.Exception:
                break
            if plugin.strayed:
                raise Strayed

    def _begin(self, suite: Path, plugin: _Plugin) -> Sequence[pytest.Function]:
        """The tests of a suite; from here on pytest's hooks hand on to this grading."""
        items = self._items[suite]
        self._hooks.now = plugin
        plugin.collected(items)
        return items

    def passes(self, suite: Path, plugin: _Plugin) -> bool:
        """Whether every test of a suite passes; after the first that does not, none is run.

        All questions of a test are asked at once. Where an answer is not the solution's the test
        itself is run from its beginning, since an answer may be right in other ways as well.
        """
        for item in self._begin(suite, plugin):
            if plugin.plays(item):
                continue
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            if plugin.records[item.name].outcome != "passed":
                return False
        return True

    def script(self, job: Job) -> Script | None:
        """What the solution answers under this seed, if it was rehearsed under it."""
        found = self._scripts.get(job.exercise.id)
        return found if found is not None and found.seed == job.seed else None

    def rehearse(self, job: Job) -> None:
        """Play a suite on the solution, twice; what is the same both times is the script."""
        suite = job.suite or job.exercise.suite
        if suite not in self._items:
            return
        logs = []
        with _kept_as_it_was():
            for _ in range(2):
                seat = FixedSeat(_room(job, None))
                plugin = _Plugin(job, seat, ())
                self.play(suite, plugin)
                passed = {name for name, test in plugin.records.items() if test.outcome == "passed"}
                logs.append({name: log for name, log in plugin.logs.items() if name in passed})
            solution = LocalBackend(_room(job, None))
            self._scripts[job.exercise.id] = rehearsal.script(job.seed, logs[0], logs[1], solution)

    def share_rooms(self, jobs: Sequence[Job]) -> None:
        """Find out which exercises can be done without the functions that any of them forbids.

        Those can be done in one room. Whoever needs such a function after all is graded alone.
        """
        self._forbidden = tuple(sorted({name for job in jobs for name in job.exercise.forbids}))
        if not self._forbidden:
            return
        with _kept_as_it_was(), forbidden(self._forbidden):
            for job in jobs:
                solution = LocalBackend(_room(job, None))
                scenes = self._scripts[job.exercise.id].tests.values()
                if not all(scene.agrees(solution) for scene in scenes):
                    self._needing.add(job.exercise.id)

    def forbids(self, job: Job) -> tuple[str, ...]:
        """What is forbidden in the room that an exercise shares with others."""
        alone = job.exercise.id in self._needing
        return job.exercise.forbids if alone else self._forbidden

    def hear(self, job: Job) -> Heard:
        """Put the script of an exercise to every mistake that its suite knows."""
        suite = self._items[job.suite or job.exercise.suite][0].module
        return hear(
            self._scripts[job.exercise.id], known_wrongs(suite), functools.partial(_room, job)
        )

    def heard(self, exercise: str) -> Heard | None:
        """What the mistakes answer to the script of an exercise; if nobody knows, it is wanted."""
        if exercise not in self._heard:
            self.want(exercise)
        return self._heard.get(exercise)

    def learn(self, exercise: str, heard: Heard) -> None:
        """From here on it is known what the mistakes of an exercise answer."""
        self._heard[exercise] = heard


def on_stage(suites: Iterable[Path], then: Callable[[Stage], None]) -> None:
    """Have pytest import and collect suites, and go on with them while its session is open.

    A suite that cannot be collected is not on the stage; what is wrong with it is told when it is
    graded.
    """
    _in_session(suites, lambda hooks, items: then(Stage(hooks, items)))


def _in_session(
    suites: Iterable[Path],
    then: Callable[[_Hooks, Mapping[Path, Sequence[pytest.Function]]], None],
) -> None:
    """Collect suites, those of a folder in one session, and go on when all are open."""
    folders: dict[Path, list[Path]] = defaultdict(list)
    for suite in suites:
        folders[suite.parent].append(suite)
    hooks = _Hooks()
    items: dict[Path, list[pytest.Function]] = {}

    def enter(left: Sequence[Path]) -> None:
        if not left:
            then(hooks, items)
            return

        def go_on(session: pytest.Session) -> None:
            for item in session.items:
                if isinstance(item, pytest.Function):
                    items.setdefault(item.path, []).append(item)
            enter(left[1:])

        _main(folders[left[0]], hooks, _Instead(go_on))

    enter([*folders])


def _main(suites: Sequence[Path], *plugins: object, how: Sequence[str] = ()) -> int:
    """Have pytest run suites of one folder; it looks at none of the files beside them."""
    for suite in suites:
        sys.modules.pop(suite.stem, None)  # else pytest takes the last suite of this name for it
    where = ["--rootdir", str(suites[0].parent), *map(str, suites)]
    return pytest.main([*_PYTEST, *how, *where], plugins=[*plugins, _Only(suites)])


class _Only:
    """There is a suite for each exercise in a folder, and pytest would look at all of them."""

    def __init__(self, suites: Sequence[Path]):
        self.suites = set(suites)

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        beside = any(collection_path.parent == suite.parent for suite in self.suites)
        return True if beside and collection_path not in self.suites else None


class _Instead:
    """What is done in a session of pytest when its tests would be run."""

    def __init__(self, done: Callable[[pytest.Session], None]):
        self.done = done

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.done(session)
        return True


# ---- the grading


def _grade(job: Job, seat: Seat, collected: Collected | Stage | None = None) -> Graded:
    exercise = job.exercise
    if exercise.file not in job.files:
        return _ended(job, "error", _no_file(exercise))
    try:
        reply = seat.load()
    except StudentFailure as failure:
        outcome, told = _told(failure, exercise, job)
        return _ended(job, outcome, told)
    if reply["state"] == "untouched":
        return _ended(job, "untouched", None)
    if reply["state"] == "raised":
        outcome, told = _told(raised(reply["raised"]), exercise, job)
        return _ended(job, outcome, told)
    if reply["missing"]:
        names = [name for name in names_of(exercise) if name in reply["missing"]]
        return _ended(job, "error", _no_name(exercise, names))
    blank = tuple(name for name in exercise.blanks if name in reply["unwritten"])
    suite = job.suite or exercise.suite
    with _kept_as_it_was():
        if isinstance(collected, Collected):
            return _verdict(job, collected.run(job, seat, blank), pytest.ExitCode.OK)
        if collected is not None and collected.holds(suite):
            plugin = _Plugin(job, seat, blank, collected.script(job))
            collected.play(suite, plugin)
            return _verdict(job, plugin, pytest.ExitCode.OK, collected)
        plugin = _Plugin(job, seat, blank)
        how = ["--maxfail=1"] if job.stop_early else []
        status = _main([suite], _Hooks(plugin), how=how)
        return _verdict(job, plugin, status)


def _verdict(job: Job, plugin: _Plugin, status: int, stage: Stage | None = None) -> Graded:
    """A pass needs proof: a record for each test that was expected, and each of them a pass."""
    exercise = job.exercise
    if plugin.broken or not plugin.expected:
        why = plugin.broken or f"pytest ended with status {int(status)} and collected no test"
        return _ended(job, "fault", _fault(why))
    tests: list[Test] = []
    for test_id, claimed in plugin.expected.items():
        record = plugin.records.get(test_id)
        if record is None and job.stop_early and any(t.outcome != "passed" for t in tests):
            break
        if record is None:
            lost = _fault(f"no record of the test {test_id}")
            record = Test(test_id, claimed, "fault", 0.0, lost)
        tests.append(record)
    outcome = worst(test.outcome for test in tests)
    if outcome == "passed" and plugin.seat.asks_again:
        number = seed_for(job.seed, "again", exercise.id)
        if other := again.second_look(plugin.seat.backend, plugin.logs, number, plugin.plays_again):
            name, question, answer = other
            said = plugin.with_call(again.told(question.answer, answer), question)
            tests = [
                replace(test, outcome="failed", failure=said) if test.id == name else test
                for test in tests
            ]
            outcome = "failed"
    if outcome == "error":  # a wrong answer may raise where it is used; what came first tells more
        outcome = next(test.outcome for test in tests if test.outcome in ("error", "failed"))
    mistake = None
    first = explanation.first(tests, outcome, plugin.clues)
    failure = first.failure if first is not None else None
    if first is not None and failure is not None and job.diagnose:
        failure = plugin.explained(first)
        tests[tests.index(first)] = replace(first, failure=failure)
    if job.diagnose and outcome in ("failed", "error") and plugin.suite is not None:
        if job.on_verdict is not None:
            job.on_verdict(replace(_ended(job, outcome, failure), tests=tuple(tests)))
        passed = {test.id for test in tests if test.outcome == "passed"}
        heard = stage.heard(exercise.id) if stage is not None and plugin.script else None
        mistake = diagnose(
            [
                Seen(log, test_id in passed, test_id, test_id in plugin.followed)
                for test_id, log in plugin.logs.items()
            ],
            known_wrongs(plugin.suite),
            functools.partial(_room, job),
            plugin.script,
            heard,
        )
    return replace(_ended(job, outcome, failure), tests=tuple(tests), mistake=mistake)


def _room(job: Job, wrong: KnownWrong | None) -> Room:
    """A room that holds the solution, with a mistake put into it."""
    return variant_room(job.solutions, job.exercise.module, *([wrong] if wrong else []))


def _ended(job: Job, outcome: Outcome, failure: Failure | None) -> Graded:
    exercise = job.exercise
    stands_on = () if job.own else tuple(s.name.replace(".", "/") for s in job.solutions[:-1])
    return Graded(
        id=exercise.id,
        section=exercise.section,
        title=exercise.title,
        file=exercise.file,
        outcome=outcome,
        points=exercise.points if outcome == "passed" else 0,
        points_possible=exercise.points,
        duration_s=0.0,
        isolation=Seat.isolation,
        failure=failure,
        stands_on=stands_on,
    )


class _Hooks:
    """pytest's side: it hands on to the grading that is under way."""

    def __init__(self, now: _Plugin | None = None):
        self.now = now
        self.broken = ""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken = str(report.longrepr)
            if self.now is not None:
                self.now.broken = self.broken

    def pytest_internalerror(self, excrepr: object) -> None:
        if self.now is not None:
            self.now.broken = str(excrepr)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self.now is not None:
            items.sort(key=self.now.place)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if self.now is not None:
            self.now.collected(session.items)

    @pytest.fixture
    def student(self, request: pytest.FixtureRequest) -> Student:
        assert self.now is not None
        return self.now.student(request.node.name)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        assert self.now is not None
        self.now.begin(item)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        with _alarm(SUITE_SECONDS):
            return (yield)

    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> pytest.TestReport:
        assert self.now is not None
        return self.now.report(item, call)


class _Plugin:
    """One grading: the learner's code is asked, and every test gets a record."""

    def __init__(self, job: Job, seat: Seat, blank: tuple[str, ...], script: Script | None = None):
        self.job = job
        self.seat = seat
        self.blank = blank
        self.script = script
        self.expected: dict[str, Text] = {}
        self.records: dict[str, Test] = {}
        self.logs: dict[str, list[Asked]] = {}
        self.followed: set[str] = set()  # the tests that went as in the script
        self.resumed: rehearsal.Resumed | None = None
        self.clues: dict[str, explanation.Clue] = {}
        self.places: dict[str, int] = {}
        self.cases: dict[str, str] = {}
        self.origins = 0
        self.suite: ModuleType | None = None
        self.broken = ""

    def place(self, item: pytest.Item) -> int:
        """Where the job wants a test: among the first, or behind them all."""
        first = self.job.first
        return first.index(item.name) if item.name in first else len(first)

    def collected(self, items: Sequence[pytest.Item]) -> None:
        """Take note of the tests that there are."""
        for item in items:
            assert isinstance(item, pytest.Function)
            self.expected[item.name] = claim(item.function)
            self.suite = item.module
            self.places.setdefault(item.function.__name__, len(self.places))
            if (drawn := getattr(item, "callspec", None)) is not None:
                self.cases[item.name] = show.case(drawn.params)

    def follows(self, item: pytest.Function) -> bool:
        """Ask what a test asks; whether all answers are those that it passes on.

        Where they are not, the test itself is run, and takes the answers that have come already.
        """
        self.resumed = None
        lines = scene.lines if (scene := self.scene(item.name)) is not None else ()
        if not lines:
            return False
        started = time.perf_counter()
        try:
            self.seat.refresh()
        except (StudentFailure, NurseryError):
            return False  # what is wrong is found once more by the test itself
        if self.seat.output is not None:
            self.seat.output.begin()
        came = rehearsal.follow(lines, self.seat.backend)
        if len(came) == len(lines) and came[-1].agrees:
            self.note_followed(item, lines, started)
            return True
        self.resumed = rehearsal.Resumed(self.seat.backend, came)
        return False

    def plays(self, item: pytest.Function) -> bool:
        """Ask at once all that a test asks; whether all answers are those that it passes on."""
        scene = self.scene(item.name)
        if scene is None or not scene.lines:
            return False
        started = time.perf_counter()
        assert self.seat.output is not None
        self.seat.output.begin()
        if scene.agrees(self.seat.backend):
            self.note_followed(item, scene.lines, started)
            return True
        return False

    def scene(self, test: str) -> Scene | None:
        """What a test asks of the solution, if that was rehearsed."""
        return self.script.tests.get(test) if self.script is not None else None

    def note_followed(self, item: pytest.Function, lines: Iterable[Line], started: float) -> None:
        self.logs[item.name] = [line.asked for line in lines]
        self.followed.add(item.name)
        self.note(item, "passed", None, time.perf_counter() - started)

    def plays_again(self, test: str) -> bool:
        """Whether a test that went as in the script, asked once more, does so again."""
        scene = self.scene(test)
        if scene is None or test not in self.followed:
            return False
        return scene.agrees(self.seat.backend)

    @property
    def strayed(self) -> bool:
        """Whether the test that was run did not ask what it asked in the script."""
        return self.resumed is not None and self.resumed.strayed

    def student(self, test: str) -> Student:
        """The learner's code, as a test sees it."""
        backend: Backend | rehearsal.Resumed | None = self.resumed
        if backend is None:
            self.seat.refresh()
            backend = self.seat.backend
        student = Student(backend, names_of(self.job.exercise), self.job.exercise.file)
        self.logs[test] = student._log
        student.seed(seed_for(self.job.seed, "room", test))
        return student

    def begin(self, item: pytest.Item) -> None:
        """A test begins: its inputs are drawn from the seed, and it is heard what it prints."""
        seed(seed_for(self.job.seed, "inputs", item.name))
        if self.seat.output is not None and self.resumed is None:
            self.seat.output.begin()

    def report(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        """Keep the record, and spare pytest the work of putting a traceback into words."""
        assert isinstance(item, pytest.Function)
        assert call.when != "collect"
        if call.excinfo is not None:
            outcome, failure = self.explain(item, call.excinfo.value)
            self.note(item, outcome, failure, call.duration)
        elif call.when == "call" and item.name not in self.records:
            self.note(item, "passed", None, call.duration)
        ended: Literal["passed", "failed"] = "failed" if call.excinfo is not None else "passed"
        return pytest.TestReport(item.nodeid, item.location, {}, ended, None, call.when)

    def note(
        self, item: pytest.Function, outcome: Outcome, failure: Failure | None, took: float
    ) -> None:
        self.records[item.name] = Test(
            item.name,
            self.expected[item.name],
            outcome,
            round(took, 4),
            failure,
            self.cases.get(item.name),
            self.printed() if outcome != "passed" else None,
        )

    def printed(self) -> Printed | None:
        """What the learner's code has written in the test that is running."""
        output = self.seat.output
        if output is None or not output.recent:
            return None
        said = output.recent.decode("utf-8", "replace")
        text = _own_lines(said, self.job.files)
        return Printed(text, output.recent_dropped if text == said else 0)

    def explain(self, item: pytest.Function, error: BaseException) -> tuple[Outcome, Failure]:
        student = item.funcargs.get("student") if hasattr(item, "funcargs") else None
        log = student._log if isinstance(student, Student) else []
        if isinstance(error, CheckFailed):
            asked = _about(log, error.got)
            self.note_clue(item, asked, error.compared)
            failure = self.with_call(error.failure, asked)
            if asked is not None and isinstance(student, Student):
                failure = self.traced(failure, student, asked, error.compared)
            return "failed", failure
        if isinstance(error, StudentFailure):
            asked = log[-1] if log else None
            self.note_clue(item, asked, None)
            outcome, failure = _told(error, self.job.exercise, self.job, self.blank)
            return outcome, self.with_call(failure, asked)
        if isinstance(error, AssertionError):
            said = str(error) or "an assertion of the suite does not hold"
            return "failed", self.with_call(Failure("claim", Text(said, said)), _about(log, None))
        if isinstance(student, Student) and self.reference_passes(item):
            asked = _about(log, None)
            came = show.value(asked.answer) if asked is not None else None
            failure = Failure(
                kind="type",
                message=Text(
                    en=f"The answer cannot be used as the right one can ({_brief(error)}).",
                    zh=f"这个答案无法像正确答案那样使用（{_brief(error)}）。",
                ),
                got=came,
            )
            return "failed", self.with_call(failure, asked)
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        return "fault", _fault("".join(lines)[-3000:])

    def with_call(self, failure: Failure, asked: Asked | None) -> Failure:
        """The failure with the call that led to it."""
        if asked is None or asked.op == "seed":
            return failure
        said = show.call(asked)
        return replace(
            failure,
            call=said.en,
            call_zh=said.zh if said.zh != said.en else None,
            arguments=show.arguments(
                asked,
                show.signatures(self.solution),
                failure.worst,
                failure.expected.shape if failure.expected is not None else None,
            ),
        )

    @property
    def solution(self) -> str:
        code = self.job.solutions[-1].code
        return code if isinstance(code, str) else ""

    def note_clue(
        self, item: pytest.Function, asked: Asked | None, compared: Compared | None
    ) -> None:
        place = self.places[item.function.__name__]
        self.clues[item.name] = explanation.Clue(asked, compared, place)

    def traced(
        self, failure: Failure, student: Student, asked: Asked, compared: Compared | None
    ) -> Failure:
        """The failure with where its first NaN came from, if one is in it that should not be."""
        if compared is None or not self.job.diagnose or self.origins >= ORIGINS:
            return failure
        wanted = compared.made_up()
        if wanted is None or asked.op not in ("call", "probe"):
            return failure
        self.origins += 1
        return replace(failure, origin=origin(student, asked, wanted))

    def explained(self, test: Test) -> Failure:
        """The failure of a test with all that can be found out about it."""
        assert test.failure is not None
        clue = self.clues.get(test.id)
        if clue is None:
            return test.failure
        return explanation.explain(test.failure, clue, self.solution)

    def reference_passes(self, item: pytest.Function) -> bool:
        """Whether the suite's own test holds on the solution; if so, the answer was at fault."""
        exercise = self.job.exercise
        try:
            room = local_room(self.job.solutions, exercise.module)
            student = Student(LocalBackend(room), names_of(exercise), exercise.file)
            names = inspect.signature(item.function).parameters
            given = {name: item.funcargs[name] for name in names} | {"student": student}
            seed(seed_for(self.job.seed, "inputs", item.name))
            with _alarm(SUITE_SECONDS):
                item.function(**given)
        except Exception:
            return False
        return True


# ---- small parts


@functools.cache  # for each grading anew it takes longer than all else that is noted of a test
def claim(function: Callable[..., Any]) -> Text:
    """What a test claims: its docstring, English first and Chinese after."""
    fallback = function.__name__.removeprefix("test_").replace("_", " ")
    return show.spoken(function.__doc__ or "") or Text(fallback, fallback)


@contextmanager
def _kept_as_it_was() -> Iterator[None]:
    """Leave the process's random numbers and import path as they were."""
    state, path = chance(), sys.path[:]
    try:
        yield
    finally:
        set_chance(state)
        sys.path[:] = path


class _TooLong(Exception):
    """A test takes too long in the judge itself."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise _TooLong(f"the test was still at work after {seconds:g} s")

    try:
        before = signal.signal(signal.SIGALRM, ring)
    except (ValueError, AttributeError):  # not the main thread, or no such signal
        yield
        return
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _about(log: list[Asked], got: Any) -> Asked | None:
    """The call that an answer came from, or else the last call that was made."""
    calls = [asked for asked in log if asked.op in ("call", "probe")]
    if got is not None:
        for asked in reversed(calls):
            if _holds(asked.answer, got):
                return asked
    return calls[-1] if calls else None


def _holds(answer: Any, part: Any, depth: int = 3) -> bool:
    """Whether something is an answer, or a part of it."""
    if answer is part:
        return True
    if depth == 0 or not isinstance(answer, list | tuple | dict):
        return False
    parts = answer.values() if isinstance(answer, dict) else answer
    return any(_holds(one, part, depth - 1) for one in parts)


def _own_lines(printed: str, files: Iterable[str]) -> str:
    """What was printed; in what the interpreter says of its crash, only the learner's own lines."""
    own = tuple(f'  File "{file}"' for file in files)
    kept, in_crash, aborted, again = [], False, False, False
    for line in printed.splitlines(keepends=True):
        if line.startswith(FATAL):
            # The first process of a PID namespace that aborts ends in a fault, and says so as well.
            again = aborted and line.startswith(f"{FATAL}Segmentation fault")
            in_crash, aborted = True, line.startswith(ABORTED)
            if again:
                continue
        elif in_crash and (again or not line.startswith(own)):
            if not line.strip() or line.startswith(_OF_A_CRASH):
                continue
            in_crash = again = aborted = False
        kept.append(line)
    return "".join(kept)


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]


def _told(
    failure: StudentFailure, exercise: Exercise, job: Job, blank: tuple[str, ...] = ()
) -> tuple[Outcome, Failure]:
    """What ended a call to the learner's code, in words."""
    file = exercise.file
    if isinstance(failure, TimedOut):
        return "timeout", Failure(
            "timeout",
            Text(
                en=f"{file} was still running after {job.time_s:g} s. Does a loop never end?",
                zh=f"{file} 运行 {job.time_s:g} 秒后仍未结束。是否有死循环？",
            ),
        )
    if isinstance(failure, OutOfMemory):
        limit = job.limits.memory_bytes >> 20
        return "memory", Failure(
            "memory",
            Text(
                en=f"{file} asked for more than the {limit} MiB of memory that it may use.",
                zh=f"{file} 申请的内存超过了 {limit} MiB 的上限。",
            ),
        )
    if isinstance(failure, Died):
        kind = "crash" if failure.signal else "exit"
        done = ("crashed", "使解释器崩溃") if failure.signal else ("ended", "结束了解释器")
        return "error", Failure(
            kind,
            Text(
                en=f"{file} {done[0]} the Python interpreter in the middle of a call ({failure}).",
                zh=f"{file} 在调用过程中{done[1]}（{failure}）。",
            ),
        )
    if isinstance(failure, BadAnswer):
        return "blocked", Failure(
            "blocked",
            Text(
                en=f"{file} wrote to the grader's own line; such an answer does not count.",
                zh=f"{file} 向评测器自己的通道写入了内容；这样的回答不算数。",
            ),
        )
    assert isinstance(failure, Raised)
    return _told_exception(failure, exercise, blank)


def _told_exception(
    error: Raised, exercise: Exercise, blank: tuple[str, ...]
) -> tuple[Outcome, Failure]:
    file = exercise.file
    at = at_zh = ""
    if error.frames:
        last = error.frames[-1]
        other, other_zh = (f"{last.file}, ", f"{last.file} ") if last.file != file else ("", "")
        at, at_zh = f" ({other}line {last.line})", f"（{other_zh}第 {last.line} 行）"
    message = error.message.strip().removesuffix(".")
    said = f"{error.type}: {message}" if message else error.type
    kind, outcome = "exception", "error"
    en, zh = f"{file} raised {said}{at}", f"{file} 抛出了 {said}{at_zh}"
    if error.is_a("Blocked"):
        kind, outcome, en, zh = "blocked", "blocked", message, message
    elif error.is_a("SyntaxError"):
        kind = "syntax"
        where = error.frames[-1] if error.frames else None
        place = f"{where.file}:{where.line}" if where else file
        en = f"{place}: {error.type}: {message}; Python cannot read the file"
        zh = f"{place}：{error.type}: {message}；Python 无法读取该文件"
    elif error.is_a("NotImplementedError"):
        kind, outcome = "unwritten", "failed"
        names = ", ".join(blank) or (error.frames[-1].function if error.frames else file)
        en = f"{names} still raises NotImplementedError: it is not written yet"
        zh = f"{names} 仍抛出 NotImplementedError：还没有写完"
    elif not error.frames and "does not require grad" in message:  # backward() of the suite's own
        kind, outcome = "gradient", "failed"
        en = "No gradient flows back: the answer is cut off from the graph. Look for detach(), "
        en += ".data, .item() or no_grad() on the way to it"
        zh = (
            "梯度传不回去：答案与计算图断开了。看看中途有没有 detach()、.data、.item() 或 no_grad()"
        )
    elif error.is_a("SystemExit"):
        kind = "exit"
        en = f"{file} calls sys.exit(){at}; a file that others import must not end the program"
        zh = f"{file} 调用了 sys.exit(){at_zh}；供人导入的文件不应结束程序"
    failure = Failure(kind, Text(f"{en}.", f"{zh}。"), frames=error.frames)
    return outcome, failure  # type: ignore[return-value]


def _no_file(exercise: Exercise) -> Failure:
    return Failure(
        "missing",
        Text(
            en=f"{exercise.file} is not in the workspace; `happyllm-grade init .` puts it back.",
            zh=f"工作区里没有 {exercise.file}；`happyllm-grade init .` 会放回题目文件。",
        ),
    )


def _no_name(exercise: Exercise, names: list[str]) -> Failure:
    listed = ", ".join(names)
    return Failure(
        "missing",
        Text(
            en=f"{exercise.file} no longer defines {listed}; write it again at the top level, "
            "with the name and arguments of the stub.",
            zh=f"{exercise.file} 里已没有定义 {listed}；请在顶层用题目原来的名字和参数重新写上。",
        ),
    )


def _fault(why: str) -> Failure:
    return Failure(
        "fault",
        Text(
            en=f"The grader itself failed, which says nothing of your answer: {why}",
            zh=f"评测器自身出错，与你的答案无关：{why}",
        ),
    )
