"""`happyllm-grade list` and `happyllm-grade init`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from grader import catalogue
from grader.catalogue import Exercise, Language
from grader.learning import workspace

from .command import language_option


@click.command("list")
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@click.option("--format", "form", type=click.Choice(["terminal", "plain", "json"]), default=None)
@language_option
def list_(targets: tuple[str, ...], form: str | None, lang: Language) -> None:
    """List the exercises: name, section, points, title."""
    known = catalogue.load()
    chosen = [e for e in known if not targets or any(e in known.find(t) for t in targets)]
    form = form or ("terminal" if sys.stdout.isatty() else "plain")
    if form == "json":
        click.echo(json.dumps([asdict(e) for e in chosen], ensure_ascii=False, indent=2))
    elif form == "plain":
        for exercise in chosen:
            title = exercise.title.in_(lang)
            click.echo(f"{exercise.id}\t{exercise.section}\t{exercise.points}\t{title}")
    else:
        _table(chosen, lang)


def _table(exercises: list[Exercise], lang: Language) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    heads = {
        "en": ("exercise", "section", "points", "title"),
        "zh": ("练习", "章节", "分数", "标题"),
    }
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head, justify in zip(heads[lang], ("left", "left", "right", "left"), strict=True):
        table.add_column(head, justify=justify)  # type: ignore[arg-type]
    for exercise in exercises:
        table.add_row(exercise.id, exercise.section, str(exercise.points), exercise.title.in_(lang))
    Console(highlight=False, markup=False, emoji=False).print(table)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--chapters", metavar="ch5,…", default="", help="Only these chapters.")
@language_option
def init(folder: Path, chapters: str, lang: Language) -> None:
    """Make a workspace in DIR: the stubs of every chapter. Files that are there stay."""
    known = catalogue.load()
    wanted = tuple(name.strip() for name in chapters.split(",") if name.strip())
    created = workspace.create(folder, known, wanted)
    stubs = [name for name in created.written if name.endswith(".py")]
    kept = [name for name in created.kept if name.endswith(".py")]
    if lang == "zh":
        click.echo(f"{folder}：写入 {len(stubs)} 个题目文件，保留已有的 {len(kept)} 个。")
        click.echo("接下来：")
    else:
        click.echo(f"{folder}: {len(stubs)} exercises written, {len(kept)} files of yours kept.")
        click.echo("Next:")
    first = next(iter(known))
    click.echo(f"  cd {folder}\n  happyllm-grade {first.id}")
