"""The card of an exercise, and the index of them all, as Markdown made from the catalogue."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

from grader import catalogue, shelf
from grader.book import pages
from grader.book.pages import Page
from grader.catalogue import Catalogue, Exercise, Language, Text

SAID: Final = {
    "exercise": Text("Exercise", "练习"),
    "section": Text("Section {}", "第 {} 节"),
    "points": Text("{} points", "{} 分"),
    "builds_on": Text("Builds on", "以这些练习为基础："),
    "command": Text("Write it in `{}`, then grade it:", "在 `{}` 中写好后评测："),
    "stub": Text("The stub: {}", "题目文件：{}"),
    "hint": Text("Hint {} of {}", "提示 {} / {}"),
    "title": Text("Title", "题目"),
    "of": Text("Section", "章节"),
    "worth": Text("Points", "分值"),
    "needs": Text("Builds on", "依赖"),
    "state": Text("Yours", "你的进度"),
    "total": Text("{} exercises, {} points.", "共 {} 道练习，{} 分。"),
}


def card(name: str, language: Language, docs: Path) -> str:
    """The card of one exercise.

    Raises:
        UnknownTarget: there is no such exercise.
    """
    known = catalogue.load()
    exercise = known[name]
    book = pages.read(docs)
    said = {key: text.in_(language) for key, text in SAID.items()}
    title = escape(exercise.title.in_(language))
    section = _link(said["section"].format(exercise.section), _heading(exercise, book))
    head = [
        f'<p class="hl-card__head" markdown="span">**{said["exercise"]}** · {section}'
        f" · {said['points'].format(exercise.points)}"
        f' <span class="hl-badge" data-exercise="{exercise.id}" hidden></span></p>',
        f'<p class="hl-card__title">{title}</p>',
    ]
    if exercise.requires:
        needs = _list(exercise.requires, known, book, language)
        head.append(f'<p class="hl-card__needs" markdown="span">{said["builds_on"]} {needs}</p>')
    head.append(f'<p class="hl-card__said" data-exercise="{exercise.id}" role="status"></p>')
    folded = [_folded("example", said["stub"].format(exercise.file), _python(exercise))]
    for rung, hint in enumerate(exercise.hints, start=1):
        summary = said["hint"].format(rung, len(exercise.hints))
        folded.append(_folded("tip", summary, _plain(hint.in_(language))))
    return "\n\n".join(
        [
            f'<section class="hl-card" id="{pages.card(exercise.id)}" aria-label="{title}"'
            ' markdown="1">',
            *head,
            said["command"].format(exercise.file),
            f"```bash\nhappyllm-grade {exercise.id}\n```",
            *folded,
            "</section>",
        ]
    )


def index(language: Language, docs: Path) -> str:
    """Every exercise, by chapter, with a link to its card where that stands on a page."""
    known = catalogue.load()
    book = pages.read(docs)
    said = {key: text.in_(language) for key, text in SAID.items()}
    parts = [said["total"].format(sum(1 for _ in known), sum(e.points for e in known))]
    for chapter in known.chapters:
        number = chapter.id.removeprefix("ch")
        title = chapter.title.in_(language)
        head = f"{number} {title}" if language == "en" else f"第 {number} 章 {title}"
        parts.append(f"## {head} {{ #exercises-{chapter.id} }}")
        rows = [
            f"| {said['of']} | {said['title']} | {said['needs']} | {said['worth']} |",
            "|---|---|---|--:|",
        ]
        for exercise in chapter.exercises:
            title = _link(_plain(exercise.title.in_(language)), _card(exercise, book))
            cells = [
                _link(exercise.section, _heading(exercise, book)),
                f'<span id="row-{pages.card(exercise.id)}"></span>{title}<br>`{exercise.id}`'
                f' <span class="hl-badge" data-exercise="{exercise.id}" hidden></span>',
                _list(exercise.requires, known, book, language, short=True),
                str(exercise.points),
            ]
            rows.append(f"| {' | '.join(cells)} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def address(exercise: Exercise, docs: Path) -> str:
    """Where an exercise is on the site: its card, or else its row in the index."""
    page = pages.carded(pages.read(docs)).get(exercise.id)
    card = pages.card(exercise.id)
    return f"{page.url}#{card}" if page else f"exercises.html#row-{card}"


def _heading(exercise: Exercise, book: tuple[Page, ...]) -> str | None:
    anchor = pages.anchor(exercise.section)
    page = pages.anchored(book).get(anchor)
    return f"/{page.name}#{anchor}" if page else None


def _card(exercise: Exercise, book: tuple[Page, ...]) -> str | None:
    page = pages.carded(book).get(exercise.id)
    return f"/{page.name}#{pages.card(exercise.id)}" if page else None


def _list(
    ids: tuple[str, ...],
    known: Catalogue,
    book: tuple[Page, ...],
    language: Language,
    *,
    short: bool = False,
) -> str:
    def label(one: Exercise) -> str:
        return f"`{one.name}`" if short else _plain(one.title.in_(language))

    comma = "、" if language == "zh" else ", "
    return comma.join(_link(label(known[one]), _card(known[one], book)) for one in ids)


def _link(text: str, target: str | None) -> str:
    return f"[{text}]({target})" if target else text


def _folded(kind: str, summary: str, body: str) -> str:
    inside = "\n".join(f"    {line}" if line else "" for line in body.split("\n"))
    return f'??? {kind} "{summary}"\n\n{inside}'


def _python(exercise: Exercise) -> str:
    return f"```python\n{shelf.stub(exercise).rstrip()}\n```"


_ENTITIES: Mapping[int, str] = {
    ord(c): f"&#{ord(c)};" for c in r"\`*_{}[]<>#+-.!|~^$=:@&/'()" + '"'
}


def _plain(text: str) -> str:
    """Text that Markdown shall show as it stands; words in `backticks` stay code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(p if p[:1] == "`" else p.translate(_ENTITIES) for p in parts)
