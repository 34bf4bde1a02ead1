"""A model that takes rows of several documents, none of which sees another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from happyllm.data.pack import document_mask, document_positions

Packing = Callable[[torch.Tensor, int], torch.Tensor]


def keeping_apart(
    kind: type, find_positions: Packing = document_positions, find_mask: Packing = document_mask
) -> type:
    """Make of a Transformer's class one that can keep the documents of a row apart.

    Args:
        kind: `Transformer`, or a learner's own with its `positions_and_mask`.
        find_positions: As `document_positions`.
        find_mask: As `document_mask`.

    Returns:
        The class, with the same parameters. Without a cache its `attention_mask` holds the number
        of each token's document, from 1 on, and 0 for padding; attention stays within a document,
        and positions count from its start.

    Raises:
        TypeError: `kind` has no `positions_and_mask`.

    Example:
        >>> from happyllm.llama import ModelConfig, Transformer
        >>> args = ModelConfig(dim=16, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=10)
        >>> model = keeping_apart(Transformer)(args).eval()
        >>> tokens, numbers = torch.tensor([[5, 6, 7, 5, 6, 7]]), torch.tensor([[1, 1, 1, 2, 2, 2]])
        >>> logits, _ = model(tokens, attention_mask=numbers)
        >>> torch.allclose(logits[:, :3], logits[:, 3:], atol=1e-6)
        True
    """
    if not hasattr(kind, "positions_and_mask"):
        raise TypeError(
            f"{kind.__module__}.{kind.__name__} has no positions_and_mask, by which documents are "
            "kept apart; train with data.document_mask=false"
        )

    class Apart(kind):
        """Keep the documents of a row apart."""

        def positions_and_mask(
            self, tokens: torch.Tensor, attention_mask: torch.Tensor | None, cache: Any
        ) -> Any:
            if attention_mask is None or cache is not None:
                return super().positions_and_mask(tokens, attention_mask, cache)
            if tokens.size(1) > self.args.max_seq_len:
                raise ValueError(
                    f"a sequence of {tokens.size(1)} tokens is longer than "
                    f"max_seq_len={self.args.max_seq_len}"
                )
            ends = last_tokens(attention_mask)
            positions = find_positions(ends, 1)
            return self.freqs_cos[positions], self.freqs_sin[positions], find_mask(ends, 1)

    Apart.__name__, Apart.__qualname__ = kind.__name__, kind.__qualname__
    return Apart


def last_tokens(numbers: torch.Tensor) -> torch.Tensor:
    """Mark where documents end, so that it can be told of any rows what `pack` says by end tokens.

    Args:
        numbers: (B, T) integers, the same throughout a document, another in the next.

    Returns:
        (B, T), 1 at the last token of each document but that of the row, and 0 elsewhere.

    Example:
        >>> last_tokens(torch.tensor([[1, 1, 2, 2, 3]]))
        tensor([[0, 1, 0, 1, 0]])
    """
    ends = torch.zeros_like(numbers)
    ends[:, :-1] = numbers[:, 1:] != numbers[:, :-1]
    return ends
