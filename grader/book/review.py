"""The review of the book: rules for its pages, in both languages, and for the built site.

Each rule yields problems that name the file, the line and the fix. The first groups read the pages
as they were written, the last one the site as it was built.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from grader.authoring import outline as plan
from grader.book import pages
from grader.book.pages import Block, Page
from grader.book.pieces import WIDGETS
from grader.catalogue import Language

ASSETS: Final = Path("shared", "assets")


@dataclass(frozen=True)
class Problem:
    """What is wrong, where, and what to do about it."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


Found = Iterator[Problem]


# ---- the two languages say the same


def parity(docs: Path) -> Found:
    """Each page stands in both languages: same headings, code, formulas, images and directives."""
    english = {page.name: page for page in pages.read(docs / "en")}
    chinese = {page.name: page for page in pages.read(docs / "zh")}
    for name in sorted(english.keys() ^ chinese.keys()):
        here, there = ("en", "zh") if name in english else ("zh", "en")
        yield Problem(f"docs/{here}/{name}", f"has no docs/{there}/{name}; write it")
    for name in sorted(english.keys() & chinese.keys()):
        for what, parts in _COMPARED.items():
            yield from _compare(name, what, parts(english[name]), parts(chinese[name]))


Parts = list[tuple[int, str]]


def _compare(name: str, what: str, english: Parts, chinese: Parts) -> Found:
    for (_, one), (line, other) in zip(english, chinese, strict=False):
        if one != other:
            yield Problem(
                f"docs/zh/{name}:{line}", f"{what} {other!r}, where the English page has {one!r}"
            )
            return
    if len(english) != len(chinese):
        side, longer = ("en", english) if len(english) > len(chinese) else ("zh", chinese)
        line, extra = longer[min(len(english), len(chinese))]
        yield Problem(
            f"docs/{side}/{name}:{line}", f"{what} {extra!r} is not in the other language"
        )


def _headings(page: Page) -> Parts:
    return [(h.line, f"{'#' * h.level} {{ #{h.id} }}") for h in page.headings if h.level > 1]


def _code(page: Page) -> Parts:
    return [
        (b.line, f"{b.language} {'.'.join(b.classes)}\n{_bare(b)}")
        for b in page.blocks
        if b.language not in ("mermaid", "console") and "output" not in b.classes
    ]


def _outputs(page: Page) -> Parts:
    return [(b.line, b.text) for b in page.blocks if "output" in b.classes]


def _commands(page: Page) -> Parts:
    return [
        (b.line, line)
        for b in page.blocks
        if b.language == "console"
        for line in b.text.splitlines()
        if line.startswith("$ ")
    ]


def _formulas(page: Page) -> Parts:
    # \text{…} may be translated; the order within a paragraph is the language's own.
    found = Counter(
        re.sub(r"\\text\{[^}]*\}", r"\\text{}", " ".join(formula.split()))
        for _, formula in formulas(page)
    )
    return [(1, f"{formula} ×{times}") for formula, times in sorted(found.items())]


def _images(page: Page) -> Parts:
    return [(line, re.sub(r"\.(en|zh)\.svg", ".svg", target)) for line, target, _ in images(page)]


def _directives(page: Page) -> Parts:
    return [(d.line, f"!{d.name} {d.argument}") for d in page.directives]


_COMPARED: Final = {
    "the heading": _headings,
    "the code": _code,
    "the output": _outputs,
    "the command": _commands,
    "the formula": _formulas,
    "the image": _images,
    "the directive": _directives,
}


def formulas(page: Page) -> Iterator[tuple[int, str]]:
    """The formulas between dollar signs, with their lines; not those in `code`."""
    text = "\n".join(_blanked(page.lines))
    pattern = r"(?<![\\$])\$\$(.+?)\$\$|(?<![\\$])\$(?![\s$])([^$\n]+?)(?<![\s\\])\$(?!\d)"
    for match in re.finditer(pattern, text, flags=re.DOTALL):
        yield text.count("\n", 0, match.start()) + 1, match[1] or match[2]


def images(page: Page) -> Iterator[tuple[int, str, str]]:
    """The images of a page: line, target, alternative text."""
    for line, text in page.lines:
        for match in re.finditer(r"!\[([^\]]*)\]\(([^)\s]+)[^)]*\)", text):
            yield line, match[2], match[1]


