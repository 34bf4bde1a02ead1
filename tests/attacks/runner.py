"""What GitHub's runner takes for a command in what a step prints, after its published source."""

from __future__ import annotations

import re
from dataclasses import dataclass

_KNOWN = (
    *("add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group"),
    *("notice", "remove-matcher", "save-state", "set-env", "set-output", "stop-commands"),
    "warning",
)


@dataclass(frozen=True)
class Command:
    """A command that the runner obeys."""

    name: str
    properties: dict[str, str]
    data: str


def commands(output: str) -> list[Command]:
    """The commands in an output, line by line; none between a stop and its word."""
    found: list[Command] = []
    word = None
    for line in re.split(r"\r\n|\n|\r", output):
        if word is not None:
            if line.strip() == f"::{word}::":
                word = None
            continue
        command = _second_form(line) or _first_form(line)
        if command is None:
            continue
        if command.name == "stop-commands":
            word = command.data
        found.append(command)
    return found


def _second_form(line: str) -> Command | None:
    """`::name key=value,key=value::data`, where blanks may stand before it."""
    text = line.strip()
    if not text.startswith("::") or (end := text.find("::", 2)) < 0:
        return None
    name, _, rest = text[2:end].partition(" ")
    if name.lower() not in _KNOWN:
        return None
    data = text[end + 2 :]
    return Command(name.lower(), _properties(rest, ",", _value), _data(data))


def _first_form(line: str) -> Command | None:
    """`##[name key=value;key=value]data`, anywhere in a line."""
    if (start := line.find("##[")) < 0 or (end := line.find("]", start)) < 0:
        return None
    name, _, rest = line[start + 3 : end].partition(" ")
    if name.lower() not in _KNOWN:
        return None
    return Command(name.lower(), _properties(rest, ";", str), line[end + 1 :])


def _properties(text: str, apart: str, read: object) -> dict[str, str]:
    assert callable(read)
    pairs = [one.partition("=") for one in text.split(apart) if "=" in one]
    return {key.strip(): read(value) for key, _, value in pairs}


def _data(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def _value(text: str) -> str:
    return _data(text.replace("%3A", ":").replace("%2C", ","))
