"""The book's outline, docs/outline.toml: which sections there are, and which stand on a page."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.catalogue import Text

OUTLINE = Path("docs", "outline.toml")
LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Outline:
    """The chapters and sections of the book, by their numbers."""

    chapters: Mapping[str, Text]
    sections: Mapping[str, Text]


def read(root: Path) -> Outline:
    """Read the outline under a root.

    Raises:
        OSError: it is not there.
        tomllib.TOMLDecodeError: it is no TOML.
    """
    table = tomllib.loads((root / OUTLINE).read_text(encoding="utf-8"))
    chapters = {entry["id"]: Text(entry["en"], entry["zh"]) for entry in table["chapter"]}
    sections = {
        section["number"]: Text(section["en"], section["zh"])
        for entry in table["chapter"]
        for section in entry["sections"]
    }
    return Outline(chapters, sections)


def anchor(section: str) -> str:
    """How a heading names its section: `{ #s5-1-3-1 }`."""
    return f"{{ #s{section.replace('.', '-')} }}"


def page(root: Path, language: str, section: str) -> Path | None:
    """The page of the book on which a section's heading stands, if there is one."""
    pattern = re.compile(rf"^#+ .*{re.escape(anchor(section))}\s*$", re.MULTILINE)
    for file in sorted((root / "docs" / language).rglob("*.md")):
        if pattern.search(file.read_text(encoding="utf-8")):
            return file
    return None