def _blanked(lines: Iterable[tuple[int, str]]) -> list[str]:
    """The lines at their places, with inline code blanked."""
    numbered = dict(lines)
    last = max(numbered, default=0)
    return [re.sub(r"(`+)(?!`).+?\1", "", numbered.get(n, "")) for n in range(1, last + 1)]


def _bare(block: Block) -> str:
    """Code without comments; Python's by its tokens, and other code by its lines."""
    if block.language != "python":
        lines = (re.sub(r"(^|\s)#.*$", "", line).rstrip() for line in block.text.splitlines())
        return "\n".join(line for line in lines if line)
    try:
        tokens = tokenize.generate_tokens(io.StringIO(block.text).readline)
        kept = [
            (one.type, one.string)
            for one in tokens
            if one.type not in (tokenize.COMMENT, tokenize.NL)
        ]
    except (tokenize.TokenError, SyntaxError):
        return block.text
    return " ".join(string for _, string in kept if string.strip())


# ---- a page keeps the rules of the house


def headings(docs: Path) -> Found:
    """Each heading from h2 down has an id of its own, and no level is left out."""
    for where, page in _all(docs):
        seen: dict[str, int] = {}
        last = 0
        for heading in page.headings:
            place = f"{where}:{heading.line}"
            if heading.level > 1 and not heading.id:
                yield Problem(place, f"'{heading.text}' has no id; add {{ #… }}")
            if heading.id in seen and heading.id:
                yield Problem(place, f"the id '{heading.id}' is that of line {seen[heading.id]}")
            seen.setdefault(heading.id, heading.line)
            if last and heading.level > last + 1:
                yield Problem(place, f"h{heading.level} follows h{last}; leave no level out")
            last = heading.level
        if [h.level for h in page.headings].count(1) != 1:
            yield Problem(where, "a page has one h1, its title")


def sections(docs: Path) -> Found:
    """Where a chapter's part has a page, each of its sections stands there, titled as planned."""
    book = plan.read(docs.parent)
    for language in plan.LANGUAGES:
        for page in pages.read(docs / language):
            part = _part(page.name)
            if part is None:
                continue
            where = f"docs/{language}/{page.name}"
            found = dict(pages.sections(page))
            due = {n: t for n, t in book.sections.items() if n == part or n.startswith(f"{part}.")}
            for number in found.keys() - due.keys():
                line = found[number].line
                yield Problem(f"{where}:{line}", f"docs/outline.toml has no section {number} here")
            for number, title in due.items():
                if number not in found:
                    yield Problem(where, f"section {number} is missing; docs/outline.toml has it")
                    continue
                heading, wanted = found[number], f"{number} {title.in_(_language(language))}"
                place = f"{where}:{heading.line}"
                if heading.text.replace("`", "") != wanted:
                    yield Problem(place, f"is '{heading.text}'; docs/outline.toml says '{wanted}'")
                if heading.id != pages.anchor(number):
                    yield Problem(place, f"has the id '{heading.id}', not '{pages.anchor(number)}'")
            order = [n for n in found if n in due]
            if order != [n for n in due if n in found]:
                yield Problem(where, "its sections are not in the order of docs/outline.toml")


def _part(name: str) -> str | None:
    """What a page holds: `5.1` for ch5/5-1.md, `0` for ch0.md, nothing for others."""
    if match := re.fullmatch(r"ch(\d+)/(\d+)-(\d+)\.md", name):
        return f"{match[2]}.{match[3]}" if match[1] == match[2] else None
    match = re.fullmatch(r"ch(\d+)\.md", name)
    return match[1] if match else None


def cards(docs: Path, exercises: Mapping[str, str]) -> Found:
    """Each exercise whose section stands has its card there, once; `exercises` gives sections."""
    for language in plan.LANGUAGES:
        book = pages.read(docs / language)
        anchors = pages.anchored(book)
        placed: dict[str, str] = {}
        for page in book:
            current = ""
            numbered = {heading.line: number for number, heading in pages.sections(page)}
            parts = sorted([*numbered, *(d.line for d in page.directives)])
            told = {d.line: d for d in page.directives}
            for line in parts:
                current = numbered.get(line, current)
                if line not in told or told[line].name != "exercise":
                    continue
                name, where = told[line].argument, f"docs/{language}/{page.name}:{line}"
                if name not in exercises:
                    yield Problem(where, f"there is no exercise '{name}'")
                elif name in placed:
                    yield Problem(where, f"{name} has its card in {placed[name]} already")
                elif exercises[name] != current:
                    yield Problem(where, f"{name} belongs to section {exercises[name]}")
                placed.setdefault(name, where)
        for name, section in exercises.items():
            page_of = anchors.get(pages.anchor(section))
            if page_of and name not in placed:
                where = f"docs/{language}/{page_of.name}"
                yield Problem(where, f"section {section} lacks the line `!exercise {name}`")


