"""One story: its text, its facts, and every question that it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from happyllm.data.tinytales.chinese import Chinese
from happyllm.data.tinytales.english import English
from happyllm.data.tinytales.language import Language
from happyllm.data.tinytales.world import Dice, TaleConfig, World, combination, is_held_out

LANGUAGES: Final[dict[str, Language]] = {"en": English(), "zh": Chinese()}


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a story answers.

    Attributes:
        kind: Of which sort it is: `where_now`, `who_has`, `how_many`, …
        text: The question.
        answer: The exact answer, with its full stop.
    """

    kind: str
    text: str
    answer: str


@dataclass(frozen=True, slots=True)
class Story:
    """A story and the truth about it.

    Attributes:
        lang: "en" or "zh".
        title: Its name.
        text: The story, one paragraph.
        retold: The same day as one of its people tells it afterwards.
        people: Their names, in the order of the cast.
        facts: What is true in it, as (kind, subject, value): ("go", "Tom", "park").
        questions: Every question of its level, each with its answer, in random order.
        unknown: A question that it does not answer (kind `unknown`), answered by saying so; None
            where none was wanted.
        combination: Who, where and what it is about; see `world.combination`.
    """

    lang: str
    title: str
    text: str
    retold: str
    people: tuple[str, ...]
    facts: tuple[tuple[str, str, str], ...]
    questions: tuple[Question, ...]
    unknown: Question | None
    combination: str

    @property
    def held_out(self) -> bool:
        """Whether its combination is kept for evaluation and never trained on."""
        return is_held_out(self.combination)


def language(lang: str) -> Language:
    """Find a language by its code.

    Raises:
        ValueError: There is no such language; the message lists those there are.
    """
    try:
        return LANGUAGES[lang]
    except KeyError:
        raise ValueError(f"lang={lang!r} must be one of {', '.join(LANGUAGES)}") from None


def make_story(
    dice: Dice | int,
    lang: str = "en",
    config: TaleConfig | None = None,
    *,
    held_out: bool = False,
    unknown: bool = False,
) -> Story:
    """Make up one story.

    Args:
        dice: Where chance comes from; a number is a seed.
        lang: "en" or "zh".
        config: How hard it is; an ordinary one if not given.
        held_out: From which side of the split it comes: False for training, True for evaluation.
        unknown: Whether to make up a question that it does not answer, too. All else is the same.

    Returns:
        The same story for the same seed and arguments, on every machine.

    Raises:
        ValueError: There is no such language.

    Example:
        >>> story = make_story(7, config=TaleConfig(n_people=1, n_events=2, level=1))
        >>> print(story.text)
        Emma ran to the school. Emma collected six eggs. It was a good day.
        >>> print(story.questions[0].text, story.questions[0].answer)
        What did Emma gather? Emma collected six eggs.
    """
    tongue, config = language(lang), config or TaleConfig()
    dice = Dice(dice) if isinstance(dice, int) else dice
    while True:
        world = World(dice, config)
        named = combination(world.cast, world.events)
        if is_held_out(named) == held_out:
            break
    sentences = tongue.sentences(world, dice)
    if dice.random() < 0.5:
        sentences.insert(0, dice.pick(tongue.openings))
    if dice.random() < 0.3:
        sentences.append(dice.pick(tongue.endings))
    asks = dice.shuffle(world.asks())
    questions = []
    for ask in asks[: config.questions_per_story]:
        text, answer = tongue.question(ask, world, dice)
        questions.append(Question(ask.kind, text, answer))
    title, text = tongue.title(world, dice), tongue.space.join(sentences)
    retold = tongue.retell(world, dice)
    unasked = None
    if unknown:  # with dice of its own, so that all else is as without it
        asked = tongue.unanswerable(world, Dice(text))
        unasked = Question("unknown", asked, tongue.unknown)
    return Story(
        lang=lang,
        title=title,
        text=text,
        retold=retold,
        people=tuple(tongue.names[i] for i in world.cast),
        facts=tuple(tongue.facts_of(world)),
        questions=tuple(questions),
        unknown=unasked,
        combination=named,
    )
