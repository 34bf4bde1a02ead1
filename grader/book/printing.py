"""The whole book on paper: one page made of all, printed by Chromium with contents and numbers."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any, Final

from grader.book.build import CONFIGS, BuildError
from grader.catalogue import Language, Text

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
CONTENTS: Final = Text("Contents", "目录")
SECONDS: Final = 300
DIAGRAMS: Final = """
if (window.mermaid) {
  mermaid.initialize({ startOnLoad: false });
  for (const source of document.querySelectorAll("pre.mermaid")) {
    const place = document.createElement("div");
    place.className = "mermaid";
    place.textContent = source.textContent;
    source.replaceWith(place);
  }
  mermaid.run();
}
"""
PRINT_MS: Final = 60_000  # of the page's own clock, for formulas, diagrams and interactive pieces


@dataclass(frozen=True)
class Part:
    """One page of the site, ready to stand among others."""

    name: str
    body: str
    headings: tuple[tuple[int, str, str], ...]  # level, id, text


def pdf(site: Path, place: Path, language: Language, out: Path) -> None:
    """Print the book in one language.

    Args:
        site: the built site.
        place: the folder that holds mkdocs.yml.
        language: which of the two books.
        out: the file to write.

    Raises:
        BuildError: there is no Chromium, or it fails.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise BuildError(
            "there is no Chromium to print with; install `chromium` "
            "(Debian: apt-get install chromium fonts-noto-cjk)"
        )
    folder = site / "zh" if language == "zh" else site
    with tempfile.TemporaryDirectory(prefix="happyllm-print-") as scratch:
        # Links to styles, fonts and figures are relative, so the page lies beside the others.
        copy = Path(scratch, "site")
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("zh", "search"))
        (copy / "print.html").write_text(whole(folder, place, language), encoding="utf-8")
        made = Path(scratch, "book.pdf")
        done = subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--allow-file-access-from-files", "--no-pdf-header-footer"),
                *("--generate-pdf-document-outline", f"--virtual-time-budget={PRINT_MS}"),
                *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={scratch}/profile"),
                *(f"--print-to-pdf={made}", (copy / "print.html").as_uri()),
            ],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
        if done.returncode != 0 or not made.is_file():
            raise BuildError(f"{browser} did not print the book: {done.stderr.strip()[-600:]}")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(made, out)
        except OSError as error:
            raise BuildError(f"{out}: cannot be written: {error.strerror}") from error


def whole(folder: Path, place: Path, language: Language) -> str:
    """One HTML page that holds all pages of a site, in the order of its navigation."""
    names = list(_order(place / CONFIGS[language]))
    parts = [_part(folder, name, names) for name in names]
    home = (folder / "index.html").read_text(encoding="utf-8")
    head = "\n".join(
        re.findall(r'<link rel="stylesheet"[^>]*>|<meta charset[^>]*>|<style>.*?</style>', home)
    )
    extra = ["assets/vendor/katex/katex.min.css"]
    scripts = ["assets/vendor/katex/katex.min.js", "assets/js/book.js"]
    if any('class="mermaid"' in part.body for part in parts):
        scripts.insert(0, "assets/vendor/mermaid/mermaid.min.js")
    contents = "\n".join(_entries(parts))
    title = "Happy-LLM"
    return "\n".join(
        [
            f'<!doctype html><html lang="{language}"><head>{head}<title>{title}</title>',
            *(f'<link rel="stylesheet" href="{sheet}">' for sheet in extra),
            '</head><body data-md-color-scheme="default" data-md-color-primary="custom"'
            ' data-md-color-accent="custom"><article class="md-typeset hl-printed">',
            f"<h1>{title}</h1>",
            f'<nav class="hl-contents"><h2>{CONTENTS.in_(language)}</h2>{contents}</nav>',
            *(f'<div class="hl-part" id="{_anchor(p.name)}">{p.body}</div>' for p in parts),
            "</article>",
            *(f'<script src="{script}"></script>' for script in scripts),
            f"<script>{DIAGRAMS}</script>",
            "</body></html>",
        ]
    )


