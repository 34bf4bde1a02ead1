"""A machine of a cluster, from the inside: it says who it is, and grades what it is sent.

Everything comes and goes as bytes that hold JSON: texts to grade, and reports. A process has a fork
server and a jail of its own, which stay warm from one hand-in to the next.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

from grader import catalogue, engine
from grader.catalogue import Exercise
from grader.report import build, plain
from grader.sandbox.jail import Limits

from . import fingerprints
from .pool import Pool, Task, Verdict
from .problems import ClassroomError


def identity(exercises: tuple[Exercise, ...]) -> dict[str, str]:
    """What must be the same wherever a class is graded, but for the isolation."""
    known = catalogue.load()
    return {
        "suites": fingerprints.of_suites(exercises, known),
        "environment": fingerprints.environment(),
        **fingerprints.versions(),
    }


def introduce(order: bytes) -> bytes:
    """Say who this machine is, and how it would isolate what the order names."""
    wanted = json.loads(order)
    said: dict[str, Any] = {"host": socket.gethostname()}
    try:
        exercises = _exercises(wanted)
        said |= {"identity": identity(exercises), "isolation": "", "why": ""}
        if said["identity"] == wanted["identity"]:  # else it has no work to warm up for
            with _idle.pool(exercises, wanted) as pool:
                said["isolation"] = pool.isolation(_policy(wanted))
    except (ClassroomError, engine.EngineFault, KeyError) as error:
        said["why"] = str(error) or type(error).__name__
    return json.dumps(said).encode()


def grade(order: bytes) -> bytes:
    """Grade one hand-in; the verdicts come back in the order of the exercises."""
    wanted = json.loads(order)
    exercises = _exercises(wanted)
    left = tuple(one for one in exercises if one.id in wanted["left"])
    task = Task(0, lambda: wanted["files"], left, _policy(wanted))
    with _idle.pool(exercises, wanted) as pool:
        told = [event.graded for event in pool.grade([task]) if isinstance(event, Verdict)]
    return json.dumps(plain(told)).encode()


def order(
    exercises: tuple[Exercise, ...], policy: engine.Policy, backend: str | None
) -> dict[str, Any]:
    """What a machine is told of the work, before any hand-in."""
    return {
        "exercises": [one.id for one in exercises],
        "identity": identity(exercises),
        "backend": backend,
        "policy": dataclasses.asdict(policy),
    }


def _exercises(wanted: dict[str, Any]) -> tuple[Exercise, ...]:
    known = catalogue.load()
    return tuple(known[name] for name in wanted["exercises"])


def _policy(wanted: dict[str, Any]) -> engine.Policy:
    plain = dict(wanted["policy"])
    limits: Limits = build(Limits, plain.pop("limits"))
    return engine.Policy(**plain, limits=limits)


class _Idle:
    """Pools that wait for work; one grades one hand-in at a time, so that threads need no lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: list[tuple[tuple[str, ...], Pool]] = []

    @contextlib.contextmanager
    def pool(self, exercises: tuple[Exercise, ...], wanted: dict[str, Any]) -> Iterator[Pool]:
        """A warm pool for these exercises, or a new one; one that failed is not used again."""
        seed, backend = wanted["policy"]["seed"], wanted["backend"]
        kind = (*wanted["exercises"], str(seed), str(backend))
        pool = self._take(kind) or Pool(exercises, 1, seed=seed, backend=backend)
        try:
            yield pool
        except BaseException:
            pool.close()
            raise
        with self._lock:
            self._pools.append((kind, pool))

    def _take(self, kind: tuple[str, ...]) -> Pool | None:
        """One that waits for this kind of work; those for another are closed."""
        with self._lock:
            others = [pool for its, pool in self._pools if its != kind]
            mine = [pool for its, pool in self._pools if its == kind]
            found = mine.pop() if mine else None
            self._pools = [(kind, pool) for pool in mine]
        for pool in others:
            pool.close()
        return found

    def close(self) -> None:
        with self._lock:
            pools, self._pools = self._pools, []
        for _, pool in pools:
            pool.close()


_idle = _Idle()
atexit.register(_idle.close)
