"""Hand-ins that are alike, for a terminal: a table, or plain lines."""

from __future__ import annotations

from collections.abc import Iterator

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
        grid = Table(box=None, expand=True, padding=(0, 1), show_edge=False)
        grid.add_column(say("exercise", language), ratio=1, overflow="ellipsis", no_wrap=True)
        grid.add_column(say("alike", language), justify="right", no_wrap=True)
        grid.add_column(say("tokens", language), justify="right", no_wrap=True)
        grid.add_column(say("lines", language), ratio=1, overflow="fold")
        for pair in what.pairs:
            grid.add_row(Text(_pair(pair, language), style="bold"))
            for match in pair.matches:
                grid.add_row(
                    Text(f"  {match.exercise}"),
                    Text(percent(match.score)),
                    Text(str(match.tokens)),
                    Text(_spans(match), style="dim"),
                )
        parts.append(grid)
    else:
        parts.append(Text(say("none", language)))
    parts += [Text(line, style="dim") for line in likewords.left_out(what, language, least)]
    parts.append(Text(say("evidence", language), style="yellow"))
    return Group(*parts)


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
    return ", ".join([*(places(span) for span in match.spans[:SPANS]), *more])
