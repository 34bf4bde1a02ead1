"""A story as it happens, its tokens and turns, and documents packed into rows (5.3.1 to 5.3.3)."""

from __future__ import annotations

from functools import cache
from itertools import islice, pairwise

import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from style import BLUE, COLORS, GREEN, INK, ORANGE, PURPLE, bare

from happyllm.data import document_ids, document_mask, document_positions, iter_turns, pack
from happyllm.data.tinytales import TaleConfig, make_story, records
from happyllm.tokenizer import BPETokenizer, train_bpe

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
EOS, MARKS = 0, (1, 2)
MONO = "DejaVu Sans Mono"
TALK = [
    {"role": "user", "content": "Who has the ball?"},
    {"role": "assistant", "content": "Tim."},
]
T = 256


@cache
def corpus(lang: str) -> tuple[list[str], BPETokenizer]:
    """The documents of the page, and the tokenizer that it trains."""
    texts = [row["text"] for row in islice(records("pretrain", lang, 0), 2000)]
    talks = islice(records("sft", lang, 0), 1000)
    said = [f"{one['role']}\n{one['content']}" for talk in talks for one in talk["messages"]]
    return texts, train_bpe([*texts, *said], 2048, SPECIAL)


# ---- 5.3.1


def world() -> Figure:
    """Draw who is where and who holds the ball, event by event."""
    story = make_story(4558, "en", TaleConfig(n_people=2, n_events=5, level=3, pronouns=0.5))
    events = [fact for fact in story.facts if fact[0] in ("go", "find", "give", "has")]
    figure, axes = bare(7.6, 2.75)
    lane = {"Lily": 1.62, "Tim": 0.62}
    color = {"river": GREEN, "forest": PURPLE}
    step, left, end = 1.22, 0.95, 7.35
    for name, y in lane.items():
        axes.text(0.1, y, name, fontsize=13, va="center")

    column, at, ball = -1, {}, []
    stays: list[tuple[str, str, float, float]] = []
    for kind, who, what in events:
        x = left + step * (column + 1)
        if kind == "has":  # told with the gift before it
            ball += [(x - step + 0.1, lane["Lily"]), (x - step + 0.75, lane[who])]
            continue
        column += 1
        axes.text(x + 0.1, 2.42, kind, fontsize=11, va="center")
        axes.plot([x, x], [0.2, 2.58], color=INK, linewidth=0.6, linestyle=":")
        if kind == "go":
            if who in at:
                place, since = at[who]
                stays.append((who, place, since, x))
            at[who] = (what, x)
        elif kind == "find":
            ball.append((x + 0.15, lane[who]))
    stays += [(who, place, since, end) for who, (place, since) in at.items()]
    for who, place, since, until in stays:
        axes.add_patch(
            FancyBboxPatch(
                (since + 0.08, lane[who] - 0.3),
                until - since - 0.16,
                0.6,
                boxstyle="round,pad=0,rounding_size=0.1",
                facecolor=to_rgba(color[place], 0.25),
                edgecolor=color[place],
            )
        )
        axes.text(since + 0.2, lane[who] + 0.14, place, fontsize=10.5, va="center")
    ball.append((end - 0.25, ball[-1][1]))
    xs, ys = zip(*((x, y - 0.12) for x, y in ball), strict=True)
    axes.plot(xs, ys, color=BLUE, linewidth=3, solid_capstyle="round")
    axes.plot(xs[0], ys[0], "o", color=BLUE, markersize=11)
    axes.plot(xs[-1], ys[-1], ">", color=BLUE, markersize=11)
    return figure


# ---- 5.3.2 and 5.3.3: tokens as boxes


def visible(text: str) -> str:
    """A token as it can be shown."""
    return text.replace(" ", "␣").replace("\n", "\\n")


def box(axes: Axes, x: float, y: float, text: str, color: str, below: str = "") -> float:
    """Draw a token, and something below it; return where the next one begins."""
    width = 0.078 * len(text) + 0.16
    axes.add_patch(Rectangle((x, y), width, 0.34, facecolor=to_rgba(color, 0.22), edgecolor=color))
    axes.text(x + width / 2, y + 0.16, text, family=MONO, fontsize=9, ha="center", va="center")
    axes.text(x + width / 2, y - 0.13, below, fontsize=8.5, ha="center", va="center")
    return x + width + 0.06


def turns() -> Figure:
    """Draw a question and its answer in ChatML, a line a turn."""
    _, english = corpus("en")
    figure, axes = bare(7.6, 1.65)
    for line, (ids, mask) in enumerate(iter_turns(TALK, english, *MARKS)):
        x, y = 0.1, 1.15 - 0.8 * line
        for i, learned in zip(ids, mask, strict=True):
            color = GREEN if learned else INK
            x = box(axes, x, y, visible(english.decode([i])), color, str(i))
    return figure


