"""stream's further options against transformers' generate, token for token."""

import pytest
import torch

from happyllm.llama.stream import stream

SEEDS = pytest.mark.parametrize("seed", range(8))


def written(*args, **options):
    return torch.stack(list(stream(*args, **options)), dim=1)


@SEEDS
def test_greedy_text_with_a_repetition_penalty_is_that_of_llama(
    seed, random_config, make_pair, hf_generate
):
    args = random_config(seed)
    ours, theirs = make_pair(args)
    tokens = torch.randint(args.vocab_size, (3, 6))
    plain = hf_generate(theirs, tokens, torch.ones_like(tokens), 20)
    expected = hf_generate(theirs, tokens, torch.ones_like(tokens), 20, repetition_penalty=1.7)
    assert not torch.equal(expected, plain)
    assert torch.equal(written(ours, tokens, 20, repetition_penalty=1.7), expected[:, 6:])


@SEEDS
def test_text_drawn_with_every_option_is_that_of_llama_from_the_same_seed(
    seed, random_config, make_pair, hf_generate
):
    args = random_config(seed)
    ours, theirs = make_pair(args)
    tokens = torch.randint(args.vocab_size, (3, 6))
    options = {"temperature": 0.9, "top_k": 15, "top_p": 0.95, "min_p": 0.1}
    options["repetition_penalty"] = 1.2
    torch.manual_seed(seed)
    expected = hf_generate(theirs, tokens, torch.ones_like(tokens), 20, do_sample=True, **options)
    torch.manual_seed(seed)
    assert torch.equal(written(ours, tokens, 20, **options), expected[:, 6:])
