"""What GitHub reads of a step: annotations as workflow commands, a summary, and outputs.

A workflow command is a line that begins with `::`. Only the lines that are made here are any: a
student's text stands behind one, in the same line, with all escaped that would end it.
"""

from __future__ import annotations

from collections.abc import Iterator

from grader.catalogue import Language
from grader.report import Graded, Report

from . import feedback, markdown
from .words import OUTCOME, one_line, say

MOST = 10  # GitHub shows so many annotations of one kind a step
SUMMARY_BYTES = 1 << 19  # it takes a MiB of a step


def workflow_commands(report: Report, language: Language = "en", folder: str = "") -> str:
    """A command for each exercise that did not pass.

    Args:
        report: what was found.
        language: of the words.
        folder: where the workspace lies in the repository, `work`; empty for its root.
    """
    return "".join(f"{line}\n" for line in _workflow_commands(report, language, folder))


def _workflow_commands(report: Report, language: Language, folder: str) -> Iterator[str]:
    begin = f"{folder.strip('/')}/" if folder.strip("/") else ""
    count = {"error": 0, "notice": 0}
    for graded in report.exercises:
        if graded.outcome == "passed":
            continue
        kind = "notice" if graded.outcome == "untouched" else "error"
        count[kind] += 1
        if count[kind] > MOST:
            continue
        said = one_line(graded, language) or OUTCOME[graded.outcome].in_(language)
        place = {
            "file": f"{begin}{graded.file}",
            "line": str(_line(graded)),
            "title": f"{graded.id} · {graded.title.in_(language)}",
        }
        yield command(kind, said, place)


def _line(graded: Graded) -> int:
    """The innermost line of the exercise's own file that a failure came through, else the first."""
    frames = graded.failure.frames if graded.failure is not None else ()
    return next((one.line for one in reversed(frames) if one.file == graded.file and one.line), 1)


def command(kind: str, message: str, properties: dict[str, str]) -> str:
    """A workflow command, as GitHub's own toolkit writes it."""
    given = ",".join(f"{name}={_property(text)}" for name, text in properties.items() if text)
    return f"::{kind} {given}::{_data(message)}"


def _data(text: str) -> str:
    shown = feedback.one_line(text)
    return shown.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def summary(report: Report, language: Language = "en") -> str:
    """The page of the step: how it stands in a line, and then the feedback."""
    solved, points, possible = _tally(report)
    head = (
        f"**{say('solved', language, n=solved, of=len(report.exercises))} · "
        f"{say('points', language, n=points, of=possible)}**"
    )
    page = f"{head}\n\n{markdown.render(report, language)}"
    if len(page.encode()) <= SUMMARY_BYTES:
        return page
    return f"{head}\n"


def outputs(report: Report) -> str:
    """The step's outputs, a line each: numbers and one of our own words, and nothing else."""
    solved, points, possible = _tally(report)
    values = {
        "passed": solved,
        "total": len(report.exercises),
        "points": points,
        "possible": possible,
        "all-passed": str(solved == len(report.exercises)).lower(),
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _tally(report: Report) -> tuple[int, float, float]:
    solved = sum(graded.outcome == "passed" for graded in report.exercises)
    return solved, report.points, report.points_possible
