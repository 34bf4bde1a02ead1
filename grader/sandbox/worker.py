"""The worker: it holds a learner's code and carries out the judge's requests on it.

A request is a small table: `op`, the object it concerns (a handle, or none for the learner's
module), a name, arguments. The answer is a value, handles for what is no data, or an exception
described. The same `Room` serves in the judge's own process, for `--debug` and for known mistakes.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import itertools
import linecache
import marshal
import os
import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType, TracebackType
from typing import Any

from . import wire, witness
from .modules import Blocked, Finder, Source, forget, installed

MAX_ITEMS = 100_000
MAX_HANDLES = 65_536
MAX_TEXT = 4_000
MAX_FRAMES = 12
MAX_NAME = 200
MAX_LINE = 400
MAX_BASES = 20
TOLD_FRAMES = 3  # of so many of the innermost frames it is told what the names stood for
OUT_OF_MEMORY = 86  # the exit status of a worker that has none left to say so


class Room:
    """The learner's module and the objects made from it, and what may be done with them."""

    def __init__(
        self,
        target: str,
        modules: Mapping[str, ModuleType],
        sources: Mapping[str, str],
        finder: Finder | None = None,
    ):
        self.target = target
        self.modules = dict(modules)
        self.finder = finder  # where it is installed only while something is imported
        self.sources = sources  # path -> text, to show the learner's own lines
        self.objects: dict[int, Any] = {}
        self.request = 0
        self.kept = itertools.count()
        self.left = False  # the judge has done with it, and what comes next is another order

    def answer(self, body: bytes, *, brief: bool = False) -> bytes:
        """Carry out one encoded request and encode what came of it.

        Args:
            body: the request.
            brief: of an exception it need not be told where it was raised.
        """
        request: dict[str, Any] = {}
        try:
            request = wire.decode(body, self.resolve, trusted=True)
            self.request, self.kept = request["id"], itertools.count()
            reply = {"id": request["id"], "value": self.perform(request)}
            return wire.encode(reply, self.keep)
        except wire.WireError as error:
            raised: dict[str, Any] = {"type": "WireError", "bases": [], "message": str(error)}
            return wire.encode({"id": request.get("id", 0), "raised": raised})
        except BaseException as error:
            told = describe(error, {} if brief else self.sources)
            return wire.encode({"id": self.request, "raised": told})

    def perform(self, request: Mapping[str, Any]) -> Any:
        op = request["op"]
        on: Any = request["on"] if request.get("on") is not None else self.modules[self.target]
        name: Any = request.get("name")
        args, kwargs = request.get("args", ()), request.get("kwargs", {})
        if op == "get":
            return getattr(on, name)
        if op == "call":
            return (getattr(on, name) if name else on)(*args, **kwargs)
        if op == "set":
            return setattr(on, name, args[0])
        if op == "item":
            return on[args[0]]
        if op == "put":
            on[args[0]] = args[1]
            return None
        if op == "items":
            return list(itertools.islice(iter(on), MAX_ITEMS))
        if op == "length":
            return len(on)
        if op == "library":
            return self.library(name)
        if op == "probe":
            return probe(marshal.loads(request["code"]))(self.modules[self.target], *args, **kwargs)
        if op == "seed":
            return seed(args[0])
        if op == "play":  # several requests at once, each with a reply of its own
            return [self.answer(body, brief=True) for body in request["bodies"]]
        if op == "leave":
            self.left = True
            return None
        if op == "origin":  # of what is not finite in the answer to a request made before
            again = request["request"]
            return witness.origin(lambda: self.perform(again), self.sources, request["wanted"])
        raise wire.WireError(f"no such request: {op}")

    def library(self, name: str) -> ModuleType:
        """A library, or a module of the submission: in a shared process that is not on the path."""
        if name in self.modules:
            return self.modules[name]
        if self.finder is None or not self.finder.owns(name):
            return importlib.import_module(name)
        with installed(self.finder):
            sys.modules.update(self.modules)
            self.modules[name] = importlib.import_module(name)
            return self.modules[name]

    def keep(self, value: Any) -> wire.Handle:
        place = next(self.kept)
        if place >= MAX_HANDLES:  # more would take the numbers of the next request
            raise wire.WireError(f"an answer of over {MAX_HANDLES} objects does not travel")
        number = self.request * MAX_HANDLES + place
        self.objects[number] = value
        kind = type(value)
        module = "" if kind.__module__ in ("builtins", self.target) else f"{kind.__module__}."
        return wire.Handle(number, f"{module}{kind.__qualname__}"[:MAX_NAME])

    def resolve(self, handle: wire.Handle) -> Any:
        return self.objects[handle.id]


