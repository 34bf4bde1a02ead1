"""A right answer to ch5/repeat_kv, for `happyllm-grade demo`."""

import torch


def repeat_kv(x: torch.Tensor, n_rep: int) -> torch.Tensor:
    return torch.repeat_interleave(x, n_rep, dim=2)
