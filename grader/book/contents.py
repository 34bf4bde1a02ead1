"""The outline of the whole book as Markdown: which sections stand, and which are to come."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from grader.authoring import outline as plan
from grader.book import pages
from grader.catalogue import Language, Text

SAID: Final = {
    "count": Text("{stand} of {all} sections stand today.", "全书 {all} 节，目前已有 {stand} 节。"),
    "coming": Text("to come", "待写"),
    "code": Text("code", "代码"),
}


def outline(language: Language, docs: Path) -> str:
    """All sections by chapter; those that stand are links."""
    book = plan.read(docs.parents[1])
    anchors = pages.anchored(pages.read(docs))
    said = {key: text.in_(language) for key, text in SAID.items()}
    standing = sum(pages.anchor(number) in anchors for number in book.sections)
    parts = [said["count"].format(stand=standing, all=len(book.sections))]
    for chapter, title in book.chapters.items():
        number = chapter.removeprefix("ch")
        head = title.in_(language)
        if number != "0":
            head = f"{number} {head}" if language == "en" else f"第 {number} 章 {head}"
        parts.append(f"## {head} {{ #outline-{chapter} }}")
        parts.append(
            "\n".join(
                _line(section, text.in_(language), anchors, said["coming"])
                for section, text in book.sections.items()
                if section.split(".")[0] == number
            )
        )
    return "\n\n".join(parts)


def _line(section: str, title: str, anchors: dict[str, pages.Page], coming: str) -> str:
    indent = "    " * (section.count(".") - 1)
    page = anchors.get(pages.anchor(section))
    if page:
        return f"{indent}- [{section} {title}](/{page.name}#{pages.anchor(section)})"
    return f'{indent}- {section} {title} <span class="hl-coming">{coming}</span>'
