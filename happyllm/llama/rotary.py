"""Rotary position embedding (RoPE): a position is an angle by which pairs of features turn.

The score of a query and a key then depends on their distance only. Convention: *interleaved* pairs
(0, 1), (2, 3), ..., as in Meta's code and the paper; Hugging Face pairs feature i with i + d/2.
`permute_for_hf` translates weights from the one to the other.
"""

from __future__ import annotations

import torch


def precompute_freqs_cis(
    dim: int, end: int, theta: float = 10000.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tabulate the cosine and sine of every angle: position t times the frequency of pair i.

    Pair i turns by `theta ** (-2 * i / dim)` radians per position: the first pair by a whole
    radian, the last by about `1 / theta`.

    Args:
        dim: Size d of one head; even.
        end: Number of positions; the table covers 0 .. end - 1.
        theta: Base of the frequencies.

    Returns:
        `(freqs_cos, freqs_sin)`, each (end, dim // 2) float32.

    Raises:
        ValueError: `dim` is odd.

    Example:
        >>> freqs_cos, freqs_sin = precompute_freqs_cis(dim=4, end=3)
        >>> freqs_sin  # angles: t * 1 and t * 0.01
        tensor([[0.0000, 0.0000],
                [0.8415, 0.0100],
                [0.9093, 0.0200]])

    Source:
        Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding",
        Section 3.2.2.
    """
    if dim % 2:
        raise ValueError(f"dim={dim} is odd; RoPE turns pairs of features")
    # Step 1: one frequency per pair, theta ** (-2i / dim) for i = 0 .. dim/2 - 1.
    freqs = 1.0 / theta ** (torch.arange(0, dim, 2).float() / dim)  # (d/2,)
    # Step 2: the angle of every position and pair is their product.
    angles = torch.outer(torch.arange(end).float(), freqs)  # (end, d/2)
    # Step 3: return its cosine and its sine.
    return angles.cos(), angles.sin()


def reshape_for_broadcast(freqs: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Give a table of cosines or sines the axes that let it multiply `x`.

    Args:
        freqs: (T, d/2) where all rows of the batch are at the same positions, or (B, T, d/2)
            where each row has its own (a left-padded batch).
        x: (B, T, H, d/2), one half of each pair.

    Returns:
        A view of `freqs`: (1, T, 1, d/2) or (B, T, 1, d/2).

    Raises:
        ValueError: The sizes of `freqs` are not those of `x`.

    Example:
        >>> x = torch.zeros(2, 5, 3, 4)
        >>> reshape_for_broadcast(torch.zeros(5, 4), x).shape
        torch.Size([1, 5, 1, 4])
        >>> reshape_for_broadcast(torch.zeros(2, 5, 4), x).shape
        torch.Size([2, 5, 1, 4])
    """
    B, T, _, half = x.shape  # batch, sequence, heads, pairs
    # Step 1: a table without a batch axis gets one of size 1.
    if freqs.shape == (T, half):
        freqs = freqs.unsqueeze(0)  # (1, T, d/2)
    # Step 2: a table of any other shape than (B, T, d/2) is an error; name both shapes.
    elif freqs.shape != (B, T, half):
        raise ValueError(
            f"freqs {tuple(freqs.shape)} fits neither {(T, half)} nor {(B, T, half)}, "
            f"which x {tuple(x.shape)} asks for"
        )
    # Step 3: add the axis of the heads: all heads turn alike.
    return freqs.unsqueeze(2)  # (1 or B, T, 1, d/2)


def apply_rotary_emb(
    xq: torch.Tensor, xk: torch.Tensor, freqs_cos: torch.Tensor, freqs_sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn every pair of features of the queries and keys by the angle of its position.

    The pair (a, b) = (x[2i], x[2i + 1]) becomes (a cos - b sin, a sin + b cos), in place in the
    order of features: [a, b, c, d] -> [a', b', c', d'].

    Args:
        xq: (B, T, H, d) queries.
        xk: (B, T, K, d) keys; K may differ from H.
        freqs_cos: (T, d/2), or (B, T, d/2) for positions of each row's own.
        freqs_sin: The same shape.

    Returns:
        `(xq, xk)` turned: new tensors, same shapes and dtypes; computed in float32.

    Raises:
        ValueError: The tables do not fit the queries or keys.

    Example:
        >>> cos, sin = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])  # 90 and 0 degrees
        >>> x = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 4)
        >>> apply_rotary_emb(x, x, cos, sin)[0].flatten()
        tensor([-2.,  1.,  3.,  4.])

    Source:
        Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding",
        Sections 3.2.2 and 3.4.2.
    """
    # Step 1: in float32, make the two tables one of complex numbers, cos + i sin.
    turns = torch.view_as_complex(torch.stack((freqs_cos, freqs_sin), dim=-1).float())
    turned = []
    for x in (xq, xk):
        # Step 2: read each pair (a, b) of the last axis as a complex number, a + bi.
        pairs = x.float().unflatten(-1, (-1, 2)).contiguous()  # (B, T, H or K, d/2, 2)
        z = torch.view_as_complex(pairs)  # (B, T, H or K, d/2)
        # Step 3: give the table the axes of z; a product of complex numbers is a turn.
        z = z * reshape_for_broadcast(turns, z)
        # Step 4: read them as pairs side by side again, in the dtype that came in.
        turned.append(torch.view_as_real(z).flatten(-2).type_as(x))  # (B, T, H or K, d)
    return turned[0], turned[1]


def permute_for_hf(weight: torch.Tensor, n_heads: int) -> torch.Tensor:
    """Reorder the rows of a query or key projection from interleaved pairs to split halves.

    Within each head the rows [a0, b0, a1, b1, a2, b2] become [a0, a1, a2, b0, b1, b2]: the
    projection then feeds Hugging Face's RoPE and gives the same attention scores.

    Args:
        weight: (n_heads * d, D) weight of `wq` (with H heads) or `wk` (with K heads).
        n_heads: How many heads the rows hold.

    Returns:
        (n_heads * d, D).

    Raises:
        ValueError: The rows do not divide into `n_heads` heads of even size.

    Example:
        >>> weight = torch.arange(12.0).view(12, 1)  # two heads of size 6
        >>> permute_for_hf(weight, n_heads=2).flatten().int()
        tensor([ 0,  2,  4,  1,  3,  5,  6,  8, 10,  7,  9, 11], dtype=torch.int32)
    """
    rows, width = weight.shape
    if rows % (2 * n_heads):
        raise ValueError(f"{rows} rows do not divide into n_heads={n_heads} heads of even size")
    # Step 1: split the rows into heads, pairs, and the two of a pair.
    pairs = weight.reshape(n_heads, rows // n_heads // 2, 2, width)  # (H, d/2, 2, D)
    # Step 2: put "which of the two" before "which pair", and make rows of it again.
    return pairs.transpose(1, 2).reshape(rows, width)  # (H, 2, d/2, D) -> (H * d, D)
