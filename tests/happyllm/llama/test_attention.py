import pytest
import torch

from happyllm.llama.attention import Attention, causal_mask, repeat_kv
from happyllm.llama.cache import new_cache
from happyllm.llama.config import ModelConfig
from happyllm.llama.rotary import precompute_freqs_cis

BOTH_PATHS = pytest.mark.parametrize("flash", [True, False], ids=["fused", "explicit"])


def make(flash=True, **changes):
    torch.manual_seed(0)
    values = {"dim": 48, "n_heads": 6, "n_kv_heads": 2, "max_seq_len": 32} | changes
    args = ModelConfig(flash_attn=flash, **values)
    return Attention(args), args


def attend(attention, x, mask=None, cache=None, start=0):
    freqs_cos, freqs_sin = precompute_freqs_cis(attention.head_dim, 32)
    here = slice(start, start + x.size(1))
    return attention(x, freqs_cos[here], freqs_sin[here], mask, cache)


def test_each_kv_head_serves_a_run_of_query_heads():
    x = torch.randn(2, 5, 3, 4)
    repeated = repeat_kv(x, 2)
    for head in range(6):
        assert torch.equal(repeated[:, :, head], x[:, :, head // 2])


def test_repeating_once_hands_back_the_same_tensor():
    x = torch.randn(2, 5, 3, 4)
    assert repeat_kv(x, 1) is x


def test_the_gradient_of_a_kv_head_is_the_sum_over_its_query_heads():
    x = torch.randn(1, 2, 2, 3, requires_grad=True)
    repeat_kv(x, 3).sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 3.0))


def test_repeating_keeps_the_dtype_and_takes_an_empty_batch():
    repeated = repeat_kv(torch.zeros(0, 5, 2, 4, dtype=torch.bfloat16), 4)
    assert repeated.shape == (0, 5, 8, 4)
    assert repeated.dtype == torch.bfloat16


def test_a_causal_mask_is_a_lower_triangle():
    assert torch.equal(causal_mask(4, 4), torch.ones(4, 4).tril().bool())


def test_a_causal_mask_is_aligned_to_the_end():
    mask = causal_mask(2, 5)
    assert mask.int().tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]


def test_the_projections_have_no_bias_and_fewer_kv_heads():
    attention, _ = make()
    shapes = {name: tuple(p.shape) for name, p in attention.named_parameters()}
    assert shapes == {
        "wq.weight": (48, 48),
        "wk.weight": (16, 48),
        "wv.weight": (16, 48),
        "wo.weight": (48, 48),
    }


@BOTH_PATHS
def test_no_position_sees_its_future(flash):
    attention, _ = make(flash)
    x = torch.randn(2, 7, 48)
    changed = x.clone()
    changed[:, 4:] = torch.randn(2, 3, 48)
    before, after = attend(attention, x), attend(attention, changed)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


@BOTH_PATHS
def test_every_position_sees_its_past(flash):
    attention, _ = make(flash)
    x = torch.randn(1, 5, 48, requires_grad=True)
    attend(attention, x)[0, -1].sum().backward()
    assert (x.grad.abs().sum(-1) > 0).all()


@pytest.mark.parametrize("n_kv_heads", [1, 2, 3, 6])
def test_the_two_paths_agree(n_kv_heads):
    fused, _ = make(True, n_kv_heads=n_kv_heads)
    explicit, _ = make(False, n_kv_heads=n_kv_heads)
    explicit.load_state_dict(fused.state_dict())
    x = torch.randn(3, 9, 48)
    mask = causal_mask(9, 9) & (torch.rand(3, 6, 9, 9) > 0.3)
    torch.testing.assert_close(attend(fused, x), attend(explicit, x))
    torch.testing.assert_close(attend(fused, x, mask), attend(explicit, x, mask))


@BOTH_PATHS
def test_the_flash_switch_chooses_the_path(flash, monkeypatch):
    attention, _ = make(flash)
    other = "explicit_attention" if flash else "fused_attention"
    monkeypatch.setattr(attention, other, None)  # calling None would raise
    attend(attention, torch.randn(1, 3, 48))


