"""RMSNorm against transformers' LlamaRMSNorm, bit for bit, and torch.nn.RMSNorm."""

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from happyllm.llama.norm import RMSNorm

EVERY_DTYPE = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str
)


def make(other, dim, eps, enliven):
    ours, theirs = enliven(RMSNorm(dim, eps)), other(dim, eps)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@EVERY_DTYPE
@pytest.mark.parametrize("half_weights", [False, True])
@pytest.mark.parametrize("eps", [1e-5, 1e-6])
def test_the_values_are_those_of_llama_to_the_last_bit(dtype, half_weights, eps, enliven):
    ours, theirs = make(LlamaRMSNorm, 48, eps, enliven)
    if half_weights:
        ours, theirs = ours.to(dtype), theirs.to(dtype)
    x = (torch.randn(200, 48) * torch.logspace(-4, 3, 200)[:, None]).to(dtype)
    got, expected = ours(x), theirs(x)
    assert got.dtype == expected.dtype
    assert torch.equal(got, expected)


def test_the_gradients_are_those_of_llama(enliven, assert_grads_agree):
    x, upstream = torch.randn(6, 48), torch.randn(6, 48)
    grads = []
    for norm in make(LlamaRMSNorm, 48, 1e-5, enliven):
        leaf = x.clone().requires_grad_()
        norm(leaf).backward(upstream)
        grads.append({"x": leaf.grad, "weight": norm.weight.grad})
    assert_grads_agree(*grads)


def test_torch_agrees(enliven):
    ours, theirs = make(torch.nn.RMSNorm, 48, 1e-5, enliven)
    x = torch.randn(3, 5, 48)
    torch.testing.assert_close(ours(x), theirs(x))
