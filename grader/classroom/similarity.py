"""Which hand-ins of a class are alike beyond what they must be, as evidence to look at.

Each exercise is compared by itself. What nobody can be asked about is left out first: what the stub
gives, what the book shows, what much of the class has. An exercise whose solution is short by
nature is not compared at all: everybody's would look alike.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from grader import shelf
from grader.catalogue import Catalogue, Exercise, Text
from grader.handin import HandInError
from grader.resemblance import (
    RESEMBLANCE_VERSION,
    Compared,
    Match,
    NotCompared,
    Pair,
    Resemblance,
    Span,
)
from happyllm import __version__

from . import batch, roster
from .batch import Assignment
from .folding import Folded, FoldingError, fold
from .record import Record
from .roster import Found, Matched
from .tiling import Gram, Tile, covered, fingerprints, grams, tiles, without_scraps

THRESHOLD: Final = 0.75
LEAST_TOKENS: Final = 120  # of a solution's own, or the exercise is short by nature
LEAST_ALIKE: Final = 60  # in common: some five statements
MUCH_OF_CLASS: Final = 0.25
_FEW: Final = 8  # who share a text are no custom of a class yet
_BLOCK: Final = re.compile(
    r"^```(?:python\b|\{[^}\n]*\.python\b)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class HandedIn:
    """What one student has handed in, and what could not be read of it."""

    student: str
    files: Mapping[str, str]
    problems: Mapping[str, Text] = field(default_factory=dict)


# ---- whose is compared


def of_folder(matched: Matched, known: Catalogue) -> list[HandedIn]:
    """Everybody's newest hand-in that can be read, from the hand-ins themselves."""
    attempts: dict[str, list[Found]] = defaultdict(list)
    for found in matched.found:
        attempts[found.student].append(found)
    return [_newest(student, found, known) for student, found in attempts.items()]


def _newest(student: str, attempts: Iterable[Found], known: Catalogue) -> HandedIn:
    problems: dict[str, Text] = {}
    for found in roster.in_order(attempts)[::-1]:
        try:
            taken = batch.read(found.path, known)
        except HandInError as error:
            problems[found.name] = error.text
        except OSError as error:
            why = error.strerror or type(error).__name__
            problems[found.name] = Text(f"cannot be read: {why}.", f"无法读取：{why}。")
        else:
            return HandedIn(student, taken.files, problems | dict(taken.unread))
    return HandedIn(student, {}, problems)


def of_record(record: Record) -> list[HandedIn]:
    """Everybody's newest hand-in that can be read, from a record."""
    found = []
    for submission in batch.fair(record.submissions(), "last"):
        if submission.content is None:
            why = submission.problem or Text("cannot be read", "无法读取")
            found.append(HandedIn(submission.student, {}, {submission.name: why}))
        else:
            unread = _unread(submission.notes)
            found.append(HandedIn(submission.student, record.files(submission.content), unread))
    return found


def _unread(notes: Iterable[Text]) -> dict[str, Text]:
    """The files that could not be read, from the notes on a hand-in."""
    parted = [(note.en.partition(": "), note.zh.partition("：")) for note in notes]
    return {en[0]: Text(en[2], zh[2]) for en, zh in parted if en[0].endswith(".py") and en[2]}


# ---- comparing


def compare(
    hand_ins: Sequence[HandedIn], what: Assignment, threshold: float = THRESHOLD
) -> Resemblance:
    """Compare every hand-in with every other."""
    shown = _shown(tuple(shelf.pages()))
    found: dict[tuple[str, str], list[Match]] = defaultdict(list)
    exercises: list[Compared] = []
    not_compared = [
        NotCompared(one.student, file, why)
        for one in hand_ins
        for file, why in one.problems.items()
    ]
    for exercise in what.exercises:
        room = _Room(exercise, shown)
        if room.own >= LEAST_TOKENS:
            for one in hand_ins:
                text = one.files.get(exercise.file)
                try:
                    if text is not None:
                        room.enter(one.student, text)
                except FoldingError as error:
                    not_compared.append(NotCompared(one.student, exercise.file, error.text))
            for left, right, match in room.alike(threshold):
                found[left, right].append(match)
        exercises.append(room.compared())
    pairs = [Pair(left, right, tuple(matches)) for (left, right), matches in found.items()]
    return Resemblance(
        version=RESEMBLANCE_VERSION,
        happyllm=__version__,
        chapter=what.chapter,
        title=what.title,
        hand_ins=len(hand_ins),
        threshold=threshold,
        pairs=tuple(sorted(pairs, key=lambda p: (-len(p.matches), -p.tokens, p.left, p.right))),
        exercises=tuple(exercises),
        not_compared=tuple(not_compared),
    )


