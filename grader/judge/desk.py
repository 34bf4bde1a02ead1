"""The judge's desk: a process forked from the warm server, which grades what it is handed."""

from __future__ import annotations

import functools
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from grader import catalogue, shelf
from grader.report import Graded, plain
from grader.sandbox import jail, wire
from grader.sandbox.modules import Source
from grader.sandbox.nursery import Lease
from grader.sandbox.spawned import SpawnLease

from .job import Job
from .seats import CommonRooms
from .session import Stage, grade_as_guest, grade_in_process, grade_in_worker
from .student import AnyLease


def main(connection: wire.Line, lease: AnyLease, stage: Stage | None = None) -> None:
    """Grade orders from `connection` until it closes. Each answer is one exercise, then `done`.

    An order that asks for it is told the `verdict` before the mistake has its name. A judge forked
    from the bench finds the suites on a stage.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while (body := wire.receive(connection)) is not None:
        order = wire.decode(body)
        if isinstance(lease, SpawnLease):
            lease.expect(len(order.get("exercises", ("the milestone",))) + bool(order.get("early")))
        try:
            if "milestone" in order:
                _attempt(order, lease, connection)
                continue
            tell = functools.partial(_tell, connection) if order.get("early") else None
            for graded in grade(order, lease, tell, stage):
                _send(connection, {"graded": plain(graded)})
            _send(connection, {"done": True})
        except Exception:
            _send(connection, {"fault": traceback.format_exc()})


def _tell(connection: wire.Line, graded: Graded) -> None:
    _send(connection, {"verdict": plain(graded)})


def grade(
    order: Mapping[str, Any],
    lease: AnyLease | None,
    on_verdict: Callable[[Graded], None] | None = None,
    stage: Stage | None = None,
) -> Iterator[Graded]:
    """Grade one submission, exercise by exercise; without a lease, in this very process."""
    if lease is None:
        for job in jobs(order, on_verdict):
            yield grade_in_process(job)
        return
    rooms = None
    if stage is not None and isinstance(lease, Lease) and len(order["exercises"]) > 1:
        rooms = CommonRooms(lease)
    try:
        for job in jobs(order, on_verdict):
            graded = grade_as_guest(job, rooms, stage) if rooms and stage else None
            yield graded or grade_in_worker(job, lease, stage)
    finally:
        if rooms is not None:
            rooms.close()


def _attempt(order: Mapping[str, Any], lease: AnyLease, connection: wire.Line) -> None:
    """Play a chapter's milestone; each stretch of training is told, and then how it ended."""
    from . import goal

    chapters = known_exercises(Path(order["suites"])).chapters
    milestone = next(c.milestone for c in chapters if c.id == order["milestone"])
    assert milestone is not None

    def tell(progressed: object) -> None:
        _send(connection, {"progressed": plain(progressed)})

    _send(connection, goal.as_message(goal.attempt(milestone, order, lease, tell)))


@functools.lru_cache(maxsize=1)
def _catalogue(suites: Path, stamps: tuple[int, ...]) -> catalogue.Catalogue:
    return catalogue.load(suites)


def known_exercises(suites: Path) -> catalogue.Catalogue:
    """The catalogue, read again only when a chapter.toml has changed."""
    files = sorted(suites.glob("ch*/chapter.toml"))
    return _catalogue(suites, tuple(file.stat().st_mtime_ns for file in files))


def jobs(
    order: Mapping[str, Any], on_verdict: Callable[[Graded], None] | None = None
) -> Iterator[Job]:
    """What an order comes to, exercise by exercise."""
    known = known_exercises(Path(order["suites"]))
    worked: dict[str, Source] = {}
    for exercise_id in order["exercises"]:
        exercise = known[exercise_id]
        needed = [*known.requirements(exercise), exercise]
        worked |= {one.id: solution(one) for one in needed if one.id not in worked}
        yield Job(
            exercise=exercise,
            files=order["files"],
            solutions=tuple(worked[one.id] for one in needed),
            own=order["own"],
            seed=order["seed"],
            time_s=order["timeout_s"] or exercise.time_limit_s,
            limits=jail.Limits(**order["limits"]),
            output_bytes=order["output_bytes"],
            suite=Path(order["suites"], exercise.chapter, exercise.suite.name),
            on_verdict=on_verdict,
        )


def solution(exercise: catalogue.Exercise) -> Source:
    """The worked file of an exercise, under the name that the learner's file has."""
    return Source(exercise.module, f"solutions/{exercise.file}", shelf.solution(exercise))


def _send(connection: wire.Line, message: Mapping[str, Any]) -> None:
    try:
        body = wire.encode(dict(message))
    except wire.WireError as error:
        body = wire.encode({"fault": f"a verdict that does not travel: {error}"})
    connection.sendall(wire.frame(body))
