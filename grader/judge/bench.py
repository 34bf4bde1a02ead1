"""The judge on the bench, from which a fresh one is forked for each grading of `watch`.

It is asked through `grader.sandbox.bench`. It has imported pytest, the reference and the suites,
and has collected their tests once. It grades nothing itself: each grading is a fork of it, with a
seed and a lease of its own, so that nothing is left of one grading for the next. Whoever hangs up
has the fork killed, and its workers with it.
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

from grader.sandbox import jail, wire
from grader.sandbox.nursery import Lease


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
                module, _, function = entry.decode().partition(":")
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
