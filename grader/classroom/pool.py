"""Many submissions graded at once: some threads, one fork server, a judge that is kept warm.

A grading is a fork of the warm judge, so nothing is left of one for the next. The judge is renewed
after some gradings, and what died is replaced: a fault of the grader is tried once more, and what
fails again is marked as a fault.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import socket
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from grader import catalogue, engine
from grader.catalogue import Exercise, Text
from grader.report import Graded
from grader.sandbox.backends import Backend, open_nursery
from grader.sandbox.bench import Bench, Borrowed, SpawnedBench, open_bench
from grader.sandbox.isolation import STRENGTHS, Isolation
from grader.sandbox.nursery import Nursery, NurseryError, ScratchError
from grader.sandbox.spawned import PipeConnection, Spawner
from grader.sandbox.wire import WireError

from .problems import ClassroomError

RENEW_AFTER: Final = 200  # gradings, and then the warm judge is made anew
TRIALS: Final = 2  # of what the grader itself fails on

Load = Callable[[], Mapping[str, str]]


@dataclass(frozen=True)
class Task:
    """One submission, and what is to be graded of it.

    Attributes:
        name: which it is, for whoever asked.
        load: gives its files, when its turn has come.
        policy: how it is graded.
    """

    name: int
    load: Load
    exercises: tuple[Exercise, ...]
    policy: engine.Policy


@dataclass(frozen=True)
class Began:
    """The grading of a submission has begun."""

    task: Task


@dataclass(frozen=True)
class Verdict:
    """One exercise of a submission has been graded."""

    task: Task
    graded: Graded


@dataclass(frozen=True)
class Finished:
    """All of a submission has been graded."""

    task: Task


Event = Began | Verdict | Finished


class Graders(Protocol):
    """What grades tasks: the pool of this machine, or a cluster."""

    def isolation(self, policy: engine.Policy) -> Isolation: ...

    def grade(self, tasks: Iterable[Task]) -> Generator[Event, None, None]: ...

    def close(self) -> None: ...


class Pool:
    """Grades tasks, several at a time. Use it as a context manager."""

    def __init__(
        self,
        exercises: Sequence[Exercise],
        jobs: int,
        *,
        seed: int | None = None,
        backend: Backend | None = None,
        renew_after: int = RENEW_AFTER,
    ):
        """Start the fork server and the judge; they warm up while the caller goes on.

        Args:
            exercises: all that will be graded.
            jobs: how many submissions at a time.
            seed: that of most tasks; the judge plays the suites on the solutions under it.
            backend: fork processes or spawn them; none takes what suits the system.
            renew_after: gradings until the warm judge is made anew.

        Raises:
            engine.EngineFault: the fork server cannot be started.
            ScratchError: there is no room for its scratch folder.
        """
        self.jobs = jobs
        self._source = _Source(tuple(exercises), seed, backend, renew_after)
        self._todo: queue.SimpleQueue[tuple[Task, Mapping[str, str]] | None] = queue.SimpleQueue()
        self._told: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
        self._lines = [_Line() for _ in range(jobs)]
        self._threads = [
            threading.Thread(target=self._work, args=(line,), daemon=True) for line in self._lines
        ]
        self._stopped = threading.Event()
        for thread in self._threads:
            thread.start()

    def isolation(self, policy: engine.Policy) -> Isolation:
        """The isolation that code will be graded under.

        Raises:
            ClassroomError: this machine gives none that the policy allows.
            engine.EngineFault: the fork server does not answer.
        """
        offers = self._source.offers()
        given = [one for one in STRENGTHS if not offers.get(one, "not here")]
        for one in given:
            if policy.limits.allows(one):
                return one
        wanted = policy.limits.isolation or policy.limits.weakest
        best = given[0] if given else "process"
        why = "; ".join(dict.fromkeys(said for said in offers.values() if said))[:300]
        raise ClassroomError(
            Text(
                f"this machine isolates submissions by '{best}' alone, and the policy demands "
                f"'{wanted}' ({why}). Grade on a machine that does, or allow it: "
                f'[grading] weakest = "{best}".',
                f"本机只能提供 '{best}' 级隔离，而评分规则要求 '{wanted}'（{why}）。"
                f'请换一台机器，或在规则中允许它：[grading] weakest = "{best}"。',
            )
        )

    def grade(self, tasks: Iterable[Task]) -> Generator[Event, None, None]:
        """Grade tasks, and say what happens. Closing the generator leaves the rest ungraded."""
        left, running = iter(tasks), 0
        try:
            while True:
                for task in itertools.islice(left, self.jobs + 1 - running):
                    self._todo.put((task, task.load()))
                    running += 1
                if not running:
                    return
                event = self._told.get()
                if isinstance(event, BaseException):
                    raise event
                running -= isinstance(event, Finished)
                yield event
        finally:
            if running:
                self.close()

    def close(self) -> None:
        """End every thread and process; what is being graded is left."""
        self._stopped.set()
        for _ in self._threads:
            self._todo.put(None)
        for line in self._lines:
            line.cut()
        for thread in self._threads:
            thread.join(timeout=10)
        self._source.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- in a thread

    def _work(self, line: _Line) -> None:
        while (item := self._todo.get()) is not None and not self._stopped.is_set():
            task, files = item
            try:
                self._told.put(Began(task))
                self._grade(task, files, line)
                self._told.put(Finished(task))
            except _Stopped:
                return
            except BaseException as error:
                self._told.put(error)
                return

    def _grade(self, task: Task, files: Mapping[str, str], line: _Line) -> None:
        """Tell every verdict of a task as it comes; what the grader fails on is tried once more."""
        left: Sequence[Exercise] = task.exercises
        for trial in range(1, TRIALS + 1):
            faults = self._try(left, task, files, line)
            if not faults:
                return
            if trial == TRIALS:
                for fault in faults:
                    self._told.put(Verdict(task, fault))
                return
            self._source.renew()
            again = {fault.id for fault in faults}
            left = [exercise for exercise in left if exercise.id in again]

    def _try(
        self, exercises: Sequence[Exercise], task: Task, files: Mapping[str, str], line: _Line
    ) -> list[Graded]:
        """Grade exercises, once, and tell the verdicts.

        Returns:
            the faults, one for each exercise that the grader failed on.
        """
        done: set[str] = set()
        faults: list[Graded] = []

        def tell(graded: Graded) -> None:
            done.add(graded.id)
            if graded.outcome == "fault":
                faults.append(graded)
            else:
                self._told.put(Verdict(task, graded))

        why = "no verdict came"
        patience = 120 + 4 * sum(task.policy.timeout_s or one.time_limit_s for one in exercises)
        try:
            with self._source.judges() as judges, line.to(judges, patience, self._stopped):
                engine.grade(exercises, files, task.policy, nursery=line, on_graded=tell)
        except (NurseryError, ScratchError, WireError, OSError) as error:
            why = str(error) or type(error).__name__
        if self._stopped.is_set():
            raise _Stopped
        left = [exercise for exercise in exercises if exercise.id not in done]
        return [*faults, *(engine.lost(exercise, why) for exercise in left)]


class _Stopped(Exception):
    """The pool is being closed."""


class _Line:
    """A thread's judges, and the connection to the one at work, so that it can be cut."""

    def __init__(self) -> None:
        self._judges: Bench | SpawnedBench | None = None
        self._connection: socket.socket | PipeConnection | Borrowed | None = None
        self._stopped: threading.Event | None = None

    @contextlib.contextmanager
    def to(
        self, judges: Bench | SpawnedBench, patience_s: float, stopped: threading.Event
    ) -> Iterator[None]:
        """Lead to these judges for a while; a judge that does not end is cut off."""
        self._judges, self._stopped = judges, stopped
        timer = threading.Timer(patience_s, self.cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._judges = self._connection = None

    def fork_judge(self, entry: str) -> Any:
        """A judge of the bench.

        Raises:
            NurseryError: there is none, or the pool is being closed.
        """
        assert self._judges is not None
        connection = self._judges.fork_judge(entry)
        self._connection = connection
        if self._stopped is not None and self._stopped.is_set():
            self.cut()
        return connection

    def last_words(self) -> str:
        """What the server wrote on standard error, for a fault report."""
        return self._judges.last_words() if self._judges is not None else ""

    def cut(self) -> None:
        """Hang up, whatever the judge is doing; it ends, and its workers with it."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Source:
    """Where judges come from: a fork server, and a judge that is kept warm on it."""

    def __init__(
        self,
        exercises: tuple[Exercise, ...],
        seed: int | None,
        backend: Backend | None,
        renew_after: int,
    ):
        self._exercises = exercises
        self._seed = seed
        self._backend = backend
        self._renew_after = renew_after
        self._lock = threading.Lock()
        self._nursery = self._open()
        self._benches: list[_Shared] = []
        self._closed = False

    def _open(self) -> Nursery | Spawner:
        try:
            return open_nursery(engine.preloads(self._exercises), self._backend, many=True)
        except NurseryError as error:
            raise engine.EngineFault(str(error)) from error

    def offers(self) -> Mapping[Isolation, str]:
        """What this machine gives, and why not more."""
        try:
            return self._nursery.offers()
        except NurseryError as error:
            raise engine.EngineFault(str(error)) from error

    @contextlib.contextmanager
    def judges(self) -> Iterator[Bench | SpawnedBench]:
        """A warm judge; a forked one serves all threads, a spawned one a single thread."""
        with self._lock:
            one = self._ready()
            one.users += 1
            one.left -= 1
        try:
            yield one.bench
        finally:
            with self._lock:
                one.users -= 1
                self._sweep()

    def _ready(self) -> _Shared:
        shared = isinstance(self._nursery, Nursery)
        for one in self._benches:
            if one.left > 0 and one.bench.alive and (shared or not one.users):
                return one
        if self._closed:
            raise NurseryError("the pool is closed")
        if isinstance(self._nursery, Nursery) and not self._nursery.alive:
            self._nursery.close()
            self._nursery = self._open()
        order = {
            "suites": str(catalogue.SUITES),
            "exercises": [exercise.id for exercise in self._exercises],
            "seed": self._seed,
            "many": True,
        }
        one = _Shared(open_bench(self._nursery, order), self._renew_after)
        self._benches.append(one)
        return one

    def renew(self) -> None:
        """Use the judges that there are no more; the next gets a new one."""
        with self._lock:
            for one in self._benches:
                one.left = 0
            self._sweep()

    def _sweep(self) -> None:
        for one in [b for b in self._benches if not b.users and (b.left <= 0 or not b.bench.alive)]:
            self._benches.remove(one)
            one.bench.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for one in self._benches:
                one.bench.close()
            self._benches.clear()
            self._nursery.close()


@dataclass
class _Shared:
    """A judge that is kept warm: how many use it, and how many gradings it has left."""

    bench: Bench | SpawnedBench
    left: int
    users: int = 0
