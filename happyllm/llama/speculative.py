"""Speculative decoding: a small model drafts, the large one checks many tokens in one pass.

One token costs a pass over all weights, and so does scoring several that are there already. So
the draft model guesses a few, the target scores them all at once, and a rule decides how many
stand. By that rule the text is distributed *exactly* as if the target had written it alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from happyllm.llama.cache import new_cache
from happyllm.llama.sampling import distribution
from happyllm.llama.stream import evaluating, room_for

if TYPE_CHECKING:
    from happyllm.llama.model import Transformer


def residual(target: torch.Tensor, draft: torch.Tensor) -> torch.Tensor:
    """Give the distribution that a refused token is replaced from: `max(0, p - q)`, normalised.

    The draft proposes some tokens too seldom. What is missing of them, and nothing else, is made up
    for when a proposal is refused.

    Args:
        target: (..., V) probabilities p of the target model.
        draft: (..., V) probabilities q of the draft model.

    Returns:
        (..., V) probabilities; p itself where the two agree in every token, and nothing is missing.

    Example:
        >>> residual(torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.7, 0.1, 0.2]))
        tensor([0., 1., 0.])

    Source:
        Leviathan et al. 2023, "Fast Inference from Transformers via Speculative Decoding",
        Section 2.3.
    """
    missing = (target - draft).clamp(min=0)
    total = missing.sum(dim=-1, keepdim=True)  # (..., 1)
    return torch.where(total > 0, missing / total, target)


def verify(
    target: torch.Tensor,
    draft: torch.Tensor,
    drafted: torch.Tensor,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Decide how many drafted tokens stand, and choose the one that comes after them.

    Token x, drafted with probability q(x), stands with probability `min(1, p(x) / q(x))`. The
    first that is refused is replaced by a draw from `residual`, and those after it fall with it:
    they were drafted for a text that is not written. Where all stand, one more is drawn from the
    target.

    Args:
        target: (k + 1, V) probabilities p at the places of the k drafted tokens and the one after.
        draft: (k, V) probabilities q that they were drawn from.
        drafted: (k,) int64 token ids; k may be 0.
        generator: Source of the randomness.

    Returns:
        (n + 1,) int64: the n that stand, from the front, and one more.

    Example:
        >>> p = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
        >>> q = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
        >>> verify(p, q, torch.tensor([1, 0]))  # the 1 stands, the 0 becomes a 2
        tensor([1, 2])

    Source:
        Leviathan et al. 2023, "Fast Inference from Transformers via Speculative Decoding",
        Algorithm 1; also Chen et al. 2023, "Accelerating Large Language Model Decoding with
        Speculative Sampling", Algorithm 2.
    """
    k = drafted.size(0)
    # Step 1: each token stands by a draw of its own, with probability p(x) / q(x), at most 1.
    p, q = (rows[:k].gather(1, drafted[:, None]).squeeze(1) for rows in (target, draft))  # (k,)
    stands = torch.rand(k, generator=generator, device=drafted.device) * q < p
    # Step 2: only as long as all before it stood.
    n = int(stands.long().cumprod(dim=0).sum())
    # Step 3: after them comes what the target says, or what the draft has missed of it.
    probs = target[k] if n == k else residual(target[n], draft[n])
    return torch.cat([drafted[:n], torch.multinomial(probs, 1, generator=generator)])


