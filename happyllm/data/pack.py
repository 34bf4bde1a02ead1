"""Packing: documents of every length become rows of one length, and stay apart where they must."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch


def pack(docs: Iterable[Sequence[int]], seq_len: int, eos: int) -> Iterator[list[int]]:
    """Lay documents end to end, an end token after each, and cut rows of one length.

    Without the end token the last word of one document is followed by the first of another, and
    the model learns that they belong together; and it never learns to stop.

    Args:
        docs: The token ids of each document; empty ones are passed over. May be endless: no more
            is read than the next row needs.
        seq_len: The length of a row (T), at least 1.
        eos: The id of the end token. A document that ends in it already does not get another.

    Yields:
        Rows of exactly `seq_len` ids. What is left over at the end, less than a row, is not
        given.

    Raises:
        ValueError: `seq_len` is below 1.

    Example:
        >>> list(pack([[5, 6, 7], [8], [], [9, 9]], seq_len=4, eos=0))
        [[5, 6, 7, 0], [8, 0, 9, 9]]
    """
    if seq_len < 1:
        raise ValueError(f"seq_len={seq_len} must be at least 1")
    left: list[int] = []
    for doc in docs:
        if not len(doc):
            continue
        # Step 1: add the document to what is left over, and its end.
        left.extend(doc)
        if left[-1] != eos:
            left.append(eos)
        # Step 2: cut off whole rows; walk along, as cutting at the front moves all the rest.
        start = 0
        while len(left) - start >= seq_len:
            yield left[start : start + seq_len]
            start += seq_len
        # Step 3: keep the rest for the next document.
        left = left[start:]


def document_ids(tokens: torch.Tensor, eos: int) -> torch.Tensor:
    """Number the documents of packed rows: an end token still belongs to the one that it ends.

    Args:
        tokens: (B, T) int64, of `pack`.
        eos: The id of the end token.

    Returns:
        (B, T) int64, 0 for the first document of each row, or what a row holds of it; 1 for the
        next.

    Example:
        >>> document_ids(torch.tensor([[5, 6, 0, 8, 0, 9]]), eos=0)
        tensor([[0, 0, 0, 1, 1, 2]])
    """
    # Step 1: the number of a document is how many ended before this token, itself not counted.
    ends = (tokens == eos).long()
    return ends.cumsum(dim=1) - ends


def document_positions(tokens: torch.Tensor, eos: int) -> torch.Tensor:
    """Count the positions of packed tokens from the start of their own document.

    Without that the same words get other positions in each row. A model that learns a vector for
    each position would never learn how a text begins; RoPE knows distances only, and gives the
    same scores wherever a document stands, as long as the mask keeps it apart.

    Args:
        tokens: (B, T) int64, of `pack`.
        eos: The id of the end token.

    Returns:
        (B, T) int64, from 0. A document that began in an earlier row is counted from the start of
        this one: what it holds of it is a document like any other.

    Example:
        >>> document_positions(torch.tensor([[5, 6, 0, 8, 0, 9]]), eos=0)
        tensor([[0, 1, 2, 0, 1, 0]])
    """
    index = torch.arange(tokens.size(1), device=tokens.device)  # (T,)
    # Step 1: where a document begins, after an end token, its index; 0 elsewhere.
    starts = torch.zeros_like(tokens)
    starts[:, 1:] = torch.where(tokens[:, :-1] == eos, index[1:], 0)  # (B, T - 1)
    # Step 2: a token's document began at the last start so far; count from there.
    return index - starts.cummax(dim=1).values


def document_mask(tokens: torch.Tensor, eos: int) -> torch.Tensor:
    """Let each packed token see the tokens before it that are of its own document.

    Args:
        tokens: (B, T) int64, of `pack`.
        eos: The id of the end token.

    Returns:
        (B, 1, T, T) bool, True where a query may see a key: the `mask` of
        `happyllm.llama.Attention`, to go with rotary tables taken at `document_positions`.

    Example:
        >>> document_mask(torch.tensor([[5, 0, 8, 9]]), eos=0)[0, 0].int()
        tensor([[1, 0, 0, 0],
                [1, 1, 0, 0],
                [0, 0, 1, 0],
                [0, 0, 1, 1]], dtype=torch.int32)

    Source:
        Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination", Section 3.2.
    """
    T = tokens.size(1)
    # Step 1: query t and key s are of one document, (B, T, 1) against (B, 1, T).
    ids = document_ids(tokens, eos)
    same = ids[:, :, None] == ids[:, None, :]  # (B, T, T)
    # Step 2: and s is not after t; an axis for the heads, which all see the same.
    causal = torch.ones(T, T, dtype=torch.bool, device=tokens.device).tril()
    return (same & causal)[:, None]  # (B, 1, T, T)


def cu_seqlens(tokens: torch.Tensor, eos: int) -> torch.Tensor:
    """Say where the documents of packed rows begin, as kernels for sequences of any length ask.

    Args:
        tokens: (B, T) int64, of `pack`.
        eos: The id of the end token.

    Returns:
        (N + 1,) int32: the place in `tokens.flatten()` at which each of the N documents, or parts
        of one, begins, and the number of all tokens. A row always begins a part.

    Example:
        >>> cu_seqlens(torch.tensor([[5, 6, 0, 8], [8, 0, 9, 9]]), eos=0)
        tensor([0, 3, 4, 6, 8], dtype=torch.int32)
    """
    starts = (document_positions(tokens, eos) == 0).flatten().nonzero().flatten()
    end = torch.tensor([tokens.numel()], device=tokens.device)
    return torch.cat((starts, end)).to(torch.int32)
