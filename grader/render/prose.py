"""Prose for a terminal, broken where its language breaks: Chinese between any two characters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.text import Text

_WIDE = r"\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_CLOSING = "，。、；：！？）】》”’…"
_OPENING = "（【《“‘"
# A word, or a wide character with the marks that must not be parted from it, and blanks after it.
_UNIT = re.compile(
    rf"[{_OPENING}]*(?:[^\s{_WIDE}{_CLOSING}{_OPENING}]+|[{_WIDE}])[{_CLOSING}]*\s*|\S\s*"
)


class Prose:
    """A paragraph that fills its lines in either language."""

    def __init__(self, text: str, style: str = ""):
        self.text = " ".join(text.split())
        self.style = style

    def __rich_console__(self, to: Console, options: ConsoleOptions) -> Iterator[Text]:
        for line in broken(self.text, options.max_width):
            yield Text(line, style=self.style, no_wrap=True)

    def __rich_measure__(self, to: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(
            min(8, options.max_width), max(1, min(cell_len(self.text), options.max_width))
        )


def broken(text: str, width: int) -> list[str]:
    """The lines of a paragraph, none wider than `width` cells."""
    lines, line = [], ""
    for unit in _UNIT.findall(text):
        if line and cell_len(line + unit.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += unit
        while cell_len(line.rstrip()) > width:  # a word that is longer than a line
            cut = set_cell_size(line, max(2, width)).rstrip()
            lines.append(cut)
            line = line[len(cut) :]
    return [*lines, line.rstrip()] if line.strip() else lines
