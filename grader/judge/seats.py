"""Where the learner's code sits while it is asked: in a jailed worker, or in this very process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from grader.sandbox.nursery import Lease, NurseryError
from grader.sandbox.wire import WireError, decode, encode
from grader.sandbox.worker import Room, describe, local_room, unwritten

from .job import Job, names_of, seed_for
from .student import (
    AnyLease,
    Backend,
    BadAnswer,
    LocalBackend,
    Output,
    SpawnedBackend,
    TimedOut,
    WorkerBackend,
    open_worker,
    raised,
)

_LEAVE = encode({"id": 0, "op": "leave"})


class Seat:
    """Loads the learner's code and hands out a backend to it."""

    isolation = "none (in process)"
    backend: Backend
    output: Output | None = None
    asks_again = True

    def load(self) -> Mapping[str, Any]:
        """Load the code; the reply is that of `grader.sandbox.worker.admit`."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Make sure that there is somebody to ask before the next test."""


class FixedSeat(Seat):
    def __init__(self, room: Room):
        self.backend = LocalBackend(room)

    def load(self) -> Mapping[str, Any]:
        return {"state": "loaded", "unwritten": [], "missing": []}


class LocalSeat(Seat):
    asks_again = False  # a breakpoint stops once

    def __init__(self, job: Job):
        self.job = job

    def load(self) -> Mapping[str, Any]:
        exercise = self.job.exercise
        try:
            blank = unwritten(self.job.files[exercise.file], exercise.blanks, exercise.file)
            if blank == list(exercise.blanks):
                return {"state": "untouched", "unwritten": blank, "missing": []}
            room = local_room(self.job.modules, exercise.module, forbid=False)
        except (Exception, SystemExit) as error:
            return {"state": "raised", "raised": describe(error, self.job.files)}
        self.backend = LocalBackend(room)
        module = room.modules[exercise.module]
        missing = [name for name in names_of(exercise) if not hasattr(module, name)]
        return {"state": "loaded", "unwritten": blank, "missing": missing}


class WorkerSeat(Seat):
    output: Output

    def __init__(self, job: Job, lease: AnyLease, output: Output):
        self.job = job
        self.lease = lease
        self.output = output
        self.isolation = "none"
        self.left_s = job.time_s
        self.worker: WorkerBackend | SpawnedBackend | None = None

    def load(self) -> Mapping[str, Any]:
        job = self.job
        self.worker = open_worker(self.lease, job.limits, self.left_s, self.output)
        if not self.worker.isolation:
            raise NurseryError(self.worker.refused)
        self.isolation = self.worker.isolation
        self.backend = self.worker
        return _load(job, self.worker, job.exercise.forbids)

    def refresh(self) -> None:
        """After a crash the next test gets a new worker, on what is left of the time."""
        if self.worker is not None and self.worker.number is None:
            self.left_s = self.worker.left_s
            if self.left_s <= 0:
                raise TimedOut
            reply = self.load()
            if reply["state"] == "raised":
                raise raised(reply["raised"])

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close()


class CommonRooms:
    """The rooms that the exercises of one submission share, one after the other.

    A room costs more than most exercises do in it. Only what passes in a common room is done with;
    all else is graded once more in a room of its own, so that no exercise is the worse for what
    another has left behind. Nor the better: a room that has held the solution of an exercise is
    not for that exercise.
    """

    PATIENCE_S = 1.0  # what takes longer has its whole time in a room of its own

    def __init__(self, lease: Lease):
        self._lease = lease
        self._rooms: dict[tuple[str, ...], _Common] = {}

    def enter(self, job: Job, forbids: tuple[str, ...]) -> GuestSeat:
        """A seat in a room where this job may be done, and what it prints is heard anew.

        Args:
            job: what is to be graded.
            forbids: the functions that nobody has had at hand in that room.

        Raises:
            NurseryError: there is no room to be had.
            StudentFailure: what was graded before has spoiled it.
        """
        output = Output(job.output_bytes)
        time_s = min(job.time_s, self.PATIENCE_S)
        room = self._rooms.get(forbids)
        if room is None or room.worker.number is None or job.exercise.module in room.shown:
            if room is not None:
                room.worker.close()
            worker = WorkerBackend(self._lease, job.limits, time_s, output)
            room = self._rooms[forbids] = _Common(worker)
            if not worker.isolation:
                raise NurseryError(worker.refused)
        else:
            room.worker.output, room.worker.left_s = output, time_s
            if room.occupied:
                room.worker.ask(_LEAVE)
        room.shown.update(source.name for source in job.modules if isinstance(source.code, bytes))
        return GuestSeat(job, room, output, forbids)

    def close(self) -> None:
        for room in self._rooms.values():
            room.worker.close()


@dataclass
class _Common:
    """A room, whether a submission is loaded in it, and the modules whose solutions have been."""

    worker: WorkerBackend
    occupied: bool = False
    shown: set[str] = field(default_factory=set)


class GuestSeat(Seat):
    """A seat in a room that others of the submission's exercises have been in."""

    output: Output

    def __init__(self, job: Job, room: _Common, output: Output, forbids: tuple[str, ...]):
        self.job = job
        self.forbids = forbids
        self.room = room
        self.backend = room.worker
        self.output = output
        self.isolation = room.worker.isolation

    def load(self) -> Mapping[str, Any]:
        reply = _load(self.job, self.room.worker, self.forbids)
        self.room.occupied = reply["state"] == "loaded"
        return reply

    def refresh(self) -> None:
        if self.room.worker.number is None:
            raise TimedOut  # or whatever else has ended it: no guest gets a second room


def _load(
    job: Job, worker: WorkerBackend | SpawnedBackend, forbids: tuple[str, ...]
) -> Mapping[str, Any]:
    """Have a worker load a submission."""
    order = {
        "modules": [[source.name, source.path, source.code] for source in job.modules],
        "target": job.exercise.module,
        "blanks": list(job.exercise.blanks),
        "names": names_of(job.exercise),
        "forbids": list(forbids),
        "seed": seed_for(job.seed, "room", job.exercise.id),
    }
    try:
        return _checked(decode(worker.ask(encode(order))))
    except WireError as error:
        raise BadAnswer(str(error)) from error


def _checked(reply: Any) -> Mapping[str, Any]:
    """The answer to the order to load, if it is one: the learner's code has run by then."""
    if type(reply) is dict and type(reply.get("state")) is str:
        if reply["state"] == "raised" and type(reply.get("raised")) is dict:
            return reply
        if reply["state"] in ("loaded", "untouched") and all(
            type(reply.get(key)) is list and all(type(name) is str for name in reply[key])
            for key in ("unwritten", "missing")
        ):
            return reply
    raise BadAnswer("no answer to the order to load")
