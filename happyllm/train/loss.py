"""The loss of fine-tuning: cross entropy over the tokens that are to be learned, and no others."""

from __future__ import annotations

import torch


def masked_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Average the cross entropy over the positions whose label is not -100.

    Args:
        logits: (B, T, V), any floating dtype; `logits[:, t]` predicts `labels[:, t]`.
        labels: (B, T) int64, already shifted: `labels[:, t]` is the token after position t. -100
            marks what is not learned from: the user's words, padding.

    Returns:
        A float32 scalar in nats. Where no label counts it is 0, and its gradient is zeros: the
        average of nothing would be 0/0, and one NaN ends a training.

    Raises:
        ValueError: `labels` has not the shape of `logits` without its last axis.

    Example:
        >>> logits = torch.zeros(1, 3, 4)
        >>> logits[0, 1, 2] = 100.0  # sure of token 2, and right
        >>> masked_cross_entropy(logits, torch.tensor([[-100, 2, 0]]))  # (0 + ln 4) / 2
        tensor(0.6931)
        >>> masked_cross_entropy(logits, torch.tensor([[-100, -100, -100]]))
        tensor(0.)

    Source:
        Ouyang et al. 2022, "Training language models to follow instructions with human feedback",
        Section 3.5.
    """
    if labels.shape != logits.shape[:-1]:
        raise ValueError(f"labels {tuple(labels.shape)} do not fit logits {tuple(logits.shape)}")
    # Step 1: which positions count; the others get a label that can be looked up.
    counted = labels != -100  # (B, T)
    targets = labels.masked_fill(~counted, 0)
    # Step 2: in float32, each position's -log softmax at its target.
    logits = logits.float()
    chosen = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)  # (B, T)
    losses = logits.logsumexp(dim=-1) - chosen  # (B, T)
    # Step 3: sum those that count, over how many they are, and at least over 1.
    return losses.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)
