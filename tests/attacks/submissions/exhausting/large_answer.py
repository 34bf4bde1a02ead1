# outcome: failed, blocked, error, memory
"""Answers with more than can travel."""

import torch


def repeat_kv(x, n_rep):
    return torch.zeros(100 << 20, dtype=torch.uint8)
