"""Options and arguments that several commands share, and how they write to a terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from grader import catalogue
from grader.catalogue import Catalogue, Exercise, Language
from grader.learning import workspace
from grader.learning.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


class Target(click.ParamType):
    """A chapter, an exercise, a section or a file; the shell completes the first three."""

    name = "target"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter | None, incomplete: str
    ) -> list[CompletionItem]:
        return targets(incomplete)


def targets(incomplete: str) -> list[CompletionItem]:
    """What may stand where a target is begun."""
    found: dict[str, str] = {}
    try:
        known = catalogue.load()
    except catalogue.CatalogueError:
        return []
    for chapter in known.chapters:
        found[chapter.id] = chapter.title.en
        for exercise in chapter.exercises:
            found[exercise.id] = exercise.title.en
            if incomplete[:1].isdigit():
                found.setdefault(exercise.section, exercise.title.en)
            elif incomplete and not incomplete.startswith(chapter.id):
                found[exercise.name] = exercise.title.en
    return [CompletionItem(n, help=h) for n, h in found.items() if n.startswith(incomplete)]


def folder_option(function: Any) -> Any:
    """`--workspace DIR`."""
    return click.option(
        "--workspace", "folder", type=click.Path(path_type=Path), help="Where your files lie."
    )(function)


def plain_option(function: Any) -> Any:
    """`--plain`."""
    return click.option(
        "--plain", is_flag=True, help="Plain lines, as in a pipe: no colour, no boxes."
    )(function)


def one_exercise(target: str, known: Catalogue, folder: Path | None) -> tuple[Workspace, Exercise]:
    """The one exercise that a target names, and the workspace that it lies in.

    Raises:
        click.UsageError: it names several.
        UnknownTarget: it names none.
        WorkspaceError: there is no workspace.
    """
    place, found = workspace.aim((target,), known, folder)
    return place, only(target, found)


def only(target: str, found: tuple[Exercise, ...]) -> Exercise:
    """The exercise, if it is one.

    Raises:
        click.UsageError: there are several.
    """
    if len(found) != 1:
        names = ", ".join(exercise.id for exercise in found[:4])
        raise click.UsageError(f"{target} names {len(found)} exercises ({names}, …); name one")
    return found[0]


def note(said: catalogue.Text | None, lang: Language) -> None:
    """A line about progress that cannot be kept; nothing else changes by it."""
    if said is not None:
        click.echo(f"happyllm-grade: {said.in_(lang)}", err=True)


def wants_rich(plain: bool) -> bool:
    """Whether to write for a terminal."""
    return not plain and sys.stdout.isatty()


def console(**more: Any) -> Console:
    """A console that shows text as it is: no markup, no guessed colours."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, soft_wrap=False, **more)


def print_rich(what: RenderableType) -> None:
    """Write something for a terminal."""
    console().print(what)
