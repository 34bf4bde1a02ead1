"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .words import translated


def folder_option(function: Any) -> Any:
    """`--out DIR` and `--lang`."""
    for decorate in (
        click.option(
            "--lang",
            type=click.Choice(["en", "zh"]),
            help="Language of TinyTales.",
            show_default="en",
        ),
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="The working folder.",
            show_default="tinytales-en, or -zh",
        ),
    ):
        function = decorate(function)
    return function


def config_options(function: Any) -> Any:
    """`--preset`, `--config` and `--set`."""
    for decorate in (
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="TABLE.FIELD=VALUE",
            help="One setting, `optim.max_lr=1e-3`; wins over all else. May be given repeatedly.",
        ),
        click.option(
            "--config",
            "config_file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Settings as TOML, over those of the preset.",
        ),
        click.option(
            "--preset", metavar="NAME", help="Settings that come with happyllm: laptop, tiny."
        ),
    ):
        function = decorate(function)
    return function


def model_options(function: Any) -> Any:
    """Which model is read: `[MODEL]`, `--stage`, `--lang`, `--device`."""
    for decorate in (
        click.option("--device", default="auto", help="cpu, cuda, …", show_default="a GPU, if any"),
        click.option(
            "--lang", type=click.Choice(["en", "zh"]), help="Which of the folders, with no MODEL."
        ),
        click.option(
            "--stage",
            type=click.Choice(["pretrain", "sft", "dpo"]),
            help="Which run of a working folder.",
            show_default="the furthest",
        ),
        click.argument("model", required=False, type=click.Path(path_type=Path), metavar="[MODEL]"),
    ):
        function = decorate(function)
    return function


def parts_option(function: Any) -> Any:
    """`--parts DIR`."""
    return click.option(
        "--parts",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Your own files: a workspace with `ch5/*.py`. What is solved there takes the place of "
        "ours.",
    )(function)


def plain_option(function: Any) -> Any:
    """`--plain`."""
    return click.option(
        "--plain", is_flag=True, help="Plain lines, as in a pipe: no colour, no moving bar."
    )(function)


def default_folder(lang: str | None) -> Path:
    """The working folder where none is named."""
    return Path(f"tinytales-{lang or 'en'}")


def model_path(model: Path | None, lang: str | None) -> Path:
    """Where the model is: what was named, else the working folder that is there.

    Raises:
        click.UsageError: There is nothing.
    """
    if model is not None:
        if not model.exists():
            raise click.UsageError(translated(f"{model}: there is no such folder or checkpoint"))
        return model
    places = [default_folder(one) for one in ([lang] if lang else ["en", "zh"])]
    for place in places:
        if place.is_dir():
            return place
    names = " nor ".join(str(place) for place in places)
    raise click.UsageError(
        translated(
            f"there is no {names} here; name a MODEL, or train one by happyllm pretrain "
            "--preset laptop"
        )
    )
