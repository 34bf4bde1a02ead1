"""A Python-Markdown extension: `!commands` becomes the reference of a command line.

`!commands happyllm` is that of the other command. It is made from the commands themselves. Their
help is English; `chinese.toml` beside this file says it in Chinese, by the English that it
translates, so that what has changed is seen to be missing.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from markdown import Markdown
from markdown.extensions import Extension

from grader.book.directives import LineDirectives
from grader.catalogue import Text
from grader.cli.command import command
from happyllm.cli.command import command as training

CHINESE: Final = Path(__file__).with_name("chinese.toml")
PROGRAMS: Final = {"happyllm-grade": command, "happyllm": training}
PROGRAM: Final = "happyllm-grade"  # where the directive names none
HEADS: Final = {
    "en": "| Option | What it does |\n|---|---|",
    "zh": "| 选项 | 作用 |\n|---|---|",
}
DEFAULT: Final = Text("default: {}", "默认：{}")


class Commands(Extension):
    """`!commands`, in one language."""

    def __init__(self, **options: Any):
        self.config = {"language": ["en", "en or zh"]}
        super().__init__(**options)

    def extendMarkdown(self, md: Markdown) -> None:
        words = None if self.getConfig("language") == "en" else chinese()
        directives = LineDirectives(
            {"commands": lambda name: reference(words, name.strip() or PROGRAM)}
        )
        md.preprocessors.register(directives, "happyllm_commands", 27.5)


def makeExtension(**options: Any) -> Extension:
    """What Python-Markdown calls."""
    return Commands(**options)


def chinese() -> Mapping[str, str]:
    """The Chinese of every help text, by the English."""
    said = tomllib.loads(CHINESE.read_text(encoding="utf-8"))["said"]
    return {one["en"].strip("\n"): one["zh"].strip("\n") for one in said}


def texts() -> Iterator[str]:
    """Every help text of the command lines that a reference shows."""
    for program in PROGRAMS:
        for _, one in _commands(program):
            yield _help(one)
            for parameter in one.params:
                if isinstance(parameter, click.Option) and not parameter.hidden:
                    yield parameter.help or ""
                    if isinstance(parameter.show_default, str):
                        yield parameter.show_default


def reference(words: Mapping[str, str] | None = None, program: str = PROGRAM) -> str:
    """The reference of a program as Markdown; `words` says it in another language."""
    language = "en" if words is None else "zh"

    def say(text: str) -> str:
        return (words or {}).get(text, text)

    parts = []
    for name, one in _commands(program):
        usage = " ".join((program, *filter(None, [name]), *_usage(one, program)))
        parts += [f"## `{name or program}` {{ #{name or 'usage'} }}", f"```text\n{usage}\n```"]
        parts.append(_paragraphs(say(_help(one))))
        rows = [_row(p, say, language) for p in one.params if isinstance(p, click.Option)]
        if rows:
            parts.append("\n".join([HEADS[language], *rows]))
    return "\n\n".join(parts)


def _commands(program: str) -> Iterator[tuple[str, click.Command]]:
    """The group itself, under no name, and each of its commands."""
    group = PROGRAMS[program]
    assert isinstance(group, click.Group)
    context = click.Context(group)
    yield "", group
    for name in group.list_commands(context):
        one = group.get_command(context, name)
        if one is not None and not one.hidden:
            yield name, one


def _usage(one: click.Command, program: str) -> list[str]:
    if isinstance(one, click.Group):
        return ["[TARGET]… [OPTIONS]"] if program == PROGRAM else ["COMMAND …"]
    context = click.Context(one)
    return [piece for piece in one.collect_usage_pieces(context) if piece]


def _help(one: click.Command) -> str:
    return inspect.cleandoc(one.help or "")


def _paragraphs(text: str) -> str:
    """A help text as Markdown; the lines after a backspace stay lines, as click has it."""
    out = []
    for paragraph in re.split(r"\n\s*\n", text):
        lines = paragraph.split("\n")
        if lines[0].strip() == "\b":
            out.append("```text\n" + "\n".join(lines[1:]) + "\n```")
        else:
            out.append(_escaped("\n".join(lines)))
    return "\n\n".join(out)


def _row(option: click.Option, say: Any, language: str) -> str:
    name = ", ".join(option.opts)
    if not option.is_flag:
        choices = getattr(option.type, "choices", None)
        name += f" {'|'.join(choices) if choices else option.make_metavar(click.Context(command))}"
    said = _escaped(say(option.help or ""))
    if isinstance(option.show_default, str):
        shown = _escaped(say(option.show_default))
        said += f" ({DEFAULT.in_('zh' if language == 'zh' else 'en').format(shown)})"
    return f"| <code>{_escaped(name)}</code> | {said} |"


def _escaped(text: str) -> str:
    """Help texts hold `code` and names in CAPITALS, and nothing else that Markdown reads."""
    return re.sub(r"([*_<>|\[\]])", lambda found: f"&#{ord(found[0])};", text)
