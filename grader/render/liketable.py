"""Hand-ins that are alike, for a terminal: a table, or plain lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from grader.catalogue import Language
from grader.resemblance import Match, Pair, Resemblance

from . import likewords
from .feedback import one_line
from .likewords import percent, places, say

SPANS = 4  # shown of a match; the page shows them all


def table(what: Resemblance, language: Language, least: int) -> RenderableType:
    """Everything, in the width that there is."""
    parts: list[RenderableType] = [Text(likewords.found(what, language), style="bold")]
    if what.pairs:
        names = (say(key, language) for key in ("exercise", "alike", "tokens", "lines"))
        parts.append(_grid([[Text(name, style="bold") for name in names]]))
        for pair in what.pairs:
            parts.append(Text(_pair(pair, language), style="bold"))
            parts.append(_grid(_row(match) for match in pair.matches))
    else:
        parts.append(Text(say("none", language)))
    parts += [Text(line, style="dim") for line in likewords.left_out(what, language, least)]
    parts.append(Text(say("evidence", language), style="yellow"))
    return Group(*parts)


def _grid(rows: Iterable[Iterable[Text]]) -> Table:
    """Rows in columns that are the same for every pair."""
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(width=24, no_wrap=True, overflow="ellipsis")
    for width in (6, 8):
        grid.add_column(width=width, justify="right", no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def _row(match: Match) -> Iterator[Text]:
    yield Text(f"  {match.exercise}")
    yield Text(percent(match.score))
    yield Text(str(match.tokens))
    yield Text(_spans(match), style="dim")


def lines(what: Resemblance, language: Language, least: int) -> Iterator[str]:
    """Everything, a line for each thing."""
    yield likewords.found(what, language)
    for pair in what.pairs:
        for match in pair.matches:
            yield f"{_pair(pair, language)}: {match.exercise} {percent(match.score)}: " + ", ".join(
                places(span) for span in match.spans
            )
    yield from likewords.left_out(what, language, least)
    yield say("evidence", language)


def _pair(pair: Pair, language: Language) -> str:
    return one_line(say("pair", language, left=pair.left, right=pair.right))


def _spans(match: Match) -> str:
    more = ["…"] if len(match.spans) > SPANS else []
    shown = [places(span).replace(" ", "\xa0") for span in match.spans[:SPANS]]  # kept together
    return ", ".join([*shown, *more])
