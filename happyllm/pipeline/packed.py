"""A model that takes rows of several documents, none of which sees another."""

from __future__ import annotations

from typing import Any

import torch


def keeping_apart(kind: type) -> type:
    """Make of a Transformer's class one that can keep the documents of a row apart.

    Args:
        kind: `Transformer`, or a learner's own with its `positions_and_mask`.

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
            positions, mask = within_documents(attention_mask)
            return self.freqs_cos[positions], self.freqs_sin[positions], mask

    Apart.__name__, Apart.__qualname__ = kind.__name__, kind.__qualname__
    return Apart


def within_documents(numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Find positions and mask of rows whose tokens are numbered by document.

    Args:
        numbers: (B, T) integers, the same throughout a document, another in the next.

    Returns:
        Positions (B, T) from the start of each document, and a mask (B, 1, T, T) that is True
        where a query sees a key: in its own document, not after it.

    Example:
        >>> positions, mask = within_documents(torch.tensor([[1, 1, 2]]))
        >>> positions
        tensor([[0, 1, 0]])
        >>> mask[0, 0].int()
        tensor([[1, 0, 0],
                [1, 1, 0],
                [0, 0, 1]], dtype=torch.int32)
    """
    T = numbers.size(1)
    index = torch.arange(T, device=numbers.device)
    first = torch.ones_like(numbers, dtype=torch.bool)
    first[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
    starts = torch.where(first, index, 0).cummax(dim=1).values  # (B, T)
    same = numbers[:, :, None] == numbers[:, None, :]  # (B, T, T)
    causal = index[:, None] >= index
    return index - starts, (same & causal)[:, None]
