"""Places on a page that the site's script fills: interactive pieces, and the reader's own notes."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Final

from grader.catalogue import Language, Text

WIDGETS: Final = Path("shared", "assets", "widgets")

NO_SCRIPT: Final = Text(
    "This figure is interactive: it needs JavaScript.", "这是一幅交互式插图，需要启用 JavaScript。"
)
NO_NOTES: Final = Text(
    "Here is a place for your notes: it needs JavaScript.", "这里可以写笔记，需要启用 JavaScript。"
)


def widget(name: str, language: Language, docs: Path) -> str:
    """The place of an interactive piece, and the style sheet that its script asks for."""
    return _place(name, NO_SCRIPT.in_(language), docs)


def notes(key: str, language: Language, docs: Path) -> str:
    """A field for the reader's own notes, kept in their browser under a key."""
    return _place("notes", NO_NOTES.in_(language), docs, key=key)


def _place(name: str, fallback: str, docs: Path, **data: str) -> str:
    if style := _style(docs.parent / WIDGETS / f"{name}.js"):
        data["css"] = style
    told = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    return (
        f'<div class="hl-widget" data-widget="{escape(name)}"{told}>'
        f"<noscript><p>{fallback}</p></noscript></div>"
    )


def _style(script: Path) -> str:
    """What the first line of a script says, `// css: widgets.css`."""
    if not script.is_file():  # the review of the book says so
        return ""
    with script.open(encoding="utf-8") as lines:
        found = re.match(r"//\s*css:\s*([\w.-]+)", lines.readline())
    return found[1] if found else ""
