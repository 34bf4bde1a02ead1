"""The ink of every figure: mid-tone, so that it reads on white and on black."""

from __future__ import annotations

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#7d8594"
BLUE = "#4a86c5"
ORANGE = "#d5802f"
GREEN = "#3f9a6b"
RED = "#c9564d"
PURPLE = "#8b70c2"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, RED)

matplotlib.rcParams.update(
    {
        "svg.hashsalt": "happyllm",
        "svg.fonttype": "path",
        "mathtext.fontset": "cm",
        "font.size": 11,
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
    }
)


def bare(width: float, height: float) -> tuple[Figure, Axes]:
    """Make a figure whose one axes measures in inches and shows no frame."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return figure, axes
