"""`happyllm-grade [TARGET]…` and `happyllm-grade demo`."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grader import catalogue
from grader.catalogue import Catalogue, Exercise, Language
from grader.files import write_whole
from grader.learning import where, workspace
from grader.learning.progress import Progress
from grader.render.learner.words import say, subject, waiting
from grader.sandbox.isolation import STRENGTHS, Isolation

from . import actions, links
from .command import language_option
from .options import Target, console, folder_option, note, plain_option

if TYPE_CHECKING:
    from grader import engine
    from grader.render.terminal import Link
    from grader.report import Graded, Report
    from grader.sandbox.backends import Backend

DEMO = Path(__file__).resolve().parents[1] / "demo"
FORMATS = ("terminal", "plain", "json", "github")


def _no_nan(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    if value is not None and math.isnan(value):  # which is neither below nor above a limit
        raise click.BadParameter("nan is no number of seconds.")
    return value


@click.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]…", type=Target())
@folder_option
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default=None,
    show_default="terminal, or plain where the output is no terminal, or github in its Actions",
    help="How to show the report.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report to a file.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    callback=_no_nan,
    help="Seconds for each exercise, in place of its own limit.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Draw the hidden inputs from this seed.")
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
@click.option("--debug", is_flag=True, help="Run the code in this process: breakpoint() works.")
@plain_option
@language_option
@click.pass_context
def grade(
    ctx: click.Context,
    targets: tuple[str, ...],
    folder: Path | None,
    form: str | None,
    output: Path | None,
    timeout: float | None,
    seed: int | None,
    isolation: Isolation | None,
    backend: Backend | None,
    own: bool,
    debug: bool,
    plain: bool,
    lang: Language,
) -> None:
    """Grade exercises. This is what `happyllm-grade TARGET` does.

    Without a TARGET, or with `all`, everything in the workspace is graded.
    """
    from grader import engine

    known = catalogue.load()
    place, exercises = workspace.aim(targets, known, folder)
    if debug and isolation:
        raise click.UsageError("--debug runs the code without isolation; leave one of the two out")
    limits = engine.Limits(isolation=isolation)
    policy = engine.Policy(seed, timeout, own, debug, limits, backend=backend)
    sources = place.sources(exercises)
    form = form or ("plain" if plain else None)
    link = links.to_files(place.root, sources)
    if form is None and output is None and actions.running():
        form = "github"
    report = _run(exercises, sources, policy, form, output, lang, link=link)
    if form == "github":
        actions.tell(report, place.root, lang)
    progress = Progress.of(place)
    progress.record_graded(
        # What fails on the learner's own files may be the fault of another of them.
        [graded for graded in report.exercises if not own or graded.outcome == "passed"],
        sources,
    )
    if form not in ("json", "github") and output is None:
        _tell_what_waits(report, progress, known, lang)
        if report.exit_code == 0 and progress.kept:
            step = where.standing(place, known).next
            if step.why != "done":
                click.echo(f"{say('next', lang)}: {subject(step, lang)}\n  {step.command}")
    note(progress.note, lang)
    ctx.exit(report.exit_code)


def _tell_what_waits(report: Report, progress: Progress, known: Catalogue, lang: Language) -> None:
    """What passed on the solutions of exercises that the learner has yet to solve."""
    if not progress.kept:
        return
    states = {exercise.id: progress.state(exercise) for exercise in known}
    passed = [graded.id for graded in report.exercises if graded.outcome == "passed"]
    waits = {one: where.waits_on(known[one], states, known) for one in passed}
    waits = {one: names for one, names in waits.items() if names}
    if len(waits) > 3:  # the overview says it of all
        return
    for line in waiting(waits, lang):
        click.echo(line)


@click.command()
@language_option
def demo(lang: Language) -> None:
    """Grade three small answers: a right one, a wrong one, and a stub."""
    from grader import engine, shelf

    known = catalogue.load()
    exercises = [known[f"ch5/{name}"] for name in ("repeat_kv", "rms_norm", "mlp")]
    sources = {e.file: shelf.stub(e) for e in exercises}
    sources |= {f"ch5/{f.name}": f.read_text(encoding="utf-8") for f in DEMO.glob("*.py")}
    _run(exercises, sources, engine.Policy(seed=1), None, None, lang, lead_on=False)
    click.echo()
    for text in _HOW_TO_START[lang]:
        click.echo(text)


_HOW_TO_START = {
    "en": (
        "That was a right answer, a wrong one whose mistake has a name, and one not yet written.",
        "Now yours:",
        "  happyllm-grade init my-llm && cd my-llm",
        "  open ch5/repeat_kv.py in your editor, then: happyllm-grade ch5/repeat_kv",
    ),
    "zh": (
        "以上是一个正确答案、一个能说出错在哪里的错误答案，以及一个还没写的题目。",
        "现在轮到你：",
        "  happyllm-grade init my-llm && cd my-llm",
        "  用编辑器打开 ch5/repeat_kv.py，写完后运行：happyllm-grade ch5/repeat_kv",
    ),
}


def _run(
    exercises: Sequence[Exercise],
    sources: Mapping[str, str],
    policy: engine.Policy,
    form: str | None,
    output: Path | None,
    lang: Language,
    *,
    lead_on: bool = True,
    link: Link | None = None,
) -> Report:
    from grader import engine

    form = form or ("terminal" if output is None and sys.stdout.isatty() else "plain")
    if form == "terminal" and output is None:
        return _show_live(exercises, sources, policy, lang, lead_on, link)
    report = engine.grade(exercises, sources, policy)
    text = _as_text(report, form, lang, lead_on)
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        _write(output, text)
    return report


def _show_live(
    exercises: Sequence[Exercise],
    sources: Mapping[str, str],
    policy: engine.Policy,
    lang: Language,
    lead_on: bool,
    link: Link | None,
) -> Report:
    """Show each exercise as soon as it is graded, and then the rest."""
    from grader import engine
    from grader.render import terminal

    screen = console()
    width = max((len(exercise.id) for exercise in exercises), default=0)
    left = [exercise.id for exercise in exercises]
    if policy.debug:  # a spinner would be in the debugger's way
        report = engine.grade(exercises, sources, policy)
        screen.print(terminal.render(report, lang, link=link))
        return report
    with screen.status(left[0] if left else "", spinner="dots") as status:

        def show(graded: Graded) -> None:
            screen.print(terminal.line(graded, lang, width))
            left.remove(graded.id)
            if left:
                status.update(left[0])

        report = engine.grade(exercises, sources, policy, on_graded=show)
    for part in terminal.after(report, lang, lead_on=lead_on, link=link):
        screen.print(part)
    return report


def _as_text(report: Report, form: str, lang: Language, lead_on: bool) -> str:
    if form == "json":
        from grader.render import jsonform

        return jsonform.render(report)
    if form in ("plain", "github"):
        from grader.render import plain

        return plain.render(report, lang, lead_on=lead_on)
    from io import StringIO

    from grader.render import terminal

    text = StringIO()
    console(file=text, width=100).print(terminal.render(report, lang))
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    """Write a report whole or not at all.

    Raises:
        click.ClickException: it cannot be written there.
    """
    try:
        if path.exists() and not path.is_file():  # /dev/stdout, a pipe
            path.write_text(text, encoding="utf-8")
            return
        write_whole(path, text)
    except OSError as error:
        raise click.UsageError(f"--output {path}: cannot be written: {error.strerror}") from error
