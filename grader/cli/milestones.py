"""`happyllm-grade milestone CHAPTER`."""

from __future__ import annotations

import click


@click.command()
def milestone() -> None:
    """Run a chapter's milestone on your own files alone."""
