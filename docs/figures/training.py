"""Paths down a valley, rates, curves, masks, filters, beams (5.3.4 to 5.3.6).

The curves of real trainings come from runs/training.json, which runs/training.py writes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from style import BLUE, GREEN, INK, ORANGE, PURPLE, RED, bare

RUNS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "runs" / "training.json").read_text(encoding="utf-8")
)
MONO = "DejaVu Sans Mono"
Point = tuple[float, float]

# ---- 5.3.4: pretraining

START: Point = (-4.5, 1.3)
STEEP = 30.0  # how much steeper the valley is across than along


def gradient(x: float, y: float) -> Point:
    """The slope of (x ** 2 + STEEP * y ** 2) / 2."""
    return x, STEEP * y


def descent(lr: float, steps: int) -> Iterator[Point]:
    """Plain gradient descent."""
    x, y = START
    for _ in range(steps):
        yield x, y
        gx, gy = gradient(x, y)
        x, y = x - lr * gx, y - lr * gy


def adam(lr: float, steps: int) -> Iterator[Point]:
    """Adam, as the page has it, with a rate that falls in a straight line."""
    w, m, v = list(START), [0.0, 0.0], [0.0, 0.0]
    for t in range(1, steps + 1):
        yield w[0], w[1]
        for i, g in enumerate(gradient(*w)):
            m[i], v[i] = 0.9 * m[i] + 0.1 * g, 0.95 * v[i] + 0.05 * g * g
            step = (m[i] / (1 - 0.9**t)) / (math.sqrt(v[i] / (1 - 0.95**t)) + 1e-8)
            w[i] -= lr * (1 - t / steps) * step


def valley() -> Figure:
    """Draw both paths over the valley's lines of equal height."""
    figure, axes = bare(7.6, 2.9)
    axes.set(xlim=(-5.2, 1.9), ylim=(-1.75, 1.75), aspect="auto")
    around = [2 * math.pi * i / 120 for i in range(121)]
    for height in (0.25, 1.5, 5, 12, 22):
        a, b = math.sqrt(2 * height), math.sqrt(2 * height / STEEP)
        axes.plot(
            [a * math.cos(t) for t in around],
            [b * math.sin(t) for t in around],
            color=INK,
            linewidth=0.8,
            alpha=0.6,
        )
    for path, color in ((descent(0.063, 25), ORANGE), (adam(0.35, 40), BLUE)):
        points = list(path)
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, color=color, linewidth=1.6, marker="o", markersize=3)
    axes.plot(0, 0, marker="+", color=INK, markersize=12, markeredgewidth=2)
    return figure


def schedule() -> Figure:
    """Draw warmup, half a cosine and the floor."""
    top, floor, warmup, total = 1.0, 0.1, 12, 100
    steps = list(range(121))
    rates = []
    for step in steps:
        u = min(1.0, (step - warmup) / (total - warmup))
        height = floor + (top - floor) * (1 + math.cos(math.pi * u)) / 2
        rates.append(top * step / warmup if step < warmup else height)
    figure = Figure(figsize=(7.6, 2.7))
    axes = figure.add_axes((0.09, 0.17, 0.88, 0.76))
    axes.plot(steps, rates, color=BLUE, linewidth=2.4)
    for x, y in ((warmup, top), (total, floor)):
        axes.plot([x, x], [0, y], color=INK, linewidth=0.8, linestyle=":")
        axes.plot([0, x], [y, y], color=INK, linewidth=0.8, linestyle=":")
    axes.set(xlim=(0, 121), ylim=(0, 1.12), ylabel=r"$\eta(s)$")
    axes.set_xticks([0, warmup, total], ["0", "$w$", "$S$"])
    axes.set_yticks([0, floor, top], ["0", r"$\eta_{\min}$", r"$\eta_{\max}$"])
    return figure


def curves() -> Figure:
    """Draw the loss of four trainings, and the three marks of the page."""
    figure = Figure(figsize=(7.6, 3.6))
    axes = figure.add_axes((0.08, 0.14, 0.8, 0.82))
    for mark in (6.24, 4.68, 1.53):
        axes.plot([0, 300], [mark, mark], color=INK, linewidth=1, linestyle=":")
    for (rate, losses), color in zip(
        RUNS["rates"].items(), (PURPLE, GREEN, BLUE, RED), strict=True
    ):
        smooth = [sum(losses[max(0, i - 4) : i + 1]) / min(5, i + 1) for i in range(len(losses))]
        axes.plot(range(1, len(losses) + 1), smooth, color=color, linewidth=1.8)
        axes.annotate(
            f"{float(rate):g}",
            (300, smooth[-1]),
            (5, 0),
            textcoords="offset points",
            color=color,
            va="center",
        )
    axes.set(xlim=(0, 300), ylim=(0, 7), xlabel="$s$", ylabel="$L$")
    return figure


