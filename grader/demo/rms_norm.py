"""A wrong answer to ch5/rms_norm, for `happyllm-grade demo`: eps stands outside the root."""

import torch
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rms = x.float().pow(2).mean(-1, keepdim=True).sqrt()
        return (x.float() / (rms + self.eps)).type_as(x) * self.weight
