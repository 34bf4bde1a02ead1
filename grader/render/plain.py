"""The report as plain lines: for logs, pipes and screen readers. No colour, no boxes."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len

from grader.catalogue import Language
from grader.report import Failure, Frame, Graded, Report, Value

from .words import (
    ASCII_SHADES,
    OUTCOME,
    PLAIN_MARK,
    call,
    clean,
    heat_title,
    one_line,
    origin,
    say,
    shades,
    tells,
    wrote,
)


def render(report: Report, language: Language = "en", *, lead_on: bool = True) -> str:
    return "\n".join(_lines(report, language, lead_on)) + "\n"


def exercise(graded: Graded, language: Language = "en") -> str:
    """One exercise of a report, with its reason."""
    return "\n".join(_exercise(graded, language)) + "\n"


def _lines(report: Report, language: Language, lead_on: bool) -> Iterator[str]:
    for graded in report.exercises:
        yield from _exercise(graded, language)
    passed = sum(graded.outcome == "passed" for graded in report.exercises)
    yield ""
    yield say("solved", language, n=passed, of=len(report.exercises))
    yield say("points", language, n=report.points, of=report.points_possible)
    yield f"{say('seed', language, seed=report.seed)}, {report.isolation}"
    if report.next and lead_on:
        yield say("next", language, command=f"happyllm-grade {report.next}")


def _exercise(graded: Graded, language: Language) -> Iterator[str]:
    outcome = OUTCOME[graded.outcome].in_(language)
    points = f"{graded.points}/{graded.points_possible}"
    yield f"{PLAIN_MARK[graded.outcome]} {graded.id}: {outcome}, {points}"
    if graded.outcome in ("passed", "untouched"):
        return
    if graded.mistake is not None:
        said = one_line(graded, language)
        sure = graded.mistake.certain
        yield f"  {say('mistake', language, said=said) if sure else said}"
    for test in graded.tests:
        case = f" [{clean(test.case)}]" if test.case is not None else ""
        yield f"  {PLAIN_MARK[test.outcome]} {test.claim.in_(language)}{case}"
    first = graded.first_failure
    if first is not None:
        case = f" [{clean(first.case)}]" if first.case is not None else ""
        yield f"  {say('first', language, claim=first.claim.in_(language))}{case}"
    if graded.failure is not None:
        yield from (f"  {line}" for line in _failure(graded.failure, language))
    key, printed = wrote(graded)
    if printed is not None:
        yield f"  {say(key, language)}"
        yield from (f"    {line}" for line in clean(printed.text).splitlines())
        if printed.dropped_bytes:
            yield f"    {say('dropped', language, n=printed.dropped_bytes)}"
    yield f"  {say('reread', language, section=graded.section)}"


def _failure(failure: Failure, language: Language) -> Iterator[str]:
    yield from clean(failure.message.in_(language)).splitlines()
    if failure.pattern is not None:
        yield clean(failure.pattern.in_(language))
    if failure.origin is not None:
        yield origin(failure.origin, language)
        yield from _line(failure.origin.frame)
    if (called := call(failure, language)) is not None:
        yield from clean(called).splitlines()
    for argument in failure.arguments:
        yield from _value(f"{say('input', language)} {argument.name}", argument.value)
    if failure.expected is not None:
        yield from _value(say("expected", language), failure.expected)
    if failure.got is not None:
        yield from _value(say("got", language), failure.got)
    if failure.heat is not None and tells(failure.heat):
        yield f"{heat_title(failure.heat, language)}:"
        yield from (f"  {row}" for row in shades(failure.heat, ASCII_SHADES))
    for frame in failure.frames:
        yield from _line(frame)


def _line(frame: Frame | None) -> Iterator[str]:
    """A line of the learner's code, what failed in it, and what its names stood for."""
    if frame is None:
        return
    place = clean(f"{frame.file}:{frame.line}: ")
    yield f"{place}{clean(frame.text)}"
    if frame.span is not None and clean(frame.text) == frame.text:
        start, stop = frame.span
        yield " " * (cell_len(place) + cell_len(frame.text[:start])) + "^" * cell_len(
            frame.text[start:stop]
        )
    yield from (f"  {clean(one.name)}: {clean(one.text)}" for one in frame.variables)


def _value(name: str, value: Value) -> Iterator[str]:
    if value.shape is None and "\n" not in value.text:
        yield f"{name}: {clean(value.text)}"
        return
    shape = f" {value.dtype}{list(value.shape)}" if value.shape is not None else ""
    corner = f" {value.corner}" if value.corner else ""
    yield f"{name}{shape}{corner}:"
    yield from (f"  {line}" for line in clean(value.text).splitlines())
