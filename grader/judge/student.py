"""The `student` that a suite talks to: calls go to the room, plain values or handles come back.

Every call is written down with its answer, so that a failure can show the call that led to it and a
known mistake can be put to the same questions.
"""

from __future__ import annotations

import builtins
import contextlib
import dis
import functools
import inspect
import io
import marshal
import os
import random
import re
import selectors
import signal
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any, Protocol

import torch

from grader.report import Frame, Origin, Variable
from grader.sandbox import wire
from grader.sandbox.jail import Limits
from grader.sandbox.nursery import Lease, NurseryError
from grader.sandbox.spawned import SpawnLease
from grader.sandbox.worker import (
    MAX_BASES,
    MAX_FRAMES,
    MAX_LINE,
    MAX_NAME,
    MAX_TEXT,
    OUT_OF_MEMORY,
    Room,
)

PROBE_NAMES = {"torch"}
START_S = 120.0  # how long a spawned worker may take to import what it needs
MAX_VARIABLES, MAX_VARIABLE, MAX_OPERATION = 8, 80, 80  # of what the room says of a line
RECENT = 2000  # bytes of what is printed are kept for each test besides
LAST = 1 << 15  # a crash names all modules that were loaded
ORIGIN_SECONDS = 2.0
FATAL = "Fatal Python error: "  # what the interpreter says of its own crash
ABORTED = f"{FATAL}Aborted"


# ---- what can go wrong in the room


class StudentFailure(Exception):
    """Something ended a call to the learner's code."""


@dataclass
class Raised(StudentFailure):
    """The learner's code raised an exception; this describes it, and is not it."""

    type: str
    bases: tuple[str, ...]
    message: str
    frames: tuple[Frame, ...]

    def is_a(self, name: str) -> bool:
        return name == self.type or name in self.bases

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


class TimedOut(StudentFailure):
    """The learner's code used up its time and was killed."""


class OutOfMemory(StudentFailure):
    """The learner's code used up its memory."""


@dataclass
class Died(StudentFailure):
    """The worker ended in the middle of a call: a crash, or an exit."""

    status: int
    signal: int

    def __str__(self) -> str:
        if self.signal:
            return f"signal {self.signal}, {signal.strsignal(self.signal)}"
        return f"exit status {self.status}"


class BadAnswer(StudentFailure):
    """What came over the wire is no answer to what was asked."""


# ---- the two ways to a room


class Backend(Protocol):
    """Carries encoded requests to a room and its answers back."""

    def ask(self, body: bytes) -> bytes: ...

    def aside(self, seconds: float) -> AbstractContextManager[None]:
        """For what is asked beside the tests: it has time of its own, and is not heard to print."""
        ...


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()):
        yield


class LocalBackend:
    """A room in this very process, with random numbers of its own, as a worker has them.

    It serves `--debug`, and trusted code.
    """

    def __init__(self, room: Room):
        self.room = room
        self.chance = chance()

    def ask(self, body: bytes) -> bytes:
        ours = chance()
        set_chance(self.chance)
        try:
            return self.room.answer(body)
        finally:
            self.chance = chance()
            set_chance(ours)

    def aside(self, seconds: float) -> AbstractContextManager[None]:
        return _unheard()


Chance = tuple[Any, torch.Tensor]


def chance() -> Chance:
    """Where this process's random numbers stand."""
    return random.getstate(), torch.random.get_rng_state()


def set_chance(state: Chance) -> None:
    """Put this process's random numbers back to where they stood."""
    random.setstate(state[0])
    torch.random.set_rng_state(state[1])


@dataclass
class Output:
    """What a worker printed, up to a limit; and the beginning of what it printed of late."""

    limit: int
    kept: bytearray = field(default_factory=bytearray)
    dropped: int = 0
    recent: bytearray = field(default_factory=bytearray)
    recent_dropped: int = 0
    last: bytes = b""
    deaf: bool = False  # what comes is neither kept nor counted

    def add(self, data: bytes) -> None:
        if self.deaf:
            return
        room = max(0, self.limit - len(self.kept))
        self.kept += data[:room]
        self.dropped += max(0, len(data) - room)
        room = max(0, min(RECENT, self.limit) - len(self.recent))
        self.recent += data[:room]
        self.recent_dropped += max(0, len(data) - room)
        self.last = (self.last + data)[-LAST:]

    def begin(self) -> None:
        """From here on what is printed is of late."""
        self.recent, self.recent_dropped, self.last = bytearray(), 0, b""

    def text(self) -> str:
        return self.kept.decode("utf-8", "replace")


