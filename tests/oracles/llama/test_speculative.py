"""Speculative decoding against the target's own distribution, over every text of three tokens.

There is no room for a library here: what the rule promises is an identity, so it is computed.
"""

import itertools
import math

import pytest
import torch

from happyllm.llama.config import ModelConfig
from happyllm.llama.model import Transformer
from happyllm.llama.sampling import distribution
from happyllm.llama.speculative import residual, speculative_generate, verify

SEEDS = pytest.mark.parametrize("seed", range(8))


def draw_probs(rows, V, generator):
    return distribution(3 * torch.randn(rows, V, generator=generator), min_p=0.02).double()


@SEEDS
def test_acceptance_and_residual_add_up_to_the_target(seed):
    p, q = draw_probs(2, 40, torch.Generator().manual_seed(seed))
    accepted = torch.minimum(p, q)  # q(x) * min(1, p(x) / q(x))
    refused = 1 - accepted.sum()
    torch.testing.assert_close(accepted + refused * residual(p, q), p)


@pytest.mark.parametrize("seed", range(3))
def test_what_verify_lets_through_has_the_distribution_of_the_target(seed):
    generator = torch.Generator().manual_seed(seed)
    V, k, n = 4, 2, 4000
    p, q = draw_probs(k + 1, V, generator), draw_probs(k, V, generator)
    counts = torch.zeros(V, V, V)
    for _ in range(n):
        drafted = torch.cat([torch.multinomial(row, 1, generator=generator) for row in q])
        text = verify(p, q, drafted, generator)
        while len(text) < k + 1:  # the places after a refusal are the target's own
            text = torch.cat([text, torch.multinomial(p[len(text)], 1, generator=generator)])
        counts[tuple(text.tolist())] += 1
    expected = n * torch.einsum("a,b,c->abc", *p)
    assert chi_square_z(counts, expected) < 4


@pytest.mark.parametrize("n_draft", [1, 2, 5])
def test_sampled_text_has_the_distribution_of_the_target(n_draft, enliven):
    torch.manual_seed(n_draft)
    sizes = {"n_heads": 2, "n_kv_heads": 1, "vocab_size": 4, "hidden_dim": 16, "max_seq_len": 8}
    target = enliven(Transformer(ModelConfig(dim=16, n_layers=2, **sizes)))
    draft = enliven(Transformer(ModelConfig(dim=8, n_layers=1, **sizes)))
    options = {"temperature": 0.8, "min_p": 0.05}
    prompts = torch.tensor([[1, 3]]).expand(1200, 2)
    generator = torch.Generator().manual_seed(n_draft)
    texts = speculative_generate(
        target, draft, prompts, 3, n_draft=n_draft, generator=generator, **options
    )
    every = torch.tensor(list(itertools.product(range(4), repeat=3)))
    with torch.no_grad():
        logits, _ = target(torch.cat([prompts[:64], every], dim=1))
    probs = distribution(logits[:, 1:4], **options).gather(2, every[:, :, None]).prod(dim=1)
    counts = torch.bincount((texts[:, 2:] * torch.tensor([16, 4, 1])).sum(1), minlength=64)
    assert chi_square_z(counts.float(), 1200 * probs[:, 0]) < 4


def chi_square_z(counts, expected):
    """How many standard deviations chi-square lies above its mean; infinite for the impossible."""
    if counts[expected == 0].any():
        return math.inf
    counts, expected = counts[expected > 0], expected[expected > 0]
    small = expected < 5  # too rare to count alone
    if small.any():
        counts = torch.cat([counts[~small], counts[small].sum()[None]])
        expected = torch.cat([expected[~small], expected[small].sum()[None]])
    freedom = len(counts) - 1
    chi_square = ((counts - expected) ** 2 / expected).sum().item()
    return (chi_square - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_draft", [1, 4])
def test_greedy_text_is_that_of_llama(seed, n_draft, random_config, make_pair, hf_generate):
    args = random_config(seed, vocab_size=50)
    ours, theirs = make_pair(args)
    draft, _ = make_pair(random_config(seed + 100, vocab_size=50))
    tokens = torch.randint(50, (3, 6))
    expected = hf_generate(theirs, tokens, torch.ones_like(tokens), 20)
    assert torch.equal(speculative_generate(ours, draft, tokens, 20, n_draft=n_draft), expected)