def polynomial(s: float, rounds: int) -> float:
    """Muon's polynomial on one singular value."""
    for _ in range(rounds):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return s


def muon() -> Figure:
    """Draw what one, two and five rounds make of a singular value."""
    figure = Figure(figsize=(7.6, 2.9))
    axes = figure.add_axes((0.08, 0.17, 0.84, 0.78))
    values = [i / 400 for i in range(401)]
    axes.plot(values, values, color=INK, linewidth=1, linestyle=":")
    for rounds, color in ((1, ORANGE), (2, GREEN), (5, BLUE)):
        out = [polynomial(s, rounds) for s in values]
        axes.plot(values, out, color=color, linewidth=1.8)
        at = {1: 0.62, 2: 0.1, 5: 0.66}[rounds]
        offset = {1: (0, -14), 2: (12, -2), 5: (-2, 8)}[rounds]
        axes.annotate(
            str(rounds),
            (at, polynomial(at, rounds)),
            offset,
            textcoords="offset points",
            color=color,
            weight="bold",
        )
    axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.3), xlabel=r"$\sigma$")
    return figure


# ---- 5.3.5: fine-tuning


def mask() -> Figure:
    """Draw the tokens of a short conversation, and which are learned."""
    figure, axes = bare(7.6, 1.75)
    lines = (
        ("<|im_start|>", "user", "↵", "Where", " is", " Tom", "?", "<|im_end|>", "↵"),
        ("<|im_start|>", "assistant", "↵", "In", " the", " park", ".", "<|im_end|>", "↵"),
    )
    for number, line in enumerate(lines):
        left, y = 0.15, 1.05 - 0.82 * number
        for place, token in enumerate(line):
            width = 0.2 + 0.083 * max(len(token), 2)
            learned = number == 1 and 3 <= place <= 7
            axes.add_patch(
                Rectangle(
                    (left, y),
                    width,
                    0.5,
                    facecolor=BLUE if learned else "none",
                    alpha=0.3 if learned else 1,
                    edgecolor="none" if learned else INK,
                )
            )
            axes.add_patch(
                Rectangle(
                    (left, y),
                    width,
                    0.5,
                    fill=False,
                    edgecolor=BLUE if learned else INK,
                    linewidth=2 if learned else 0.8,
                )
            )
            axes.text(
                left + width / 2,
                y + 0.25,
                token.replace(" ", "␣"),
                family=MONO,
                size=9,
                ha="center",
                va="center",
            )
            left += width + 0.05
    return figure


def density() -> Figure:
    """Draw exact answers against tokens read, for short stories and for long ones."""
    figure = Figure(figsize=(7.6, 2.9))
    for i, kind in enumerate(("short", "long")):
        axes = figure.add_axes((0.09 + i * 0.485, 0.19, 0.4, 0.76))
        for start in ("short", "fresh") if kind == "short" else ("long",):
            for name, color in (("all", BLUE), ("one", ORANGE)):
                points = RUNS[start][name]
                axes.plot(
                    [tokens / 1e6 for tokens, _ in points],
                    [100 * share for _, share in points],
                    color=color,
                    linewidth=1.4 if start == "fresh" else 2.2,
                    linestyle=":" if start == "fresh" else "-",
                )
        axes.set(xlim=(0, 1.62), ylim=(0, 100 if kind == "short" else 40))
        axes.set(xlabel=r"$10^6$", ylabel="%" if i == 0 else "")
    return figure


# ---- 5.3.6: writing


def bars(axes: Axes, heights: list[float], color: str, shift: float = 0.0) -> None:
    """Draw a row of bars."""
    axes.bar(
        [i + shift for i in range(len(heights))],
        heights,
        width=0.36 if shift else 0.72,
        color=color,
        alpha=0.75,
    )


