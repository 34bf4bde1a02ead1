"""RoPE against transformers', which pairs feature i with i + d/2, through the permutation."""

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from happyllm.llama.rotary import apply_rotary_emb, permute_for_hf, precompute_freqs_cis

EVERY_SIZE = pytest.mark.parametrize(
    ("d", "theta"), [(2, 10000.0), (8, 10000.0), (6, 100.0), (64, 500000.0)]
)


def hf_tables(d, theta, positions):
    """Cosines and sines (B, T, d) of transformers at positions (B, T)."""
    config = LlamaConfig(
        hidden_size=d,
        num_attention_heads=1,
        head_dim=d,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
    )
    return LlamaRotaryEmbedding(config)(torch.zeros(1), positions)


def to_halves(x):
    """Reorder the last axis from interleaved pairs to split halves."""
    return x.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)


@EVERY_SIZE
def test_the_tables_are_those_of_transformers(d, theta):
    freqs_cos, freqs_sin = precompute_freqs_cis(d, 512, theta)
    cos, sin = hf_tables(d, theta, torch.arange(512)[None])
    # At position 500 the last digit of the angle alone is worth 500 * 2 ** -24 = 3e-5.
    torch.testing.assert_close(freqs_cos, cos[0, :, : d // 2], rtol=0, atol=5e-5)
    torch.testing.assert_close(freqs_sin, sin[0, :, : d // 2], rtol=0, atol=5e-5)


@EVERY_SIZE
@pytest.mark.parametrize("own_positions", [False, True])
def test_turning_agrees_up_to_the_order_of_features(d, theta, own_positions):
    xq, xk = torch.randn(2, 9, 6, d), torch.randn(2, 9, 2, d)
    positions = torch.arange(9).expand(2, 9)
    if own_positions:
        positions = positions + torch.tensor([[0], [20]])
    tables = precompute_freqs_cis(d, 64, theta)
    freqs = [table[positions if own_positions else positions[0]] for table in tables]
    ours = apply_rotary_emb(xq, xk, *freqs)
    cos, sin = hf_tables(d, theta, positions)
    theirs = apply_rotary_pos_emb(to_halves(xq), to_halves(xk), cos, sin, unsqueeze_dim=2)
    for got, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(to_halves(got), expected, rtol=1e-5, atol=1e-5)


@EVERY_SIZE
@pytest.mark.parametrize("n_heads", [1, 3])
def test_a_permuted_projection_gives_transformers_the_same_scores(d, theta, n_heads):
    x, width = torch.randn(1, 9, 20), n_heads * d
    wq, wk = torch.randn(width, 20) / 5, torch.randn(width, 20) / 5

    def project(weight):
        return (x @ weight.T).view(1, 9, n_heads, d)

    def scores(q, k):
        return torch.einsum("bthd,bshd->bhts", q, k) / d

    ours = apply_rotary_emb(project(wq), project(wk), *precompute_freqs_cis(d, 9, theta))
    cos, sin = hf_tables(d, theta, torch.arange(9)[None])
    hf_wq, hf_wk = permute_for_hf(wq, n_heads), permute_for_hf(wk, n_heads)
    theirs = apply_rotary_pos_emb(project(hf_wq), project(hf_wk), cos, sin, unsqueeze_dim=2)
    torch.testing.assert_close(scores(*ours), scores(*theirs), rtol=1e-5, atol=1e-5)


def test_the_gradients_agree_up_to_the_order_of_features():
    x, upstream = torch.randn(2, 9, 3, 8), torch.randn(2, 9, 3, 8)
    ours = x.clone().requires_grad_()
    apply_rotary_emb(ours, ours, *precompute_freqs_cis(8, 9))[0].backward(upstream)
    theirs = to_halves(x).requires_grad_()
    cos, sin = hf_tables(8, 10000.0, torch.arange(9)[None])
    apply_rotary_pos_emb(theirs, theirs, cos, sin, unsqueeze_dim=2)[0].backward(to_halves(upstream))
    torch.testing.assert_close(to_halves(ours.grad), theirs.grad, rtol=1e-5, atol=1e-5)
