"""Addresses of a learner's files, which a terminal makes clickable."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

_LINES = ("vscode", "iTerm.app", "WezTerm")  # open a file at the line after the #; others refuse it


def to_files(
    root: Path, files: Iterable[str], environment: Mapping[str, str] = os.environ
) -> Callable[[str, int], str | None]:
    """What gives a line of one of the files its address.

    A name that is none of the files has no address: names in a report may be a learner's own words.

    Args:
        root: the workspace.
        files: paths in it.
        environment: tells which terminal this is.
    """
    known = {file: (root.absolute() / file).as_uri() for file in files}
    lines = environment.get("TERM_PROGRAM") in _LINES or "KITTY_WINDOW_ID" in environment

    def address(file: str, line: int) -> str | None:
        if file not in known:
            return None
        return f"{known[file]}#{line}" if lines and line else known[file]

    return address
