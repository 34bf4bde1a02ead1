"""The report as plain lines: for logs, pipes and screen readers. No colour, no boxes."""

from __future__ import annotations

from collections.abc import Iterator

from grader.catalogue import Language
from grader.report import Failure, Graded, Report, Value

from .words import OUTCOME, PLAIN_MARK, clean, one_line, say


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
        yield f"  {PLAIN_MARK[test.outcome]} {test.claim.in_(language)}"
    if graded.failure is not None:
        yield from (f"  {line}" for line in _failure(graded.failure, language))
    if graded.printed is not None:
        yield f"  {say('printed', language)}"
        yield from (f"    {line}" for line in clean(graded.printed.text).splitlines())
        if graded.printed.dropped_bytes:
            yield f"    {say('dropped', language, n=graded.printed.dropped_bytes)}"
    yield f"  {say('reread', language, section=graded.section)}"


def _failure(failure: Failure, language: Language) -> Iterator[str]:
    yield from clean(failure.message.in_(language)).splitlines()
    if failure.call is not None:
        yield clean(failure.call)
    for argument in failure.arguments:
        yield from _value(f"{say('input', language)} {argument.name}", argument.value)
    if failure.expected is not None:
        yield from _value(say("expected", language), failure.expected)
    if failure.got is not None:
        yield from _value(say("got", language), failure.got)
    for frame in failure.frames:
        yield clean(f"{frame.file}:{frame.line}: {frame.text}")


def _value(name: str, value: Value) -> Iterator[str]:
    shape = f" {value.dtype}{list(value.shape)}" if value.shape is not None else ""
    corner = f" {value.corner}" if value.corner else ""
    yield f"{name}{shape}{corner}:"
    yield from (f"  {line}" for line in clean(value.text).splitlines())
