"""From the record to the gradebook: what counts, what it is worth, and what a student is told."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from grader.catalogue import Exercise, Text
from grader.gradebook import (
    BOOK_VERSION,
    Attempt,
    Book,
    Column,
    Integrity,
    Mark,
    Row,
    Sheet,
    Status,
    neat,
)
from grader.report import SCHEMA_VERSION, Graded, Report, Test
from grader.sandbox.isolation import STRENGTHS

from . import fingerprints, roster
from .batch import Assignment
from .policy import Policy
from .record import Record, Result, Submission


def book(record: Record, what: Assignment) -> Book:
    """The gradebook of a record, by the rules of today's policy."""
    worth = what.policy.worth(what.exercises)
    by_student: dict[str, list[Submission]] = defaultdict(list)
    for submission in record.submissions():
        if submission.stands:
            by_student[submission.student].append(submission)
    newest: tuple[int, str, int] = (0, "", 0)
    rows = []
    for student, extension in record.students():
        due = what.policy.due_for(student.id, extension)
        attempts = []
        for number, one in enumerate(roster.in_order(by_student[student.id]), start=1):
            grades = record.grades(one.id)
            newest = max([newest, *((r.id, r.made_at, r.basis.seed) for r in grades.values())])
            attempts.append(_attempt(one, number, grades, what, worth, due))
        counted = _counted(attempts, what.policy.attempt)
        status = _status(counted, what.exercises)
        points = counted.points if counted is not None and status == "graded" else 0
        rows.append(Row(student, status, len(attempts), points, counted))
    return Book(
        version=BOOK_VERSION,
        title=what.title,
        chapter=what.chapter,
        made_at=newest[1],
        attempt=what.policy.attempt,
        seed=newest[2],
        happyllm=fingerprints.versions()["happyllm"],
        columns=tuple(Column(one.id, one.title, neat(worth[one.id])) for one in what.exercises),
        rows=tuple(rows),
        strangers=tuple(json.loads(record.fact("strangers") or "[]")),
    )


def sheets(of: Book, record: Record, what: Assignment) -> Iterable[Sheet]:
    """What each student is told."""
    extensions = {student.id: more for student, more in record.students()}
    exercises = {one.id: one for one in what.exercises}
    for row in of.rows:
        due = what.policy.due_for(row.student.id, extensions.get(row.student.id))
        hints: tuple[tuple[str, Text], ...] = ()
        report = row.counted.report if row.counted is not None else None
        if row.counted is not None and report is not None:
            if what.policy.feedback != "verdict":
                hints = tuple(
                    (graded.id, hint)
                    for graded in report.exercises
                    if (hint := _hint(graded, exercises[graded.id])) is not None
                )
            told = tuple(disclosed(graded, what.policy) for graded in report.exercises)
            marks = row.counted.marks
            if what.policy.feedback == "verdict":
                marks = tuple(replace(mark, mistake=None) for mark in marks)
            row = replace(
                row,
                counted=replace(row.counted, report=replace(report, exercises=told), marks=marks),
            )
        when = due.isoformat() if due is not None else None
        yield Sheet(of.title, row, of.columns, when, hints)


def disclosed(graded: Graded, policy: Policy) -> Graded:
    """What a student may see of an exercise.

    With `full` that is all of the tests that are not hidden; with `hints` which claims did not
    hold, and the name of the mistake; with `verdict` whether it passed. What the code itself
    printed may hold the hidden inputs, and is told only where no test is hidden.
    """
    if policy.feedback == "verdict":
        return replace(graded, tests=(), failure=None, mistake=None, printed=None)
    shown = tuple(test for test in graded.tests if policy.shows(graded.id, test.id))
    if policy.feedback == "hints":
        bare = tuple(replace(test, failure=None, printed=None, case=None) for test in shown)
        return replace(graded, tests=bare, failure=None, printed=None)
    if len(shown) == len(graded.tests) and policy.shows(graded.id, ""):
        return graded
    failure = graded.failure
    if failure is not None and (graded.first_failure is not None):
        failure = next((test.failure for test in shown if test.failure is not None), None)
    return replace(graded, tests=shown, failure=failure, printed=None)


