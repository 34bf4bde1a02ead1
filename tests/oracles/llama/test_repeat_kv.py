"""repeat_kv against torch.repeat_interleave and transformers' own."""

import pytest
import torch
from transformers.models.llama.modeling_llama import repeat_kv as hf_repeat_kv

from happyllm.llama.attention import repeat_kv

CASES = pytest.mark.parametrize(
    ("shape", "n_rep"),
    [((2, 5, 3, 4), 1), ((2, 5, 3, 4), 4), ((1, 1, 1, 2), 7), ((0, 5, 2, 4), 3), ((3, 0, 2, 4), 3)],
    ids=str,
)


@CASES
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64], ids=str)
def test_repeating_is_repeat_interleave_over_the_heads(shape, n_rep, dtype):
    x = torch.randn(shape).mul(100).to(dtype)
    got = repeat_kv(x, n_rep)
    assert got.dtype == dtype
    assert torch.equal(got, torch.repeat_interleave(x, n_rep, dim=2))


@CASES
def test_transformers_agrees_with_the_heads_before_the_tokens(shape, n_rep):
    x = torch.randn(shape)
    assert torch.equal(repeat_kv(x, n_rep).transpose(1, 2), hf_repeat_kv(x.transpose(1, 2), n_rep))


def test_the_gradient_is_that_of_repeat_interleave():
    x, upstream = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 12, 4)
    grads = []
    for repeat in (repeat_kv, lambda t, n: torch.repeat_interleave(t, n, dim=2)):
        leaf = x.clone().requires_grad_()
        repeat(leaf, 4).backward(upstream)
        grads.append(leaf.grad)
    torch.testing.assert_close(*grads)


def test_a_view_that_is_not_contiguous_repeats_as_well():
    x = torch.randn(2, 3, 5, 4).transpose(1, 2)
    assert torch.equal(repeat_kv(x, 2), torch.repeat_interleave(x, 2, dim=2))
