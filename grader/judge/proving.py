"""The judge as an author's witness: what a suite makes of solutions, mutants and its own variants.

A process forked from the warm server, like the desk. It carries out one task after another; what
the answers mean is decided by `grader.authoring.soundness`.
"""

from __future__ import annotations

import functools
import gc
import importlib.util
import signal
import sys
import traceback
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from grader.catalogue import Exercise
from grader.report import Graded, build
from grader.sandbox import wire
from grader.sandbox.jail import Limits
from grader.sandbox.modules import Source
from grader.sandbox.spawned import SpawnLease

from . import marks, session
from .job import Job
from .student import AnyLease


def main(connection: wire.Line, lease: AnyLease) -> None:
    """Carry out tasks from `connection` until it closes, and answer each."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()  # what is imported stays; looking through it again and again takes time
    desk = _Desk(connection, lease)
    while desk.task is not None:
        suite = Path(desk.task["suite"])
        if not (suite.is_file() and session.collect(suite, desk.work)):
            desk.carry_out(None)  # which says what is wrong with the suite


class _Desk:
    """One task after another, those of one suite by one collection of it."""

    def __init__(self, connection: wire.Line, lease: AnyLease):
        self.connection = connection
        self.lease = lease
        self.killers = Killers()
        self.task = self.next()

    def next(self) -> Mapping[str, Any] | None:
        """Wait for a task; None when there will be no more."""
        body = wire.receive(self.connection)
        task: Mapping[str, Any] | None = None if body is None else wire.decode(body)
        return task

    def work(self, collected: session.Collected) -> None:
        """Carry out tasks until one comes that is of another suite."""
        while self.task is not None and collected.holds(Path(self.task["suite"])):
            self.carry_out(collected)

    def carry_out(self, collected: session.Collected | None) -> None:
        assert self.task is not None
        if isinstance(self.lease, SpawnLease):
            self.lease.expect(2)  # one for this task, and one for the next
        try:
            reply: dict[str, Any] = {
                "answer": answer(self.task, self.lease, self.killers, collected)
            }
        except Exception:
            reply = {"fault": traceback.format_exc()[-3000:]}
        self.connection.sendall(wire.frame(wire.encode(reply)))
        self.task = self.next()


class Killers:
    """Which tests fail most: begun with, they end most mutants at once."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = defaultdict(Counter)

    def of(self, job: Job) -> tuple[str, ...]:
        return tuple(name for name, _ in self._counts[job.exercise.id].most_common())

    def note(self, job: Job, graded: Graded) -> None:
        first = graded.first_failure
        if first is not None:
            self._counts[job.exercise.id][first.id] += 1


def answer(
    task: Mapping[str, Any],
    lease: AnyLease,
    killers: Killers,
    collected: session.Collected | None = None,
) -> dict[str, Any]:
    """Carry out one task, by the suite as it is collected, or else by a collection of its own.

    `do` is `marks` (what the suite says of itself), `submission` (a text, in the jail) or
    `variants` (the solution with variants of the suite put into it; with none, the solution).
    """
    job = _job(task)
    if task["do"] == "marks":
        return _marks(_suite(job))
    if job.stop_early:
        job = replace(job, first=killers.of(job))
    if task["do"] == "submission":
        graded = session.grade_in_worker(job, lease, collected)
        killers.note(job, graded)
        return _told(graded)
    suite = _suite(job)
    known: dict[str, marks.KnownWrong | marks.AlsoRight] = {}
    known |= {entry.id: entry for entry in marks.known_wrongs(suite)}
    known |= {entry.id: entry for entry in marks.rights(suite)}
    room = marks.variant_room(
        job.solutions, job.exercise.module, *(known[name] for name in task["variants"])
    )
    return _told(session.grade_room(job, room, collected))


def _job(task: Mapping[str, Any]) -> Job:
    exercise: Exercise = build(Exercise, task["exercise"])
    solutions = tuple(Source(*entry) for entry in task["solutions"])
    return Job(
        exercise=exercise,
        files={exercise.file: task.get("text", "")},
        solutions=solutions,
        own=False,
        seed=task["seed"],
        time_s=task["time_s"],
        limits=Limits(),
        output_bytes=2000,
        suite=Path(task["suite"]),
        stop_early=task["stop_early"],
        diagnose=task["diagnose"],
    )


def _suite(job: Job) -> ModuleType:
    path = job.suite or job.exercise.suite
    spec = importlib.util.spec_from_file_location(f"suite_of_{job.exercise.name}", path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    exec(_compiled(path, path.read_bytes()), module.__dict__)
    return module


@functools.lru_cache(maxsize=2)
def _compiled(path: Path, text: bytes) -> CodeType:
    """The suite's code: each variant gets a fresh module, and compiling takes longest of it."""
    return compile(text, path, "exec", dont_inherit=True)


def _marks(suite: ModuleType) -> dict[str, Any]:
    return {
        "wrongs": [
            {"id": one.id, "target": one.target, "en": one.message.en, "zh": one.message.zh}
            for one in marks.known_wrongs(suite)
        ],
        "rights": [{"id": one.id, "target": one.target} for one in marks.rights(suite)],
        "equivalents": [
            {"target": one.target, "was": one.was, "becomes": one.becomes, "because": one.because}
            for one in marks.equivalents(suite)
        ],
    }


def _told(graded: Graded) -> dict[str, Any]:
    """What a proof needs of a grading."""
    first = graded.first_failure
    failure = graded.failure
    return {
        "outcome": graded.outcome,
        "tests": [[test.id, test.claim.en, test.claim.zh] for test in graded.tests],
        "failed": first.id if first is not None else "",
        "why": failure.message.en if failure is not None else "",
        "mistake": graded.mistake.id if graded.mistake is not None else "",
        "certain": graded.mistake is not None and graded.mistake.certain,
        "rivals": list(graded.mistake.rivals) if graded.mistake is not None else [],
        "duration_s": graded.duration_s,
    }
