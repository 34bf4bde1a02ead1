"""Pages of the book as plain Markdown, for places that show Markdown and have no site.

GitHub, GitLab and editors show headings, code, mathematics, mermaid and folded answers. What is the
site's own becomes what they know: a card is a paragraph, an answer is folded by HTML, and a link
that leads out of the chapter leads to the site, or is text.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from html import escape
from typing import Final

from grader import shelf
from grader.catalogue import Catalogue, Chapter, Exercise, Language, Text

from . import pages
from .pages import Page

FOLDER: Final = "book"
FIGURES: Final = "figures"

_TITLE: Final = re.compile(r"^(# .+)$", re.MULTILINE)
_FOLDED: Final = re.compile(r'^\?\?\?\+? \w+ "(?P<title>.*)"[ \t]*$')
_LINK: Final = re.compile(
    r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^()\s]+)\)"
)
_SAID: Final = {
    "about": Text(
        "The code here needs the book's own package, `happyllm`. Text and figures: CC BY 4.0, the "
        "Happy-LLM authors.",
        "这里的代码需要本书的包 `happyllm`。文字和插图：CC BY 4.0，Happy-LLM 作者。",
    ),
    "exercise": Text("Exercise", "练习"),
    "points": Text("{} points", "{} 分"),
    "run": Text("Fill in `{file}`, then run `{command}`.", "补全 `{file}`，然后运行 `{command}`。"),
    "widget": Text("An interactive figure stands here", "此处有一幅交互式插图"),
    "on_site": Text("on the book's site", "见本书网站"),
}


def leaves(
    chapter: Chapter, known: Catalogue, language: Language, site: str = ""
) -> dict[str, bytes]:
    """The pages of a chapter and their figures, by path.

    Args:
        chapter: whose pages.
        known: the exercises there are.
        language: of the pages.
        site: address of the book in this language; without one, what leads there is text.
    """
    docs = shelf.docs()
    about = f"*{_SAID['about'].in_(language)}*"
    mine = [page for page in pages.read(docs / language) if page.name.startswith(f"{chapter.id}/")]
    there = {one.name for one in mine}
    found: dict[str, bytes] = {}
    for page in mine:
        leaf = _Leaf(page, there, known, language, site.rstrip("/"))
        before, title, rest = _TITLE.split("\n".join(leaf.lines(page.text)), maxsplit=1)
        text = f"{before}{title}\n\n{about}{rest}"
        found[f"{FOLDER}/{posixpath.basename(page.name)}"] = text.encode()
        for figure in sorted(leaf.figures):
            data = docs.joinpath("shared", "assets", FIGURES, figure).read_bytes()
            found[f"{FOLDER}/{FIGURES}/{figure}"] = data
    return found


class _Leaf:
    """One page on its way."""

    def __init__(
        self, page: Page, there: set[str], known: Catalogue, language: Language, site: str
    ):
        self.page = page
        self.there = there
        self.known = known
        self.language = language
        self.site = site
        self.figures: set[str] = set()

    def lines(self, text: str) -> Iterator[str]:
        """The lines of a text as Markdown that needs nothing of ours."""
        raw = text.split("\n")
        plain, blocks = pages.split(text)
        outside, opened = dict(plain), {block.line: block for block in blocks}
        number = 1
        while number <= len(raw):
            line = outside.get(number)
            if line is None:
                block = opened.get(number)
                yield raw[number - 1] if block is None else self.fence(raw[number - 1], block)
            elif folded := _FOLDED.match(line):
                end = _end_of_indented(raw, number)
                inner = [one.removeprefix("    ") for one in raw[number:end]]
                yield from self.folded(folded["title"], "\n".join(inner).strip("\n"))
                number = end
            elif directive := pages.DIRECTIVE.match(line):
                yield from self.directive(directive["name"], directive["argument"] or "")
            else:
                yield self.line(line)
            number += 1

    def fence(self, line: str, block: pages.Block) -> str:
        """The line that opens a block of code, with its language alone."""
        found = pages.FENCE.match(line)
        assert found is not None
        return f"{found['indent']}{found['marks']}{block.language}"

    def folded(self, title: str, text: str) -> Iterator[str]:
        yield from (f"<details><summary>{_inline(title)}</summary>", "")
        yield from self.lines(text)
        yield from ("", "</details>")

    def directive(self, name: str, argument: str) -> Iterator[str]:
        if name == "exercise":
            yield from self.card(self.known[argument])
        elif name == "widget":
            said = _SAID["widget"].in_(self.language)
            if self.site:
                on_site = _SAID["on_site"].in_(self.language)
                said += f" ([{on_site}]({self.site}/{self.page.url}))"
            yield f"*{said}*"

    def card(self, exercise: Exercise) -> Iterator[str]:
        said = {key: text.in_(self.language) for key, text in _SAID.items()}
        title = exercise.title.in_(self.language)
        command = f"python -m pytest tests/test_{exercise.name}.py"
        yield f'<a id="{pages.card(exercise.id)}"></a>'
        yield ""
        yield f"> **{said['exercise']}: {title}** · {said['points'].format(exercise.points)}"
        yield ">"
        yield f"> {said['run'].format(file=exercise.file, command=command)}"

    def line(self, line: str) -> str:
        """A line of text: a heading's id becomes an anchor, and links lead to what there is."""
        line = _LINK.sub(self.link, line)
        heading = pages.heading(0, line)
        if heading is None or not heading.id:
            return line
        return f'<a id="{heading.id}"></a>\n\n{"#" * heading.level} {heading.text}'

    def link(self, found: re.Match[str]) -> str:
        path, mark, anchor = found["target"].partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return found[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(self.page.name), path))
        if found["image"]:
            name = posixpath.basename(place)
            self.figures.add(name)
            return f"![{found['text']}]({FIGURES}/{name})"
        if place in self.there:
            return f"[{found['text']}]({posixpath.basename(place)}{mark}{anchor})"
        if self.site:
            page = f"{place.removesuffix('.md')}.html" if place.endswith(".md") else place
            return f"[{found['text']}]({self.site}/{page}{mark}{anchor})"
        return found["text"]


def _end_of_indented(lines: list[str], start: int) -> int:
    """Where the indented lines end that begin at a place, blank lines among them."""
    end = start
    for number in range(start, len(lines)):
        if lines[number].strip():
            if not lines[number].startswith("    "):
                break
            end = number + 1
    return end


def _inline(title: str) -> str:
    """A title as HTML; of Markdown it holds code and emphasis at most."""
    text = escape(title.replace('\\"', '"'), quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    return re.sub(r"\*([^*]+)\*", r"<i>\1</i>", text)
