"""The report as JSON, as published in schema/report.schema.json."""

from __future__ import annotations

from grader.report import Report


def render(report: Report) -> str:
    return report.to_json() + "\n"
