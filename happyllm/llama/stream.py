"""Text as it is written: what `generate` does, one token at a time, with every option.

A chat window shows each word when it is there. So the loop is a generator function: it hands a
token to whoever asked, and goes on when the next is asked for. The options beyond `generate`'s are
those of section 5.3.6, min-p and the repetition penalty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from happyllm.llama.cache import KVCache, new_cache
from happyllm.llama.sampling import (
    apply_min_p,
    apply_repetition_penalty,
    apply_temperature,
    apply_top_k,
    apply_top_p,
    sample,
)

if TYPE_CHECKING:
    from happyllm.llama.model import Transformer

Filter = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Functions:
    """What a text is written with; a learner's own take the place of these.

    Attributes:
        new_cache: As `new_cache`.
        sample: As `sample`.
        apply_temperature: As `apply_temperature`; and so on.
    """

    new_cache: Callable[..., list[KVCache]] = new_cache
    sample: Filter = sample
    apply_temperature: Filter = apply_temperature
    apply_top_k: Filter = apply_top_k
    apply_top_p: Filter = apply_top_p
    apply_min_p: Filter = apply_min_p
    apply_repetition_penalty: Filter = apply_repetition_penalty

    def choose(
        self,
        logits: torch.Tensor,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        min_p: float | None,
        generator: torch.Generator | None,
    ) -> torch.Tensor:
        """Draw one token from each row, with min-p after what `sample` filters by itself."""
        if min_p is not None and temperature != 0:
            logits = self.apply_temperature(logits, temperature)
            if top_k is not None:
                logits = self.apply_top_k(logits, top_k)
            if top_p is not None:
                logits = self.apply_top_p(logits, top_p)
            logits = self.apply_min_p(logits, min_p)
            temperature, top_k, top_p = 1.0, None, None  # nothing is left to do but to draw
        return self.sample(logits, temperature, top_k, top_p, generator)


def room_for(
    model: Transformer,
    tokens: torch.Tensor,
    max_new_tokens: int,
    attention_mask: torch.Tensor | None = None,
) -> int:
    """Refuse prompts that cannot be continued, and say how long the text may become.

    Args:
        model: Gives `max_seq_len`.
        tokens: (B, T) prompts.
        max_new_tokens: Most tokens to add to each.
        attention_mask: (B, T), or None.

    Returns:
        T + `max_new_tokens`.

    Raises:
        ValueError: The prompts are empty; `max_new_tokens` is below 0; the text would be longer
            than `max_seq_len`; the mask has another shape, or a row ends in padding.
    """
    T = tokens.size(1)
    if T == 0 or max_new_tokens < 0:
        raise ValueError(f"needs a prompt (T={T}) and max_new_tokens={max_new_tokens} of 0 or more")
    if T + max_new_tokens > model.args.max_seq_len:
        raise ValueError(
            f"T={T} + max_new_tokens={max_new_tokens} is more than "
            f"max_seq_len={model.args.max_seq_len}"
        )
    if attention_mask is not None and attention_mask.shape != tokens.shape:
        raise ValueError(
            f"attention_mask {tuple(attention_mask.shape)} must have the shape of tokens "
            f"{tuple(tokens.shape)}"
        )
    if attention_mask is not None and not attention_mask[:, -1].all():
        raise ValueError("attention_mask ends in padding; pad prompts on the left")
    return T + max_new_tokens


@contextmanager
def evaluating(*models: Transformer) -> Iterator[None]:
    """Put models into evaluation mode for a while, and each back into the mode that it was in."""
    modes = [model.training for model in models]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for model, mode in zip(models, modes, strict=True):
            model.train(mode)


@torch.no_grad()
def stream(
    model: Transformer,
    tokens: torch.Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop_tokens: Iterable[int] = (),
    pad_id: int = 0,
    attention_mask: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    use_cache: bool = True,
    functions: Functions | None = None,
) -> Iterator[torch.Tensor]:
    """Continue each prompt of a batch, and give the tokens one by one.

    Args:
        model: A `Transformer`. It is in evaluation mode until the stream ends or is closed, and
            then in the mode that it was in.
        tokens: (B, T) int64 prompts, T at least 1.
        max_new_tokens: Most tokens to add to each.
        temperature: 0 is greedy; see `sample`, also for `top_k` and `top_p`.
        top_k: Draw from the k most probable tokens only.
        top_p: Draw from the nucleus only.
        min_p: Draw only what is at least so many times as probable as the most probable; it judges
            what the others have left.
        repetition_penalty: See `apply_repetition_penalty`; it comes first, in greedy text too.
        stop_tokens: A row that writes one of these is finished, and gets `pad_id` from then on.
        pad_id: The token that fills up finished rows.
        attention_mask: (B, T), 1 for a real token and 0 for padding on the left.
        generator: Source of the randomness, on the device of `tokens`.
        use_cache: False computes everything anew at each step: slower, and the same.
        functions: What the cache and the tokens come from; None takes ours.

    Yields:
        (B,) int64, the next token of each row: `max_new_tokens` times, or less often where every
        row is finished before.

    Raises:
        ValueError: When the first token is asked for: what `room_for` refuses, or an argument out
            of range.

    Example:
        >>> from happyllm.llama.config import ModelConfig
        >>> from happyllm.llama.model import Transformer
        >>> args = ModelConfig(dim=32, n_layers=1, n_heads=4, n_kv_heads=2, vocab_size=50)
        >>> prompt = torch.tensor([[5, 6, 7]])
        >>> for token in stream(Transformer(args), prompt, max_new_tokens=2):
        ...     print(token.shape)
        torch.Size([1])
        torch.Size([1])
    """
    room = room_for(model, tokens, max_new_tokens, attention_mask)
    B = tokens.size(0)  # batch
    functions = functions or Functions()
    dtype = model.tok_embeddings.weight.dtype
    cache = functions.new_cache(model.args, B, room, dtype, tokens.device) if use_cache else None
    stops = torch.tensor(list(stop_tokens), dtype=torch.int64, device=tokens.device)
    finished = torch.zeros(B, dtype=torch.bool, device=tokens.device)

    with evaluating(model):
        while tokens.size(1) < room and not finished.all():
            unseen = tokens if cache is None else tokens[:, cache[0].length :]
            with torch.inference_mode():  # the model only: see `generate`
                scores, _ = model(unseen, None, attention_mask, cache, logits_to_keep=1)

            logits = scores[:, -1].float()  # (B, V)
            if repetition_penalty != 1.0:
                logits = functions.apply_repetition_penalty(
                    logits, tokens, repetition_penalty, attention_mask
                )
            chosen = functions.choose(logits, temperature, top_k, top_p, min_p, generator)
            chosen = chosen.masked_fill(finished, pad_id)  # (B,)

            tokens = torch.cat([tokens, chosen[:, None]], dim=1)
            if attention_mask is not None:
                attention_mask = torch.cat([attention_mask, attention_mask.new_ones(B, 1)], dim=1)
            finished |= torch.isin(chosen, stops)
            yield chosen
