"""The losses of a run as a picture: an SVG file, written here, so that it needs no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from happyllm.files import written_whole

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 36, 44
SMOOTHED = 50  # a mean forgets within this part of a run

Point = tuple[float, float]


def plot_losses(records: Sequence[dict[str, Any]], path: Path, title: str = "") -> bool:
    """Draw the training loss, its running mean, and the held-out loss, over the updates.

    Args:
        records: As `happyllm.train.log.read_log` reads them.
        path: The SVG file.
        title: Written above.

    Returns:
        False where there is nothing to draw: then nothing is written.
    """
    steps = [(float(r["step"]), r["loss"]) for r in records if r.get("kind") == "step"]
    evals = [(float(r["step"]), r["loss"]) for r in records if r.get("kind") == "eval"]
    steps = [(x, y) for x, y in steps if isinstance(y, float) and math.isfinite(y)]
    if not steps:
        return False
    with written_whole(path) as file:
        file.write(svg(steps, evals, title))
    return True


def svg(steps: Sequence[Point], evals: Sequence[Point], title: str) -> str:
    """The picture as text.

    Example:
        >>> picture = svg([(1.0, 5.0), (2.0, 4.0)], [(2.0, 4.1)], "a < b")
        >>> picture.startswith("<svg ") and "a &lt; b" in picture
        True
    """
    last = max(x for x, _ in steps)
    values = [y for _, y in [*steps, *evals]]
    low, high = min(values), max(values)
    ticks_y = ticks(low, high)
    low, high = min(low, ticks_y[0]), max(high, ticks_y[-1])
    ticks_x = ticks(0.0, last)

    def at(x: float, y: float) -> str:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / max(last, 1.0)
        down = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - low) / max(high - low, 1e-9)
        return f"{across:.1f},{down:.1f}"

    def line(points: Sequence[Point], kind: str) -> str:
        return f'<polyline class="{kind}" points="{" ".join(at(x, y) for x, y in points)}"/>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{_escaped(title or 'Losses')}</title>",
        "<style>text{font:12px sans-serif;fill:#444}.grid{stroke:#ccc;stroke-width:1}"
        "polyline{fill:none}.each{stroke:#9ab8d8;stroke-width:1}"
        ".mean{stroke:#1f5fa8;stroke-width:2}.held{stroke:#c8501e;stroke-width:2}"
        ".dot{fill:#c8501e}@media(prefers-color-scheme:dark){text{fill:#ccc}"
        ".grid{stroke:#555}}</style>",
        f'<text x="{LEFT}" y="20" font-weight="bold">{_escaped(title)}</text>',
    ]
    for value in ticks_y:
        across, down = at(0.0, value).split(",")
        parts.append(
            f'<line class="grid" x1="{across}" y1="{down}" x2="{WIDTH - RIGHT}" y2="{down}"/>'
            f'<text x="{LEFT - 8}" y="{float(down) + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    for value in ticks_x:
        across = at(value, low).split(",")[0]
        parts.append(
            f'<text x="{across}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:g}</text>'
        )
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">updates</text>')
    parts += [line(steps, "each"), line(running_mean(steps), "mean")]
    if evals:
        parts.append(line(evals, "held"))
        dots = (at(x, y).split(",") for x, y in evals)
        parts += [f'<circle class="dot" cx="{x}" cy="{y}" r="3"/>' for x, y in dots]
    legend = [("mean", "training loss"), *([("held", "held-out loss")] if evals else [])]
    for row, (kind, name) in enumerate(legend):
        x, y = WIDTH - RIGHT - 130, TOP + 14 + 18 * row
        parts.append(f'<polyline class="{kind}" points="{x},{y - 4} {x + 24},{y - 4}"/>')
        parts.append(f'<text x="{x + 30}" y="{y}">{name}</text>')
    return "\n".join((*parts, "</svg>\n"))


def running_mean(points: Sequence[Point]) -> list[Point]:
    """Smooth a curve: a mean that forgets, and that is right from its first point on.

    Example:
        >>> running_mean([(1.0, 4.0), (2.0, 4.0)])
        [(1.0, 4.0), (2.0, 4.0)]
    """
    keep = 1 - 1 / max(2.0, len(points) / SMOOTHED)
    mean, weight, result = 0.0, 0.0, []
    for x, y in points:
        mean, weight = keep * mean + (1 - keep) * y, keep * weight + (1 - keep)
        result.append((x, round(mean / weight, 6)))
    return result


def ticks(low: float, high: float) -> list[float]:
    """Round numbers that lie around a range, four to eight of them.

    Example:
        >>> ticks(0.3, 6.2)
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
        >>> ticks(0.0, 1200.0)
        [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0, 1200.0]
    """
    span = max(high - low, 1e-6)
    unit = 10.0 ** math.floor(math.log10(span))
    step = next(unit * m for m in (0.1, 0.2, 0.5, 1.0, 2.0) if span / (unit * m) <= 7)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
