"""Beam search: follow the n most probable texts side by side, where greedy follows one.

A text that begins with the second most probable word may be the most probable as a whole. Rows of a
batch search each for themselves; their beams run through the model together, as B * n rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from happyllm.llama.cache import new_cache
from happyllm.llama.stream import evaluating, room_for

if TYPE_CHECKING:
    from happyllm.llama.model import Transformer


def take(rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Pick from each batch row, (B, n, L) by (B, m) to (B, m, L)."""
    return rows.gather(1, index[:, :, None].expand(-1, -1, rows.size(-1)))


@torch.no_grad()
def beam_search(
    model: Transformer,
    tokens: torch.Tensor,
    max_new_tokens: int,
    n_beams: int,
    *,
    length_penalty: float = 1.0,
    stop_tokens: Iterable[int] = (),
    pad_id: int = 0,
    attention_mask: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Search for the n continuations of each prompt that the model finds most probable.

    At each step every beam is tried with every token: n * V candidates a row, by the sum of the log
    probabilities of their new tokens. The row goes on with the best n that do not stop. Those that
    stop, or are written at the last step, are finished, if they are among the best n candidates:
    their score is settled as `sum / length ** length_penalty`, the stop token counted in both. The
    best n finished ones are kept. A row ends when there are n, and its best running beam, were its
    score settled now, would not be better than the worst of them.

    Args:
        model: A `Transformer`. It runs in evaluation mode and is left in the mode it was in.
        tokens: (B, T) int64 prompts, T at least 1.
        max_new_tokens: Most tokens to add to each, at least 1.
        n_beams: Number n of beams a row, at least 1; 1 is greedy.
        length_penalty: 0 compares sums, which favours short texts; 1 compares means; more favours
            long ones.
        stop_tokens: What ends a text. It is kept, and what follows is `pad_id`.
        pad_id: The token that fills up shorter texts.
        attention_mask: (B, T), 1 for a real token and 0 for padding on the left; None means that
            all are real.

    Returns:
        `(texts, scores)`: (B, n, T + new) int64, prompts included, `new` the length of the longest;
        (B, n) float32, the best first.

    Raises:
        ValueError: What `room_for` refuses; `max_new_tokens` or `n_beams` is below 1.

    Example:
        >>> from happyllm.llama.config import ModelConfig
        >>> from happyllm.llama.model import Transformer
        >>> args = ModelConfig(dim=32, n_layers=1, n_heads=4, n_kv_heads=2, vocab_size=50)
        >>> prompts = torch.tensor([[5, 6, 7], [8, 9, 10]])
        >>> texts, scores = beam_search(Transformer(args), prompts, max_new_tokens=4, n_beams=3)
        >>> texts.shape, scores.shape
        (torch.Size([2, 3, 7]), torch.Size([2, 3]))

    Source:
        Sutskever et al. 2014, "Sequence to Sequence Learning with Neural Networks", Section 3.2;
        the penalty: Wu et al. 2016, "Google's Neural Machine Translation System", Section 7, in the
        simpler form that Hugging Face's generate has.
    """
    room = room_for(model, tokens, max_new_tokens, attention_mask)
    if max_new_tokens < 1 or n_beams < 1:
        raise ValueError(f"max_new_tokens={max_new_tokens} and n_beams={n_beams} must be 1 or more")
    B, T = tokens.shape  # batch, prompt length
    n, V = n_beams, model.args.vocab_size
    device = tokens.device
    stops = torch.tensor(list(stop_tokens), dtype=torch.int64, device=device)

    # Step 1: n beams a row begin alike, so only the first counts; nothing is finished.
    beams = tokens.repeat_interleave(n, dim=0).view(B, n, T)
    log_probs = torch.full((B, n), -torch.inf, device=device)
    log_probs[:, 0] = 0.0
    texts = torch.full((B, n, room), pad_id, dtype=tokens.dtype, device=device)
    scores = torch.full((B, n), -torch.inf, device=device)
    lengths = torch.zeros(B, n, dtype=torch.int64, device=device)
    ended = torch.zeros(B, 1, dtype=torch.bool, device=device)
    mask = None if attention_mask is None else attention_mask.repeat_interleave(n, dim=0)
    cache = new_cache(model.args, B * n, room, model.tok_embeddings.weight.dtype, device)

    with evaluating(model):
        for length in range(1, max_new_tokens + 1):
            # Step 2: add to each beam's log probability that of every token after it.
            unseen = beams.flatten(0, 1)[:, cache[0].length :]  # (B * n, T or 1)
            logits, _ = model(unseen, None, mask, cache, logits_to_keep=1)
            steps = logits[:, -1].float().log_softmax(dim=-1).view(B, n, V)
            candidates = (log_probs[:, :, None] + steps).flatten(1)  # (B, n * V)

            # Step 3: take so many that n go on even if each beam's best are stop tokens.
            wanted = min(n * (1 + max(1, len(stops))), n * V)
            best, index = candidates.topk(wanted, dim=-1)  # (B, wanted)
            source, chosen = index // V, index % V
            grown = torch.cat([take(beams, source), chosen[:, :, None]], dim=-1)
            stopped = torch.isin(chosen, stops) | (length == max_new_tokens)

            # Step 4: settle those of the best n that stopped; keep the n best finished of a row.
            settled = (best[:, :n] / length**length_penalty).masked_fill(
                ~stopped[:, :n] | ended, -torch.inf
            )
            finished = torch.full((B, n, room), pad_id, dtype=tokens.dtype, device=device)
            finished[:, :, : T + length] = grown[:, :n]
            scores, kept = torch.cat([scores, settled], dim=1).topk(n, dim=-1)  # (B, n)
            texts = take(torch.cat([texts, finished], dim=1), kept)
            lengths = torch.cat([lengths, torch.full_like(lengths, length)], dim=1).gather(1, kept)

            # Step 5: go on with the n best that did not stop, each with the cache of its source.
            log_probs, going = best.masked_fill(stopped, -torch.inf).topk(n, dim=-1)  # (B, n)
            beams = take(grown, going)  # (B, n, T + length)
            rows = (source.gather(1, going) + n * torch.arange(B, device=device)[:, None]).flatten()
            for layer in cache:
                layer.k[:, : layer.length] = layer.k[rows, : layer.length]
                layer.v[:, : layer.length] = layer.v[rows, : layer.length]
            if mask is not None:
                mask = torch.cat([mask, mask.new_ones(B * n, 1)], dim=1)

            # Step 6: a row ends when its best beam cannot take the place of its worst finished one.
            ended |= log_probs[:, :1] / length**length_penalty <= scores[:, -1:]
            if ended.all():
                break

    # Step 7: cut the columns that no text reaches.
    return texts[:, :, : T + int(lengths.max())], scores
