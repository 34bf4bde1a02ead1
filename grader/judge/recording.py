"""A hidden test as a public one: what it asks and what is right, written down as a test with data.

The suite's own test runs on the solution. What it asks of the room becomes plain calls, and what it
requires of the answers becomes comparisons with recorded values; neither the reference nor the
suite is needed to run the outcome. Only what is compared directly can be written down so: where
a test works something out of an answer first, it is told, and the test stays hidden.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import torch

from grader.catalogue import Exercise, Language, Text
from grader.sandbox import wire
from grader.sandbox.worker import local_room, seed

from . import check, show
from .desk import known_exercises, solution
from .job import names_of, seed_for
from .session import _PYTEST, _kept_as_it_was, claim
from .student import AnyLease, Asked, LocalBackend, Raised, Remote, Student, StudentFailure

LITERAL = 60  # so many characters stand in the test itself; what is longer, in the data beside it
WIDTH = 100


class Unrecordable(Exception):
    """A test cannot be made public; the message says why."""


@dataclass
class Recorded:
    """The public form of a suite's tests.

    Attributes:
        module: the text of the test file.
        data: the text of the JSON file beside it; empty where there is nothing to keep there.
        tests: the names of the tests in it.
        refused: tests that cannot be made public, with the reason.
    """

    module: str
    data: str
    tests: tuple[str, ...]
    refused: dict[str, str]


def main(connection: wire.Line, lease: AnyLease) -> None:
    """Record exercises from `connection` until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while (body := wire.receive(connection)) is not None:
        order = wire.decode(body)
        try:
            known = known_exercises(Path(order["suites"]))
            exercise = known[order["exercise"]]
            sources = tuple(map(solution, [*known.requirements(exercise), exercise]))
            done = record(
                exercise, sources, tuple(order["tests"]), order["seed"], order["language"]
            )
            reply: dict[str, Any] = {
                "module": done.module,
                "data": done.data,
                "tests": list(done.tests),
                "refused": done.refused,
            }
        except Exception:
            reply = {"fault": traceback.format_exc()[-3000:]}
        connection.sendall(wire.frame(wire.encode(reply)))


def record(
    exercise: Exercise,
    sources: Sequence[Any],
    tests: Sequence[str],
    number: int,
    language: Language,
) -> Recorded:
    """Run some tests of a suite on the solution, and write down what they ask and require.

    Args:
        exercise: whose suite.
        sources: the solutions of all that it requires, and its own last.
        tests: the names of the tests, `test_x`; of one with several cases all are recorded.
        number: the inputs are drawn from it.
        language: of the claims.
    """
    plugin = _Recorder(exercise, sources, tests, number, language)
    with _kept_as_it_was():
        sys.modules.pop(exercise.suite.stem, None)
        where = ["--rootdir", str(exercise.suite.parent), str(exercise.suite)]
        pytest.main([*_PYTEST, *where], plugins=[plugin])
        sys.modules.pop(exercise.suite.stem, None)  # its `check` is none to grade with
    if plugin.broken:
        raise RuntimeError(plugin.broken)
    for name in tests:
        if name not in plugin.seen:
            plugin.refused[name] = "the suite has no such test"
    return plugin.recorded()


