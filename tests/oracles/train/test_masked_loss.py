"""The masked loss against F.cross_entropy."""

import pytest
import torch
import torch.nn.functional as F

from happyllm.train.loss import masked_cross_entropy


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_loss_and_gradient_are_those_of_cross_entropy(seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    ours = (3 * torch.randn(4, 9, 31, generator=generator)).to(dtype).requires_grad_()
    labels = torch.randint(31, (4, 9), generator=generator)
    labels[torch.rand(4, 9, generator=generator) < 0.4] = -100
    theirs = ours.detach().clone().requires_grad_()

    loss = masked_cross_entropy(ours, labels)
    expected = F.cross_entropy(theirs.float().flatten(0, 1), labels.flatten(), ignore_index=-100)
    loss.backward()
    expected.backward()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(ours.grad, theirs.grad)
