"""Clipping against torch.nn.utils.clip_grad_norm_."""

import pytest
import torch

from happyllm.train.optim import clip_grad_norm


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("max_norm", [0.01, 1.0, 30.0, float("inf")])
def test_length_and_gradients_are_those_of_torch(seed, max_norm):
    generator = torch.Generator().manual_seed(seed)
    ours, theirs = [], []
    for shape in ((7, 5), (4,), (3, 2, 6), (1,)):
        grad = torch.randn(shape, generator=generator) * 10 ** (seed % 4 - 2)
        for parameters in (ours, theirs):
            parameters.append(torch.nn.Parameter(torch.zeros(shape)))
            parameters[-1].grad = grad.clone()
    ours.append(torch.nn.Parameter(torch.zeros(2)))
    norm = clip_grad_norm(iter(ours), max_norm)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    torch.testing.assert_close(norm, expected)
    for one, other in zip(ours, theirs, strict=False):
        torch.testing.assert_close(one.grad, other.grad)
