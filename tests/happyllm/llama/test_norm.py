import pytest
import torch

from happyllm.llama.norm import RMSNorm


def test_a_normalised_vector_has_a_root_mean_square_of_one():
    y = RMSNorm(64)(torch.randn(3, 5, 64) * 7)
    torch.testing.assert_close(y.square().mean(-1), torch.ones(3, 5), rtol=1e-5, atol=1e-5)


def test_the_size_of_the_input_does_not_matter():
    x = torch.randn(4, 32)
    norm = RMSNorm(32, eps=1e-12)
    torch.testing.assert_close(norm(x), norm(x * 1000))


def test_the_mean_is_not_subtracted():
    x = torch.full((1, 8), 3.0)
    torch.testing.assert_close(RMSNorm(8)(x), torch.ones(1, 8))


def test_each_vector_is_normalised_by_itself():
    norm, x = RMSNorm(16), torch.randn(2, 3, 16)
    torch.testing.assert_close(norm(x)[1, 2], norm(x[1, 2]))


def test_the_weight_scales_each_feature():
    norm = RMSNorm(3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, -3.0]))
    x = torch.tensor([2.0, 2.0, 2.0])
    torch.testing.assert_close(norm(x), torch.tensor([1.0, 2.0, -3.0]))


def test_the_weight_starts_at_ones_and_is_learned():
    norm = RMSNorm(5)
    assert torch.equal(norm.weight, torch.ones(5))
    assert norm.weight.requires_grad
    assert list(norm.state_dict()) == ["weight"]


def test_eps_is_inside_the_root():
    x = torch.tensor([1e-3, 1e-3])
    expected = x / (1e-6 + 0.01) ** 0.5
    torch.testing.assert_close(RMSNorm(2, eps=0.01)(x), expected)


def test_a_zero_vector_stays_zero_and_its_gradient_is_finite():
    x = torch.zeros(1, 4, requires_grad=True)
    y = RMSNorm(4)(x)
    y.sum().backward()
    assert torch.equal(y, torch.zeros(1, 4))
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_an_all_half_precision_norm_stays_in_half_precision(dtype):
    assert RMSNorm(8).to(dtype)(torch.randn(2, 8, dtype=dtype)).dtype == dtype


def test_large_half_precision_numbers_do_not_overflow():
    x = torch.full((1, 4), 60000.0, dtype=torch.float16)  # its square is far beyond 65504
    assert torch.equal(RMSNorm(4).half()(x), torch.ones(1, 4, dtype=torch.float16))


def test_the_cast_back_comes_before_the_weight():
    x = torch.randn(50, 16, dtype=torch.bfloat16)
    norm = RMSNorm(16)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(16))
    x32 = x.float()
    unit = x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + 1e-5)
    assert torch.equal(norm(x), norm.weight * unit.bfloat16())


def test_an_empty_batch_comes_back_empty():
    assert RMSNorm(4)(torch.zeros(0, 3, 4)).shape == (0, 3, 4)


def test_the_input_is_left_as_it_was():
    x = torch.randn(2, 4)
    before = x.clone()
    RMSNorm(4)(x)
    assert torch.equal(x, before)
