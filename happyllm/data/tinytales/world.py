"""A small world in which people go about, find things and hand them on, in no language yet.

Everything is a key ("park", "ball") or the number of a person; english.py and chinese.py give the
words. What happens is drawn from the random numbers alone, so one seed is one world everywhere.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, TypeVar

T = TypeVar("T")

N_NAMES = 16  # names that each language has; even numbers are he, odd ones she
PLACES = (
    "park", "garden", "kitchen", "school", "market", "forest", "river", "farm",
    "library", "beach", "hill", "yard", "shop", "station", "bridge", "museum",
)  # fmt: skip
THINGS = (
    "ball", "book", "kite", "hat", "key", "bell", "drum", "cup",
    "lamp", "doll", "coin", "boat", "flute", "scarf", "clock", "ring",
)  # fmt: skip
COLOURS = ("red", "blue", "green", "yellow", "white", "black")
ITEMS = ("apples", "pears", "flowers", "shells", "stones", "leaves", "nuts", "eggs")
ANIMALS = ("cat", "dog", "bird", "rabbit", "frog", "duck", "horse", "fox")
FOODS = ("dumplings", "cake", "rice", "bread", "honey", "noodles", "cheese", "corn")
SPOTS = ("box", "basket", "bench", "chair", "wall", "table", "door", "stone")
JOBS = ("chest", "hole", "toy", "ice", "line", "lid")
TOOLS = ("knife", "stick", "fork", "spoon", "hammer", "nail")
PURPOSES = ("rest", "draw", "play", "sing", "read", "eat", "wait", "dance")
REASONS = {
    "happy": ("song", "letter", "sun", "friend"),
    "sad": ("rain", "brother", "alone", "plate"),
    "tired": ("long_way", "early", "work", "bag"),
    "afraid": ("thunder", "dark", "bear", "noise"),
}
FEELINGS = tuple(REASONS)

# The kinds of event that each level adds, and how often they are drawn.
KINDS = (
    (("go", 3), ("find", 3), ("see", 2), ("collect", 3), ("like", 2)),
    (("give", 9), ("put", 5), ("use", 3), ("feel", 3), ("meet", 5)),
    (("eat", 9),),
)
LEVELS = len(KINDS)


@dataclass(frozen=True)
class TaleConfig:
    """How hard a story is: the knobs of a curriculum.

    Attributes:
        n_people: People in the story, 1 to 4.
        n_events: Things that happen, at least one for each person, 16 at most.
        questions_per_story: Asked about one story at most; a short story has fewer to ask.
        level: 1 asks what one sentence says. 2 adds gifts, tools, feelings and reasons. 3 adds what
            came next, what is left, and where a thing is that somebody carries.
        pronouns: How often a sentence about the same person says he or she, 0 to 1.

    Raises:
        ValueError: A field is out of range; the message names it.

    Example:
        >>> TaleConfig(n_people=1, n_events=3, level=1).questions_per_story
        8
        >>> TaleConfig(level=4)
        Traceback (most recent call last):
            ...
        ValueError: level=4 must be 1 to 3
    """

    n_people: int = 2
    n_events: int = 6
    questions_per_story: int = 8
    level: int = 2
    pronouns: float = 0.3

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            wanted = (int, float) if field.name == "pronouns" else int
            if isinstance(value, bool) or not isinstance(value, wanted):
                raise TypeError(f"{field.name}={value!r} must be a number")
        ranges = {
            "n_people": (1, 4),
            "n_events": (self.n_people, 16),
            "questions_per_story": (1, 64),
            "level": (1, LEVELS),
            "pronouns": (0, 1),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}={getattr(self, name)} must be {low} to {high}")


class Dice:
    """Random choices made of `random()` alone, whose numbers Python promises never to change."""

    def __init__(self, seed: int | str) -> None:
        self.random = random.Random(seed).random

    def below(self, n: int) -> int:
        """Draw one of 0 .. n - 1."""
        return int(self.random() * n)

    def pick(self, options: Sequence[T]) -> T:
        """Draw one of the options."""
        return options[int(self.random() * len(options))]

    def shuffle(self, items: list[T]) -> list[T]:
        """Put a list in random order, in place, and hand it back."""
        draw = self.random
        for i in range(len(items) - 1, 0, -1):
            j = int(draw() * (i + 1))
            items[i], items[j] = items[j], items[i]
        return items


class Event(NamedTuple):
    """Something that happened, or (kinds `like`, `feel`) something that is so.

    Attributes:
        kind: One of KINDS.
        who: Position in the cast of the one who acts.
        place: Where it happened; for `go`, where to.
        thing: What it is about: a thing, items, an animal, a food, a job, a feeling.
        extra: Colour (find), purpose or "" (go), spot (put), tool (use), reason (feel).
        other: Position in the cast of the one who was met or given to, else -1.
        amount: How many (collect), or how many of them were eaten (eat).
        had: How many there were (eat).
    """

    kind: str
    who: int
    place: str
    thing: str = ""
    extra: str = ""
    other: int = -1
    amount: int = 0
    had: int = 0


class Ask(NamedTuple):
    """A question in no language yet.

    Attributes:
        kind: Names the templates of question and answer.
        event: The event that the answer stands in.
        earlier: The event that the question starts from, where there are two.
    """

    kind: str
    event: Event
    earlier: Event | None = None


class World:
    """One story while it happens: who is where, who holds what, and what has happened.

    Attributes:
        cast: The number of each person's name.
        events: What has happened so far.
        at: The place of each person, "" before they appear.
        holder: Who holds a thing, by thing; -1 once it was put somewhere.
        colour: The colour of each thing, by thing.
        last: The event that moved a thing last, by thing.
        words: The words of the events in the language that tells them, by id; see Language.
    """

    def __init__(self, dice: Dice, config: TaleConfig) -> None:
        self.dice = dice
        self.config = config
        self.cast = dice.shuffle(list(range(N_NAMES)))[: config.n_people]
        self.events: list[Event] = []
        self.at = [""] * config.n_people
        self.holder: dict[str, int] = {}
        self.colour: dict[str, str] = {}
        self.last: dict[str, Event] = {}
        self.collected: dict[str, Event] = {}
        self.words: dict[int, dict[str, str]] = {}
        self.used: dict[str, bool] = {}  # what may be said only once
        self.kinds = [pair for level in KINDS[: config.level] for pair in level]
        self.run()

    def run(self) -> None:
        """Let things happen until there are enough events."""
        n_people, n_events = self.config.n_people, self.config.n_events
        who = 0
        while len(self.events) < n_events:
            # Everybody has to appear while there are events left for it.
            missing = [p for p in range(n_people) if not self.at[p]]
            if len(missing) >= n_events - len(self.events):
                self.go(missing[0])
                continue
            if n_people > 1 and self.dice.random() < 0.5:
                who = self.dice.pick(missing) if missing else self.dice.below(n_people)
            if not self.at[who]:
                self.go(who)
            else:
                self.act(who)

    def act(self, who: int) -> None:
        """Let one person do something that is possible."""
        possible = [(kind, weight) for kind, weight in self.kinds if self.can(kind, who)]
        possible = possible or [("go", 1)]
        draw = self.dice.random() * sum(weight for _, weight in possible)
        chosen = possible[-1][0]
        for kind, weight in possible:
            draw -= weight
            if draw < 0:
                chosen = kind
                break
        getattr(self, chosen)(who)

    def can(self, kind: str, who: int) -> bool:
        """Say whether this can happen now, and would leave no question with two answers."""
        if kind == "go":
            return self.events[-1].who != who or self.events[-1].kind != "go"
        if kind == "give":
            return self.held(who, to_give=True) != "" and self.receivers(who) != []
        if kind == "put":
            return self.held(who) != ""
        if kind == "meet":
            return self.neighbour(who) >= 0
        if kind == "eat":
            return self.collected_by(who) is not None
        return f"{kind} {who}" not in self.used

    def held(self, who: int, to_give: bool = False) -> str:
        """Name a thing that somebody holds, and that was not given yet if it is to be; or ""."""
        for thing, holder in self.holder.items():
            if holder == who and not (to_give and self.last[thing].kind == "give"):
                return thing
        return ""

    def receivers(self, who: int) -> list[int]:
        """List who is near, to be given something; or who could come, if there is time for it."""
        others = [p for p, place in enumerate(self.at) if p != who and place == self.at[who]]
        if not others and len(self.events) + 2 + self.at.count("") <= self.config.n_events:
            others = [p for p in range(len(self.cast)) if p != who]
        return others

    def collected_by(self, who: int) -> Event | None:
        """Find what somebody collected that can be eaten, and was not yet."""
        for items in ("apples", "pears", "nuts", "eggs"):
            event = self.collected.get(items)
            if event is not None and event.who == who and f"eat {items}" not in self.used:
                return event
        return None

    def neighbour(self, who: int) -> int:
        """Find somebody at the same place whom this person has not met, or -1."""
        for other, place in enumerate(self.at):
            if other != who and place == self.at[who] and f"meet {who}" not in self.used:
                return other
        return -1

    def fresh(self, options: Sequence[str]) -> str:
        """Draw an option that the story does not hold yet."""
        left = [option for option in options if option not in self.used]
        choice = self.dice.pick(left or options)
        self.used[choice] = True
        return choice

    def add(self, event: Event) -> None:
        """Write down what happened."""
        self.events.append(event)

    # ---- what can happen

    def go(self, who: int, place: str = "") -> None:
        """Somebody goes somewhere; from level 2 on at times for a reason."""
        been = [event.place for event in self.events if event.kind == "go" and event.who == who]
        if not place:
            places = [p for p in PLACES if p not in been and p != self.at[who]]
            # Now and then to where somebody else is, so that people meet.
            taken = [p for p in self.at if p and p in places]
            place = self.dice.pick(taken if taken and self.dice.random() < 0.35 else places)
        purpose = ""
        if self.config.level > 1 and self.dice.random() < 0.4:
            purpose = self.fresh(PURPOSES)
        self.at[who] = place
        self.add(Event("go", who, place, extra=purpose))

    def find(self, who: int) -> None:
        """Somebody finds a thing, which nobody had before."""
        thing, colour = self.fresh(THINGS), self.dice.pick(COLOURS)
        self.used[f"find {who}"] = True
        event = Event("find", who, self.at[who], thing, colour)
        self.holder[thing], self.colour[thing], self.last[thing] = who, colour, event
        self.add(event)

    def see(self, who: int) -> None:
        """Somebody sees an animal."""
        self.used[f"see {who}"] = True
        self.add(Event("see", who, self.at[who], self.fresh(ANIMALS)))

    def collect(self, who: int) -> None:
        """Somebody collects two to nine of something."""
        self.used[f"collect {who}"] = True
        items = self.fresh(ITEMS)
        event = Event("collect", who, self.at[who], items, amount=2 + self.dice.below(8))
        self.collected[items] = event
        self.add(event)

    def like(self, who: int) -> None:
        """Somebody says what they like to eat."""
        self.used[f"like {who}"] = True
        self.add(Event("like", who, self.at[who], self.fresh(FOODS)))

    def give(self, who: int) -> None:
        """Somebody gives a thing away; the other one comes first, if need be."""
        thing = self.held(who, to_give=True)
        other = self.dice.pick(self.receivers(who))
        if self.at[other] != self.at[who]:
            self.go(other, self.at[who])
        event = Event("give", who, self.at[who], thing, self.colour[thing], other)
        self.holder[thing], self.last[thing] = other, event
        self.add(event)

    def put(self, who: int) -> None:
        """Somebody puts a thing somewhere and leaves it there."""
        thing = self.held(who)
        event = Event("put", who, self.at[who], thing, self.fresh(SPOTS))
        self.holder[thing], self.last[thing] = -1, event
        self.add(event)

    def use(self, who: int) -> None:
        """Somebody does a job with a tool; any tool will do."""
        self.used[f"use {who}"] = True
        job = self.fresh(JOBS)
        self.add(Event("use", who, self.at[who], job, self.fresh(TOOLS)))

    def feel(self, who: int) -> None:
        """Somebody feels something for a reason."""
        self.used[f"feel {who}"] = True
        feeling = self.fresh(FEELINGS)
        self.add(Event("feel", who, self.at[who], feeling, self.dice.pick(REASONS[feeling])))

    def meet(self, who: int) -> None:
        """Somebody meets another who is at the same place."""
        other = self.neighbour(who)
        self.used[f"meet {who}"] = self.used[f"meet {other}"] = True
        self.add(Event("meet", who, self.at[who], other=other))

    def eat(self, who: int) -> None:
        """Somebody eats some of what they collected, never all."""
        collected = self.collected_by(who)
        assert collected is not None  # can() said so
        self.used[f"eat {collected.thing}"] = True
        eaten = 1 + self.dice.below(collected.amount - 1)
        self.add(
            Event("eat", who, self.at[who], collected.thing, amount=eaten, had=collected.amount)
        )

    # ---- what can be asked

    def asks(self) -> list[Ask]:
        """List every question of this story's level, each with one answer."""
        level, asks = self.config.level, []
        latest: dict[int, Event] = {}  # where everybody went last
        before: dict[int, Event] = {}  # what everybody did last that can be named
        went: dict[int, Event] = {}
        for event in self.events:
            kind, who = event.kind, event.who
            asks += [Ask(name, event) for name in ABOUT[kind]]
            if kind == "go":
                if event.extra:
                    asks.append(Ask("why_go", event))
                if level > 2 and who in went:
                    asks.append(Ask("where_next", event, went[who]))
                latest[who] = went[who] = event
            if kind not in ("like", "feel"):
                if level > 2 and who in before and self.dice.random() < 0.3:
                    asks.append(Ask("what_next", event, before[who]))
                before[who] = event
        asks += [Ask("where_now", event) for event in latest.values()]
        for place in dict.fromkeys(self.at):
            here = [p for p, at in enumerate(self.at) if at == place]
            if place and len(here) == 1 and len(self.cast) > 1:
                asks.append(Ask("who_at", latest[here[0]]))
        for thing, event in self.last.items():
            holder = self.holder[thing]
            if holder < 0:
                asks.append(Ask("where_put", event))
                continue
            asks.append(Ask("who_has", event))
            if level > 2:
                asks.append(Ask("where_held", latest[holder], event))
        return asks

    def unanswerable(self, dice: Dice) -> tuple[Ask, int]:
        """Draw a question that this story does not answer, in the ways of those that it does.

        Args:
            dice: Where chance comes from; not the story's own, so that the story stays as it is.

        Returns:
            The question, about an event that is not in the story, and the number of a name that is
            not in the cast; its position is that behind the cast.
        """
        stranger = dice.pick([number for number in range(N_NAMES) if number not in self.cast])
        kinds = [kind for kind in UNASKED if kind != "feel" or self.config.level > 1]
        done = {(event.kind, event.who) for event in self.events}
        people = range(len(self.cast))
        undone = [(kind, who) for kind in kinds[1:] for who in people if (kind, who) not in done]
        fresh = {
            kind: [option for option in OPTIONS[kind] if option not in self.used] for kind in kinds
        }
        absent = [kind for kind in kinds[1:] if fresh[kind]]
        kind, who = dice.pick(kinds), len(self.cast)  # what a stranger did, or where he is
        asked = UNASKED[kind][0]
        draw = dice.below(3)
        if draw == 0 and undone:  # what somebody did who did no such thing
            kind, who = dice.pick(undone)
            asked = UNASKED[kind][0]
        elif draw == 1 and absent:  # who did it with something that is not there
            kind = dice.pick(absent)
            asked = dice.pick(UNASKED[kind][1])
        thing, extra = dice.pick(fresh[kind] or OPTIONS[kind]), ""
        if kind == "find":
            extra = dice.pick(COLOURS)
        elif kind == "feel":
            extra = dice.pick(REASONS[thing])
        place, thing = (thing, "") if kind == "go" else (dice.pick(PLACES), thing)
        return Ask(asked, Event(kind, who, place, thing, extra, amount=2)), stranger