def blocks(docs: Path) -> Found:
    """Blocks that are not run say so, those that print are followed by their output."""
    for where, page in _all(docs):
        before: Block | None = None
        for block in page.blocks:
            place = f"{where}:{block.line}"
            if "not-run" in block.classes and "title" not in block.attributes:
                yield Problem(place, 'tells the reader nothing: add title="Not run here: …"')
            if "file" in block.classes and "title" not in block.attributes:
                yield Problem(place, 'which file is it? add title="ch5/name.py"')
            if "output" in block.classes and (before is None or before.language != "python"):
                yield Problem(place, "an output belongs directly after a Python block")
            if block.language == "python":
                try:
                    ast.parse(block.text)
                except SyntaxError as error:
                    line = block.line + (error.lineno or 1)
                    yield Problem(f"{where}:{line}", f"is no Python: {error.msg}")
            before = block


def described(docs: Path) -> Found:
    """Each image says in words what is to be seen."""
    for where, page in _all(docs):
        for line, target, words in images(page):
            if len(words.strip()) < 8:
                yield Problem(f"{where}:{line}", f"{target} needs a text that says what it shows")


def widgets(docs: Path) -> Found:
    """Each interactive piece that a page asks for is there, and each that is there is asked for."""
    asked = set()
    for where, page in _all(docs):
        for directive in page.directives:
            if directive.name not in ("widget", "notes"):
                continue
            name = "notes" if directive.name == "notes" else directive.argument
            asked.add(name)
            file = docs / WIDGETS / f"{name}.js"
            if not file.is_file():
                yield Problem(f"{where}:{directive.line}", f"there is no {file.relative_to(docs)}")
    for file in sorted((docs / WIDGETS).glob("*.js")):
        if file.stem not in asked:
            yield Problem(f"docs/{file.relative_to(docs)}", "no page has it; take it out")


def translated(docs: Path) -> Found:
    """No English prose is left in the Chinese pages, and no Chinese in the English ones."""
    for page in pages.read(docs / "zh"):
        for line, text in enumerate(_blanked(page.lines), start=1):
            if run := english_run(text):
                yield Problem(f"docs/zh/{page.name}:{line}", f"is not in Chinese: '{run[:60]}'")
    for page in pages.read(docs / "en"):
        for line, text in enumerate(_blanked(page.lines), start=1):
            text = re.sub(r"\[[^\]]*\]\([^)]*\)", "", text)  # a link may lead to the other language
            if chinese := re.search(r"[\u4e00-\u9fff]{2,}", text):
                yield Problem(f"docs/en/{page.name}:{line}", f"is not in English: '{chinese[0]}'")


