"""JUnit's XML, as Ant, Jenkins, GitLab and others read it: a test case for each exercise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape

from grader.catalogue import Language
from grader.gradebook import Book
from grader.report import Graded, Report

from . import feedback
from .classwords import STATUS
from .words import one_line

_EPOCH = "1970-01-01T00:00:00"  # a report does not say when it was made
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: Report, language: Language = "en", when: str = _EPOCH) -> str:
    """One report: a suite."""
    return _whole([_suite("happyllm", report.exercises, language, when, 0)])


def classroom(book: Book, language: Language = "en") -> str:
    """A class: a suite for each student; what cannot be read, or is missing, is an error in it."""
    suites = []
    for number, row in enumerate(book.rows):
        report = row.counted.report if row.counted is not None else None
        when = book.made_at[:19] or _EPOCH
        name = row.student.id
        if report is not None:
            suites.append(_suite(name, report.exercises, language, when, number))
            continue
        said = STATUS[row.status].in_(language)
        if row.counted is not None and row.counted.problem is not None:
            said = row.counted.problem.in_(language)
        kind = "skipped" if row.status == "ungraded" else "error"
        suites.append(_bare(name, book, kind, row.status, said, when, number))
    return _whole(suites)


def _whole(suites: Sequence[str]) -> str:
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>", *suites, "</testsuites>"]
    return "\n".join(lines) + "\n"


def _suite(
    name: str, exercises: Sequence[Graded], language: Language, when: str, number: int
) -> str:
    failures = sum(one.outcome in ("failed", "timeout", "memory", "blocked") for one in exercises)
    errors = sum(one.outcome in ("error", "fault") for one in exercises)
    skipped = sum(one.outcome == "untouched" for one in exercises)
    took = sum(one.duration_s for one in exercises)
    head = _head(name, when, number, len(exercises), failures, errors, skipped, took)
    return "\n".join([head, *(_case(one, language) for one in exercises), _END])


def _bare(name: str, book: Book, kind: str, status: str, said: str, when: str, number: int) -> str:
    """A suite of which nothing was graded."""
    count = len(book.columns)
    errors, skipped = (0, count) if kind == "skipped" else (count, 0)
    lines = [_head(name, when, number, count, 0, errors, skipped, 0.0)]
    for column in book.columns:
        inside = "<skipped/>" if kind == "skipped" else _element(kind, status, said, "")
        lines.append(_open_case(column.exercise, 0.0) + inside + "</testcase>")
    return "\n".join([*lines, _END])


_END = "<system-out></system-out>\n<system-err></system-err>\n</testsuite>"


def _head(
    name: str,
    when: str,
    number: int,
    tests: int,
    failures: int,
    errors: int,
    skipped: int,
    took: float,
) -> str:
    package, called = attribute("happyllm"), attribute(name) or "_"
    return (
        f'<testsuite id="{number}" package="{package}" name="{called}" timestamp="{when}" '
        f'hostname="localhost" tests="{tests}" failures="{failures}" errors="{errors}" '
        f'skipped="{skipped}" time="{took:.3f}">\n<properties></properties>'
    )


def _open_case(exercise: str, took: float) -> str:
    classname = attribute(f"happyllm.{exercise.replace('/', '.')}")
    return f'<testcase classname="{classname}" name="{attribute(exercise)}" time="{took:.3f}">'


def _case(graded: Graded, language: Language) -> str:
    begin = _open_case(graded.id, graded.duration_s)
    if graded.outcome == "passed":
        return f"{begin}</testcase>"
    if graded.outcome == "untouched":
        return f"{begin}<skipped/></testcase>"
    kind = "error" if graded.outcome in ("error", "fault") else "failure"
    lines = [
        line
        for part in feedback.parts(_alone(graded), language)
        for piece in part.pieces
        for line in ((f"{piece.label}:",) if piece.label else ()) + piece.lines
    ]
    reason = one_line(graded, language)
    return begin + _element(kind, graded.outcome, reason, "\n".join(lines)) + "</testcase>"


def _alone(graded: Graded) -> Report:
    return Report(1, "", "", "", 0, graded.isolation, graded.duration_s, (graded,))


def _element(kind: str, type_: str, message: str, body: str) -> str:
    inside = escape(_NO_XML.sub("\ufffd", body), {"\r": "&#13;"})
    return f'<{kind} type="{attribute(type_)}" message="{attribute(message)}">{inside}</{kind}>'


def attribute(text: str) -> str:
    """A text in one line, as the value of an attribute."""
    safe = _NO_XML.sub("\ufffd", feedback.one_line(text))
    return escape(safe, {'"': "&quot;", "'": "&#39;"})
