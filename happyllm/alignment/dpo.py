"""Direct preference optimization: of two answers to one question, make the better one likelier.

No reward model is trained and nothing is sampled: the reward of an answer is how much likelier the
model finds it than a frozen reference does, and the loss is that of telling the better from the
worse by their rewards.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

IGNORE = -100


def sequence_log_probs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sum the log probabilities of the counted tokens of each row: log p(answer | question).

    Args:
        logits: (B, T, V), any floating dtype; `logits[:, t]` predicts `targets[:, t]`.
        targets: (B, T) int64, already shifted; -100 marks what is no part of the answer.

    Returns:
        (B,) float32, in nats; 0 for a row in which no token counts.

    Raises:
        ValueError: `targets` has not the shape of `logits` without its last axis.

    Example:
        >>> logits = torch.zeros(1, 3, 4)  # each of 4 tokens is as likely
        >>> sequence_log_probs(logits, torch.tensor([[-100, 2, 0]])).exp()  # 1/4 * 1/4
        tensor([0.0625])
    """
    if targets.shape != logits.shape[:-1]:
        raise ValueError(f"targets {tuple(targets.shape)} do not fit logits {tuple(logits.shape)}")
    # Step 1: which tokens count; the others get an id that can be looked up.
    counted = targets != IGNORE  # (B, T)
    looked_up = targets.masked_fill(~counted, 0)
    # Step 2: in float32, the log softmax at each target.
    logits = logits.float()
    chosen = logits.gather(-1, looked_up.unsqueeze(-1)).squeeze(-1)  # (B, T)
    log_probs = chosen - logits.logsumexp(dim=-1)
    # Step 3: sum, not mean: the probability of an answer is the product over its tokens.
    return log_probs.masked_fill(~counted, 0.0).sum(dim=-1)


def dpo_loss(
    policy_chosen: torch.Tensor,
    policy_rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
    beta: float = 0.1,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Say how far a model is from preferring the better answers.

    With r(y) = beta * (log p(y) - log p_ref(y)), the reward of an answer, the loss of a pair is
    -log sigmoid(r(chosen) - r(rejected)). At the start, where the model is the reference, both
    rewards are 0 and the loss is ln 2.

    Args:
        policy_chosen: (B,) log probabilities of the better answers by the model that is trained.
        policy_rejected: (B,) those of the worse ones.
        reference_chosen: (B,) the same by the frozen reference.
        reference_rejected: (B,).
        beta: Above 0. The larger it is, the less the model may move away from the reference.

    Returns:
        The mean loss, a scalar; the rewards of the better answers (B,), and of the worse (B,), both
        without gradient.

    Raises:
        ValueError: `beta` is not above 0, or the shapes differ.

    Example:
        >>> zero = torch.zeros(1)
        >>> loss, better, worse = dpo_loss(torch.tensor([-1.0]), torch.tensor([-3.0]), zero, zero)
        >>> loss  # ln(1 + exp(-0.1 * 2))
        tensor(0.5981)
        >>> better > worse
        tensor([True])

    Source:
        Rafailov et al. 2023, "Direct Preference Optimization: Your Language Model is Secretly a
        Reward Model", Equation 7.
    """
    if not beta > 0:
        raise ValueError(f"beta={beta} must be above 0")
    shapes = {x.shape for x in (policy_chosen, policy_rejected)}
    shapes |= {x.shape for x in (reference_chosen, reference_rejected)}
    if len(shapes) != 1:
        raise ValueError(f"the log probabilities have the shapes {sorted(map(tuple, shapes))}")
    # Step 1: the reward of each answer; the reference is a constant.
    better = beta * (policy_chosen - reference_chosen.detach())
    worse = beta * (policy_rejected - reference_rejected.detach())
    # Step 2: logsigmoid stays finite where sigmoid would be 0.
    loss = -F.logsigmoid(better - worse).mean()
    return loss, better.detach(), worse.detach()
