"""`happyllm-grade similar`, as an instructor runs it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pexpect
import pytest
from jsonschema import Draft202012Validator

from grader import catalogue, resemblance, shelf

from .conftest import COMMAND, environment, run

TEXT = shelf.solution(catalogue.load()["ch5/attention"])
WORDS = ("similar", "subs", "--chapter", "ch5")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two who wrote the same, one who wrote little, and one whose file is hostile."""
    texts = {
        "ann<b>": TEXT + "# <script>alert(1)</script>\n",
        "李雷": re.sub("#.*", "", TEXT.replace("scores", "得分")),
        "cas": "x = 1\n",
        "eve": "x = '\x1b[31m\n",
    }
    for name, text in texts.items():
        (tmp_path / "subs" / name / "ch5").mkdir(parents=True)
        (tmp_path / "subs" / name / "ch5/attention.py").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_pair_is_listed_with_its_lines_in_all_forms(place: Path, lang: str) -> None:
    ran = run(*WORDS, "--lang", lang, cwd=place)
    assert ran.status == 1
    evidence = {"en": "Evidence to look at, not a verdict", "zh": "并非结论"}[lang]
    assert evidence in ran.out
    assert re.search(r"ann<b> \S+ 李雷: ch5/attention 100%: 20–44 = 20–44, 77–", ran.out)
    assert "eve" in ran.out
    told = json.loads((place / "similar/similar.json").read_text(encoding="utf-8"))
    Draft202012Validator(json.loads(resemblance.SCHEMA.read_text())).validate(told)
    assert [(p["left"], p["right"]) for p in told["pairs"]] == [("ann<b>", "李雷")]
    page = (place / "similar/similar.html").read_text(encoding="utf-8")
    assert evidence in page
    assert "ann&lt;b&gt;" in page
    assert "得分 = " in page
    assert "scores = " in page
    assert "<script" not in page
    assert "\x1b" not in page + ran.out


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_at_a_terminal_no_line_is_wider_than_it(place: Path, lang: str) -> None:
    import pyte

    child = pexpect.spawn(
        COMMAND,
        [*WORDS, "--lang", lang],
        cwd=place,
        env=environment(),
        dimensions=(60, 80),
        encoding="utf-8",
        timeout=60,
    )
    screen = pyte.Screen(80, 60)
    stream = pyte.Stream(screen)
    stream.feed(child.read())
    child.close()
    shown = [line.rstrip().replace("\xa0", " ") for line in screen.display]
    (row,) = [line for line in shown if "ch5/attention" in line and "100%" in line]
    assert "20–44 = 20–44" in row
    assert any("ann<b>" in line for line in shown)
    assert {"en": "Evidence to look at", "zh": "并非结论"}[lang] in " ".join(shown).replace(
        "  ", ""
    )


def test_nothing_stands_out_where_nothing_is_alike(place: Path) -> None:
    ran = run(*WORDS, "--above", "100", "--lang", "en", cwd=place / "subs" / "..")
    assert ran.status == 1
    (place / "subs/李雷/ch5/attention.py").write_text("x = 2\n")
    ran = run(*WORDS, "--lang", "en", cwd=place)
    assert ran.status == 0
    assert "pairs at 75% or more: 0" in ran.out


def test_what_is_wrong_with_the_line_is_told_in_one(place: Path) -> None:
    ran = run("similar", "subs", cwd=place)
    assert ran.status == 2
    assert "--chapter ch5" in ran.err
    ran = run("similar", "nowhere", "--chapter", "ch5", cwd=place)
    assert ran.status == 2
    assert "nowhere" in ran.err
    ran = run("similar", "subs", "--chapter", "ch9", cwd=place)
    assert ran.status == 2
    assert "ch9" in ran.err
