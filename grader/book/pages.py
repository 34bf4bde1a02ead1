"""A page of the book as its author wrote it: headings, code blocks and directives, by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

FENCE: Final = re.compile(r"^(?P<indent>[ \t]*)(?P<marks>`{3,}|~{3,})[ \t]*(?P<info>.*?)[ \t]*$")
DIRECTIVE: Final = re.compile(r"^!(?P<name>[a-z]+)(?:[ \t]+(?P<argument>\S+))?[ \t]*$")
_HEADING: Final = re.compile(r"^(?P<marks>#{1,6})[ \t]+(?P<text>.+?)[ \t]*#*$")
_ATTRIBUTES: Final = re.compile(r"[ \t]*\{:?[ \t]*(?P<inside>[^{}]*)\}$")
_PAIR: Final = re.compile(r"""(\w[\w-]*)=(?:"([^"]*)"|'([^']*)'|(\S+))""")
_COMMENT: Final = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True)
class Heading:
    """One heading; `id` is what its `{ #id }` says, or nothing."""

    line: int
    level: int
    text: str
    id: str


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its other classes, its attributes and its text."""

    line: int
    language: str
    classes: tuple[str, ...]
    attributes: dict[str, str]
    text: str


@dataclass(frozen=True)
class Directive:
    """One line such as `!exercise ch5/repeat_kv`."""

    line: int
    name: str
    argument: str


@dataclass(frozen=True)
class Page:
    """One Markdown file. `name` is its path below the language's folder, `ch5/5-1.md`."""

    name: str
    file: Path
    text: str

    @cached_property
    def _parts(self) -> tuple[list[tuple[int, str]], list[Block]]:
        return split(self.text)

    @property
    def lines(self) -> list[tuple[int, str]]:
        """What stands outside code blocks and comments, by line."""
        return self._parts[0]

    @property
    def blocks(self) -> list[Block]:
        return self._parts[1]

    @cached_property
    def headings(self) -> list[Heading]:
        return [found for line in self.lines if (found := heading(*line))]

    @cached_property
    def directives(self) -> list[Directive]:
        found = ((number, DIRECTIVE.match(line)) for number, line in self.lines)
        return [Directive(n, m["name"], m["argument"] or "") for n, m in found if m]

    @property
    def url(self) -> str:
        """Where the page lies on the site, `ch5/5-1.html`."""
        return f"{self.name.removesuffix('.md')}.html"


def read(folder: Path) -> tuple[Page, ...]:
    """Every page below the folder of a language, by name."""
    return tuple(
        Page(file.relative_to(folder).as_posix(), file, file.read_text(encoding="utf-8"))
        for file in sorted(folder.rglob("*.md"))
    )


def split(text: str) -> tuple[list[tuple[int, str]], list[Block]]:
    """Part the lines of a page from its fenced blocks; both know their line numbers."""
    lines: list[tuple[int, str]] = []
    blocks: list[Block] = []
    opened: re.Match[str] | None = None
    began, inside = 0, list[str]()
    # Comments give way to as many empty lines, but not where they stand in a block.
    for number, line in enumerate(_without_comments(text).split("\n"), start=1):
        fence = FENCE.match(line)
        if opened is None:
            if fence:
                opened, began, inside = fence, number, []
            else:
                lines.append((number, line))
        elif fence and not fence["info"] and fence["marks"].startswith(opened["marks"]):
            blocks.append(_block(began, opened["info"], inside))
            opened = None
        else:
            inside.append(line.removeprefix(opened["indent"]))
    if opened is not None:
        blocks.append(_block(began, opened["info"], inside))
    return lines, blocks


def _without_comments(text: str) -> str:
    fenced, kept = False, list[str]()
    out: list[str] = []

    def flush() -> None:
        blank = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), "\n".join(kept))
        if kept:
            out.extend(blank.split("\n"))
        kept.clear()

    marks = ""
    for line in text.split("\n"):
        fence = FENCE.match(line)
        if not fenced and fence:
            flush()
            fenced, marks = True, fence["marks"]
            out.append(line)
        elif fenced:
            out.append(line)
            if fence and not fence["info"] and fence["marks"].startswith(marks):
                fenced = False
        else:
            kept.append(line)
    flush()
    return "\n".join(out)


def heading(number: int, line: str) -> Heading | None:
    """The heading that a line is, if it is one."""
    match = _HEADING.match(line)
    if not match:
        return None
    text, identity = match["text"], ""
    if attributes := _ATTRIBUTES.search(text):
        text = text[: attributes.start()]
        ids = re.findall(r"#([\w-]+)", attributes["inside"])
        identity = ids[-1] if ids else ""
    return Heading(number, len(match["marks"]), text, identity)


def _block(line: int, info: str, inside: list[str]) -> Block:
    text = "".join(f"{one}\n" for one in inside)
    attributes = {m[1]: m[2] or m[3] or m[4] or "" for m in _PAIR.finditer(info)}
    words = _PAIR.sub("", info)
    braced = words.startswith("{")
    classes = re.findall(r"\.([\w-]+)", words) if braced else words.split()[:1]
    language, *others = classes or [""]
    return Block(line, language, tuple(others), attributes, text)


def anchored(pages: tuple[Page, ...]) -> dict[str, Page]:
    """The page on which each heading's id stands; of two, the first."""
    found: dict[str, Page] = {}
    for page in pages:
        for heading in page.headings:
            if heading.id:
                found.setdefault(heading.id, page)
    return found


def carded(pages: tuple[Page, ...]) -> dict[str, Page]:
    """The page on which the card of each exercise stands; of two, the first."""
    found: dict[str, Page] = {}
    for page in pages:
        for directive in page.directives:
            if directive.name == "exercise":
                found.setdefault(directive.argument, page)
    return found


def sections(page: Page) -> Iterator[tuple[str, Heading]]:
    """The numbered headings of a page: the number, and the heading."""
    for heading in page.headings:
        if number := re.match(r"(\d+(?:\.\d+)+)\s", heading.text):
            yield number[1], heading


def anchor(section: str) -> str:
    """The id of a section's heading: `s5-1-3-1`."""
    return f"s{section.replace('.', '-')}"


def card(exercise: str) -> str:
    """The id of an exercise's card: `ex-ch5-repeat_kv`."""
    return f"ex-{exercise.replace('/', '-')}"
