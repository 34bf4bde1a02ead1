"""One update of the weights, from batches to the next model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from happyllm.train.accumulate import accumulate_gradients
from happyllm.train.optim import clip_grad_norm

if TYPE_CHECKING:
    from happyllm.train.optim import AdamW


class StepResult(NamedTuple):
    """What an update has to tell.

    Attributes:
        loss: Mean loss over the counted tokens, before the update.
        grad_norm: Length of the gradient before clipping.
    """

    loss: float
    grad_norm: float


def train_step(
    model: nn.Module,
    optimizer: AdamW,
    micro_batches: Sequence[Mapping[str, torch.Tensor]],
    *,
    lr: float,
    max_norm: float,
    n_tokens: float | None = None,
) -> StepResult:
    """Make one update: gradients of all micro-batches, clipped, and one step of the optimizer.

    Args:
        model: As `accumulate_gradients` calls it. It is put into training mode.
        optimizer: Holds the model's parameters in its `param_groups`.
        micro_batches: The batches of this one update; see `accumulate_gradients`.
        lr: Learning rate of this update, for every group.
        max_norm: The gradient is clipped to this length.
        n_tokens: See `accumulate_gradients`.

    Returns:
        `StepResult(loss, grad_norm)`, two Python floats. Gradients are gone afterwards.

    Raises:
        FloatingPointError: The loss or the length of the gradient is NaN or infinite. No weight
            and nothing of the optimizer's state has then been changed.

    Example:
        >>> from happyllm.llama import ModelConfig, Transformer
        >>> from happyllm.train.optim import AdamW
        >>> args = ModelConfig(dim=16, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=10)
        >>> model, tokens = Transformer(args), torch.arange(9).view(1, 9)
        >>> batch = {"tokens": tokens[:, :-1], "targets": tokens[:, 1:]}
        >>> optimizer = AdamW(model.parameters())
        >>> losses = [train_step(model, optimizer, [batch], lr=0.01, max_norm=1.0).loss
        ...           for _ in range(30)]
        >>> losses[-1] < losses[0] / 2
        True
    """
    # Step 1: training mode, the rate of this update, and no gradient of an earlier one.
    model.train()
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad()
    # Step 2: gradients of all micro-batches, then clipped together.
    loss = float(accumulate_gradients(model, micro_batches, n_tokens))
    norm = float(clip_grad_norm(model.parameters(), max_norm))
    # Step 3: refuse what is not finite before it reaches the weights.
    if not (math.isfinite(loss) and math.isfinite(norm)):
        optimizer.zero_grad()
        raise FloatingPointError(f"the loss is {loss}, the length of the gradient {norm}")
    # Step 4: update, and drop the gradients: they are of no more use.
    optimizer.step()
    optimizer.zero_grad()
    return StepResult(loss, norm)
