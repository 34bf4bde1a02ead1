"""The report as JSON, as published in schema/report.schema.json.

The values are what they are; a character that a terminal would obey, a half of a character that no
file can hold, and what begins a command of a CI service are written as JSON's own escapes.
"""

from __future__ import annotations

import re

from grader.report import Report

from .words import escaped


def render(report: Report, indent: int | None = 2) -> str:
    text = escaped(report.to_json(indent), _written)
    return re.sub(r"##(?=\w*\[)", r"\\u0023#", text) + "\n"


def _written(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
