"""Hand-ins that are alike, as one page: what they have in common stands side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from grader.catalogue import Language
from grader.resemblance import Match, Pair, Resemblance

from . import likewords
from .html import page, text
from .likewords import percent, say
from .words import clean

_STYLE = """
body { max-width: 80rem; } .evidence { border-left: 4px solid #bf8700; padding-left: .8rem; }
.sides { table-layout: fixed; } .sides td { width: 50%; padding: 0 .3rem; }
.sides pre { border: 0; padding: .2rem 0; margin: 0; font-size: .8rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.sides i { opacity: .5; font-style: normal; user-select: none; }
"""


def page_of(
    what: Resemblance,
    sources: Mapping[str, Mapping[str, str]],
    language: Language,
    least: int,
) -> str:
    """The page.

    Args:
        what: what was found.
        sources: the files of each student that it names.
        language: of the page.
        least: tokens that an exercise must have to be compared.
    """
    title = f"{what.title.in_(language)} · {say('title', language)}"
    body = [
        f"<h1>{text(title)}</h1>",
        f"<p>{text(likewords.found(what, language))}</p>",
        f'<p class="evidence">{text(say("evidence", language))}</p>',
    ]
    if what.pairs:
        body += _index(what, language)
    else:
        body.append(f"<p>{text(say('none', language))}</p>")
    for number, pair in enumerate(what.pairs, start=1):
        body += _pair(number, pair, sources, language)
    left_out = list(likewords.left_out(what, language, least))
    if left_out:
        body.append(f"<h2>{text(say('left_out', language))}</h2><ul>")
        body += [f"<li>{text(line)}</li>" for line in left_out]
        body.append("</ul>")
    foot = say("foot", language, version=what.happyllm)
    body.append(f"<footer>{text(foot)}</footer>")
    return page(title, body, language, _STYLE)


def _index(what: Resemblance, language: Language) -> Iterator[str]:
    yield "<table>"
    for number, pair in enumerate(what.pairs, start=1):
        names = text(say("pair", language, left=pair.left, right=pair.right))
        said = ", ".join(f"{match.exercise} {percent(match.score)}" for match in pair.matches)
        yield f'<tr><td><a href="#pair-{number}">{names}</a></td><td>{text(said)}</td></tr>'
    yield "</table>"


def _pair(
    number: int, pair: Pair, sources: Mapping[str, Mapping[str, str]], language: Language
) -> Iterator[str]:
    names = text(say("pair", language, left=pair.left, right=pair.right))
    yield f'<section id="pair-{number}"><h2>{names}</h2>'
    for match in pair.matches:
        yield f"<p>{text(likewords.matched(pair, match, language))}"
        if match.as_solution >= 0.5:
            share = percent(match.as_solution)
            yield f"<br>{text(say('as_solution', language, share=share))}"
        yield "</p>"
        yield from _sides(pair, match, sources)
    yield "</section>"


def _sides(pair: Pair, match: Match, sources: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    left = sources.get(pair.left, {}).get(match.file, "").split("\n")
    right = sources.get(pair.right, {}).get(match.file, "").split("\n")
    yield f'<table class="sides"><tr><th>{text(pair.left)}</th><th>{text(pair.right)}</th></tr>'
    for span in match.spans:
        yield (
            f"<tr><td>{_lines(left, span.left_first, span.left_last)}</td>"
            f"<td>{_lines(right, span.right_first, span.right_last)}</td></tr>"
        )
    yield "</table>"


def _lines(source: Sequence[str], first: int, last: int) -> str:
    width = len(str(last))
    shown = [
        f"<i>{number:>{width}}</i>  {escape(clean(line), quote=True)}"
        for number, line in enumerate(source[first - 1 : last], start=first)
    ]
    return f"<pre>{chr(10).join(shown)}</pre>"
