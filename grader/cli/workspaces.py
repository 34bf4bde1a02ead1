"""`happyllm-grade list` and `happyllm-grade init`."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from grader import catalogue
from grader.catalogue import Language
from grader.learning import stubs, where, workspace
from grader.standing import Row, State

from .command import language_option
from .options import Target, plain_option, print_rich, wants_rich


@click.command("list")
@click.argument("targets", nargs=-1, metavar="[TARGET]…", type=Target())
@click.option("--todo", "filters", flag_value="todo", help="What is not solved yet.")
@click.option("--solved", "filters", flag_value="solved", help="What is solved.")
@click.option("--failing", "filters", flag_value="failing", help="What was tried, and failed.")
@click.option("--format", "form", type=click.Choice(["terminal", "plain", "json"]), default=None)
@plain_option
@language_option
def list_(
    targets: tuple[str, ...],
    filters: str | None,
    form: str | None,
    plain: bool,
    lang: Language,
) -> None:
    """List the exercises, and where you stand with each."""
    known = catalogue.load()
    asked = [e for e in known if not targets or any(e in known.find(t) for t in targets)]
    standing = None
    try:
        standing = where.standing(workspace.find(Path(), known), known)
    except workspace.WorkspaceError:
        if filters:
            raise
    states = {row.exercise.id: row for row in standing or ()}
    rows = [states.get(e.id, Row(e, State("untouched"))) for e in asked]
    rows = [row for row in rows if _passes(row, filters)]
    in_workspace = standing is not None
    if form is None:
        form = "terminal" if wants_rich(plain) else "plain"
    if form == "json":
        entries = [_entry(row, in_workspace) for row in rows]
        click.echo(json.dumps(entries, ensure_ascii=False, indent=2))
    elif form == "plain":
        from grader.render.learner import plain as plainly

        click.echo(plainly.table(rows, lang, in_workspace=in_workspace), nl=False)
    else:
        from grader.render.learner import terminal

        print_rich(terminal.table(rows, lang, in_workspace=in_workspace))


def _passes(row: Row, wanted: str | None) -> bool:
    if wanted == "todo":
        return not row.state.solved
    if wanted == "solved":
        return row.state.solved
    return wanted is None or row.state.name == "failing"


def _entry(row: Row, in_workspace: bool) -> dict[str, Any]:
    told = asdict(row.exercise)
    if in_workspace:
        told |= {"state": asdict(row.state), "waits_on": row.waits_on}
    return told


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--chapters", metavar="ch5,…", default="", help="Only these chapters.")
@language_option
def init(folder: Path, chapters: str, lang: Language) -> None:
    """Make a workspace in DIR: the stubs of every chapter. Files that are there stay."""
    known = catalogue.load()
    wanted = tuple(name.strip() for name in chapters.split(",") if name.strip())
    created = stubs.create(folder, known, wanted, lang)
    written = [name for name in created.written if name.endswith(".py")]
    kept = [name for name in created.kept if name.endswith(".py")]
    if lang == "zh":
        click.echo(f"{folder}：写入 {len(written)} 个题目文件，保留已有的 {len(kept)} 个。")
        click.echo("接下来：")
    else:
        click.echo(f"{folder}: {len(written)} exercises written, {len(kept)} files of yours kept.")
        click.echo("Next:")
    first = next(e for e in known if not wanted or e.chapter in wanted)
    if folder.resolve() != Path.cwd():
        click.echo(f"  cd {_quoted(folder)}")
    click.echo(f"  happyllm-grade {first.id}")


def _quoted(folder: Path) -> str:
    """A folder as it is typed in a shell."""
    return f'"{folder}"' if os.name == "nt" and " " in str(folder) else shlex.quote(str(folder))
