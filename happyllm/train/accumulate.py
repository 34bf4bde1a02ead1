"""A large batch in small pieces: gradients that add up to those of the whole.

The mean over a batch is not the mean of its pieces' means, unless every piece has as many tokens
to learn from. In fine-tuning, where questions are masked, they never have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import nn

Item = TypeVar("Item")


def windows(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Group items into lists of `size`; the last may be shorter, and is not lost.

    Args:
        items: Read one window at a time, never further: they may be endless.
        size: At least 1.

    Yields:
        Lists of `size` items, in order; what is left at the end, if anything, as the last list.

    Raises:
        ValueError: `size` is below 1 (when the first window is asked for).

    Example:
        >>> list(windows("abcde", 2))
        [['a', 'b'], ['c', 'd'], ['e']]
    """
    if size < 1:
        raise ValueError(f"size={size} must be at least 1")
    window: list[Item] = []
    for item in items:
        window.append(item)
        # Step 1: hand a full window on as soon as it is full, and begin another.
        if len(window) == size:
            yield window
            window = []
    # Step 2: the rest is a window too.
    if window:
        yield window


def accumulate_gradients(
    model: nn.Module,
    micro_batches: Sequence[Mapping[str, torch.Tensor]],
    n_tokens: float | None = None,
) -> torch.Tensor:
    """Add to the gradients those of the mean loss over *all* tokens of several micro-batches.

    Up to rounding that is the gradient of one batch that holds them all, at the memory of the
    largest alone.

    Args:
        model: Called as `model(**micro_batch)`; gives `(logits, loss)`, loss the mean over the
            counted tokens of that micro-batch (0 where there is none).
        micro_batches: Arguments of the model. "targets" is among them: (B, T) int64, where -100 is
            not counted. Sizes may differ from one to the next.
        n_tokens: Counted tokens to average over; None counts those of `micro_batches`. (Processes
            that share a batch give their common number.)

    Returns:
        A detached scalar: the sum of the losses of all counted tokens over `n_tokens`; 0 where no
        token counts.

    Example:
        >>> class Constant(nn.Module):  # the loss of every token is the weight
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.weight = nn.Parameter(torch.tensor(2.0))
        ...     def forward(self, targets):
        ...         return None, self.weight * (targets != -100).any()
        >>> model = Constant()
        >>> one, three = torch.tensor([[5, -100, -100]]), torch.tensor([[5, 6, 7]])
        >>> accumulate_gradients(model, [{"targets": one}, {"targets": three}])
        tensor(2.)
        >>> model.weight.grad  # 1/4 of the one, and 3/4 of the other
        tensor(1.)
    """
    # Step 1: count the tokens of each micro-batch, and of all of them, at least 1.
    counts = [(batch["targets"] != -100).sum() for batch in micro_batches]
    if n_tokens is None:
        n_tokens = max(1, sum(int(count) for count in counts))
    total = torch.zeros(())
    for batch, count in zip(micro_batches, counts, strict=True):
        # Step 2: a mean over `count` tokens is `count / n_tokens` of the mean over all.
        loss = model(**batch)[1] * (count / n_tokens)
        # Step 3: backward now, micro-batch by micro-batch, so that its activations are freed.
        loss.backward()
        total = total.to(loss.device) + loss.detach()
    return total
