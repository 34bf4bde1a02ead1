import pytest
import torch

from happyllm.llama.cache import new_cache
from happyllm.llama.config import ModelConfig
from happyllm.llama.layer import DecoderLayer
from happyllm.llama.rotary import precompute_freqs_cis

ARGS = ModelConfig(dim=32, n_heads=4, n_kv_heads=2, norm_eps=1e-3, max_seq_len=16)
FREQS = precompute_freqs_cis(ARGS.head_dim, 6)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return DecoderLayer(3, ARGS)


def test_a_layer_adds_to_the_stream_what_its_parts_make_of_the_normalised_stream(layer):
    x = torch.randn(2, 6, 32)
    h = x + layer.attention(layer.attention_norm(x), *FREQS)
    expected = h + layer.feed_forward(layer.ffn_norm(h))
    assert torch.equal(layer(x, *FREQS), expected)


def test_a_layer_whose_parts_write_nothing_is_the_identity(layer):
    torch.nn.init.zeros_(layer.attention.wo.weight)
    torch.nn.init.zeros_(layer.feed_forward.w2.weight)
    x = torch.randn(2, 6, 32) * 50
    assert torch.equal(layer(x, *FREQS), x)


def test_the_two_norms_are_separate_and_use_the_eps_of_the_configuration(layer):
    assert layer.attention_norm.weight is not layer.ffn_norm.weight
    assert layer.attention_norm.eps == layer.ffn_norm.eps == 1e-3


def test_a_layer_knows_its_number(layer):
    assert layer.layer_id == 3


def test_the_mask_reaches_the_attention(layer):
    x = torch.randn(2, 6, 32)
    mask = torch.eye(6, dtype=torch.bool)
    alone = layer(x[:, 4:5], FREQS[0][4:5], FREQS[1][4:5])
    torch.testing.assert_close(layer(x, *FREQS, mask)[:, 4:5], alone)


def test_the_cache_reaches_the_attention(layer):
    x = torch.randn(2, 6, 32)
    cache = new_cache(ARGS, batch_size=2)[0]
    with torch.no_grad():
        parts = [
            layer(x[:, t : t + 1], FREQS[0][t : t + 1], FREQS[1][t : t + 1], cache=cache)
            for t in range(6)
        ]
        torch.testing.assert_close(torch.cat(parts, 1), layer(x, *FREQS))


def test_a_layer_leaves_its_input_as_it_was(layer):
    x = torch.randn(1, 6, 32)
    before = x.clone()
    layer(x, *FREQS)
    assert torch.equal(x, before)
