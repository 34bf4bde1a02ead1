"""The command group. Only what is asked for is imported, so that --help does not wait for torch."""

from __future__ import annotations

import importlib

import click

_COMMANDS = {
    "data": "corpus:data",
    "tokenizer": "corpus:tokenizer",
    "pretrain": "training:pretrain",
    "sft": "training:sft",
    "dpo": "training:dpo",
    "evaluate": "evaluation:evaluate",
    "generate": "writing:generate",
    "chat": "writing:chat",
    "export": "exporting:export",
}


class Commands(click.Group):
    """A group that imports a command when it is asked for."""

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[name].partition(":")
        found: click.Command = getattr(
            importlib.import_module(f".{module}", __package__), attribute
        )
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from happyllm import __version__

        click.echo(f"happyllm {__version__}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show it."
)
def command() -> None:
    """Train a language model from nothing, on this machine, and talk to it.

    \b
    happyllm pretrain --preset laptop   corpus, tokenizer, and a model that writes stories
    happyllm sft --preset laptop        teach it to answer
    happyllm chat                       ask it
    happyllm export                     a folder for transformers, vLLM, llama.cpp

    All of it lies in one folder, `./tinytales-en` if you name no other by --out. Chinese:
    --lang zh, in `./tinytales-zh`. The command itself speaks Chinese where the locale does, or
    HAPPYLLM_LANG=zh says so.

    Exit status: 0 done, 1 training failed, 2 a wrong command line or file, 3 a fault of happyllm
    itself, 130 stopped by Ctrl-C, 143 by SIGTERM (with a checkpoint; go on by --resume).
    """  # noqa: D301 - \b tells click to leave the lines that follow as they are
