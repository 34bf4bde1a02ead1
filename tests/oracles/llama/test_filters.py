"""Min-p and the repetition penalty against transformers' logits processors."""

import pytest
import torch
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from happyllm.llama.sampling import apply_min_p, apply_repetition_penalty, distribution

SEEDS = pytest.mark.parametrize("seed", range(20))


@pytest.fixture(name="logits")
def _logits(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(8, 101, generator=generator) * (1 + seed % 5)


@SEEDS
@pytest.mark.parametrize("min_p", [0.0, 0.001, 0.05, 0.3, 0.9, 1.0])
def test_min_p_is_that_of_transformers(logits, min_p):
    assert torch.equal(apply_min_p(logits, min_p), MinPLogitsWarper(min_p)(None, logits))


@SEEDS
@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.2, 3.0])
def test_the_repetition_penalty_is_that_of_transformers(logits, seed, penalty):
    tokens = torch.randint(101, (8, 60), generator=torch.Generator().manual_seed(seed))
    expected = RepetitionPenaltyLogitsProcessor(penalty)(tokens, logits.clone())
    assert torch.equal(apply_repetition_penalty(logits, tokens, penalty), expected)


@SEEDS
def test_the_distribution_is_that_of_a_chain_of_warpers(logits):
    warped = logits
    warpers = (
        TemperatureLogitsWarper(0.8),
        TopKLogitsWarper(30),
        TopPLogitsWarper(0.9),
        MinPLogitsWarper(0.1),
    )
    for warp in warpers:
        warped = warp(None, warped)
    assert torch.equal(distribution(logits, 0.8, 30, 0.9, 0.1), warped.softmax(-1))
