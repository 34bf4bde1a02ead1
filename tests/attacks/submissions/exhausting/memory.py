# outcome: memory
# ceiling: 700
"""Takes memory in steps until there is none."""

import torch

HELD = []


def repeat_kv(x, n_rep):
    for _ in range(64):
        HELD.append(torch.ones(128 << 20, dtype=torch.uint8))
    return x