class _Recorder:
    """pytest's side: a `student` whose every request is kept, and a `check` that writes down."""

    def __init__(
        self,
        exercise: Exercise,
        sources: Sequence[Any],
        tests: Sequence[str],
        number: int,
        language: Language,
    ):
        self.exercise = exercise
        self.sources = sources
        self.tests = tests
        self.number = number
        self.language: Language = language
        self.seen: set[str] = set()
        self.refused: dict[str, str] = {}
        self.written: dict[str, _Written] = {}
        self.current: _Written | None = None
        self.checks: _Checks | None = None
        self.broken = ""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken = str(report.longrepr)

    def pytest_internalerror(self, excrepr: object) -> None:
        self.broken = str(excrepr)

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        items[:] = [item for item in items if item.function.__name__ in self.tests]
        order = {name: place for place, name in enumerate(self.tests)}
        items.sort(key=lambda item: order[item.function.__name__])
        self.seen = {item.function.__name__ for item in items}
        if items:
            self.checks = _Checks(check)
            items[0].module.check = self.checks

    @pytest.fixture
    def student(self, request: pytest.FixtureRequest) -> Student:
        room = local_room(self.sources, self.exercise.module)
        backend = LocalBackend(room)
        student = _Witnessed(backend, names_of(self.exercise), self.exercise.file)
        student.seed(seed_for(self.number, "room", request.node.name))
        item = request.node
        signatures = show.signatures(str(self.sources[-1].code))
        written = _Written(item, student, backend, signatures, self.language)
        self.current = written
        assert self.checks is not None
        self.checks.now = written
        return student

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        seed(seed_for(self.number, "inputs", item.name))
        return (yield)

    def pytest_runtest_makereport(
        self, item: pytest.Function, call: pytest.CallInfo[None]
    ) -> pytest.TestReport:
        name = item.function.__name__
        if call.excinfo is not None:
            error = call.excinfo.value
            said = str(error) if isinstance(error, Unrecordable) else f"on the solution: {error!r}"
            self.refused[name] = said
        elif call.when == "call" and self.current is not None:
            try:
                self.current.finish()
                self.written[item.name] = self.current
            except Unrecordable as error:
                self.refused[name] = str(error)
        assert call.when != "collect"
        return pytest.TestReport(item.nodeid, item.location, {}, "passed", None, call.when)

    def recorded(self) -> Recorded:
        good = {
            name: one
            for name, one in self.written.items()
            if one.item.function.__name__ not in self.refused
        }
        tests: dict[str, _Written] = {}
        for name, one in good.items():
            plain, number = _name(name), 1
            while plain in tests:  # cases that differ in no letter that a name may have
                number += 1
                plain = f"{_name(name)}_{number}"
            tests[plain] = one
        shared = _shared(tests.values())
        data = {name: one.data for name, one in tests.items() if one.data}
        lines = [*_head(self.exercise, tests.values(), self.language)]
        for source in shared.values():
            lines += ["", "", *source.splitlines()]
        for name, one in tests.items():
            lines += ["", "", *one.text(name, shared)]
        table = [f"{json.dumps(name)}: {{\n{_entries(values)}\n}}" for name, values in data.items()]
        return Recorded(
            module="\n".join(lines) + "\n",
            data="{\n" + ",\n".join(table) + "\n}\n" if table else "",
            tests=tuple(tests),
            refused=self.refused,
        )


class _Witnessed(Student):
    """A student that remembers which probe it ran."""

    def __init__(self, backend: LocalBackend, names: Sequence[str], file: str):
        super().__init__(backend, names, file)
        self._probes: dict[int, FunctionType] = {}

    def run(self, probe: FunctionType, *args: Any, **kwargs: Any) -> Any:
        self._probes[len(self._log)] = probe
        return super().run(probe, *args, **kwargs)


class _Checks:
    """Stands where a suite has `grader.judge.check`: makes each comparison, and writes it down."""

    def __init__(self, real: Any):
        self.real = real
        self.now: _Written | None = None

    def __getattr__(self, name: str) -> Any:
        act = getattr(self.real, name)
        if name == "raises":
            return self._raises
        if name not in ("equal", "close", "gradients", "shape"):
            raise Unrecordable(f"check.{name} requires something that was worked out of an answer")

        def required(got: Any, expected: Any, **how: Any) -> None:
            act(got, expected, **how)
            assert self.now is not None
            self.now.compared(name, got, expected, how)

        return required

    def _raises(
        self, error: type[BaseException], action: Callable[[], Any], *, match: str = ""
    ) -> None:
        assert self.now is not None
        self.now.flush()
        self.real.raises(error, action, match=match)
        self.now.raised(error, match)


