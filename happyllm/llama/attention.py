"""Grouped-query attention with rotary positions, causal unless a mask says otherwise.

H query heads share K key/value heads, so the cache is H/K times smaller. Masks are boolean: True
where a query may see a key. A query that may see nothing gets zeros, never NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from happyllm.llama.rotary import apply_rotary_emb

if TYPE_CHECKING:
    from happyllm.llama.cache import KVCache
    from happyllm.llama.config import ModelConfig


def repeat_kv(x: torch.Tensor, n_rep: int) -> torch.Tensor:
    """Repeat each key/value head for the query heads that share it.

    Heads repeat in place, [K1, K2] -> [K1, K1, K2, K2], because query heads 0 .. n_rep - 1 share
    the first key/value head, the next n_rep the second, and so on.

    Args:
        x: (B, T, K, d) keys or values.
        n_rep: Query heads per key/value head, H / K.

    Returns:
        (B, T, K * n_rep, d), the dtype of `x`; `x` itself where `n_rep` is 1.

    Example:
        >>> x = torch.tensor([1.0, 2.0]).view(1, 1, 2, 1)
        >>> repeat_kv(x, 3).flatten()
        tensor([1., 1., 1., 2., 2., 2.])

    Source:
        Ainslie et al. 2023, "GQA: Training Generalized Multi-Query Transformer Models from
        Multi-Head Checkpoints", Section 2.2.
    """
    # Step 1: nothing to repeat, nothing to copy.
    if n_rep == 1:
        return x
    B, T, K, d = x.shape  # batch, sequence, key/value heads, head size
    # Step 2: add an axis of n_rep after the heads, then merge it into them.
    x = x[:, :, :, None, :].expand(B, T, K, n_rep, d)
    return x.reshape(B, T, K * n_rep, d)


def causal_mask(T: int, S: int, device: torch.device | None = None) -> torch.Tensor:
    """Say which keys the last T of S tokens may see: themselves and what came before.

    Args:
        T: Number of queries, the last T tokens.
        S: Number of keys, all tokens so far.
        device: Where to make the mask.

    Returns:
        (T, S) bool; query i sees key j where `j <= i + S - T`.

    Example:
        >>> causal_mask(2, 4).int()
        tensor([[1, 1, 1, 0],
                [1, 1, 1, 1]], dtype=torch.int32)

    Source:
        Vaswani et al. 2017, "Attention Is All You Need", Section 3.2.3.
    """
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(diagonal=S - T)


class Attention(nn.Module):
    """Mix each token with the tokens that it may see, by grouped-query attention.

    Args:
        args: Gives `dim` (D), `n_heads` (H), `n_kv_heads` (K), `head_dim` (d), `dropout`, and
            `flash_attn`, which chooses the fused or the explicit path.

    Attributes:
        wq: Linear D -> H * d, the queries. None of the four has a bias.
        wk: Linear D -> K * d, the keys.
        wv: Linear D -> K * d, the values.
        wo: Linear H * d -> D, the output.
        attn_dropout: Dropout on the attention weights.
        resid_dropout: Dropout on the output.

    Example:
        >>> from happyllm.llama.config import ModelConfig
        >>> from happyllm.llama.rotary import precompute_freqs_cis
        >>> args = ModelConfig(dim=32, n_heads=4, n_kv_heads=2)
        >>> freqs_cos, freqs_sin = precompute_freqs_cis(args.head_dim, end=5)
        >>> Attention(args)(torch.randn(2, 5, 32), freqs_cos, freqs_sin).shape
        torch.Size([2, 5, 32])

    Source:
        Ainslie et al. 2023, "GQA: Training Generalized Multi-Query Transformer Models from
        Multi-Head Checkpoints", Section 2.2;
        Vaswani et al. 2017, "Attention Is All You Need", Sections 3.2.1 and 3.2.2.
    """

    def __init__(self, args: ModelConfig) -> None:
        super().__init__()
        self.n_heads = args.n_heads
        self.n_kv_heads = args.n_kv_heads or args.n_heads
        self.n_rep = args.n_rep
        self.head_dim = args.head_dim
        self.flash_attn = args.flash_attn
        # Step 1: the four projections, without bias; keys and values have only K heads.
        self.wq = nn.Linear(args.dim, self.n_heads * self.head_dim, bias=False)
        self.wk = nn.Linear(args.dim, self.n_kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(args.dim, self.n_kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(self.n_heads * self.head_dim, args.dim, bias=False)
        # Step 2: the two dropouts.
        self.attn_dropout = nn.Dropout(args.dropout)
        self.resid_dropout = nn.Dropout(args.dropout)

    def forward(
        self,
        x: torch.Tensor,
        freqs_cos: torch.Tensor,
        freqs_sin: torch.Tensor,
        mask: torch.Tensor | None = None,
        cache: KVCache | None = None,
    ) -> torch.Tensor:
        """Attend from the T tokens of `x` to themselves and to what the cache holds.

        Args:
            x: (B, T, D).
            freqs_cos: (T, d/2) or (B, T, d/2), the cosines at the positions of these T tokens.
            freqs_sin: The same shape, the sines.
            mask: bool of two axes or more, broadcastable to (B, H, T, S), True where a query may
                see a key. None means causal, aligned to the end: query i sees the keys
                j <= i + S - T.
            cache: Takes the rotated keys and the values, each (B, T, K, d), and gives back all
                S so far. Without one S is T.

        Returns:
            (B, T, D), the dtype of `x`.

        Raises:
            TypeError: `mask` is not boolean.
        """
        if mask is not None and mask.dtype != torch.bool:
            raise TypeError(f"mask must be boolean (True = may see), not {mask.dtype}")
        B, T, _ = x.shape  # batch, sequence, width
        H, K, d = self.n_heads, self.n_kv_heads, self.head_dim

        # Step 1: project, and split the last axis into heads.
        xq = self.wq(x).view(B, T, H, d)
        xk = self.wk(x).view(B, T, K, d)
        xv = self.wv(x).view(B, T, K, d)

        # Step 2: turn queries and keys (not values) to their positions; then cache keys, values.
        xq, xk = apply_rotary_emb(xq, xk, freqs_cos, freqs_sin)
        if cache is not None:
            xk, xv = cache.update(xk, xv)  # (B, S, K, d)

        # Step 3: attend, by the path that flash_attn chooses. The kernel shares out K heads itself;
        # the formula wants every query head's own, which copies the whole cache for each token.
        if self.flash_attn:
            attend = self.fused_attention
        else:
            attend = self.explicit_attention
            xk, xv = repeat_kv(xk, self.n_rep), repeat_kv(xv, self.n_rep)  # (B, S, H, d)

        # Step 4: put the heads before the tokens, and attend.
        out = attend(xq.transpose(1, 2), xk.transpose(1, 2), xv.transpose(1, 2), mask)

        # Step 5: put the heads side by side again, project; in training, drop out.
        out = self.wo(out.transpose(1, 2).reshape(B, T, H * d))
        return self.resid_dropout(out) if self.training else out

    def fused_attention(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Attend with PyTorch's fused kernel, which never stores the (T, S) weights.

        Args:
            q: (B, H, T, d).
            k: (B, K, S, d): as in `repeat_kv`, a run of H / K query heads shares each head.
            v: (B, K, S, d).
            mask: As in `forward`.

        Returns:
            (B, H, T, d); zeros where a query may see nothing.
        """
        T, S = q.size(2), k.size(2)
        # Step 1: the kernel's is_causal aligns to the start, so it serves T == S only; a lone last
        # query sees every key and needs no mask; between the two, make the causal mask.
        if mask is None and T not in (1, S):
            mask = causal_mask(T, S, q.device)
        # Step 2: call the kernel; it has to be told that query heads share (GQA), and that nothing
        # is dropped outside training.
        return F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            dropout_p=self.attn_dropout.p if self.training else 0.0,
            is_causal=mask is None and T > 1,
            enable_gqa=True,
        )

    def explicit_attention(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Attend as the formula says: softmax(q k^T / sqrt(d)) v.

        Args:
            q: (B, H, T, d).
            k: (B, H, S, d).
            v: (B, H, S, d).
            mask: As in `forward`.

        Returns:
            (B, H, T, d); zeros where a query may see nothing.
        """
        if mask is None:
            mask = causal_mask(q.size(2), k.size(2), q.device)
        # Step 1: scores of every query with every key, over sqrt(d), in float32.
        scores = (q @ k.transpose(2, 3)).float() / math.sqrt(self.head_dim)  # (B, H, T, S)
        # Step 2: hide keys with the lowest finite number; -inf in a whole row would give NaN.
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        # Step 3: softmax; multiply by the mask, so that a row with nothing to see becomes zeros.
        weights = scores.softmax(dim=-1) * mask
        # Step 4: drop out, and mix the values in their own dtype.
        return self.attn_dropout(weights).to(v.dtype) @ v  # (B, H, T, S) @ (B, H, S, d)
