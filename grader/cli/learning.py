"""Where you are, hints, the solution, beginning anew, an upgrade."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from grader import catalogue, shelf
from grader.catalogue import Catalogue, Exercise, Language
from grader.learning import hints, stubs, where, workspace
from grader.learning.progress import Progress
from grader.learning.workspace import Workspace, WorkspaceError
from grader.render.learner import plain as plainly
from grader.render.learner.words import say
from grader.render.words import clean
from happyllm import __version__

from .command import language_option
from .options import (
    Target,
    console,
    folder_option,
    note,
    one_exercise,
    only,
    plain_option,
    print_rich,
    wants_rich,
)


@click.command()
@folder_option
@plain_option
@language_option
def status(folder: Path | None, plain: bool, lang: Language) -> None:
    """Say where you are, and the one next step. `happyllm-grade` alone does this."""
    known = catalogue.load()
    try:
        place = workspace.find(folder or Path(), known)
    except WorkspaceError:
        if folder is not None:
            raise
        if wants_rich(plain):
            from grader.render.learner import terminal

            print_rich(terminal.welcome(lang))
        else:
            click.echo(plainly.welcome(lang), nl=False)
        return
    standing = where.standing(place, known)
    if wants_rich(plain):
        from grader.render.learner import terminal

        print_rich(terminal.overview(standing, lang))
    else:
        click.echo(plainly.overview(standing, lang), nl=False)


@click.command()
@click.argument("target", required=False, metavar="[EXERCISE]", type=Target())
@click.option("--all", "all_", is_flag=True, help="Every hint that there is.")
@click.option("--again", is_flag=True, help="Those that you have had, and no more.")
@folder_option
@plain_option
@language_option
def hint(
    target: str | None, all_: bool, again: bool, folder: Path | None, plain: bool, lang: Language
) -> None:
    """Give a hint; each call gives a plainer one.

    Hints that fit what your last grading found come first. Without EXERCISE it is the one that
    you last worked on.
    """
    known = catalogue.load()
    place, exercise = _meant(target, known, folder)
    progress = Progress.of(place) if place is not None else None
    shown = progress.shown(exercise.id) if progress is not None else ()
    state = progress.state(exercise) if progress is not None else None
    ladder = hints.ladder(exercise, shown, state)
    had = len({at for at in shown if at < len(ladder)})
    if all_:
        chosen = ladder
    elif again and had:
        chosen = ladder[:had]
    else:
        chosen = ladder[had : had + 1] or ladder[-1:]
    solved = state is not None and state.solved
    if wants_rich(plain):
        from grader.render.learner import terminal

        print_rich(terminal.hints(exercise, chosen, lang, solved=solved))
    else:
        click.echo(plainly.hints(exercise, chosen, lang, solved=solved), nl=False)
    if progress is None or not progress.kept:
        if had < len(ladder) and not all_:
            click.echo(say("forgetful", lang), err=True)
        return
    for rung in chosen:
        if rung.place not in shown:
            progress.climb(exercise.id, rung.place)
    note(progress.note, lang)


@click.command()
@click.argument("target", required=False, metavar="[EXERCISE]", type=Target())
@click.option("--give-up", is_flag=True, help="Show it before you have solved it.")
@folder_option
@plain_option
@language_option
@click.pass_context
def solution(
    ctx: click.Context,
    target: str | None,
    give_up: bool,
    folder: Path | None,
    plain: bool,
    lang: Language,
) -> None:
    """Show the solution beside your code, once you have solved it.

    Exit status: 0 shown, 1 not solved yet.
    """
    known = catalogue.load()
    place, exercise = _meant(target, known, folder)
    progress = Progress.of(place) if place is not None else None
    passed = progress is not None and progress.state(exercise).best == "passed"
    if not passed and not give_up:
        click.echo(say("locked", lang, id=exercise.id))
        click.echo(f"  happyllm-grade hint {exercise.id}")
        click.echo(say("anyway", lang))
        click.echo(f"  happyllm-grade solution {exercise.id} --give-up")
        ctx.exit(1)
    worked, mine = shelf.solution(exercise), ""
    if place is not None and not stubs.is_stub(place, exercise):
        try:
            mine = place.text(exercise.file)
        except WorkspaceError as error:
            click.echo(f"happyllm-grade: {error}", err=True)
    if wants_rich(plain):
        from grader.render.learner import terminal

        to = console()
        to.print(terminal.solution(exercise, mine, worked, lang, to.width))
    else:
        click.echo(plainly.solution(exercise, mine, worked, lang), nl=False)
    if progress is not None and not passed:
        progress.gave_up(exercise.id)
        note(progress.note, lang)


@click.command()
@click.argument("target", metavar="EXERCISE", type=Target())
@click.option("--yes", is_flag=True, help="Do not ask.")
@folder_option
@language_option
def reset(target: str, yes: bool, folder: Path | None, lang: Language) -> None:
    """Begin an exercise anew. What you wrote is kept under .happyllm/backups/."""
    known = catalogue.load()
    place, exercise = one_exercise(target, known, folder)
    if stubs.is_stub(place, exercise):
        click.echo(say("reset_idle", lang, id=exercise.id))
        return
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(say("reset_refused", lang))
        if not click.confirm(say("reset_ask", lang, id=exercise.id)):
            return
    done = stubs.reset(place, exercise)
    click.echo(say("reset_done", lang, id=exercise.id))
    if done.backup is not None:
        click.echo(say("reset_kept", lang, file=done.backup))


@click.command()
@folder_option
@language_option
def update(folder: Path | None, lang: Language) -> None:
    """Bring the stubs of this version, after an upgrade. What you wrote is not touched."""
    known = catalogue.load()
    place = workspace.find(folder or Path(), known)
    done = stubs.update(place, known)
    for name in done.added:
        click.echo(say("added", lang, id=name))
    for name in done.renewed:
        click.echo(say("renewed", lang, id=name))
    for changed in done.changed:
        parts = ", ".join(changed.parts)
        said = say("changed_stub", lang, id=changed.exercise, parts=parts, put=changed.put)
        click.echo(said)
        for line in changed.lines:
            click.echo(f"    {clean(line)}")
    if not (done.added or done.renewed or done.changed):
        click.echo(say("up_to_date", lang, n=done.same, version=__version__))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes your shell complete commands and exercises.

    \b
    bash   happyllm-grade completion bash >> ~/.bashrc
    zsh    happyllm-grade completion zsh >> ~/.zshrc
    fish   happyllm-grade completion fish > ~/.config/fish/completions/happyllm-grade.fish
    """  # noqa: D301 - \b tells click to leave the lines that follow as they are
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = ctx.find_root()
    click.echo(kind(root.command, {}, "happyllm-grade", "_HAPPYLLM_GRADE_COMPLETE").source())


def _meant(
    target: str | None, known: Catalogue, folder: Path | None
) -> tuple[Workspace | None, Exercise]:
    """The exercise that is meant, named or not; a name needs no workspace."""
    if target is not None:
        try:
            return one_exercise(target, known, folder)
        except WorkspaceError:
            if folder is not None or target.endswith(".py"):
                raise
            return None, only(target, known.find(target))
    place = workspace.find(folder or Path(), known)
    last = Progress.of(place).last
    step = where.standing(place, known).next
    if step.row is not None:
        return place, step.row.exercise
    chosen = place.exercises(known)
    return place, next((e for e in chosen if e.id == last), chosen[0])
