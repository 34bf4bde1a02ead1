"""From scores to one token: temperature, top-k, top-p, min-p, and a draw.

Each filter takes logits and gives logits back, with -inf where a token is ruled out, so they can be
chained. The order here is temperature, top-k, top-p, min-p, as in Hugging Face's generate; a
repetition penalty, which changes scores and rules nothing out, comes before them all.
"""

from __future__ import annotations

import math

import torch


def apply_temperature(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Divide the logits by a temperature: below 1 sharpens the distribution, above 1 flattens it.

    Args:
        logits: (..., V).
        temperature: Above 0 and finite. (`sample` takes 0 for greedy; here it would divide by 0.)

    Returns:
        (..., V), the dtype of `logits`.

    Raises:
        ValueError: `temperature` is not above 0, or not finite.

    Example:
        >>> apply_temperature(torch.tensor([1.0, 2.0]), 0.5)
        tensor([2., 4.])

    Source:
        Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", Section 3.3.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise ValueError(f"temperature={temperature} must be above 0 and finite")
    return logits / temperature


def apply_top_k(logits: torch.Tensor, k: int) -> torch.Tensor:
    """Keep the k largest logits and rule the others out.

    Args:
        logits: (..., V).
        k: How many to keep, at least 1; V or more keeps all. Where several tie with the k-th
            largest all of them stay, so there may be more than k.

    Returns:
        (..., V), the dtype of `logits`; -inf for tokens that are ruled out.

    Raises:
        ValueError: `k` is below 1.

    Example:
        >>> apply_top_k(torch.tensor([1.0, 3.0, 2.0, 0.0]), k=2)
        tensor([-inf, 3., 2., -inf])

    Source:
        Fan et al. 2018, "Hierarchical Neural Story Generation", Section 5.4.
    """
    if k < 1:
        raise ValueError(f"top_k={k} must be at least 1")
    # Step 1: find the k-th largest logit of each row; k may be more than there are.
    threshold = logits.topk(min(k, logits.size(-1)), dim=-1).values[..., -1:]  # (..., 1)
    # Step 2: rule out what is smaller.
    return logits.masked_fill(logits < threshold, -torch.inf)


def apply_top_p(logits: torch.Tensor, p: float) -> torch.Tensor:
    """Keep the smallest set of most probable tokens whose probability reaches p (the nucleus).

    Args:
        logits: (..., V).
        p: In (0, 1]; 1 keeps all. The token that makes the sum reach p belongs to the set, so at
            least one is kept.

    Returns:
        (..., V), the dtype of `logits`; -inf for tokens that are ruled out.

    Raises:
        ValueError: `p` is not in (0, 1].

    Example:
        >>> logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log()
        >>> apply_top_p(logits, p=0.7).exp()  # 0.5 is less than 0.7, 0.5 + 0.3 reaches it
        tensor([0.0000, 0.5000, 0.0000, 0.3000])

    Source:
        Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", Section 3.1.
    """
    if not 0 < p <= 1:
        raise ValueError(f"top_p={p} must be in (0, 1]")
    if p == 1:  # rounding in the sums below must not cost the last tokens
        return logits
    # Step 1: sort the probabilities, largest first, remembering where they came from.
    probs, order = logits.float().softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    # Step 2: a token is ruled out if those *before* it reach p already; the first never is.
    before = probs.cumsum(dim=-1).roll(1, dims=-1)
    before[..., 0] = 0.0
    # Step 3: carry the verdict back to the tokens' own places.
    ruled_out = torch.empty_like(order, dtype=torch.bool).scatter_(-1, order, before >= p)
    return logits.masked_fill(ruled_out, -torch.inf)


def apply_min_p(logits: torch.Tensor, min_p: float) -> torch.Tensor:
    """Keep the tokens that are at least `min_p` times as probable as the most probable one.

    Where the model is sure, few tokens reach that; where it is not, many do.

    Args:
        logits: (..., V).
        min_p: In [0, 1]; 0 keeps all, 1 only the most probable and what ties with it.

    Returns:
        (..., V), the dtype of `logits`; -inf for tokens that are ruled out.

    Raises:
        ValueError: `min_p` is not in [0, 1].

    Example:
        >>> logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log()
        >>> apply_min_p(logits, min_p=0.25).exp()  # 0.125 is the least that stays
        tensor([0.1500, 0.5000, 0.0000, 0.3000])

    Source:
        Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM
        Outputs", Section 3.
    """
    if not 0 <= min_p <= 1:
        raise ValueError(f"min_p={min_p} must be in [0, 1]")
    # Step 1: the share of the largest probability that a token needs, row by row.
    probs = logits.float().softmax(dim=-1)
    least = min_p * probs.amax(dim=-1, keepdim=True)  # (..., 1)
    # Step 2: rule out what is less.
    return logits.masked_fill(probs < least, -torch.inf)


def apply_repetition_penalty(
    logits: torch.Tensor,
    tokens: torch.Tensor,
    penalty: float,
    attention_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Lower the score of every token that a row holds already, once, however often it stands there.

    A score above 0 is divided by the penalty, one below 0 is multiplied by it: both get less.

    Args:
        logits: (B, V).
        tokens: (B, T) int64, each row's text so far, its prompt included.
        penalty: Above 0 and finite; 1 changes nothing, below 1 rewards repetition.
        attention_mask: (B, T), 1 for a real token and 0 for padding, which is no part of the text;
            None means that all are real.

    Returns:
        (B, V), the dtype of `logits`.

    Raises:
        ValueError: `penalty` is not above 0, or not finite.

    Example:
        >>> logits, tokens = torch.tensor([[2.0, -1.0, 3.0]]), torch.tensor([[1, 0, 1]])
        >>> apply_repetition_penalty(logits, tokens, penalty=2.0)
        tensor([[ 1., -2.,  3.]])

    Source:
        Keskar et al. 2019, "CTRL: A Conditional Transformer Language Model for Controllable
        Generation", Section 4.1, which divides only; a negative score would rise by that.
    """
    if not (penalty > 0 and math.isfinite(penalty)):
        raise ValueError(f"repetition_penalty={penalty} must be above 0 and finite")
    # Step 1: count the real tokens of each row; a padding token may have the id of a real one.
    real = torch.ones_like(tokens) if attention_mask is None else attention_mask.to(tokens.dtype)
    counts = torch.zeros(logits.shape, dtype=tokens.dtype, device=logits.device)
    seen = counts.scatter_add(1, tokens, real) > 0  # (B, V)
    # Step 2: make those scores less, whichever side of 0 they are on.
    lowered = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(seen, lowered, logits)


def distribution(
    logits: torch.Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> torch.Tensor:
    """Give the probabilities that a token is drawn with, after all filters.

    Args:
        logits: (..., V), any floating dtype.
        temperature: 0 gives all probability to the most probable token.
        top_k: See `apply_top_k`; None leaves it out.
        top_p: See `apply_top_p`; None leaves it out. It judges what top-k has left.
        min_p: See `apply_min_p`; None leaves it out.

    Returns:
        (..., V) float32; each row adds up to 1.

    Raises:
        ValueError: An argument is out of range; the message names it.

    Example:
        >>> logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log()
        >>> distribution(logits, top_k=2)
        tensor([0.0000, 0.6250, 0.0000, 0.3750])
        >>> distribution(logits, temperature=0)
        tensor([0., 1., 0., 0.])
    """
    logits = logits.float()
    if temperature == 0:
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.zeros_like(logits).scatter(-1, best, 1.0)
    logits = apply_temperature(logits, temperature)
    if top_k is not None:
        logits = apply_top_k(logits, top_k)
    if top_p is not None:
        logits = apply_top_p(logits, top_p)
    if min_p is not None:
        logits = apply_min_p(logits, min_p)
    return logits.softmax(dim=-1)


def sample(
    logits: torch.Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Draw one token from each row of logits.

    Args:
        logits: (B, V), any floating dtype.
        temperature: 0 takes the most probable token (greedy); otherwise see `apply_temperature`.
        top_k: See `apply_top_k`; None leaves it out.
        top_p: See `apply_top_p`; None leaves it out. It judges what top-k has left.
        generator: Source of the randomness, on the device of `logits`; None for the global one.

    Returns:
        (B,) int64 token ids.

    Raises:
        ValueError: An argument is out of range; the message names it.

    Example:
        >>> logits = torch.tensor([[0.0, 2.0, 1.0], [5.0, 1.0, 1.0]])
        >>> sample(logits, temperature=0)
        tensor([1, 0])
        >>> sample(logits, top_k=1, generator=torch.Generator().manual_seed(0))
        tensor([1, 0])
    """
    # Step 1: greedy draws nothing.
    if temperature == 0:
        return logits.argmax(dim=-1)
    # Step 2: temperature first, then top-k, then top-p, each on what the one before left.
    logits = apply_temperature(logits.float(), temperature)
    if top_k is not None:
        logits = apply_top_k(logits, top_k)
    if top_p is not None:
        logits = apply_top_p(logits, top_p)
    # Step 3: draw one token a row with the probabilities that remain.
    probs = logits.softmax(dim=-1)
    return torch.multinomial(probs, num_samples=1, generator=generator).squeeze(-1)  # (B,)
