"""Gradebooks as CSV: our own, and those that Canvas, Moodle and Blackboard import.

A cell that a spreadsheet would take for a formula begins with an apostrophe.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Literal

from grader.catalogue import Language
from grader.gradebook import Book, Row
from grader.report import Report

from .classwords import STATUS, say
from .feedback import one_line
from .words import OUTCOME
from .words import one_line as reason

Columns = Literal["happyllm", "canvas", "moodle", "blackboard"]
COLUMNS: tuple[Columns, ...] = ("happyllm", "canvas", "moodle", "blackboard")

# What Excel and others take for the beginning of a formula, in full width as well.
_FORMULA = tuple("=+-@\t\r＝＋－＠")


def render(report: Report, language: Language = "en") -> str:
    """One report: a line for each exercise."""
    keys = ("exercise", "outcome", "points", "possible", "mistake")
    rows: list[list[object]] = [[say(key, language) for key in keys]]
    for graded in report.exercises:
        points = "" if graded.outcome == "fault" else graded.points
        outcome = OUTCOME[graded.outcome].in_(language)
        said = reason(graded, language)
        rows.append([graded.id, outcome, points, graded.points_possible, said])
    return _written(rows)


def gradebook(book: Book, columns: Columns = "happyllm", language: Language = "en") -> str:
    """A class, in the columns that are asked for."""
    return {"happyllm": _ours, "canvas": _canvas, "moodle": _moodle, "blackboard": _blackboard}[
        columns
    ](book, language)


def _ours(book: Book, language: Language) -> str:
    keys = (
        *("student", "name", "email", "section", "status", "points", "possible", "attempt"),
        *("attempts", "handed_in", "late", "penalty"),
    )
    head: list[object] = [say(key, language) for key in keys]
    head += [f"{column.exercise} ({column.points:g})" for column in book.columns]
    head += [f"{column.exercise}: {say('outcome', language)}" for column in book.columns]
    head += [say("isolation", language), say("seal", language)]
    rows = [head]
    for row in book.rows:
        one = row.counted
        marks = {mark.exercise: mark for mark in one.marks} if one is not None else {}
        cells: list[object] = [
            *(row.student.id, row.student.name, row.student.email, row.student.section),
            STATUS[row.status].in_(language),
            *(_points(row), book.possible),
            *((one.number, row.attempts) if one is not None else ("", 0)),
            *((one.submitted_at or "", round(one.late_s), one.penalty) if one else ("", "", "")),
        ]
        found = [marks.get(column.exercise) for column in book.columns]
        cells += ["" if m is None or m.outcome == "fault" else m.points for m in found]
        cells += ["" if m is None else OUTCOME[m.outcome].in_(language) for m in found]
        line = one.integrity if one is not None else None
        cells += [line.isolation, line.seal[:16]] if line is not None else ["", ""]
        rows.append(cells)
    return _written(rows)


def _canvas(book: Book, language: Language) -> str:
    """Canvas finds a student by ID or SIS user or login id; a blank cell changes nothing."""
    title = book.title.in_(language)
    rows: list[list[object]] = [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", title],
        ["    Points Possible", "", "", "", "", book.possible],
    ]
    for row in book.rows:
        who = row.student
        rows.append([who.shown, "", who.id, who.email, who.section, _points(row)])
    return _written(rows)


def _moodle(book: Book, language: Language) -> str:
    """Moodle asks which column names the student, and which is the grade and the feedback."""
    title = book.title.in_(language)
    head = ["ID number", "Full name", "Email address", title, f"{title} (feedback)"]
    rows: list[list[object]] = [list(head)]
    for row in book.rows:
        who, said = row.student, _summary(row, language)
        rows.append([who.id, who.name, who.email, _points(row), said])
    return _written(rows)


def _blackboard(book: Book, language: Language) -> str:
    """Blackboard finds a student by Username; the points possible stand in the column's name."""
    title = f"{book.title.in_(language)} [Total Pts: {book.possible:g} Score]"
    rows: list[list[object]] = [["Last Name", "First Name", "Username", "Student ID", title]]
    for row in book.rows:
        first, _, last = row.student.shown.rpartition(" ")
        rows.append([last, first, row.student.id, row.student.id, _points(row)])
    return _written(rows)


def _points(row: Row) -> object:
    """The points; nothing for what is no grade yet. Who has handed in nothing has 0."""
    return "" if row.status in ("ungraded", "unreadable") or row.has_fault else row.points


def _summary(row: Row, language: Language) -> str:
    if row.status != "graded" or row.counted is None:
        return STATUS[row.status].in_(language)
    marks = row.counted.marks
    return "; ".join(f"{mark.exercise} {OUTCOME[mark.outcome].in_(language)}" for mark in marks)


def _written(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        writer.writerow([cell(value) for value in row])
    return out.getvalue()


def cell(value: object) -> object:
    """A value as a cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if isinstance(value, int | float):
        return value
    said = str(value)
    text = said if said == "    Points Possible" else one_line(said)
    return f"'{text}" if text.startswith(_FORMULA) or said.startswith(_FORMULA) else text
