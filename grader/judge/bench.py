"""The judge on the bench, from which a fresh one is forked for each grading of `watch` or a class.

It is asked through `grader.sandbox.bench`. It has imported pytest, the reference and the suites,
and has collected their tests once; where the seed is known, it has played them on the solutions
too. It grades nothing itself: each grading is a fork of it, with a seed and a lease of its own, so
that nothing is left of one grading for the next. Whoever hangs up has the fork killed, and its
workers with it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import select
import signal
import socket
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from grader.sandbox import jail, pages, wire
from grader.sandbox.nursery import Lease

if TYPE_CHECKING:
    from .job import Job
    from .session import Stage


def main(connection: socket.socket, lease: Lease) -> NoReturn:
    """Prepare, then fork a judge for each connection that comes, until the owner hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    body = wire.receive(connection)
    if body is None:
        os._exit(0)
    order = wire.decode(body)
    from . import desk, session

    known = desk.known_exercises(Path(order["suites"]))
    chosen = [known[exercise] for exercise in order["exercises"]]
    suites = [Path(order["suites"], one.chapter, one.suite.name) for one in chosen]

    def serve(stage: Stage) -> NoReturn:
        jobs = {}
        if order.get("seed") is not None:
            with contextlib.suppress(Exception):  # what is wrong is told when it is graded
                for job in desk.jobs(order | _PLAIN):
                    stage.rehearse(job)
                    for source in job.solutions:
                        source.compiled()  # once for all gradings
                    jobs[job.exercise.id] = job
                stage.share_rooms([*jobs.values()])
        gc.collect()
        gc.freeze()  # forks need not copy these pages to count what is on them
        if order.get("many"):
            pages.join()
        _Bench(connection, lease, stage, jobs).run()

    session.on_stage(suites, serve)
    raise RuntimeError("pytest does not run")


# What an order says of a submission, where there is none: jobs are those of the solutions.
_PLAIN: Mapping[str, Any] = {
    "files": {},
    "own": False,
    "timeout_s": None,
    "limits": {},
    "output_bytes": 0,
}


HEAR_AFTER = 10


class _Bench:
    def __init__(
        self, connection: socket.socket, lease: Lease, stage: Stage, jobs: Mapping[str, Job]
    ):
        self.connection = connection
        self.lease = lease
        self.stage = stage
        self.jobs = jobs
        self.wanted: Counter[str] = Counter()
        self.poll = select.poll()
        self.poll.register(connection, select.POLLIN)
        self.judges: dict[int, tuple[int, int, int]] = {}  # by life line and by order line
        self.hearings: dict[int, _Hearing] = {}  # by the line on which it tells

    def run(self) -> NoReturn:
        while True:
            fd, _ = self.poll.poll()[
                0
            ]  # one at a time: what it opens may take a closed one's number
            if fd in self.hearings:
                self.listen(self.hearings[fd])
            elif fd in self.judges:
                _, life, _ = judge = self.judges[fd]
                if fd != life or not (wanted := os.read(life, 1 << 10)):
                    self.end(*judge)
                else:
                    for exercise in wanted.decode().split():
                        self.hear(exercise)
            elif not self.open():
                for pid in [pid for pid, *_ in self.judges.values()] + [
                    one.pid for one in self.hearings.values()
                ]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                os._exit(0)

    def open(self) -> bool:
        """Fork the next judge; False when the owner has hung up."""
        try:
            entry, fds, _, _ = socket.recv_fds(self.connection, 1 << 10, 1)
        except OSError:
            return False
        if not entry:
            return False
        lease = self.lease.share()
        life, held = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                jail.die_with_parent()
                self.let_go(life)
                self.stage.want = lambda exercise: _write(held, f"{exercise}\n".encode())
                module, _, function = entry.decode().partition(":")
                job = socket.socket(fileno=fds[0])
                getattr(importlib.import_module(module), function)(job, lease, self.stage)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        os.close(held)
        lease.connection.close()
        judge = (pid, life, fds[0])
        self.judges[life] = self.judges[fds[0]] = judge
        self.poll.register(life, select.POLLIN)  # it ends when the judge does
        self.poll.register(fds[0], 0)  # only to hear that the other side has hung up
        return True

    def hear(self, exercise: str) -> None:
        """Have what the mistakes of an exercise answer found out, beside all else, and once.

        To put the whole script to all of them takes as long as some gradings in which each is
        dismissed at its first question; so it is done when there have been as many. A fork finds
        it out, from what the bench itself holds: no submission has a part in it.
        """
        self.wanted[exercise] += 1
        if self.wanted[exercise] != HEAR_AFTER:
            return
        line, tells = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                jail.die_with_parent()
                self.let_go(line)
                heard = self.stage.hear(self.jobs[exercise])
                said = {"replies": heard.replies, "agreeing": dict(heard.agreeing)}
                _write(tells, wire.encode(said))
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        os.close(tells)
        self.hearings[line] = _Hearing(exercise, pid, line)
        self.poll.register(line, select.POLLIN)

    def listen(self, one: _Hearing) -> None:
        """Take what has been found out so far; when it is all, the next judges know it."""
        if part := os.read(one.line, 1 << 20):
            one.said += part
            return
        self.poll.unregister(one.line)
        del self.hearings[one.line]
        os.close(one.line)
        _, status = os.waitpid(one.pid, 0)
        if status == 0:
            from . import diagnosis

            self.stage.learn(one.exercise, diagnosis.Heard(**wire.decode(bytes(one.said))))

    def end(self, pid: int, life: int, order: int) -> None:
        """One of the two has ended: end the other, and forget both."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for fd in (life, order):
            self.poll.unregister(fd)
            del self.judges[fd]
            os.close(fd)

    def let_go(self, life: int) -> None:
        """In a fork: close what is the bench's own."""
        self.connection.close()
        self.lease.connection.close()
        os.close(life)
        for fd in (*self.judges, *self.hearings):
            os.close(fd)


@dataclass
class _Hearing:
    """A fork that finds out what the mistakes of an exercise answer, and what it has told."""

    exercise: str
    pid: int
    line: int
    said: bytearray = field(default_factory=bytearray)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
