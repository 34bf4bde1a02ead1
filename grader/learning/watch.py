"""The loop of `happyllm-grade watch`: what is saved is graded, what is pressed is answered.

It knows no terminal. Keys and resizes are handed in, what happens comes out as events; files are
watched, and graded on a thread of their own, so that keys are answered meanwhile. Of several
gradings the newest wins: an outdated one is killed, and nothing that it still says is heard.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from grader import catalogue, engine
from grader.catalogue import Exercise, Text
from grader.report import Graded, Outcome, Report
from grader.sandbox.backends import Backend, open_nursery
from grader.sandbox.bench import Bench, Borrowed, SpawnedBench, open_bench
from grader.sandbox.nursery import Nursery, NurseryError, ScratchError
from grader.sandbox.spawned import Spawner

from . import hints
from .hints import Rung
from .progress import Progress
from .workspace import Workspace, WorkspaceError

KEYS = ("h", "n", "l", "a", "o", "r", "m", "?", "q")
GRACE_S = 0.15  # a file that is gone may be about to come back: some editors save so
STEP_MS, DEBOUNCE_MS = 10, 200  # how often to look for what was saved, and how long to wait at most
SEEN_AGAIN_S = 0.5  # how often to look for a folder that is gone

Cause = Literal["start", "save", "key", "next"]
Stamp = tuple[int, int, int]


# ---- what happens


@dataclass(frozen=True)
class Warming:
    """The fork server and the judge are being started, which takes seconds; a save can wait."""


@dataclass(frozen=True)
class Began:
    """The grading of an exercise has begun.

    Attributes:
        goes_on: it follows another that has passed.
    """

    exercise: Exercise
    cause: Cause
    goes_on: bool = False


@dataclass(frozen=True)
class Verdict:
    """An exercise has been graded.

    Attributes:
        report: the grading's; none where the mistake is still without its name, and with it the
            verdict comes again.
        focus: it is the one to look at now.
    """

    exercise: Exercise
    graded: Graded
    report: Report | None
    focus: bool


@dataclass(frozen=True)
class Shown:
    """Another exercise is in focus; `graded` is what was last found, if anything was."""

    exercise: Exercise
    graded: Graded | None


@dataclass(frozen=True)
class AllGraded:
    """All was graded, because somebody asked for it."""

    graded: tuple[Graded, ...]


@dataclass(frozen=True)
class Solved:
    """Everything that is watched has passed."""

    exercises: tuple[Exercise, ...]


@dataclass(frozen=True)
class Hint:
    """A hint that was asked for; none where there is none to the exercise."""

    exercise: Exercise
    rung: Rung | None


@dataclass(frozen=True)
class Entry:
    """One line of the list; no outcome where it was not graded yet."""

    exercise: Exercise
    outcome: Outcome | None
    focus: bool


@dataclass(frozen=True)
class Listing:
    """The exercises that are watched."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Page:
    """The page of an exercise was asked for; `said` is what came of it."""

    exercise: Exercise
    said: Text


@dataclass(frozen=True)
class Trouble:
    """Something is in the way of grading. The loop goes on: the next save tries again."""

    text: Text


@dataclass(frozen=True)
class Asked:
    """Something that concerns only how things are shown."""

    what: Literal["help", "more", "back", "resize"]


Event = (
    Warming | Began | Verdict | Shown | AllGraded | Solved | Hint | Listing | Page | Trouble | Asked
)  # what `Watch.events` yields


# ---- the loop


@dataclass(frozen=True)
class _Job:
    """Exercises to grade in order. A chain ends at the first that does not pass."""

    number: int
    exercises: tuple[Exercise, ...]
    cause: Cause
    chain: bool


@dataclass(frozen=True)
class _Told:
    """What the grading thread says, and of which job."""

    number: int
    what: Literal["warming", "began", "verdict", "graded", "trouble", "ended"]
    exercise: Exercise | None = None
    graded: Graded | None = None
    report: Report | None = None
    sources: Mapping[str, str] | None = None
    text: Text | None = None


@dataclass(frozen=True)
class _Saved:
    paths: frozenset[Path]
    perhaps_all: bool = False  # changes may have gone unseen


@dataclass(frozen=True)
class _Key:
    key: str


