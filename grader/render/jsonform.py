"""The report as JSON, as published in schema/report.schema.json.

The values are what they are; a character that a terminal would obey, a half of a character that no
file can hold, and what begins a command of a CI service are written as JSON's own escapes.
"""

from __future__ import annotations

import re

from grader.report import Report

from .words import UNUSUAL, is_obeyed


def render(report: Report) -> str:
    text = UNUSUAL.sub(lambda found: _written(found[0]), report.to_json())
    return re.sub(r"##(?=\w*\[)", r"\\u0023#", text) + "\n"


def _written(character: str) -> str:
    if not is_obeyed(character):
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
