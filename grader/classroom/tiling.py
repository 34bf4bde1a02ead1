"""What two folded texts have in common, in whatever order it stands.

Fingerprints (winnowing: Schleimer, Wilkerson and Aiken 2003, "Winnowing: Local Algorithms for
Document Fingerprinting", Section 3) say which texts are worth comparing; greedy string tiling
(Wise 1993, "String Similarity via Greedy String Tiling and Running Karp-Rabin Matching") then
finds the longest runs of tokens that both have, each token once.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

GRAM: Final = 12  # tokens: about a statement; what is shorter than this is chance
WINDOW: Final = 6  # of so many grams one at least is a fingerprint
_REPEATS: Final = 16  # places of one gram that are looked at: a table of numbers has thousands

Gram = tuple[int, ...]


@dataclass(frozen=True)
class Tile:
    """A run of tokens that both texts have: where it begins in each, and how long it is."""

    left: int
    right: int
    length: int


def grams(codes: Sequence[int]) -> list[Gram]:
    """Every run of so many tokens, by the place where it begins."""
    codes = tuple(codes)
    return [codes[place : place + GRAM] for place in range(len(codes) - GRAM + 1)]


def covered(found: Sequence[Gram], known: Collection[Gram], length: int) -> bytearray:
    """Which of the tokens of a text lie in a gram that is known; one for each that does."""
    marks = bytearray(length)
    for place, gram in enumerate(found):
        if gram in known:
            marks[place : place + GRAM] = b"\1" * GRAM
    return marks


def without_scraps(given: bytearray) -> bytearray:
    """The same marks, where what is left between two is marked too if it is shorter than a gram."""
    marks, start = bytearray(given), 0
    for place in range(len(given) + 1):
        if place == len(given) or given[place]:
            if place - start < GRAM:
                marks[start:place] = b"\1" * (place - start)
            start = place + 1
    return marks


def fingerprints(found: Sequence[Gram], given: bytearray) -> set[int]:
    """Hashes that stand for a text, of what is its own."""
    hashes = [
        None if any(given[place : place + GRAM]) else hash(gram) for place, gram in enumerate(found)
    ]
    chosen: set[int] = set()
    for start in range(max(1, len(hashes) - WINDOW + 1)):
        window = [one for one in hashes[start : start + WINDOW] if one is not None]
        if window:
            chosen.add(min(window))
    return chosen


def tiles(
    left: Sequence[Gram], right: Sequence[Gram], left_given: bytearray, right_given: bytearray
) -> list[Tile]:
    """What two texts have in common, the longest first; what is given is left out.

    Args:
        left: the grams of one.
        right: the grams of the other.
        left_given: marks the tokens of the one that are not its author's own.
        right_given: marks those of the other.
    """
    left_used, right_used = bytearray(left_given), bytearray(right_given)
    heap = [(-tile.length, tile.left, tile.right) for tile in _matches(left, right)]
    heapq.heapify(heap)
    kept: list[Tile] = []
    while heap:
        length, at_left, at_right = heapq.heappop(heap)
        length = -length
        free = list(_free(left_used, right_used, at_left, at_right, length))
        if free != [(0, length)]:  # a longer one has taken a part of it: the rest waits its turn
            for offset, rest in free:
                heapq.heappush(heap, (-rest, at_left + offset, at_right + offset))
            continue
        left_used[at_left : at_left + length] = b"\1" * length
        right_used[at_right : at_right + length] = b"\1" * length
        kept.append(Tile(at_left, at_right, length))
    return kept


def _matches(left: Sequence[Gram], right: Sequence[Gram]) -> Iterator[Tile]:
    """Every run that both have and that cannot be made longer, given or not."""
    places: dict[Gram, list[int]] = defaultdict(list)
    for place, gram in enumerate(right):
        if len(places[gram]) < _REPEATS:
            places[gram].append(place)
    running: dict[int, tuple[int, int]] = {}  # by the distance of the places: begin, end
    for at_left, gram in enumerate(left):
        for at_right in places.get(gram, ()):
            distance = at_right - at_left
            begin, end = running.get(distance, (at_left, -1))
            if end not in (-1, at_left - 1):
                yield Tile(begin, begin + distance, end - begin + GRAM)
                begin = at_left
            running[distance] = (begin, at_left)
    for distance, (begin, end) in running.items():
        yield Tile(begin, begin + distance, end - begin + GRAM)


def _free(
    left: bytearray, right: bytearray, at_left: int, at_right: int, length: int
) -> Iterator[tuple[int, int]]:
    """The parts of a run that are free on both sides and not too short: offsets and lengths."""
    start = 0
    for offset in range(length + 1):
        if offset == length or left[at_left + offset] or right[at_right + offset]:
            if offset - start >= GRAM:
                yield start, offset - start
            start = offset + 1