class WorkerBackend:
    """A jailed worker. It has `time_s` seconds for all that it is asked, and is killed then."""

    def __init__(self, lease: Lease, limits: Limits, time_s: float, output: Output):
        self.lease = lease
        self.left_s = time_s
        self.since = time.monotonic()
        self.output = output
        self.link, theirs = socket.socketpair()
        self.pipe, pipe_in = os.pipe()
        os.set_blocking(self.pipe, False)
        self.link.setblocking(False)
        self.frames = wire.Frames()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.link, selectors.EVENT_READ)
        self.selector.register(self.pipe, selectors.EVENT_READ)
        try:
            self.number: int | None = lease.fork_worker(theirs, pipe_in, limits)
        except BaseException:
            self._hang_up()
            raise
        finally:
            theirs.close()
            os.close(pipe_in)
        try:
            ready = wire.decode(self._receive())
        except StudentFailure as failure:  # no line of anybody's code has run yet
            self.close()
            said = output.text()
            raise NurseryError(
                f"a worker ended before it was ready ({failure})\n{said}"
            ) from failure
        self.isolation: str = ready["isolation"]
        self.refused: str = ready["refused"]

    def ask(self, body: bytes) -> bytes:
        if self.number is None:
            raise TimedOut if self.left_s <= 0 else BadAnswer
        self.since = time.monotonic()
        try:
            self._send(wire.frame(body))
            return self._receive()
        except wire.WireError as error:
            self.close()
            raise BadAnswer(str(error)) from error

    def aside(self, seconds: float) -> AbstractContextManager[None]:
        return _on_other_time(self, seconds)

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self.link.send(view) :]
            except BlockingIOError:
                self.selector.modify(self.link, selectors.EVENT_READ | selectors.EVENT_WRITE)
                self._wait()
                self.selector.modify(self.link, selectors.EVENT_READ)
            except OSError:
                self._died()

    def _receive(self) -> bytes:
        while True:
            for key in self._wait():
                if key.fileobj is not self.link:
                    continue
                try:
                    data = self.link.recv(1 << 18)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if not data:
                    self._died()
                bodies = list(self.frames.feed(data))
                if len(bodies) > 1 or (bodies and self.frames.buffer):
                    raise wire.WireError("more came than was asked for")
                if bodies:
                    self._drain()
                    return bodies[0]

    def _wait(self) -> list[selectors.SelectorKey]:
        """Wait for the link, meanwhile reading what is printed.

        The clock runs from the question to the whole answer, and what is done here to read it
        counts: else an answer that comes byte by byte would cost its sender next to nothing. What
        has come by the end of the time is read, and no more: a judge may have been kept waiting.
        """
        events = [] if self.left_s <= 0 else self.selector.select(self.left_s)
        if any(key.fileobj == self.pipe for key, _ in events):
            self._drain(at_most=16)
        now = time.monotonic()
        self.left_s -= now - self.since
        self.since = now
        if self.left_s <= 0 and not any(key.fileobj is self.link for key, _ in events):
            self.close()
            raise TimedOut
        return [key for key, _ in events]

    def _drain(self, at_most: int = 4096) -> None:
        for _ in range(at_most):
            try:
                data = os.read(self.pipe, 1 << 16)
            except OSError:
                return
            if not data:
                if self.pipe in self.selector.get_map():
                    self.selector.unregister(self.pipe)
                return
            self.output.add(data)

    def _died(self) -> None:
        ending = self.close()
        if ending.status == OUT_OF_MEMORY:
            raise OutOfMemory
        if ending.signal == signal.SIGSEGV and ABORTED.encode() in self.output.last:
            # The first process of a PID namespace cannot end by SIGABRT: abort() then faults.
            raise Died(0, int(signal.SIGABRT))
        raise Died(ending.status, ending.signal)

    def close(self) -> Any:
        """Kill the worker and all its children; say how it ended."""
        if self.number is None:
            return None
        number, self.number = self.number, None
        try:
            ending = self.lease.end_worker(number)
            self._drain()
        finally:
            self._hang_up()
        return ending

    def _hang_up(self) -> None:
        self.selector.close()
        self.link.close()
        os.close(self.pipe)


