"""What a part has to give: checked where it comes back, and said in words where it does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

IDS = torch.int64


@dataclass(frozen=True)
class Wanted:
    """What is wanted.

    Attributes:
        words: As a sentence has it: "a list of messages".
        fits: Whether something is that.
    """

    words: str
    fits: Callable[[Any], bool]


def tensors(*shapes: tuple[int, ...], dtype: torch.dtype = IDS) -> Wanted:
    """Want a tensor of this shape, or a tuple of several.

    Example:
        >>> tensors((2, 3), (2, 3)).words
        '(int64 (2, 3), int64 (2, 3))'
        >>> tensors((2,)).fits(torch.zeros(2))
        False
    """

    def fits(value: Any) -> bool:
        many = value if isinstance(value, tuple | list) else (value,)
        return len(many) == len(shapes) and all(
            isinstance(one, torch.Tensor) and one.shape == shape and one.dtype == dtype
            for one, shape in zip(many, shapes, strict=True)
        )

    name = f"{dtype}".removeprefix("torch.")
    words = ", ".join(f"{name} {shape}" for shape in shapes)
    return Wanted(words if len(shapes) == 1 else f"({words})", fits)


def described(value: Any) -> str:
    """Say what came in place of what was wanted.

    Example:
        >>> described((torch.zeros(2, 3), None))
        '(float32 (2, 3), None)'
    """
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} {tuple(value.shape)}".removeprefix("torch.")
    if isinstance(value, tuple) and any(isinstance(one, torch.Tensor) for one in value):
        return f"({', '.join(described(one) for one in value)})"
    text = repr(value)
    return text if len(text) < 100 else f"{type(value).__name__} {text[:80]}…"


def _same(x: torch.Tensor) -> Wanted:
    return tensors(tuple(x.shape), dtype=x.dtype)


def _batch(rows: Any) -> Wanted:
    return tensors(*[(len(rows), max(len(tokens) for tokens, _ in rows))] * 3)


def _mask(tokens: torch.Tensor) -> Wanted:
    B, T = tokens.shape
    return tensors((B, 1, T, T), dtype=torch.bool)


def _text(messages: Any) -> Wanted:
    return Wanted(
        "a text with each content in it once",
        lambda text: (
            isinstance(text, str) and all(text.count(one["content"]) == 1 for one in messages)
        ),
    )


def _is_a_pair(value: Any) -> bool:
    first = value[0] if isinstance(value, tuple | list) and value else None
    if not isinstance(first, torch.Tensor) or first.dim() != 1:
        return False
    return tensors(tuple(first.shape), tuple(first.shape)).fits(value)


A_PAIR = Wanted("(int64 (T,), int64 (T,))", _is_a_pair)
A_RECORD = Wanted("a dict for each line", lambda value: isinstance(value, dict))
MESSAGES = Wanted(
    "a list of messages with role and content",
    lambda value: (
        isinstance(value, list)
        and all(isinstance(one, Mapping) and {"role", "content"} <= one.keys() for one in value)
    ),
)
MERGES = Wanted(
    "a list of pairs of ids",
    lambda value: (
        isinstance(value, list)
        and all(isinstance(one, tuple | list) and len(one) == 2 for one in value)
    ),
)

# What a function of a learner's gives for its first argument.
GIVES: dict[str, Callable[[Any], Wanted]] = {
    "learn_merges": lambda _: MERGES,
    "to_messages": lambda _: MESSAGES,
    "render_chatml": _text,
    "collate": _batch,
    "document_ids": _same,
    "document_positions": _same,
    "document_mask": _mask,
    "apply_temperature": _same,
    "apply_top_k": _same,
    "apply_top_p": _same,
    "apply_min_p": _same,
    "apply_repetition_penalty": _same,
    "sample": lambda logits: tensors((len(logits),)),
}
