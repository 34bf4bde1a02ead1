"""The learner's loop for a terminal: calm, aligned, one accent colour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from grader.achievement import Achievement
from grader.catalogue import Exercise, Language
from grader.render.prose import Prose
from grader.render.words import clean
from grader.standing import ChapterStanding, Row, Rung, Standing, StateName, Step
from happyllm import __version__

from . import plot
from .compare import Part, aligned, parts
from .words import after_hints, remarks, said, say, subject, waiting, ways_to_begin

MARK: dict[StateName, str] = {
    "untouched": "·",
    "failing": "✘",
    "solved": "✔",
    "solved_with_help": "✔",
}
CELL: dict[StateName, str] = {
    "untouched": "░",
    "failing": "▒",
    "solved": "█",
    "solved_with_help": "▓",
}
STYLE: dict[StateName, str] = {
    "untouched": "dim",
    "failing": "red",
    "solved": "green",
    "solved_with_help": "green",
}
ACCENT = "cyan"  # of what can be typed
LONGEST_BAR = 24
MOST_WAITING = 2  # exercises that wait for others, in the overview; the list shows all
NARROW = 60  # columns below which only what is needed most is shown
SIDE_BY_SIDE = 110  # columns from which on two pieces of code stand beside one another
THEME = "ansi_dark"


# ---- where you are


class overview:
    """Where the learner is, chapter by chapter, and the one next step."""

    def __init__(self, standing: Standing, language: Language):
        self.standing, self.language = standing, language

    def __rich_console__(self, to: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        wide = options.max_width >= NARROW
        yield Padding(Group(*_overview(self.standing, self.language, wide)), (1, 0, 1, 1))


def _overview(standing: Standing, language: Language, wide: bool) -> Iterator[RenderableType]:
    yield Text(_home(standing.root), style="bold", no_wrap=True, overflow="ellipsis")
    yield Text("")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    if wide:
        grid.add_column(no_wrap=True, overflow="ellipsis", style="dim")
    for chapter in standing.chapters:
        count = say("of", language, n=chapter.solved, of=len(chapter.rows))
        titles = [chapter.chapter.title.in_(language)] if wide else []
        grid.add_row(chapter.chapter.id, bar(chapter), count, *titles)
    yield grid
    helped = sum(row.state.name == "solved_with_help" for row in standing)
    points = say(
        "points",
        language,
        n=sum(chapter.points for chapter in standing.chapters),
        of=sum(chapter.points_possible for chapter in standing.chapters),
    )
    more = f" · {say('with_help', language, n=helped)}" if helped else ""
    yield Text(f"{points}{more}", style="dim")
    for line in waiting(standing.waits, language)[:MOST_WAITING]:
        yield Prose(line, style="dim")
    yield Text("")
    yield next_step(standing.next, language)
    if standing.made_with:
        yield Text("")
        yield Text(say("outdated", language, was=standing.made_with, now=__version__), "yellow")
    if standing.note is not None:
        yield Text("")
        yield Text(standing.note.in_(language), style="yellow")


def bar(chapter: ChapterStanding) -> Text:
    """A cell for each exercise; where there are too many, for each share of them."""
    rows = chapter.rows
    cells = min(len(rows), LONGEST_BAR)
    shown = Text()
    for cell in range(cells):
        part = rows[cell * len(rows) // cells : (cell + 1) * len(rows) // cells]
        worst = min((row.state.name for row in part), key=list(CELL).index)
        shown.append(CELL[worst], style=STYLE[worst])
    return shown


def next_step(step: Step, language: Language) -> RenderableType:
    """The one thing to do next, and the command for it."""
    if step.why == "done":
        return Text(said(step, language), style="bold green")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    grid.add_row(say("next", language), Text(subject(step, language), style="bold"))
    grid.add_row("", Prose(said(step, language)))
    grid.add_row("", Text(step.command, style=ACCENT))
    if step.why == "mend" and step.row is not None:
        hint = f"happyllm-grade hint {step.row.exercise.id}"
        grid.add_row("", Text(say("stuck", language, command=hint), style="dim"))
    return grid


def welcome(language: Language) -> RenderableType:
    """What to say where there is no workspace."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold", style="dim")
    for command, what in ways_to_begin(language):
        grid.add_row(Text(command, style=ACCENT), what)
    return Padding(Group(Text(say("welcome", language), "bold"), Text(""), grid), (1, 0, 1, 1))