class SpawnedBackend:
    """A worker that was spawned, behind two pipes. It is asked and killed as a jailed one is."""

    def __init__(self, lease: SpawnLease, limits: Limits, time_s: float, output: Output):
        self.output = output
        self.frames = wire.Frames()
        self.worker = lease.take()
        self.number: int | None = 0
        self.left_s = START_S  # it may still import torch, which is not the learner's time
        self.worker.begin(limits, output.add)
        try:
            ready = wire.decode(self._receive())
        except StudentFailure as failure:
            self.close()
            said = output.text()
            raise NurseryError(
                f"a worker ended before it was ready ({failure})\n{said}"
            ) from failure
        self.left_s = time_s
        self.isolation: str = ready["isolation"]
        self.refused: str = ready["refused"]

    def ask(self, body: bytes) -> bytes:
        if self.number is None:
            raise TimedOut if self.left_s <= 0 else BadAnswer
        try:
            self.worker.send(wire.frame(body))
            return self._receive()
        except wire.WireError as error:
            self.close()
            raise BadAnswer(str(error)) from error

    def _receive(self) -> bytes:
        since = time.monotonic()
        while True:
            data = self.worker.receive(self.left_s) if self.left_s > 0 else None
            now = time.monotonic()
            self.left_s -= now - since
            since = now
            if data is None:
                self.left_s = 0.0
                self.close()
                raise TimedOut
            if not data:
                ending = self.close()
                if ending.status == OUT_OF_MEMORY:
                    raise OutOfMemory
                raise Died(ending.status, ending.signal)
            bodies = list(self.frames.feed(data))
            if len(bodies) > 1 or (bodies and self.frames.buffer):
                raise wire.WireError("more came than was asked for")
            if bodies:
                return bodies[0]

    def aside(self, seconds: float) -> AbstractContextManager[None]:
        return _on_other_time(self, seconds)

    def close(self) -> Any:
        """Kill the worker and its group; say how it ended."""
        if self.number is None:
            return None
        self.number = None
        return self.worker.kill()


AnyLease = Lease | SpawnLease


@contextlib.contextmanager
def _on_other_time(worker: WorkerBackend | SpawnedBackend, seconds: float) -> Iterator[None]:
    left, worker.left_s = worker.left_s, min(worker.left_s, seconds)
    worker.output.deaf = True
    try:
        yield
    finally:
        worker.left_s = left
        worker.output.deaf = False


def open_worker(
    lease: AnyLease, limits: Limits, time_s: float, output: Output
) -> WorkerBackend | SpawnedBackend:
    """A worker of the kind that the lease gives.

    Raises:
        NurseryError: it cannot be started.
    """
    if isinstance(lease, SpawnLease):
        return SpawnedBackend(lease, limits, time_s, output)
    return WorkerBackend(lease, limits, time_s, output)


# ---- what a suite sees


@dataclass(frozen=True)
class Asked:
    """One request as it was made, and what was answered: a value, or a failure.

    The arguments are those that were sent: a suite may change its own tensors afterwards.

    Attributes:
        sent, came: the request and the reply as they went over the wire; nothing came where the
            worker ended.
    """

    op: str
    on: Any
    name: str | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    answer: Any
    title: str = ""
    parameters: tuple[str, ...] = ()
    code: bytes | None = None
    sent: bytes = b""
    came: bytes = b""


