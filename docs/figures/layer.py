"""The gate of the MLP, and the stream that is only added to (5.1.4, 5.1.5)."""

from __future__ import annotations

import numpy as np
from heads import box
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from style import BLUE, GREEN, INK, ORANGE, PURPLE, bare


def silu() -> Figure:
    """Draw ReLU and SiLU, and what passes of three proposals as the gate goes."""
    g = np.linspace(-6, 6, 241)
    s = g / (1 + np.exp(-g))
    figure = Figure(figsize=(7.4, 2.9))
    axes = figure.add_axes((0.07, 0.16, 0.4, 0.78))
    axes.plot(g, np.maximum(g, 0), color=INK, linestyle="--", linewidth=1.6)
    axes.plot(g, s, color=BLUE, linewidth=2)
    axes.text(2.1, 4.3, r"$\mathrm{ReLU}(g)$", ha="right", color=INK)
    axes.text(-1.3, -0.75, r"$\mathrm{SiLU}(g)$", ha="center", va="top", color=BLUE)
    axes.set_xlabel("$g$")
    axes.set(ylim=(-1.5, 6))
    axes = figure.add_axes((0.58, 0.16, 0.4, 0.78))
    for u, color in ((1, GREEN), (2, ORANGE), (3, PURPLE)):
        axes.plot(g, s * u, color=color, linewidth=2)
        axes.text(6.15, 5.98 * u, f"$u = {u}$", va="center", color=color)
    axes.set_xlabel("$g$")
    axes.set_title(r"$\mathrm{silu}(g) \cdot u$", color=INK, size=12)
    axes.set(xlim=(-6, 7.6))
    return figure


def stream() -> Figure:
    """Draw one layer: a straight stream, and two branches that read it and add to it."""
    figure, axes = bare(7.6, 2.5)
    y = 0.62
    axes.annotate(
        "",
        (7.3, y),
        (0.45, y),
        arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 3, "shrinkA": 0, "shrinkB": 0},
    )
    axes.text(0.25, y, "$x$", ha="center", va="center", size=15)
    axes.text(7.42, y, "$y$", ha="center", va="center", size=15)
    axes.text(3.95, y - 0.28, "$h$", ha="center", va="center", size=15)
    for x, color, part in ((0.8, BLUE, "Attention"), (4.2, ORANGE, "MLP")):
        axes.plot([x, x, x + 0.25], [y, 1.75, 1.75], color=color, linewidth=1.6)
        box(axes, x + 0.25, 1.5, 0.85, 0.5, color, r"$\mathrm{norm}$", 12)
        axes.plot([x + 1.1, x + 1.35], [1.75] * 2, color=color, linewidth=1.6)
        box(axes, x + 1.35, 1.5, 1.15, 0.5, color, rf"$\mathrm{{{part}}}$", 12)
        axes.plot([x + 2.5, x + 2.75, x + 2.75], [1.75, 1.75, y + 0.17], color=color, linewidth=1.6)
        axes.add_patch(
            Circle((x + 2.75, y), 0.17, facecolor="none", edgecolor=color, linewidth=1.8, zorder=4)
        )
        axes.plot([x + 2.75] * 2, [y - 0.17, y + 0.17], color=color, linewidth=1.8)
    return figure


def draw() -> dict[str, Figure]:
    """Return the figures of this file."""
    return {"5-1-4-silu.svg": silu(), "5-1-5-stream.svg": stream()}
