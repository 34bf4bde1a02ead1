"""`happyllm-grade milestone CHAPTER`: the learner's own files, all together."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from grader import catalogue
from grader.achievement import Achievement, Progressed
from grader.catalogue import Catalogue, Exercise, Language, Milestone
from grader.learning import stubs, workspace
from grader.learning.progress import Progress
from grader.learning.workspace import Workspace
from grader.render.learner import plain as plainly
from grader.render.learner.words import say
from grader.sandbox.isolation import STRENGTHS, Isolation

from .command import language_option
from .options import Target, console, folder_option, note, plain_option, wants_rich


@click.command()
@click.argument("chapter", required=False, metavar="[CHAPTER]", type=Target())
@click.option("--seed", type=click.IntRange(min=0), help="Draw the first weights from this seed.")
@click.option(
    "--isolation",
    type=click.Choice(STRENGTHS),
    help="Demand this isolation, and fail where the machine does not give it.",
)
@folder_option
@plain_option
@language_option
@click.pass_context
def milestone(
    ctx: click.Context,
    chapter: str | None,
    seed: int | None,
    isolation: Isolation | None,
    folder: Path | None,
    plain: bool,
    lang: Language,
) -> None:
    """End a chapter: run your own files, all together.

    What is not solved yet, or has changed since, is graded first. Exit status: 0 reached, 1 not.
    """
    from grader import engine

    known = catalogue.load()
    goal = _meant(chapter, known, lang)
    place = workspace.find(folder or Path(), known)
    progress = Progress.of(place)
    needed = [known[name] for name in goal.requires]
    in_the_way = _in_the_way(needed, place, progress, isolation, rich=wants_rich(plain))
    if in_the_way:
        click.echo(say("in_the_way", lang))
        for exercise in in_the_way:
            click.echo(f"  happyllm-grade {exercise.id}   {exercise.title.in_(lang)}")
        note(progress.note, lang)
        ctx.exit(1)
    policy = engine.Policy(seed=seed, limits=engine.Limits(isolation=isolation))
    achieved = _play(goal, place, needed, policy, lang, plain)
    if achieved.failure is None or achieved.failure.kind != "fault":
        progress.record_milestone(goal.id, achieved.reached)
    note(progress.note, lang)
    ctx.exit(achieved.exit_code)


def _meant(chapter: str | None, known: Catalogue, lang: Language) -> Milestone:
    goals = [one.milestone for one in known.chapters if one.milestone is not None]
    if chapter is None and len(goals) == 1:
        return goals[0]
    if chapter is None:
        names = " ".join(goal.chapter for goal in goals)
        raise click.UsageError(f"name a chapter: {names}")
    name = known.find(chapter)[0].chapter
    for goal in goals:
        if goal.chapter == name:
            return goal
    raise click.UsageError(say("no_milestone", lang, chapter=name))


def _in_the_way(
    needed: list[Exercise],
    place: Workspace,
    progress: Progress,
    isolation: Isolation | None,
    *,
    rich: bool,
) -> list[Exercise]:
    """What is not solved. Stubs are seen at once; what is not known to pass is graded."""
    unwritten = [e for e in needed if not (place.root / e.file).exists() or stubs.is_stub(place, e)]
    if unwritten:
        return unwritten
    states = {e.id: progress.state(e) for e in needed}
    unsure = [e for e in needed if not states[e.id].solved or states[e.id].changed]
    if not unsure:
        return []
    from grader import engine

    policy = engine.Policy(limits=engine.Limits(isolation=isolation))
    sources = place.sources(unsure)
    if rich:
        with console().status(unsure[0].id, spinner="dots"):
            report = engine.grade(unsure, sources, policy)
    else:
        report = engine.grade(unsure, sources, policy)
    progress.record(report, sources)
    failed = {graded.id for graded in report.exercises if graded.outcome != "passed"}
    return [exercise for exercise in unsure if exercise.id in failed]


def _play(
    goal: Milestone,
    place: Workspace,
    needed: list[Exercise],
    policy: object,
    lang: Language,
    plain: bool,
) -> Achievement:
    from grader import engine

    assert isinstance(policy, engine.Policy)
    sources, title = place.sources(needed), goal.title.in_(lang)
    if not wants_rich(plain):
        achieved = engine.attempt(goal, sources, lang, policy)
        sys.stdout.write(plainly.milestone(achieved, title, lang))
        return achieved
    from grader.render.learner import terminal

    screen = console()
    with screen.status("", spinner="dots") as status:

        def show(so_far: Progressed) -> None:
            status.update(
                say(
                    "training",
                    lang,
                    n=so_far.characters,
                    step=so_far.step,
                    loss=f"{so_far.loss:.3f}",
                )
            )

        achieved = engine.attempt(goal, sources, lang, policy, on_progressed=show)
    screen.print(terminal.milestone(achieved, title, lang, screen.width))
    return achieved