def filters() -> Figure:
    """Draw what three filters keep of a sure and of an unsure distribution."""
    figure = Figure(figsize=(7.6, 3.1))
    for i, ratio in enumerate((0.28, 0.88)):
        weights = [ratio**n for n in range(10)]
        p = [w / sum(weights) for w in weights]
        axes = figure.add_axes((0.06 + i * 0.49, 0.33, 0.43, 0.62))
        bars(axes, p, INK)
        so_far = [sum(p[:n]) for n in range(10)]  # the sum before each
        kept = (
            ("k", GREEN, 4),
            ("p", ORANGE, sum(before < 0.9 for before in so_far)),
            ("m", BLUE, sum(one >= 0.1 * p[0] for one in p)),
        )
        for row, (name, color, count) in enumerate(kept):
            y = -0.09 - 0.115 * row
            axes.plot(
                [-0.4, count - 0.6],
                [y, y],
                color=color,
                linewidth=5,
                solid_capstyle="butt",
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )
            axes.text(
                -0.75,
                y,
                f"${name}$",
                color=color,
                ha="right",
                va="center",
                transform=axes.get_xaxis_transform(),
            )
        axes.plot([-0.4, 9.4], [0.1 * p[0]] * 2, color=BLUE, linewidth=1.2, linestyle="--")
        axes.set(xlim=(-0.6, 9.6), ylim=(0, 0.8 if i == 0 else 0.2))
        axes.set_xticks([])
    return figure


def beam() -> Figure:
    """Draw the tree of the page's example, two beams wide."""
    figure, axes = bare(7.6, 3.1)
    names = "ABC"
    start = (0.5, 0.1, 0.4)
    after = ((0.1, 0.5, 0.4), (0.4, 0.3, 0.3), (0.9, 0.05, 0.05))
    root = (0.5, 1.55)
    tops = {0: 2.45, 2: 0.65, 1: 1.55}

    def edge(begin: Point, end: Point, kept: bool) -> None:
        axes.plot(
            [begin[0] + 0.16, end[0] - 0.2],
            [begin[1], end[1]],
            color=BLUE if kept else INK,
            linewidth=2.4 if kept else 1,
            linestyle="-" if kept else ":",
        )

    def node(at: Point, text: str, kept: bool) -> None:
        axes.text(*at, text, color=BLUE if kept else INK, ha="center", va="center", size=12)

    node(root, "•", True)
    best = sorted(((start[i] * after[i][j], i, j) for i in (0, 2) for j in range(3)), reverse=True)[
        :2
    ]
    for i, y in tops.items():
        kept = i in (0, 2)
        edge(root, (2.6, y), kept)
        node((2.6, y), names[i], kept)
        axes.text(1.55, (root[1] + y) / 2 + 0.16, f"{start[i]:g}", ha="center", size=10)
        if not kept:
            continue
        for j in range(3):
            at = (5.4, y + 0.55 * (1 - j))
            alive = any((i, j) == (a, b) for _, a, b in best)
            edge((2.6, y), at, alive)
            node(at, names[j], alive)
            color = BLUE if alive else INK
            axes.text(
                5.75,
                at[1],
                f"{start[i]:g} · {after[i][j]:g} = {start[i] * after[i][j]:.2f}",
                color=color,
                va="center",
                size=10,
                weight="bold" if alive else "normal",
            )
    return figure


def speculative() -> Figure:
    """Draw p and q, what is kept of the draft, and what a refusal adds."""
    p, q = (0.5, 0.3, 0.1, 0.1), (0.2, 0.3, 0.4, 0.1)
    figure = Figure(figsize=(7.6, 2.7))
    left = figure.add_axes((0.06, 0.14, 0.4, 0.78))
    bars(left, list(p), BLUE, -0.19)
    bars(left, list(q), ORANGE, 0.19)
    for x, name, color, y in ((-0.19, "p", BLUE, 0.52), (0.19, "q", ORANGE, 0.22)):
        left.text(x, y, f"${name}$", color=color, ha="center")
    right = figure.add_axes((0.56, 0.14, 0.4, 0.78))
    kept = [min(a, b) for a, b in zip(p, q, strict=True)]
    right.bar(range(4), kept, width=0.72, color=ORANGE, alpha=0.75)
    right.bar(
        range(4),
        [a - k for a, k in zip(p, kept, strict=True)],
        bottom=kept,
        width=0.72,
        color="none",
        edgecolor=BLUE,
        hatch="///",
    )
    right.bar(
        range(4),
        [b - k for b, k in zip(q, kept, strict=True)],
        bottom=kept,
        width=0.72,
        color="none",
        edgecolor=ORANGE,
        linestyle=":",
    )
    for axes in (left, right):
        axes.set(xlim=(-0.6, 3.6), ylim=(0, 0.6))
        axes.set_xticks(range(4))
    return figure


def draw() -> dict[str, Figure]:
    """Draw the figures of this file."""
    return {
        "5-3-4-valley.svg": valley(),
        "5-3-4-schedule.svg": schedule(),
        "5-3-4-curves.svg": curves(),
        "5-3-4-muon.svg": muon(),
        "5-3-5-mask.svg": mask(),
        "5-3-5-density.svg": density(),
        "5-3-6-filters.svg": filters(),
        "5-3-6-beam.svg": beam(),
        "5-3-6-speculative.svg": speculative(),
    }