@torch.no_grad()
def speculative_generate(
    target: Transformer,
    draft: Transformer,
    tokens: torch.Tensor,
    max_new_tokens: int,
    *,
    n_draft: int = 4,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    stop_tokens: Iterable[int] = (),
    pad_id: int = 0,
    attention_mask: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Continue each prompt as the target model would, with fewer passes through it.

    Rows accept different numbers of tokens, so each row is written by itself, one after the other.

    Args:
        target: The `Transformer` whose text is wanted.
        draft: A quicker one with the same vocabulary. How good it is decides the speed, never the
            text.
        tokens: (B, T) int64 prompts, T at least 1.
        max_new_tokens: Most tokens to add to each.
        n_draft: How many tokens to draft before each pass through the target, at least 1.
        temperature: 0 is greedy, and gives what `generate` gives; see `distribution`, also for
            `top_k`, `top_p` and `min_p`. They hold for both models.
        top_k: Draw from the k most probable tokens only.
        top_p: Draw from the nucleus only.
        min_p: Draw only what is at least so many times as probable as the most probable.
        stop_tokens: A row ends with the first of these that it writes.
        pad_id: The token that fills up shorter rows.
        attention_mask: (B, T), 1 for a real token and 0 for padding on the left; None means that
            all are real.
        generator: Source of the randomness, on the device of `tokens`.

    Returns:
        (B, T + new) int64, as `generate` gives it.

    Raises:
        ValueError: What `room_for` refuses, for either model; the vocabularies differ; `n_draft`
            is below 1.

    Example:
        >>> from happyllm.llama.config import ModelConfig
        >>> from happyllm.llama.model import Transformer
        >>> large = ModelConfig(dim=64, n_layers=3, n_heads=4, n_kv_heads=2, vocab_size=50)
        >>> small = ModelConfig(dim=32, n_layers=1, n_heads=4, n_kv_heads=2, vocab_size=50)
        >>> prompts = torch.tensor([[5, 6, 7], [8, 9, 10]])
        >>> speculative_generate(Transformer(large), Transformer(small), prompts, 6).shape
        torch.Size([2, 9])

    Source:
        Leviathan et al. 2023, "Fast Inference from Transformers via Speculative Decoding",
        Section 2.
    """
    for model in (target, draft):
        room_for(model, tokens, max_new_tokens, attention_mask)
    if target.args.vocab_size != draft.args.vocab_size:
        raise ValueError(
            f"the target has vocab_size={target.args.vocab_size}, the draft "
            f"{draft.args.vocab_size}: a drafted token must mean the same to both"
        )
    if n_draft < 1:
        raise ValueError(f"n_draft={n_draft} must be at least 1")
    stops = set(stop_tokens)
    filters = (temperature, top_k, top_p, min_p)
    written: list[torch.Tensor] = []

    with evaluating(target, draft):
        for b, row in enumerate(tokens):
            # Step 1: the row's real tokens, and a cache of each model, both still empty.
            text = row if attention_mask is None else row[attention_mask[b].bool()]
            start, room = text.size(0), text.size(0) + max_new_tokens
            caches = [
                new_cache(m.args, 1, room, m.tok_embeddings.weight.dtype, tokens.device)
                for m in (target, draft)
            ]
            ended = False
            while text.size(0) < room and not ended:
                # Step 2: draft some tokens, one a pass; the target will add one more itself.
                L = text.size(0)  # tokens that are settled
                guess, probs = text, []
                for _ in range(min(n_draft, room - L - 1)):
                    unseen = guess[None, caches[1][0].length :]
                    logits, _ = draft(unseen, None, None, caches[1], logits_to_keep=1)
                    probs.append(distribution(logits[0, -1], *filters))
                    token = torch.multinomial(probs[-1], 1, generator=generator)
                    guess = torch.cat([guess, token])
                drafted = guess[L:]  # (k,)

                # Step 3: score the k places and the one after them, in one pass of the target.
                unseen = guess[None, caches[0][0].length :]
                logits, _ = target(unseen, None, None, caches[0], logits_to_keep=len(drafted) + 1)
                p = distribution(logits[0], *filters)  # (k + 1, V)
                q = torch.stack(probs) if probs else p[:0]  # (k, V)

                # Step 4: keep what stands, up to the first stop token.
                for token in verify(p, q, drafted, generator):
                    text = torch.cat([text, token[None]])
                    if ended := int(token) in stops:
                        break

                # Step 5: let both caches forget what did not stand; the newest is not in them yet.
                for layer in (*caches[0], *caches[1]):
                    layer.length = min(layer.length, text.size(0) - 1)
            written.append(text[start:])

    # Step 6: the prompts as given, and behind them the new tokens, filled up to one length.
    new = torch.nn.utils.rnn.pad_sequence(written, batch_first=True, padding_value=pad_id)
    return torch.cat([tokens, new], dim=1)