@dataclass
class _Written:
    """One test as it is being written down."""

    item: pytest.Function
    student: _Witnessed
    backend: LocalBackend
    signatures: Mapping[str, Any]
    language: Language
    steps: list[tuple[str, str]] = field(default_factory=list)  # a name, and what it stands for
    data: dict[str, Any] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)  # of objects in the room
    answers: list[tuple[Any, str]] = field(default_factory=list)
    probes: dict[str, str] = field(default_factory=dict)
    done: int = 0
    checks: int = 0

    def __post_init__(self) -> None:
        self.done = len(self.student._log)
        self.started = self.backend.chance
        self.taken: dict[str, int] = {}
        source = inspect.getsource(self.item.function)
        if re.search(r"^\s*assert\b", source, flags=re.MULTILINE):
            raise Unrecordable("it asserts something itself; only check.… can be written down")

    # ---- what happens

    def flush(self) -> None:
        """Write down the requests that were made since."""
        log = self.student._log
        while self.done < len(log):
            self.request(self.done, log[self.done])
            self.done += 1

    def request(self, place: int, asked: Asked) -> None:
        """Write down one request as a statement, and under which name its answer is known."""
        if isinstance(asked.answer, StudentFailure):
            raise Unrecordable(f"{asked.title} fails on the solution, and not within check.raises")
        said = self.expression(place, asked)
        if asked.op == "get" and isinstance(asked.answer, Remote):
            self.names[asked.answer._handle.id] = said
            return
        if asked.op in ("set", "put", "seed"):
            self.steps.append(("", said))
            return
        kind = "got" if not isinstance(asked.answer, Remote) else _noun(asked)
        name = self.fresh(kind)
        self.steps.append((name, said))
        self.know(asked.answer, name)
        self.answers.append((asked.answer, name))

    def compared(self, kind: str, got: Any, expected: Any, how: Mapping[str, Any]) -> None:
        """Write down a comparison."""
        self.flush()
        place = self.found(got)
        wanted = self.literal(expected, "expected")
        more = "".join(f", {name}={self.option(what)}" for name, what in how.items())
        self.steps.append(("", f"check.{kind}({place}, {wanted}{more})"))
        self.checks += 1

    def raised(self, error: type[BaseException], match: str) -> None:
        """Write down that the last of the requests that were made since must raise."""
        log = self.student._log
        if self.done == len(log) or not isinstance(log[-1].answer, Raised):
            raise Unrecordable("what must raise is nothing that was asked of the code")
        while self.done < len(log) - 1:
            self.request(self.done, log[self.done])
            self.done += 1
        said = self.expression(self.done, log[self.done])
        self.done += 1
        wanted = f", {match!r}" if match else ""
        self.steps.append(
            ("", f"with check.raises({error.__name__}{wanted}):\n" + textwrap.indent(said, "    "))
        )
        self.checks += 1

    def finish(self) -> None:
        """Nothing more comes."""
        self.flush()
        if not self.checks:
            raise Unrecordable("it requires nothing by check.…")
        if self.backend.chance[0] != self.started[0] or not torch.equal(
            self.backend.chance[1], self.started[1]
        ):
            number = self.student._log[0].args[0]
            self.steps.insert(0, ("", f"check.seed({number})"))

    @property
    def lines(self) -> list[str]:
        """The statements; an answer that nothing is done with has no name."""
        lines: list[str] = []
        for place, (name, said) in enumerate(self.steps):
            later = "\n".join(one for _, one in self.steps[place + 1 :])
            used = name and re.search(rf"\b{name}\b", later)
            lines += (f"{name} = {said}" if used else said).split("\n")
        return lines

    # ---- how it is written

    def expression(self, place: int, asked: Asked) -> str:
        on = "exercise" if asked.on is None else self.names[asked.on._handle.id]
        op, args = asked.op, asked.args
        if op == "get":
            return f"{on}.{asked.name}"
        if op == "call":
            called = f"{on}.{asked.name}" if asked.name else on
            return _call(called, self.arguments(asked, self.parameters(asked)))
        if op == "probe":
            probe = self.student._probes[place]
            self.probes[probe.__name__] = _source(probe, self.language)
            return _call(probe.__name__, ["exercise", *self.arguments(asked, asked.parameters)])
        if op == "library":
            return f'importlib.import_module("{asked.name}")'
        if op == "set":
            return f"{on}.{asked.name} = {self.literal(args[0], str(asked.name))}"
        if op == "item":
            return f"{on}[{self.literal(args[0], 'key')}]"
        if op == "put":
            return f"{on}[{self.literal(args[0], 'key')}] = {self.literal(args[1], 'value')}"
        if op == "items":
            return f"list({on})"
        if op == "length":
            return f"len({on})"
        if op == "seed":
            return f"check.seed({args[0]})"
        raise Unrecordable(f"a request of the kind {op}")

    def parameters(self, asked: Asked) -> Sequence[str]:
        names = self.signatures.get(asked.title.removesuffix("(…)"))
        return tuple(names) if names else ()

    def arguments(self, asked: Asked, names: Sequence[str]) -> list[str]:
        said = [
            self.literal(one, names[place] if place < len(names) else "x")
            for place, one in enumerate(asked.args)
        ]
        said += [f"{name}={self.literal(one, name)}" for name, one in asked.kwargs.items()]
        return said

    def option(self, what: Any) -> str:
        if isinstance(what, torch.dtype):
            return str(what)
        if isinstance(what, tuple | list):
            return repr(tuple(what))
        return repr(what)

    def literal(self, value: Any, name: str) -> str:
        """A value as it stands in the test, or as what is read from the data."""
        if isinstance(value, Remote):
            try:
                return self.names[value._handle.id]
            except KeyError:
                raise Unrecordable("an object of the room that has no name") from None
        if _holds(value, Remote):
            return self.container(value, name)
        if isinstance(value, torch.dtype):
            return str(value)
        if isinstance(value, torch.device):
            return repr(str(value))
        if isinstance(value, torch.Tensor):
            brief = _brief_tensor(value)
            return brief if brief is not None else self.given(value, name)
        if _holds(value, torch.Tensor):
            return self.given(value, name)
        said = _plain(value)
        return said if len(said) <= LITERAL else self.given(value, name)

    def container(self, value: Any, name: str) -> str:
        if isinstance(value, dict):
            return (
                "{"
                + ", ".join(
                    f"{_plain(key)}: {self.literal(one, str(key))}" for key, one in value.items()
                )
                + "}"
            )
        parts = ", ".join(self.literal(one, name) for one in value)
        if isinstance(value, tuple):
            return f"({parts}{',' if len(value) == 1 else ''})"
        return f"[{parts}]"

    def given(self, value: Any, name: str) -> str:
        """Keep a value in the data; the same value is kept once."""
        packed = pack(value)
        base = re.sub(r"\W+", "_", name).strip("_") or "x"
        for known, other in self.data.items():
            if other == packed:
                return f'given("{known}")'
        name, number = base, 1
        while name in self.data:
            number += 1
            name = f"{base}{number}"
        self.data[name] = packed
        return f'given("{name}")'

    def fresh(self, kind: str) -> str:
        self.taken[kind] = self.taken.get(kind, 0) + 1
        number = self.taken[kind]
        return kind if number == 1 else f"{kind}{number}"

    def know(self, answer: Any, path: str) -> None:
        """Remember where in an answer its objects stand."""
        if isinstance(answer, Remote):
            self.names[answer._handle.id] = path
        elif isinstance(answer, list | tuple):
            for place, one in enumerate(answer):
                self.know(one, f"{path}[{place}]")
        elif isinstance(answer, dict):
            for key, one in answer.items():
                self.know(one, f"{path}[{key!r}]")

    def found(self, got: Any) -> str:
        """Where what is compared came from.

        Raises:
            Unrecordable: it is no answer, and no part of one.
        """
        for exact in (True, False):
            for answer, name in reversed(self.answers):
                path = _path(answer, got, exact)
                if path is not None:
                    return f"{name}{path}"
        if isinstance(got, list | tuple) and got:
            parts = ", ".join(self.found(one) for one in got)
            if isinstance(got, tuple):
                return f"({parts}{',' if len(got) == 1 else ''})"
            return f"[{parts}]"
        if isinstance(got, dict) and got:
            return "{" + ", ".join(f"{k!r}: {self.found(v)}" for k, v in got.items()) + "}"
        raise Unrecordable("it compares something that was worked out of an answer")

    def text(self, name: str, shared: Mapping[str, str]) -> Iterator[str]:
        """The test's own lines."""
        fixtures = ["exercise"] if any("exercise" in line for line in self.lines) else []
        fixtures += ["given"] if any('given("' in line for line in self.lines) else []
        yield f"def {name}({', '.join(fixtures)}):"
        said = claim(self.item.function).in_(self.language)
        yield from _docstring(said)
        for probe, source in self.probes.items():
            if probe not in shared:
                yield ""
                yield from textwrap.indent(source, "    ").splitlines()
                yield ""
        for line in self.lines:
            yield f"    {line}"


