"""The skeleton of a new exercise: every file that it touches, with what is left to write marked.

Nothing that is there is overwritten. Each place that the author has to fill holds a mark which
`happyllm-grade check` looks for, so that check walks through what is left to do.
"""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grader.authoring import outline
from grader.authoring.soundness import UNWRITTEN
from grader.catalogue import Catalogue, CatalogueError, Text, load

_ID: Final = re.compile(r"(?P<chapter>ch\d+)/(?P<name>[a-z][a-z0-9_]*)")
_OBJECT: Final = re.compile(r"happyllm(\.\w+){2,}:\w+")
_TOPICS: Final = {
    "ch1": "nlp",
    "ch2": "transformer",
    "ch3": "plm",
    "ch4": "alignment",
    "ch5": "llama",
    "ch6": "lora",
    "ch7": "evaluate",
}


class SkeletonError(Exception):
    """The exercise cannot be begun; the message says why."""


@dataclass(frozen=True)
class Begun:
    """What was written, and what was there before; paths from the root."""

    written: tuple[str, ...]
    kept: tuple[str, ...]


def begin(
    exercise: str,
    root: Path,
    suites: Path,
    *,
    section: str | None = None,
    objects: Sequence[str] = (),
) -> Begun:
    """Write the skeleton of an exercise.

    Args:
        exercise: chapter and name, `ch5/repeat_kv`.
        root: the source tree.
        suites: where the suites of all chapters lie.
        section: its section; without one, a number that `check` will ask about.
        objects: its source objects, `happyllm.llama.attention:repeat_kv`.

    Raises:
        SkeletonError: the name is not one, or is taken.
    """
    match = _ID.fullmatch(exercise)
    if match is None:
        raise SkeletonError(f"'{exercise}' is not of the form ch5/name")
    chapter, name = match["chapter"], match["name"]
    for one in objects:
        if not _OBJECT.fullmatch(one):
            raise SkeletonError(f"'{one}' is not of the form happyllm.llama.module:name")
    known = _known(suites)
    if any(one.id == exercise for one in known):
        raise SkeletonError(f"there is an exercise {exercise} already; choose another name")
    number = chapter.removeprefix("ch")
    if section is None:
        section = f"{number}.0"
    elif not re.fullmatch(rf"{number}(\.\d+)+", section):
        raise SkeletonError(f"'{section}' is not a section of {chapter}")
    if not objects:
        objects = (f"happyllm.{_topic(chapter, known)}.{name}:{name}",)
    draft = _Draft(root, suites, chapter, name, section, tuple(objects))
    draft.catalogue_lines()
    draft.put(suites / chapter / f"test_{name}.py", draft.suite())
    topic = objects[0].split(".")[1]
    draft.put(root / "tests" / "oracles" / topic / f"test_{name}.py", draft.oracle())
    for language in outline.LANGUAGES:
        if outline.page(root, language, section) is None:
            page = root / "docs" / language / chapter / f"{name}.md"
            draft.put(page, draft.section_stub(language))
    return Begun(tuple(draft.written), tuple(draft.kept))


def _known(suites: Path) -> Catalogue:
    try:
        return load(suites)
    except CatalogueError as error:
        raise SkeletonError(f"the catalogue has problems; correct them first:\n{error}") from error


def _topic(chapter: str, known: Catalogue) -> str:
    """The package that most of a chapter's exercises are from."""
    used = Counter(
        one.objects[0].split(".")[1] for one in known if one.chapter == chapter and one.objects
    )
    return used.most_common(1)[0][0] if used else _TOPICS.get(chapter, "llama")


