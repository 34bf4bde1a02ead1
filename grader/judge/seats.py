"""Where the learner's code sits while it is asked: in a jailed worker, or in this very process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grader.sandbox.nursery import NurseryError
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
        order = {
            "modules": [[source.name, source.path, source.code] for source in job.modules],
            "target": job.exercise.module,
            "blanks": list(job.exercise.blanks),
            "names": names_of(job.exercise),
            "forbids": list(job.exercise.forbids),
            "seed": seed_for(job.seed, "room", job.exercise.id),
        }
        try:
            return _checked(decode(self.worker.ask(encode(order))))
        except WireError as error:
            raise BadAnswer(str(error)) from error

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
