"""The report as JSON: whole, ended by a line break, and readable by other programs."""

from __future__ import annotations

import json

from grader.render import jsonform
from grader.report import Report


def test_the_json_form_is_the_report_and_a_line_break(named: tuple[str, Report]) -> None:
    _, report = named
    text = jsonform.render(report)
    assert text.endswith("}\n")
    assert Report.from_json(text) == report


def test_the_json_form_can_be_written_as_utf_8(raised: Report) -> None:
    data = jsonform.render(raised).encode("utf-8")
    assert json.loads(data)["exercises"][0]["id"] == "ch5/repeat_kv"


def test_no_raw_control_character_stands_in_the_json(raised: Report) -> None:
    assert not [one for one in jsonform.render(raised) if ord(one) < 32 and one != "\n"]


def test_both_languages_are_in_the_json(mistake: Report) -> None:
    text = jsonform.render(mistake)
    assert "You tiled the heads" in text
    assert "你把整组头平铺成了" in text
