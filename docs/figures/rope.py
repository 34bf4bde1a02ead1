"""Pairs that turn, scores that know distances, and the two layouts of a head (5.1.3.2)."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Rectangle
from style import BLUE, COLORS, INK, ORANGE, bare


def turned(x: np.ndarray, t: int) -> np.ndarray:
    """Turn the neighbouring pairs of a head of size 4 to position t."""
    z = x[0::2] + 1j * x[1::2]
    z = z * np.exp(1j * t * np.array([1.0, 0.01]))
    return np.stack([z.real, z.imag], axis=1).ravel()


def pairs() -> Figure:
    """Draw the two pairs of a head at positions 0 to 5."""
    figure = Figure(figsize=(7.0, 3.2))
    for i, theta in enumerate((1.0, 0.01)):
        axes = figure.add_axes((0.02 + 0.5 * i, 0.02, 0.46, 0.88))
        axes.set(xlim=(-1.4, 1.4), ylim=(-1.3, 1.3), aspect="equal")
        axes.set_axis_off()
        turn = np.linspace(0, 2 * np.pi, 200)
        axes.plot(np.cos(turn), np.sin(turn), color=INK, linewidth=0.8, linestyle=":")
        for t in range(6):
            a, b = np.cos(0.3 + t * theta), np.sin(0.3 + t * theta)
            axes.annotate(
                "",
                (a, b),
                (0, 0),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": (BLUE, ORANGE)[i],
                    "alpha": 1 - 0.13 * t,
                    "linewidth": 1.6,
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
            )
            if i == 0 or t in (0, 5):
                away = 1.16 if i == 0 else 1.2
                angle = 0.3 + t * theta + (0.05 if i and t else 0) - (0.05 if i and not t else 0)
                axes.text(
                    away * np.cos(angle),
                    away * np.sin(angle),
                    f"${t}$",
                    ha="center",
                    va="center",
                    color=(BLUE, ORANGE)[i],
                    size=12,
                )
        label = (r"$i = 0,\ \theta_0 = 1$", r"$i = 1,\ \theta_1 = 0.01$")[i]
        figure.text(0.25 + 0.5 * i, 0.94, label, ha="center", va="center", size=13)
    return figure


def distance() -> Figure:
    """Draw the scores of one query with one key at all positions, without and with RoPE."""
    q, k = np.array([1.0, 0.4, 0.6, 0.2]), np.array([0.9, -0.3, 0.5, 0.4])
    n = 12
    plain = np.full((n, n), q @ k)
    rotary = np.array([[turned(q, m) @ turned(k, j) for j in range(n)] for m in range(n)])
    figure = Figure(figsize=(6.6, 3.1))
    for i, table in enumerate((plain, rotary)):
        axes = figure.add_axes((0.09 + 0.48 * i, 0.14, 0.4, 0.8))
        axes.pcolormesh(
            table, cmap="RdBu", vmin=-1.5, vmax=1.5, edgecolors="none", rasterized=False
        )
        axes.set(aspect="equal", xticks=[], yticks=[])
        axes.invert_yaxis()
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel("$n$", size=13)
        axes.set_ylabel("$m$", size=13, rotation=0, labelpad=10)
    return figure


def layout() -> Figure:
    """Draw a head of eight numbers twice: partners as neighbours, partners half a head apart."""
    figure, axes = bare(6.8, 3.1)
    side, left = 0.7, 0.6
    for y, apart in ((1.75, 1), (0.3, 4)):
        for i in range(8):
            pair = i // 2 if apart == 1 else i % 4
            color = COLORS[pair]
            axes.add_patch(
                Rectangle((left + i * side, y), side, 0.5, facecolor=color + "40", edgecolor=color)
            )
            axes.text(
                left + (i + 0.5) * side, y + 0.25, f"$x_{i}$", ha="center", va="center", color=color
            )
            if (i % 2 == 0) if apart == 1 else (i < 4):
                centre = left + (i + 0.5 + apart / 2) * side
                axes.add_patch(
                    Arc(
                        (centre, y + 0.5),
                        apart * side,
                        0.4 + 0.22 * (apart - 1),
                        theta1=0,
                        theta2=180,
                        color=color,
                        linewidth=1.5,
                    )
                )
    return figure


def draw() -> dict[str, Figure]:
    """Return the figures of this file."""
    return {
        "5-1-3-2-pairs.svg": pairs(),
        "5-1-3-2-distance.svg": distance(),
        "5-1-3-2-layout.svg": layout(),
    }
