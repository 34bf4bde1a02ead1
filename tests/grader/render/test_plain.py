"""The report as plain lines: greppable, harmless, in both languages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace

import pytest

from grader.catalogue import Language
from grader.render import plain
from grader.report import Report


def test_the_screen_is_the_one_that_was_agreed(
    named: tuple[str, Report], language: Language, same_screen: Callable[[str, str], None]
) -> None:
    name, report = named
    same_screen(f"plain-{name}-{language}.txt", plain.render(report, language))


def test_a_learners_text_has_no_effect(raised: Report, language: Language) -> None:
    text = plain.render(raised, language)
    odd = {one for one in text if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert odd == {"\n"}


def test_a_learners_markup_stays_as_it_was_written(raised: Report, language: Language) -> None:
    assert "[red]markup[/red]" in plain.render(raised, language)


@pytest.mark.parametrize(
    "line", ["ok ch5/rms_norm: ", "FAIL ch5/repeat_kv: ", "- ch5/mlp: ", "FAIL ch5/model: "]
)
def test_every_exercise_begins_a_line_with_its_mark_and_name(
    mistake: Report, language: Language, line: str
) -> None:
    assert f"\n{line}" in f"\n{plain.render(mistake, language)}"


def test_every_failing_exercise_is_explained(mistake: Report) -> None:
    text = plain.render(mistake, "en")
    assert "You tiled the heads" in text
    assert "was still running after 20 s" in text


def test_the_test_that_is_explained_is_named(mistake: Report) -> None:
    text = plain.render(mistake, "en")
    assert "The first to look at: Each key/value head" in text
    assert "one begins. [n_kv_heads=2, n_rep=3]\n  The answer is" in text


def test_a_heat_map_is_drawn_in_signs(mistake: Report) -> None:
    assert "  ....\n    #*+:\n    :#*.\n" in plain.render(mistake, "en")


def test_what_failed_in_a_line_is_marked_below_it(multiplied: Report) -> None:
    lines = plain.render(multiplied, "en").splitlines()
    (at,) = [number for number, line in enumerate(lines) if "^" in line]
    start, stop = lines[at].index("^"), lines[at].rindex("^") + 1
    assert lines[at - 1][start:stop] == "x @ self.w3"


def test_what_is_next_is_a_command_to_type(mistake: Report) -> None:
    assert plain.render(mistake, "en").endswith("Next: happyllm-grade ch5/repeat_kv\n")


def test_when_somebody_else_says_what_is_next_it_is_left_out(mistake: Report) -> None:
    assert "Next" not in plain.render(mistake, "en", lead_on=False)


def test_when_all_is_passed_nothing_is_next(done: Report) -> None:
    assert "Next" not in plain.render(done, "en")


def test_a_fault_is_marked_as_the_graders_own(mistake: Report) -> None:
    one = replace(mistake.exercises[3], outcome="fault")
    assert "FAULT ch5/model: our fault" in plain.render(replace(mistake, exercises=(one,)))


def test_the_chinese_report_holds_no_english_but_names(mistake: Report) -> None:
    names = (
        r"ch5/\w+(\.py)?|happyllm-grade|repeat_kv\(.*\)|float32|\bx\b|namespaces\+landlock"
        r"|K[12]|n_rep=[13]|n_kv_heads=2|\b(ok|FAIL|FAULT)\b"
    )
    left = re.sub(names, "", plain.render(mistake, "zh"))
    assert re.findall(r"[A-Za-z]+", left) == []
