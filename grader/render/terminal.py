"""The report for a terminal: a line for each exercise, the first failure, what is next."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.style import Style
from rich.table import Table
from rich.text import Text

from grader.catalogue import Language
from grader.report import Failure, Frame, Graded, Outcome, Report

from . import values
from .words import (
    MARK,
    OUTCOME,
    call,
    claimed,
    claims,
    clean,
    mistake,
    one_line,
    origin,
    say,
    tells,
    wrote,
)

PRINTED_LINES, PRINTED_WIDTH = 12, 240  # of what the code printed
CLAIMS = 6  # of the tests that did not pass besides the one explained

Link = Callable[[str, int], str | None]
"""The address of a line of a file of the workspace; none for what is no such file."""

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


def detail(graded: Graded, language: Language, link: Link | None = None) -> RenderableType:
    """An exercise that did not pass, explained.

    Args:
        graded: the exercise.
        language: English or Chinese.
        link: gives a file and a line an address that a terminal can open, or none.
    """
    parts: list[RenderableType] = []
    if graded.mistake is not None:
        parts += [Text(mistake(graded.mistake, language), style="bold yellow"), Text("")]
    test = graded.first_failure
    if test is not None:
        parts += [_claim(claimed(test, graded.tests, language), test.outcome), Text("")]
    if graded.failure is not None:
        parts.extend(_failure(graded.failure, language, link))
    parts.extend(_printed(graded, language))
    if graded.tests:
        parts += [Text(""), *_others(graded, language)]
    parts.append(Text(""))
    if graded.stands_on and graded.tests:
        names = ", ".join(graded.stands_on)
        parts.append(Text(say("stands_on", language, names=names), style="dim"))
    foot = Text().append(graded.file, style=_linked("dim", graded.file, 0, link))
    foot.append(f" · {say('reread', language, section=graded.section)}", style="dim")
    parts.append(foot)
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


def render(report: Report, language: Language, *, link: Link | None = None) -> RenderableType:
    """The whole report, for those who do not show it line by line as it comes."""
    width = max((cell_len(graded.id) for graded in report.exercises), default=0)
    parts = [line(graded, language, width) for graded in report.exercises]
    return Group(*parts, *after(report, language, link=link))


def after(
    report: Report, language: Language, *, lead_on: bool = True, link: Link | None = None
) -> Iterable[RenderableType]:
    """What follows the lines of the exercises."""
    first = explained(report)
    if first is not None:
        yield Text("")
        yield detail(first, language, link)
        rest = others(report, language)
        if rest is not None:
            yield Padding(rest, (0, 1))
    yield Text("")
    yield summary(report, language, lead_on=lead_on)


# ---- parts of a detail


def _claim(said: str, outcome: Outcome) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")  # Chinese has no spaces to break at
    grid.add_row(Text(MARK[outcome], style=STYLE[outcome]), Text(said))
    return grid


def _others(graded: Graded, language: Language) -> Iterable[RenderableType]:
    """How many tests passed, and what those claim that did not, besides the one explained."""
    passed = sum(test.outcome == "passed" for test in graded.tests)
    said = claims(graded.tests, language)
    if graded.first_failure is not None:
        said.pop(claimed(graded.first_failure, graded.tests, language), None)
    key = "also_failed" if said else "tests_passed"
    yield Text(say(key, language, n=passed, of=len(graded.tests)), style="dim")
    for claim, outcome in [*said.items()][:CLAIMS]:
        yield _claim(claim, outcome)
    if len(said) > CLAIMS:
        yield Text(f"  {say('more', language, n=len(said) - CLAIMS)}", style="dim")


def _printed(graded: Graded, language: Language) -> Iterable[RenderableType]:
    key, printed = wrote(graded)
    if printed is None:
        return
    yield Text("")
    yield Text(say(key, language), style="dim")
    shown, left = _beginning(printed.text)
    for one in shown:
        yield Padding(Text(clean(one)), (0, 0, 0, 2))
    left += printed.dropped_bytes
    if left:
        said = say("dropped", language, n=f"{left:,}")
        yield Padding(Text(said, style="dim"), (0, 0, 0, 2))


def _beginning(text: str) -> tuple[list[str], int]:
    """The first lines of what was printed, short enough to be read, and the bytes left out."""
    text = text.rstrip("\n")
    shown = [one[:PRINTED_WIDTH] for one in text.split("\n", PRINTED_LINES)[:PRINTED_LINES]]
    whole, kept = (len(t.encode("utf-8", "replace")) for t in (text, "\n".join(shown)))
    return shown, max(0, whole - kept)


def _failure(failure: Failure, language: Language, link: Link | None) -> Iterable[RenderableType]:
    yield Text(clean(failure.message.in_(language)))
    if failure.pattern is not None:
        yield Text(clean(failure.pattern.in_(language)), style="bold")
    if failure.origin is not None:
        yield Text(origin(failure.origin, language), style="bold")
        if failure.origin.frame is not None:
            yield from _frame(failure.origin.frame, language, link)
    if failure.frames:
        yield Text("")
        yield from _frames(failure.frames, language, link)
    called = call(failure, language)
    if called is not None and failure.kind not in ("syntax", "missing"):
        yield Text("")
        yield Text(clean(called), style="bold")
        yield values.arguments(failure.arguments, look=_compares(failure))
    if failure.expected is not None or failure.got is not None:
        yield Text("")
        yield values.Values(failure, language)
    if failure.heat is not None and tells(failure.heat):
        yield Text("")
        yield values.HeatMap(failure.heat, failure.difference, language)
    if failure.difference is not None and failure.worst is not None and failure.tolerance:
        words = say(
            "worst", language, difference=f"{failure.difference:.2g}", index=list(failure.worst)
        )
        allowed = say("allowed", language, tolerance=f"{failure.tolerance:.1g}")
        yield Text(f"{words} · {allowed}", style="dim")


def _compares(failure: Failure) -> bool:
    """Whether it is the values that matter."""
    return failure.got is not None or failure.worst is not None


def _frames(
    frames: Sequence[Frame], language: Language, link: Link | None
) -> Iterable[RenderableType]:
    """The learner's own lines; one that calls itself again and again is shown once."""
    runs = [(where, len([*same])) for where, same in itertools.groupby(frames, key=_where)]
    firsts = {_where(frame): frame for frame in frames}
    for number, (where, times) in enumerate(runs):
        yield from _frame(firsts[where], language, link, times, last=number == len(runs) - 1)


