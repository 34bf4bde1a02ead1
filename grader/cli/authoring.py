"""`happyllm-grade build`, for authors."""

from __future__ import annotations

import click

from grader import catalogue, shelf


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit 1 when a view is stale.")
@click.pass_context
def build(ctx: click.Context, check: bool) -> None:
    """Make exercises/ and solutions/ from the reference library."""
    from grader.authoring import views

    root = shelf.checkout()
    if root is None:
        raise click.UsageError(
            "build works in a checkout of the project's source; this is an install"
        )
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
