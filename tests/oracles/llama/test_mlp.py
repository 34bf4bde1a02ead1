"""MLP against transformers' LlamaMLP: values and gradients."""

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP

from happyllm.llama.convert import hf_config
from happyllm.llama.mlp import MLP


def renamed(weights):
    names = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}
    return {f"{theirs}.weight": weights[f"{ours}.weight"] for ours, theirs in names.items()}


@pytest.mark.parametrize("seed", range(8))
def test_values_and_gradients_are_those_of_llama(seed, random_config, enliven, assert_grads_agree):
    args = random_config(seed)
    ours = enliven(MLP(args.dim, args.hidden_dim, args.multiple_of, 0.0))
    theirs = LlamaMLP(LlamaConfig(**hf_config(args)))
    theirs.load_state_dict(renamed(ours.state_dict()))

    x, upstream = torch.randn(2, 7, args.dim), torch.randn(2, 7, args.dim)
    our_x, their_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    got, expected = ours(our_x), theirs(their_x)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)

    got.backward(upstream)
    expected.backward(upstream)
    our_grads = renamed({name: p.grad for name, p in ours.named_parameters()})
    their_grads = {name: p.grad for name, p in theirs.named_parameters()}
    assert_grads_agree(our_grads | {"x": our_x.grad}, their_grads | {"x": their_x.grad})
