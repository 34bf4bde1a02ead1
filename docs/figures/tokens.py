"""What grows with a text, how a character becomes bytes, how words are cut and merged (5.2)."""

from __future__ import annotations

import codecs
import contextlib
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from style import BLUE, GREEN, INK, ORANGE, PURPLE, bare

from happyllm.tokenizer import bpe, count_words, merge_pair, train_bpe

with contextlib.redirect_stdout(io.StringIO()):
    import this

ENGLISH = codecs.decode(this.s, "rot13")
CHINESE = """\
优美好过丑陋。明说好过暗示。简单好过复杂。复杂好过混乱。扁平好过嵌套。稀疏好过密集。
可读很要紧。特殊情况也没有特殊到可以打破规则。虽说实用胜过纯粹。
错误绝不该悄悄放过。除非明说要它安静。面对歧义，拒绝猜测的诱惑。
应当有一种，最好只有一种，明显的做法。虽说这种做法起初也许并不明显，除非你是荷兰人。
现在做好过永远不做。虽说永远不做常常好过立刻就做。
如果实现很难解释，那就是个坏主意。如果实现很容易解释，那也许是个好主意。
命名空间是个绝妙的主意——让我们多用用它！
"""
MONO = "DejaVu Sans Mono"
MERGES = 200
Pair = tuple[bytes, bytes]


# ---- the merges of the poems, replayed


def merged(symbols: Sequence[bytes], pair: Pair) -> list[bytes]:
    """Join a pair wherever it stands."""
    out: list[bytes] = []
    i = 0
    while i < len(symbols):
        if tuple(symbols[i : i + 2]) == pair:
            out.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return out


def replay(text: str, merges: Sequence[Pair]) -> Iterator[dict[str, list[bytes]]]:
    """Yield the pieces of a text as they are cut after 0, 1, 2, ... merges."""
    words = {piece: [bytes([byte]) for byte in piece.encode()] for piece in count_words(text)}
    yield words
    for pair in merges:
        words = {piece: merged(symbols, pair) for piece, symbols in words.items()}
        yield words


def visits(text: str) -> tuple[list[int], list[int]]:
    """Count the pairs looked at up to each merge: counting anew, and by the library's trainer."""
    pairs = sum(len(piece.encode()) - 1 for piece in count_words(text))  # in the pieces now
    anew, incremental = [0], [pairs]
    seen = set()

    def counting(word: Sequence[int], pair: tuple[int, int], new_id: int) -> list[int]:
        nonlocal pairs
        if new_id not in seen:
            seen.add(new_id)
            anew.append(anew[-1] + pairs)
            incremental.append(incremental[-1])
        merged = merge_pair(word, pair, new_id)
        incremental[-1] += len(word) + len(merged) - 2
        pairs -= len(word) - len(merged)
        return merged

    bpe.merge_pair = counting
    try:
        train_bpe(text, 256 + MERGES)
    finally:
        bpe.merge_pair = merge_pair
    return anew, incremental


def lengths(text: str, merges: Sequence[Pair]) -> list[int]:
    """How many tokens a text has after 0, 1, 2, ... merges."""
    counts = count_words(text)
    return [
        sum(len(symbols) * counts[piece] for piece, symbols in words.items())
        for words in replay(text, merges)
    ]


# ---- the figures


def distinct(units: Sequence[object]) -> list[int]:
    """How many different units are among the first 1, 2, ... of them."""
    seen: set[object] = set()
    grown = []
    for unit in units:
        seen.add(unit)
        grown.append(len(seen))
    return grown


