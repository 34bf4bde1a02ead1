"""The findings of `happyllm-grade check`: a table, and what is wrong and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from grader.findings import Checked, Findings, Problem, Survivor

HEADS = (
    *("exercise", "tests", "named", "also right", "mutants killed", "seeds", "time"),
    "verdict",
)


def cells(checked: Checked) -> tuple[str, ...]:
    """One exercise as the words of its row."""
    if not checked.proven:
        return (checked.id, *("-",) * 6, "UNSOUND")
    more = f" (+{checked.equivalent} equal)" if checked.equivalent else ""
    rate = f"{checked.killed}/{checked.mutants} {100 * checked.kill_rate:.1f}%{more}"
    return (
        checked.id,
        str(checked.tests),
        f"{checked.named}/{checked.mistakes}",
        f"{checked.accepted}/{checked.rights}",
        rate,
        str(checked.seeds),
        f"{checked.time_s:.1f} s",
        ("sound" if checked.sound else "UNSOUND") + (" (cached)" if checked.cached else ""),
    )


def terminal(findings: Findings) -> RenderableType:
    """The findings for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, head in enumerate(HEADS):
        justify = "left" if number in (0, len(HEADS) - 1) else "right"
        table.add_column(head, justify=justify)  # type: ignore[arg-type]
    for checked in findings.exercises:
        *row, verdict = cells(checked)
        style = "green" if checked.sound else "bold red"
        table.add_row(*row, Text(verdict, style=style))
    parts: list[RenderableType] = [table]
    for problem in findings.all_problems:
        parts.append(Text(_said(problem), style="red"))
        parts.append(Text(f"  {problem.fix}", style="dim"))
    for checked in findings.exercises:
        for survivor in checked.survivors:
            parts.append(Text(f"\n{checked.id}: survived {survivor.id}", style="yellow"))
            parts.append(Syntax(survivor.diff, "diff", background_color="default"))
    parts.append(Text(_verdict(findings), style="bold green" if findings.sound else "bold red"))
    return Group(*parts)


def plain(findings: Findings) -> str:
    """The findings as plain lines, for logs."""
    rows = [HEADS, *(cells(checked) for checked in findings.exercises)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    for problem in findings.all_problems:
        lines += ["", _said(problem), f"  fix: {problem.fix}"]
    for checked in findings.exercises:
        for survivor in checked.survivors:
            lines += ["", *_survivor(checked, survivor)]
    return "\n".join([*lines, "", _verdict(findings)]) + "\n"


def _survivor(checked: Checked, survivor: Survivor) -> Iterator[str]:
    yield f"{checked.id}: survived {survivor.id}: {survivor.what}"
    yield from (f"  {line}" for line in survivor.diff.splitlines())
    yield "  if nothing changes by it, say so in the suite's EQUIVALENT:"
    yield from (f"  {line}" for line in survivor.note.splitlines())


def _said(problem: Problem) -> str:
    who = f"{problem.exercise}: " if problem.exercise else ""
    return f"{who}{problem.rule}: {problem.where}: {problem.what}"


def _verdict(findings: Findings) -> str:
    count = len(findings.exercises)
    sound = sum(checked.sound for checked in findings.exercises)
    problems = len(findings.all_problems)
    more = f", {problems} problem{'s' * (problems != 1)}" if problems else ""
    return f"{sound} of {count} exercises are sound{more}; {findings.duration_s:.0f} s"
