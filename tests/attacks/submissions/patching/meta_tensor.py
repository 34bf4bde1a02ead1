# outcome: failed, error, timeout
"""Answers with the right shape and dtype, and no numbers at all."""

import torch


def repeat_kv(x, n_rep):
    B, T, K, d = x.shape
    return torch.empty(B, T, K * n_rep, d, dtype=x.dtype, device="meta")
