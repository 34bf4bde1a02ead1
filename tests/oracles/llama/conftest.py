"""What the oracle tests share: a model of ours and the same model in transformers.

The weights are drawn so large that every part of the model matters to its logits: with the usual
0.02 the attention is nearly uniform, and a wrong rotary order hides below the tolerance.
"""

import random

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from happyllm.llama.config import ModelConfig
from happyllm.llama.convert import hf_config, to_hf
from happyllm.llama.model import Transformer


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def random_config(seed, **changes):
    """Draw a small configuration: head ratio, head size, widths, depth, theta, tying, path."""
    rng = random.Random(seed)
    n_kv_heads, n_rep = rng.choice([(1, 1), (1, 4), (2, 1), (2, 3), (3, 2), (4, 1), (2, 2)])
    n_heads = n_kv_heads * n_rep
    values = {
        "dim": n_heads * rng.choice([4, 6, 8, 16]),
        "n_layers": rng.randint(1, 3),
        "n_heads": n_heads,
        "n_kv_heads": n_kv_heads,
        "vocab_size": rng.randint(20, 90),
        "hidden_dim": rng.choice([None, 50]),
        "multiple_of": rng.choice([1, 16, 32]),
        "norm_eps": rng.choice([1e-5, 1e-6]),
        "max_seq_len": 40,
        "rope_theta": rng.choice([10000.0, 500000.0, 100.0]),
        "tie_word_embeddings": rng.random() < 0.5,
        "flash_attn": rng.random() < 0.5,
    }
    return ModelConfig(**(values | changes))


def enliven(module):
    """Draw weights that keep the size of what passes through them."""
    with torch.no_grad():
        for p in module.parameters():
            if p.dim() == 2:
                p.normal_(std=p.size(1) ** -0.5)
            else:
                p.uniform_(0.5, 1.5)
    return module


def make_pair(args, attn_implementation="eager"):
    """Make our model, and transformers' with the same weights; both in evaluation mode."""
    ours = enliven(Transformer(args)).eval()
    config = LlamaConfig(**hf_config(args), attn_implementation=attn_implementation)
    theirs = LlamaForCausalLM(config).eval()
    theirs.load_state_dict(to_hf(ours.state_dict(), args), strict=True)
    return ours, theirs


def hf_generate(model, tokens, mask, new, **kwargs):
    """Let transformers write, greedy and without a stop token unless `kwargs` say otherwise."""
    defaults = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    model.generation_config.eos_token_id = None  # LlamaConfig sets 2
    return model.generate(tokens, attention_mask=mask, max_new_tokens=new, **(defaults | kwargs))


def assert_grads_agree(ours, theirs):
    """Compare gradients relative to the largest of each tensor."""
    assert ours.keys() == theirs.keys()
    for name, grad in ours.items():
        scale = theirs[name].abs().max().item()
        torch.testing.assert_close(
            grad,
            theirs[name],
            rtol=0,
            atol=1e-5 * max(scale, 1e-3),
            msg=lambda m, n=name: f"{n}: {m}",
        )


@pytest.fixture(name="random_config")
def _random_config():
    return random_config


@pytest.fixture(name="enliven")
def _enliven():
    return enliven


@pytest.fixture(name="make_pair")
def _make_pair():
    return make_pair


@pytest.fixture(name="assert_grads_agree")
def _assert_grads_agree():
    return assert_grads_agree


@pytest.fixture(name="hf_generate")
def _hf_generate():
    return hf_generate
