"""Generation at speed: straight from kernel to kernel.

With the cache a step of generation computes with very small tensors. A kernel takes a microsecond
or two, and to find it through modules, attributes and checks takes as long again. `FastDecoder` is
a `Transformer` that has its weights in hand before the first step, and does the same arithmetic
with fewer kernels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import nn

from happyllm.llama.attention import Attention
from happyllm.llama.layer import DecoderLayer
from happyllm.llama.mlp import MLP
from happyllm.llama.model import Transformer
from happyllm.llama.norm import RMSNorm

if TYPE_CHECKING:
    from happyllm.llama.cache import KVCache

# What a plain model is made of. Anything else in it, say an adapter, is called, not seen through.
PLAIN = {DecoderLayer, Attention, MLP, RMSNorm, nn.Embedding, nn.Linear, nn.Dropout, nn.ModuleList}


class Layer(NamedTuple):
    """The weights of a layer; matrices as (in, out), since turning one round takes time as well."""

    attention_norm: torch.Tensor  # (D,), as `rms_norm` takes it
    wq: torch.Tensor
    wk: torch.Tensor
    wv: torch.Tensor
    wo: torch.Tensor
    ffn_norm: torch.Tensor  # (D,), as `rms_norm` takes it
    w1: torch.Tensor
    w3: torch.Tensor
    w2: torch.Tensor


class Weights(NamedTuple):
    """All that a step computes with."""

    embeddings: torch.Tensor  # (V, D)
    turns: torch.Tensor  # (max_seq_len, d/2) complex: each position's angles
    layers: list[Layer]
    norm: torch.Tensor  # (D,), as `rms_norm` takes it
    eps: torch.Tensor  # as `rms_norm` takes it
    output: torch.Tensor  # (D, V)


class FastDecoder(Transformer):
    """A `Transformer` that writes faster, to be given to `generate` and its like.

    It *is* the model that it is made from, with the same weights and in the same mode; only the
    reading of a prompt, of which the last position counts, and the steps of one token a row after
    it are computed in another way. Its logits differ in their last digits, since norms round
    differently. What is not a plain `Transformer` in float32 (one with adapters or hooks, in
    another dtype, under autocast, with `flash_attn=False`) is computed as ever.

    Args:
        model: Shares all that it has.

    Example:
        >>> from happyllm.llama.config import ModelConfig
        >>> from happyllm.llama.generate import generate
        >>> model = Transformer(ModelConfig(dim=32, n_layers=2, n_heads=8, vocab_size=50))
        >>> prompts = torch.tensor([[5, 6, 7]])
        >>> generate(FastDecoder(model), prompts, 4).equal(generate(model, prompts, 4))
        True

    Source:
        Pope et al. 2022, "Efficiently Scaling Transformer Inference", Section 2, on the two phases:
        prefill, the whole prompt at once, and decode, one token after another.
    """

    __slots__ = ("_weights",)  # its own, beside the state that it shares
    _weights: Weights | None

    def __init__(self, model: Transformer) -> None:
        object.__setattr__(self, "__dict__", vars(model))  # one state, two ways to compute
        self._weights = None

    def forward(
        self,
        tokens: torch.Tensor,
        targets: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        cache: list[KVCache] | None = None,
        logits_to_keep: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Score every next token; arguments, results and errors are `Transformer.forward`'s."""
        # Step 1: with an empty cache a new text begins; look its weights up.
        if cache and cache[0].length == 0:
            self._weights = weights_of(self)

        # Step 2: all but a prompt and one more token a row, and every error, goes the usual way.
        weights = self._weights
        if (
            weights is None
            or cache is None
            or targets is not None
            or not self.is_writing(tokens, attention_mask, cache, logits_to_keep)
        ):
            return super().forward(tokens, targets, attention_mask, cache, logits_to_keep)

        # Step 3: the angles of the tokens, and which keys they may see. The model says both of a
        # prompt; a lone token sees the real ones and itself, and all where there is no padding.
        B, T = tokens.shape  # batch, new tokens
        mask: torch.Tensor | None
        if T > 1:
            cos, sin, mask = self.positions_and_mask(tokens, attention_mask, cache)
            turns = torch.complex(cos, sin).unsqueeze(-2)  # (T, 1, d/2) or (B, T, 1, d/2)
        elif attention_mask is None:
            turns, mask = weights.turns[cache[0].length], None  # (d/2,)
        else:
            real = attention_mask.bool()
            turns = weights.turns[(real.sum(dim=1) - 1).clamp(min=0), None, None]  # (B, 1, 1, d/2)
            mask = F.pad(real[:, :-1], (0, 1), value=True)[:, None, None]  # (B, 1, 1, S)

        # Step 4: through the layers, of the last of which only the last position is wanted; then
        # to the vocabulary.
        h = F.embedding(tokens.flatten(), weights.embeddings)  # (B * T, D)
        for layer, kept in zip(weights.layers, cache, strict=True):
            only_last = T > 1 and kept is cache[-1]
            h = self.step(h, B, layer, weights.eps, turns, mask, kept, only_last)
        logits = rms_norm(h, weights.norm, weights.eps).mm(weights.output)  # (B, V)
        return logits[:, None], None

    def is_writing(
        self,
        tokens: torch.Tensor,
        attention_mask: torch.Tensor | None,
        cache: list[KVCache],
        logits_to_keep: int | None,
    ) -> bool:
        """Whether this is a prompt whose last position counts, or one more token a row.

        There has to be room for it, and nothing to train.
        """
        B, T = tokens.shape  # batch, new tokens
        past = cache[0].length
        one_more = T == 1 and logits_to_keep in (None, 1)
        prompt = T > 1 and past == 0 and logits_to_keep == 1
        return (
            (one_more or prompt)
            and past + T <= self.args.max_seq_len
            and len(cache) == self.args.n_layers
            and (attention_mask is None or attention_mask.shape == (B, past + T))
            and not self.training
            and not torch.is_grad_enabled()
            and not torch.is_autocast_enabled(tokens.device.type)
        )

    def step(
        self,
        h: torch.Tensor,
        B: int,
        layer: Layer,
        eps: torch.Tensor,
        turns: torch.Tensor,
        mask: torch.Tensor | None,
        cache: KVCache,
        only_last: bool,
    ) -> torch.Tensor:
        """Pass the tokens through a layer, as `DecoderLayer` does.

        Args:
            h: (B * T, D), row by row.
            B: The number of rows.
            layer: The layer's weights.
            eps: As `rms_norm` takes it.
            turns: (d/2,), (T, 1, d/2) or (B, T, 1, d/2) complex, the angles of the tokens.
            mask: (B, 1, T, S) bool, True where a key may be seen; None means causal.
            cache: The layer's own.
            only_last: Whether the last token of each row is all that is wanted.

        Returns:
            (B * T, D), or (B, D).
        """
        K, n_rep, d = self.args.n_heads // self.args.n_rep, self.args.n_rep, self.args.head_dim

        # Step 1: keys and values of all tokens; turn the keys, cache both.
        x = rms_norm(h, layer.attention_norm, eps)
        k = turn(x.mm(layer.wk).view(B, -1, K, d // 2, 2), turns)
        v = x.mm(layer.wv)
        keys, values = cache.update(k.flatten(3), v.view(B, -1, K, d))  # (B, S, K, d)
        keys, values = keys.transpose(1, 2), values.transpose(1, 2)  # (B, K, S, d)

        # Step 2: from here on the last tokens alone, where no others are wanted.
        if only_last:
            h, x = (rows.view(B, -1, rows.size(-1))[:, -1] for rows in (h, x))
            turns, mask = turns[..., -1:, :, :], None if mask is None else mask[:, :, -1:]

        # Step 3: attend. A lone token has no order to keep, so the query heads that share a key
        # head can be handed over as n_rep queries of one head: nothing is repeated or masked.
        q = turn(x.mm(layer.wq).view(B, -1, K * n_rep, d // 2, 2), turns)
        if q.size(1) == 1:
            q = q.view(B, K, n_rep, d)
            out = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        else:
            q, causal = q.flatten(3).transpose(1, 2), mask is None  # (B, H, T, d)
            out = F.scaled_dot_product_attention(
                q, keys, values, attn_mask=mask, is_causal=causal, enable_gqa=True
            ).transpose(1, 2)
        h = torch.addmm(h, out.reshape(h.size(0), K * n_rep * d), layer.wo)  # the sum as well

        # Step 4: the MLP.
        x = rms_norm(h, layer.ffn_norm, eps)
        return torch.addmm(h, F.silu(x.mm(layer.w1)) * x.mm(layer.w3), layer.w2)


def weights_of(model: Transformer) -> Weights | None:
    """Take the weights out of a model; None where it is not plain.

    The matrices are the model's own, no copies; so they are right as long as the model keeps them.

    Args:
        model: What is asked.

    Returns:
        What a step computes with, or None where a part is not plain or `flash_attn` is False.
    """
    parts = [part for part in model.modules() if part is not model]
    if not model.args.flash_attn or not all(map(is_plain, parts)):
        return None
    scale = math.sqrt(model.args.dim)
    layers = [
        Layer(
            attention_norm=layer.attention_norm.weight.detach() * scale,
            wq=layer.attention.wq.weight.t(),
            wk=layer.attention.wk.weight.t(),
            wv=layer.attention.wv.weight.t(),
            wo=layer.attention.wo.weight.t(),
            ffn_norm=layer.ffn_norm.weight.detach() * scale,
            w1=layer.feed_forward.w1.weight.t(),
            w3=layer.feed_forward.w3.weight.t(),
            w2=layer.feed_forward.w2.weight.t(),
        )
        for layer in cast("list[DecoderLayer]", list(model.layers))
    ]
    return Weights(
        embeddings=model.tok_embeddings.weight,
        turns=torch.complex(model.freqs_cos, model.freqs_sin),
        layers=layers,
        norm=model.norm.weight.detach() * scale,
        eps=torch.tensor(scale * math.sqrt(model.args.norm_eps), device=model.norm.weight.device),
        output=model.output.weight.t(),
    )


def is_plain(part: nn.Module) -> bool:
    """Whether a part computes what its class says, on its weights, and these are as in the book."""
    return (
        type(part) in PLAIN
        and not (part._forward_hooks or part._forward_pre_hooks or "forward" in vars(part))
        and getattr(part, "bias", None) is None
        and all(weight.dtype == torch.float32 for weight in part.parameters(recurse=False))
    )


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """Normalise as `RMSNorm` does, by the length of a vector, which is a single kernel.

    The root of (mean square + eps) is the length of (x, sqrt(D * eps)) divided by sqrt(D).

    Args:
        x: (N, D).
        weight: (D,), times sqrt(D).
        eps: sqrt(D * eps), a scalar.

    Returns:
        (N, D).
    """
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # (N, 1)
    return x / length.hypot(eps) * weight


def turn(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn pairs of features, as `apply_rotary_emb` does.

    Args:
        x: (B, T, H, d/2, 2).
        turns: (d/2,), (T, 1, d/2) or (B, T, 1, d/2) complex.

    Returns:
        (B, T, H, d/2, 2).
    """
    return torch.view_as_real(torch.view_as_complex(x) * turns)
