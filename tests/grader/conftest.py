"""One warm fork server for all, and a way to put code into a jailed worker."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from grader.judge.student import (
    AnyLease,
    Output,
    SpawnedBackend,
    Student,
    WorkerBackend,
    open_worker,
)
from grader.sandbox import wire
from grader.sandbox.backends import BACKENDS
from grader.sandbox.jail import Limits
from grader.sandbox.nursery import Lease, Nursery
from grader.sandbox.spawned import SpawnLease

FILE = "ch5/it.py"


@dataclass
class Jailed:
    """A worker in the jail that has been handed `ch5/it.py`, and what it said to that."""

    backend: WorkerBackend | SpawnedBackend
    reply: Any

    def __post_init__(self) -> None:
        self.student = Student(self.backend, (), FILE)

    @property
    def output(self) -> Output:
        return self.backend.output


@pytest.fixture(scope="session")
def warm() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("both_backends"):
        metafunc.parametrize("backend", BACKENDS, indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> str:
    """How workers are made: forked, but for tests that are marked for both."""
    return str(getattr(request, "param", "fork"))


@pytest.fixture
def lease(
    backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AnyLease]:
    """Where workers come from. A spawned one imports torch only when a tensor comes."""
    if backend == "fork":
        yield Lease(request.getfixturevalue("warm")._connection)
        return
    spawned = SpawnLease(str(tmp_path_factory.mktemp("scratch")), ())
    yield spawned
    spawned.close()


@pytest.fixture
def jailed(lease: AnyLease) -> Iterator[Callable[..., Jailed]]:
    opened: list[WorkerBackend | SpawnedBackend] = []

    def open_(
        code: str,
        *,
        files: Mapping[str, str] | None = None,
        blanks: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
        time_s: float = 30.0,
        output_bytes: int = 16 * 1024,
        **limits: Any,
    ) -> Jailed:
        backend = open_worker(lease, Limits(**limits), time_s, Output(output_bytes))
        opened.append(backend)
        if not backend.isolation:
            pytest.skip(backend.refused)
        texts = {FILE: textwrap.dedent(code)} | dict(files or {})
        order = {
            "modules": [[p.removesuffix(".py").replace("/", "."), p, t] for p, t in texts.items()],
            "target": "ch5.it",
            "blanks": list(blanks),
            "names": list(names),
            "seed": 1,
        }
        return Jailed(backend, wire.decode(backend.ask(wire.encode(order))))

    yield open_
    for backend in opened:
        backend.close()


@pytest.fixture
def inside(jailed: Callable[..., Jailed]) -> Callable[..., Any]:
    """Run the body of a function in the jail: what it returns comes back."""

    def run(body: str, *args: Any, **limits: Any) -> Any:
        code = "def it(*args):\n" + textwrap.indent(textwrap.dedent(body), "    ")
        return jailed(code, **limits).student.it(*args)

    return run
