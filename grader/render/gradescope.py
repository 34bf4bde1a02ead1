"""Gradescope's results.json; everything in it is plain text, which Gradescope shows as it is."""

from __future__ import annotations

import json
from typing import Any

from grader.catalogue import Language
from grader.gradebook import Sheet
from grader.report import Report

from . import feedback
from .classwords import say
from .feedback import Piece


def render(report: Report | None, language: Language = "en", sheet: Sheet | None = None) -> str:
    """What Gradescope reads; with a sheet, with the points as the class counts them.

    Where the grader itself failed there is no score, so that nobody gets a zero for it: Gradescope
    then says that the autograder did not work.
    """
    row = sheet.row if sheet is not None else None
    problem = row.counted.problem if row is not None and row.counted is not None else None
    pieces = feedback.remarks(sheet, language) if sheet is not None else []
    head = feedback.head(sheet, language) if sheet is not None else []
    said = [f"{name}: {value}" for name, value in head]
    result: dict[str, Any] = {
        "output": "\n".join([*said, *_lines(pieces), feedback.foot(sheet, report)]).strip(),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
    }
    if report is None:
        if problem is not None or row is None or row.status == "missing":
            result["score"] = 0
        return _text(result)
    if any(graded.outcome == "fault" for graded in report.exercises):
        result["output"] = f"{say('no_points_yet', language)}\n{result['output']}"
        return _text(result)
    marks = {mark.exercise: mark for mark in row.counted.marks} if row and row.counted else {}
    result["execution_time"] = report.duration_s
    result["score"] = row.points if row is not None else report.points
    result["tests"] = []
    for number, (graded, part) in enumerate(
        zip(report.exercises, feedback.parts(report, language, sheet), strict=True), start=1
    ):
        mark = marks.get(graded.id)
        result["tests"].append(
            {
                "name": f"{part.id} · {part.title}",
                "number": str(number),
                "score": mark.points if mark is not None else graded.points,
                "max_score": mark.possible if mark is not None else graded.points_possible,
                "status": "passed" if part.passed else "failed",
                "output": "\n".join([part.outcome, *_lines(part.pieces)]),
                "visibility": "visible",
            }
        )
    return _text(result)


def _lines(pieces: list[Piece] | tuple[Piece, ...]) -> list[str]:
    lines = []
    for piece in pieces:
        if piece.label:
            lines.append(f"{piece.label}:")
        mark = "- " if piece.kind == "list" else "    " if piece.kind == "code" else ""
        lines += [f"{mark}{line}" for line in piece.lines]
    return lines


def _text(result: dict[str, Any]) -> str:
    return json.dumps(result, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
