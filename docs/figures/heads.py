"""How a row is cut into heads, which heads share, and who may see whom (5.1.1, 5.1.3)."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from style import BLUE, GREEN, INK, ORANGE, PURPLE, bare

GROUPS = (BLUE, ORANGE)  # one colour a key/value head


def box(
    axes: Axes, x: float, y: float, w: float, h: float, color: str, text: str, size: float = 13
) -> None:
    """Draw a rounded box with a symbol in it."""
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            w,
            h,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=color + "2e",
            edgecolor=color,
            linewidth=1.4,
        )
    )
    axes.text(x + w / 2, y + h / 2, text, ha="center", va="center", color=color, size=size)


def widths() -> Figure:
    """Draw D = 16 cut into four heads, the heads into pairs, and the groups that share."""
    figure, axes = bare(8.0, 3.5)
    step, left = 0.42, 0.44
    for i in range(16):
        axes.add_patch(
            Rectangle((left + i * step, 2.62), step, 0.4, fill=False, edgecolor=INK, linewidth=1.2)
        )
    axes.text(left + 8 * step, 3.24, "$D = 16$", ha="center", va="center", size=14)
    for h in range(4):
        x, color = left + h * 4 * step, GROUPS[h // 2]
        axes.plot([x + 2 * step] * 2, [2.56, 2.16], color=color, linewidth=1.2)
        for i in range(4):
            axes.add_patch(
                Rectangle(
                    (x + 0.1 + i * (step - 0.05), 1.72),
                    step - 0.05,
                    0.4,
                    facecolor=color + ("4d" if i // 2 else "26"),
                    edgecolor=color,
                    linewidth=1.2,
                )
            )
        axes.text(x + 2 * step, 1.5, rf"$Q_{h}$", ha="center", va="center", color=color, size=13)
        axes.plot([x + 2 * step, left + (4 + 8 * (h // 2)) * step], [1.32, 0.72], color=color)
    axes.text(left + 16 * step + 0.1, 1.92, "$d = 4$", va="center", size=12)
    for k in range(2):
        x = left + (4 + 8 * k) * step
        box(axes, x - 0.75, 0.24, 1.5, 0.46, GROUPS[k], rf"$K_{k},\ V_{k}$")
    return figure


def gqa() -> Figure:
    """Draw four query heads that share two key/value heads, and the repeated row."""
    figure, axes = bare(7.4, 2.9)
    for h in range(4):
        x, color = 0.5 + h * 1.7, GROUPS[h // 2]
        box(axes, x, 2.15, 1.1, 0.5, color, rf"$Q_{h}$")
        axes.annotate(
            "",
            (1.9 + 3.4 * (h // 2) + (0.2 if h % 2 else -0.2), 1.62),
            (x + 0.55, 2.1),
            arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.4},
        )
        box(axes, x, 0.2, 1.1, 0.5, color, rf"$K_{h // 2}$")
        axes.annotate(
            "",
            (x + 0.55, 0.74),
            (1.9 + 3.4 * (h // 2) + (0.2 if h % 2 else -0.2), 1.06),
            arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.1, "linestyle": ":"},
        )
    for k in range(2):
        box(axes, 1.35 + 3.4 * k, 1.1, 1.1, 0.5, GROUPS[k], rf"$K_{k}$")
    return figure


def mask() -> Figure:
    """Draw the causal mask for T = S = 4, T = 2 and T = 1, aligned to the last key."""
    figure, axes = bare(7.4, 2.6)
    side = 0.44
    for number, (T, left, color) in enumerate(
        ((4, 0.55, BLUE), (2, 3.05, GREEN), (1, 5.45, PURPLE))
    ):
        for i in range(T):
            for j in range(4):
                seen = j <= i + 4 - T
                axes.add_patch(
                    Rectangle(
                        (left + j * side, 0.3 + (T - 1 - i) * side),
                        side,
                        side,
                        facecolor=color + "80" if seen else "none",
                        edgecolor=INK,
                        linewidth=1,
                    )
                )
        label = "$T = S = 4$" if number == 0 else f"$T = {T},\\ S = 4$"
        axes.text(left + 2 * side, 0.3 + T * side + 0.24, label, ha="center", size=12)
    return figure


def draw() -> dict[str, Figure]:
    """Return the figures of this file."""
    return {
        "5-1-1-widths.svg": widths(),
        "5-1-3-1-gqa.svg": gqa(),
        "5-1-3-3-mask.svg": mask(),
    }
