"""The KV cache: keys and values of past tokens, kept so that each is computed once.

Without it, writing n tokens runs the model over 1 + 2 + ... + n of them. One `KVCache` serves one
layer. It holds the K key/value heads, not the H query heads: this is what GQA saves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from happyllm.llama.config import ModelConfig


class KVCache:
    """Hold one layer's keys and values in memory that is reserved once and filled in place.

    It is meant for generation, under `torch.no_grad`.

    Args:
        batch_size: Number of rows B.
        max_seq_len: Most tokens that it can hold.
        n_kv_heads: Number of key/value heads K.
        head_dim: Size d of one head.
        dtype: Element type of the memory.
        device: Where the memory is.

    Attributes:
        k: (B, max_seq_len, K, d), the keys, already rotated.
        v: (B, max_seq_len, K, d), the values.
        length: How many tokens are held; the memory after them is not yet in use.

    Example:
        >>> cache = KVCache(batch_size=1, max_seq_len=4, n_kv_heads=2, head_dim=8)
        >>> prompt = torch.randn(1, 3, 2, 8)
        >>> keys, values = cache.update(prompt, prompt)
        >>> cache.length, keys.shape
        (3, torch.Size([1, 3, 2, 8]))
        >>> cache.update(prompt, prompt)
        Traceback (most recent call last):
        ValueError: 3 new tokens after 3 cached ones are more than max_seq_len=4

    Source:
        Shazeer 2019, "Fast Transformer Decoding: One Write-Head is All You Need", Section 2.4.
    """

    def __init__(
        self,
        batch_size: int,
        max_seq_len: int,
        n_kv_heads: int,
        head_dim: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        shape = (batch_size, max_seq_len, n_kv_heads, head_dim)
        self.k = torch.zeros(shape, dtype=dtype, device=device)
        self.v = torch.zeros(shape, dtype=dtype, device=device)
        self.length = 0

    def update(self, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the next T tokens after those held, and hand back all.

        Args:
            k: (B, T, K, d) keys, after the rotary embedding.
            v: (B, T, K, d) values.

        Returns:
            `(all_k, all_v)`, each (B, length, K, d): views of the memory, not copies.

        Raises:
            ValueError: `k` and `v` are not both (B, T, K, d), or there is no room for T more.
                The cache is then as it was.
        """
        B, max_seq_len, K, d = self.k.shape  # batch, room, key/value heads, head size
        T = k.size(1)
        # Step 1: refuse shapes that do not fit, and more tokens than there is room for.
        if k.shape != (B, T, K, d) or v.shape != (B, T, K, d):
            raise ValueError(
                f"k {tuple(k.shape)} and v {tuple(v.shape)} must both be (B={B}, T, K={K}, d={d})"
            )
        if self.length + T > max_seq_len:
            raise ValueError(
                f"{T} new tokens after {self.length} cached ones are more than "
                f"max_seq_len={max_seq_len}"
            )
        # Step 2: write in place after what is held, and move the length on.
        start, self.length = self.length, self.length + T
        self.k[:, start : self.length] = k
        self.v[:, start : self.length] = v
        # Step 3: return views of everything held.
        return self.k[:, : self.length], self.v[:, : self.length]


def new_cache(
    args: ModelConfig,
    batch_size: int,
    max_seq_len: int | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> list[KVCache]:
    """Make an empty cache for every layer of a model.

    Args:
        args: The model's configuration.
        batch_size: Number of rows B.
        max_seq_len: Most tokens to hold; None means as many as the model can take.
        dtype: Element type; that of the model's weights.
        device: Where the memory is; that of the model.

    Returns:
        `n_layers` caches, one a layer, none sharing memory.

    Example:
        >>> from happyllm.llama.config import ModelConfig
        >>> cache = new_cache(ModelConfig(n_layers=3), batch_size=2, max_seq_len=10)
        >>> len(cache), cache[0].k.shape
        (3, torch.Size([2, 10, 8, 48]))
    """
    room = args.max_seq_len if max_seq_len is None else max_seq_len
    return [
        KVCache(batch_size, room, args.n_kv_heads or args.n_heads, args.head_dim, dtype, device)
        for _ in range(args.n_layers)
    ]
