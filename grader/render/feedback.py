"""What a student is told of an exercise, as pieces that a page of any form can show.

All text here has been made safe to show as text; escaping for a form is the form's affair.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from grader.catalogue import Language
from grader.gradebook import Sheet
from grader.report import Failure, Graded, Report, Value

from .classwords import STATUS
from .classwords import say as tell
from .words import (
    ASCII_SHADES,
    OUTCOME,
    call,
    claims,
    clean,
    heat_title,
    mistake,
    origin,
    say,
    shades,
    tells,
    wrote,
)

CLAIMS = 12


@dataclass(frozen=True)
class Piece:
    """A paragraph, what is stressed, a list, or lines to be shown as they are."""

    kind: Literal["text", "strong", "list", "code"]
    label: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One exercise: its heading, how it ended, and what there is to say."""

    id: str
    title: str
    outcome: str
    passed: bool
    points: str
    pieces: tuple[Piece, ...]


def head(sheet: Sheet, language: Language) -> list[tuple[str, str]]:
    """Facts of a student's row, as pairs of a name and a text."""
    row, counted = sheet.row, sheet.row.counted
    facts = [(tell("student", language), one_line(f"{row.student.shown} ({row.student.id})"))]
    points = "—" if row.has_fault or row.status != "graded" else f"{row.points:g}"
    facts.append((tell("points", language), f"{points} / {sheet.possible:g}"))
    if row.status != "graded":
        facts.append((tell("status", language), STATUS[row.status].in_(language)))
    if counted is not None:
        facts.append(
            (
                tell("attempt", language),
                one_line(
                    tell(
                        "attempt_of",
                        language,
                        n=counted.number,
                        of=row.attempts,
                        name=counted.name,
                    )
                ),
            )
        )
        if counted.submitted_at:
            facts.append((tell("handed_in", language), counted.submitted_at))
        if sheet.due:
            facts.append((tell("due", language), sheet.due))
        if counted.penalty:
            late = tell("late_by", language, days=counted.late_s / 86_400, share=counted.penalty)
            facts.append((tell("late", language), late))
    return facts


def remarks(sheet: Sheet, language: Language) -> list[Piece]:
    """What is to be said of a hand-in as a whole."""
    counted = sheet.row.counted
    pieces = []
    if sheet.row.status == "missing":
        pieces.append(Piece("strong", "", (tell("nothing", language),)))
    if sheet.row.status == "ungraded":
        pieces.append(Piece("strong", "", (tell("not_yet", language),)))
    if counted is not None and counted.problem is not None:
        pieces.append(Piece("strong", "", (one_line(counted.problem.in_(language)),)))
    if counted is not None and counted.notes:
        notes = tuple(one_line(note.in_(language)) for note in counted.notes)
        pieces.append(Piece("list", tell("left_out", language), notes))
    return pieces


def parts(report: Report | None, language: Language, sheet: Sheet | None = None) -> list[Part]:
    """Every exercise of a report; points as the sheet has them, where there is one."""
    if report is None:
        return []
    counted = sheet.row.counted if sheet is not None else None
    marks = {mark.exercise: mark for mark in counted.marks} if counted is not None else {}
    hints = dict(sheet.hints) if sheet is not None else {}
    found = []
    for graded in report.exercises:
        mark = marks.get(graded.id)
        got, of = (
            (mark.points, mark.possible)
            if mark is not None
            else (graded.points, graded.points_possible)
        )
        fault = graded.outcome == "fault"
        pieces = [*_pieces(graded, language)]
        if graded.id in hints:
            hint = one_line(hints[graded.id].in_(language))
            pieces.append(Piece("text", tell("hint", language), (hint,)))
        if graded.outcome not in ("passed", "fault"):
            said = tell("reread", language, section=graded.section)
            pieces.append(Piece("text", "", (said,)))
        found.append(
            Part(
                id=graded.id,
                title=graded.title.in_(language),
                outcome=OUTCOME[graded.outcome].in_(language),
                passed=graded.outcome == "passed",
                points=f"— / {of:g}" if fault else f"{got:g} / {of:g}",
                pieces=tuple(pieces),
            )
        )
    return found


def foot(sheet: Sheet | None, report: Report | None) -> str:
    """What the grade rests on, in a line."""
    counted = sheet.row.counted if sheet is not None else None
    if counted is not None and counted.integrity is not None:
        return one_line(counted.integrity.line)
    if report is None:
        return ""
    return one_line(f"happyllm={report.happyllm} seed={report.seed} isolation={report.isolation}")


def one_line(text: str) -> str:
    """A text in one line, safe to show."""
    return clean(" ".join(clean(text).split()))


def _pieces(graded: Graded, language: Language) -> Iterator[Piece]:
    if graded.outcome == "passed":
        yield Piece("text", "", (tell("passed", language),))
        return
    if graded.outcome == "untouched":
        yield Piece("text", "", (tell("untouched", language),))
        return
    if graded.outcome == "fault":
        yield Piece("strong", "", (tell("no_points_yet", language),))
        return
    if graded.mistake is not None:
        yield Piece("strong", "", (one_line(mistake(graded.mistake, language)),))
    said = [one_line(claim) for claim in claims(graded.tests, language)]
    if said:
        more = [say("more", language, n=len(said) - CLAIMS)] if len(said) > CLAIMS else []
        yield Piece("list", tell("did_not_hold", language), (*said[:CLAIMS], *more))
    if graded.failure is not None:
        yield from _failure(graded.failure, language)
    key, printed = wrote(graded)
    if printed is not None:
        lines = _lines(printed.text)
        if printed.dropped_bytes:
            lines = (*lines, say("dropped", language, n=printed.dropped_bytes))
        yield Piece("code", say(key, language).rstrip(":："), lines)


def _failure(failure: Failure, language: Language) -> Iterator[Piece]:
    yield Piece("text", "", (one_line(failure.message.in_(language)),))
    if failure.pattern is not None:
        pattern = one_line(failure.pattern.in_(language))
        yield Piece("text", tell("pattern", language), (pattern,))
    if failure.origin is not None:
        yield Piece("text", "", (one_line(origin(failure.origin, language)),))
    if (called := call(failure, language)) is not None:
        lines = list(_lines(called))
        for argument in failure.arguments:
            lines += _value(argument.name, argument.value)
        yield Piece("code", "", tuple(lines))
    for key, value in (("expected", failure.expected), ("got", failure.got)):
        if value is not None:
            yield Piece("code", say(key, language), _value("", value))
    if failure.heat is not None and tells(failure.heat):
        yield Piece(
            "code", heat_title(failure.heat, language), tuple(shades(failure.heat, ASCII_SHADES))
        )
    lines = []
    for frame in failure.frames:
        lines += _lines(f"{frame.file}:{frame.line}: {frame.text}")
        for one in frame.variables:
            lines += _lines(f"    {one.name}: {one.text}")
    if lines:
        yield Piece("code", tell("your_line", language), tuple(lines))


def _value(name: str, value: Value) -> tuple[str, ...]:
    shape = f"{value.dtype}{list(value.shape)} " if value.shape is not None else ""
    heading = f"{name} {shape}{value.corner or ''}".strip()
    lines = _lines(value.text)
    if not heading:
        return lines
    if len(lines) == 1:
        return (clean(f"{heading}: ") + lines[0],)
    return (clean(f"{heading}:"), *(f"  {line}" for line in lines))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(clean(text).split("\n"))
