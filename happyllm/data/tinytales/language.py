"""From events to sentences: what every language does in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from happyllm.data.tinytales.world import Ask, Dice, Event, World

Words = dict[str, str]
Fact = tuple[str, str, tuple[str, ...]]


class Language:
    """The words and templates of one language; english.py and chinese.py fill them in.

    Templates name their words in braces. A capital letter asks for a word that begins a sentence:
    {A} and {a} are the person, by name or as he or she; {At} and {at} the place; {name} and
    {other} are names always. A digit, {done0}, asks for a word of the earlier of two events.
    """

    code: ClassVar[str]
    names: ClassVar[Sequence[str]]
    space: ClassVar[str]
    later: ClassVar[tuple[str, ...]]
    tell: ClassVar[Mapping[str, Sequence[str]]]
    questions: ClassVar[Mapping[str, tuple[Sequence[str], str]]]
    done: ClassVar[Mapping[str, str]]
    openings: ClassVar[Sequence[str]]
    endings: ClassVar[Sequence[str]]
    titles: ClassVar[Sequence[str]]
    recaps: ClassVar[Sequence[str]]
    recap: ClassVar[tuple[str, str, str]]
    facts: ClassVar[Sequence[Fact]]
    systems: ClassVar[Sequence[str]]
    talks: ClassVar[Sequence[tuple[Sequence[str], str]]]
    writes: ClassVar[Sequence[str]]
    unknown: ClassVar[str]
    lessons: ClassVar[Sequence[str]]
    lesson: ClassVar[str]
    together: ClassVar[str]
    pronoun: ClassVar[tuple[str, str]]
    possessive: ClassVar[tuple[str, str]]
    places: ClassVar[Mapping[str, str]] = {}
    at: ClassVar[Mapping[str, str]]
    words: ClassVar[Mapping[str, str]] = {}
    measures: ClassVar[Mapping[str, str]] = {}
    spots: ClassVar[Mapping[str, str]]
    purposes: ClassVar[Mapping[str, str]]
    reasons: ClassVar[Mapping[str, str]]
    numbers: ClassVar[Sequence[str]]
    verbs: ClassVar[Mapping[str, str]]
    jobs: ClassVar[Mapping[str, tuple[str, str]]]

    def capital(self, text: str) -> str:
        """Make a word fit to begin a sentence."""
        return text

    def context(self, event: Event, world: World) -> Words:
        """Find the words for everything that a template about one event may name.

        They are kept with the world, for its questions name the same events again.
        """
        words: Words | None = world.words.get(id(event))
        if words is None:
            words = world.words[id(event)] = self.find_words(event, world.cast)
            if event.kind in self.done:
                words["done"] = self.done[event.kind].format_map(words)
        return words

    def find_words(self, event: Event, cast: Sequence[int]) -> Words:
        """Find them for the first time."""
        number = cast[event.who]
        she = number % 2
        name, he, his = self.names[number], self.pronoun[she], self.possessive[she]
        place, thing, extra, kind = event.place, event.thing, event.extra, event.kind
        at, word = self.at[place], self.words.get
        words = {
            "name": name, "he": he, "He": self.capital(he), "his": his,
            "place": self.places.get(place, place), "at": at, "At": self.capital(at),
        }  # fmt: skip
        if thing:
            words["thing"] = thing = word(thing, thing)
            words["Thing"] = self.capital(thing)
            words["measure"] = self.measures.get(event.thing, "")
        if event.other >= 0:
            words["other"] = self.names[cast[event.other]]
        if kind == "find":
            words["colour"] = word(extra, extra)
        elif kind == "go":
            words["purpose"] = self.purposes.get(extra, "")
        elif kind == "put":
            words["spot"] = self.spots[extra]
            words["Spot"] = self.capital(words["spot"])
        elif kind == "use":
            words["do_job"], words["did_job"] = self.jobs[event.thing]
            words["tool"] = word(extra, extra)
            words["tool_measure"] = self.measures.get(extra, "")
        elif kind == "feel":
            words["reason"] = self.reasons[extra].format(he=he, his=his)
        elif kind in ("collect", "eat"):
            words["count"] = self.numbers[event.amount]
            words["verb"] = self.verbs[event.thing]
            words["Left"] = self.capital(self.numbers[event.had - event.amount])
        return words

    def sentences(self, world: World, dice: Dice) -> list[str]:
        """Tell all events, a sentence or a short speech each."""
        told: list[str] = []
        before = -1
        for event in world.events:
            words = self.context(event, world)
            kind = "go for" if event.kind == "go" and event.extra else event.kind
            if event.who == before and dice.random() < world.config.pronouns:
                words["a"], words["A"] = words["he"], words["He"]
            else:
                words["a"] = words["A"] = words["name"]
            template = dice.pick(self.tell[kind])
            while not told and template.startswith(self.later):
                template = dice.pick(self.tell[kind])
            told.append(template.format_map(words))
            before = event.who
        return told

    def question(self, ask: Ask, world: World, dice: Dice) -> tuple[str, str]:
        """Put a question and its answer into words."""
        words = self.context(ask.event, world)
        if ask.earlier is not None:
            earlier = self.context(ask.earlier, world)
            words = words | {f"{name}0": word for name, word in earlier.items()}
        elif ask.kind == "who_has" and ask.event.kind == "give":
            words = words | {"name": words["other"]}
        questions, answer = self.questions[ask.kind]
        return dice.pick(questions).format_map(words), answer.format_map(words)

    def unanswerable(self, world: World, dice: Dice) -> str:
        """Put a question into words that the story does not answer."""
        ask, stranger = world.unanswerable(dice)
        words = self.find_words(ask.event, [*world.cast, stranger])
        return dice.pick(self.questions[ask.kind][0]).format_map(words)

    def retell(self, world: World, dice: Dice) -> str:
        """Let one person of the story say what they did, in the order in which they did it."""
        who = dice.below(len(world.cast))
        own = [event for event in world.events if event.who == who and event.kind in self.done]
        first, further, end = self.recap
        said = dice.pick(self.recaps).format_map(self.context(own[0], world)) + self.space
        for event in own:
            clause = first if event is own[0] else further
            said += clause.format_map(self.context(event, world))
        return said + end

    def title(self, world: World, dice: Dice) -> str:
        """Give a story a name that its first events deserve."""
        events = [
            event for event in world.events if event.thing and event.kind not in ("feel", "use")
        ]
        event = events[0] if events else world.events[0]
        titles = self.titles if events else self.titles[1:]
        return dice.pick(titles).format_map(self.context(event, world))

    def facts_of(self, world: World) -> list[tuple[str, str, str]]:
        """Say what is true in a story, as (kind, subject, value) in the words of the language."""
        facts = []
        for event in world.events:
            name, words = self.names[world.cast[event.who]], self.words
            thing, extra = words.get(event.thing, event.thing), words.get(event.extra, event.extra)
            thing = self.jobs[event.thing][0] if event.kind == "use" else thing
            if event.kind == "go":
                facts.append(("go", name, self.places.get(event.place, event.place)))
            elif event.kind == "meet":
                facts.append(("meet", name, self.names[world.cast[event.other]]))
            elif event.kind in ("collect", "eat"):
                facts.append((event.kind, name, f"{event.amount} {thing}"))
            else:
                facts.append((event.kind, name, thing))
            if event.kind == "find":
                facts.append(("colour", thing, extra))
            elif event.kind == "give":
                facts.append(("has", self.names[world.cast[event.other]], thing))
        facts += [
            ("at", self.names[person], self.places.get(place, place))
            for person, place in zip(world.cast, world.at, strict=True)
        ]
        return facts

    def listed(self, names: Sequence[str]) -> str:
        """Join names as a sentence does."""
        return self.together.join(names)
