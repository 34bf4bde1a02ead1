"""The bench: one judge kept warm, from which a fresh one is forked for each grading of `watch`.

The judge on the bench has imported pytest, the reference and the suites, and has collected their
tests once. It grades nothing itself: each grading is a fork of it, with a seed and a lease of its
own, so that nothing is left of one grading for the next. Whoever hangs up has the fork killed, and
its workers with it.
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
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from grader.catalogue import SUITES, Exercise
from grader.sandbox import jail, wire
from grader.sandbox.nursery import Lease, Nursery, NurseryError
from grader.sandbox.spawned import PipeConnection, Spawner

_TAKE = b"j"  # what is sent with a connection for the next judge

# ---- the side that asks


class Bench:
    """A judge that is kept warm for some exercises, as its owner sees it."""

    def __init__(self, nursery: Nursery, exercises: Iterable[Exercise], suites: Path = SUITES):
        """Have the judge prepare itself; that goes on while the caller does.

        Raises:
            NurseryError: the fork server does not answer.
        """
        self._nursery = nursery
        self._connection = nursery.fork_judge("grader.judge.bench:main")
        order = {"suites": str(suites), "exercises": [exercise.id for exercise in exercises]}
        self._connection.sendall(wire.frame(wire.encode(order)))

    def fork_judge(self, entry: str) -> socket.socket:
        """Fork a judge that runs `entry`, with a connection whose other end is returned.

        Raises:
            NurseryError: the judge on the bench has ended.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._connection, [_TAKE + entry.encode()], [theirs.fileno()])
            except OSError as error:
                ours.close()
                raise NurseryError(f"the judge on the bench has ended: {error}") from error
        return ours

    @property
    def alive(self) -> bool:
        """Whether it has not hung up."""
        poll = select.poll()
        poll.register(self._connection, 0)
        return not poll.poll(0)

    def last_words(self) -> str:
        """What the server wrote on standard error, for a fault report."""
        return self._nursery.last_words()

    def close(self) -> None:
        """End the judge on the bench and all that were forked from it."""
        self._connection.close()


class SpawnedBench:
    """Where there is no fork: one judge that grades again and again, and is replaced when killed.

    Every grading has a seed and a worker of its own there too; what the judge keeps is what it has
    imported.
    """

    def __init__(self, nursery: Spawner):
        self._nursery = nursery
        self._judge: PipeConnection | None = None
        self._entry = ""
        self.fork_judge("grader.judge.desk:main").close()

    def fork_judge(self, entry: str) -> Borrowed:
        """The judge that stands ready, or a new one."""
        if self._judge is None or not self._judge.alive or entry != self._entry:
            if self._judge is not None:
                self._judge.close()
            self._judge, self._entry = self._nursery.fork_judge(entry), entry
        return Borrowed(self._judge)

    @property
    def alive(self) -> bool:
        """Whether the judge that stands ready has not ended."""
        return self._judge is not None and self._judge.alive

    def last_words(self) -> str:
        """What the judges wrote on standard error, for a fault report."""
        return self._nursery.last_words()

    def close(self) -> None:
        """End the judge."""
        if self._judge is not None:
            self._judge.close()


class Borrowed:
    """A line to the judge that stays open for the next grading, unless this one was broken off."""

    def __init__(self, line: PipeConnection):
        self._line = line
        self.recv = line.recv
        self.sendall = line.sendall
        self.shutdown = line.shutdown

    def close(self) -> None:
        """Give it back."""

    def __enter__(self) -> Borrowed:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._line.close()


def open_bench(nursery: Nursery | Spawner, exercises: Iterable[Exercise]) -> Bench | SpawnedBench:
    """The bench that suits where judges come from.

    Raises:
        NurseryError: a judge cannot be had.
    """
    if isinstance(nursery, Spawner):
        return SpawnedBench(nursery)
    return Bench(nursery, exercises)


# ---- the judge on the bench


def main(connection: socket.socket, lease: Lease) -> NoReturn:
    """Prepare, then fork a judge for each connection that comes, until the owner hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    body = wire.receive(connection)
    if body is None:
        os._exit(0)
    order = wire.decode(body)
    rehearse(Path(order["suites"]), order["exercises"])
    gc.collect()
    gc.freeze()  # forks need not copy these pages to count what is on them
    _Bench(connection, lease).run()


def rehearse(suites: Path, exercises: Iterable[str]) -> None:
    """Import and collect what grading these exercises will need; no test is run."""
    from . import desk, session

    known = desk.known_exercises(suites)
    chosen = [known[exercise] for exercise in exercises]
    for one in chosen:
        with contextlib.suppress(Exception):  # what is wrong with it is told when it is graded
            desk.solutions(known, [*known.requirements(one), one])
            session.rehearse(Path(suites, one.chapter, one.suite.name))


class _Bench:
    def __init__(self, connection: socket.socket, lease: Lease):
        self.connection = connection
        self.lease = lease
        self.poll = select.poll()
        self.poll.register(connection, select.POLLIN)
        self.judges: dict[int, tuple[int, int, int]] = {}  # by life line and by order line

    def run(self) -> NoReturn:
        while True:
            fd, _ = self.poll.poll()[
                0
            ]  # one at a time: what it opens may take a closed one's number
            if fd in self.judges:
                self.end(*self.judges[fd])
            elif not self.open():
                for pid, *_ in self.judges.values():
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
                module, _, function = entry[len(_TAKE) :].decode().partition(":")
                job = socket.socket(fileno=fds[0])
                getattr(importlib.import_module(module), function)(job, lease)
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
        for fd in self.judges:
            os.close(fd)
