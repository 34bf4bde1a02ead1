"""Modules from texts: a submission's files find each other, and nothing that is not theirs."""

from __future__ import annotations

import importlib
import linecache
import marshal
import sys
import textwrap
import traceback
from types import CodeType, ModuleType

import pytest
import torch

from grader.sandbox.modules import Blocked, Finder, Source, installed, load


def source(path: str, code: str) -> Source:
    return Source(path.removesuffix(".py").replace("/", "."), path, textwrap.dedent(code))


def load_one(name: str, *sources: Source, forbid: bool = True) -> ModuleType:
    return load(Finder(sources, forbid=forbid), [name])[name]


def test_the_files_of_a_submission_import_each_other():
    rotary = source("ch5/rotary.py", "def turn(x): return -x")
    attention = source("ch5/attention.py", "from ch5.rotary import turn\nanswer = turn(1)")
    assert load_one("ch5.attention", attention, rotary).answer == -1


def test_the_files_of_a_submission_import_each_other_relatively():
    rotary = source("ch5/rotary.py", "angle = 3")
    attention = source("ch5/attention.py", "from .rotary import angle")
    assert load_one("ch5.attention", attention, rotary).angle == 3


def test_a_file_may_be_imported_by_a_file_of_another_chapter():
    norm = source("ch2/norm.py", "eps = 0.5")
    layer = source("ch5/layer.py", "import ch2.norm\neps = ch2.norm.eps")
    assert load_one("ch5.layer", layer, norm).eps == 0.5


def test_a_file_that_is_missing_is_told_by_the_path_that_a_learner_knows():
    with pytest.raises(ModuleNotFoundError, match=r"no ch5/rotary\.py in this submission"):
        load_one("ch5.attention", source("ch5/attention.py", "import ch5.rotary"))


@pytest.mark.parametrize(
    "line",
    [
        "import happyllm",
        "from happyllm.llama.attention import repeat_kv",
        "import grader.suites.ch5.test_repeat_kv",
        "from solutions.ch5 import repeat_kv",
        "import exercises",
        "__import__('happyllm.llama')",
        "import importlib; importlib.import_module('happyllm')",
    ],
)
def test_what_holds_the_answers_is_refused(line, monkeypatch):
    for name in [n for n in sys.modules if n.startswith(("happyllm", "grader.suites"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "grader", raising=False)
    with pytest.raises(Blocked, match="not yours to import"):
        load_one("ch5.cheat", source("ch5/cheat.py", line))


def test_trusted_code_may_import_what_holds_the_answers():
    trusted = source("ch5/it.py", "from happyllm.llama.attention import repeat_kv")
    assert callable(load_one("ch5.it", trusted, forbid=False).repeat_kv)


@pytest.mark.parametrize("name", ["torch", "math", "conftest"])
def test_a_file_named_like_a_library_does_not_take_its_place(name):
    impostor = source(f"ch5/{name}.py", "real = False")
    it = source("ch5/it.py", "import torch, math\nreal = (torch.__name__, math.__name__)")
    assert load_one("ch5.it", it, impostor).real == ("torch", "math")


def test_a_file_named_like_a_library_is_found_by_its_own_name():
    impostor = source("ch5/torch.py", "real = False")
    it = source("ch5/it.py", "from ch5 import torch\nreal = torch.real")
    assert load_one("ch5.it", it, impostor).real is False


def test_a_traceback_shows_the_lines_of_the_submission():
    it = source("ch5/it.py", "def f():\n    return 1 / 0  # here\n")
    module = load_one("ch5.it", it)
    try:
        module.f()
    except ZeroDivisionError:
        said = traceback.format_exc()
    assert 'File "ch5/it.py", line 2, in f' in said
    assert "return 1 / 0  # here" in said


def test_the_source_of_a_submission_is_at_hand_for_inspect():
    code = "def f():\n    return 1\n"
    finder = Finder([source("ch5/it.py", code)])
    assert finder.get_source("ch5.it") == code


SOLUTION = '''
"""A secret docstring."""
def turn(x):
    """A secret statement."""
    # a secret comment
    return -x  # another
'''


def strings(code: CodeType) -> list[str]:
    found = [one for one in code.co_consts if isinstance(one, str)]
    for one in code.co_consts:
        if isinstance(one, CodeType):
            found += strings(one)
    return found


def test_a_compiled_solution_works():
    assert load_one("ch5.it", source("ch5/it.py", SOLUTION).compiled()).turn(2) == -2


def test_a_compiled_solution_holds_neither_its_text_nor_its_docstrings():
    compiled = source("ch5/it.py", SOLUTION).compiled()
    assert isinstance(compiled.code, bytes)
    assert not [text for text in strings(marshal.loads(compiled.code)) if "secret" in text]
    assert b"secret" not in compiled.code


def test_a_compiled_solution_leaves_no_lines_to_read():
    linecache.cache.pop("<ch5.it>", None)
    finder = Finder([source("ch5/it.py", SOLUTION).compiled()])
    assert finder.get_source("ch5.it") is None
    assert "<ch5.it>" not in linecache.cache


def test_compiling_twice_changes_nothing():
    once = source("ch5/it.py", SOLUTION).compiled()
    assert once.compiled() is once


def test_dataclasses_work_with_annotations_from_the_future():
    it = source(
        "ch5/it.py",
        """
        from __future__ import annotations
        from dataclasses import dataclass, field
        from typing import ClassVar, get_type_hints

        @dataclass(frozen=True)
        class Config:
            kind: ClassVar[str] = "small"
            dim: int = 4
            parts: list[int] = field(default_factory=list)
        hints = get_type_hints(Config)
        """,
    )
    module = load_one("ch5.it", it)
    assert module.Config(dim=8) == module.Config(dim=8)
    with installed(Finder([it])):
        assert importlib.import_module("ch5.it").hints["dim"] is int


def test_the_future_of_this_file_does_not_reach_the_submission():
    it = source("ch5/it.py", "def f(x: int): ...\nkind = f.__annotations__['x']")
    assert load_one("ch5.it", it).kind is int


# ---- no trace is left


def test_loading_leaves_the_process_as_it_was():
    modules, finders = dict(sys.modules), list(sys.meta_path)
    load_one("ch5.it", source("ch5/it.py", "import ch5.other"), source("ch5/other.py", ""))
    assert sys.modules == modules
    assert sys.meta_path == finders


def test_loading_that_fails_leaves_the_process_as_it_was():
    modules, finders = dict(sys.modules), list(sys.meta_path)
    with pytest.raises(ZeroDivisionError):
        load_one(
            "ch5.it", source("ch5/it.py", "import ch5.other\n1 / 0"), source("ch5/other.py", "")
        )
    assert sys.modules == modules
    assert sys.meta_path == finders


def test_a_module_of_the_same_name_is_back_afterwards(monkeypatch):
    mine = ModuleType("ch5.it")
    monkeypatch.setitem(sys.modules, "ch5.it", mine)
    theirs = load_one("ch5.it", source("ch5/it.py", "x = 1"))
    assert theirs is not mine
    assert sys.modules["ch5.it"] is mine


def test_two_submissions_in_a_process_do_not_meet():
    first = load_one("ch5.it", source("ch5/it.py", "x = 1"))
    second = load_one("ch5.it", source("ch5/it.py", "x = 2"))
    assert (first.x, second.x) == (1, 2)


def test_libraries_stay_the_same_objects():
    it = load_one("ch5.it", source("ch5/it.py", "import torch"))
    assert it.torch is torch
