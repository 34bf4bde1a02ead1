"""Judges at work for an author: several processes from one fork server, one task each at a time."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from socket import socket
from typing import Any

from grader.sandbox import wire
from grader.sandbox.backends import open_nursery
from grader.sandbox.nursery import Nursery, NurseryError
from grader.sandbox.spawned import PipeConnection, Spawner

ENTRY = "grader.judge.proving:main"


class ProverFault(Exception):
    """A task could not be carried out: the suite cannot be loaded, or the grader failed."""


class Provers:
    """A few judges that share the work."""

    def __init__(self, connections: Iterable[socket | PipeConnection], nursery: Nursery | Spawner):
        self._idle: queue.SimpleQueue[socket | PipeConnection] = queue.SimpleQueue()
        self._nursery = nursery
        self.count = 0
        for connection in connections:
            self._idle.put(connection)
            self.count += 1

    def ask(self, task: Mapping[str, Any]) -> dict[str, Any]:
        """Have a task carried out by the next judge that is free.

        Raises:
            ProverFault: it could not be.
        """
        connection = self._idle.get()
        try:
            connection.sendall(wire.frame(wire.encode(dict(task))))
            body = wire.receive(connection)
        except OSError as error:
            raise ProverFault(f"a judge has ended: {error}") from error
        finally:
            self._idle.put(connection)
        if body is None:
            raise ProverFault(f"a judge has ended\n{self._nursery.last_words()}".strip())
        reply = wire.decode(body)
        if "fault" in reply:
            raise ProverFault(reply["fault"])
        answer: dict[str, Any] = reply["answer"]
        return answer

    def ask_all(self, tasks: Iterable[Mapping[str, Any]]) -> list[dict[str, Any] | ProverFault]:
        """Have many tasks carried out; the answers in their order, a fault in the place of one."""

        def one(task: Mapping[str, Any]) -> dict[str, Any] | ProverFault:
            try:
                return self.ask(task)
            except ProverFault as fault:
                return fault

        with ThreadPoolExecutor(self.count) as pool:
            return list(pool.map(one, tasks))


@contextmanager
def at_work(jobs: int, preload: Iterable[str] = ("torch",)) -> Iterator[Provers]:
    """Start `jobs` judges; end them, and what they started, afterwards.

    Raises:
        ProverFault: the fork server cannot be started.
    """
    try:
        with open_nursery(preload, many=True) as nursery:
            connections = [nursery.fork_judge(ENTRY) for _ in range(jobs)]
            try:
                yield Provers(connections, nursery)
            finally:
                for connection in connections:
                    connection.close()
    except NurseryError as error:
        raise ProverFault(str(error)) from error
