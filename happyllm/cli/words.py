"""What the command says, in the reader's language.

Messages are written in English where they arise. For a reader of Chinese the finished sentence is
found again in `chinese.toml`, where `{0}`, `{1}`, … stand for what was put in; a sentence that is
not there stays as it is. So no layer below has to know of languages.
"""

from __future__ import annotations

import functools
import re
import tomllib
from importlib import resources
from typing import Any

import click

from happyllm.language import readers_language

_PLACE = re.compile(r"\{(\d+)\}")


def tell(text: str, **how: Any) -> None:
    """Say a message, as `click.echo` does."""
    click.echo(translated(text), **how)


def translated(text: str) -> str:
    """A message in the reader's language.

    Example:
        >>> translated("no such message: 3")
        'no such message: 3'
    """
    return in_chinese(text) if readers_language() == "zh" else text


def in_chinese(text: str) -> str:
    """A message in Chinese, with messages that stand inside it; as it is where it is not known.

    Example:
        >>> in_chinese("happyllm: t.json: there is no tokenizer; make one by happyllm tokenizer")
        'happyllm：t.json：没有分词器；用 happyllm tokenizer 生成'
    """
    for pattern, chinese in _catalogue():
        if found := pattern.fullmatch(text):
            parts = [in_chinese(part) if part != text else part for part in found.groups()]
            return chinese.format(*parts)
    return text


@functools.cache
def _catalogue() -> list[tuple[re.Pattern[str], str]]:
    """Each message as a pattern, with its Chinese; those that say most come first."""
    text = resources.files("happyllm.cli").joinpath("chinese.toml").read_text(encoding="utf-8")
    said = [(one["en"], one["zh"]) for one in tomllib.loads(text)["said"]]
    said.sort(key=lambda pair: -len(_PLACE.sub("", pair[0])))
    return [(_pattern(en), zh) for en, zh in said]


def _pattern(english: str) -> re.Pattern[str]:
    literals = _PLACE.split(english)[::2]
    return re.compile("(.*?)".join(map(re.escape, literals)), re.DOTALL)
