"""A curve drawn with braille dots: two dots across and four down in each cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

# The bit of each dot in its cell, by row and column.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_EMPTY = 0x2800


def curve(values: Sequence[float], width: int, height: int) -> list[str]:
    """Draw values from left to right, zero at the bottom and the largest at the top.

    What is no number leaves a gap; neighbours are joined.

    Args:
        values: what to draw; at least one of them finite, or nothing is drawn.
        width: in cells.
        height: in cells.

    Returns:
        `height` lines of `width` characters, top first.
    """
    across, down = 2 * width, 4 * height
    cells = [[_EMPTY] * width for _ in range(height)]
    finite = [value for value in values if math.isfinite(value)]
    top = max(finite, default=0.0) or 1.0
    before: int | None = None
    for x in range(across):
        value = _at(values, x / max(1, across - 1)) if values else math.nan
        if not math.isfinite(value):
            before = None
            continue
        y = round((1 - max(0.0, value) / top) * (down - 1))
        first, last = (y, y) if before is None else sorted((before, y))
        for row in range(first, last + 1):
            cells[row // 4][x // 2] |= _DOTS[row % 4][x % 2]
        before = y
    return ["".join(map(chr, row)) for row in cells]


def _at(values: Sequence[float], share: float) -> float:
    """The value a share of the way along, between its two neighbours."""
    place = share * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)
