"""A Python-Markdown extension: lines such as `!exercise ch5/repeat_kv` become what they name.

It emits Markdown, so that the site's builder checks the links that a card holds as it checks those
that an author wrote. Links begin at the docs folder, `/ch5/5-1.md#s5-1-3-1`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from markdown import Markdown
from markdown.extensions import Extension
from markdown.postprocessors import Postprocessor
from markdown.preprocessors import Preprocessor

from grader.book import cards, contents, pages, pieces
from grader.catalogue import Language

# Before fenced blocks are taken out (25), since cards hold some; after line ends are normal (30).
PRIORITY = 27

Emit = Callable[[str], str]


class LineDirectives(Preprocessor):
    """Replaces the lines that are directives; those inside of code blocks stay."""

    def __init__(self, emitters: Mapping[str, Emit]):
        super().__init__()
        self.emitters = emitters

    def run(self, lines: list[str]) -> list[str]:
        outside = {number for number, _ in pages.split("\n".join(lines))[0]}
        out: list[str] = []
        for number, line in enumerate(lines, start=1):
            match = pages.DIRECTIVE.match(line) if number in outside else None
            emit = self.emitters.get(match["name"]) if match else None
            if match and emit:
                out += ["", *emit(match["argument"] or "").split("\n"), ""]
            else:
                out.append(line)
        return out


class ChineseLines(Postprocessor):
    """Takes out the line ends within Chinese text, which a browser would show as spaces."""

    CHINESE = r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef“”‘’—…]"
    LINE_END = re.compile(
        rf"(?<={CHINESE})((?:</(?:strong|em|a|span)>)*)\n(?=(?:<(?:strong|em|a|span)\b[^>]*>)*{CHINESE})"
    )
    LEFT_ALONE = re.compile(r"(<(pre|script|style|textarea)\b.*?</\2>)", re.DOTALL)

    def run(self, text: str) -> str:
        parts = self.LEFT_ALONE.split(text)  # text, block, its tag, text, block, its tag, …
        parts[::3] = [self.LINE_END.sub(r"\1", part) for part in parts[::3]]
        del parts[2::3]
        return "".join(parts)


class BookDirectives(Extension):
    """Cards, indexes and interactive pieces; `docs` is the folder of the language's pages."""

    def __init__(self, **options: Any):
        self.config = {
            "language": ["en", "en or zh"],
            "docs": ["docs/en", "the folder of the pages in this language"],
        }
        super().__init__(**options)

    def extendMarkdown(self, md: Markdown) -> None:
        language = cast(Language, self.getConfig("language"))
        docs = Path(str(self.getConfig("docs"))).resolve()
        emitters: dict[str, Emit] = {
            "exercise": lambda name: cards.card(name, language, docs),
            "exercises": lambda _: cards.index(language, docs),
            "outline": lambda _: contents.outline(language, docs),
            "widget": lambda name: pieces.widget(name, language, docs),
            "notes": lambda key: pieces.notes(key, language, docs),
        }
        md.preprocessors.register(LineDirectives(emitters), "happyllm_book", PRIORITY)
        if language == "zh":
            md.postprocessors.register(
                ChineseLines(), "happyllm_lines", 0
            )  # after raw HTML is back


def makeExtension(**options: Any) -> Extension:
    """What Python-Markdown calls."""
    return BookDirectives(**options)
