"""One warm fork server for all, and a way to put code into a jailed worker."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from grader.judge.student import Output, Student, WorkerBackend
from grader.sandbox import wire
from grader.sandbox.jail import Limits
from grader.sandbox.nursery import Lease, Nursery

FILE = "ch5/it.py"


@dataclass
class Jailed:
    """A worker in the jail that has been handed `ch5/it.py`, and what it said to that."""

    backend: WorkerBackend
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


@pytest.fixture
def jailed(warm: Nursery) -> Iterator[Callable[..., Jailed]]:
    opened: list[WorkerBackend] = []

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
        lease = Lease(warm._connection)
        backend = WorkerBackend(lease, Limits(**limits), time_s, Output(output_bytes))
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
