"""The bench: a judge kept warm from one grading to the next, as its owner sees it.

Where there is fork, each grading gets a fresh fork of it; what happens in it is the judge's affair
(`grader.judge.bench`). Where there is none, one spawned judge grades again and again.
"""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Mapping
from typing import Any

from . import wire
from .nursery import Nursery, NurseryError
from .spawned import PipeConnection, Spawner


class Bench:
    """A judge that is kept warm, as its owner sees it."""

    def __init__(self, nursery: Nursery, order: Mapping[str, Any]):
        """Have the judge prepare itself for what the order names, while the caller goes on.

        Raises:
            NurseryError: the fork server does not answer.
        """
        self._nursery = nursery
        self._connection = nursery.fork_judge("grader.judge.bench:main")
        with contextlib.suppress(ConnectionError):  # then it is not alive either
            self._connection.sendall(wire.frame(wire.encode(dict(order))))

    def fork_judge(self, entry: str) -> socket.socket:
        """Fork a judge that runs `entry`, with a connection whose other end is returned.

        Raises:
            NurseryError: the judge on the bench has ended.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._connection, [entry.encode()], [theirs.fileno()])
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


def open_bench(nursery: Nursery | Spawner, order: Mapping[str, Any]) -> Bench | SpawnedBench:
    """The bench that suits where judges come from.

    Raises:
        NurseryError: a judge cannot be had.
    """
    if isinstance(nursery, Spawner):
        return SpawnedBench(nursery)
    return Bench(nursery, order)
