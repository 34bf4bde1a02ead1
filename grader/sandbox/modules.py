"""Modules from texts: a learner's files are imported by name without lying on a path.

`ch5.repeat_kv` comes from the submission, `ch5.rotary` perhaps from the solutions, and nothing that
lies beside the exercise on disk (a `torch.py`, a `conftest.py`) is imported in place of the real.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import marshal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any

# What holds the answers: this project's own packages, and the libraries where what the book
# builds stands finished. The room hides them from `open` too (see `jail`).
OURS = frozenset({"happyllm", "grader", "solutions", "exercises"})
FINISHED = frozenset({"transformers", "tokenizers", "peft", "trl"})
FORBIDDEN = OURS | FINISHED


class Blocked(ImportError):
    """The learner's code reached for something that is not its to use."""


@dataclass(frozen=True)
class Source:
    """One module: its name, the path that people know it by, and its code.

    `code` is the text of a learner's file. A solution that stands in for a requirement comes
    compiled, as marshalled bytes, so that its text is not in the room.
    """

    name: str
    path: str
    code: str | bytes

    def compiled(self) -> Source:
        """The same module without its text or its docstrings."""
        return self if isinstance(self.code, bytes) else _without_text(self.name, self.code)

    def code_object(self) -> CodeType:
        if isinstance(self.code, bytes):
            code: CodeType = marshal.loads(self.code)
            return code
        return _compiled(self.code, self.path)


@functools.lru_cache(maxsize=64)
def _without_text(name: str, text: str) -> Source:
    code = compile(text, f"<{name}>", "exec", dont_inherit=True, optimize=2)
    return Source(name, f"<{name}>", marshal.dumps(code))


@functools.lru_cache(maxsize=64)
def _compiled(text: str, path: str) -> CodeType:
    return compile(text, path, "exec", dont_inherit=True)


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of one submission, and refuses those that hold the answers."""

    def __init__(self, sources: Iterable[Source], *, forbid: bool = True):
        self.sources = {source.name: source for source in sources}
        self.packages = {name.rpartition(".")[0] for name in self.sources} - {""}
        self.forbid = forbid
        for source in self.sources.values():
            if isinstance(source.code, str):
                lines = source.code.splitlines(keepends=True)
                linecache.cache[source.path] = (len(source.code), None, lines, source.path)

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in self.sources:
            origin = self.sources[fullname].path
            spec = importlib.util.spec_from_loader(fullname, self, origin=origin)
            if spec is not None:
                spec.has_location = not origin.startswith("<")
            return spec
        if fullname in self.packages:
            return importlib.util.spec_from_loader(fullname, self, is_package=True)
        root = fullname.partition(".")[0]
        if root in self.packages:
            raise ModuleNotFoundError(
                f"there is no {fullname.replace('.', '/')}.py in this submission", name=fullname
            )
        if self.forbid and root in FORBIDDEN:
            raise Blocked(f"'{root}' is not yours to import here: write it yourself", name=fullname)
        return None

    def create_module(self, spec: Any) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        source = self.sources.get(module.__name__)
        if source is not None:
            exec(source.code_object(), module.__dict__)

    def get_source(self, fullname: str) -> str | None:
        code = self.sources[fullname].code
        return code if isinstance(code, str) else None

    def owns(self, name: str) -> bool:
        return name in self.sources or name in self.packages


def forget() -> None:
    """Take every finder out of this process, and the modules that it has brought."""
    for finder in [one for one in sys.meta_path if isinstance(one, Finder)]:
        sys.meta_path.remove(finder)
        for name in (*finder.sources, *finder.packages):
            sys.modules.pop(name, None)


@contextmanager
def installed(finder: Finder) -> Iterator[None]:
    """Make the finder's modules importable for a while, in a process that has others to protect."""
    names = {*finder.sources, *finder.packages}
    shadowed = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(shadowed)


def load(finder: Finder, names: Iterable[str]) -> dict[str, ModuleType]:
    """Import modules in a fresh set of their own and give them back, leaving no trace behind."""
    with installed(finder):
        return {name: importlib.import_module(name) for name in names}
