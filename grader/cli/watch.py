"""`happyllm-grade watch`: the terminal of the loop, its keys and its screen."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from grader import catalogue
from grader.catalogue import Exercise, Language, Text
from grader.learning import workspace
from grader.render.watchwords import KEYS, SAID
from grader.sandbox.isolation import STRENGTHS, Isolation

from . import keys
from .command import language_option
from .grading import _no_nan
from .options import Target, console, folder_option, plain_option

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from grader.learning import watch as loop
    from grader.report import Graded
    from grader.sandbox.backends import Backend

HANGUP, TERMINATED = 129, 143


@click.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]…", type=Target())
@folder_option
@click.option(
    "--format",
    "form",
    type=click.Choice(("terminal", "plain")),
    default=None,
    show_default="terminal, or plain where the output is no terminal",
    help="How to show the report.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    callback=_no_nan,
    help="Seconds for each exercise, in place of its own limit.",
)
@click.option(
    "--isolation",
    type=click.Choice(STRENGTHS),
    help="Demand this isolation, and fail where the machine does not give it.",
)
@click.option(
    "--backend",
    type=click.Choice(("fork", "spawn")),
    envvar="HAPPYLLM_BACKEND",
    show_default="HAPPYLLM_BACKEND, or what suits the system",
    help="How processes are made; a spawned one has no jail.",
)
@click.option("--own", is_flag=True, help="Build on your own files, not on the solutions.")
@plain_option
@language_option
@click.pass_context
def watch(
    ctx: click.Context,
    targets: tuple[str, ...],
    folder: Path | None,
    form: str | None,
    timeout: float | None,
    isolation: Isolation | None,
    backend: Backend | None,
    own: bool,
    plain: bool,
    lang: Language,
) -> None:
    """Grade whatever you save, the first failure first, until you quit.

    Single keys: h hint, n next, l list, a run all, o open the page, r run again, m the whole
    report, ? help, q quit.
    """
    from grader import engine
    from grader.learning.watch import Page, Watch

    known = catalogue.load()
    place, exercises = workspace.aim(targets, known, folder)
    limits = engine.Limits(isolation=isolation)
    policy = engine.Policy(timeout_s=timeout, own=own, limits=limits, backend=backend)
    book = Book(lang, lambda exercise, said: running.tell(Page(exercise, said)))
    running = Watch(place, exercises, policy, open_page=book.open)
    fancy = not plain and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    form = form or ("terminal" if fancy else "plain")
    has_keys = keys.available()
    screen = (Screen if form == "terminal" else Lines)(exercises, lang, has_keys)
    states = {one.id: running.progress.state(one) for one in exercises}
    screen.outcomes |= {i: "passed" for i, one in states.items() if one.solved and not one.changed}
    with _ends_by_signal(), screen.open(), _keys(has_keys, running.press), _resizes(running.resize):
        events = running.events()
        try:
            for event in events:
                screen.show(event)
        finally:
            with _uninterrupted():
                events.close()
                running.close()
                book.close()
    click.echo(screen.farewell())
    ctx.exit(0)


class Book:
    """The book in the reader's browser, served by `happyllm-grade docs` while the watch runs."""

    def __init__(self, lang: Language, tell: Callable[[Exercise, Text], None]):
        self.lang = lang
        self.tell = tell
        self.server: subprocess.Popen[str] | None = None

    def open(self, exercise: Exercise) -> Text:
        """Open the page of an exercise; `tell` is called with its address, or with what failed."""
        self.close()
        root = Path(__file__).resolve().parents[2]
        start = (
            f"import sys; sys.path.insert(0, {str(root)!r}); from grader.cli import main; main()"
        )
        self.server = subprocess.Popen(
            [sys.executable, "-c", start, "docs", exercise.id, "--lang", self.lang],
            cwd=Path(__file__).resolve().anchor,  # no workspace: the watch itself grades
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        listen = threading.Thread(target=self._listen, args=(self.server, exercise), daemon=True)
        listen.start()
        section = exercise.section
        return Text(f"opening section {section} …", f"正在打开 {section} 节……")

    def _listen(self, server: subprocess.Popen[str], exercise: Exercise) -> None:
        assert server.stdout is not None
        last = ""
        with server.stdout as lines:
            for line in lines:
                last = line.strip() or last
                if address := re.search(r"https?://\S+", line):
                    found = f"{exercise.section}: {address[0]}"
                    self.tell(exercise, Text(found, found))
                    last = ""
        if last and server is self.server:
            self.tell(exercise, Text(last, last))

    def close(self) -> None:
        """End the server."""
        server, self.server = self.server, None
        if server is not None:
            server.terminate()
            try:
                server.wait(timeout=5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


# ---- signals


@contextmanager
def _keys(there: bool, press: Callable[[str], None]) -> Iterator[None]:
    if not there:
        yield
        return
    with keys.read(press):
        yield


@contextmanager
def _resizes(tell: Callable[[], None]) -> Iterator[None]:
    if not hasattr(signal, "SIGWINCH"):
        yield
        return
    before = signal.signal(signal.SIGWINCH, lambda *_: tell())
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextmanager
def _ends_by_signal() -> Iterator[None]:
    """Have the signals that end a program end this one in order, with its terminal put back."""
    numbers = {}
    for name, status in (("SIGHUP", HANGUP), ("SIGTERM", TERMINATED)):
        if hasattr(signal, name):
            number = getattr(signal, name)
            numbers[number] = signal.signal(number, lambda *_, status=status: sys.exit(status))
    try:
        yield
    finally:
        for number, before in numbers.items():
            signal.signal(number, before)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let no second Ctrl-C come in the way of tidying up."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


# ---- what is shown


class View:
    """What both forms know: the exercises, how they stand, and the language."""

    def __init__(self, exercises: Sequence[Exercise], lang: Language, has_keys: bool):
        self.exercises = exercises
        self.lang = lang
        self.has_keys = has_keys
        self.outcomes: dict[str, str] = {}

    @contextmanager
    def open(self) -> Iterator[None]:
        yield

    def show(self, event: loop.Event) -> None:
        raise NotImplementedError

    def say(self, key: str, **values: object) -> str:
        return SAID[key].in_(self.lang).format(**values)

    @property
    def passed(self) -> int:
        return sum(outcome == "passed" for outcome in self.outcomes.values())

    def farewell(self) -> str:
        return self.say("stopped", n=self.passed, of=len(self.exercises))


class Lines(View):
    """Plain lines, one after another: for logs, pipes, screen readers and simple terminals."""

    @contextmanager
    def open(self) -> Iterator[None]:
        self.write(self.say("watching", n=len(self.exercises)))
        if not self.has_keys:
            self.write(self.say("no_keys"))
        yield

    def write(self, text: str) -> None:
        sys.stdout.write(f"{text.rstrip()}\n")
        sys.stdout.flush()

    def show(self, event: loop.Event) -> None:
        from grader.learning import watch as loop
        from grader.render import plain

        if isinstance(event, loop.Warming):
            self.write(self.say("warming"))
        elif isinstance(event, loop.Verdict) and event.report is not None:
            self.outcomes[event.exercise.id] = event.graded.outcome
            self.write(plain.exercise(event.graded, self.lang))
            if event.graded.outcome == "untouched":
                self.write(f"  {self.say('open', file=event.exercise.file)}")
        elif isinstance(event, loop.Shown):
            self.write(f"{event.exercise.id}: {event.exercise.title.in_(self.lang)}")
            if event.graded is not None:
                self.write(plain.exercise(event.graded, self.lang))
        elif isinstance(event, loop.Solved):
            self.write(self.say("solved", n=len(event.exercises)))
        elif isinstance(event, loop.Hint):
            if (rung := event.rung) is None:
                self.write(self.say("no_hint"))
            else:
                head = self.say("hint", n=rung.number, of=rung.of)
                self.write(f"{event.exercise.id}, {head}: {rung.hint.in_(self.lang)}")
        elif isinstance(event, loop.Listing):
            for entry in event.entries:
                self.write(
                    f"{'>' if entry.focus else ' '} {entry.exercise.id}\t{self.stands(entry)}"
                )
        elif isinstance(event, loop.Page):
            self.write(event.said.in_(self.lang))
        elif isinstance(event, loop.Trouble):
            self.write(f"{self.say('trouble')}: {event.text.in_(self.lang)}")
        elif isinstance(event, loop.AllGraded):
            self.write(self.say("passed", n=self.passed, of=len(self.exercises)))
        elif isinstance(event, loop.Asked) and event.what == "help":
            for key, _, what in KEYS:
                self.write(f"{key}  {what.in_(self.lang)}")

    def stands(self, entry: loop.Entry) -> str:
        from grader.render.words import OUTCOME

        if entry.outcome is None:
            return self.say("not_graded")
        return OUTCOME[entry.outcome].in_(self.lang)


class Screen(View):
    """The whole terminal, drawn anew at every event and cut to its size."""

    def __init__(
        self,
        exercises: Sequence[Exercise],
        lang: Language,
        has_keys: bool,
        out: TextIO | None = None,
    ):
        super().__init__(exercises, lang, has_keys)
        self.out = out or sys.stdout
        self.graded: Graded | None = None  # in focus
        self.exercise = exercises[0]
        self.ticks: list[Graded] = []  # what has passed on the way to the one in focus
        self.extra: tuple[Any, ...] = ()  # a page over the report: hints, list, help
        self.status = ""  # what goes on; nothing, when it waits for a save
        self.last: tuple[str, float] | None = None  # when the last verdict came, and after how long
        self.whole = False
        self.solved = False

    @contextmanager
    def open(self) -> Iterator[None]:
        height = self.size()[1]
        self.put("\n" * (height - 1) + "\x1b[?25l\x1b[2J\x1b[H")  # what was there scrolls away
        self.draw()
        try:
            yield
        finally:
            with contextlib.suppress(OSError, ValueError):  # the terminal has gone
                self.put("\x1b[?25h\n")

    def put(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()

    def size(self) -> tuple[int, int]:
        try:
            columns, rows = os.get_terminal_size(self.out.fileno())
        except (OSError, ValueError):
            columns, rows = 80, 24
        return max(columns, 20) if columns else 80, max(rows, 6) if rows else 24

    # ---- events

    def show(self, event: loop.Event) -> None:
        from grader.learning import watch as loop

        fresh = False
        if isinstance(event, loop.Warming):
            self.status = self.say("warming")
        elif isinstance(event, loop.Began):
            self.status = self.say("grading", id=event.exercise.id)
            if not event.goes_on:
                self.ticks = []
            self.solved = False
        elif isinstance(event, loop.Verdict):
            self._judged(event)
        elif isinstance(event, loop.Shown):
            self.exercise, self.graded = event.exercise, event.graded
            self.extra, self.whole, self.ticks = (), False, []
        elif isinstance(event, loop.Trouble):
            self.extra, self.graded, self.status, self.last = (
                ("trouble", event.text),
                None,
                "",
                None,
            )
        elif isinstance(event, loop.Hint):
            self.exercise = event.exercise
            self.extra = ("hint", event)
        elif isinstance(event, loop.Listing):
            self.extra = ("list", event)
        elif isinstance(event, loop.Page):
            self.extra = ("page", event.said)
        elif isinstance(event, loop.Solved):
            self.solved = True
        elif isinstance(event, loop.AllGraded):
            self.extra = ("all", event.graded)
        elif isinstance(event, loop.Asked):
            fresh = self._asked(event.what)
        self.draw(fresh=fresh)

    def _judged(self, event: loop.Verdict) -> None:
        graded = event.graded
        self.outcomes[event.exercise.id] = graded.outcome
        if event.report is None:
            self.status = self.say("naming", id=event.exercise.id)
        else:
            self.last = time.strftime("%H:%M:%S"), event.report.duration_s
            self.status = ""
        if graded.outcome == "passed":
            self.ticks.append(graded)
            if self.exercise is event.exercise or self.graded is None:
                self.graded = None
                self.exercise = event.exercise
            self.extra, self.whole = (), False
        elif event.focus:
            if self.exercise is not event.exercise or event.report is None:
                self.whole = False
            self.extra = ()
            self.exercise, self.graded = event.exercise, graded

    def _asked(self, what: str) -> bool:
        if what == "help":
            self.extra = () if self.extra == ("help",) else ("help",)
        elif what == "more":
            self.whole, self.extra = not self.whole, ()
            return True
        elif what == "back":
            self.extra, self.whole = (), False
            return True
        return what == "resize"

    # ---- drawing

    def draw(self, *, fresh: bool = False) -> None:
        width, height = self.size()
        console = self._console(width)
        top = self._lines(console, self._head())
        bottom = self._lines(console, self._foot(width))
        body = self._lines(console, *self._body())
        room = height - len(top) - len(bottom) - 1
        if self.whole:  # it may be longer than the screen, and scrolls
            text = "\n".join([*top, *body, *bottom])
            self.put(f"\x1b[2J\x1b[H{text}")
            return
        if len(body) > room:
            left = len(body) - (room - 1)
            more = self._lines(console, _dim(self.say("more", n=left)))
            body = [*body[: max(0, room - 1)], *more]
        lines = [*top, *body, "", *bottom][:height]
        text = "\x1b[K\n".join(lines)
        start = "\x1b[2J\x1b[H" if fresh else "\x1b[H"
        self.put(f"{start}{text}\x1b[K\x1b[J")

    def _console(self, width: int) -> Console:
        return console(file=StringIO(), width=width, force_terminal=True, legacy_windows=False)

    def _lines(self, console: Console, *parts: RenderableType) -> list[str]:
        """Parts as the lines of a terminal."""
        file = console.file
        assert isinstance(file, StringIO)
        file.seek(0)
        file.truncate()
        for part in parts:
            console.print(part)
        return file.getvalue().removesuffix("\n").split("\n")

    def _head(self) -> RenderableType:
        from rich.text import Text as Words

        from grader.render.terminal import STYLE

        bar = Words()
        for exercise in self.exercises:
            outcome: Any = self.outcomes.get(exercise.id)
            style = STYLE[outcome] if outcome else "dim"
            if exercise is self.exercise:
                style += " bold"
            bar.append("█" if outcome == "passed" else "░", style=style)
        said = self.say("passed", n=self.passed, of=len(self.exercises))
        return Words.assemble(("happyllm-grade watch", "bold"), "  ", bar, "  ", said)

    def _foot(self, width: int) -> RenderableType:
        from rich.text import Text as Words

        status = Words.assemble(("● ", "yellow"), self.status)
        if not self.status:
            status = Words.assemble(("○ ", "dim"), (self._waiting(), "dim"))
        status.append("\n")
        if not self.has_keys:
            status.append(self.say("no_keys"), style="dim")
            return status
        for count in (len(KEYS), 0):  # the words too, where there is room for them
            row = Words()
            for number, (key, short, _) in enumerate(KEYS):
                row.append("  " if number else "")
                row.append(key, style="bold cyan")
                row.append(f" {short.in_(self.lang)}" if number < count else "")
            if row.cell_len <= width:
                break
        status.append_text(row)
        return status

    def _waiting(self) -> str:
        if self.last is None:
            return self.say("idle")
        at, took = self.last
        return self.say("waiting", at=at, took=took, file=self.exercise.file)

    def _body(self) -> Iterator[RenderableType]:
        from grader.render import terminal

        yield ""
        if self.extra:
            yield from self._page(*self.extra)
            if self.extra[0] in ("list", "help"):
                return
            yield ""
        wide = max(len(one.id) for one in self.exercises)
        for tick in self.ticks:
            yield terminal.line(tick, self.lang, wide)
        graded = self.graded
        if self.solved:
            from rich.text import Text as Words

            said = self.say("solved", n=len(self.exercises))
            yield ""
            yield Words(said, style="bold green")
            return
        if graded is None:
            return
        yield terminal.line(graded, self.lang, wide)
        yield ""
        if graded.outcome == "untouched":
            yield self._opening(self.exercise)
        else:
            yield terminal.detail(graded, self.lang)

    def _opening(self, exercise: Exercise) -> RenderableType:
        from rich.text import Text as Words

        said = Words(self.say("open", file=exercise.file), style="bold")
        said.highlight_words([exercise.file], style="not bold cyan")
        return Words.assemble(said, "\n", (self.say("read", section=exercise.section), "dim"))

    def _page(self, kind: str, what: Any = None) -> Iterator[RenderableType]:
        from rich.panel import Panel
        from rich.text import Text as Words

        if kind == "hint":
            yield self._hints(what)
        elif kind == "all":
            from grader.render import terminal

            wide = max(len(one.id) for one in self.exercises)
            yield from (terminal.line(graded, self.lang, wide) for graded in what)
        elif kind == "list":
            yield self._list(what)
        elif kind == "help":
            rows = [f"{key}  {said.in_(self.lang)}" for key, _, said in KEYS]
            yield Panel(
                Words("\n".join(rows)), title=self.say("help"), title_align="left", padding=(1, 2)
            )
        else:
            style = "red" if kind == "trouble" else "cyan"
            yield Panel(
                Words(what.in_(self.lang)),
                title=self.say(kind),
                title_align="left",
                border_style=style,
                padding=(0, 2),
            )

    def _hints(self, hint: loop.Hint) -> RenderableType:
        from rich.console import Group
        from rich.panel import Panel
        from rich.text import Text as Words

        rung = hint.rung
        if rung is None:
            return Words(self.say("no_hint"))
        parts: list[RenderableType] = [Words(rung.hint.in_(self.lang)), Words("")]
        if rung.fits:
            parts.append(_dim(self.say("fits")))
        last = rung.number == rung.of
        parts.append(_dim(self.say("last_hint" if last else "next_hint")))
        title = f"{hint.exercise.id} · {self.say('hint', n=rung.number, of=rung.of)}"
        return Panel(
            Group(*parts), title=title, title_align="left", border_style="cyan", padding=(0, 2)
        )

    def _list(self, listing: loop.Listing) -> RenderableType:
        from rich.table import Table
        from rich.text import Text as Words

        from grader.render.terminal import STYLE
        from grader.render.words import MARK, OUTCOME

        table = Table.grid(padding=(0, 1), expand=True)
        for width in (1, 1):
            table.add_column(width=width)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(ratio=1, overflow="ellipsis", no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        for entry in listing.entries:
            exercise, outcome = entry.exercise, entry.outcome
            style = STYLE[outcome] if outcome else "dim"
            table.add_row(
                Words("›" if entry.focus else "", style="bold cyan"),
                Words(MARK[outcome] if outcome else " ", style=f"bold {style}"),
                Words(exercise.id, style="bold" if entry.focus else ""),
                Words(exercise.section, style="dim"),
                Words(exercise.title.in_(self.lang)),
                Words(OUTCOME[outcome].in_(self.lang) if outcome else "", style=style),
            )
        return table


def _dim(text: str) -> RenderableType:
    from rich.text import Text as Words

    return Words(text, style="dim")
