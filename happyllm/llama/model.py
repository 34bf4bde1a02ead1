"""The LLaMA2 decoder: tokens in, a score for every possible next token out.

Embed, pass through the layers, normalise once more, project to the vocabulary. Rows of a batch may
be padded on the left or right; positions count from each row's first real token.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from happyllm.llama.attention import causal_mask
from happyllm.llama.layer import DecoderLayer
from happyllm.llama.norm import RMSNorm
from happyllm.llama.rotary import precompute_freqs_cis

if TYPE_CHECKING:
    from happyllm.llama.cache import KVCache
    from happyllm.llama.config import ModelConfig


class Transformer(nn.Module):
    """Predict the next token at every position.

    Args:
        args: The model's configuration.

    Attributes:
        args: As given.
        tok_embeddings: Embedding V -> D.
        dropout: Dropout on the embedded tokens.
        layers: `n_layers` times `DecoderLayer`.
        norm: `RMSNorm` after the last layer.
        output: Linear D -> V without bias. Where `args.tie_word_embeddings`, its weight *is* that
            of `tok_embeddings`.
        freqs_cos: Buffer (max_seq_len, d/2), not saved: it can be computed again.
        freqs_sin: The same, of sines.

    Example:
        >>> from happyllm.llama.config import ModelConfig
        >>> args = ModelConfig(dim=32, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=50)
        >>> model = Transformer(args)
        >>> tokens = torch.randint(50, (2, 9))
        >>> logits, loss = model(tokens[:, :-1], targets=tokens[:, 1:])
        >>> logits.shape, loss.shape
        (torch.Size([2, 8, 50]), torch.Size([]))

    Source:
        Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models", Section 2.2,
        and "Llama 2: Open Foundation and Fine-Tuned Chat Models", Section 2.2.
    """

    freqs_cos: torch.Tensor
    freqs_sin: torch.Tensor

    def __init__(self, args: ModelConfig) -> None:
        super().__init__()
        self.args = args
        # Step 1: embedding, layers, final norm, output layer; tie the last to the first if asked.
        self.tok_embeddings = nn.Embedding(args.vocab_size, args.dim)
        self.dropout = nn.Dropout(args.dropout)
        self.layers = nn.ModuleList(DecoderLayer(i, args) for i in range(args.n_layers))
        self.norm = RMSNorm(args.dim, eps=args.norm_eps)
        self.output = nn.Linear(args.dim, args.vocab_size, bias=False)
        if args.tie_word_embeddings:
            self.output.weight = self.tok_embeddings.weight

        # Step 2: the rotary tables of all positions, as buffers that are not saved.
        freqs_cos, freqs_sin = precompute_freqs_cis(
            args.head_dim, args.max_seq_len, args.rope_theta
        )
        self.register_buffer("freqs_cos", freqs_cos, persistent=False)
        self.register_buffer("freqs_sin", freqs_sin, persistent=False)

        # Step 3: draw the weights.
        self.init_weights()

    def init_weights(self) -> None:
        """Draw all matrices from N(0, 0.02), those that write into the residual stream smaller.

        Each of the `2 * n_layers` parts adds its output to the stream. So that the sum keeps its
        size however deep the model is, the last matrix of each part, `wo` of the attention and
        `w2` of the MLP (not `w3`), has the standard deviation 0.02 / sqrt(2 * n_layers).

        Source:
            Radford et al. 2019, "Language Models are Unsupervised Multitask Learners",
            Section 2.3.
        """
        residual_std = 0.02 / math.sqrt(2 * self.args.n_layers)
        for name, weight in self.named_parameters():
            # Step 1: leave the vectors alone: they are the weights of the norms, and stay ones.
            if weight.dim() < 2:
                continue
            # Step 2: draw each matrix with the deviation that its name asks for.
            writes_to_stream = name.endswith(("wo.weight", "w2.weight"))
            nn.init.normal_(weight, mean=0.0, std=residual_std if writes_to_stream else 0.02)

    def forward(
        self,
        tokens: torch.Tensor,
        targets: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        cache: list[KVCache] | None = None,
        logits_to_keep: int | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Score every next token, and say how well `targets` were predicted.

        Args:
            tokens: (B, T) int64 token ids.
            targets: (B, T) int64, already shifted: `targets[:, t]` follows `tokens[:, t]`.
                Positions with -100 are not counted.
            attention_mask: (B, S), 1 for a real token and 0 for padding, over all S tokens so
                far (those in the cache, then these T). None means that all are real.
            cache: One `KVCache` a layer, holding what came before `tokens`; it is extended.
            logits_to_keep: Project the last so many positions only; generation needs but one.

        Returns:
            `(logits, loss)`: logits (B, T or `logits_to_keep`, V) in the model's dtype; loss a
            float32 scalar, the mean cross entropy in nats over the counted tokens (0 where there
            is none), or None without targets. Logits at padding are finite and mean nothing.

        Raises:
            ValueError: The sequence is longer than `max_seq_len`; a shape does not fit the
                tokens; `cache` has another number of layers; `logits_to_keep` is below 1, or
                comes with `targets`.
        """
        if targets is not None and targets.shape != tokens.shape:
            raise ValueError(
                f"targets {tuple(targets.shape)} must have the shape of tokens "
                f"{tuple(tokens.shape)}"
            )
        if logits_to_keep is not None and (logits_to_keep < 1 or targets is not None):
            raise ValueError(
                f"logits_to_keep={logits_to_keep} must be at least 1, and without targets"
            )

        # Step 1: where these tokens stand, and which keys they may see.
        freqs_cos, freqs_sin, mask = self.positions_and_mask(tokens, attention_mask, cache)

        # Step 2: embed, drop out in training, pass through the layers (each with its own cache),
        # normalise.
        h = self.tok_embeddings(tokens)  # (B, T, D)
        if self.training:
            h = self.dropout(h)
        for i, layer in enumerate(self.layers):
            h = layer(h, freqs_cos, freqs_sin, mask, None if cache is None else cache[i])
        h = self.norm(h)

        # Step 3: project to the vocabulary, only those positions that are asked for.
        if logits_to_keep is not None:
            h = h[:, -logits_to_keep:]
        logits = self.output(h)  # (B, T or logits_to_keep, V)
        if targets is None:
            return logits, None

        # Step 4: in float32, sum the losses of the counted targets, over how many they are.
        total = F.cross_entropy(
            logits.flatten(0, 1).float(), targets.flatten(), ignore_index=-100, reduction="sum"
        )
        return logits, total / (targets != -100).sum().clamp(min=1)

    def positions_and_mask(
        self,
        tokens: torch.Tensor,
        attention_mask: torch.Tensor | None,
        cache: list[KVCache] | None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Find the rotary tables of these tokens, and which keys each of them may see.

        Args:
            tokens: (B, T).
            attention_mask: As in `forward`.
            cache: As in `forward`.

        Returns:
            `(freqs_cos, freqs_sin, mask)`. Without an `attention_mask`: (T, d/2) twice, and None,
            which means causal. With one: (B, T, d/2) twice, and (B, 1, T, S) bool; a padded
            query sees at least itself.

        Raises:
            ValueError: As `forward` says.
        """
        B, T = tokens.shape  # batch, new tokens
        if cache is not None and len(cache) != len(self.layers):
            raise ValueError(f"cache has {len(cache)} layers, the model {len(self.layers)}")
        # Step 1: count the tokens before these, and refuse a sequence that is too long.
        past = 0 if cache is None else cache[0].length
        S = past + T  # all tokens so far
        if past + T > self.args.max_seq_len:
            raise ValueError(
                f"a sequence of {S} tokens is longer than max_seq_len={self.args.max_seq_len}"
            )

        # Step 2: without padding the new tokens stand at past .. S - 1, in every row.
        if attention_mask is None:
            return self.freqs_cos[past:S], self.freqs_sin[past:S], None

        # Step 3: with padding a token's position is the number of real tokens before it in its row.
        if attention_mask.shape != (B, S):
            raise ValueError(
                f"attention_mask {tuple(attention_mask.shape)} must be {(B, S)}: "
                f"all {S} tokens so far"
            )
        real = attention_mask.bool()
        positions = (real.cumsum(dim=1) - 1).clamp(min=0)[:, past:]  # (B, T)

        # Step 4: a key is seen where it is real and not in the future, or is the query itself.
        index = torch.arange(S, device=tokens.device)
        is_self = index[past:, None] == index  # (T, S)
        causal = causal_mask(T, S, tokens.device)
        mask = (causal & real[:, None, None, :]) | is_self  # (B, 1, T, S)
        return self.freqs_cos[positions], self.freqs_sin[positions], mask

    def num_params(self) -> int:
        """Count the parameters.

        Returns:
            How many numbers can be trained; a weight that two layers share counts once.

        Example:
            >>> from happyllm.llama.config import ModelConfig
            >>> args = ModelConfig(dim=32, n_layers=1, vocab_size=50, hidden_dim=64)
            >>> Transformer(args).num_params()  # 50*32 + (2*32*32 + 2*32*16) + 3*32*64 + 3*32
            10912
        """
        return sum(p.numel() for p in self.parameters())