@dataclass
class _Text:
    """One student's answer to one exercise."""

    student: str
    folded: Folded
    grams: list[Gram]
    given: bytearray = field(default_factory=bytearray)

    @property
    def own(self) -> int:
        return len(self.folded) - sum(self.given)


class _Room:
    """All the answers to one exercise."""

    def __init__(self, exercise: Exercise, shown: Collection[Gram]):
        self.exercise = exercise
        solution = fold(shelf.solution(exercise))
        self.solution = frozenset(grams(solution.codes))
        self.given = frozenset([*grams(fold(shelf.stub(exercise)).codes), *shown])
        alone = grams(solution.codes)
        marks = without_scraps(covered(alone, self.given, len(solution)))
        self.own = len(solution) - sum(marks)
        self.texts: list[_Text] = []
        self.shared = 0

    def enter(self, student: str, text: str) -> None:
        """Take an answer in.

        Raises:
            FoldingError: it cannot be compared.
        """
        folded = fold(text)
        self.texts.append(_Text(student, folded, grams(folded.codes)))

    def compared(self) -> Compared:
        return Compared(
            exercise=self.exercise.id,
            hand_ins=len(self.texts),
            own=self.own,
            too_short=self.own < LEAST_TOKENS,
            shared=self.shared,
        )

    def alike(self, threshold: float) -> Iterator[tuple[str, str, Match]]:
        """The pairs that are alike, by the fingerprints of what is their own."""
        self._leave_out()
        standing = [one for one in self.texts if one.own >= LEAST_ALIKE]
        prints = [fingerprints(one.grams, one.given) for one in standing]
        having: dict[int, list[int]] = defaultdict(list)
        for place, mine in enumerate(prints):
            for one in mine:
                having[one].append(place)
        common: Counter[tuple[int, int]] = Counter()
        for places in having.values():
            common.update(itertools.combinations(places, 2))
        for (a, b), count in common.items():
            # Half of the threshold: fingerprints tell how much two texts share by and large.
            if count >= threshold / 2 * min(len(prints[a]), len(prints[b])):
                match = self._match(standing[a], standing[b])
                if match.tokens >= LEAST_ALIKE and match.score >= threshold:
                    yield standing[a].student, standing[b].student, match

    def _leave_out(self) -> None:
        """Mark what is nobody's own: what is given, and what much of the class has."""
        count: Counter[Gram] = Counter()
        for one in self.texts:
            count.update(set(one.grams))
        most = max(_FEW, MUCH_OF_CLASS * len(self.texts))
        known = self.given | {gram for gram, times in count.items() if times > most}
        for one in self.texts:
            one.given = without_scraps(covered(one.grams, self.given, len(one.folded)))
            before = one.own
            one.given = without_scraps(covered(one.grams, known, len(one.folded)))
            self.shared += before >= LEAST_ALIKE and one.own < before / 2

    def _match(self, left: _Text, right: _Text) -> Match:
        found = tiles(left.grams, right.grams, left.given, right.given)
        tokens = sum(tile.length for tile in found)
        published = covered(left.grams, self.solution, len(left.folded))
        as_solution = sum(sum(published[t.left : t.left + t.length]) for t in found)
        left_share, right_share = (round(tokens / max(1, one.own), 4) for one in (left, right))
        return Match(
            exercise=self.exercise.id,
            file=self.exercise.file,
            score=max(left_share, right_share),
            left_share=left_share,
            right_share=right_share,
            tokens=tokens,
            as_solution=round(as_solution / max(1, tokens), 4),
            spans=tuple(_span(tile, left.folded, right.folded) for tile in sorted(found, key=_at)),
        )


def _at(tile: Tile) -> int:
    return tile.left


def _span(tile: Tile, left: Folded, right: Folded) -> Span:
    last = tile.length - 1
    return Span(
        left_first=left.lines[tile.left],
        left_last=left.lines[tile.left + last],
        right_first=right.lines[tile.right],
        right_last=right.lines[tile.right + last],
        tokens=tile.length,
    )


@functools.lru_cache(maxsize=2)
def _shown(pages: tuple[str, ...]) -> frozenset[Gram]:
    """What the pages of the book show as Python; a page is one text, as it is run."""
    shown: set[Gram] = set()
    for page in pages:
        try:
            shown.update(grams(fold("\n".join(_BLOCK.findall(page))).codes))
        except FoldingError:
            continue  # a page that shows what is no Python, on purpose
    return frozenset(shown)