@BOTH_PATHS
@pytest.mark.parametrize("shape", [(5, 5), (1, 1, 5, 5), (2, 1, 5, 5), (2, 6, 5, 5), (2, 1, 1, 5)])
def test_a_mask_is_broadcast_over_batch_and_heads(flash, shape):
    attention, _ = make(flash)
    mask = torch.rand(shape) > 0.3
    mask[..., 0] = True
    x = torch.randn(2, 5, 48)
    torch.testing.assert_close(
        attend(attention, x, mask), attend(attention, x, mask.expand(2, 6, 5, 5))
    )


@BOTH_PATHS
def test_a_given_mask_is_the_whole_mask(flash):
    attention, _ = make(flash)
    x = torch.randn(1, 4, 48)
    see_all = torch.ones(4, 4, dtype=torch.bool)
    assert not torch.allclose(attend(attention, x, see_all)[:, 0], attend(attention, x)[:, 0])


@BOTH_PATHS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_query_that_sees_nothing_gives_zeros_and_finite_gradients(flash, dtype):
    attention, _ = make(flash)
    attention.to(dtype)
    x = torch.randn(2, 5, 48, dtype=dtype, requires_grad=True)
    mask = causal_mask(5, 5).expand(2, 1, 5, 5).clone()
    mask[0, :, 2] = False
    out = attend(attention, x, mask)
    out.float().square().sum().backward()
    assert torch.equal(out[0, 2], torch.zeros(48, dtype=dtype))
    assert out.isfinite().all()
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in attention.parameters())


def test_a_mask_of_numbers_is_refused():
    attention, _ = make()
    with pytest.raises(TypeError, match="boolean"):
        attend(attention, torch.randn(1, 3, 48), mask=torch.zeros(3, 3))


@BOTH_PATHS
def test_a_lone_token_attends_to_itself(flash):
    attention, _ = make(flash)
    x = torch.randn(2, 1, 48)
    expected = attention.wo(repeat_kv(attention.wv(x).view(2, 1, 2, 8), 3).flatten(2))
    torch.testing.assert_close(attend(attention, x), expected)


@BOTH_PATHS
def test_an_empty_batch_comes_back_empty(flash):
    attention, _ = make(flash)
    assert attend(attention, torch.zeros(0, 3, 48)).shape == (0, 3, 48)


@BOTH_PATHS
@pytest.mark.parametrize("pieces", [[7], [1] * 7, [3, 4], [4, 1, 2]], ids=str)
def test_attending_in_pieces_with_a_cache_is_attending_at_once(flash, pieces):
    attention, args = make(flash)
    x = torch.randn(2, 7, 48)
    with torch.no_grad():
        cache = new_cache(args, batch_size=2)[0]
        outs = [attend(attention, p, cache=cache, start=cache.length) for p in x.split(pieces, 1)]
        torch.testing.assert_close(torch.cat(outs, 1), attend(attention, x))


@BOTH_PATHS
def test_dropout_works_in_training_and_rests_in_evaluation(flash):
    attention, _ = make(flash, dropout=0.5)
    attention.resid_dropout.p = 0.0  # so that what is left is the dropout of the weights
    x = torch.randn(1, 6, 48)
    assert not torch.equal(attend(attention, x), attend(attention, x))
    attention.eval()
    assert torch.equal(attend(attention, x), attend(attention, x))


@BOTH_PATHS
def test_half_precision_stays_and_is_near_float32(flash):
    attention, _ = make(flash)
    x = torch.randn(2, 6, 48)
    expected = attend(attention, x)
    got = attend(attention.bfloat16(), x.bfloat16())
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), expected, rtol=0.05, atol=0.02)


def test_the_explicit_softmax_of_half_precision_is_taken_in_float32():
    attention, _ = make(flash=False)
    q, k, v = torch.randn(3, 1, 6, 32, 8, dtype=torch.bfloat16).unbind(0)
    mask = causal_mask(32, 32)
    scores = (q @ k.transpose(2, 3)).float() / 8**0.5
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1).bfloat16()
    assert torch.equal(attention.explicit_attention(q, k, v, mask), weights @ v)
