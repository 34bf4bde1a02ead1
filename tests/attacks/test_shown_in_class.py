"""What a hostile submission says is shown as text in all that comes of a class, too."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from grader.catalogue import Text
from grader.gradebook import Attempt, Book, Column, Integrity, Mark, Row, Sheet, Student
from grader.render import classreport, csvform, gradescope, html, junit, markdown

from .test_shown import HOSTILE, elements, hostile, obeyed_by_ci

LINE = Integrity("0", "3", "2", *["a" * 64] * 4, 7, "landlock", "b" * 64)


def book_of(text: str) -> Book:
    """A class in which a student's text stands wherever it may."""
    report = hostile(text)
    said = Text(text, text)
    marks = tuple(Mark(g.id, g.outcome, 0, 5, said) for g in report.exercises)
    read = Attempt(text, 1, None, 0, 0, 0, marks, report, None, (said,), LINE)
    unread = Attempt(text, 1, None, 0, 0, 0, problem=said)
    who = Student(text, text, text, text)
    rows = (
        Row(who, "graded", 1, 0, read),
        Row(who, "unreadable", 1, 0, unread),
        Row(who, "missing", 0, 0),
    )
    columns = tuple(Column(g.id, g.title, 5) for g in report.exercises[:2])
    return Book(1, said, "ch5", "2026-11-01T00:00:00+00:00", "last", 7, "0", columns, rows, (text,))


def sheets(book: Book) -> list[Sheet]:
    hints = tuple((column.exercise, book.title) for column in book.columns)
    return [Sheet(book.title, row, book.columns, None, hints) for row in book.rows]


RENDERERS: dict[str, Callable[[Book, str], list[str]]] = {
    "html": lambda b, la: [html.render(s.report, la, s) for s in sheets(b)],
    "markdown": lambda b, la: [markdown.render(s.report, la, s) for s in sheets(b)],
    "gradescope": lambda b, la: [gradescope.render(s.report, la, s) for s in sheets(b)],
    "junit": lambda b, la: [junit.classroom(b, la)],
    "report": lambda b, la: [classreport.page_of(b, la)],
    **{
        f"csv {columns}": lambda b, la, columns=columns: [csvform.gradebook(b, columns, la)]
        for columns in csvform.COLUMNS
    },
}


@pytest.mark.parametrize("kind", [one for one in HOSTILE if not one.startswith("a command broken")])
@pytest.mark.parametrize("name", RENDERERS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_nothing_of_a_students_is_obeyed(kind: str, name: str, language: str) -> None:
    harmless = RENDERERS[name](book_of("harmless"), language)
    for text, plain in zip(
        RENDERERS[name](book_of(HOSTILE[kind]), language), harmless, strict=True
    ):
        text.encode("utf-8")
        obeyed = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
        assert obeyed <= {"\n"}
        assert obeyed_by_ci(text) == []
        if name in ("html", "report"):
            assert elements(text) == elements(plain)
            assert "default-src 'none'" in text
        if name == "junit":
            shape = [element.tag for element in ET.fromstring(text).iter()]
            assert shape == [element.tag for element in ET.fromstring(plain).iter()]
        if name.startswith("csv"):
            rows = list(csv.reader(io.StringIO(text)))
            assert [len(row) for row in rows] == [len(r) for r in csv.reader(io.StringIO(plain))]
            cells = [cell for row in rows for cell in row]
            assert not [cell for cell in cells if re.match(r"[=+@\t\r]|-(?!\d)", cell)]
        if name == "gradescope":
            assert set(json.loads(text)) == set(json.loads(plain))


@pytest.mark.parametrize("kind", HOSTILE)
def test_markdown_marks_up_nothing_of_a_students(kind: str) -> None:
    """As CommonMark reads it: the same blocks and marks as of a text that holds none."""
    markdown_it = pytest.importorskip("markdown_it")
    reader = markdown_it.MarkdownIt("gfm-like", {"linkify": False})

    def marks(text: str) -> list[str]:
        (sheet, *_) = sheets(book_of(text))
        tokens = reader.parse(markdown.render(sheet.report, "en", sheet))
        found = []
        for token in tokens:
            found.append(f"{token.type}{token.level}")
            found += [c.type for c in token.children or () if c.type not in ("text", "softbreak")]
        return [one for one in found if one not in ("text_special",)]

    assert marks(HOSTILE[kind]) == marks("harmless")
