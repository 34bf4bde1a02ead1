"""The command group. A first word that is no command is a target to grade."""

from __future__ import annotations

import importlib
from typing import Any

import click
from click.shell_completion import CompletionItem

from happyllm.language import readers_language


class Grade(click.Group):
    """A group whose default command is `grade`, and `status` where nothing is to be graded."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if _asks_where(args):
            if not ctx.resilient_parsing:  # a shell that completes the first word
                args = ["status", *args]
        elif args[0] not in self.list_commands(ctx) and args[0] not in _GROUP_OPTIONS:
            args = ["grade", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from .options import targets

        return [*super().shell_complete(ctx, incomplete), *targets(incomplete)]

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[TARGET]… [OPTIONS]")
        formatter.write_usage(ctx.command_path, "COMMAND …", prefix="       ")

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[name].partition(":")  # only what is asked for is imported
        found: click.Command = getattr(
            importlib.import_module(f".{module}", __package__), attribute
        )
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)


_COMMANDS = {
    "status": "learning:status",
    "grade": "grading:grade",
    "watch": "watch:watch",
    "hint": "learning:hint",
    "solution": "learning:solution",
    "milestone": "milestones:milestone",
    "list": "workspaces:list_",
    "init": "workspaces:init",
    "reset": "learning:reset",
    "update": "learning:update",
    "release": "release:release",
    "class": "classroom:class_",
    "regrade": "classroom:regrade",
    "verify": "classroom:verify",
    "similar": "likeness:similar",
    "docs": "site:docs",
    "demo": "grading:demo",
    "completion": "learning:completion",
    "doctor": "doctor:doctor",
    "build": "authoring:build",
    "check": "authoring:check",
    "new": "authoring:new",
}
_GROUP_OPTIONS = ("--help", "-h", "--version")


def _asks_where(args: list[str]) -> bool:
    """Whether there is nothing but what `status` takes."""
    left = iter(args)
    for word in left:
        name = word.partition("=")[0]
        if name in ("--lang", "--workspace"):
            if name == word:
                next(left, None)
        elif word != "--plain":
            return False
    return True


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from happyllm import __version__

        click.echo(f"happyllm-grade {__version__}")
        ctx.exit()


@click.group(cls=Grade, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show it."
)
def command() -> None:
    """Grade the exercises of Happy-LLM, and say which mistake it is.

    TARGET is a chapter (ch5), an exercise (ch5/repeat_kv), a section (5.1.3.1) or a file
    (ch5/repeat_kv.py); `all` is everything in the workspace.

    \b
    happyllm-grade demo             see what it does
    happyllm-grade init my-llm      make a workspace, then: cd my-llm
    happyllm-grade                  where you are, and what is next
    happyllm-grade ch5/repeat_kv    grade one exercise
    happyllm-grade watch            grade whatever you save
    happyllm-grade hint             when you are stuck

    Exit status: 0 all passed, 1 something did not, 2 a wrong command line or file, 3 a fault of
    the grader itself, 130 stopped by Ctrl-C.
    """  # noqa: D301 - \b tells click to leave the lines that follow as they are


def language_option(function: Any) -> Any:
    """`--lang`, else HAPPYLLM_LANG, else the locale."""
    return click.option(
        "--lang",
        type=click.Choice(["en", "zh"]),
        default=readers_language,
        show_default="HAPPYLLM_LANG or the locale",
        help="Language of the report.",
    )(function)
