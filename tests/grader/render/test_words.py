"""The fixed phrases in both languages, and a learner's text made safe to show."""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from dataclasses import replace
from typing import get_args

import pytest

from grader.catalogue import Text
from grader.render.words import MARK, OUTCOME, PLAIN_MARK, SAID, clean, one_line
from grader.report import Failure, Outcome, Report

PHRASES = {**SAID, **OUTCOME}


@pytest.mark.parametrize("table", [OUTCOME, MARK, PLAIN_MARK])
def test_every_outcome_has_a_word_and_a_mark(table: dict[str, object]) -> None:
    assert set(table) == set(get_args(Outcome))


@pytest.mark.parametrize("key", PHRASES)
def test_a_phrase_is_chinese_in_chinese_and_english_in_english(key: str) -> None:
    phrase = PHRASES[key]
    assert re.search(r"[\u4e00-\u9fff]", phrase.zh)
    assert phrase.en.isascii() or set(phrase.en) - set(string.printable) <= {"…"}


@pytest.mark.parametrize("key", SAID)
def test_both_languages_of_a_phrase_say_the_same_things(key: str) -> None:
    def named(text: str) -> set[str]:
        return {field for _, field, _, _ in string.Formatter().parse(text) if field}

    assert named(SAID[key].en) == named(SAID[key].zh)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("\x1b]8;;http://x\x1b\\y", r"\x1b]8;;http://x\x1b" "\\y"),
        ("a\rb", r"a\rb"),
        ("a\x00b", r"a\x00b"),
        ("a\bb", r"a\x08b"),
        ("\u202eevil", r"\u202eevil"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("a\u2028b", r"a\u2028b"),
        ("\ud800", r"\ud800"),
        ("a\tb", "a    b"),
        ("a\nb", "a\nb"),
        ("[red]x[/red]", "[red]x[/red]"),
        ("中文 é 😀", "中文 é 😀"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_no_character_at_all_is_left_to_act() -> None:
    every = "".join(map(chr, range(sys.maxunicode + 1)))
    left = {unicodedata.category(one) for one in clean(every) if one != "\n"}
    assert not left & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


def test_cleaning_twice_changes_nothing_more(raised: Report) -> None:
    assert raised.exercises[0].printed is not None
    once = clean(raised.exercises[0].printed.text)
    assert clean(once) == once


def test_a_reason_of_many_lines_is_told_in_one(raised: Report) -> None:
    failure = Failure("exception", Text("one\n\n two\r\x1b", "一\n二"))
    assert one_line(replace(raised.exercises[0], failure=failure), "en") == r"one two\r\x1b"


def test_the_name_of_the_mistake_comes_before_the_failure(mistake: Report) -> None:
    assert one_line(mistake.exercises[1], "en").startswith("You tiled the heads")


def test_what_passed_needs_no_reason(done: Report) -> None:
    assert one_line(done.exercises[0], "en") == ""