# ---- parts of the text


_HEAD = Text(
    "Public tests of {id}: python -m pytest {file}\n\n"
    "They ask your code what is asked here, and compare its answers with recorded ones. They are "
    "some of the tests; others stay hidden.",
    "{id} 的公开测试：python -m pytest {file}\n\n"
    "测试会向你的代码提出这里写着的问题，并与记录下来的答案比较。这只是测试的一部分，其余的不公开。",
)


def _head(exercise: Exercise, tests: Any, language: Language) -> Iterator[str]:
    file = f"tests/test_{exercise.name}.py"
    said = _HEAD.in_(language).format(id=exercise.id, file=file)
    first, rest = said.split("\n\n")
    yield f'"""{first}'
    yield ""
    yield from textwrap.wrap(rest, WIDTH) if language == "en" else [rest]
    yield '"""'
    yield ""
    tests = list(tests)
    body = "\n".join(line for one in tests for line in one.lines)
    whole = body + "\n".join(source for one in tests for source in one.probes.values())
    if "importlib." in body:
        yield "import importlib"
        yield ""
    if re.search(r"\btorch\.", whole):
        yield "import torch"
        yield ""
    yield "import comparing as check"
    yield ""
    yield f'EXERCISE = "{exercise.id}"'


def _shared(tests: Any) -> dict[str, str]:
    """The probes that several tests run, by name, where the name always means the same."""
    count: dict[str, list[str]] = {}
    for one in tests:
        for name, source in one.probes.items():
            count.setdefault(name, []).append(source)
    return {
        name: sources[0]
        for name, sources in count.items()
        if len(sources) > 1 and len(set(sources)) == 1
    }