def growth() -> Figure:
    """Draw how many different words, characters and bytes there are in the first n."""
    figure = Figure(figsize=(7.6, 2.7))
    kinds: tuple[tuple[str, Callable[[str], Sequence[object]]], ...] = (
        (BLUE, lambda text: re.findall(r"\w+|[^\w\s]", text)),
        (ORANGE, list),
        (GREEN, lambda text: text.encode()),
    )
    for i, text in enumerate((ENGLISH, CHINESE)):
        axes = figure.add_axes((0.08 + i * 0.5, 0.2, 0.39, 0.74))
        for color, units in kinds[i : 2 + i]:
            grown = distinct(units(text))
            axes.plot(range(1, len(grown) + 1), grown, color=color, linewidth=2)
            axes.annotate(
                str(grown[-1]),
                (len(grown), grown[-1]),
                (4, 0),
                textcoords="offset points",
                color=color,
                va="center",
            )
        axes.set(xlim=(0, (900, 740)[i]), ylim=(0, 135), xlabel="$n$", ylabel="$V(n)$")
    return figure


def utf8() -> Figure:
    """Draw how the 16 bits of U+597D go into three bytes."""
    figure, axes = bare(7.6, 2.5)
    bits = f"{ord('好'):016b}"
    groups = ((0, 4, "1110", BLUE), (4, 10, "10", ORANGE), (10, 16, "10", GREEN))
    side = 0.255
    axes.text(0.1, 2.05, "U+597D", family=MONO, va="center", size=12)
    axes.text(0.1, 0.72, "UTF-8", family=MONO, va="center", size=12)
    for k, (begin, end, mark, color) in enumerate(groups):
        top = 1.9 + begin * side + k * 0.22
        for i, bit in enumerate(bits[begin:end]):
            _bit(axes, top + i * side, 1.9, side, bit, color, filled=True)
        left = 0.95 + k * 2.2
        for i, bit in enumerate(mark + bits[begin:end]):
            payload = i >= len(mark)
            _bit(axes, left + i * side, 0.57, side, bit, color if payload else INK, filled=payload)
        byte = int(mark + bits[begin:end], 2)
        axes.text(
            left + 4 * side, 0.25, f"{byte:02X}", family=MONO, ha="center", va="center", size=12
        )
        width = end - begin
        axes.annotate(
            "",
            (left + (len(mark) + width / 2) * side, 0.92),
            (top + width / 2 * side, 1.85),
            arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.3},
        )
    return figure


def _bit(
    axes: Axes, x: float, y: float, side: float, bit: str, color: str, *, filled: bool
) -> None:
    face = color + "3d" if filled else "none"
    axes.add_patch(Rectangle((x, y), side, 0.3, facecolor=face, edgecolor=color, linewidth=1))
    axes.text(x + side / 2, y + 0.14, bit, family=MONO, ha="center", va="center", color=color)


def merging() -> Figure:
    """Draw how ' better' grows together, with the rank of each merge."""
    figure, axes = bare(6.6, 4.15)
    merges = train_bpe(ENGLISH, 256 + MERGES).merges
    rank = {(a.decode(), b.decode()): i for i, (a, b) in enumerate(merges) if (a + b).isascii()}
    nodes = [(0.7 + i * 0.85, 0.35, letter) for i, letter in enumerate(" better")]
    for x, y, letter in nodes:
        _token(axes, x, y, letter, INK)
    height = 0.35
    while len(nodes) > 1:
        ranks = [rank.get((a[2], b[2]), math.inf) for a, b in pairwise(nodes)]
        i = ranks.index(min(ranks))
        (x1, y1, left), (x2, y2, right) = nodes[i : i + 2]
        height += 0.58
        x, seam = (x1 + x2) / 2, height - 0.3
        axes.plot([x1, x1, x2, x2], [y1 + 0.15, seam, seam, y2 + 0.15], color=BLUE, linewidth=1.2)
        axes.plot([x, x], [seam, height - 0.15], color=BLUE, linewidth=1.2)
        nodes[i : i + 2] = [(x, height, left + right)]
        _token(axes, x, height, left + right, BLUE)
        beside = x + 0.065 * len(left + right) + 0.16
        axes.text(beside, height - 0.01, str(int(ranks[i])), color=ORANGE, va="center", size=11)
    return figure


def _token(axes: Axes, x: float, y: float, text: str, color: str) -> None:
    width = 0.13 * len(text) + 0.16
    axes.add_patch(
        Rectangle(
            (x - width / 2, y - 0.15), width, 0.3, facecolor=color + "26", edgecolor=color, lw=1.2
        )
    )
    shown = text.replace(" ", "␣")
    axes.text(x, y - 0.01, shown, family=MONO, ha="center", va="center", color=color, size=11)


