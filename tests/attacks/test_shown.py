"""What a hostile submission says is shown as text: no renderer lets any of it take effect."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import pkgutil
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.console import Console

import grader.render
from grader import catalogue, engine, shelf
from grader.catalogue import Text
from grader.render import jsonform, plain, terminal
from grader.report import (
    Argument,
    Failure,
    Frame,
    Graded,
    Mistake,
    Origin,
    Printed,
    Report,
    Test,
    Value,
    Variable,
)

from .conftest import World

KNOWN = catalogue.load()
EXERCISE = KNOWN["ch5/repeat_kv"]

COMMANDS = (
    "::set-output name=grade::100",
    "::add-mask::failed",
    "::stop-commands::x",
    "::error file=judge.py::",
    "##[add-mask]failed",
    "##vso[task.setvariable variable=grade]100",
    "##teamcity[testFinished name='all']",
)
HOSTILE = {
    "colours": "\x1b[2J\x1b[H\x1b[32mpassed\x1b[0m",
    "title": "\x1b]0;passed\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "c1": "\x9b2J\x9d0;passed\x9c\x90q\x9c",
    "overwriting": "failed\rpassed\x08\x08\x08\x7f",
    "line breaks": "a\x0bb\x0cc\x85d\u2028e\u2029f\x1cg",
    "direction": "\u202edessap\u202c \u2066x\u2069 \u200b\ufeff",
    "halves": "\ud800 \udfff",
    "nul": "a\x00b",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)></pre></td><!--",
    "xml": "]]></system-out><testcase name='x'/><!ENTITY x SYSTEM 'file:///etc/passwd'> &amp;",
    "markdown": "| a | b |\n```\n# passed\n[x](http://e.example) ![](http://e.example/p.png)\n</details>",
    "rich": "[bold red]x[/] [link=http://evil.example]y[/link] :smile: [/]",
    "formula": "=HYPERLINK(\"http://evil.example\")\n+1+cmd|' /C calc'!A0\n@SUM(1)\n-1",
    "commands": "\n".join(COMMANDS),
    "commands after blanks": "\n".join(f" \t  {one}" for one in COMMANDS),
    "commands in a line": " ".join(f"x {one}" for one in COMMANDS),
    **{f"a command broken at {n}": "y" * n + "::add-mask::failed" for n in range(30, 100)},
}


def hostile(text: str) -> Report:
    """A report in which a student's text stands wherever it may."""
    value = Value(text=text, type="Tensor", shape=(2,), dtype="float32")
    claim = Text("a claim", "一个断言")
    frame = Frame(text, 3, text, text, (0, max(1, len(text))), (Variable(text, text),))
    failure = Failure(
        kind="exception",
        message=Text(en=f"ch5/repeat_kv.py raised {text}", zh=text),
        call=f"repeat_kv({text})",
        arguments=(Argument(name="x", value=value),),
        expected=value,
        got=value,
        frames=(frame,),
        origin=Origin("nan", text, frame, Origin("inf", text, frame)),
    )
    graded = [
        Graded(
            id=exercise.id,
            section=exercise.section,
            title=exercise.title,
            file=exercise.file,
            outcome="error",
            points=0,
            points_possible=5,
            duration_s=0.1,
            isolation="namespaces+landlock",
            tests=(
                Test("test_x", claim, "error", 0.1, failure, text, Printed(text, 3)),
                Test("test_y", claim, "passed", 0.1, None, "n=2"),
            ),
            failure=failure,
            printed=Printed(text, 3),
            mistake=Mistake("tiled", Text("a mistake", "一个错误")) if with_mistake else None,
        )
        for exercise in (EXERCISE, KNOWN["ch5/rms_norm"])
        for with_mistake in (False, True)
    ]
    return Report(1, "0", "3", "2", 1, "namespaces+landlock", 0.1, tuple(graded), EXERCISE.id)


# ---- the renderers


def on_a_terminal(report: Report, language: Any, width: int = 80) -> str:
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, width=width, highlight=False, markup=False, emoji=False
    )
    console.print(terminal.render(report, language))
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())


def on_a_narrow_terminal(report: Report, language: Any) -> str:
    return on_a_terminal(report, language, 40)


def as_json(report: Report, language: Any) -> str:
    return jsonform.render(report)


RENDERERS: dict[str, Callable[[Report, Any], str]] = {
    "terminal": on_a_terminal,
    "narrow": on_a_narrow_terminal,
    "plain": plain.render,
    "json": as_json,
}