def _order(config: Path) -> Iterator[str]:
    """The pages of a site as its navigation has them; the references are no part of the book."""
    from mkdocs.config import load_config

    def flat(entries: Any) -> Iterator[str]:
        for entry in entries:
            target = next(iter(entry.values())) if isinstance(entry, dict) else entry
            if isinstance(target, list):
                yield from flat(target)
            else:
                yield str(target)

    loaded = load_config(str(config))
    for name in flat(loaded["nav"]):
        if not name.startswith("api/"):
            yield f"{name.removesuffix('.md')}.html"


def _entries(parts: list[Part]) -> Iterator[str]:
    """The contents: pages, and their headings down to the third level."""
    yield "<ol>"
    for part in parts:
        for level, identity, text in part.headings:
            if level <= 3:
                indent = f' style="margin-left: {1.2 * level:.1f}em"'
                yield f'<li{indent}><a href="#{identity}">{html.escape(text)}</a></li>'
    yield "</ol>"


def _anchor(name: str, identity: str = "") -> str:
    page = re.sub(r"\W", "-", name.removesuffix(".html"))
    return f"{page}--{identity}" if identity else f"page-{page}"


def _part(folder: Path, name: str, names: list[str]) -> Part:
    text = (folder / name).read_text(encoding="utf-8")
    article = re.search(r"<article\b[^>]*>(.*?)</article>", text, flags=re.DOTALL)
    rewriter = _Rewriter(name, names)
    rewriter.feed(article[1] if article else "")
    return Part(name, "".join(rewriter.out), tuple(rewriter.headings))


class _Rewriter(HTMLParser):
    """Gives ids a prefix, and leads links and pictures to where they are on the one page."""

    def __init__(self, name: str, names: list[str]) -> None:
        super().__init__(convert_charrefs=False)
        self.name, self.names = name, names
        self.out: list[str] = []
        self.headings: list[tuple[int, str, str]] = []
        self._title: list[str] | None = None
        self._level, self._id = 0, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = []
        for key, value in attrs:
            if value is None:
                told.append(f" {key}")
                continue
            if (new := self._rewritten(tag, key, value)) is not None:
                told.append(f' {key}="{html.escape(new)}"')
        if tag == "details" and not any("tip" in (v or "") for k, v in attrs if k == "class"):
            told.append(" open")  # a stub is read on paper, hints are not
        self.out.append(f"<{tag}{''.join(told)}>")
        if re.fullmatch(r"h[1-6]", tag):
            self._title, self._level = [], int(tag[1])
            self._id = _anchor(self.name, dict(attrs).get("id") or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in ("br", "img", "hr", "input", "source", "wbr"):
            self.out.append(f"</{tag}>")

    def handle_endtag(self, tag: str) -> None:
        self.out.append(f"</{tag}>")
        if re.fullmatch(r"h[1-6]", tag) and self._title is not None:
            text = "".join(self._title).replace("¶", "").strip()
            self.headings.append((self._level, self._id, text))
            self._title = None

    def handle_data(self, data: str) -> None:
        self.out.append(data)
        if self._title is not None:
            self._title.append(data)

    def handle_entityref(self, name: str) -> None:
        self._reference(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._reference(f"&#{name};")

    def _reference(self, text: str) -> None:
        self.out.append(text)
        if self._title is not None:
            self._title.append(html.unescape(text))

    def _rewritten(self, tag: str, key: str, value: str) -> str | None:
        if key in ("id", "for", "aria-labelledby", "aria-describedby") or (
            key == "name" and tag == "a"
        ):
            return _anchor(self.name, value)
        if key not in ("href", "src", "data") or re.match(r"[a-z]+:|//|data:", value):
            return value
        path, _, fragment = value.partition("#")
        target = normpath(join(dirname(self.name), path)) if path else self.name
        if target in self.names:
            return f"#{_anchor(target, fragment)}"
        if target.endswith(".html"):  # a page that is not printed
            return None
        return target if path else value