class table:
    """The exercises in a table; with the state of each where there is a workspace.

    Where the terminal is narrow, names and states are all that is shown.
    """

    def __init__(self, rows: Sequence[Row], language: Language, *, in_workspace: bool):
        self.rows, self.language, self.in_workspace = rows, language, in_workspace

    def __rich_console__(self, to: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if not self.rows:
            yield Text(say("none", self.language), style="dim")
            return
        wide, language = options.max_width >= NARROW, self.language
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        if self.in_workspace:
            shown.add_column("", width=1)
        shown.add_column(say("exercise", language), no_wrap=True)
        if wide:
            shown.add_column(say("section", language), no_wrap=True, style="dim")
            shown.add_column(say("title", language), overflow="fold")
        if self.in_workspace:
            shown.add_column("", overflow="fold", style="dim")
        for row in self.rows:
            shown.add_row(*self.cells(row, wide=wide))
        yield shown

    def cells(self, row: Row, *, wide: bool) -> Iterator[RenderableType]:
        exercise, name = row.exercise, row.state.name
        quiet = "dim" if self.in_workspace and name == "untouched" else ""
        if self.in_workspace:
            yield Text(MARK[name], style=f"bold {STYLE[name]}")
        yield Text(exercise.id, style=quiet)
        if wide:
            yield exercise.section
            yield Text(exercise.title.in_(self.language), style=quiet)
        if self.in_workspace:
            yield say("and", self.language).join(remarks(row, self.language))


def _home(root: Path) -> str:
    """A folder as its owner writes it: `~/my-llm`."""
    try:
        return f"~/{root.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(root)


# ---- hints and solutions


def hints(
    exercise: Exercise, rungs: tuple[Rung, ...], language: Language, *, solved: bool
) -> RenderableType:
    """Some rungs, lowest first, and what comes after them."""
    parts: list[RenderableType] = []
    for rung in rungs:
        head = Text()
        head.append(exercise.id, style="bold")
        head.append(f"  {'●' * rung.number}{'○' * (rung.of - rung.number)}  ", style=ACCENT)
        head.append(say("hint", language, n=rung.number, of=rung.of), style="dim")
        parts += [head]
        if rung.fits:
            parts.append(Text(say("fits", language), style="yellow"))
        parts += [Text(""), Padding(Prose(rung.hint.in_(language)), (0, 2, 0, 2))]
        parts += [Text("")]
    said, command = after_hints(exercise, rungs, language, solved=solved)
    parts += [Prose(said, style="dim"), Padding(Text(command, style=ACCENT), (0, 0, 0, 2))]
    return Padding(Group(*parts), (1, 0, 1, 1))


def solution(
    exercise: Exercise, mine: str, worked: str, language: Language, width: int
) -> RenderableType:
    """The two side by side, or one below the other where the terminal is narrow."""
    compared = parts(exercise, mine, worked)
    shown: list[RenderableType] = []
    if compared is None:
        shown += [Text(say("unreadable", language), style="yellow"), Text("")]
        compared = parts(exercise, "", worked) or ()
    alone = all(not part.mine for part in compared)
    for part in compared:
        if part.mine and part.mine == part.solution:
            shown.append(Text(part.name, style="bold"))
            shown.append(Text(say("same", language), style="dim"))
        elif alone:
            shown += [_code(part.solution)]
        elif width >= SIDE_BY_SIDE:
            shown.append(_side_by_side(part, language))
        else:
            shown.append(_below(part, language))
        shown.append(Text(""))
    shown += [
        Text(say("why", language), style="bold"),
        Padding(Prose(exercise.why.in_(language)), (0, 0, 0, 2)),
    ]
    return Padding(Group(_title(exercise, language), Text(""), *shown), (1, 1, 1, 1))


def _title(exercise: Exercise, language: Language) -> Text:
    title = Text(exercise.id, style="bold")
    title.append(f" · {exercise.title.in_(language)} · {exercise.section}", style="dim not bold")
    return title


def _code(lines: tuple[str, ...]) -> RenderableType:
    return Group(*_highlighted(lines))


def _highlighted(lines: tuple[str, ...]) -> list[Text]:
    """Python, highlighted as a whole and handed back line by line."""
    from rich.syntax import Syntax  # pygments, which nothing else here needs

    text = clean("\n".join(lines))
    syntax = Syntax(text, "python", theme=THEME, background_color="default")
    shown = syntax.highlight(text)
    shown.rstrip()
    return list(shown.split("\n", allow_blank=True))[: len(lines)]


def _side_by_side(part: Part, language: Language) -> RenderableType:
    grid = Table.grid(padding=(0, 1), expand=True)
    for _ in range(2):
        grid.add_column(width=1)
        grid.add_column(ratio=1, overflow="fold")
    grid.add_row(
        "",
        Text(f"{part.name} · {say('yours', language)}", style="bold"),
        "",
        Text(f"{part.name} · {say('solution', language)}", style="bold"),
    )
    mine, worked = _highlighted(part.mine), _highlighted(part.solution)
    for left, right, same in aligned(part):
        grid.add_row(
            *_cell(mine, left, same, "red"),
            *_cell(worked, right, same, "green"),
        )
    return grid


def _cell(lines: list[Text], number: int | None, same: bool, style: str) -> tuple[Text, Text]:
    if number is None:
        return Text(""), Text("")
    return Text("" if same else "▎", style=style), lines[number]


def _below(part: Part, language: Language) -> RenderableType:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=1)
    grid.add_column(ratio=1, overflow="fold")
    mine, worked = _highlighted(part.mine), _highlighted(part.solution)
    alike = {(left, right): same for left, right, same in aligned(part)}
    same_mine = {left for (left, _), same in alike.items() if same}
    same_worked = {right for (_, right), same in alike.items() if same}
    for key, lines, same, style in (
        ("yours", mine, same_mine, "red"),
        ("solution", worked, same_worked, "green"),
    ):
        if not lines:
            continue
        grid.add_row("", Text(f"{part.name} · {say(key, language)}", style="bold"))
        for number in range(len(lines)):
            grid.add_row(*_cell(lines, number, number in same, style))
        grid.add_row("", "")
    return grid


