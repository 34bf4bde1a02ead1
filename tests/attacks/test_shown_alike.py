"""What a hostile hand-in says is shown as text in what tells which of them are alike."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from grader.catalogue import Text
from grader.render import likepage, liketable
from grader.resemblance import Compared, Match, NotCompared, Pair, Resemblance, Span

from .test_shown import HOSTILE, elements, obeyed_by_ci


def alike(text: str) -> Resemblance:
    """A class in which a student's text stands wherever it may."""
    match = Match("ch5/mlp", text, 0.9, 0.9, 0.8, 80, 0.7, (Span(1, 2, 1, 1, 80),))
    return Resemblance(
        version=1,
        happyllm="0",
        chapter="ch5",
        title=Text("t", "t"),
        hand_ins=2,
        threshold=0.75,
        pairs=(Pair(text, f"{text}2", (match,)),),
        exercises=(Compared("ch5/mlp", 2, 130, False, 1),),
        not_compared=(NotCompared(text, text, Text(text, text)),),
    )


def page(text: str, language: Any) -> str:
    sources = {text: {text: f"{text}\n    {text}"}, f"{text}2": {text: text}}
    return likepage.page_of(alike(text), sources, language, 120)


def lines(text: str, language: Any) -> str:
    return "\n".join(liketable.lines(alike(text), language, 120))


def table(text: str, language: Any) -> str:
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, width=80, highlight=False, markup=False, emoji=False
    )
    console.print(liketable.table(alike(text), language, 120))
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())


RENDERERS: dict[str, Callable[[str, Any], str]] = {
    one.__name__: one for one in (page, lines, table)
}


@pytest.mark.parametrize("kind", [one for one in HOSTILE if not one.startswith("a command broken")])
@pytest.mark.parametrize("name", RENDERERS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_of_a_students_is_obeyed(kind: str, name: str, language: str) -> None:
    shown = RENDERERS[name](HOSTILE[kind], language)
    shown.encode("utf-8")
    obeyed = {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert obeyed <= {"\n"}
    assert obeyed_by_ci(shown) == []
    if name == "page":
        assert "default-src 'none'" in shown
        assert elements(shown) == elements(RENDERERS[name]("harmless", language))


@pytest.mark.parametrize("kind", HOSTILE)
def test_json_holds_what_was_said_all_the_same(kind: str) -> None:
    told = json.loads(alike(HOSTILE[kind]).to_json())
    assert told["pairs"][0]["left"] == HOSTILE[kind]
