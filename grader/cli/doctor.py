"""`happyllm-grade doctor`: what this machine gives, and why not more."""

from __future__ import annotations

from pathlib import Path

import click

from grader import catalogue
from grader.learning import workspace


@click.command()
def doctor() -> None:
    """Say what this machine gives: versions, isolation, and why not a stronger one."""
    import platform
    from importlib import metadata

    from grader import engine
    from happyllm import __version__

    known = catalogue.load()
    count = sum(1 for _ in known)
    click.echo(f"happyllm   {__version__}, {count} exercises")
    click.echo(
        f"python     {platform.python_version()} on {platform.system()} {platform.release()}"
    )
    click.echo(f"torch      {metadata.version('torch')}")
    try:
        click.echo(f"workspace  {workspace.find(Path(), known).root}")
    except workspace.WorkspaceError:
        click.echo("workspace  none here; `happyllm-grade init DIR` makes one")
    offers = engine.examine()
    click.echo("isolation, strongest first:")
    for offer in offers:
        click.echo(f"  {'no ' if offer.refused else 'yes'} {offer.isolation}")
        if offer.refused:
            click.echo(f"      {offer.refused}")
    missing = engine.no_filter()
    click.echo(f"system calls are {'not ' if missing else ''}filtered, in each of them")
    if missing:
        click.echo(f"      {missing}")
    best = next((offer.isolation for offer in offers if not offer.refused), "process")
    click.echo(f"Code is graded under {best}; `--isolation NAME` demands one.")