LEXICON = {"n": 0.01, "o": 0.01, "w": 0.01, "h": 0.01, "e": 0.02, "r": 0.01}
LEXICON |= {"no": 0.1, "now": 0.03, "where": 0.04, "here": 0.05}


def lattice() -> Figure:
    """Draw the pieces of 'nowhere' as ways between its seams, and the best way."""
    figure, axes = bare(7.2, 2.75)
    word, step, left, y = "nowhere", 0.95, 0.3, 1.2
    best = [(0, 2), (2, 7)]
    for i, letter in enumerate(word):
        axes.plot([left + (i + 0.12) * step, left + (i + 0.88) * step], [y, y], color=INK, lw=1)
        axes.text(left + (i + 0.5) * step, y - 0.17, letter, family=MONO, ha="center", va="center")
    for i in range(len(word)):
        for j in range(i + 2, len(word) + 1):
            if word[i:j] not in LEXICON:
                continue
            chosen = (i, j) in best
            up = 1 if chosen else -1
            color = GREEN if chosen else PURPLE
            a, b = left + i * step, left + j * step
            bend = -0.36 if up > 0 else 0.36
            axes.annotate(
                "",
                (b, y + 0.08 * up),
                (a, y + 0.08 * up),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": color,
                    "linewidth": 2 if chosen else 1.3,
                    "connectionstyle": f"arc3,rad={bend}",
                },
            )
            height = y + up * (0.22 + 0.19 * (b - a) * 0.98)
            axes.text(
                (a + b) / 2,
                height + 0.13 * up,
                f"{word[i:j]} {math.log(LEXICON[word[i:j]]):.1f}",
                family=MONO,
                ha="center",
                va="center",
                color=color,
                size=11,
            )
    for i in range(len(word) + 1):
        axes.plot([left + i * step], [y], "o", color=INK, markersize=7)
    return figure


def work() -> Figure:
    """Draw the pair visits of two trainers, merge after merge."""
    figure = Figure(figsize=(6.6, 2.7))
    axes = figure.add_axes((0.13, 0.12, 0.72, 0.82))
    for line, color in zip(visits(ENGLISH + CHINESE), (ORANGE, GREEN), strict=True):
        axes.plot(range(len(line)), line, color=color, linewidth=2)
        axes.annotate(
            f"{line[-1]:,}",
            (len(line) - 1, line[-1]),
            (5, 0),
            textcoords="offset points",
            color=color,
            va="center",
        )
    axes.set(xlim=(0, MERGES), ylim=(0, 150_000), yticks=range(0, 150_001, 50_000))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    return figure


def sizes() -> Figure:
    """Draw tokens per character against the number of merges, for who was trained on what."""
    figure = Figure(figsize=(7.6, 2.8))
    for i, corpus in enumerate((ENGLISH, ENGLISH + CHINESE)):
        axes = figure.add_axes((0.06 + i * 0.5, 0.12, 0.38, 0.82))
        merges = train_bpe(corpus, 256 + MERGES).merges
        for text, color in ((ENGLISH, BLUE), (CHINESE, ORANGE)):
            per = [length / len(text) for length in lengths(text, merges)]
            axes.plot(range(len(per)), per, color=color, linewidth=2)
            axes.annotate(
                f"{per[-1]:.2f}",
                (len(per) - 1, per[-1]),
                (4, 0),
                textcoords="offset points",
                color=color,
                va="center",
            )
        axes.set(xlim=(0, MERGES * 1.02), ylim=(0, 3.1))
    return figure


def draw() -> dict[str, Figure]:
    """Return the figures of this file."""
    return {
        "5-2-1-growth.svg": growth(),
        "5-2-2-utf8.svg": utf8(),
        "5-2-3-merges.svg": merging(),
        "5-2-3-lattice.svg": lattice(),
        "5-2-4-work.svg": work(),
        "5-2-4-sizes.svg": sizes(),
    }