def _others() -> dict[str, Callable[[Report, Any], str]]:
    """Renderers that have come since: whatever in grader.render has a `render`."""
    found = {}
    for module in pkgutil.iter_modules(grader.render.__path__):
        if module.name in ("terminal", "plain", "jsonform"):
            continue
        render = getattr(importlib.import_module(f"grader.render.{module.name}"), "render", None)
        if render is not None:

            def call(report: Report, language: Any, render: Any = render) -> str:
                try:
                    return str(render(report, language))
                except TypeError:
                    return str(render(report))

            found[module.name] = call
    return found


RENDERERS |= _others()


@pytest.fixture(params=RENDERERS)
def render(request: pytest.FixtureRequest) -> Callable[[Report, Any], str]:
    return RENDERERS[request.param]


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# ---- what is shown


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_character_is_obeyed(kind: str, render: Any, language: Any) -> None:
    shown = render(hostile(HOSTILE[kind]), language)
    shown.encode("utf-8")
    obeyed = {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert obeyed <= {"\n"}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_command_reaches_a_ci_service(kind: str, render: Any, language: Any) -> None:
    assert obeyed_by_ci(render(hostile(HOSTILE[kind]), language)) == []


def obeyed_by_ci(text: str) -> list[str]:
    """The lines that a CI service takes for commands, as their own parsers find them."""
    found = [line for line in text.splitlines() if line.strip().startswith("::")]
    return found + [line for line in text.splitlines() if re.search(r"##\w*\[", line)]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_search_for_commands_would_find_one(command: str) -> None:
    assert obeyed_by_ci(f"a\n    {command}\nb") == [f"    {command}"]


def test_json_holds_what_was_said_all_the_same() -> None:
    for text in HOSTILE.values():
        report = hostile(text)
        assert Report.from_json(jsonform.render(report)) == report


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_page_holds_no_element_of_the_students(kind: str) -> None:
    for name, render in _others().items():
        text = render(hostile(HOSTILE[kind]), "en")
        if "html" in name:
            assert elements(text) == elements(render(hostile("harmless"), "en"))
        if "junit" in name or text.startswith("<?xml"):
            assert len(list(ET.fromstring(text).iter("testcase"))) == 4
        if "csv" in name:
            for row in csv.reader(io.StringIO(text)):
                assert not [cell for cell in row if re.match(r"[=+@\t\r]|-(?!\d)", cell)]
        if "gradescope" in name:
            json.loads(text)


def elements(page: str) -> list[str]:
    """The tags of a page with their attributes' names, and no text."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append(" ".join([tag, *sorted(name for name, _ in attrs)]))

    Reader().feed(page)
    return [one for one in found if not one.startswith(("br", "li", "span"))]


@pytest.mark.parametrize("kind", ["colours", "c1", "direction", "halves", "commands", "nul"])
def test_what_a_worker_says_is_shown_so_too(kind: str, world: World) -> None:
    """From the room to the screen: printed, raised, answered, and as the name of a type."""
    text = HOSTILE[kind]
    name = text.replace("\0", "").encode("utf-8", "replace").decode()
    for act in (
        f"print({text!r}); raise ValueError({text!r})",
        f"return {text!r}",
        f"return [{{{text!r}: {text!r}}}]",
        f"return type({name!r}, (), {{}})()",
    ):
        code = f"def repeat_kv(x, n_rep):\n    {act}\n"
        report = engine.grade([EXERCISE], {EXERCISE.file: code}, nursery=world.nursery)
        assert report.exercises[0].outcome in ("error", "failed"), report.exercises[0].failure
        for render in RENDERERS.values():
            shown = render(replace(report, exercises=report.exercises * 2), "en")
            shown.encode("utf-8")
            obeyed = {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
            assert obeyed <= {"\n"}
            assert obeyed_by_ci(shown) == []


def test_the_honest_words_of_torch_stay_readable() -> None:
    """`c10::Error` and `x[::2]` are no commands, and are shown as they were said."""
    report = hostile("c10::Error at::Tensor x[::2] std::vector<int>::at ## heading")
    assert "c10::Error at::Tensor x[::2] std::vector<int>::at ## heading" in plain.render(report)


def test_the_solution_is_shown_as_before(world: World) -> None:
    sources = {EXERCISE.file: shelf.solution(EXERCISE)}
    report = engine.grade([EXERCISE], sources, nursery=world.nursery)
    with contextlib.redirect_stdout(io.StringIO()):
        assert "ok ch5/repeat_kv" in plain.render(report)
