"""A decoder layer: attention, then the MLP, each added to a residual stream that stays untouched.

Pre-norm: what goes *into* a part is normalised, `x + f(norm(x))`; the stream itself never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from happyllm.llama.attention import Attention
from happyllm.llama.mlp import MLP
from happyllm.llama.norm import RMSNorm

if TYPE_CHECKING:
    from happyllm.llama.cache import KVCache
    from happyllm.llama.config import ModelConfig


class DecoderLayer(nn.Module):
    """Let the tokens exchange what they know, then let each think on its own.

        h   = x + attention(attention_norm(x))
        out = h + feed_forward(ffn_norm(h))

    Args:
        layer_id: Which layer of the model this is, from 0.
        args: The model's configuration.

    Attributes:
        layer_id: As given.
        attention: `Attention`.
        feed_forward: `MLP`.
        attention_norm: `RMSNorm` before the attention.
        ffn_norm: `RMSNorm` before the MLP.

    Example:
        >>> from happyllm.llama.config import ModelConfig
        >>> from happyllm.llama.rotary import precompute_freqs_cis
        >>> args = ModelConfig(dim=32, n_heads=4, n_kv_heads=2)
        >>> freqs_cos, freqs_sin = precompute_freqs_cis(args.head_dim, end=5)
        >>> DecoderLayer(0, args)(torch.randn(2, 5, 32), freqs_cos, freqs_sin).shape
        torch.Size([2, 5, 32])

    Source:
        Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models", Section 2.2;
        why pre-norm: Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture".
    """

    def __init__(self, layer_id: int, args: ModelConfig) -> None:
        super().__init__()
        self.layer_id = layer_id
        # Step 1: the two parts.
        self.attention = Attention(args)
        self.feed_forward = MLP(args.dim, args.hidden_dim, args.multiple_of, args.dropout)
        # Step 2: a norm of its own before each, with the configuration's eps.
        self.attention_norm = RMSNorm(args.dim, eps=args.norm_eps)
        self.ffn_norm = RMSNorm(args.dim, eps=args.norm_eps)

    def forward(
        self,
        x: torch.Tensor,
        freqs_cos: torch.Tensor,
        freqs_sin: torch.Tensor,
        mask: torch.Tensor | None = None,
        cache: KVCache | None = None,
    ) -> torch.Tensor:
        """Pass the residual stream through the layer.

        Args:
            x: (B, T, D).
            freqs_cos: (T, d/2) or (B, T, d/2), the cosines at the positions of these T tokens.
            freqs_sin: The same shape, the sines.
            mask: bool, broadcastable to (B, H, T, S), True where a query may see a key; None
                means causal.
            cache: This layer's keys and values of earlier tokens.

        Returns:
            (B, T, D), the dtype of `x`.
        """
        # Step 1: normalise, attend, add to x itself (not to the normalised x).
        h = x + self.attention(self.attention_norm(x), freqs_cos, freqs_sin, mask, cache)
        # Step 2: the same with the MLP, from the sum just made.
        return h + self.feed_forward(self.ffn_norm(h))