def probe(code: CodeType) -> FunctionType:
    """Bring a suite's probe back to life: a function of the learner's module and of plain data."""
    namespace: dict[str, Any] = {"__builtins__": builtins, "__name__": "probe"}
    if _uses(code, "torch"):  # which a room of plain Python need not hold
        import torch

        namespace["torch"] = torch
    return FunctionType(code, namespace)


def _uses(code: CodeType, name: str) -> bool:
    inner = (part for part in code.co_consts if isinstance(part, CodeType))
    return name in code.co_names or any(_uses(part, name) for part in inner)


def seed(number: int) -> None:
    """Start every source of chance that a learner's code may draw from at the same place."""
    random.seed(number)
    if (torch := sys.modules.get("torch")) is not None:
        torch.default_generator.manual_seed(number)  # the processor's; a worker has no other


def describe(error: BaseException, sources: Mapping[str, str]) -> dict[str, Any]:
    """An exception as data: its type, its message, and the learner's own among its frames."""
    try:
        steps = _own_steps(error, sources)[-MAX_FRAMES:]
        frames = [_frame(step) for step in steps]
    except Exception:  # an exception of the learner's may give anything for its traceback
        steps, frames = [], []
    for step, told in [*zip(steps, frames, strict=True)][-TOLD_FRAMES:]:
        told[5] = witness.variables(step.tb_frame, told[3])
    if isinstance(error, SyntaxError) and error.filename in sources and not frames:
        text = error.text or ""
        lead = len(text) - len(text.lstrip())
        start = max(0, (error.offset or 1) - 1 - lead)
        same = error.end_lineno == error.lineno and (error.end_offset or 0) > (error.offset or 1)
        end = (error.end_offset or 0) - 1 - lead if same else start + 1
        entry = [error.filename, error.lineno or 0, "", text.strip()[:MAX_LINE]]
        frames.append([*entry, [start, end], []])
        message = error.msg
    else:
        message = _text(error)
    return {
        "type": type(error).__name__[:MAX_NAME],
        "bases": [base.__name__[:MAX_NAME] for base in type(error).__mro__[1:-1]][:MAX_BASES],
        "message": message[:MAX_TEXT],
        "frames": frames,
    }


def _own_steps(error: BaseException, sources: Mapping[str, str]) -> list[TracebackType]:
    """The steps of a traceback that are in the learner's own files."""
    steps, step = [], error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename in sources:
            steps.append(step)
        step = step.tb_next
    return steps


