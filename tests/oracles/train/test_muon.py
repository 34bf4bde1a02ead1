"""Muon against the singular value decomposition, and against torch.optim.Muon."""

import pytest
import torch
from torch import nn

from happyllm.train.muon import Muon, orthogonalize

SHAPES = [(6, 6), (5, 12), (12, 5), (1, 7)]


def through_svd(matrix, n_steps):
    """U f(S) V^T in float64, with f on the singular values alone."""
    U, S, Vh = torch.linalg.svd(matrix.double(), full_matrices=False)
    S = S / S.square().sum().sqrt()
    for _ in range(n_steps):
        S = 3.4445 * S - 4.7750 * S**3 + 2.0315 * S**5
    return U @ torch.diag(S) @ Vh


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n_steps", [1, 5])
def test_only_the_singular_values_are_changed(shape, n_steps):
    matrix = 50 * torch.randn(shape)
    ours = orthogonalize(matrix, n_steps).double()
    torch.testing.assert_close(ours, through_svd(matrix, n_steps), atol=2e-5, rtol=0)


@pytest.mark.parametrize("shape", [(64, 64), (64, 172), (172, 64)])
def test_all_directions_get_about_the_same_length(shape):
    U, S, Vh = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    U, S, Vh = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    S = torch.logspace(0, -1.4, len(S))  # the shortest is a hundredth of the length of them all
    assert S.min() / S.norm() > 0.01
    values = torch.linalg.svdvals(orthogonalize(U @ torch.diag(S) @ Vh))
    assert values.min() > 0.68
    assert values.max() < 1.14


@pytest.mark.parametrize("shape", [(32, 32), (32, 80), (80, 32)])
def test_the_weights_are_those_of_torch_up_to_its_half_precision(shape):
    """Torch multiplies in bfloat16, which has 8 bits: each update may differ by some hundredths."""
    start, lr, steps = torch.randn(shape), 1e-2, 4
    gradients = torch.randn(steps, *shape)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    mine = Muon([ours], lr=lr, momentum=0.9, weight_decay=0.3)
    torchs = torch.optim.Muon(
        [theirs], lr=lr, momentum=0.9, weight_decay=0.3, adjust_lr_fn="match_rms_adamw"
    )
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        before = ours.detach().clone()
        mine.step()
        torchs.step()
        moved = (ours - before).norm()
        assert (ours - theirs).norm() < 0.05 * moved
        with torch.no_grad():
            theirs.copy_(ours)  # so that one step is compared, and not all rounding before it
    held = torchs.state[theirs]["momentum_buffer"]
    torch.testing.assert_close(mine.state[ours]["momentum_buffer"], held)


def test_an_update_is_as_large_as_that_of_adamw():
    for shape in [(64, 64), (64, 172), (172, 64)]:
        weight = nn.Parameter(torch.zeros(shape))
        weight.grad = torch.randn(shape)
        Muon([weight], lr=1.0).step()
        assert 0.15 < weight.detach().square().mean().sqrt() < 0.25
