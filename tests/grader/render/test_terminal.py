"""The report for a terminal: fits its width, obeys nothing in a learner's text, both languages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from grader.catalogue import Language, Text
from grader.cli import links
from grader.cli.options import console as _console
from grader.render import terminal
from grader.report import WORST_FIRST, Outcome, Printed, Report, Value

OURS = re.compile(r"\x1b\[[0-9;]*m")  # what rich writes for colour and weight


def shown(report: Report, language: Language, width: int = 80, **more: Any) -> str:
    text = StringIO()
    _console(file=text, width=width, **more).print(terminal.render(report, language))
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def flat(text: str) -> str:
    """The words of a screen without its frame and its line breaks."""
    return re.sub(r"[\s│╭╮╰╯─]+", "", text)


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen_is_the_one_that_was_agreed(
    named: tuple[str, Report],
    language: Language,
    width: int,
    same_screen: Callable[[str, str], None],
) -> None:
    name, report = named
    same_screen(f"terminal-{name}-{language}-{width}.txt", shown(report, language, width))


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(
    named: tuple[str, Report], language: Language, width: int
) -> None:
    lines = shown(named[1], language, width).splitlines()
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("outcome", WORST_FIRST)
def test_a_line_of_any_outcome_fits_and_shows_name_and_points(
    mistake: Report, language: Language, width: int, outcome: Outcome
) -> None:
    one = replace(mistake.exercises[1], outcome=outcome, id="ch5/decoder_layer")
    text = StringIO()
    _console(file=text, width=width).print(terminal.line(one, language))
    assert cell_len(text.getvalue().rstrip("\n")) <= width
    assert "ch5/decoder_layer" in text.getvalue()
    assert "0/5" in text.getvalue()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_what_must_be_read_is_wrapped_and_never_cut(
    mistake: Report, language: Language, width: int
) -> None:
    failing = mistake.exercises[1]
    assert failing.mistake is not None
    assert failing.failure is not None
    read = flat(shown(mistake, language, width))
    for text in (failing.mistake.message, failing.failure.message, failing.tests[0].claim):
        assert flat(text.in_(language)) in read


def test_a_learners_text_has_no_effect(raised: Report, language: Language) -> None:
    text = OURS.sub("", shown(raised, language, force_terminal=True, color_system="truecolor"))
    odd = {one for one in text if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert odd == {"\n"}


def test_a_learners_markup_stays_as_it_was_written(raised: Report, language: Language) -> None:
    assert flat("[red]markup[/red] [link=http://evil.example]x[/link] :smile:") in flat(
        shown(raised, language)
    )


def test_no_link_is_written_that_a_learner_could_have_chosen(raised: Report) -> None:
    assert "\x1b]8" not in shown(raised, "en", force_terminal=True)


def colours(text: str) -> set[int]:
    codes = {int(code) for found in OURS.findall(text) for code in re.findall(r"\d+", found)}
    return {code for code in codes if 30 <= code <= 49 or 90 <= code <= 107}


def test_a_terminal_gets_colour(
    mistake: Report, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert colours(shown(mistake, language, force_terminal=True))


def test_no_colour_is_written_where_none_is_wanted(
    mistake: Report, language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert not colours(shown(mistake, language, force_terminal=True))


def test_the_worst_value_stands_out_from_the_others(
    mistake: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = shown(mistake, "en", 120, force_terminal=True, color_system="standard")
    assert re.findall(r"\x1b\[[0-9;]*\b7[0-9;]*m([^\x1b]+)", text) == ["0.0212", "0.1895"]


def test_expected_and_got_stand_side_by_side_where_there_is_room(mistake: Report) -> None:
    lines = shown(mistake, "en", 120).splitlines()
    assert any("expected float32" in line and "got float32" in line for line in lines)


def test_expected_stands_above_got_where_there_is_none(mistake: Report) -> None:
    text = shown(mistake, "en", 40)
    assert not any("expected f" in line and "got f" in line for line in text.splitlines())
    assert text.index("expected float32") < text.index("got float32")


def test_a_long_line_that_was_printed_does_not_fill_the_screen(mistake: Report) -> None:
    one = replace(mistake.exercises[1], printed=Printed("x" * 16_000))
    text = shown(replace(mistake, exercises=(one,)), "en")
    assert text.count("x" * 60) < 12
    assert "15,760 bytes more" in text


def test_the_bytes_left_out_are_those_not_shown_and_those_not_kept(mistake: Report) -> None:
    printed = Printed("".join(f"{n:03}\n" for n in range(20)), 100)
    one = replace(mistake.exercises[1], printed=printed)
    text = shown(replace(mistake, exercises=(one,)), "en")
    assert "011" in text
    assert "012" not in text
    assert f"{100 + 8 * 4:,} bytes more" in text


def test_what_was_printed_in_full_is_said_to_lack_nothing(mistake: Report) -> None:
    one = replace(mistake.exercises[1], printed=Printed("all of it\n"))
    text = shown(replace(mistake, exercises=(one,)), "en")
    assert "all of it" in text
    assert "bytes more" not in text


def test_the_first_failure_is_explained_and_the_others_in_a_line(mistake: Report) -> None:
    text = shown(mistake, "en", 120)
    assert text.count("╭") == 1
    assert re.search(r"^ ch5/model +ch5/model.py was still running after 20 s", text, re.M)


def test_code_that_ran_without_isolation_is_said_to_have(mistake: Report) -> None:
    assert "without isolation" in shown(replace(mistake, isolation="none (in process)"), "en")


def test_where_no_code_ran_nothing_is_said_of_isolation(mistake: Report) -> None:
    assert "without isolation" not in shown(replace(mistake, isolation="none"), "en")


def test_when_all_is_passed_it_says_so(done: Report) -> None:
    assert "All passed." in shown(done, "en")


def test_the_chinese_screen_holds_no_english_but_names(mistake: Report) -> None:
    names = (
        r"ch5/\w+(\.py)?|happyllm-grade( hint)?|repeat_kv\(.*\)|float32|\bx\b|namespaces\+landlock"
        r"|K[12]|n_rep=3|n_kv_heads=2|\bs\b|1e-06"
    )
    left = re.sub(names, "", shown(mistake, "zh", 120))
    assert re.findall(r"[A-Za-z]+", left) == []


def test_the_claim_that_is_explained_comes_first_and_the_others_last(mistake: Report) -> None:
    text = shown(mistake, "en", 120)
    places = [
        text.index(words)
        for words in (
            "Each key/value head stands",
            "The answer is",
            "Every copy sends its gradient",
        )
    ]
    assert places == sorted(places)


def test_a_claim_that_holds_in_some_cases_names_those_in_which_it_does_not(
    mistake: Report, language: Language
) -> None:
    text = shown(mistake, language, 120)
    assert "[n_rep=3]" in text
    assert "n_rep=1" not in text
    assert "n_kv_heads=2" not in text  # there is no other case


def test_many_claims_that_do_not_hold_are_counted(mistake: Report) -> None:
    one = mistake.exercises[1]
    more = tuple(
        replace(one.tests[0], id=f"t{n}", claim=Text(f"claim {n}", f"第 {n} 条"), failure=None)
        for n in range(20)
    )
    text = shown(replace(mistake, exercises=(replace(one, tests=one.tests + more),)), "en")
    assert "claim 4" in text
    assert "claim 5" not in text
    assert "and 15 more" in text


@pytest.mark.parametrize("width", [40, 60, 80])
def test_where_columns_do_not_fit_those_around_the_worst_are_shown(
    mistake: Report, width: int
) -> None:
    one = mistake.exercises[1]
    assert one.failure is not None
    row = "  ".join(f"{n}.5" for n in range(10, 30))
    value = Value(f"{row}\n{row}", "Tensor", (4, 90), "float32", "[0:2, 10:30]")
    other = replace(value, text=value.text.replace("25.5", "77.5"))
    failure = replace(one.failure, expected=value, got=other, worst=(1, 25), heat=None)
    text = shown(
        replace(mistake, exercises=(replace(one, failure=failure, tests=()),)), "en", width
    )
    assert "77.5" in text
    if width >= 60:
        assert any(
            "expected float32" in line and "got float32" in line for line in text.split("\n")
        )
        first, last = map(int, re.findall(r"0:2, (\d+):(\d+)", text)[-1])
        assert f"{first}.5" in text
        assert f"{last}.5" not in text
        assert first <= 25 < last


def test_a_heat_map_is_drawn_in_shades_and_colours_where_there_are_some(
    mistake: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = OURS.sub("", shown(mistake, "en", force_terminal=True, color_system="standard"))
    assert "██▓▓▒▒░░" in text


def test_a_heat_map_is_drawn_in_plain_signs_where_there_is_no_colour(
    mistake: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = OURS.sub("", shown(mistake, "en", force_terminal=True, color_system="standard"))
    assert "##**++::" in text
    assert "█" not in text.partition("╰")[0]


def test_what_failed_in_a_line_stands_out_and_its_names_are_told(
    monkeypatch: pytest.MonkeyPatch, multiplied: Report
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = shown(multiplied, "en", force_terminal=True, color_system="standard")
    assert re.search(r"\x1b\[1;4;31mx @ self.w3\x1b", text)
    assert re.search(r"self.w3 +float32\[48, 16\]", OURS.sub("", text))


LINK = re.compile(r"\x1b\]8;[^;]*;([^\x1b]*)\x1b")


def test_a_line_of_a_file_of_the_workspace_can_be_clicked(multiplied: Report) -> None:
    text = StringIO()
    console = _console(file=text, width=80, force_terminal=True, color_system="standard")
    address = links.to_files(Path("/w s"), ["ch5/mlp.py"], {})
    console.print(terminal.render(multiplied, "en", link=address))
    assert set(LINK.findall(text.getvalue())) == {"file:///w%20s/ch5/mlp.py", ""}


def test_no_address_is_made_of_what_a_learner_calls_a_file(raised: Report) -> None:
    text = StringIO()
    console = _console(file=text, width=80, force_terminal=True, color_system="standard")
    address = links.to_files(Path("/w"), ["ch5/repeat_kv.py"], {})
    console.print(terminal.render(raised, "en", link=address))
    assert set(LINK.findall(text.getvalue())) == {"file:///w/ch5/repeat_kv.py", ""}


def test_a_line_that_calls_itself_again_and_again_is_shown_once(raised: Report) -> None:
    text = shown(raised, "en", 120)
    assert text.count("again()") == 1
    assert "× 9" in text


def test_what_was_printed_in_the_test_that_is_explained_is_shown_alone(nan: Report) -> None:
    one = replace(nan.exercises[0], printed=Printed("all of it, from every test"))
    text = shown(replace(nan, exercises=(one,)), "en")
    assert "in this test your code printed:" in text
    assert "from every test" not in text
