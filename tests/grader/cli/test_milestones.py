"""`happyllm-grade milestone`: on the learner's own files alone, at a terminal and in a pipe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from grader import catalogue, shelf

from .test_learning import shown, solve

Happyllm = Callable[..., Any]
KNOWN = catalogue.load()
ALL = [exercise.id for exercise in KNOWN]


def test_a_stub_stands_in_the_way_and_is_named(happyllm: Happyllm, workspace: Path) -> None:
    solve(workspace, *(name for name in ALL if name != "ch5/rotary"))
    ran = happyllm("milestone", "ch5")
    assert ran.status == 1
    assert re.findall(r"happyllm-grade (\S+)", ran.out) == ["ch5/rotary"]


def test_what_was_changed_since_is_graded_first(happyllm: Happyllm, workspace: Path) -> None:
    solve(workspace, *ALL)
    text = shelf.solution(KNOWN["ch5/mlp"]).replace("F.silu(", "F.relu(")
    (workspace / "ch5/mlp.py").write_text(text, encoding="utf-8")
    ran = happyllm("milestone", "--lang", "zh")
    assert ran.status == 1
    assert "里程碑只用你自己的文件运行" in ran.out
    assert re.findall(r"happyllm-grade (\S+)", ran.out) == ["ch5/mlp"]
    (entry,) = json.loads(happyllm("list", "mlp", "--format", "json").out)
    assert entry["state"]["name"] == "failing"


def test_it_is_reached_and_remembered(happyllm: Happyllm, workspace: Path) -> None:
    solve(workspace, *ALL)
    ran = happyllm("milestone", "ch5", "--lang", "zh", "--seed", "1")
    assert ran.status == 0, ran.out
    assert "到达里程碑" in ran.out
    assert ran.out.count("\nok ") == 5
    assert "All done" in happyllm().out


@pytest.mark.parametrize("width", [80, 120])
def test_at_a_terminal_there_is_a_curve_and_all_fits(
    screen: Happyllm, workspace: Path, width: int
) -> None:
    solve(workspace, *ALL)
    ran = screen("milestone", "--lang", "zh", width=width)
    assert ran.status == 0
    assert "正在学习" in ran.out  # while it learns
    text = shown(ran, width)
    assert "正在学习" not in text
    assert len([line for line in text.splitlines() if "│" in line]) == 7
    assert text.count("✔") == 5
    assert max(cell_len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize("chapter", ["ch9", "ch5/mpl"])
def test_a_chapter_that_there_is_not_is_refused(happyllm: Happyllm, chapter: str) -> None:
    ran = happyllm("milestone", chapter)
    assert ran.status == 2
    assert f"'{chapter}'" in ran.err