def _where(frame: Frame) -> tuple[str, int]:
    return frame.file, frame.line


def _frame(
    frame: Frame,
    language: Language,
    link: Link | None,
    times: int = 1,
    *,
    last: bool = True,
) -> Iterable[RenderableType]:
    """A line of the learner's code: its place, what failed in it, what its names stood for."""
    place = clean(f"{frame.file}:{frame.line}")
    head = Text().append(place, style=_linked("cyan", frame.file, frame.line, link))
    if frame.function and frame.function != "<module>":
        head.append(f"  {say('in', language, function=clean(frame.function))}", style="dim")
    if times > 1:
        head.append(f"  × {times}", style="dim")
    yield Padding(head, (0, 0, 0, 2))
    text = Text(clean(frame.text))
    if frame.span is not None and text.plain == frame.text:
        text.stylize("bold red underline", *frame.span)
    yield Padding(text, (0, 0, 0, 4))
    if last and frame.variables:
        grid = Table.grid(padding=(0, 2))
        for one in frame.variables:
            grid.add_row(Text(clean(one.name), style="cyan"), Text(clean(one.text), style="dim"))
        yield Padding(grid, (0, 0, 0, 6))


def _linked(style: str, file: str, line: int, link: Link | None) -> Style:
    """A style with the address of a file of the workspace. The address is never a learner's."""
    address = link(file, line) if link is not None else None
    return Style.parse(style) + Style(link=address)


def _bar(report: Report) -> RenderableType:
    """One cell for each exercise, in its colour."""
    bar = Text()
    for graded in report.exercises:
        bar.append("█" if graded.outcome == "passed" else "░", style=STYLE[graded.outcome])
    return bar