class Watch:
    """Watches some exercises of a workspace.

    `events()` runs it, in one thread; `press`, `resize` and `stop` may be called from any other.
    """

    def __init__(
        self,
        place: Workspace,
        exercises: Sequence[Exercise],
        policy: engine.Policy | None = None,
        *,
        progress: Progress | None = None,
        open_page: Callable[[Exercise], Text] | None = None,
    ):
        self.place = place
        self.exercises = tuple(exercises)
        self.policy = policy if policy is not None else engine.Policy()
        self.progress = progress if progress is not None else Progress.of(place)
        self.open_page = open_page or _no_page
        self.found: dict[str, Graded] = {}
        self.focus = self.exercises[0]
        self._inputs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._job: _Job | None = None
        self._failed: list[Exercise] = []  # in the job that runs, in order
        self._stamps: dict[str, Stamp | None] = {}
        self._pending: set[str] = set()
        self._due: float | None = None
        self._shown: dict[str, list[int]] = {}  # hints, also where progress keeps nothing
        self._over = False
        self._eyes = _Eyes(place.root, self._folders(), self._inputs.put)
        self._grader = _Grader(place, self.exercises, self.policy, self._inputs.put)

    # ---- what comes in

    def press(self, key: str) -> None:
        """A key was pressed."""
        self._inputs.put(_Key(key))

    def saved(self, *paths: Path) -> None:
        """Files have changed; the loop's own eyes say so too."""
        self._inputs.put(_Saved(frozenset(paths)))

    def resize(self) -> None:
        """The terminal has another size."""
        self._inputs.put(_Key("resize"))

    def tell(self, event: Event) -> None:
        """Have an event of the terminal's own told in its turn."""
        self._inputs.put(event)

    def stop(self) -> None:
        """End the loop."""
        self._inputs.put(_Key("q"))

    # ---- what comes out

    def events(self) -> Generator[Event, None, None]:
        """Run until `q` or `stop`, and say what happens. Closing it ends every process."""
        try:
            self._eyes.start()
            self._grader.start()
            self._begin(self.exercises, "start", chain=True)
            while not self._over:
                item = self._next()
                if item is None:
                    self._grade_pending()
                elif isinstance(item, _Told):
                    if self._job is not None and item.number == self._job.number:
                        yield from self._told(item)
                elif isinstance(item, _Saved):
                    every = [self.place.root / exercise.file for exercise in self.exercises]
                    self._saved([*item.paths, *(every if item.perhaps_all else ())])
                elif isinstance(item, _Key):
                    yield from self._pressed(item.key)
                else:
                    yield item
        finally:
            self.close()

    def close(self) -> None:
        """End every thread and process."""
        self._eyes.close()
        self._grader.close()

    def _next(self) -> Any:
        """The next input; none when a file that was gone has had its time to come back."""
        while True:
            wait = None if self._due is None else max(0.0, self._due - time.monotonic())
            if sys.platform == "win32":  # where a wait without end is not ended by Ctrl-C
                wait = 0.2 if wait is None else min(wait, 0.2)
            try:
                return self._inputs.get(timeout=wait)
            except queue.Empty:
                if self._due is not None and time.monotonic() >= self._due:
                    return None

    # ---- saves

    def _folders(self) -> tuple[str, ...]:
        chapters = {exercise.chapter for exercise in self.exercises}
        chapters |= {one.split("/")[0] for e in self.exercises for one in e.requires}
        return tuple(sorted(chapters))

    def _saved(self, paths: Iterable[Path]) -> None:
        folders = self._folders()
        changed = False
        for path in paths:
            if path.suffix != ".py" or path.parent.name not in folders:
                continue
            name = f"{path.parent.name}/{path.name}"
            stamp = _stamp(self.place.root / name)
            if name in self._stamps and self._stamps[name] == stamp:
                continue  # a mode was changed, or the same save is told twice
            self._stamps[name] = stamp
            self._pending.add(name)
            changed = True
        if not changed:
            return
        if any(self._stamps[name] is None for name in self._pending):
            self._due = time.monotonic() + GRACE_S
        else:
            self._grade_pending()

    def _grade_pending(self) -> None:
        """Grade what was saved; a file of no exercise may belong to the one in focus."""
        names, self._pending, self._due = self._pending, set(), None
        files = {exercise.file for exercise in self.exercises}
        chosen = [exercise for exercise in self.exercises if exercise.file in names]
        others = {name for name in names - files if self._concerns(name)}
        if not chosen and others:
            chosen = [self.focus]
        if chosen:
            self._begin(chosen, "save", chain=False)

    def _concerns(self, name: str) -> bool:
        """Whether a file that is not watched itself may change the verdict of the one in focus."""
        required = {f"{one}.py" for one in self.focus.requires}
        is_exercise = name in required or f"{name.removesuffix('.py')}" in self._known()
        return (self.policy.own and name in required) or not is_exercise

    def _known(self) -> set[str]:
        return {exercise.id for exercise in catalogue.load()}

    # ---- gradings

    def _begin(self, exercises: Iterable[Exercise], cause: Cause, *, chain: bool) -> None:
        chosen = tuple(exercises)
        for exercise in chosen:
            self._stamps[exercise.file] = _stamp(self.place.root / exercise.file)
        self._job = _Job(next(self._numbers), chosen, cause, chain)
        self._failed = []
        self._grader.submit(self._job)

    def _told(self, told: _Told) -> Iterator[Event]:
        job = self._job
        assert job is not None
        if told.what == "trouble":
            assert told.text is not None
            self._job = None
            yield Trouble(told.text)
        elif told.what == "warming":
            yield Warming()
        elif told.what == "ended":
            yield from self._ended(job)
        elif told.exercise is not None and told.what == "began":
            goes_on = job.cause == "next" or told.exercise is not job.exercises[0]
            yield Began(told.exercise, job.cause, goes_on)
        elif told.exercise is not None and told.graded is not None:
            yield from self._judged(job, told, told.exercise, told.graded)

    def _judged(
        self, job: _Job, told: _Told, exercise: Exercise, graded: Graded
    ) -> Iterator[Event]:
        self.found[exercise.id] = graded
        if graded.outcome != "passed" and exercise not in self._failed:
            self._failed.append(exercise)
        first = bool(self._failed) and self._failed[0] is exercise
        if first:
            self.focus = exercise
        # What fails on the learner's own files may be the fault of another of them.
        if told.what == "graded" and (not self.policy.own or graded.outcome == "passed"):
            self.progress.record_graded([graded], told.sources)
        yield Verdict(exercise, graded, told.report, first)

    def _ended(self, job: _Job) -> Iterator[Event]:
        self._job = None
        if len(job.exercises) > 1 and not job.chain and job.cause == "key":
            yield AllGraded(tuple(self.found[e.id] for e in self.exercises if e.id in self.found))
        if self._failed:
            return
        last = job.exercises[-1] if not job.chain else self.focus
        left = self._unsolved(after=last)
        if left:
            self._begin(left, "next", chain=True)
        else:
            yield Solved(self.exercises)

    def _unsolved(self, after: Exercise) -> list[Exercise]:
        """What has not passed, in order, beginning behind one exercise."""
        at = self.exercises.index(after) + 1 if after in self.exercises else 0
        around = [*self.exercises[at:], *self.exercises[:at]]
        return [e for e in around if e.id not in self.found or not self._has_passed(e)]

    def _has_passed(self, exercise: Exercise) -> bool:
        return exercise.id in self.found and self.found[exercise.id].outcome == "passed"

    # ---- keys

    def _pressed(self, key: str) -> Iterator[Event]:
        if key == "q":
            self._over = True
        elif key == "h":
            yield self._hint()
        elif key == "n":
            yield from self._move_on()
        elif key == "l":
            yield Listing(
                tuple(
                    Entry(one, found.outcome if found else None, one is self.focus)
                    for one in self.exercises
                    for found in (self.found.get(one.id),)
                )
            )
        elif key == "a":
            self._begin(self.exercises, "key", chain=False)
        elif key == "r":
            self._begin([self.focus], "key", chain=False)
        elif key == "o":
            yield Page(self.focus, self.open_page(self.focus))
        elif key == "resize":
            yield Asked("resize")
        elif key in ("?", "m"):
            yield Asked("help" if key == "?" else "more")
        elif key in ("\x1b", "\r", "\n", " "):
            yield Asked("back")

    def _hint(self) -> Hint:
        """The next rung of the ladder; at the top it stays there."""
        exercise = self.focus
        shown = self._shown.setdefault(exercise.id, [])
        shown += [at for at in self.progress.shown(exercise.id) if at not in shown]
        ladder = hints.ladder(exercise, shown, self.progress.state(exercise))
        had = len({at for at in shown if at < len(ladder)})
        if had < len(ladder):
            self.progress.climb(exercise.id, ladder[had].place)
            shown.append(ladder[had].place)
        return Hint(exercise, ladder[min(had, len(ladder) - 1)] if ladder else None)

    def _move_on(self) -> Iterator[Event]:
        left = [one for one in self._unsolved(after=self.focus) if one is not self.focus]
        if not left:
            yield Shown(self.focus, self.found.get(self.focus.id))
            return
        self.focus = left[0]
        if self.focus.id in self.found:
            yield Shown(self.focus, self.found[self.focus.id])
        else:
            self._begin([self.focus], "key", chain=False)


