"""`happyllm pretrain`, `happyllm sft`, `happyllm dpo`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .display import Display, display
from .errors import INTERRUPTED, TERMINATED
from .options import config_options, folder_option, parts_option, plain_option

# Flags for the settings that are changed most.
FLAGS = {
    "steps": ("run.total_steps", int, "Updates."),
    "batch_size": ("data.batch_size", int, "Rows of a batch."),
    "lr": ("optim.max_lr", float, "Highest learning rate; the lowest becomes a tenth of it."),
    "seed": ("run.seed", int, "Of the weights and of the order of the data."),
    "device": ("run.device", str, "cpu, cuda, …"),
    "threads": ("run.threads", int, "CPU threads."),
}


def training_options(function: Any) -> Any:
    """What the three commands share."""
    decorations: list[Any] = [config_options, folder_option, parts_option]
    for name, (path, kind, said) in FLAGS.items():
        option = f"--{name.replace('_', '-')}"
        decorations.append(click.option(option, type=kind, help=f"{said} (`{path}`)"))
    decorations += [
        click.option("--compile", "compiled", is_flag=True, help="Compile the model first."),
        click.option("--resume", is_flag=True, help="Go on with the run that was stopped."),
        click.option(
            "--skip-damaged", is_flag=True, help="With --resume: pass over a damaged checkpoint."
        ),
        click.option(
            "--processes",
            type=click.IntRange(min=1),
            default=1,
            help="Train with so many processes on this machine.",
            show_default="1",
        ),
        click.option(
            "--parallel",
            type=click.Choice(["ddp", "fsdp"]),
            default="ddp",
            help="How several processes share the model: whole in each, or shared out.",
            show_default="ddp",
        ),
        click.option("--tensorboard", is_flag=True, help="Write for TensorBoard too."),
        plain_option,
    ]
    for decorate in reversed(decorations):
        function = decorate(function)
    return function


def _base_option(function: Any) -> Any:
    return click.option(
        "--base",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The run or checkpoint to go on from.",
        show_default="the stage before",
    )(function)


@click.command()
@training_options
def pretrain(**given: Any) -> None:
    """Train a model on text, from nothing.

    Where there is no corpus or tokenizer in the folder yet, they are made first. Ctrl-C stops
    after the update under way, with a checkpoint.
    """
    _train("pretrain", given)


@click.command()
@training_options
@_base_option
def sft(**given: Any) -> None:
    """Teach the pretrained model to answer, on conversations.

    Only the words of the answers are learned. At the end held-out questions are asked.
    """
    _train("sft", given)


@click.command()
@training_options
@_base_option
def dpo(**given: Any) -> None:
    """Let the model prefer right answers to wrong ones, by pairs of them.

    The pairs come from TinyTales, or from a JSONL file named by `--set data.train=FILE` with
    `messages`, `chosen` and `rejected`.
    """
    _train("dpo", given)


def _train(stage: str, given: dict[str, Any]) -> None:
    from happyllm.pipeline.assemble import prepare
    from happyllm.pipeline.launch import in_a_group, launch
    from happyllm.pipeline.parts import OURS, load_parts
    from happyllm.pipeline.work import Request, Show, plan, work
    from happyllm.train.parallel import process_group

    settings = [f"{FLAGS[n][0]}={given[n]}" for n in FLAGS if given[n] is not None]
    if given["lr"] is not None:
        settings.append(f"optim.min_lr={given['lr'] / 10}")
    if given["compiled"]:
        settings.append("run.compile=true")
    request = Request(
        stage,
        given["out"],
        given["lang"],
        given["preset"],
        given["config_file"],
        (*settings, *given["settings"]),
        given["resume"],
        given["skip_damaged"],
        given.get("base"),
        given["tensorboard"],
    )
    pieces = load_parts(given["parts"]) if given["parts"] else OURS
    with process_group(given["parallel"]) as group:
        screen = display(given["plain"])
        planned = plan(request)
        if group.rank == 0:
            _tell_parts(screen, pieces)
            if not in_a_group():
                prepare(planned.folder, planned.config, stage, screen.note, pieces)
        group.wait()
        if given["processes"] > 1 and not in_a_group():
            raise click.exceptions.Exit(launch(given["processes"]))
        quiet = group.rank != 0
        show = Show() if quiet else Show(screen, screen.note, screen.sample, screen.start)
        try:
            outcome, found = work(planned, pieces, show, group)
        finally:
            screen.stop()
    if quiet:
        return
    if outcome.stopped_by:
        screen.note(
            f"Stopped after {outcome.step} updates by {outcome.stopped_by}; {outcome.checkpoint} "
            f"holds them. Go on: happyllm {stage} --resume{_folder(given)}"
        )
        by_ctrl_c = outcome.stopped_by == "SIGINT"
        raise click.exceptions.Exit(INTERRUPTED if by_ctrl_c else TERMINATED)
    _tell_report(screen, found)
    screen.note(f"The model: {outcome.checkpoint}")
    screen.note(f"Its losses: {planned.run / 'loss.svg'}")
    if stage == "pretrain":
        screen.note(f"Next: happyllm sft{_folder(given)}, or happyllm generate{_model(given)}")
    else:
        screen.note(f"Next: happyllm chat{_model(given)}")


def _folder(given: dict[str, Any]) -> str:
    if given["out"]:
        return f" --out {given['out']}"
    return f" --lang {given['lang']}" if given["lang"] else ""


def _model(given: dict[str, Any]) -> str:
    return f" {given['out']}" if given["out"] else _folder(given)


def _tell_parts(screen: Display, pieces: Any) -> None:
    if pieces.root is None:
        return
    screen.note(f"Yours, from {pieces.root}: {', '.join(pieces.theirs)}")
    for name, stub in pieces.waiting.items():
        screen.note(f"Ours: {name}, as {stub} is still a stub")
    missing = [name for name in pieces.found if name not in {*pieces.theirs, *pieces.waiting}]
    if missing:
        screen.note(f"Ours, as there is no such exercise in the workspace: {', '.join(missing)}")


def _tell_report(screen: Display, found: dict[str, Any]) -> None:
    from .evaluation import lines_of

    for line in lines_of(found):
        screen.note(line)
