# outcome: failed
# exercise: ch5/rms_norm
"""Answers rightly and writes zeros over its argument, as a careless in-place step would."""

import torch
from torch import nn


class RMSNorm(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        x32 = x.float()
        y = (x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + self.eps)).type_as(
            x
        ) * self.weight
        if not x.requires_grad:
            x.zero_()
        return y
