"""The corpus: what is read in pretraining, what is asked in fine-tuning, what is kept for the test.

Training never meets a combination of people, places and things that the test asks about.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from happyllm.data.tinytales.story import Question, Story, language, make_story
from happyllm.data.tinytales.world import Dice, TaleConfig
from happyllm.files import written_whole

FORMAT: Final = 1
META: Final = "meta.json"
PARTS: Final = ("pretrain", "sft", "eval_text", "eval_questions")
PAIRS: Final = ("preference", "eval_preference")  # of no part of the corpus on disk

Record = dict[str, Any]


@dataclass(frozen=True)
class Sizes:
    """How many records each part of the corpus has.

    Attributes:
        pretrain: Documents of plain text, `{"text": …}`.
        sft: Conversations, `{"kind": …, "messages": [{"role": …, "content": …}, …]}`.
        eval_text: Held-out documents, as in pretraining.
        eval_questions: Held-out stories with their questions,
            `{"level": …, "system": …, "story": …, "questions": [{"kind", "question", "answer"}]}`.

    Raises:
        ValueError: A size is below 0.
    """

    pretrain: int = 30_000
    sft: int = 20_000
    eval_text: int = 500
    eval_questions: int = 300

    def __post_init__(self) -> None:
        for field in fields(self):
            size = getattr(self, field.name)
            if isinstance(size, bool) or not isinstance(size, int):
                raise TypeError(f"{field.name}={size!r} must be an integer")
            if size < 0:
                raise ValueError(f"{field.name}={size} must be 0 or more")


@dataclass(frozen=True)
class Mix:
    """How often each level is drawn, and how large a story of that level is.

    Attributes:
        weights: Of levels 1, 2 and 3, relative to one another.
        sizes: People, fewest events and most events of each level.
        questions_per_story: Asked in one conversation, at most.
        documents: How often a document is a page of facts, a story with questions, a story told
            twice, and a story alone, relative to one another.
        conversations: How often a conversation asks about a story, asks for one and then about
            it, asks for facts, and is small talk.
        unknown: How often one about a story asks what it does not say, too; 0 to 1.

    Raises:
        ValueError: Weights are not as many numbers of 0 or more, or are all 0; or `unknown` is out
            of range.
    """

    weights: tuple[float, float, float] = (0.3, 0.5, 0.2)
    sizes: tuple[tuple[int, int, int], ...] = ((1, 3, 5), (2, 4, 7), (3, 6, 9))
    questions_per_story: int = 12
    documents: tuple[float, ...] = (0.06, 0.44, 0.25, 0.25)
    conversations: tuple[float, ...] = (0.85, 0.09, 0.04, 0.02)
    unknown: float = 0.0

    def __post_init__(self) -> None:
        for name, count in (("weights", 3), ("documents", 4), ("conversations", 4)):
            values = getattr(self, name)
            if len(values) != count or min(values) < 0 or sum(values) <= 0:
                raise ValueError(f"{name}={values} must be {count} numbers of 0 or more, not all 0")
        if not 0 <= self.unknown <= 1:
            raise ValueError(f"unknown={self.unknown} must be 0 to 1")

    def draw(self, dice: Dice) -> TaleConfig:
        """Draw a level, and the size of a story of that level."""
        level = drawn(dice, self.weights)
        n_people, low, high = self.sizes[level]
        return TaleConfig(
            n_people=n_people,
            n_events=low + dice.below(high - low + 1),
            questions_per_story=self.questions_per_story,
            level=level + 1,
        )

    def questions(self, story: Story, most: int | None = None) -> list[Question]:
        """Take a story's questions, at most so many; at times one that it does not answer."""
        asked = list(story.questions[:most])
        if story.unknown is not None:
            dice = Dice(story.title + story.text)  # of its own: other stories are as without it
            if dice.random() < self.unknown:
                asked.insert(dice.below(len(asked) + 1), story.unknown)
        return asked


def drawn(dice: Dice, weights: tuple[float, ...]) -> int:
    """Draw a number from 0 on, each as often as its weight says."""
    rest = dice.random() * sum(weights)
    for number, weight in enumerate(weights[:-1]):
        if rest < weight:
            return number
        rest -= weight
    return len(weights) - 1


