"""What RMSNorm and LayerNorm do to arrows in the plane (5.1.2)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from style import COLORS, INK


def draw() -> dict[str, Figure]:
    """Return three panels: the arrows, after RMSNorm, after LayerNorm."""
    rng = np.random.default_rng(4)
    angles = np.linspace(0.25, 2 * np.pi + 0.25, 9, endpoint=False)
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(0.5, 2.6, (9, 1))
    rms = x / np.sqrt((x**2).mean(axis=1, keepdims=True))
    centred = x - x.mean(axis=1, keepdims=True)
    layer = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True))

    figure = Figure(figsize=(7.6, 2.7))
    for place, points in enumerate((x, rms, layer)):
        axes = figure.add_axes((0.01 + place * 0.335, 0.02, 0.31, 0.96))
        axes.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal")
        axes.set_axis_off()
        axes.axhline(0, color=INK, linewidth=0.6, alpha=0.6)
        axes.axvline(0, color=INK, linewidth=0.6, alpha=0.6)
        if place:
            turn = np.linspace(0, 2 * np.pi, 200)
            r = np.sqrt(2)
            axes.plot(r * np.cos(turn), r * np.sin(turn), color=INK, linewidth=0.8, linestyle=":")
        for i, (a, b) in enumerate(points):
            axes.annotate(
                "",
                (a, b),
                (0, 0),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": COLORS[i % len(COLORS)],
                    "linewidth": 1.6,
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
            )
    return {"5-1-2-rmsnorm.svg": figure}
