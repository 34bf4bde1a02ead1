"""The work that a cache saves, and the three knobs of sampling (5.1.6)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from style import BLUE, GREEN, INK, bare


def cache() -> Figure:
    """Draw the tokens that six steps run through the model, without and with a cache."""
    figure, axes = bare(6.8, 2.75)
    side = 0.4
    for left, cached in ((0.4, False), (3.9, True)):
        for step in range(6):
            for i in range(step + 1):
                new = i == step or not cached
                axes.add_patch(
                    Rectangle(
                        (left + i * side, 0.2 + (5 - step) * side),
                        side * 0.88,
                        side * 0.88,
                        facecolor=(GREEN if cached else BLUE) + "99" if new else "none",
                        edgecolor=INK,
                        linewidth=0.9,
                        linestyle="-" if new else ":",
                    )
                )
        text = "$6$" if cached else "$1 + 2 + \\dots + 6 = 21$"
        axes.text(left + 2.55, 2.42, text, ha="right", va="center", size=13)
    return figure


def sampling() -> Figure:
    """Draw the probabilities of six words under five settings."""
    z = np.array([2.4, 1.7, 1.2, 0.3, -0.4, -1.2])

    def softmax(logits: np.ndarray) -> np.ndarray:
        e = np.exp(logits - logits.max())
        return e / e.sum()

    p = softmax(z)
    nucleus = np.where(np.cumsum(p) - p < 0.8, z, -np.inf)
    settings = (
        (r"$\tau = 1$", p),
        (r"$\tau = 0.5$", softmax(z / 0.5)),
        (r"$\tau = 2$", softmax(z / 2)),
        (r"$k = 2$", softmax(np.where(np.arange(6) < 2, z, -np.inf))),
        (r"$p = 0.8$", softmax(nucleus)),
    )
    figure = Figure(figsize=(7.6, 2.3))
    for i, (label, heights) in enumerate(settings):
        axes = figure.add_axes((0.01 + i * 0.2, 0.06, 0.175, 0.76))
        axes.bar(range(6), heights, color=BLUE + "b3", edgecolor=BLUE)
        axes.bar(range(6), p, color="none", edgecolor=INK, linewidth=0.8, linestyle=":")
        axes.set(ylim=(0, 0.82), xticks=[], yticks=[])
        axes.spines["left"].set_visible(False)
        axes.set_title(label, color=INK, size=12)
    return figure


def draw() -> dict[str, Figure]:
    """Return the figures of this file."""
    return {"5-1-6-cache.svg": cache(), "5-1-6-sampling.svg": sampling()}