def _name(test_id: str) -> str:
    """A test's name with its case: `test_x[2-3]` becomes `test_x__2_3`."""
    name, _, case = test_id.partition("[")
    case = re.sub(r"\W+", "_", case, flags=re.ASCII).strip("_")
    return f"{name}__{case}" if "[" in test_id else name


def _docstring(said: str) -> Iterator[str]:
    said = " ".join(said.split())
    if len(said) + 10 <= WIDTH:
        yield f'    """{said}"""'
        return
    lines = (
        textwrap.wrap(said, WIDTH - 4, initial_indent='"""') if said.isascii() else [f'"""{said}']
    )
    yield from (f"    {line}" for line in lines)
    yield '    """'


def _source(probe: FunctionType, language: Language) -> str:
    """A probe's text, with its docstring in one language."""
    text = textwrap.dedent(inspect.getsource(probe)).rstrip()
    spoken = show.spoken(probe.__doc__ or "")
    if spoken is None or spoken.en == spoken.zh:
        return text
    return re.sub(
        r'"""(.*?)"""', lambda _: f'"""{spoken.in_(language)}"""', text, count=1, flags=re.DOTALL
    )


def _noun(asked: Asked) -> str:
    """What to call an object: `attention` for what `Attention(…)` made."""
    title = asked.title.removesuffix("(…)").rpartition(".")[2]
    if asked.op == "library" or not re.fullmatch(r"[A-Za-z_]\w*", title):
        title = re.sub(r"\W+", "_", asked.title.rpartition(".")[2]) or "thing"
    noun = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", title).lower().strip("_")
    taken = {"exercise", "given", "torch", "importlib", "check"}
    return f"{noun}_" if noun in taken or not noun.isidentifier() else noun


