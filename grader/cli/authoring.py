"""`happyllm-grade build`, `check` and `new`, for authors."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from grader import catalogue, shelf

if TYPE_CHECKING:
    from grader.findings import Checked, Findings


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit 1 when a view is stale.")
@click.pass_context
def build(ctx: click.Context, check: bool) -> None:
    """Make exercises/ and solutions/ from the reference library."""
    from grader.authoring import views

    root = _checkout("build")
    known = catalogue.load()
    try:
        changes = views.stale(known, root) if check else views.write(known, root)
    except views.ViewError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}") from error
    for change in changes:
        click.echo(f"{change.path}: {change.reason}")
    if check and changes:
        click.echo(f"{len(changes)} files are stale; run `happyllm-grade build`.", err=True)
        ctx.exit(1)
    if not changes:
        click.echo("exercises/ and solutions/ are up to date.")


@click.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@click.option("--all", "anew", is_flag=True, help="Prove all anew, not only what has changed.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("terminal", "plain", "json")),
    default=None,
    show_default="terminal, or plain where the output is no terminal",
    help="How to show the findings.",
)
@click.option("--no-cache", is_flag=True, help="Neither use nor keep proofs.")
@click.option(
    "--cache",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where proofs are kept, in place of your cache folder.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=(os.cpu_count() or 1) + 1,  # a judge waits while its worker is at work
    show_default="one more than there are processors",
    help="How many judges work at once.",
)
@click.pass_context
def check(
    ctx: click.Context,
    targets: tuple[str, ...],
    anew: bool,
    form: str | None,
    no_cache: bool,
    folder: Path | None,
    jobs: int,
) -> None:
    """Say whether exercises are sound: whether wrong answers fail and right ones pass.

    Without a TARGET every exercise is checked. Only what has changed since the last check is proven
    again; --all proves everything. Exit status: 0 all sound, 1 something is not.
    """
    from grader.authoring import proof, soundness
    from grader.authoring.provers import ProverFault
    from grader.engine import EngineFault
    from grader.findings import Findings

    root = _checkout("check")
    tree = soundness.Tree(root, catalogue.SUITES)
    known, problems = soundness.check_tree(tree)
    if known is None:
        findings = Findings((), problems)
    else:
        chosen = [e for e in known if not targets or any(e in known.find(t) for t in targets)]
        kept = proof.Cache(folder) if folder is not None else proof.default_cache()
        try:
            findings = soundness.check(
                chosen,
                known,
                tree,
                cache=None if no_cache else kept,
                anew=anew,
                jobs=jobs,
                on_checked=_note,
            )
        except ProverFault as fault:
            raise EngineFault(str(fault)) from fault
    form = form or ("terminal" if sys.stdout.isatty() else "plain")
    _show(findings, form)
    ctx.exit(findings.exit_code)


@click.command()
@click.argument("exercise", metavar="CHAPTER/NAME")
@click.option("--section", metavar="5.1.x", help="The section of the book.")
@click.option(
    "--object", "objects", metavar="MODULE:NAME", multiple=True, help="happyllm.llama.x:name"
)
def new(exercise: str, section: str | None, objects: tuple[str, ...]) -> None:
    """Begin an exercise: its lines in chapter.toml, its suite, section and oracle test.

    Nothing that is there is overwritten. `happyllm-grade check CHAPTER/NAME` then says, step by
    step, what is left to do.
    """
    from grader.authoring import skeleton

    root = _checkout("new")
    try:
        done = skeleton.begin(exercise, root, catalogue.SUITES, section=section, objects=objects)
    except skeleton.SkeletonError as error:
        raise click.UsageError(str(error)) from error
    for path in done.written:
        click.echo(f"written: {path}")
    for path in done.kept:
        click.echo(f"kept as it is: {path}")
    click.echo(f"Next: happyllm-grade check {exercise}")


def _checkout(command: str) -> Path:
    root = shelf.checkout()
    if root is None:
        raise click.UsageError(
            f"{command} works in a checkout of the project's source; this is an install"
        )
    return root


def _note(checked: Checked) -> None:
    """Progress, for who waits."""
    if not checked.cached:
        verdict = "sound" if checked.sound else "UNSOUND"
        click.echo(f"{checked.id}: {verdict}", err=True)


def _show(findings: Findings, form: str) -> None:
    if form == "json":
        click.echo(findings.to_json())
        return
    from grader.render import soundness

    if form == "plain":
        click.echo(soundness.plain(findings), nl=False)
        return
    from rich.console import Console

    Console(highlight=False, markup=False, emoji=False).print(soundness.terminal(findings))