def iter_pretrain(
    lang: str, dice: Dice, mix: Mix | None = None, *, held_out: bool = False
) -> Iterator[Record]:
    """Yield documents without end: stories, retold or asked about, and pages of facts.

    A day told twice, and a lesson about a story, make the next word depend on what was read far
    before it: so the model learns to look things up while it learns the language.
    """
    tongue, mix = language(lang), mix or Mix()
    while True:
        draw = drawn(dice, mix.documents)
        if draw == 0:
            facts = dice.shuffle(list(tongue.facts))[: 3 + dice.below(4)]
            yield {"text": tongue.space.join(dice.pick(told) for _, _, told in facts)}
            continue
        story = make_story(dice, lang, mix.draw(dice), held_out=held_out)
        text = story.text
        if draw == 1:
            lessons = [
                tongue.lesson.format(question=q.text, answer=q.answer) for q in story.questions
            ]
            text = "\n".join((text, dice.pick(tongue.lessons), *lessons))
        elif draw == 2:
            text += "\n" + story.retold
        yield {"text": f"{story.title}\n{text}" if dice.random() < 0.4 else text}


def iter_sft(lang: str, dice: Dice, mix: Mix | None = None) -> Iterator[Record]:
    """Yield conversations without end: questions about a story, requests for one, facts, talk.

    Who asks for a story is told one, may ask about it, and may ask for another: else a model that
    has told a story would take every further request for a question about it.
    """
    tongue, mix = language(lang), mix or Mix()
    while True:
        draw = drawn(dice, mix.conversations)
        system = {"role": "system", "content": dice.pick(tongue.systems)}
        if draw == 0:
            story = make_story(dice, lang, mix.draw(dice), unknown=mix.unknown > 0)
            turns = [(q.text, q.answer) for q in mix.questions(story)]
            turns[0] = (f"{story.text}\n{turns[0][0]}", turns[0][1])
            kind = "questions"
        elif draw == 1:
            kind, turns = "write", []
            for _ in range(1 + dice.below(2)):
                story = make_story(dice, lang, mix.draw(dice), unknown=mix.unknown > 0)
                asked = dice.pick(tongue.writes).format(names=tongue.listed(story.people))
                turns.append((asked, story.text))
                turns += [(q.text, q.answer) for q in mix.questions(story, 3)]
        elif draw == 2:
            facts = dice.shuffle(list(tongue.facts))[: 2 + dice.below(3)]
            kind, turns = "facts", [(question, answer) for question, answer, _ in facts]
        else:
            talks = dice.shuffle(list(tongue.talks))[: 1 + dice.below(3)]
            kind, turns = "talk", [(dice.pick(asked), answer) for asked, answer in talks]
        messages = [system]
        for asked, answer in turns:
            messages.append({"role": "user", "content": asked})
            messages.append({"role": "assistant", "content": answer})
        yield {"kind": kind, "messages": messages}


def iter_questions(lang: str, dice: Dice, mix: Mix | None = None) -> Iterator[Record]:
    """Yield held-out stories without end, each with its questions and their exact answers."""
    tongue, mix = language(lang), mix or Mix()
    while True:
        config = mix.draw(dice)
        story = make_story(dice, lang, config, held_out=True, unknown=mix.unknown > 0)
        yield {
            "level": config.level,
            "system": dice.pick(tongue.systems),
            "story": story.text,
            "combination": story.combination,
            "questions": [
                {"kind": q.kind, "question": q.text, "answer": q.answer}
                for q in mix.questions(story)
            ],
        }


def iter_preferences(
    lang: str, dice: Dice, mix: Mix | None = None, *, held_out: bool = False
) -> Iterator[Record]:
    """Yield pairs of answers without end: the right one, and one that is right elsewhere.

    The wrong answer belongs to another question of the same kind about the same story, so that it
    looks as an answer should, and only reading the story tells the two apart.

    Raises:
        ValueError: The stories are too small for two questions of one kind.
    """
    tongue, mix = language(lang), mix or Mix()
    barren = 0  # stories in a row that gave no pair
    while True:
        barren += 1
        if barren > 1000:
            raise ValueError(
                "no story has two questions of one kind with different answers: take more people "
                "or events"
            )
        config = mix.draw(dice)
        story = make_story(dice, lang, config, held_out=held_out)
        for question in story.questions:
            others = [
                other.answer
                for other in story.questions
                if other.kind == question.kind and not is_exact(other.answer, question.answer)
            ]
            if others:
                barren = 0
                yield {
                    "kind": question.kind,
                    "level": config.level,
                    "messages": [
                        {"role": "system", "content": dice.pick(tongue.systems)},
                        {"role": "user", "content": f"{story.text}\n{question.text}"},
                    ],
                    "chosen": question.answer,
                    "rejected": dice.pick(others),
                }


