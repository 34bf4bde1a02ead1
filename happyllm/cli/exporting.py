"""`happyllm export`."""

from __future__ import annotations

from pathlib import Path

import click

from .options import model_options, model_path
from .words import tell


@click.command()
@model_options
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder to write.",
    show_default="export in the working folder",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    help="Of the weights.",
    show_default="float32",
)
def export(
    model: Path | None,
    stage: str | None,
    lang: str | None,
    device: str,
    to: Path | None,
    dtype: str,
) -> None:
    """Write a folder that transformers, vLLM and llama.cpp read.

    `AutoModelForCausalLM` and `AutoTokenizer` load it, with the same logits and the same ids.
    """
    import torch

    from happyllm.pipeline import export as exporting
    from happyllm.pipeline.assemble import find_run, read_weights, tokenizer_of

    run = find_run(model_path(model, lang), stage)
    folder = run.parent if run.is_file() else run
    config, weights = read_weights(run)
    target = to or folder.parent / "export"
    files = exporting.export(
        config,
        weights,
        tokenizer_of(run),
        target,
        chat=folder.name != "pretrain",
        dtype=getattr(torch, dtype),
    )
    for file in files:
        tell(f"{file}  {file.stat().st_size:,} bytes")
    tell(f'Load it: AutoModelForCausalLM.from_pretrained("{target}")')
