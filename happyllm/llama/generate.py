"""Write on from a prompt: predict, choose a token, append it, again.

With the cache the prompt runs through the model once, and then only one token a step. Prompts of
different lengths are padded on the *left*, so that every row goes on from its last column.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from happyllm.llama.cache import new_cache
from happyllm.llama.sampling import sample

if TYPE_CHECKING:
    from happyllm.llama.model import Transformer


@torch.no_grad()
def generate(
    model: Transformer,
    tokens: torch.Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop_tokens: Iterable[int] = (),
    pad_id: int = 0,
    attention_mask: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    use_cache: bool = True,
) -> torch.Tensor:
    """Continue each prompt of a batch.

    Args:
        model: A `Transformer`. It runs in evaluation mode and is left in the mode it was in.
        tokens: (B, T) int64 prompts, T at least 1.
        max_new_tokens: Most tokens to add to each.
        temperature: 0 is greedy; see `sample`, also for `top_k` and `top_p`.
        top_k: Draw from the k most probable tokens only.
        top_p: Draw from the nucleus only.
        stop_tokens: A row that writes one of these is finished. It keeps the stop token, and is
            filled up with `pad_id`.
        pad_id: The token that fills up finished rows.
        attention_mask: (B, T), 1 for a real token and 0 for padding on the left; None means that
            all are real.
        generator: Source of the randomness, on the device of `tokens`.
        use_cache: False computes everything anew at each step: slower, and the same.

    Returns:
        (B, T + new) int64, the prompts as given and then the new tokens: `max_new_tokens` of
        them, or fewer where every row is finished before.

    Raises:
        ValueError: The prompts are empty; a row ends in padding; `T + max_new_tokens` is more
            than the model's `max_seq_len`; or an argument is out of range.

    Example:
        >>> from happyllm.llama.config import ModelConfig
        >>> from happyllm.llama.model import Transformer
        >>> args = ModelConfig(dim=32, n_layers=1, n_heads=4, n_kv_heads=2, vocab_size=50)
        >>> prompts = torch.tensor([[0, 0, 7], [5, 6, 7]])  # the first has two columns of padding
        >>> mask = torch.tensor([[0, 0, 1], [1, 1, 1]])
        >>> generate(Transformer(args), prompts, max_new_tokens=4, attention_mask=mask).shape
        torch.Size([2, 7])
    """
    # Step 1: refuse what cannot be continued, before anything is computed.
    B, T = tokens.shape  # batch, prompt length
    room = T + max_new_tokens
    if T == 0 or max_new_tokens < 0:
        raise ValueError(f"needs a prompt (T={T}) and max_new_tokens={max_new_tokens} of 0 or more")
    if room > model.args.max_seq_len:
        raise ValueError(
            f"T={T} + max_new_tokens={max_new_tokens} is more than "
            f"max_seq_len={model.args.max_seq_len}"
        )
    if attention_mask is not None and not attention_mask[:, -1].all():
        raise ValueError("attention_mask ends in padding; pad prompts on the left")

    # Step 2: an empty cache with room for everything, no row finished, evaluation mode.
    dtype = model.tok_embeddings.weight.dtype
    cache = new_cache(model.args, B, room, dtype, tokens.device) if use_cache else None
    stops = torch.tensor(list(stop_tokens), dtype=torch.int64, device=tokens.device)
    finished = torch.zeros(B, dtype=torch.bool, device=tokens.device)
    was_training = model.training
    model.eval()

    try:
        while tokens.size(1) < room and not finished.all():
            # Step 3: run the tokens that the cache does not hold yet; the last position counts.
            unseen = tokens if cache is None else tokens[:, cache[0].length :]
            # inference_mode is quicker than no_grad, but what is made under it can never be trained
            # on, as RLHF does with tokens: so the model runs under it, and nothing else.
            with torch.inference_mode():
                logits, _ = model(unseen, None, attention_mask, cache, logits_to_keep=1)

            # Step 4: choose the next tokens.
            chosen = sample(logits[:, -1], temperature, top_k, top_p, generator)  # (B,)

            # Step 5: a row is finished from its first stop token on; after it comes padding.
            if len(stops) > 0:
                chosen = chosen.masked_fill(finished, pad_id)
                finished |= torch.isin(chosen, stops)

            # Step 6: append them.
            tokens = torch.cat([tokens, chosen[:, None]], dim=1)
            if attention_mask is not None:
                attention_mask = torch.cat([attention_mask, attention_mask.new_ones(B, 1)], dim=1)
    finally:
        model.train(was_training)
    return tokens
