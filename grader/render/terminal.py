"""The report for a terminal: a line for each exercise, the first failure, what is next."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from grader.catalogue import Language
from grader.report import Failure, Graded, Outcome, Report, Value

from .words import MARK, OUTCOME, clean, mistake, one_line, say

PRINTED_LINES, PRINTED_WIDTH = 12, 240  # of what the code printed

STYLE: dict[Outcome, str] = {
    "passed": "green",
    "failed": "red",
    "error": "red",
    "timeout": "red",
    "memory": "red",
    "blocked": "red",
    "untouched": "dim",
    "fault": "magenta",
}


def line(graded: Graded, language: Language, id_width: int = 0) -> RenderableType:
    """One exercise in one line, and why it did not pass in the next."""
    style = STYLE[graded.outcome]
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=1)
    grid.add_column(min_width=max(id_width, cell_len(graded.id)), no_wrap=True)
    grid.add_column(ratio=1, overflow="ellipsis", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True, min_width=5)
    said = "" if graded.outcome == "passed" else OUTCOME[graded.outcome].in_(language)
    grid.add_row(
        Text(MARK[graded.outcome], style=f"bold {style}"),
        Text(graded.id, style="bold" if graded.outcome != "untouched" else "dim"),
        Text(graded.title.in_(language), style="dim" if graded.outcome == "untouched" else ""),
        Text(said, style=style),
        Text(f"{graded.points}/{graded.points_possible}", style=style),
    )
    return grid


def detail(graded: Graded, language: Language) -> RenderableType:
    """An exercise that did not pass, explained."""
    parts: list[RenderableType] = []
    if graded.mistake is not None:
        parts.append(Text(mistake(graded.mistake, language), style="bold yellow"))
        parts.append(Text(""))
    if graded.tests:
        parts.append(_tests(graded, language))
        parts.append(Text(""))
    if graded.failure is not None:
        parts.extend(_failure(graded.failure, language))
    if graded.printed is not None and graded.printed.text.strip():
        parts.append(Text(""))
        parts.append(Text(say("printed", language), style="dim"))
        shown, left = _beginning(graded.printed.text)
        parts.extend(Padding(Text(clean(one)), (0, 0, 0, 2)) for one in shown)
        left += graded.printed.dropped_bytes
        if left:
            parts.append(
                Padding(Text(say("dropped", language, n=f"{left:,}"), style="dim"), (0, 0, 0, 2))
            )
    parts.append(Text(""))
    if graded.stands_on and graded.tests:
        names = ", ".join(graded.stands_on)
        parts.append(Text(say("stands_on", language, names=names), style="dim"))
    foot = f"{graded.file} · {say('reread', language, section=graded.section)}"
    parts.append(Text(foot, style="dim"))
    title = Text(graded.id, style=f"bold {STYLE[graded.outcome]}")
    return Panel(
        Group(*parts),
        title=title,
        title_align="left",
        border_style=STYLE[graded.outcome],
        padding=(1, 2),
    )


def summary(report: Report, language: Language, *, lead_on: bool = True) -> RenderableType:
    """Points, how it was graded, and the one next step, unless somebody else says it."""
    passed = sum(graded.outcome == "passed" for graded in report.exercises)
    count = len(report.exercises)
    head = Text()
    head.append(say("points", language, n=report.points, of=report.points_possible), style="bold")
    head.append(f" · {say('solved', language, n=passed, of=count)}")
    seed, took = say("seed", language, seed=report.seed), f"{report.duration_s:.1f} s"
    how = f"{seed} · {report.isolation} · {took}"
    parts: list[RenderableType] = [_bar(report), head, Text(how, style="dim")]
    if report.isolation.startswith("none ("):
        parts.append(Text(say("no_isolation", language), style="yellow"))
    if report.next is None:
        parts.append(Text(say("all_done", language), style="bold green"))
    elif not lead_on:
        pass
    elif count > 1:
        following = next(graded for graded in report.exercises if graded.id == report.next)
        command = f"happyllm-grade {following.id}"
        step = Text(say("next", language, command=command), style="bold")
        step.highlight_words([command], style="not bold cyan")
        parts.append(step)
        if following.outcome == "untouched":
            parts.append(Text(say("untouched", language, file=following.file), style="dim"))
    elif report.exercises[0].outcome == "untouched":
        parts.append(Text(say("untouched", language, file=report.exercises[0].file)))
    failed = explained(report)
    if failed is not None and lead_on:
        command = f"happyllm-grade hint {failed.id}"
        step = Text(say("stuck", language, command=command), style="dim")
        step.highlight_words([command], style="not dim cyan")
        parts.append(step)
    return Group(*parts)


def explained(report: Report) -> Graded | None:
    """The exercise whose failure is explained: the first that is neither passed nor untouched."""
    return next((g for g in report.exercises if g.outcome not in ("passed", "untouched")), None)


def others(report: Report, language: Language) -> RenderableType | None:
    """The exercises that fail besides the one explained, each with its reason in a line."""
    first = explained(report)
    rest = [
        g for g in report.exercises if g.outcome not in ("passed", "untouched") and g is not first
    ]
    if not rest:
        return None
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for graded in rest:
        grid.add_row(
            Text(graded.id, style=f"bold {STYLE[graded.outcome]}"), Text(one_line(graded, language))
        )
    return grid


def render(report: Report, language: Language) -> RenderableType:
    """The whole report, for those who do not show it line by line as it comes."""
    width = max((cell_len(graded.id) for graded in report.exercises), default=0)
    parts = [line(graded, language, width) for graded in report.exercises]
    return Group(*parts, *after(report, language))


def after(report: Report, language: Language, *, lead_on: bool = True) -> Iterable[RenderableType]:
    """What follows the lines of the exercises."""
    first = explained(report)
    if first is not None:
        yield Text("")
        yield detail(first, language)
        rest = others(report, language)
        if rest is not None:
            yield Padding(rest, (0, 1))
    yield Text("")
    yield summary(report, language, lead_on=lead_on)


# ---- parts of a detail


def _tests(graded: Graded, language: Language) -> RenderableType:
    """How many tests passed, and what those claim that did not."""
    passed = sum(test.outcome == "passed" for test in graded.tests)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")  # Chinese has no spaces to break at
    count = say("tests_passed", language, n=passed, of=len(graded.tests))
    grid.add_row("", Text(count, style="dim"))
    shown: dict[str, Outcome] = {}
    for test in graded.tests:  # the cases of one claim are one line
        if test.outcome != "passed":
            shown.setdefault(test.claim.in_(language), test.outcome)
    for said, outcome in shown.items():
        grid.add_row(Text(MARK[outcome], style=STYLE[outcome]), Text(said))
    return grid


def _beginning(text: str) -> tuple[list[str], int]:
    """The first lines of what was printed, short enough to be read, and the bytes left out."""
    shown = [one[:PRINTED_WIDTH] for one in text.split("\n", PRINTED_LINES)[:PRINTED_LINES]]
    whole, kept = (len(t.encode("utf-8", "replace")) for t in (text.rstrip("\n"), "\n".join(shown)))
    return shown, max(0, whole - kept)


def _failure(failure: Failure, language: Language) -> Iterable[RenderableType]:
    yield Text(clean(failure.message.in_(language)))
    if failure.frames:
        yield Text("")
        for frame in failure.frames:
            place = Text(clean(f"{frame.file}:{frame.line}"), style="cyan")
            place.append(clean(f"  {frame.text}"), style="default")
            yield Padding(place, (0, 0, 0, 2))
    if failure.call is not None and failure.kind not in ("syntax", "missing"):
        yield Text("")
        yield Text(clean(failure.call), style="bold")
        for argument in failure.arguments[:2]:
            name = f"{say('input', language)} {argument.name}"
            yield Padding(_block(name, argument.value, None, "dim"), (0, 0, 0, 2))
    if failure.expected is not None or failure.got is not None:
        yield Text("")
        yield _side_by_side(failure, language)
    if failure.difference is not None and failure.worst is not None:
        words = [
            say(
                "worst",
                language,
                difference=f"{failure.difference:.2g}",
                index=list(failure.worst),
            )
        ]
        if failure.tolerance:
            words.append(say("allowed", language, tolerance=f"{failure.tolerance:.1g}"))
        yield Text(" · ".join(words), style="dim")


class _side_by_side:
    """Expected and got beside one another where the terminal is wide enough, else one below."""

    def __init__(self, failure: Failure, language: Language):
        expected, got = failure.expected, failure.got
        self.blocks: list[RenderableType] = []
        self.width = 4
        for key, value, other, style in (
            ("expected", expected, got, "green"),
            ("got", got, expected, "red"),
        ):
            if value is not None:
                block = _block(say(key, language), value, other, style, failure.worst)
                self.blocks.append(block)
                self.width += _width(value, say(key, language))

    def __rich_console__(self, console: object, options: object) -> Iterable[RenderableType]:
        room: int = options.max_width  # type: ignore[attr-defined]
        if len(self.blocks) == 2 and self.width <= room:
            grid = Table.grid(padding=(0, 4, 0, 0))
            grid.add_row(*self.blocks)
            yield grid
            return
        for number, block in enumerate(self.blocks):
            if number:
                yield Text("")
            yield block


def _head(name: str, value: Value) -> str:
    shape = f" {value.dtype}{list(value.shape)}" if value.shape is not None else ""
    return f"{name}{shape}"


def _width(value: Value, name: str) -> int:
    head = f"{_head(name, value)} {value.corner or ''}"
    lines = [*clean(value.text).splitlines(), head]
    return max(cell_len(one) for one in lines)


def _block(
    name: str,
    value: Value,
    other: Value | None,
    style: str,
    worst: tuple[int, ...] | None = None,
) -> RenderableType:
    """A value under its name; cells that differ from the other's stand out, the worst above all."""
    head = Text(_head(name, value), style=style)
    if value.corner:
        head.append(f" {value.corner}", style="dim")
    parts: list[RenderableType] = [head]
    lines = clean(value.text).splitlines() or [""]
    lines_other = clean(other.text).splitlines() if other is not None else []
    comparable = (
        other is not None
        and value.shape == other.shape is not None
        and value.corner == other.corner
        and len(lines) == len(lines_other)
    )
    place = _place(value, worst)
    for row, text in enumerate(lines):
        shown = Text(text, no_wrap=True, overflow="ellipsis")
        if comparable:
            cells, cells_other, at = text.split(), lines_other[row].split(), 0
            for column, (cell, cell_other) in enumerate(zip(cells, cells_other, strict=False)):
                start = text.index(cell, at)
                at = start + len(cell)
                if (row, column) == place:
                    shown.stylize(f"bold reverse {style}", start, at)
                elif cell != cell_other:
                    shown.stylize(f"bold {style}", start, at)
        parts.append(shown)
    return Group(*parts)


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


def _bar(report: Report) -> RenderableType:
    """One cell for each exercise, in its colour."""
    bar = Text()
    for graded in report.exercises:
        bar.append("█" if graded.outcome == "passed" else "░", style=STYLE[graded.outcome])
    return bar
