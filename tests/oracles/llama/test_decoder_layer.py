"""DecoderLayer against transformers' LlamaDecoderLayer: values and gradients."""

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRotaryEmbedding

from happyllm.llama.attention import causal_mask
from happyllm.llama.convert import hf_config, hf_names
from happyllm.llama.layer import DecoderLayer
from happyllm.llama.rotary import permute_for_hf, precompute_freqs_cis


def renamed(weights, args):
    """Our layer's weights, or their gradients, in transformers' names and order."""
    names = {
        ours.removeprefix("layers.0."): theirs.removeprefix("model.layers.0.")
        for ours, theirs in hf_names(args).items()
        if ours.startswith("layers.0.")
    }
    result = {names[name]: weight for name, weight in weights.items()}
    for name, n_heads in (("q", args.n_heads), ("k", args.n_kv_heads)):
        name = f"self_attn.{name}_proj.weight"
        result[name] = permute_for_hf(result[name], n_heads)
    return result


@pytest.mark.parametrize("flash", [True, False], ids=["fused", "explicit"])
@pytest.mark.parametrize("seed", range(8))
def test_values_and_gradients_are_those_of_llama(
    flash, seed, random_config, enliven, assert_grads_agree
):
    args = random_config(seed, flash_attn=flash)
    ours = enliven(DecoderLayer(0, args))
    config = LlamaConfig(**hf_config(args), attn_implementation="eager")
    theirs = LlamaDecoderLayer(config, layer_idx=0)
    theirs.load_state_dict(renamed(ours.state_dict(), args))

    T = 9
    x, upstream = torch.randn(2, T, args.dim), torch.randn(2, T, args.dim)
    our_x, their_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    got = ours(our_x, *precompute_freqs_cis(args.head_dim, T, args.rope_theta))
    expected = theirs(
        their_x,
        attention_mask=torch.zeros(1, 1, T, T).masked_fill(~causal_mask(T, T), -torch.inf),
        position_embeddings=LlamaRotaryEmbedding(config)(x, torch.arange(T)[None]),
    )
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)

    got.backward(upstream)
    expected.backward(upstream)
    our_grads = renamed({name: p.grad for name, p in ours.named_parameters()}, args)
    their_grads = {name: p.grad for name, p in theirs.named_parameters()}
    assert_grads_agree(our_grads | {"x": our_x.grad}, their_grads | {"x": their_x.grad})
