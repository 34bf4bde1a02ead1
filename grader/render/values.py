"""Values for a terminal: expected and got side by side, and where a matrix is off."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from grader.catalogue import Language
from grader.report import Argument, Failure, Heat, Value

from .words import ASCII_SHADES, SHADES, clean, heat_title, level, say, tells

GAP = 4
FEWEST = 3  # columns of a matrix that are shown at least beside another
WHOLE = 64  # a tensor of up to so many numbers is worth a look
PICTURES = 2
HEAT_STYLES = ("bright_black", "yellow", "dark_orange", "red", "bold red")


class Values:
    """What was expected and what came, beside one another where there is room, else one below."""

    def __init__(self, failure: Failure, language: Language):
        self.failure = failure
        self.blocks = [
            _Block(say(key, language), value, style, failure.worst)
            for key, value, style in (
                ("expected", failure.expected, "green"),
                ("got", failure.got, "red"),
            )
            if value is not None
        ]
        if len(self.blocks) == 2:
            for one, other in (self.blocks, self.blocks[::-1]):
                one.other = other

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterable[RenderableType]:
        """Show all columns side by side, or else some, or else one block below the other."""
        room = options.max_width
        if len(self.blocks) == 2:
            most = min(block.columns for block in self.blocks)
            for columns in [None, *range(most - 1, FEWEST - 1, -1)]:
                shown = [block.cut(columns) for block in self.blocks]
                if sum(map(_width, shown)) + GAP <= room:
                    grid = Table.grid(padding=(0, GAP, 0, 0))
                    grid.add_row(*(Group(*lines) for lines in shown))
                    yield grid
                    return
        for number, block in enumerate(self.blocks):
            if number:
                yield Text("")
            yield Group(*block.cut(block.fitting(room)))


def arguments(given: Sequence[Argument], *, look: bool) -> RenderableType:
    """What a call was given: a line each, and a look at the first tensors that are small."""
    tensors = [one for one in given if one.value.shape is not None]
    small = [one for one in tensors if _numbers(one.value) <= WHOLE]
    small.sort(key=lambda one: "float" in str(one.value.dtype))  # masks and tokens say most
    looked_at = (small[:PICTURES] or tensors[:1]) if look else []
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for one in given:
        value = one.value
        if value.shape is None:
            said = Text(clean(value.text))
        else:
            said = Text(f"{value.dtype}{list(value.shape)}")
            if one in looked_at and value.corner:
                said.append(f"  {value.corner}")
        said.stylize("dim")
        grid.add_row(Text(clean(one.name), style="cyan"), said)
        if one in looked_at:
            text = Text(clean(value.text), style="dim", no_wrap=True, overflow="ellipsis")
            grid.add_row("", text)
    return Padding(grid, (0, 0, 0, 2))


class HeatMap:
    """A small picture of where a matrix is off: the darker, the further."""

    def __init__(self, heat: Heat, difference: float | None, language: Language):
        self.heat = heat
        self.difference = difference
        self.language = language

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterable[RenderableType]:
        """Draw in colour where there is some, else with what every terminal has."""
        if not tells(self.heat):
            return
        heat, plain = self.heat, console.no_color or console.color_system is None
        marks = ASCII_SHADES if plain or options.ascii_only else SHADES
        head = Text().append(heat_title(heat, self.language), style="dim")
        legend = Text("   ")
        for number, key in ((0, "heat_right"), (4, "heat_off")):
            legend.append(2 * marks[number], style="" if plain else HEAT_STYLES[number])
            legend.append(f" {self._key(key)}  ", style="dim")
        yield head.append_text(legend)
        for row in heat.cells:
            line = Text("  ", no_wrap=True)
            for cell in row:
                number = level(cell)
                line.append(2 * marks[number], style="" if plain else HEAT_STYLES[number])
            yield line
        rows, columns = len(heat.cells), len(heat.cells[0])
        if heat.shape not in ((rows, columns), (columns,)):
            cells = f"{rows} × {columns}"
            shape = " × ".join(map(str, heat.shape))
            yield Text(say("heat_tile", self.language, shape=shape, cells=cells), style="dim")

    def _key(self, key: str) -> str:
        if key == "heat_off" and self.difference is not None:
            return say("heat_most", self.language, difference=f"{self.difference:.2g}")
        return say(key, self.language)


class _Block:
    """One value under its name, of which some columns can be shown."""

    def __init__(self, name: str, value: Value, style: str, worst: tuple[int, ...] | None):
        self.name = name
        self.value = value
        self.style = style
        self.worst = worst
        self.other: _Block | None = None
        self.lines = clean(value.text).splitlines() or [""]
        self.cells = [line.split() for line in self.lines]
        is_grid = value.shape is not None and len({len(row) for row in self.cells}) == 1
        self.columns = len(self.cells[0]) if is_grid else 0

    def fitting(self, room: int) -> int | None:
        """How many columns there is room for; none for all of them."""
        for columns in [None, *range(self.columns - 1, 0, -1)]:
            if _width(self.cut(columns)[1:]) <= room:
                return columns
        return None

    def cut(self, columns: int | None) -> list[Text]:
        """The lines of the value with so many of its columns, the worst among them."""
        shape = f" {self.value.dtype}{list(self.value.shape)}" if self.value.shape else ""
        head = [Text(f"{self.name}{shape}", style=self.style)]
        if not self.columns:
            return head + [Text(line, overflow="fold") for line in self.lines]
        span = (0, self.columns) if columns is None else self._span(columns)
        if (corner := self._corner(span)) is not None:
            head.append(Text(corner, style="dim"))
        widths = [max(map(cell_len, column)) for column in zip(*self.cells, strict=True)]
        place = _place(self.value, self.worst)
        return head + [self._line(row, span, widths, place) for row in range(len(self.cells))]

    def _line(
        self,
        row: int,
        span: tuple[int, int],
        widths: Sequence[int],
        place: tuple[int, int] | None,
    ) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        for column in range(*span):
            cell = self.cells[row][column]
            if column > span[0]:
                line.append("  ")
            line.append(" " * (widths[column] - cell_len(cell)))
            style = ""
            if self._differs(row, column):
                style = f"bold {self.style}"
                if (row, column) == place:
                    style = f"bold reverse {self.style}"
            line.append(cell, style=style)
        return line

    def _differs(self, row: int, column: int) -> bool:
        """Whether a cell is not what stands in its place in the other value."""
        other = self.other
        if other is None or self.value.shape != other.value.shape:
            return False
        if self.value.corner != other.value.corner or len(self.cells) != len(other.cells):
            return False
        same_row = other.cells[row]
        return column < len(same_row) and same_row[column] != self.cells[row][column]

    def _span(self, columns: int) -> tuple[int, int]:
        place = _place(self.value, self.worst)
        at = place[1] if place is not None else 0
        start = min(max(0, at - columns // 2), self.columns - columns)
        return start, start + columns

    def _corner(self, span: tuple[int, int]) -> str | None:
        """Which part of the tensor these columns are."""
        if self.value.corner is None:
            if span == (0, self.columns) or not self.value.shape:
                return None
            rows = [f"0:{size}" for size in self.value.shape[-2:-1]]
            lead = ["0"] * (len(self.value.shape) - 2)
            return f"[{', '.join([*lead, *rows, f'{span[0]}:{span[1]}'])}]"
        first = re.search(r"(\d+):\d+\]$", self.value.corner)
        if first is None:
            return self.value.corner
        start = int(first[1])
        return f"{self.value.corner[: first.start()]}{start + span[0]}:{start + span[1]}]"


def _place(value: Value, worst: tuple[int, ...] | None) -> tuple[int, int] | None:
    """The row and column of the text in which an index of the tensor stands."""
    if not worst:
        return None
    starts = [0, 0]
    if value.corner:
        spans = re.findall(r"(\d+):\d+", value.corner)
        starts = [0, 0, *map(int, spans)][-2:]
    row, column = (0, *worst)[-2:]
    return row - starts[0], column - starts[1]


def _width(lines: Iterable[Text]) -> int:
    return max((line.cell_len for line in lines), default=0)


def _numbers(value: Value) -> int:
    count = 1
    for size in value.shape or ():
        count *= size
    return count
