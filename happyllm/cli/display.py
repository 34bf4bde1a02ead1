"""What is seen of a run while it goes on: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from typing import Any, Protocol

import click

from .words import tell, translated

PLAIN_EVERY = 5.0  # seconds between lines where there is no terminal


class Display(Protocol):
    """Shows a run."""

    def start(self, stage: str, step: int, total: int) -> None:
        """Begin, at a step of so many."""

    def __call__(self, record: Any) -> None:
        """Take a record of the run."""

    def note(self, text: str) -> None:
        """Say something on a line of its own."""

    def sample(self, text: str) -> None:
        """Show what the model writes."""

    def stop(self) -> None:
        """End."""


def display(plain: bool) -> Display:
    """A display for where the output goes."""
    if plain or not sys.stdout.isatty():
        return Plain()
    return Terminal()


def spoken(seconds: float) -> str:
    """Seconds as people say them.

    Example:
        >>> spoken(7.2), spoken(95), spoken(3700)
        ('7 s', '1:35', '1:01:40')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def evaluated(stage: str, record: Any) -> str:
    """What an evaluation found, in a line."""
    loss = f"step {record['step']}: held-out loss {record['loss']:.3f}"
    return loss if stage == "dpo" else f"{loss}, perplexity {math.exp(min(record['loss'], 20)):.2f}"


class Plain:
    """Lines for a file or a pipe."""

    def __init__(self) -> None:
        self.stage, self.total, self.told = "", 0, -math.inf

    def start(self, stage: str, step: int, total: int) -> None:
        self.stage, self.total = stage, total

    def __call__(self, record: Any) -> None:
        if record["kind"] == "eval":
            tell(evaluated(self.stage, record))
        elif record["kind"] == "step":
            last = record["step"] == self.total
            if not last and time.monotonic() - self.told < PLAIN_EVERY:
                return
            self.told = time.monotonic()
            tell(
                f"step {record['step']}/{self.total}: loss {record['loss']:.3f}, "
                f"{record['tokens_per_s']:,.0f} {unit(self.stage)}/s, "
                f"{spoken(record['seconds_left'])} left"
            )

    def note(self, text: str) -> None:
        tell(text)

    def sample(self, text: str) -> None:
        click.echo("\n".join(f"  {line}" for line in text.splitlines()))

    def stop(self) -> None:
        pass


def unit(stage: str) -> str:
    """What the speed of a stage is counted in."""
    return "pairs" if stage == "dpo" else "tokens"


class Terminal:
    """A bar that moves, with what has been found above it."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(highlight=False, markup=False, emoji=False)
        self.stage = ""
        self.progress: Any = None
        self.task: Any = None

    def start(self, stage: str, step: int, total: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self.stage = stage
        self.progress = Progress(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[loss]}", style="cyan"),
            TextColumn("{task.fields[speed]}", style="dim"),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            expand=True,
            refresh_per_second=4,
        )
        self.task = self.progress.add_task(
            stage, total=total, completed=step, loss="", speed="", left=""
        )
        self.progress.start()

    def __call__(self, record: Any) -> None:
        from rich.text import Text

        if record["kind"] == "step":
            self.progress.update(
                self.task,
                completed=record["step"],
                loss=translated(f"loss {record['loss']:.3f}"),
                speed=translated(f"{record['tokens_per_s']:,.0f} {unit(self.stage)}/s"),
                left=translated(f"{spoken(record['seconds_left'])} left"),
            )
        elif record["kind"] == "eval":
            self.console.print(Text(translated(evaluated(self.stage, record))))

    def note(self, text: str) -> None:
        from rich.text import Text

        self.console.print(Text(translated(text)))

    def sample(self, text: str) -> None:
        from rich.padding import Padding
        from rich.text import Text

        self.console.print(Padding(Text(text, style="italic dim"), (0, 2)))

    def stop(self) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None