def is_exact(answer: str, expected: str) -> bool:
    """Say whether an answer is right: the same words, whatever the case, space and full stop.

    Example:
        >>> is_exact(" in the park", "In the park.")
        True
        >>> is_exact("In the park and at the river.", "In the park.")
        False
    """

    def bare(text: str) -> str:
        return " ".join(text.strip().rstrip(".。").casefold().split())

    return bare(answer) == bare(expected)


def records(part: str, lang: str, seed: int, mix: Mix | None = None) -> Iterator[Record]:
    """Yield the records of one part of the corpus without end, the same for the same seed.

    Raises:
        ValueError: There is no such part or language.
    """
    language(lang)
    dice = Dice(f"tinytales {FORMAT} {lang} {seed} {part}")
    if part == "pretrain":
        return iter_pretrain(lang, dice, mix)
    if part == "sft":
        return iter_sft(lang, dice, mix)
    if part == "eval_text":
        return iter_pretrain(lang, dice, mix, held_out=True)
    if part == "eval_questions":
        return iter_questions(lang, dice, mix)
    if part in PAIRS:
        return iter_preferences(lang, dice, mix, held_out=part.startswith("eval"))
    raise ValueError(f"part={part!r} must be one of {', '.join((*PARTS, *PAIRS))}")


def write_corpus(
    folder: str | os.PathLike[str],
    lang: str = "en",
    seed: int = 0,
    sizes: Sizes | None = None,
    mix: Mix | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the corpus: `pretrain.jsonl`, `sft.jsonl`, two files for evaluation, `meta.json`.

    Each file comes into being whole or not at all, and meta.json last: where it stands, the
    corpus is complete, and it holds the size and the SHA-256 of every file.

    Args:
        folder: Made if it is not there.
        lang: "en" or "zh".
        seed: The same seed gives the same bytes, on every machine.
        sizes: How many records; the ordinary numbers if not given.
        mix: How hard the stories are; the ordinary mix if not given.
        overwrite: Whether files of an earlier corpus in `folder` may be replaced.

    Returns:
        The folder.

    Raises:
        ValueError: There is no such language.
        FileExistsError: `folder` holds a file that would be replaced.
    """
    sizes, mix = sizes or Sizes(), mix or Mix()
    language(lang)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{part}.jsonl" for part in PARTS]
    there = [name for name in (*names, META) if (folder / name).exists()]
    if there and not overwrite:
        raise FileExistsError(
            f"{folder / there[0]} is there already: choose another folder, or say overwrite"
        )
    (folder / META).unlink(missing_ok=True)  # from now on the corpus is not complete
    files = {}
    for part, name in zip(PARTS, names, strict=True):
        files[name] = _write_part(folder / name, records(part, lang, seed, mix), sizes, part)
    meta = {
        "format": FORMAT,
        "corpus": "tinytales",
        "lang": lang,
        "seed": seed,
        "sizes": asdict(sizes),
        "mix": asdict(mix),
        "files": files,
    }
    with written_whole(folder / META) as file:
        file.write(json.dumps(meta, ensure_ascii=False, indent=2) + "\n")
    return folder


def _write_part(path: Path, source: Iterator[Record], sizes: Sizes, part: str) -> Record:
    size = getattr(sizes, part)
    digest = hashlib.sha256()

    def lines() -> Iterator[bytes]:
        for _ in range(size):
            line = json.dumps(next(source), ensure_ascii=False).encode() + b"\n"
            digest.update(line)
            yield line

    with written_whole(path, binary=True) as file:
        file.writelines(lines())
    return {"records": size, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}
