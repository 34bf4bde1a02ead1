"""`happyllm-grade class`, `regrade` and `verify`, as an instructor runs them."""

from __future__ import annotations

import csv
import json
import re
import signal
import xml.etree.ElementTree as ET
from pathlib import Path

import pexpect
import pytest
from jsonschema import Draft202012Validator

from grader import catalogue, gradebook, shelf

from .conftest import COMMAND, RIGHT, TILED, environment, run

RULES = """
[assignment]
title = "Week 3"
exercises = ["ch5/repeat_kv", "ch5/rms_norm"]
total = 100
[due]
at = 2026-11-01T00:00:00Z
[late]
per_day = 0.1
[extensions]
s3 = "1d"
[grading]
seed = 7
"""
ROSTER = "id,name,section\ns1,=Ada Li,A\ns2,李雷,A\ns3,Bo Ek,B\ns4,Di Xu,B\n"
NORM = shelf.solution(catalogue.load()["ch5/rms_norm"])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A class: s1 right, s2 wrong, s3 a day late, s4 nothing, one unreadable, one stranger."""
    hand_ins = {"s1": RIGHT, "s2": TILED, "s3@2026-11-02T12-00": RIGHT, "mallory": RIGHT}
    for name, text in hand_ins.items():
        (tmp_path / "subs" / name / "ch5").mkdir(parents=True)
        (tmp_path / "subs" / name / "ch5/repeat_kv.py").write_text(text)
        (tmp_path / "subs" / name / "ch5/rms_norm.py").write_text(NORM)
    (tmp_path / "rules.toml").write_text(RULES)
    (tmp_path / "roster.csv").write_text(ROSTER, encoding="utf-8-sig")
    return tmp_path


WORDS = ("class", "subs", "--chapter", "ch5", "--policy", "rules.toml", "--roster", "roster.csv")


def test_a_class_is_graded_to_all_that_it_comes_to(place: Path) -> None:
    ran = run(*WORDS, cwd=place)
    assert ran.status == 1  # there is a stranger to look at
    assert "belongs to nobody on the roster: mallory" in ran.out
    assert "3 of 4 students graded, 0 unreadable, 1 without a hand-in" in ran.out
    out = place / "grades"
    with (out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert [rows[s]["points"] for s in ("s1", "s2", "s3", "s4")] == ["100", "50", "90", "0"]
    assert rows["s1"]["name"] == "'=Ada Li"  # no formula
    assert rows["s2"]["ch5/repeat_kv: outcome"] == "failed"
    _looks_like_canvas(out / "gradebook.canvas.csv")
    book = json.loads((out / "gradebook.json").read_text(encoding="utf-8"))
    Draft202012Validator(json.loads(gradebook.SCHEMA.read_text())).validate(book)
    suites = ET.parse(out / "junit.xml").getroot().findall("testsuite")
    assert [(s.get("name"), s.get("failures"), s.get("errors")) for s in suites] == [
        ("s1", "0", "0"),
        ("s2", "1", "0"),
        ("s3", "0", "0"),
        ("s4", "0", "2"),
    ]
    told = (out / "feedback/s2.md").read_text(encoding="utf-8")
    assert "tiled the heads" in told
    assert "integrity" not in told
    assert "seed=7" in told
    results = json.loads((out / "gradescope/s3.json").read_text(encoding="utf-8"))
    assert results["score"] == 90
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "You tiled the heads" in page
    assert "mallory" in page
    assert re.search(r"(src|href)\s*=|url\(|<script", page) is None

    again = run(*WORDS, "--lang", "zh", cwd=place)
    assert "3 份作业，都已评过" in again.out
    assert "名单" in again.out

    verified = run("verify", "grades", "s2", cwd=place)
    assert (verified.status, verified.out.strip()) == (
        0,
        "2 verdicts graded again: 2 the same, 0 not.",
    )
    regraded = run("regrade", "grades", cwd=place)
    assert regraded.status == 1  # the stranger is still there
    assert "no grade would change" in regraded.out


def _looks_like_canvas(file: Path) -> None:
    with file.open(encoding="utf-8", newline="") as opened:
        head, possible, *rows = csv.reader(opened)
    assert head == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Week 3"]
    assert (possible[0].strip(), possible[-1]) == ("Points Possible", "100")
    assert [(row[2], row[-1]) for row in rows] == [
        ("s1", "100"),
        ("s2", "50"),
        ("s3", "90"),
        ("s4", "0"),
    ]


def test_ctrl_c_ends_it_in_words_and_the_same_command_goes_on(place: Path) -> None:
    child = pexpect.spawn(
        COMMAND,
        [*WORDS, "--jobs", "1"],
        cwd=str(place),
        env=environment(),
        dimensions=(30, 80),
        encoding="utf-8",
        timeout=120,
    )
    child.expect("points")  # one is done
    child.kill(signal.SIGINT)
    rest = child.read()
    child.close()
    assert "Traceback" not in rest
    assert child.exitstatus in (130, 1)  # 1, where it was done by then
    if child.exitstatus == 130:
        assert "What was graded is kept" in rest
        assert not (place / "grades/gradebook.csv").exists()
    again = run(*WORDS, cwd=place)
    assert "3 of 4 students graded" in again.out
    assert len(re.findall(r"^\S.* of 100 points", again.out, flags=re.MULTILINE)) < 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("class", "nowhere", "--chapter", "ch5"), "cannot be read as a folder"),
        (("class", "subs"), "--chapter"),
        (("class", "subs", "--chapter", "ch55"), "no exercise, section or chapter 'ch55'"),
        (("class", "subs", "--chapter", "ch5", "--policy", "roster.csv"), "is no TOML"),
        (("class", "subs", "--chapter", "ch5", "--roster", "no.csv"), "no.csv: cannot be read"),
        (("class", "subs", "--chapter", "ch5", "--out", "rules.toml/x"), "rules.toml"),
        (("regrade", "nowhere"), "there is no such record"),
        (("verify", "rules.toml"), "is no record of a class"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_made(
    place: Path, words: tuple[str, ...], said: str
) -> None:
    ran = run(*words, cwd=place)
    assert ran.status == 2
    assert said in " ".join(ran.err.split())


def test_problems_of_a_policy_are_told_in_chinese_to_who_reads_chinese(place: Path) -> None:
    (place / "rules.toml").write_text("[grading]\nseed = 'x'\nworkers = 3\n")
    ran = run(*WORDS, "--lang", "zh", cwd=place)
    assert ran.status == 2
    assert "[grading] seed" in ran.err
    assert "[grading] workers" in ran.err
    assert "应为" in ran.err


def test_a_cluster_that_is_not_there_is_told_in_a_line(place: Path) -> None:
    ran = run(*WORDS, "--dask", "tcp://127.0.0.1:9", "--lang", "en", cwd=place)
    assert ran.status == 2
    assert "tcp://127.0.0.1:9: no Dask scheduler answers" in ran.err
