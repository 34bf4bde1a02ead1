"""beam_search against transformers' generate(num_beams=...): every beam, and every score."""

import pytest
import torch

from happyllm.llama.beam import beam_search

SEEDS = pytest.mark.parametrize("seed", range(8))
PAD = 1  # transformers takes a pad id of 0 for none
MASK = (torch.arange(6) >= torch.tensor([[0], [2], [5]])).long()


def assert_same_beams(ours, theirs, hf_generate, tokens, new, n, *, length_penalty=1.0, stops=()):
    mask = MASK[: len(tokens)]
    expected = hf_generate(
        theirs,
        tokens,
        mask,
        new,
        num_beams=n,
        num_return_sequences=n,
        length_penalty=length_penalty,
        eos_token_id=list(stops) or None,
        pad_token_id=PAD,
        output_scores=True,
        return_dict_in_generate=True,
    )
    options = {"length_penalty": length_penalty, "stop_tokens": stops, "pad_id": PAD}
    texts, scores = beam_search(ours, tokens, new, n, attention_mask=mask, **options)
    assert torch.equal(texts.flatten(0, 1), expected.sequences)
    torch.testing.assert_close(scores.flatten(), expected.sequences_scores, rtol=1e-5, atol=1e-5)
    return texts


@SEEDS
@pytest.mark.parametrize("n", [2, 3, 5])
def test_beams_are_those_of_llama(seed, n, random_config, make_pair, hf_generate):
    args = random_config(seed)
    ours, theirs = make_pair(args)
    tokens = torch.randint(2, args.vocab_size, (3, 6)).masked_fill(MASK == 0, PAD)
    assert_same_beams(ours, theirs, hf_generate, tokens, 12, n)


@SEEDS
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 0.7, 1.0, 3.0])
def test_beams_that_stop_are_those_of_llama(
    seed, length_penalty, random_config, make_pair, hf_generate
):
    args = random_config(seed)
    ours, theirs = make_pair(args)
    tokens = torch.randint(2, args.vocab_size, (3, 6)).masked_fill(MASK == 0, PAD)
    free, _ = beam_search(ours, tokens, 12, 3, attention_mask=MASK, pad_id=PAD)
    stops = sorted({int(free[0, 0, 8]), int(free[1, 1, 10]), int(free[2, 0, 7])})
    texts = assert_same_beams(
        ours, theirs, hf_generate, tokens, 12, 3, length_penalty=length_penalty, stops=stops
    )
    assert torch.isin(texts[:, :, 6:], torch.tensor(stops)).any()
