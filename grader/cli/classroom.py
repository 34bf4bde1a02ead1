"""`happyllm-grade class`, `regrade` and `verify`, for instructors."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grader import catalogue
from grader.catalogue import Catalogue, Exercise, Language
from grader.classroom import batch, policy, roster
from grader.classroom.batch import Assignment, Change, Done, Exercised, Planned, Read, Run
from grader.classroom.policy import Policy
from grader.classroom.pool import Graders
from grader.classroom.problems import ClassroomError
from grader.classroom.record import Record, Submission
from grader.classroom.roster import Roster
from grader.render import classlines
from grader.render.classlines import say
from grader.report import Graded
from grader.sandbox.nursery import ScratchError

from .command import language_option
from .errors import INTERRUPTED
from .options import console, plain_option, wants_rich

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from grader.sandbox.backends import Backend

RECORD = "record.sqlite"


def jobs_option(function: Any) -> Any:
    """`--jobs N`."""
    return click.option(
        "--jobs",
        type=click.IntRange(1, 256),
        default=os.cpu_count() or 1,
        show_default="one for each processor",
        help="How many submissions are graded at once.",
    )(function)


def backend_option(function: Any) -> Any:
    """`--backend`."""
    return click.option(
        "--backend",
        type=click.Choice(("fork", "spawn")),
        envvar="HAPPYLLM_BACKEND",
        show_default="HAPPYLLM_BACKEND, or what suits the system",
        help="How processes are made; a spawned one has no jail.",
    )(function)


def dask_option(function: Any) -> Any:
    """`--dask ADDRESS`."""
    return click.option(
        "--dask",
        metavar="ADDRESS",
        help="Grade on the machines of a Dask cluster: the address of its scheduler.",
    )(function)


def policy_option(function: Any) -> Any:
    """`--policy FILE`."""
    return click.option(
        "--policy",
        "policy_file",
        type=click.Path(path_type=Path),
        show_default="the one that the record was made with",
        help="The rules, a TOML file: weights, due dates, attempts, feedback, limits.",
    )(function)


def chapter_option(function: Any) -> Any:
    """`--chapter CHAPTER`."""
    return click.option(
        "--chapter", metavar="CHAPTER", help="What was to be handed in, such as ch5."
    )(function)


def roster_option(function: Any) -> Any:
    """`--roster FILE`."""
    return click.option(
        "--roster",
        "roster_file",
        type=click.Path(path_type=Path),
        help="The students, a CSV file with a column id; without one, folders name them.",
    )(function)


@click.command(name="class")
@click.argument("submissions", type=click.Path(path_type=Path))
@chapter_option
@policy_option
@roster_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("grades"),
    show_default="grades",
    help="Where the record, the gradebooks and the feedback are kept.",
)
@jobs_option
@backend_option
@dask_option
@plain_option
@language_option
@click.pass_context
def class_(
    ctx: click.Context,
    submissions: Path,
    chapter: str | None,
    policy_file: Path | None,
    roster_file: Path | None,
    out: Path,
    jobs: int,
    backend: Backend | None,
    dask: str | None,
    plain: bool,
    lang: Language,
) -> None:
    """Grade a class: every folder, archive, bundle or bare clone in SUBMISSIONS.

    What is graded already is not graded again, so that a run that was stopped goes on where it
    was. Exit status: 0 all graded, 1 something needs to be looked at, 130 stopped by Ctrl-C.
    """
    known = catalogue.load()
    with in_words(lang):
        paths = list(roster.listed(submissions))
        named = roster.load(roster_file) if roster_file is not None else None
        rules = policy.load(policy_file, known) if policy_file is not None else None
        with Record.open(out / RECORD) as record:
            what = assignment_of(record, known, rules, chapter)
            named = named or _remembered(record)
            matched = roster.match(paths, named, what.policy.times)
            elsewhere = _elsewhere(dask, backend, lang)
            run = Run(record, what, jobs=jobs, backend=backend, elsewhere=elsewhere)
            show = _Terminal(what, lang) if wants_rich(plain) else _Lines(what, lang)
            try:
                with show, contextlib.closing(_events(run, matched, named)) as events:
                    for event in events:
                        show.tell(event, record)
            except KeyboardInterrupt:
                click.echo(say("stopped", lang), err=True)
                ctx.exit(INTERRUPTED)
            ctx.exit(_write(record, what, out, lang))


def _events(
    run: Run, matched: roster.Matched, named: Roster | None
) -> Generator[batch.Event, None, None]:
    yield from run.collect(matched, named)
    yield from run.grade()


def _write(record: Record, what: Assignment, out: Path, lang: Language) -> int:
    """Write all files, say which, and how the class stands; the exit status."""
    from . import gradebooks

    book, written = gradebooks.write(record, what, out, lang)
    for name in book.strangers:
        click.echo(say("strangers", lang, name=name))
    count = {status: sum(row.status == status for row in book.rows) for status in _STATUSES}
    faults = sum(row.has_fault for row in book.rows)
    click.echo(
        say(
            "summary",
            lang,
            graded=count["graded"] - faults,
            of=len(book.rows),
            unreadable=count["unreadable"],
            missing=count["missing"],
            faults=faults,
        )
    )
    for path in written:
        click.echo(say("written", lang, path=str(path)))
    return int(bool(faults or count["unreadable"] or count["ungraded"] or book.strangers))


_STATUSES = ("graded", "unreadable", "missing", "ungraded")


@click.command()
@click.argument("record_path", metavar="RECORD", type=click.Path(path_type=Path))
@policy_option
@click.option("--accept", is_flag=True, help="Let what changed be the grades, without asking.")
@jobs_option
@backend_option
@dask_option
@plain_option
@language_option
@click.pass_context
def regrade(
    ctx: click.Context,
    record_path: Path,
    policy_file: Path | None,
    accept: bool,
    jobs: int,
    backend: Backend | None,
    dask: str | None,
    plain: bool,
    lang: Language,
) -> None:
    """Grade again what is in a RECORD, with today's suites, and show what would change.

    Nothing changes until it is accepted, and the old grades are kept. What was handed in is read
    from the record. Exit status: 0 nothing changes or it is accepted, 1 it is not.
    """
    known = catalogue.load()
    with in_words(lang):
        place = record_in(record_path)
        with contextlib.closing(Record.read(place)):
            pass  # a regrade makes no record
        rules = policy.load(policy_file, known) if policy_file is not None else None
        with Record.open(place) as record:
            what = assignment_of(record, known, rules, None)
            elsewhere = _elsewhere(dask, backend, lang)
            run = Run(record, what, jobs=jobs, kind="regrade", backend=backend, elsewhere=elsewhere)
            show = _Terminal(what, lang) if wants_rich(plain) else _Lines(what, lang)
            try:
                with show, contextlib.closing(run.grade()) as events:
                    for event in events:
                        show.tell(event, record)
            except KeyboardInterrupt:
                click.echo(say("stopped", lang), err=True)
                ctx.exit(INTERRUPTED)
            changes = run.changes()
            if not _accepted(changes, accept, lang):
                click.echo(say("not_accepted", lang))
                ctx.exit(1)
            run.accept(changes)
            if any(change.matters for change in changes):
                click.echo(say("accepted", lang, n=len(changes)))
            ctx.exit(_write(record, what, place.parent, lang))


def _accepted(changes: list[Change], accept: bool, lang: Language) -> bool:
    """Show what would change, student by student, and find out whether it may."""
    matter = [change for change in changes if change.matters]
    if not matter:
        click.echo(say("no_change", lang, n=len(changes)))
        return True
    by_student: dict[str, list[Change]] = defaultdict(list)
    for change in matter:
        by_student[change.submission.student].append(change)
    for student, theirs in by_student.items():
        click.echo(classlines.one_line(student))
        for change in theirs:
            old, new = change.old, change.new.graded
            was = say("nothing_recorded", lang)
            if old is not None:
                was = f"{classlines.outcome(old.graded.outcome, lang)} {old.graded.points}"
            now = f"{classlines.outcome(new.outcome, lang)} {new.points}"
            click.echo(f"  {change.exercise.id}: {was} → {now}")
    click.echo(say("changes", lang, n=len(matter), students=len(by_student)))
    return accept or (sys.stdin.isatty() and click.confirm(say("accept", lang)))


@click.command()
@click.argument("record_path", metavar="RECORD", type=click.Path(path_type=Path))
@click.argument("students", nargs=-1, metavar="[STUDENT]…")
@jobs_option
@backend_option
@language_option
@click.pass_context
def verify(
    ctx: click.Context,
    record_path: Path,
    students: tuple[str, ...],
    jobs: int,
    backend: Backend | None,
    lang: Language,
) -> None:
    """Grade again what is in a RECORD, under the same seed, and compare; nothing is changed.

    Exit status: 0 all is as it is in the record, 1 something is not.
    """
    known = catalogue.load()
    same = differ = 0
    with in_words(lang), contextlib.closing(Record.read(record_in(record_path))) as record:
        rules = policy.parse(record.policy(), known, "policy.toml")
        checks = batch.verify(record, known, rules, students, jobs=jobs, backend=backend)
        with contextlib.closing(checks):
            for one in checks:
                same, differ = same + one.same, differ + (not one.same)
                if not one.same:
                    said = say(
                        "differs",
                        lang,
                        student=one.submission.student,
                        exercise=one.exercise,
                        was=classlines.outcome(one.was, lang),
                        now=classlines.outcome(one.now, lang),
                    )
                    why = f" ({one.why.in_(lang)})" if one.why is not None else ""
                    click.echo(f"{said}{why}")
    click.echo(say("verified", lang, n=same + differ, same=same, differ=differ))
    ctx.exit(int(differ > 0))


# ---- parts


@contextlib.contextmanager
def in_words(lang: Language) -> Iterator[None]:
    """Say what is wrong in the language that was asked for."""
    try:
        yield
    except ClassroomError as error:
        raise click.UsageError(error.in_(lang)) from error
    except ScratchError as error:
        raise click.UsageError(str(error)) from error


def _elsewhere(
    address: str | None, backend: Backend | None, lang: Language
) -> Callable[[Sequence[Exercise]], Graders] | None:
    """What opens the cluster, if one was named; what it tells of machines goes to the terminal."""
    if address is None:
        return None

    def opened(exercises: Sequence[Exercise]) -> Graders:
        from grader.classroom.cluster import Cluster

        def tell(said: catalogue.Text) -> None:
            click.echo(f"! {classlines.one_line(said.in_(lang))}", err=True)

        return Cluster(address, exercises, backend=backend, tell=tell)

    return opened


def record_in(path: Path) -> Path:
    return path / RECORD if path.is_dir() else path


def assignment_of(
    record: Record, known: Catalogue, rules: Policy | None, chapter: str | None
) -> Assignment:
    """What is graded: as the command line says, else as the record does.

    Raises:
        ClassroomError: neither says it, or they do not agree.
    """
    noted = record.fact("chapter")
    if chapter is None and noted is None:
        raise no_chapter(known)
    if chapter is not None and noted is not None and chapter != noted:
        raise ClassroomError(
            catalogue.Text(
                f"{record.path}: is the record of {noted}, not of {chapter}; name another folder "
                "by --out.",
                f"{record.path}：是 {noted} 的记录，不是 {chapter} 的；请用 --out 换一个文件夹。",
            )
        )
    rules = rules if rules is not None else policy.parse(record.policy(), known)
    return batch.assignment(chapter or noted or "", known, rules)


def no_chapter(known: Catalogue) -> ClassroomError:
    """Nothing says what was to be handed in."""
    names = ", ".join(one.id for one in known.chapters)
    return ClassroomError(
        catalogue.Text(
            f"what was to be handed in? Name it: --chapter {names}.",
            f"交的是哪一章？请写明：--chapter {names}。",
        )
    )


def _remembered(record: Record) -> Roster | None:
    """The roster of an earlier run, if there was one."""
    if record.fact("roster") is None:
        return None
    found = record.students()
    extensions = {student.id: more for student, more in found if more is not None}
    return Roster(tuple(student for student, _ in found), extensions)


class _Shown:
    """What a run tells, gathered by hand-in."""

    def __init__(self, what: Assignment, lang: Language):
        self.what = what
        self.lang = lang
        self.worth = what.policy.worth(what.exercises)
        self.found: dict[int, list[Graded]] = defaultdict(list)

    def __enter__(self) -> _Shown:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to close."""

    def tell(self, event: batch.Event, record: Record) -> None:
        """Show one event."""
        if isinstance(event, Read):
            self.read(event.submission)
        elif isinstance(event, Planned):
            self.planned(event)
            if event.outdated:
                said = say("outdated", self.lang, n=event.outdated, record=str(record.path.parent))
                self.line(said)
        elif isinstance(event, Exercised):
            self.found[event.submission.id].append(event.graded)
            self.exercised()
        elif isinstance(event, Done):
            self.done(event.submission, self.found.pop(event.submission.id, []))

    def line(self, said: str) -> None:
        """Show a line."""
        click.echo(said)

    def read(self, submission: Submission) -> None:
        """A hand-in was read; what cannot be is told."""
        if submission.problem is not None:
            self.line(f"! {classlines.one_line(submission.problem.in_(self.lang))}")

    def planned(self, event: Planned) -> None:
        """All is read."""
        if event.isolation is None:
            self.line(say("nothing_to_do", self.lang, of=event.submissions))
            return
        self.line(
            say(
                "planned",
                self.lang,
                of=event.submissions,
                left=event.to_grade,
                isolation=event.isolation,
                seed=event.seed,
            )
        )

    def exercised(self) -> None:
        """An exercise was graded."""

    def done(self, submission: Submission, found: list[Graded]) -> None:
        """A hand-in was graded."""
        self.line(f"{self.name(submission)}: {self.points(found)}{self.reasons(found)}")

    def name(self, submission: Submission) -> str:
        student, name = submission.student, submission.name
        said = student if name == student else f"{student} ({name})"
        return classlines.one_line(said)

    def points(self, found: list[Graded]) -> str:
        points = f"{classlines.tally(found, self.worth):g}"
        of = f"{sum(self.worth[graded.id] for graded in found):g}"
        return say("points", self.lang, n=points, of=of)

    def reasons(self, found: list[Graded]) -> str:
        said = classlines.reasons(found, self.lang)
        return f" · {said}" if said else ""