def _attempt(
    submission: Submission,
    number: int,
    grades: Mapping[str, Result],
    what: Assignment,
    worth: Mapping[str, float],
    due: datetime | None,
) -> Attempt:
    late_s, penalty = what.policy.lateness(submission.submitted_at, due)
    results = [grades[one.id] for one in what.exercises if one.id in grades]
    marks = tuple(_mark(result.graded, worth[result.basis.exercise]) for result in results)
    when = submission.submitted_at.isoformat() if submission.submitted_at is not None else None
    return Attempt(
        name=submission.name,
        number=number,
        submitted_at=when,
        late_s=late_s,
        penalty=penalty,
        points=neat(sum(mark.points for mark in marks) * (1 - penalty)),
        marks=marks,
        report=_report(results) if results else None,
        problem=submission.problem,
        notes=submission.notes,
        integrity=_integrity(results) if results else None,
    )


def _mark(graded: Graded, worth: float) -> Mark:
    share = graded.points / graded.points_possible if graded.points_possible else 0.0
    mistake = graded.mistake
    sure = mistake.message if mistake is not None and mistake.certain else None
    return Mark(graded.id, graded.outcome, neat(share * worth), neat(worth), sure)


def _report(results: Sequence[Result]) -> Report:
    """The verdicts of a hand-in as one report, as the engine would have made it."""
    graded = tuple(result.graded for result in results)
    last = max(results, key=lambda result: result.id)
    return Report(
        version=SCHEMA_VERSION,
        happyllm=last.versions.get("happyllm", ""),
        python=last.versions.get("python", ""),
        torch=last.versions.get("torch", ""),
        seed=last.basis.seed,
        isolation=_weakest(results),
        duration_s=round(sum(one.duration_s for one in graded), 4),
        exercises=graded,
        next=next((one.id for one in graded if one.outcome != "passed"), None),
    )


def _integrity(results: Sequence[Result]) -> Integrity:
    """The lines of a hand-in's verdicts as one."""
    if len(results) == 1:
        return results[0].integrity()
    last = max(results, key=lambda result: result.id).integrity()
    suites = fingerprints.of([result.basis.suite for result in results])
    seal = fingerprints.of([result.seal for result in results])
    return replace(last, suites=suites, seal=seal, isolation=_weakest(results))


def _weakest(results: Sequence[Result]) -> str:
    found = {result.isolation for result in results} - {"none"}
    return next((one for one in reversed(STRENGTHS) if one in found), "none")


def _counted(attempts: Sequence[Attempt], which: str) -> Attempt | None:
    """The attempt that counts: one that can be read, if there is one."""
    readable = [one for one in attempts if one.problem is None]
    if not readable:
        return attempts[-1] if attempts else None
    if which == "best":
        return max(readable, key=lambda one: (one.points, -one.number))
    return readable[-1]


def _status(counted: Attempt | None, exercises: Sequence[Exercise]) -> Status:
    if counted is None:
        return "missing"
    if counted.problem is not None:
        return "unreadable"
    done = {mark.exercise for mark in counted.marks}
    return "graded" if all(one.id in done for one in exercises) else "ungraded"


def _hint(graded: Graded, exercise: Exercise) -> Text | None:
    """The hint that fits what was found; else the most general one."""
    if graded.outcome in ("passed", "fault"):
        return None
    names = {test.id.partition("[")[0] for test in graded.tests if _is_failed(test)}
    if graded.mistake is not None:
        names.add(graded.mistake.id)
    fitting = (hint for hint in exercise.hints if names & set(hint.fits))
    hint = next(fitting, exercise.hints[0] if exercise.hints else None)
    return Text(hint.en, hint.zh) if hint is not None else None


def _is_failed(test: Test) -> bool:
    return test.outcome != "passed"