def _frame(step: TracebackType) -> list[Any]:
    """A step as data: file, line, function, the line's text, its part that failed, no variables."""
    code = step.tb_frame.f_code
    places = itertools.islice(code.co_positions(), step.tb_lasti // 2, None)
    line, end_line, start, end = next(places, (None, None, None, None))
    raw = linecache.getline(code.co_filename, step.tb_lineno)
    span = _span(raw, start, end if end_line == line else None)
    name = code.co_name[:MAX_NAME]
    return [code.co_filename, step.tb_lineno, name, raw.strip()[:MAX_LINE], span, []]


def _span(raw: str, start: int | None, end: int | None) -> list[int] | None:
    """Which characters of a line, stripped of blanks, lie between two places counted in bytes."""
    line, data = raw.strip(), raw.encode("utf-8", "surrogatepass")
    if start is None:
        return None
    lead = len(raw) - len(raw.lstrip())
    places = [len(data[:at].decode("utf-8", "ignore")) - lead for at in (start, end or len(data))]
    first, last = max(0, places[0]), min(len(line), places[1])
    return [first, last] if 0 < last - first < len(line) else None


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as second:
        return f"(its message could not be made: {type(second).__name__})"


def unwritten(text: str, blanks: Iterable[str], path: str = "") -> list[str]:
    """Those of the blanks whose body is still nothing but `raise NotImplementedError`.

    Raises:
        SyntaxError: the text is no Python; it names the `path`.
    """
    found: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    for node in ast.parse(text, path).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                    found[f"{node.name}.{part.name}"] = part
    return [name for name in blanks if name in found and _is_blank(found[name])]


def _is_blank(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if len(body) != 1 or not isinstance(body[0], ast.Raise):
        return False
    raised = body[0].exc.func if isinstance(body[0].exc, ast.Call) else body[0].exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def forbid(name: str) -> tuple[ModuleType, str, Any]:
    """Put in place of a library's function or class one that blocks whoever uses it.

    Returns:
        its module, its name in it, and itself; none where there was nothing of that name.
    """
    path, _, last = name.rpartition(".")
    module = importlib.import_module(path)
    before = getattr(module, last, None)  # a library of another version may not have it

    def refuse(*_: Any, **__: Any) -> None:
        raise Blocked(f"{name} is what this exercise asks you to write", name=name)

    refusal = type(last, (), {"__new__": refuse, "__init_subclass__": classmethod(refuse)})
    setattr(module, last, refusal)
    return module, last, before


@contextlib.contextmanager
def forbidden(names: Iterable[str]) -> Iterator[None]:
    """Forbid some functions for a while."""
    taken = [forbid(name) for name in names]
    try:
        yield
    finally:
        for module, name, before in reversed(taken):
            if before is None:
                delattr(module, name)
            else:
                setattr(module, name, before)


def admit(order: Mapping[str, Any]) -> tuple[Room | None, dict[str, Any]]:
    """Load a submission as the judge ordered; what was loaded before is forgotten.

    Args:
        order: `modules` as [name, path, code] lists, `target`, `blanks`, `names`, `seed`, and
            `forbids`, the library functions that would solve the exercise.

    Returns:
        The room, or none when there is nothing to grade, and the reply: `state` is `loaded`,
        `untouched` or `raised`; `unwritten` and `missing` name parts of the file.
    """
    forget()
    sources = [Source(*entry) for entry in order["modules"]]
    texts = {source.path: source.code for source in sources if isinstance(source.code, str)}
    finder = Finder(sources)
    target = order["target"]
    try:
        source = finder.sources[target]
        blank = unwritten(str(source.code), order["blanks"], source.path)
        if order["blanks"] and blank == order["blanks"]:
            return None, {"state": "untouched", "unwritten": blank, "missing": []}
        for name in order.get("forbids", ()):
            forbid(name)
        seed(order["seed"])
        sys.meta_path.insert(0, finder)
        module = importlib.import_module(target)
    except BaseException as error:
        return None, {"state": "raised", "raised": describe(error, texts)}
    missing = [name for name in order["names"] if not hasattr(module, name)]
    modules = {name: sys.modules[name] for name in finder.sources if name in sys.modules}
    return Room(target, modules, texts), {"state": "loaded", "unwritten": blank, "missing": missing}


def serve(connection: wire.Line) -> None:
    """Answer requests until the judge hangs up. The jail is closed before this begins."""
    room: Room | None = None
    while (body := wire.receive(connection)) is not None:
        if room is None or room.left:
            room, reply = admit(wire.decode(body))
            answer = wire.encode(reply)
        else:
            answer = room.answer(body)
        _flush()
        connection.sendall(wire.frame(answer))
    os._exit(0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # closed or replaced by the learner's code: then there is nothing to show
            continue


def local_room(sources: Iterable[Source], target: str, *, forbid: bool = True) -> Room:
    """A room in this process, over modules of its own. For `--debug` and for trusted code."""
    sources = list(sources)
    finder = Finder(sources, forbid=forbid)
    texts = {source.path: source.code for source in sources if isinstance(source.code, str)}
    with installed(finder):
        importlib.import_module(target)
        for other in finder.sources:  # a suite may ask for what the target itself does not import
            with contextlib.suppress(Exception):
                importlib.import_module(other)
        modules = {name: sys.modules[name] for name in finder.sources if name in sys.modules}
    return Room(target, modules, texts, finder)


__all__ = ["Blocked", "Room", "admit", "describe", "local_room", "probe", "serve", "unwritten"]
