"""The page for instructors says all that there is to be set, and nothing that there is not."""

from __future__ import annotations

import re

import click
import pytest

from grader import catalogue
from grader.classroom import policy, similarity
from grader.cli.command import command

from .conftest import DOCS

LANGUAGES = ["en", "zh"]


def page(lang: str) -> str:
    return (DOCS / lang / "instructors.md").read_text(encoding="utf-8")


def fields() -> set[str]:
    """Every field of a policy, as the page writes them."""
    return {
        f"[{table}] {name}" if name else f"[{table}]"
        for table, names in policy._TABLES.items()
        for name in names or ("",)
    }


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_field_of_a_policy_has_its_line_and_no_other_has_one(lang: str) -> None:
    named = re.findall(r"^\| `(\[\w+\](?: \w+)?)` \|", page(lang), flags=re.MULTILINE)
    assert len(named) == len(set(named))
    assert set(named) == fields()


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_said_of_a_field_that_is_left_out_is_its_default(lang: str) -> None:
    rows = re.findall(r"^\| `(\[\w+\] \w+)` \|.*\| `([^`]+)` \|$", page(lang), flags=re.MULTILINE)
    left_out = policy.Policy()
    is_left_out = {
        "[assignment] attempt": left_out.attempt,
        "[due] times": left_out.times,
        "[late] per_day": str(left_out.late.per_day),
        "[late] most": str(left_out.late.most),
        "[grading] dependencies": "own" if left_out.own else "reference",
        "[grading] memory_mb": str(left_out.memory_mb),
        "[grading] weakest": left_out.weakest,
        "[feedback] level": left_out.feedback,
    }
    assert {name: said.strip('"') for name, said in rows} == is_left_out


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_values_in_the_examples_are_taken(lang: str) -> None:
    """What the table writes as an example of a field can be written."""
    known = catalogue.load()
    text = page(lang)
    for value in re.findall(r'`\[feedback\] hidden` \|[^|]*`("[^`]+")`', text):
        exercise, _, _ = value.strip('"').partition("::")
        assert known[exercise]
    examples = {
        "assignment": ["exercises"],
        "due": ["grace"],
        "late": ["until"],
    }
    for table, names in examples.items():
        for name in names:
            row = re.search(rf"^\| `\[{table}\] {name}` \|([^|]*)\|", text, flags=re.MULTILINE)
            assert row is not None
            (value,) = re.findall(r'`(\[?"[^`]*)`', row[1])
            due = "" if table == "due" else "[due]\n"
            due += "at = 2026-11-01T23:59:00+08:00\n"
            rules = f"{due if table == 'late' else ''}[{table}]\n{name} = {value}\n"
            policy.parse(rules, known)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_is_said_of_similarity_is_how_it_is(lang: str) -> None:
    text = page(lang)
    assert f"{similarity.THRESHOLD:.0%}" in text.replace(" percent", "%")
    quarter, few = {"en": ("a quarter", "eight"), "zh": ("四分之一", "八份")}[lang]
    assert (similarity.MUCH_OF_CLASS, similarity._FEW) == (0.25, 8)
    assert quarter in text
    assert few in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_command_on_the_page_exists(lang: str) -> None:
    named = set(re.findall(r"happyllm-grade ([a-z]+)\b", page(lang)))
    there = set(command.list_commands(click.Context(command)))
    assert named <= there
    assert {"release", "class", "similar", "regrade", "verify"} <= named
