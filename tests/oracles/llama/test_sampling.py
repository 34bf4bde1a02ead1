"""The filters against transformers' logits warpers, and the draw against torch's own."""

import pytest
import torch
from transformers import (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from happyllm.llama.sampling import apply_temperature, apply_top_k, apply_top_p, sample

SEEDS = pytest.mark.parametrize("seed", range(20))


def draw_logits(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, 101, generator=generator) * (1 + seed % 5)


@SEEDS
@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 2.5])
def test_temperature_is_that_of_transformers(seed, temperature):
    logits = draw_logits(seed)
    expected = TemperatureLogitsWarper(temperature)(None, logits)
    assert torch.equal(apply_temperature(logits, temperature), expected)


@SEEDS
@pytest.mark.parametrize("k", [1, 2, 50, 100, 101, 1000])
def test_top_k_is_that_of_transformers(seed, k):
    logits = draw_logits(seed)
    assert torch.equal(apply_top_k(logits, k), TopKLogitsWarper(k)(None, logits))


@SEEDS
@pytest.mark.parametrize("k", [1, 3, 20])
def test_top_k_keeps_the_ties_that_transformers_keeps(seed, k):
    logits = draw_logits(seed).round()
    assert torch.equal(apply_top_k(logits, k), TopKLogitsWarper(k)(None, logits))


@SEEDS
@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9, 0.99])
def test_top_p_is_that_of_transformers(seed, p):
    logits = draw_logits(seed)
    assert torch.equal(apply_top_p(logits, p), TopPLogitsWarper(p)(None, logits))


@SEEDS
def test_a_chain_of_filters_draws_what_transformers_would(seed):
    logits = draw_logits(seed)
    warped = logits
    for warp in (TemperatureLogitsWarper(0.8), TopKLogitsWarper(30), TopPLogitsWarper(0.9)):
        warped = warp(None, warped)
    expected = torch.multinomial(
        warped.softmax(-1), 1, generator=torch.Generator().manual_seed(seed)
    )
    got = sample(logits, 0.8, 30, 0.9, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(got, expected.squeeze(-1))