def _stamp(path: Path) -> Stamp | None:
    """What changes when a file is saved; none where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _no_page(exercise: Exercise) -> Text:
    return Text(f"Section {exercise.section} of the book.", f"见书中 {exercise.section} 节。")


# ---- the eyes


class _Eyes:
    """Sees what is saved in some folders of a workspace, and says it; on a thread of its own."""

    def __init__(self, root: Path, folders: Sequence[str], tell: Callable[[Any], None]):
        self.root = root
        self.folders = folders
        self.tell = tell
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="eyes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        gone = False
        polls = False
        while not self._over.is_set():
            try:
                if gone:
                    self._over.wait(SEEN_AGAIN_S)
                self._look(polls, all_of_it=gone)
                gone = False
            except FileNotFoundError:
                if not gone:
                    gone = True
                    self.tell(
                        Trouble(
                            Text(
                                f"{self.root}: is gone; put it back, and the watch goes on.",
                                f"{self.root}：文件夹不见了；放回之后会继续监视。",
                            )
                        )
                    )
            except OSError:  # the system watches no more files
                polls = True

    def _look(self, polls: bool, *, all_of_it: bool) -> None:
        """Watch until a folder comes or goes.

        Raises:
            FileNotFoundError: there is no workspace.
        """
        import watchfiles

        there = [self.root / name for name in self.folders if (self.root / name).is_dir()]
        if not self.root.is_dir():
            raise FileNotFoundError(self.root)
        if all_of_it:
            self._tell_all()
        for changes in watchfiles.watch(
            self.root,
            *there,
            watch_filter=None,
            recursive=False,
            step=STEP_MS,
            debounce=DEBOUNCE_MS,
            rust_timeout=10_000,
            yield_on_timeout=True,
            stop_event=self._over,
            raise_interrupt=False,
            force_polling=polls or None,
        ):
            paths = {Path(path) for _, path in changes}
            if paths:
                self.tell(_Saved(frozenset(paths)))
            now = [self.root / name for name in self.folders if (self.root / name).is_dir()]
            if now != there or any(self.root / name in paths for name in self.folders):
                self._tell_all()
                return
            if not self.root.is_dir():
                raise FileNotFoundError(self.root)

    def _tell_all(self) -> None:
        """Whatever lies in the folders may have changed unseen."""
        found = [path for name in self.folders for path in (self.root / name).glob("*.py")]
        self.tell(_Saved(frozenset(found), perhaps_all=True))


# ---- the grading thread


class _Grader:
    """Grades one job at a time, with a fork server and a judge that stay warm."""

    def __init__(
        self,
        place: Workspace,
        exercises: Sequence[Exercise],
        policy: engine.Policy,
        tell: Callable[[Any], None],
    ):
        self.place = place
        self.policy = policy
        self.tell = tell
        self.judges = _Judges(exercises, policy.backend)
        self._wanted: _Job | None = None
        self._changed = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="grader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, job: _Job) -> None:
        """Have a job graded in place of the one that is."""
        with self._changed:
            self._wanted = job
            self.judges.drop()
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._over = True
            self.judges.drop()
            self._changed.notify()
        self.judges.close()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self.judges.close()  # what it may have started meanwhile

    def _outdated(self, job: _Job) -> bool:
        return self._over or self._wanted is not job

    def _run(self) -> None:
        job: _Job | None = None
        while True:
            with self._changed:
                while not self._over and self._wanted is job:
                    self._changed.wait()
                if self._over:
                    return
                job = self._wanted
                assert job is not None
                self.judges.take_up()
            try:
                trouble = self._grade(job)
            except (WorkspaceError, ScratchError) as error:
                trouble = Text(str(error), str(error))
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
                trouble = Text(
                    f"A fault of the grader, not of your code: {said}",
                    f"评测器自身出错，与你的代码无关：{said}",
                )
            if trouble is not None:
                self.tell(_Told(job.number, "trouble", text=trouble))
            else:
                self.tell(_Told(job.number, "ended"))

    def _grade(self, job: _Job) -> Text | None:
        """Grade a job; what is in the way comes back."""
        if not self.judges.alive():
            self.tell(_Told(job.number, "warming"))
        self.judges.warm()
        for exercise in job.exercises:
            if self._outdated(job):
                return None
            self.tell(_Told(job.number, "began", exercise))
            sources = self.place.sources([exercise])
            report = self._grade_one(job, exercise, sources)
            if report is None:
                return None
            graded = report.exercises[0]
            self.tell(_Told(job.number, "graded", exercise, graded, report, sources))
            if job.chain and graded.outcome != "passed":
                return None
        return None

    def _grade_one(
        self, job: _Job, exercise: Exercise, sources: Mapping[str, str]
    ) -> Report | None:
        """Grade one exercise; when the grader itself fails, once more with a new fork server."""

        def early(graded: Graded) -> None:
            self.tell(_Told(job.number, "verdict", exercise, graded))

        report = None
        for attempt in (1, 2):
            fault: NurseryError | None = None
            try:
                report = engine.grade(
                    [exercise], sources, self.policy, nursery=self.judges, on_verdict=early
                )
            except NurseryError as error:
                fault = error
            self.judges.rest()
            if self._outdated(job):
                return None
            failed = fault is not None or (report and report.exercises[0].outcome == "fault")
            if not failed:
                return report
            if attempt == 2 and fault is not None:
                raise fault
            if fault is not None or not self.judges.alive():
                self.judges.close()
            with self._changed:
                if not self._outdated(job):
                    self.judges.take_up()
        return report


class _Judges:
    """Where judges come from: a bench that is there when it is needed, and again after a fault."""

    def __init__(self, exercises: Sequence[Exercise], backend: Backend | None):
        self._exercises = exercises
        self._backend = backend
        self._lock = threading.Lock()
        self._nursery: Nursery | Spawner | None = None
        self._bench: Bench | SpawnedBench | None = None
        self._judge: socket.socket | Borrowed | None = None
        self._dropped = False

    def warm(self) -> Bench | SpawnedBench:
        """Start the fork server and the judge on the bench, where they are not there yet.

        Raises:
            NurseryError: they cannot be started.
            ScratchError: there is no room for the scratch folder.
        """
        with self._lock:
            if self._bench is not None:
                return self._bench
            nursery = open_nursery(engine.preloads(self._exercises), self._backend)
            self._nursery = nursery
        try:
            ids = [exercise.id for exercise in self._exercises]
            order = {"suites": str(catalogue.SUITES), "exercises": ids}
            bench = open_bench(nursery, order)  # it waits for the server; meanwhile: close()
        except NurseryError:
            self.close()
            raise
        with self._lock:
            if self._nursery is nursery:
                self._bench = bench
                return bench
        bench.close()
        raise NurseryError("the fork server was ended while it began")

    def fork_judge(self, entry: str) -> Any:
        judge = self.warm().fork_judge(entry)
        with self._lock:
            self._judge = judge
            if self._dropped:
                _shut(judge)
        return judge

    def alive(self) -> bool:
        """Whether the fork server and the judge on the bench still stand."""
        nursery, bench = self._nursery, self._bench
        return nursery is not None and nursery.alive and bench is not None and bench.alive

    def last_words(self) -> str:
        bench = self._bench
        return bench.last_words() if bench is not None else ""

    def drop(self) -> None:
        """Kill the judge that is at work, and the next one, until `take_up`."""
        with self._lock:
            self._dropped = True
            if self._judge is not None:
                _shut(self._judge)

    def rest(self) -> None:
        """The judge has done its work; there is nothing to kill."""
        with self._lock:
            self._judge = None

    def take_up(self) -> None:
        """Let judges work again."""
        with self._lock:
            self._dropped, self._judge = False, None

    def close(self) -> None:
        """End them all; `warm` starts new ones."""
        with self._lock:
            nursery, bench = self._nursery, self._bench
            self._nursery = self._bench = None
        if bench is not None:
            with contextlib.suppress(OSError):
                bench.close()
        if nursery is not None:
            nursery.close()


def _shut(connection: socket.socket | Borrowed) -> None:
    """Hang up, also for another thread that waits on it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
