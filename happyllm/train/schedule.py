"""How large a step to take when: a short warmup, then half a cosine down to a floor."""

from __future__ import annotations

import math


def cosine_lr(
    step: int, *, max_lr: float, min_lr: float, warmup_steps: int, total_steps: int
) -> float:
    """Find the learning rate of one update: linear warmup, then cosine decay.

    It grows in a straight line from 0 to `max_lr` at step `warmup_steps`, and falls from there
    along half a cosine to `min_lr` at step `total_steps`, where it stays.

    Args:
        step: Number of the update, from 1; 0, before the first, has the rate 0 if there is warmup.
        max_lr: The highest rate, at the end of the warmup.
        min_lr: The last rate, and all rates after `total_steps`; in [0, max_lr].
        warmup_steps: Updates until `max_lr` is reached; 0 starts there.
        total_steps: Updates until `min_lr` is reached; more than `warmup_steps`.

    Returns:
        The learning rate.

    Raises:
        ValueError: `min_lr` is not in [0, max_lr], or `warmup_steps` not in [0, total_steps).

    Example:
        >>> sizes = dict(max_lr=0.4, min_lr=0.0, warmup_steps=4, total_steps=10)
        >>> print(*[round(cosine_lr(step, **sizes), 3) for step in (1, 2, 4, 7, 10, 11)])
        0.1 0.2 0.4 0.2 0.0 0.0

    Source:
        Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts",
        Section 3; the warmup: Goyal et al. 2017, "Accurate, Large Minibatch SGD", Section 2.2.
    """
    if not 0 <= min_lr <= max_lr:
        raise ValueError(f"min_lr={min_lr} must be in [0, max_lr={max_lr}]")
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(f"warmup_steps={warmup_steps} must be in [0, total_steps={total_steps})")
    # Step 1: in the warmup, the share of it that is done.
    if step < warmup_steps:
        return max_lr * step / warmup_steps
    # Step 2: how much of the decay is done, from 0 to 1 and no further.
    done = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    # Step 3: half a cosine from max_lr down to min_lr.
    return min_lr + (max_lr - min_lr) * 0.5 * (1.0 + math.cos(math.pi * done))
