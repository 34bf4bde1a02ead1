"""A student's feedback as one page: nothing is loaded, nothing runs, all of theirs is text."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape

from grader.catalogue import Language
from grader.gradebook import Sheet
from grader.report import Report

from . import feedback
from .classwords import say
from .feedback import Part, Piece

STYLE = """
:root { color-scheme: light dark; --line: #8886; --good: #1a7f37; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #f85149; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; }
section { border-top: 1px solid var(--line); }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem; }
.passed { color: var(--good); } .failed { color: var(--bad); }
.points { float: right; font-weight: normal; }
.label { opacity: .7; margin-bottom: .2rem; }
footer { border-top: 1px solid var(--line); margin-top: 2rem; font-size: .75rem; opacity: .7;
  overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .25rem .5rem;
  border-bottom: 1px solid var(--line); vertical-align: top; }
svg { width: 100%; height: auto; } td svg { width: 120px; }
td:has(> svg) { white-space: nowrap; vertical-align: top; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
.bar { fill: #4c8eda; } .rest { fill: var(--line); } .axis { stroke: currentColor; }
"""


def render(report: Report | None, language: Language = "en", sheet: Sheet | None = None) -> str:
    """A page of a report; with a sheet it is a student's, with their points as the class counts."""
    title = sheet.title.in_(language) if sheet is not None else say("feedback", language)
    body = [f"<h1>{text(title)}</h1>"]
    if sheet is not None:
        facts = feedback.head(sheet, language)
        body.append("<dl>")
        body += [f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in facts]
        body.append("</dl>")
        body += _pieces(feedback.remarks(sheet, language))
    for part in feedback.parts(report, language, sheet):
        body += _part(part)
    body.append(f"<footer>{text(feedback.foot(sheet, report))}</footer>")
    return page(title, body, language)


def page(title: str, body: Iterable[str], language: Language, more_style: str = "") -> str:
    """A whole page. Its policy lets in its own style, by its hash, and nothing else at all."""
    style = STYLE + more_style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rules = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = [
        "<!DOCTYPE html>",
        f'<html lang="{"zh-Hans" if language == "zh" else "en"}">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{rules}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{text(title)}</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
    ]
    return "\n".join([*head, *body, "</body>", "</html>"]) + "\n"


def text(said: str) -> str:
    """A text as it is to be read, in an element or in an attribute."""
    return escape(feedback.one_line(said), quote=True)


def _part(part: Part) -> Iterator[str]:
    kind = "passed" if part.passed else "failed"
    yield "<section>"
    yield (
        f'<h2><span class="points">{text(part.points)}</span>{text(part.id)} · {text(part.title)} '
        f'<span class="{kind}">{text(part.outcome)}</span></h2>'
    )
    yield from _pieces(part.pieces)
    yield "</section>"


def _pieces(pieces: Iterable[Piece]) -> Iterator[str]:
    for piece in pieces:
        label = f"{text(piece.label)}: " if piece.label else ""
        if piece.kind == "strong":
            yield f"<p>{label}<strong>{text(' '.join(piece.lines))}</strong></p>"
        elif piece.kind == "text":
            yield f"<p>{label}{text(' '.join(piece.lines))}</p>"
        elif piece.kind == "list":
            if piece.label:
                yield f'<p class="label">{text(piece.label)}</p>'
            yield "<ul>"
            yield from (f"<li>{text(line)}</li>" for line in piece.lines)
            yield "</ul>"
        else:
            yield f'<p class="label">{text(piece.label)}</p>'
            yield f"<pre>{escape(chr(10).join(piece.lines), quote=True)}</pre>"