_WORDS: Final = re.compile(r"[A-Za-z][A-Za-z'’-]*(?:[ ,;:]+[A-Za-z][A-Za-z'’-]*){5,}")
_COMMON: Final = frozenset(
    (
        *("a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "in", "is"),
        *("it", "of", "on", "or", "that", "the", "this", "to", "which", "with", "you"),
    )
)


def english_run(text: str) -> str:
    """The first run of six or more English words that read as a sentence, or nothing.

    Names of papers stay in English, so what stands in quotes is left out; links and formulas too.
    """
    for pattern in (
        r'["“《*].*?["”》*]',
        r"\]\([^)]*\)",
        r"\$[^$]*\$",
        r"<[^>]*>",
        r"^:::.*",
        r"^ +options:.*",
    ):
        text = re.sub(pattern, " · ", text)
    for match in _WORDS.finditer(text):
        words = re.findall(r"[A-Za-z']+", match[0].lower())
        if sum(word in _COMMON for word in words) >= 2:
            return match[0]
    return ""


def orphans(docs: Path) -> Found:
    """Each figure is shown on a page of its language; each picture beside the pages too."""
    shown = {
        "en": _shown(docs / "en"),
        "zh": _shown(docs / "zh"),
    }
    for file in sorted((docs / ASSETS / "figures").glob("*")):
        name = file.name
        told = re.search(r"\.(en|zh)\.\w+$", name)
        for language in [told[1]] if told else plan.LANGUAGES:
            if f"assets/figures/{name}" not in shown[language]:
                yield Problem(
                    f"docs/{ASSETS}/figures/{name}", f"no page of docs/{language} shows it"
                )
    for language in plan.LANGUAGES:
        for file in sorted((docs / language).rglob("*")):
            if file.is_file() and file.suffix != ".md":
                yield Problem(
                    f"docs/{file.relative_to(docs)}",
                    f"only pages belong here; what they show belongs into docs/{ASSETS}",
                )


def _shown(folder: Path) -> set[str]:
    found = set()
    for page in pages.read(folder):
        for target in re.findall(r"assets/[\w./-]+", page.text):
            found.add(target)
    return found


# ---- the site as it was built


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.links: list[tuple[int, str, str]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if value is None:
                continue
            if name == "id" or (name == "name" and tag == "a"):
                self.ids[value] += name == "id"
            elif name in ("href", "src", "poster") or (name == "data" and tag == "object"):
                self.links.append((self.getpos()[0], tag, value))


def dead_links(site: Path) -> Found:
    """Each link, script, style and image leads to a file, and each anchor to an id."""
    read: dict[Path, _Links] = {}

    def links(file: Path) -> _Links:
        if file not in read:
            parser = _Links()
            parser.feed(file.read_text(encoding="utf-8"))
            read[file] = parser
        return read[file]

    for file in sorted(site.rglob("*.html")):
        where = file.relative_to(site).as_posix()
        for name, times in links(file).ids.items():
            if times > 1:
                yield Problem(where, f"the id '{name}' is there {times} times")
        for line, tag, target in links(file).links:
            place = f"{where}:{line}"
            parts = urlsplit(target)
            if parts.scheme in ("http", "https") or target.startswith("//"):
                if tag not in ("a",):
                    yield Problem(place, f"loads {target} from another machine")
                continue
            if parts.scheme:
                continue
            # The page for what was not found may be shown at any depth, so its links begin at /.
            base = site if parts.path.startswith("/") else file.parent
            path = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else file
            if path.is_dir():
                path /= "index.html"
            if not path.is_file():
                yield Problem(place, f"leads to {target}, which is not there")
            elif parts.fragment and path.suffix == ".html":
                anchor = unquote(parts.fragment)
                if anchor not in links(path).ids and not anchor.startswith("__"):
                    yield Problem(place, f"leads to {target}, and there is no such id")


def foreign(site: Path) -> Found:
    """No style sheet of the site loads anything from another machine."""
    for file in sorted(site.rglob("*.css")):
        text = file.read_text(encoding="utf-8", errors="replace")
        for target in re.findall(
            r"url\(\s*['\"]?((?:https?:)?//[^)'\"]+)|@import\s+['\"](\S+?)['\"]", text
        ):
            yield Problem(file.relative_to(site).as_posix(), f"loads {''.join(target)}")


def leftovers(site: Path) -> Found:
    """No directive, footnote or fence was left standing as text."""
    for file in sorted(site.rglob("*.html")):
        text = re.sub(
            r"<(pre|code|script|style)\b.*?</\1>", "", file.read_text("utf-8"), flags=re.DOTALL
        )
        where = file.relative_to(site).as_posix()
        for found in re.findall(
            r"(?:<p>|>|\n)(!(?:exercise|widget|notes|exercises|outline|commands)\b[^<\n]*)", text
        ):
            yield Problem(where, f"'{found}' was not understood")
        for found in re.findall(
            r"\[\^[\w-]+\]|(?<!\w):(?:material|octicons|fontawesome|simple)-[\w-]+:", text
        ):
            yield Problem(where, f"'{found}' was not understood")


# ---- small parts


def _all(docs: Path) -> Iterator[tuple[str, Page]]:
    for language in plan.LANGUAGES:
        for page in pages.read(docs / language):
            yield f"docs/{language}/{page.name}", page


def _language(name: str) -> Language:
    return "zh" if name == "zh" else "en"