def targets() -> Figure:
    """Draw the tokens of a conversation, and below each what has to be guessed there."""
    _, english = corpus("en")
    pairs = [pair for turn in iter_turns(TALK, english, *MARKS) for pair in zip(*turn, strict=True)]
    pairs = pairs[6:]
    figure, axes = bare(7.6, 1.5)
    x = 0.1
    for (i, _), (after, learned) in pairwise(pairs):
        token, target = visible(english.decode([i])), visible(english.decode([after]))
        width = 0.07 * max(len(token), len(target) if learned else 0) + 0.13
        for y, text, color in (
            (0.92, token, INK),
            (0.2, target if learned else "", GREEN if learned else INK),
        ):
            axes.add_patch(
                Rectangle(
                    (x, y),
                    width,
                    0.36,
                    facecolor=to_rgba(color, 0.22 if text else 0.0),
                    edgecolor=to_rgba(color, 1.0 if text else 0.35),
                )
            )
            middle = (x + width / 2, y + 0.17)
            axes.text(*middle, text, family=MONO, fontsize=8.2, ha="center", va="center")
        if learned:
            start = (x + width / 2, 0.88)
            axes.annotate("", (start[0], 0.6), start, arrowprops={"arrowstyle": "->", "color": INK})
        x += width + 0.05
    return figure


def sizes() -> Figure:
    """Draw bytes per token against the size of the vocabulary, on held-out text."""
    figure = Figure(figsize=(7.6, 2.8))
    axes = figure.add_axes((0.08, 0.19, 0.82, 0.77))
    for lang, color in (("en", BLUE), ("zh", ORANGE)):
        _, trained = corpus(lang)
        held = [row["text"] for row in islice(records("eval_text", lang, 0), 200)]
        n = sum(len(text.encode()) for text in held)
        xs, ys = [*range(259, 2048, 64), 2048], []
        for size in xs:
            vocab = {piece: i for piece, i in trained.vocab.items() if i < size}
            merges = trained.merges[: size - 259]
            one = BPETokenizer(vocab, merges, trained.special_tokens)
            ys.append(n / sum(len(ids) for ids in one.encode_batch(held)))
        axes.plot(xs, ys, color=color, linewidth=2)
        axes.annotate(
            f"{lang} {ys[-1]:.1f}",
            (xs[-1], ys[-1]),
            (6, 0),
            textcoords="offset points",
            color=color,
            va="center",
        )
    axes.set(xlim=(200, 2060), ylim=(0, 8), xlabel="$V$", ylabel="$n / N(V)$")
    return figure


# ---- 5.3.3: rows


def documents() -> list[list[int]]:
    """The documents of the page as ids."""
    texts, english = corpus("en")
    return english.encode_batch(texts)


def padding() -> Figure:
    """Draw sixteen documents, filled up to the longest and packed."""
    docs = documents()[:16]
    figure = Figure(figsize=(7.6, 2.9))
    longest = max(map(len, docs)) + 1
    axes = figure.add_axes((0.02, 0.03, 0.46, 0.94))
    for row, doc in enumerate(docs):
        used, color = len(doc) + 1, COLORS[row % 4]
        axes.barh(row, longest, color=INK, alpha=0.22, height=0.8)
        axes.barh(row, used, color=color, height=0.8)
    axes.set(xlim=(0, T + 30), ylim=(15.6, -0.6))
    axes.set_axis_off()
    axes = figure.add_axes((0.52, 0.03, 0.46, 0.94))
    place = 0
    for number, doc in enumerate(docs):
        left = len(doc) + 1
        while left:
            row, start = divmod(place, T)
            part = min(left, T - start)
            axes.barh(row, part, left=start, color=COLORS[number % 4], height=0.8)
            place, left = place + part, left - part
    axes.set(xlim=(0, T + 30), ylim=(15.6, -0.6))
    axes.set_axis_off()
    return figure


def blocks() -> Figure:
    """Draw the mask and the positions of one packed row."""
    row = torch.tensor([list(islice(pack(documents(), T, EOS), 2))[1]])
    ids, mask = document_ids(row, EOS)[0], document_mask(row, EOS)[0, 0]
    causal = torch.ones(T, T, dtype=torch.bool).tril()
    image = torch.zeros(T, T, 4)
    image[causal] = torch.tensor(to_rgba(INK, 0.18))
    n_documents = int(ids[-1]) + 1
    for number in range(n_documents):
        own = mask & (ids[:, None] == number)
        image[own] = torch.tensor(to_rgba(COLORS[number], 0.85))
    figure = Figure(figsize=(7.6, 3.1))
    left = figure.add_axes((0.06, 0.12, 0.36, 0.84))
    left.imshow(image.numpy(), interpolation="none")
    left.set(xlabel="$j$", ylabel="$i$", xticks=[], yticks=[])
    right = figure.add_axes((0.54, 0.19, 0.44, 0.77))
    positions = document_positions(row, EOS)[0]
    for number in range(n_documents):
        at = (ids == number).nonzero().flatten()
        right.plot(at.tolist(), positions[at].tolist(), color=COLORS[number], linewidth=2.5)
    right.plot([0, T], [0, T], color=INK, linewidth=1, linestyle=":")
    right.set(xlim=(0, T), ylim=(0, T), xlabel="$i$", ylabel="$p(i)$")
    return figure


def draw() -> dict[str, Figure]:
    """Draw all of them."""
    return {
        "5-3-1-world.svg": world(),
        "5-3-2-turns.svg": turns(),
        "5-3-2-sizes.svg": sizes(),
        "5-3-3-targets.svg": targets(),
        "5-3-3-padding.svg": padding(),
        "5-3-3-blocks.svg": blocks(),
    }
