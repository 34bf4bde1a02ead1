"""What GitHub Actions is told: annotations on the screen, a summary and outputs in files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from grader.catalogue import Language
from grader.report import Report


def running(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a step of a workflow on GitHub."""
    return environment.get("GITHUB_ACTIONS") == "true"


def tell(
    report: Report, root: Path, language: Language, environment: Mapping[str, str] = os.environ
) -> None:
    """Print annotations, and append to the files that GitHub names; without them, only print.

    Raises:
        click.UsageError: such a file cannot be written.
    """
    from grader.render import github

    folder = ""
    if repository := environment.get("GITHUB_WORKSPACE"):
        here, top = root.resolve(), Path(repository).resolve()
        folder = here.relative_to(top).as_posix() if here.is_relative_to(top) else ""
    click.echo(
        github.workflow_commands(report, language, "" if folder == "." else folder), nl=False
    )
    texts = {
        "GITHUB_STEP_SUMMARY": github.summary(report, language),
        "GITHUB_OUTPUT": github.outputs(report),
    }
    for name, text in texts.items():
        if not (file := environment.get(name)):
            continue
        try:
            with open(file, "a", encoding="utf-8") as out:
                out.write(text)
        except OSError as error:
            raise click.UsageError(f"{name}={file}: cannot be written: {error.strerror}") from error
