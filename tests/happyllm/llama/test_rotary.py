import math

import pytest
import torch

from happyllm.llama.rotary import (
    apply_rotary_emb,
    permute_for_hf,
    precompute_freqs_cis,
    reshape_for_broadcast,
)


def rotate(x, positions, theta=10000.0):
    """Turn x (B, T, H, d) to the given positions (T,) or (B, T)."""
    freqs_cos, freqs_sin = precompute_freqs_cis(x.size(-1), 100, theta)
    return apply_rotary_emb(x, x, freqs_cos[positions], freqs_sin[positions])[0]


def test_the_first_pair_turns_one_radian_a_position():
    freqs_cos, freqs_sin = precompute_freqs_cis(8, 50)
    t = torch.arange(50.0)
    torch.testing.assert_close(freqs_cos[:, 0], t.cos())
    torch.testing.assert_close(freqs_sin[:, 0], t.sin())


def test_pair_i_turns_by_theta_to_the_minus_two_i_over_d():
    _, freqs_sin = precompute_freqs_cis(8, 2, theta=100.0)
    expected = torch.tensor([math.sin(100.0 ** (-2 * i / 8)) for i in range(4)])
    torch.testing.assert_close(freqs_sin[1], expected)


def test_the_tables_are_float32_with_a_column_for_each_pair():
    for table in precompute_freqs_cis(6, 11):
        assert table.shape == (11, 3)
        assert table.dtype == torch.float32


def test_an_odd_head_size_is_refused():
    with pytest.raises(ValueError, match="dim=5"):
        precompute_freqs_cis(5, 4)


def test_a_table_without_rows_is_empty():
    assert precompute_freqs_cis(4, 0)[0].shape == (0, 2)


def test_a_shared_table_gets_axes_for_batch_and_heads():
    freqs = torch.randn(5, 4)
    shaped = reshape_for_broadcast(freqs, torch.zeros(2, 5, 3, 4))
    assert shaped.shape == (1, 5, 1, 4)
    assert torch.equal(shaped[0, :, 0], freqs)


def test_a_table_for_each_row_gets_an_axis_for_heads_only():
    freqs = torch.randn(2, 5, 4)
    shaped = reshape_for_broadcast(freqs, torch.zeros(2, 5, 3, 4))
    assert shaped.shape == (2, 5, 1, 4)
    assert torch.equal(shaped[:, :, 0], freqs)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5, 4), (1, 5, 4), (5,), (2, 5, 1, 4)])
def test_a_table_that_does_not_fit_is_refused(shape):
    with pytest.raises(ValueError, match="freqs"):
        reshape_for_broadcast(torch.zeros(shape), torch.zeros(2, 5, 3, 4))


def test_position_zero_turns_nothing():
    x = torch.randn(2, 1, 3, 8)
    assert torch.equal(rotate(x, torch.tensor([0])), x)


def test_neighbouring_features_are_a_pair():
    x = torch.tensor([1.0, 0.0, 0.0, 0.0]).view(1, 1, 1, 4)
    turned = rotate(x, torch.tensor([1])).flatten()
    torch.testing.assert_close(turned, torch.tensor([math.cos(1), math.sin(1), 0.0, 0.0]))


def test_turning_is_multiplying_by_a_complex_number():
    x = torch.randn(2, 7, 3, 8)
    freqs_cos, freqs_sin = precompute_freqs_cis(8, 7)
    as_complex = torch.view_as_complex(x.unflatten(-1, (4, 2)))
    expected = as_complex * torch.complex(freqs_cos, freqs_sin)[None, :, None, :]
    torch.testing.assert_close(rotate(x, torch.arange(7)), torch.view_as_real(expected).flatten(-2))


def test_turning_keeps_the_length_of_every_pair():
    x = torch.randn(2, 20, 3, 8)
    before, after = x.unflatten(-1, (4, 2)), rotate(x, torch.arange(20)).unflatten(-1, (4, 2))
    torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1))


def test_a_shift_in_position_leaves_the_scores_as_they_were():
    q, k = torch.randn(1, 6, 2, 16), torch.randn(1, 6, 2, 16)
    here, there = torch.arange(6), torch.arange(6) + 40

    def scores(positions):
        return torch.einsum("bthd,bshd->bhts", rotate(q, positions), rotate(k, positions))

    torch.testing.assert_close(scores(here), scores(there), rtol=1e-4, atol=1e-4)


def test_a_second_turn_adds_to_the_first():
    x = torch.randn(1, 1, 2, 8)
    twice = rotate(rotate(x, torch.tensor([3])), torch.tensor([4]))
    torch.testing.assert_close(twice, rotate(x, torch.tensor([7])), rtol=1e-4, atol=1e-5)


def test_each_row_may_have_positions_of_its_own():
    x = torch.randn(2, 3, 2, 8)
    both = rotate(x, torch.tensor([[0, 1, 2], [5, 6, 7]]))
    torch.testing.assert_close(both[:1], rotate(x[:1], torch.tensor([0, 1, 2])))
    torch.testing.assert_close(both[1:], rotate(x[1:], torch.tensor([5, 6, 7])))


def test_queries_and_keys_may_differ_in_their_number_of_heads():
    freqs = precompute_freqs_cis(8, 5)
    xq, xk = apply_rotary_emb(torch.randn(2, 5, 6, 8), torch.randn(2, 5, 2, 8), *freqs)
    assert (xq.shape, xk.shape) == ((2, 5, 6, 8), (2, 5, 2, 8))


def test_half_precision_is_turned_in_float32_and_comes_back():
    x = torch.randn(1, 9, 2, 8, dtype=torch.bfloat16)
    turned = rotate(x, torch.arange(9))
    assert turned.dtype == torch.bfloat16
    assert torch.equal(turned, rotate(x.float(), torch.arange(9)).bfloat16())


def test_turning_leaves_its_input_as_it_was():
    x = torch.randn(1, 4, 2, 8)
    before = x.clone()
    rotate(x, torch.arange(4))
    assert torch.equal(x, before)


def test_gradients_flow_to_queries_and_keys():
    xq = torch.randn(1, 3, 2, 4, requires_grad=True)
    xk = torch.randn(1, 3, 1, 4, requires_grad=True)
    q, k = apply_rotary_emb(xq, xk, *precompute_freqs_cis(4, 3))
    (q.square().sum() + k.square().sum()).backward()
    torch.testing.assert_close(xq.grad, 2 * xq.detach())  # a rotation keeps the square
    torch.testing.assert_close(xk.grad, 2 * xk.detach())


def test_an_empty_batch_is_turned_to_an_empty_batch():
    assert rotate(torch.zeros(0, 3, 2, 4), torch.arange(3)).shape == (0, 3, 2, 4)


def test_permuting_puts_the_firsts_of_all_pairs_before_the_seconds():
    weight = torch.arange(12.0).view(12, 1).expand(12, 3)
    order = permute_for_hf(weight, n_heads=2)[:, 0].int().tolist()
    assert order == [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]


def test_permuting_heads_of_two_changes_nothing():
    weight = torch.randn(8, 5)
    assert torch.equal(permute_for_hf(weight, n_heads=4), weight)


@pytest.mark.parametrize(("rows", "n_heads"), [(6, 2), (8, 3)])
def test_rows_that_are_not_heads_of_even_size_are_refused(rows, n_heads):
    with pytest.raises(ValueError, match=f"{rows} rows"):
        permute_for_hf(torch.zeros(rows, 4), n_heads)