class Student:
    """The learner's file, as a suite sees it: `student.repeat_kv(x, 3)`."""

    def __init__(self, backend: Backend, names: Iterable[str], file: str):
        self._backend = backend
        self._names = frozenset(names)
        self._file = file
        self._requests = 0
        self._log: list[Asked] = []
        self._seen: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._seen:
            self._seen[name] = self._ask("get", None, name, title=name)
        return self._seen[name]

    def run(self, probe: FunctionType, *args: Any, **kwargs: Any) -> Any:
        """Run a probe of the suite in the room: `probe(module, *args)`, where torch is at hand.

        A probe is one plain function: it closes over nothing, asserts nothing, and uses no global
        but `torch`. The same probe runs on the reference in the judge, for what is expected. Its
        docstring is what a learner sees of it: the calls that it makes, `RMSNorm(dim, eps)(x)`.
        """
        code = portable(probe)
        title = (probe.__doc__ or probe.__name__).strip()
        names = tuple(inspect.signature(probe).parameters)[1:]
        return self._ask(
            "probe", None, None, args, kwargs, title=title, code=code, parameters=names
        )

    def lib(self, name: str) -> Any:
        """A module in the room: a library (`torch.nn`) or a required exercise (`ch5.config`)."""
        return self._ask("library", None, name, title=name)

    def seed(self, number: int) -> None:
        """Set every source of chance in the room."""
        self._ask("seed", None, None, (number,), title="seed")

    def _ask(
        self,
        op: str,
        on: Any,
        name: str | None = None,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        title: str,
        code: bytes | None = None,
        parameters: tuple[str, ...] = (),
    ) -> Any:
        self._requests += 1
        number = self._requests
        request = {"id": number, "op": op, "on": on, "name": name, "args": args}
        body = wire.encode(request | {"kwargs": kwargs or {}, "code": code}, _handle_of)
        made = f"{title}(…)" if op == "call" else title
        sent = as_sent(args), as_sent(kwargs or {})
        came = b""
        try:
            came = self._backend.ask(body)
            answer = self._understood(came, number, made)
        except wire.WireError as error:
            answer = BadAnswer(str(error))
        except StudentFailure as failure:
            answer = failure
        entry = Asked(op, on, name, *sent, answer, title, parameters, code, body, came)
        self._log.append(entry)
        if isinstance(answer, StudentFailure):
            raise answer
        return answer

    def _ask_again(self, asked: Asked) -> Any:
        """Put a request as it was put before; where the same bytes come, it is the same answer.

        A failure is returned, and not raised. The requests before it must have been put again too.
        """
        self._requests += 1
        try:
            came = self._backend.ask(asked.sent)
            if came == asked.came:
                return asked.answer
            made = f"{asked.title}(…)" if asked.op == "call" else asked.title
            return self._understood(came, self._requests, made)
        except wire.WireError as error:
            return BadAnswer(str(error))
        except StudentFailure as failure:
            return failure

    def _understood(self, came: bytes, number: int, made: str) -> Any:
        """The value in a reply, or the failure that it describes, raised."""
        return _unfold(wire.decode(came, lambda handle: Remote(self, handle, made)), number)


def told_by(came: bytes, asked: Asked) -> Any:
    """The value in a reply to a request, or the failure that it describes; nobody is asked."""
    nobody = Student(_Nobody(), (), "")
    try:
        return nobody._understood(came, wire.decode(asked.sent)["id"], asked.title)
    except wire.WireError as error:
        return BadAnswer(str(error))
    except StudentFailure as failure:
        return failure


class _Nobody:
    """Stands where a room would, for replies that have come already."""

    def ask(self, body: bytes) -> bytes:
        raise BadAnswer("nobody is there to be asked")

    def aside(self, seconds: float) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