def _plain(value: Any) -> str:
    """Plain data as Python writes it; what is not finite, by name."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_plain(k)}: {_plain(v)}" for k, v in value.items()) + "}"
    if type(value) is list:
        return "[" + ", ".join(map(_plain, value)) + "]"
    if type(value) is tuple:
        return "(" + ", ".join(map(_plain, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, set) and value:
        return "{" + ", ".join(sorted(map(_plain, value))) + "}"
    if value is None or isinstance(value, bool | int | float | str | bytes | complex | set | slice):
        return repr(value)
    raise Unrecordable(f"a {type(value).__name__} is no data to keep")


def _brief_tensor(value: torch.Tensor) -> str | None:
    """A tensor of a few numbers as one would write it."""
    if value.numel() > LITERAL or value.numel() == 0 or value.dtype.is_complex:
        return None
    said = f"torch.tensor({_plain(_rounded(value))}, dtype={value.dtype})"
    return said if len(said) <= LITERAL else None


def _call(name: str, arguments: Sequence[str]) -> str:
    """A call, on several lines where one is too long."""
    said = f"{name}({', '.join(arguments)})"
    if len(said) <= WIDTH - 12:
        return said
    inner = ", ".join(arguments)
    if len(inner) <= WIDTH - 8:
        return f"{name}(\n    {inner}\n)"
    return "\n".join([f"{name}(", *(f"    {one}," for one in arguments), ")"])


def _holds(value: Any, kind: type) -> bool:
    """Whether something of a kind is in a value, or is it."""
    if isinstance(value, dict):
        return any(_holds(one, kind) for one in value.values())
    if isinstance(value, list | tuple):
        return any(_holds(one, kind) for one in value)
    return isinstance(value, kind)


def _path(answer: Any, part: Any, exact: bool, depth: int = 3) -> str | None:
    """Where in an answer a part of it stands: `[0]`, `['x']`; empty for all of it."""
    if answer is part and (exact or not isinstance(part, bool | int | str | type(None))):
        return ""
    if not exact and type(answer) is type(part) and not _holds(part, torch.Tensor):
        try:
            if bool(answer == part):
                return ""
        except Exception:
            return None
    if depth == 0:
        return None
    pairs: list[tuple[Any, Any]] = []
    if isinstance(answer, list | tuple):
        pairs = list(enumerate(answer))
    elif isinstance(answer, dict):
        pairs = list(answer.items())
    for key, one in pairs:
        path = _path(one, part, exact, depth - 1)
        if path is not None:
            return f"[{key!r}]{path}"
    return None


# ---- the data


def pack(value: Any) -> Any:
    """A value as JSON can hold it; `comparing.py` of the student edition reads it."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, list):
        return [pack(one) for one in value]
    if isinstance(value, tuple):
        return {"tuple": [pack(one) for one in value]}
    if isinstance(value, dict):
        return {"dict": [[pack(key), pack(one)] for key, one in value.items()]}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, set):
        return {"set": sorted((pack(one) for one in value), key=json.dumps)}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, torch.Tensor):
        flat = torch.view_as_real(value) if value.dtype.is_complex else value
        numbers = _rounded(flat.reshape(-1))
        assert isinstance(numbers, list)
        return {
            "tensor": str(value.dtype).removeprefix("torch."),
            "shape": list(value.shape),
            "values": [
                str(one) if isinstance(one, float) and not math.isfinite(one) else one
                for one in numbers
            ],
        }
    raise Unrecordable(f"a {type(value).__name__} is no data to keep")


_DIGITS = {torch.float32: 9, torch.float16: 5, torch.bfloat16: 4}  # bring each number back exactly


def _rounded(value: torch.Tensor) -> Any:
    """The numbers of a tensor, in as few digits as bring them back."""
    digits = _DIGITS.get(value.dtype)
    numbers = value.tolist()
    if digits is None:
        return numbers

    def short(one: Any) -> Any:
        if isinstance(one, list):
            return [short(part) for part in one]
        return float(f"{one:.{digits}g}")

    return short(numbers)


def _entries(values: Mapping[str, Any]) -> str:
    return ",\n".join(f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in values.items())