class _Draft:
    """Writes one skeleton."""

    def __init__(
        self,
        root: Path,
        suites: Path,
        chapter: str,
        name: str,
        section: str,
        objects: tuple[str, ...],
    ):
        self.root, self.suites = root, suites
        self.chapter, self.name, self.section, self.objects = chapter, name, section, objects
        self.module, _, self.object = objects[0].partition(":")
        self.title = Text(f"{name} {UNWRITTEN}", f"{name}（待写）{UNWRITTEN}")
        self.written: list[str] = []
        self.kept: list[str] = []

    def put(self, path: Path, text: str) -> None:
        """Write a file, unless there is one."""
        if path.exists():
            self.kept.append(self.show(path))
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self.written.append(self.show(path))

    def show(self, path: Path) -> str:
        return (
            path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        )

    def catalogue_lines(self) -> None:
        """Add the exercise at the end of its chapter's catalogue."""
        file = self.suites / self.chapter / "chapter.toml"
        before = file.read_text(encoding="utf-8") if file.exists() else self.chapter_head()
        hints = (
            ("The idea, in a sentence or two", "用一两句话说出想法"),
            ("The shapes, one after another", "依次写出各个形状"),
            ("Nearly the code", "接近代码的提示"),
        )
        ladder = ",\n  ".join(
            f'{{ en = "{en} {UNWRITTEN}.", zh = "{zh}{UNWRITTEN}。" }}' for en, zh in hints
        )
        lines = f"""
            [[exercise]]
            id = "{self.name}"
            section = "{self.section}"
            title = {{ en = "{self.title.en}", zh = "{self.title.zh}" }}
            objects = {json.dumps(list(self.objects))}
            blanks = {json.dumps([one.partition(":")[2] for one in self.objects])}
            points = 10
            time_limit_s = 10
            """
        file.parent.mkdir(parents=True, exist_ok=True)
        why = (
            f'{{ en = "Why it matters, in two or three sentences {UNWRITTEN}.", '
            f'zh = "用两三句话说明它为什么重要{UNWRITTEN}。" }}'
        )
        entry = f"{textwrap.dedent(lines).rstrip()}\nwhy = {why}\nhints = [\n  {ladder},\n]\n"
        text = before.rstrip("\n") + "\n" + entry
        file.write_text(text, encoding="utf-8")
        self.written.append(self.show(file))

    def chapter_head(self) -> str:
        try:
            title = outline.read(self.root).chapters[self.chapter]
        except (OSError, KeyError, tomllib.TOMLDecodeError):
            title = Text(f"Chapter {UNWRITTEN}", f"章标题{UNWRITTEN}")
        said = f"{{ en = {json.dumps(title.en)}, zh = {json.dumps(title.zh, ensure_ascii=False)} }}"
        return f'[chapter]\nid = "{self.chapter}"\ntitle = {said}\n'

    def suite(self) -> str:
        package, _, module = self.module.rpartition(".")
        return textwrap.dedent(
            f'''\
            """Hidden suite of {self.chapter}/{self.name}."""

            import torch

            from grader.judge import check
            from grader.judge.marks import also_right, known_wrong
            from {package} import {module} as reference


            def test_it_says_what_the_reference_says(student):
                """What is claimed here, in a sentence {UNWRITTEN}.

                这里断言什么，用一句话说清{UNWRITTEN}。
                """
                x = torch.randn(2, 5, 8)
                check.close(student.{self.object}(x), reference.{self.object}(x))


            # Three mistakes or more that people really make {UNWRITTEN}.
            @known_wrong(
                "{self.object}",
                en="What is wrong, and what to do {UNWRITTEN}.",
                zh="错在哪里，应该怎么改{UNWRITTEN}。",
            )
            def unchanged(x):
                return x


            # Right answers that look different from the reference {UNWRITTEN}.
            @also_right("{self.object}", en="written in another way {UNWRITTEN}")
            def in_another_way(x):
                return reference.{self.object}(x)
            '''
        )

    def oracle(self) -> str:
        return textwrap.dedent(
            f'''\
            """{self.object} against an independent library {UNWRITTEN}."""

            import torch

            from {self.module} import {self.object}


            def test_an_independent_library_agrees():
                x = torch.randn(2, 5, 8)
                expected = x  # what transformers, torch.nn or another library says {UNWRITTEN}
                torch.testing.assert_close({self.object}(x), expected)
            '''
        )

    def section_stub(self, language: str) -> str:
        try:
            title = (
                outline.read(self.root)
                .sections[self.section]
                .in_("zh" if language == "zh" else "en")
            )
        except (OSError, KeyError, tomllib.TOMLDecodeError):
            title = self.name
        said = {
            "en": "The question, the idea with a picture, the mathematics, the code, the traps",
            "zh": "要回答的问题、配图的想法、数学、代码、常见错误",
        }[language]
        return f"## {self.section} {title} {outline.anchor(self.section)}\n\n{said} {UNWRITTEN}\n"
