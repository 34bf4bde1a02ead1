"""How a class did, as one page: the spread, what was hard, and which mistakes to talk about."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from grader.catalogue import Language
from grader.gradebook import Book, Row

from .classwords import STATUS, say
from .html import page, text

MOST = 12  # lines in a list


def page_of(book: Book, language: Language = "en") -> str:
    """The page. It names students only where something has to be done about their hand-in."""
    rows = [row for row in book.graded if not row.has_fault]
    title = book.title.in_(language)
    body = [f"<h1>{text(title)}</h1>", f"<p>{text(_summary(book, rows, language))}</p>"]
    body.append(f"<h2>{text(say('distribution', language))}</h2>")
    body.append(_histogram(book, rows, language))
    body.append(f"<h2>{text(say('hardest', language))}</h2>")
    body += _table(_exercises(book, rows, language))
    body.append(f"<h2>{text(say('hardest_tests', language))}</h2>")
    body += _table(_tests(rows, language))
    body.append(f"<h2>{text(say('mistakes', language))}</h2>")
    body += _table(_mistakes(rows, language))
    body.append(f"<h2>{text(say('look_at', language))}</h2>")
    body += _list(_to_look_at(book, language), language)
    when = say("foot", language, version=book.happyllm, seed=book.seed, when=book.made_at)
    body.append(f"<footer>{text(when)}</footer>")
    return page(title, body, language)


def _summary(book: Book, rows: Sequence[Row], language: Language) -> str:
    points = [float(row.points) for row in rows] or [0.0]
    return say(
        "of_class",
        language,
        graded=len(rows),
        of=len(book.rows),
        mean=f"{statistics.fmean(points):.1f}",
        possible=f"{book.possible:g}",
        median=f"{statistics.median(points):g}",
    )


def _histogram(book: Book, rows: Sequence[Row], language: Language) -> str:
    """Ten bars, from none of the points to all of them; what is above goes to the last."""
    bins = [0] * 10
    for row in rows:
        share = row.points / book.possible if book.possible else 0.0
        bins[min(9, max(0, int(share * 10)))] += 1
    top = max([*bins, 1])
    width, height, left, foot = 640, 220, 40, 40
    step = (width - left) / 10
    label = f"{say('distribution', language)}: " + ", ".join(
        f"{10 * n}–{10 * n + 10} %: {count}" for n, count in enumerate(bins)
    )
    lines = [
        f'<svg viewBox="0 0 {width} {height + foot}" role="img" aria-label="{text(label)}">',
        f'<line class="axis" x1="{left}" y1="{height}" x2="{width}" y2="{height}"/>',
    ]
    for number, count in enumerate(bins):
        x, tall = left + number * step, (height - 24) * count / top
        lines.append(
            f'<rect class="bar" x="{x + 3:.1f}" y="{height - tall:.1f}" width="{step - 6:.1f}" '
            f'height="{tall:.1f}"/>'
        )
        middle = x + step / 2
        if count:
            lines.append(
                f'<text x="{middle:.1f}" y="{height - tall - 6:.1f}" text-anchor="middle">'
                f"{count}</text>"
            )
        lines.append(
            f'<text x="{middle:.1f}" y="{height + 16}" text-anchor="middle">'
            f"{10 * number}–{10 * number + 10}</text>"
        )
    axis = text(say("distribution_axis", language))
    lines.append(
        f'<text x="{width / 2:.0f}" y="{height + 34}" text-anchor="middle">{axis}</text></svg>'
    )
    return "\n".join(lines)


def _exercises(
    book: Book, rows: Sequence[Row], language: Language
) -> Iterator[tuple[str, str, float]]:
    passed: Counter[str] = Counter()
    for row in rows:
        assert row.counted is not None
        passed.update(mark.exercise for mark in row.counted.marks if mark.outcome == "passed")
    for column in sorted(book.columns, key=lambda column: passed[column.exercise]):
        count = passed[column.exercise]
        said = say("passed_by", language, n=count, of=len(rows))
        share = count / len(rows) if rows else 0.0
        yield f"{column.exercise} · {column.title.in_(language)}", said, share


def _tests(rows: Sequence[Row], language: Language) -> Iterator[tuple[str, str, float]]:
    """The claims that fewest hold; what nobody fails is not told."""
    failed: Counter[tuple[str, str]] = Counter()
    seen: Counter[tuple[str, str]] = Counter()
    for row in rows:
        report = row.counted.report if row.counted is not None else None
        for graded in report.exercises if report is not None else ():
            claims = {(graded.id, test.claim.in_(language)) for test in graded.tests}
            seen.update(claims)
            failed.update(
                {
                    (graded.id, test.claim.in_(language))
                    for test in graded.tests
                    if test.outcome not in ("passed", "fault", "untouched")
                }
            )
    for (exercise, claim), count in failed.most_common(MOST):
        of = seen[exercise, claim]
        said = say("failed_by", language, n=count, of=of)
        yield f"{exercise}: {claim}", said, count / of


def _mistakes(rows: Sequence[Row], language: Language) -> Iterator[tuple[str, str, float]]:
    made: Counter[tuple[str, str]] = Counter()
    for row in rows:
        assert row.counted is not None
        made.update(
            (mark.exercise, mark.mistake.in_(language))
            for mark in row.counted.marks
            if mark.mistake is not None
        )
    for (exercise, mistake), count in made.most_common(MOST):
        yield f"{exercise}: {mistake}", say("made_by", language, n=count), count / len(rows)


def _to_look_at(book: Book, language: Language) -> Iterator[str]:
    """What a person has to do something about."""
    for row in book.rows:
        who = row.student.shown
        if row.has_fault:
            yield f"{who}: {say('faults', language)}"
        elif row.counted is not None and row.counted.problem is not None:
            yield f"{who}: {row.counted.problem.in_(language)}"
        elif row.status in ("missing", "ungraded"):
            yield f"{who}: {STATUS[row.status].in_(language)}"
    for name in book.strangers:
        yield f"{name}: {say('strangers', language)}"


def _table(lines: Iterable[tuple[str, str, float]]) -> Iterator[str]:
    """Lines of a text, a count, and a bar for its share."""
    yield "<table>"
    for said, count, share in lines:
        filled = round(120 * max(0.0, min(1.0, share)))
        yield (
            f'<tr><td>{text(said)}</td><td><svg viewBox="0 0 120 12" width="120" height="12" '
            f'aria-hidden="true"><rect class="rest" x="0" y="0" width="120" height="12"/>'
            f'<rect class="bar" x="0" y="0" width="{filled}" height="12"/></svg> '
            f"{text(count)}</td></tr>"
        )
    yield "</table>"


def _list(lines: Iterable[str], language: Language) -> Iterator[str]:
    found = [*lines] or [say("none", language)]
    yield "<ul>"
    yield from (f"<li>{text(line)}</li>" for line in found)
    yield "</ul>"
