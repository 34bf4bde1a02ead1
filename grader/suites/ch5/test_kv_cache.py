"""Hidden suite of ch5/kv_cache."""

import pytest
import torch

from grader.judge import check
from grader.judge.diagnosis import known_wrong
from happyllm.llama import cache as reference
from happyllm.llama.cache import KVCache, new_cache
from happyllm.llama.config import ModelConfig
from happyllm.llama.model import Transformer

SIZES = {
    "dim": 16,
    "n_layers": 3,
    "n_heads": 4,
    "n_kv_heads": 2,
    "vocab_size": 23,
    "hidden_dim": 24,
    "max_seq_len": 12,
}


def filled(m, sizes, *tokens, dtype=None):
    """Write tokens (keys, values) bit by bit; hand back every answer."""
    cache = m.KVCache(*sizes)
    return [tuple(cache.update(k, v)) for k, v in tokens]


def keys_and_values(*lengths, B=2, K=3, d=4):
    return [(torch.randn(B, T, K, d), torch.randn(B, T, K, d)) for T in lengths]


def test_an_empty_cache_has_its_memory_reserved(student):
    """Before any token, k and v have room for all of them, (B, max_seq_len, K, d), and length is 0.

    还没有 token 时，k 和 v 就为全部 token 留好位置 (B, max_seq_len, K, d)，length 为 0。
    """

    def memory(m, *sizes):
        cache = m.KVCache(*sizes)
        return tuple(cache.k.shape), tuple(cache.v.shape), cache.length

    check.equal(student.run(memory, 2, 7, 3, 4), ((2, 7, 3, 4), (2, 7, 3, 4), 0))


def test_the_prompt_comes_back_as_it_was_written(student):
    """The first update hands back the keys and values that it was given, and nothing more.

    第一次 update 原样返回传入的键和值，不多不少。
    """
    [(k, v)] = keys_and_values(3)
    got = student.KVCache(2, 7, 3, 4).update(k, v)
    check.equal(got, (k, v))


@pytest.mark.parametrize("lengths", [(1, 1, 1), (3, 1, 2), (2, 5)], ids=str)
def test_new_tokens_stand_behind_the_old(student, lengths):
    """However many tokens come at a time, each stands behind all that came before it.

    不管一次来几个 token，每个都排在之前所有 token 的后面。
    """
    tokens = keys_and_values(*lengths)
    got = student.run(filled, (2, 7, 3, 4), *tokens)
    check.equal(got, filled(reference, (2, 7, 3, 4), *tokens))