def as_sent(value: Any) -> Any:
    """Arguments as they are now: each tensor among them is copied, all else is as it was."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if type(value) in (list, tuple):
        return type(value)(as_sent(one) for one in value)
    if type(value) is dict:
        return {key: as_sent(one) for key, one in value.items()}
    return value


def origin(student: Student, asked: Asked, wanted: str) -> Origin | None:
    """Have the room make a request again, and tell which operation made the first NaN.

    What it tells is a hint: the learner's own process says so. None where it says nothing of use.

    Args:
        student: who was asked.
        asked: the request.
        wanted: `nan` or `inf`.
    """
    request = {"op": asked.op, "on": asked.on, "name": asked.name, "args": asked.args}
    request |= {"kwargs": asked.kwargs, "code": asked.code}
    student._requests += 1
    number = student._requests
    order = {"id": number, "op": "origin", "on": None, "name": None, "args": (), "kwargs": {}}
    try:
        body = wire.encode(order | {"request": request, "wanted": wanted}, _handle_of)
        with student._backend.aside(ORIGIN_SECONDS):
            said = _unfold(wire.decode(student._backend.ask(body)), number)
    except (StudentFailure, wire.WireError):
        return None
    return _origin(said)


def _origin(said: Any, depth: int = 1) -> Origin | None:
    """What the room says of an operation, checked field by field."""
    if type(said) is not dict or type(said.get("operation")) is not str:
        return None
    operation = re.sub(r"[^\w.+*/@()-]", "", said["operation"], flags=re.ASCII)[:MAX_OPERATION]
    if not operation or said.get("value") not in ("nan", "inf"):
        return None
    source = _origin(said.get("source"), depth - 1) if depth else None
    return Origin(said["value"], operation, _frame(said.get("frame")), source)


class Remote:
    """An object that stays in the room. It can be called and asked for attributes and items."""

    def __init__(self, student: Student, handle: wire.Handle, title: str):
        object.__setattr__(self, "_student", student)
        object.__setattr__(self, "_handle", handle)
        object.__setattr__(self, "_title", title)

    _student: Student
    _handle: wire.Handle
    _title: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._student._ask("call", self, None, args, kwargs, title=self._title)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._student._ask("get", self, name, title=f"{self._title}.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        self._student._ask("set", self, name, (value,), title=f"{self._title}.{name}")

    def __getitem__(self, key: Any) -> Any:
        return self._student._ask("item", self, None, (key,), title=f"{self._title}[{key!r}]")

    def __setitem__(self, key: Any, value: Any) -> None:
        self._student._ask("put", self, None, (key, value), title=f"{self._title}[{key!r}]")

    def __iter__(self) -> Iterator[Any]:
        return iter(self._student._ask("items", self, title=f"iter({self._title})"))

    def __len__(self) -> int:
        length: int = self._student._ask("length", self, title=f"len({self._title})")
        return length

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<{self._handle.type}>"


def _handle_of(value: Any) -> wire.Handle:
    if isinstance(value, Remote):
        return value._handle
    raise TypeError(f"a suite may not send a {type(value).__name__} to the room")


def _unfold(reply: Any, number: int) -> Any:
    """The value in a reply, or the failure that it describes. Nothing in it is taken on trust."""
    if type(reply) is not dict or type(reply.get("id")) is not int or reply["id"] != number:
        raise BadAnswer("an answer to something that was not asked")
    if "raised" in reply:
        raise raised(reply["raised"])
    if "value" not in reply:
        raise BadAnswer("an answer without a value")
    return reply["value"]


def raised(said: Any) -> StudentFailure:
    """The exception that the room describes, checked field by field."""
    if type(said) is not dict:
        return BadAnswer("an exception without a description")
    bases, entries, message = said.get("bases"), said.get("frames"), said.get("message")
    told = entries[-MAX_FRAMES:] if type(entries) is list else []
    frames = [frame for entry in told if (frame := _frame(entry)) is not None]
    failure = Raised(
        type=said["type"][:MAX_NAME] if type(said.get("type")) is str else "Exception",
        bases=tuple(b[:MAX_NAME] for b in bases[:MAX_BASES] if type(b) is str)
        if type(bases) is list
        else (),
        message=message[:MAX_TEXT] if type(message) is str else "",
        frames=tuple(frames),
    )
    if failure.is_a("MemoryError") or "can't allocate memory" in failure.message:
        return OutOfMemory(failure.message)
    return failure


def _frame(entry: Any) -> Frame | None:
    """A line of the learner's code as the room describes it, if it does."""
    if type(entry) is not list or [type(part) for part in entry[:4]] != [str, int, str, str]:
        return None
    file, line, function, text = entry[:4]
    if not 0 <= line < 1 << 31:
        return None
    span, told = entry[4:] if len(entry) == 6 else (None, [])
    text = text[:MAX_LINE]
    good = type(span) is list and [type(part) for part in span] == [int, int]
    if not good or not 0 <= span[0] < span[1] <= len(text):
        span = None
    variables = [
        Variable(pair[0][:MAX_VARIABLE], pair[1][:MAX_VARIABLE])
        for pair in (told[:MAX_VARIABLES] if type(told) is list else [])
        if type(pair) is list and [type(part) for part in pair] == [str, str]
    ]
    return Frame(
        file[:MAX_NAME],
        line,
        function[:MAX_NAME],
        text,
        tuple(span) if span else None,
        tuple(variables),
    )


def portable(probe: FunctionType) -> bytes:
    """A probe's compiled code, without its text.

    Raises:
        TypeError: it reaches outside itself.
    """
    code = probe.__code__
    outside = _globals(code) - PROBE_NAMES - vars(builtins).keys()
    if code.co_freevars or outside or probe.__defaults__ or probe.__kwdefaults__:
        names = ", ".join(sorted(outside | set(code.co_freevars))) or "default arguments"
        raise TypeError(f"the probe {probe.__name__} reaches outside itself: {names}")
    return _marshalled(code)


@functools.lru_cache(maxsize=4096)  # the bytes of one code are not the same each time
def _marshalled(code: CodeType) -> bytes:
    return marshal.dumps(code.replace(co_filename="<probe>"))


@functools.lru_cache(maxsize=512)  # a suite runs again and again while it is checked
def _globals(code: CodeType) -> frozenset[str]:
    """The global names that code uses, and the functions and comprehensions in it."""
    used: dict[str, set[str]] = {}
    for step in dis.get_instructions(code):
        used.setdefault(step.opname, set()).add(step.argval)
    names = used.get("LOAD_GLOBAL", set()) | used.get("LOAD_NAME", set())
    names -= used.get("STORE_NAME", set())  # of a class in the probe
    inner = (_globals(one) for one in code.co_consts if isinstance(one, CodeType))
    return frozenset(names.union(*inner))