# What may be asked of an event that did not happen: of a person, and of a thing.
UNASKED = {
    "go": ("where_now", ()),
    "find": ("what_found", ("who_found", "colour")),
    "see": ("what_saw", ("who_saw",)),
    "collect": ("what_collected", ("who_collected",)),
    "like": ("what_like", ("who_likes",)),
    "feel": ("how_feel", ("who_feels",)),
}
OPTIONS: dict[str, tuple[str, ...]] = {
    "go": PLACES,
    "find": THINGS,
    "see": ANIMALS,
    "collect": ITEMS,
    "like": FOODS,
    "feel": FEELINGS,
}

# What may be asked of any one event, whatever comes after it.
ABOUT = {
    "go": (),
    "find": ("what_found", "who_found", "where_found", "colour"),
    "see": ("what_saw", "who_saw"),
    "collect": ("how_many", "who_collected", "what_collected"),
    "like": ("what_like", "who_likes"),
    "give": ("gave_to", "who_gave", "what_gave"),
    "put": ("who_put",),
    "use": ("with_what", "who_used"),
    "feel": ("why_feel", "how_feel", "who_feels"),
    "meet": ("who_met",),
    "eat": ("how_many_left",),
}


def combination(cast: Sequence[int], events: Sequence[Event]) -> str:
    """Name who, where and what a story is about, in an order of its own.

    Stories of one combination are all on the same side of the split between training and
    evaluation, in every language and at every level.

    Example:
        >>> combination([4, 1], [Event("go", 0, "park"), Event("find", 0, "park", "kite", "red")])
        'p1,p4|park|kite'
    """
    people = sorted(cast)
    places = sorted({event.place for event in events})
    things = sorted({event.thing for event in events if event.thing})
    return "|".join((",".join(f"p{i}" for i in people), ",".join(places), ",".join(things)))


def is_held_out(combination: str, share: int = 16) -> bool:
    """Say whether a combination belongs to the evaluation: one of `share` does, by its hash.

    Args:
        combination: As `combination` names it.
        share: One of so many is held out.

    Returns:
        The same answer for the same combination, on every machine.
    """
    return hashlib.blake2b(combination.encode(), digest_size=4).digest()[0] % share == 0
