"""KVCache against recomputation and against transformers' DynamicCache, piece by piece."""

import pytest
import torch
from transformers import DynamicCache

from happyllm.llama.cache import new_cache
from happyllm.llama.rotary import permute_for_hf

PIECES = pytest.mark.parametrize("pieces", [[12], [1] * 12, [7, 1, 4], [11, 1], [3, 9]], ids=str)
LEFT_PADDED = (torch.arange(12) >= torch.tensor([[0], [2], [6]])).long()


@PIECES
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("padded", [False, True])
def test_each_piece_gives_the_logits_of_llama_with_its_cache(
    pieces, seed, padded, random_config, make_pair
):
    args = random_config(seed)
    ours, theirs = make_pair(args)
    tokens = torch.randint(args.vocab_size, (3, 12))
    mask = LEFT_PADDED if padded else torch.ones(3, 12, dtype=torch.int64)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    our_cache, their_cache = new_cache(args, batch_size=3, max_seq_len=12), DynamicCache()
    start = 0
    with torch.no_grad():
        for piece in tokens.split(pieces, dim=1):
            end = start + piece.size(1)
            seen = mask[:, :end]
            got, _ = ours(piece, attention_mask=seen if padded else None, cache=our_cache)
            expected = theirs(
                piece,
                attention_mask=seen,
                position_ids=positions[:, start:end],
                past_key_values=their_cache,
            ).logits
            real = mask[:, start:end].bool()
            torch.testing.assert_close(got[real], expected[real], rtol=1e-5, atol=1e-5)
            start = end


@PIECES
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("padded", [False, True])
def test_cached_logits_are_recomputed_logits(pieces, seed, padded, random_config, make_pair):
    args = random_config(seed)
    ours, _ = make_pair(args)
    tokens = torch.randint(args.vocab_size, (3, 12))
    cache, logits, end = new_cache(args, batch_size=3), [], 0
    with torch.no_grad():
        for piece in tokens.split(pieces, dim=1):
            end += piece.size(1)
            seen = LEFT_PADDED[:, :end] if padded else None
            logits.append(ours(piece, attention_mask=seen, cache=cache)[0])
        full, _ = ours(tokens, attention_mask=LEFT_PADDED if padded else None)
    torch.testing.assert_close(torch.cat(logits, 1), full, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_cached_is_what_llama_caches(seed, random_config, make_pair):
    args = random_config(seed)
    ours, theirs = make_pair(args)
    tokens = torch.randint(args.vocab_size, (2, 12))
    our_cache, their_cache = new_cache(args, batch_size=2, max_seq_len=12), DynamicCache()
    with torch.no_grad():
        ours(tokens, cache=our_cache)
        theirs(tokens, past_key_values=their_cache)
    for mine, layer in zip(our_cache, their_cache.layers, strict=True):
        rows = mine.k.permute(2, 3, 0, 1).flatten(2).flatten(0, 1)  # (K * d, B * T)
        halves = permute_for_hf(rows, args.n_kv_heads).view(args.n_kv_heads, args.head_dim, 2, 12)
        torch.testing.assert_close(halves.permute(2, 0, 3, 1), layer.keys, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(mine.v.transpose(1, 2), layer.values, rtol=1e-5, atol=1e-5)
