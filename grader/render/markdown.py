"""A student's feedback as Markdown; what they wrote is shown, and marks up nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from grader.catalogue import Language
from grader.gradebook import Sheet
from grader.report import Report

from . import feedback
from .classwords import say
from .feedback import Piece

# What begins markup anywhere in a line, in CommonMark and in what GitHub adds to it.
_MARKS = re.compile(r"[\\`*_\[\]<>&#|~!$@{}]|(?<=\w):(?=//)|(?<=www)\.", re.IGNORECASE)
# What HTML reads as well is written as HTML writes it: a backslash holds off Markdown alone.
_NAMED = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_BEGINS = re.compile(r"^(\d*)([-+=.)])")  # and what makes a list, or a heading of the line before


def render(report: Report | None, language: Language = "en", sheet: Sheet | None = None) -> str:
    """A page of a report; with a sheet it is a student's, with their points as the class counts."""
    return "\n".join(_lines(report, language, sheet)) + "\n"


def escaped(text: str) -> str:
    """A text in which nothing is markup, wherever it stands."""
    said = _MARKS.sub(lambda found: _NAMED.get(found[0], f"\\{found[0]}"), feedback.one_line(text))
    return _BEGINS.sub(r"\1\\\2", said)


def block(lines: Iterable[str]) -> Iterator[str]:
    """Lines as they are, in a fence that none of them can close."""
    lines = tuple(lines)
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}text"
    yield from lines
    yield fence


def _lines(report: Report | None, language: Language, sheet: Sheet | None) -> Iterator[str]:
    title = sheet.title.in_(language) if sheet is not None else say("feedback", language)
    yield f"# {escaped(title)}"
    yield ""
    if sheet is not None:
        for name, value in feedback.head(sheet, language):
            yield f"- {escaped(name)}: {escaped(value)}"
        yield ""
        yield from _pieces(feedback.remarks(sheet, language))
    for part in feedback.parts(report, language, sheet):
        heading = f"{part.id} · {part.title}: {part.outcome}, {part.points}"
        yield f"## {escaped(heading)}"
        yield ""
        yield from _pieces(part.pieces)
    foot = feedback.foot(sheet, report)
    if foot:
        yield "***"
        yield ""
        yield escaped(foot)


def _pieces(pieces: Iterable[Piece]) -> Iterator[str]:
    for piece in pieces:
        label = f"**{escaped(piece.label)}:** " if piece.label else ""
        if piece.kind == "code":
            if piece.label:
                yield label.strip()
                yield ""
            yield from block(piece.lines)
        elif piece.kind == "list":
            if piece.label:
                yield label.strip()
                yield ""
            yield from (f"- {escaped(line)}" for line in piece.lines)
        else:
            said = escaped(" ".join(piece.lines))
            strong = piece.kind == "strong"
            yield f"{label}**{said}**" if strong else f"{label}{said}"
        yield ""
