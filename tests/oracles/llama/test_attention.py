"""Attention against transformers' LlamaAttention: values and gradients, on both paths."""

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding

from happyllm.llama.attention import Attention, causal_mask
from happyllm.llama.convert import hf_config
from happyllm.llama.rotary import permute_for_hf, precompute_freqs_cis

BOTH_PATHS = pytest.mark.parametrize("flash", [True, False], ids=["fused", "explicit"])


def renamed(weights, args):
    """Our attention's weights, or their gradients, in transformers' names and order."""
    return {
        "q_proj.weight": permute_for_hf(weights["wq.weight"], args.n_heads),
        "k_proj.weight": permute_for_hf(weights["wk.weight"], args.n_kv_heads),
        "v_proj.weight": weights["wv.weight"],
        "o_proj.weight": weights["wo.weight"],
    }


def make(args, enliven):
    ours = enliven(Attention(args))
    config = LlamaConfig(**hf_config(args), attn_implementation="eager")
    theirs = LlamaAttention(config, layer_idx=0)
    theirs.load_state_dict(renamed(ours.state_dict(), args))
    rotary = LlamaRotaryEmbedding(config)

    def call_theirs(x, mask):
        additive = torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)
        tables = rotary(x, torch.arange(x.size(1))[None])
        return theirs(x, position_embeddings=tables, attention_mask=additive)[0]

    return ours, theirs, call_theirs


def run_ours(ours, args, x, mask=None):
    return ours(x, *precompute_freqs_cis(args.head_dim, x.size(1), args.rope_theta), mask)


@BOTH_PATHS
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("T", [1, 2, 11])
def test_causal_attention_is_that_of_llama(flash, seed, T, random_config, enliven):
    args = random_config(seed, flash_attn=flash)
    ours, _, call_theirs = make(args, enliven)
    x = torch.randn(3, T, args.dim)
    expected = call_theirs(x, causal_mask(T, T)[None, None])
    torch.testing.assert_close(run_ours(ours, args, x), expected, rtol=1e-5, atol=1e-5)


@BOTH_PATHS
@pytest.mark.parametrize("seed", range(8))
def test_attention_under_any_mask_is_that_of_llama(flash, seed, random_config, enliven):
    args = random_config(seed, flash_attn=flash)
    ours, _, call_theirs = make(args, enliven)
    x = torch.randn(2, 7, args.dim)
    mask = (torch.rand(2, 1, 7, 7) > 0.5) | torch.eye(7, dtype=torch.bool)
    expected = call_theirs(x, mask)
    torch.testing.assert_close(run_ours(ours, args, x, mask), expected, rtol=1e-5, atol=1e-5)


@BOTH_PATHS
@pytest.mark.parametrize("seed", range(4))
def test_the_gradients_are_those_of_llama(flash, seed, random_config, enliven, assert_grads_agree):
    args = random_config(seed, flash_attn=flash)
    ours, theirs, call_theirs = make(args, enliven)
    x, upstream = torch.randn(2, 7, args.dim), torch.randn(2, 7, args.dim)
    our_x, their_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    run_ours(ours, args, our_x).backward(upstream)
    call_theirs(their_x, causal_mask(7, 7)[None, None]).backward(upstream)
    our_grads = renamed({name: p.grad for name, p in ours.named_parameters()}, args)
    their_grads = {name: p.grad for name, p in theirs.named_parameters()}
    assert_grads_agree(our_grads | {"x": our_x.grad}, their_grads | {"x": their_x.grad})
