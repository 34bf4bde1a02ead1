"""The files that come of a class: each is made from the record, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from grader import gradebook
from grader.catalogue import Language, Text
from grader.classroom import tally
from grader.classroom.batch import Assignment
from grader.classroom.problems import ClassroomError
from grader.classroom.record import Record
from grader.files import write_whole
from grader.gradebook import Book


def write(record: Record, what: Assignment, out: Path, lang: Language) -> tuple[Book, list[Path]]:
    """Write the gradebooks, the report, and everybody's feedback.

    Returns:
        the book, and what to look at first.

    Raises:
        ClassroomError: a file cannot be written.
    """
    book = tally.book(record, what)
    written = []
    for name, text in (*_of_class(book, lang), *_of_students(book, record, what, lang)):
        path = out / name
        save(path, text)
        if path.parent == out:
            written.append(path)
    return book, written


def _of_class(book: Book, lang: Language) -> Iterator[tuple[str, str]]:
    from grader.render import classreport, csvform, junit

    yield "gradebook.csv", csvform.gradebook(book, "happyllm", lang)
    for columns in csvform.COLUMNS[1:]:
        yield f"gradebook.{columns}.csv", csvform.gradebook(book, columns, lang)
    yield "gradebook.json", book.to_json()
    yield "junit.xml", junit.classroom(book, lang)
    yield "report.html", classreport.page_of(book, lang)


def _of_students(
    book: Book, record: Record, what: Assignment, lang: Language
) -> Iterator[tuple[str, str]]:
    from grader.render import gradescope, html, jsonform, markdown

    names = dict(gradebook.file_names(row.student.id for row in book.rows))
    for row in book.rows:
        if row.counted is not None and row.counted.report is not None:
            text = jsonform.render(row.counted.report, indent=None)
            yield f"reports/{names[row.student.id]}.json", text
    for sheet in tally.sheets(book, record, what):
        name = names[sheet.row.student.id]
        yield f"feedback/{name}.html", html.render(sheet.report, lang, sheet)
        yield f"feedback/{name}.md", markdown.render(sheet.report, lang, sheet)
        yield f"gradescope/{name}.json", gradescope.render(sheet.report, lang, sheet)


def save(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        ClassroomError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise ClassroomError(
            Text(
                f"{path}: cannot be written: {error.strerror}. The record is whole; make room or "
                "name another folder, and run the same command again.",
                f"{path}：无法写入：{error.strerror}。记录完好；请腾出空间或换一个文件夹，"
                "再次运行同一命令。",
            )
        ) from error
