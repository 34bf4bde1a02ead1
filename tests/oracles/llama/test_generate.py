"""generate against transformers' generate, token for token, and against recomputation."""

import pytest
import torch

from happyllm.llama.generate import generate
from happyllm.llama.sampling import apply_temperature, apply_top_k, apply_top_p

SEEDS = pytest.mark.parametrize("seed", range(8))
CACHE = pytest.mark.parametrize("use_cache", [True, False], ids=["cache", "full"])
PAD = 0
MASK = (torch.arange(6) >= torch.tensor([[0], [2], [5]])).long()


def prompts_for(args):
    tokens = torch.randint(1, args.vocab_size, (3, 6))
    return tokens.masked_fill(MASK == 0, PAD)


@SEEDS
@CACHE
def test_greedy_text_is_that_of_llama(seed, use_cache, random_config, make_pair, hf_generate):
    args = random_config(seed)
    ours, theirs = make_pair(args)
    tokens = torch.randint(args.vocab_size, (3, 6))
    expected = hf_generate(theirs, tokens, torch.ones_like(tokens), 20)
    assert torch.equal(generate(ours, tokens, 20, use_cache=use_cache), expected)


@SEEDS
@CACHE
def test_greedy_text_of_a_left_padded_batch_is_that_of_llama(
    seed, use_cache, random_config, make_pair, hf_generate
):
    args = random_config(seed)
    ours, theirs = make_pair(args)
    tokens = prompts_for(args)
    got = generate(ours, tokens, 20, attention_mask=MASK, use_cache=use_cache)
    assert torch.equal(got, hf_generate(theirs, tokens, MASK, 20))


@SEEDS
@CACHE
def test_text_that_stops_is_that_of_llama(seed, use_cache, random_config, make_pair, hf_generate):
    args = random_config(seed)
    ours, theirs = make_pair(args)
    tokens = prompts_for(args)
    free = generate(ours, tokens, 20, attention_mask=MASK)[:, 6:]
    stops = sorted({free[0, 3].item(), free[1, 6].item()})
    got = generate(
        ours, tokens, 20, stop_tokens=stops, pad_id=PAD, attention_mask=MASK, use_cache=use_cache
    )
    assert torch.equal(got, hf_generate(theirs, tokens, MASK, 20, eos_token_id=stops))


@SEEDS
def test_drawn_text_is_that_of_llama_from_the_same_seed(
    seed, random_config, make_pair, hf_generate
):
    args = random_config(seed)
    ours, theirs = make_pair(args)
    tokens = prompts_for(args)
    torch.manual_seed(seed)
    expected = hf_generate(
        theirs, tokens, MASK, 20, do_sample=True, temperature=0.8, top_k=15, top_p=0.9
    )
    torch.manual_seed(seed)
    got = generate(ours, tokens, 20, temperature=0.8, top_k=15, top_p=0.9, attention_mask=MASK)
    assert torch.equal(got, expected)


@SEEDS
def test_the_distributions_that_llama_draws_from_are_ours(
    seed, random_config, make_pair, hf_generate
):
    args = random_config(seed)
    ours, theirs = make_pair(args)
    tokens = prompts_for(args)
    out = hf_generate(
        theirs,
        tokens,
        MASK,
        8,
        do_sample=True,
        temperature=1.3,
        top_k=12,
        top_p=0.8,
        output_scores=True,
        return_dict_in_generate=True,
    )
    mask = torch.cat([MASK, MASK.new_ones(3, 7)], dim=1)
    with torch.no_grad():
        logits, _ = ours(out.sequences[:, :-1], attention_mask=mask, logits_to_keep=8)
    for t, expected in enumerate(out.scores):
        warped = apply_top_p(apply_top_k(apply_temperature(logits[:, t], 1.3), 12), 0.8)
        torch.testing.assert_close(warped, expected, rtol=1e-5, atol=1e-5)


@SEEDS
def test_cached_text_is_recomputed_text(seed, random_config, make_pair):
    args = random_config(seed)
    ours, _ = make_pair(args)
    tokens = prompts_for(args)
    outs = [
        generate(
            ours,
            tokens,
            30,
            temperature=1.0,
            attention_mask=MASK,
            generator=torch.Generator().manual_seed(seed),
            use_cache=use_cache,
        )
        for use_cache in (True, False)
    ]
    assert torch.equal(*outs)