# ---- a milestone


def milestone(
    achievement: Achievement, title: str, language: Language, width: int
) -> RenderableType:
    """The loss as it fell, what the model wrote, and what of it holds."""
    parts: list[RenderableType] = [Text(title, style="bold"), Text("")]
    if achievement.losses:
        parts += [_curve(achievement, language, min(width - 14, 64)), Text("")]
    if achievement.expected:
        parts += [_continued(achievement, language), Text("")]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    grid.add_column(no_wrap=True, style="dim", justify="right")
    for claim in achievement.claims:
        mark = Text("✔", style="bold green") if claim.holds else Text("✘", style="bold red")
        grid.add_row(mark, Prose(claim.text.in_(language)), clean(claim.found))
    if achievement.claims:
        parts += [grid, Text("")]
    if achievement.failure is not None:
        parts.append(Text(clean(achievement.failure.message.in_(language)), style="red"))
        for frame in achievement.failure.frames:
            place = Text(clean(f"{frame.file}:{frame.line}"), style=ACCENT)
            place.append(clean(f"  {frame.text}"), style="default")
            parts.append(Padding(place, (0, 0, 0, 2)))
        parts.append(Text(""))
    if achievement.reached:
        said = say("reached", language, parameters=f"{achievement.parameters:,}")
        parts.append(Text(said, style="bold green"))
    else:
        parts.append(Text(say("missed", language), style="bold red"))
    how = f"{achievement.duration_s:.1f} s · {achievement.isolation}"
    parts.append(Text(f"{say('seed', language, seed=achievement.seed)} · {how}", style="dim"))
    return Padding(Group(*parts), (1, 0, 1, 1))


def _curve(achievement: Achievement, language: Language, width: int) -> RenderableType:
    losses = achievement.losses
    lines = plot.curve(losses, max(8, width), 7)
    finite = [loss for loss in losses if math.isfinite(loss)]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right", style="dim", no_wrap=True)
    grid.add_column(no_wrap=True)
    for row, line in enumerate(lines):
        label = f"{max(finite, default=0):.1f}" if row == 0 else ""
        if row == len(lines) - 1:
            label = "0.0"
        grid.add_row(label, Text.assemble(("│", "dim"), (line, ACCENT)))
    axis = Text("└" + "─" * len(lines[0]), style="dim")
    grid.add_row("", axis)
    last = f"{say('loss', language)} {losses[0]:.2f} → {losses[-1]:.3f}"
    grid.add_row("", Text(f"{last} · {len(losses)} {say('steps', language)}", style="dim"))
    return grid


def _continued(achievement: Achievement, language: Language) -> RenderableType:
    """The paragraph: what was given, what the model wrote, and where it went wrong."""
    right = 0
    for a, b in zip(achievement.written, achievement.expected, strict=False):
        if a != b:
            break
        right += 1
    text = Text(overflow="fold")
    text.append(achievement.given, style="dim")
    text.append(clean(achievement.written[:right]), style="green")
    text.append(clean(achievement.written[right:]), style="red")
    legend = Text()
    legend.append(say("given", language), style="dim")
    legend.append(" · ", style="dim")
    legend.append(say("written", language), style="green")
    return Group(Padding(text, (0, 2, 0, 2)), Padding(legend, (0, 0, 0, 2)))