class _Lines(_Shown):
    """Plain lines, for pipes and logs."""


class _Terminal(_Shown):
    """A line for each hand-in that is done, over a bar that says how many, and how long still."""

    def __init__(self, what: Assignment, lang: Language):
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        super().__init__(what, lang)
        self.console = console()
        self.progress: Progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            expand=True,
        )
        self.task: TaskID = self.progress.add_task(say("reading", lang), total=None)

    def __enter__(self) -> _Terminal:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def line(self, said: str) -> None:
        self.console.print(said)

    def read(self, submission: Submission) -> None:
        super().read(submission)
        self.progress.advance(self.task)
        self.progress.update(self.task, description=say("warming", self.lang))

    def planned(self, event: Planned) -> None:
        super().planned(event)
        self.progress.reset(
            self.task, total=event.exercises or 1, description=say("grading", self.lang)
        )

    def exercised(self) -> None:
        self.progress.advance(self.task)

    def done(self, submission: Submission, found: list[Graded]) -> None:
        from rich.table import Table
        from rich.text import Text

        from grader.render.terminal import STYLE

        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(width=22, no_wrap=True, overflow="ellipsis")
        grid.add_column(no_wrap=True, width=max(4, len(self.what.exercises)))
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        bar = Text()
        for cell, outcome in classlines.bar(found):
            bar.append(cell, style=STYLE[outcome])
        said = Text(classlines.reasons(found, self.lang), style="dim")
        grid.add_row(Text(self.name(submission)), bar, Text(self.points(found)), said)
        self.console.print(grid)
