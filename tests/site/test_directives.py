"""What the lines that are directives become, and what Chinese text becomes."""

from __future__ import annotations

import html as entities
import re

import pytest
from markdown import Markdown

from grader import catalogue, shelf
from grader.catalogue import UnknownTarget

from .conftest import DOCS

KNOWN = catalogue.load()


def html(text, language="en"):
    extensions = {
        "attr_list": {},
        "md_in_html": {},
        "tables": {},
        "pymdownx.details": {},
        "pymdownx.superfences": {},
        "grader.book.directives": {"language": language, "docs": str(DOCS / language)},
        "grader.cli.reference": {"language": language},
    }
    return Markdown(extensions=list(extensions), extension_configs=extensions).convert(text)


def words(text):
    """What is read, without the marks of Markdown and of HTML, and without spaces."""
    return re.sub(r"[\s`]", "", entities.unescape(re.sub(r"<[^>]*>", "", text)))


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("exercise", tuple(KNOWN), ids=lambda one: one.id)
def test_a_card_says_all_that_the_catalogue_says(exercise, language):
    card = html(f"!exercise {exercise.id}", language)
    said = words(card)
    points = "points" if language == "en" else "分"
    told = [exercise.title.in_(language), exercise.section, f"{exercise.points} {points}"]
    told += [hint.in_(language) for hint in exercise.hints]
    told += [shelf.stub(exercise), f"happyllm-grade {exercise.id}"]
    for text in told:
        assert re.sub(r"[\s`]", "", text) in said
    for required in exercise.requires:
        chapter, section, *_ = KNOWN[required].section.split(".")
        page = f"/ch{chapter}/{chapter}-{section}.md"
        assert f'href="{page}#ex-{required.replace("/", "-")}"' in card


def test_a_card_of_no_exercise_is_refused():
    with pytest.raises(UnknownTarget, match="ch5/repeat_kv"):
        html("!exercise ch5/repeat_kw")


def test_a_directive_in_a_code_block_stays_text():
    assert "!exercise ch5/repeat_kv" in html("```text\n!exercise ch5/repeat_kv\n```")


def test_a_widget_has_its_place_and_its_style_and_words_for_who_has_no_script():
    place = html("!widget rope")
    assert 'data-widget="rope"' in place
    assert 'data-css="widgets.css"' in place
    assert "JavaScript" in place


def test_notes_are_kept_under_the_same_key_in_both_languages():
    for language in ("en", "zh"):
        assert 'data-key="goals"' in html("!notes goals", language)


def test_the_outline_leads_to_what_stands_and_names_what_is_to_come():
    outline = html("!outline")
    assert 'href="/ch5/5-1.md#s5-1-3-1"' in outline
    assert "7.3.3 Building a tiny agent" in outline
    assert outline.count("to come") == 108 - outline.count("<a href=")


def test_the_reference_tells_every_command_and_option():
    reference = words(html("!commands"))
    for told in ("--isolation", "--no-open", "happyllm-gradeinit", "HAPPYLLM_LANG"):
        assert told in reference


@pytest.mark.parametrize(
    ("text", "joined"),
    [
        ("第一行\n第二行", "第一行第二行"),
        ("第一行，\n**重点**在这里", "第一行，<strong>重点</strong>在这里"),
        ("**重点**\n在这里", "<strong>重点</strong>在这里"),
        ("用 `x`\n表示", "用 <code>x</code>\n表示"),
        ("一行\nEnglish", "一行\nEnglish"),
    ],
)
def test_line_ends_within_chinese_leave_no_space(text, joined):
    assert html(text, "zh") == f"<p>{joined}</p>"


def test_line_ends_in_chinese_code_stay():
    code = html("```text\n第一行\n第二行\n```", "zh")
    assert "第一行\n第二行" in code
