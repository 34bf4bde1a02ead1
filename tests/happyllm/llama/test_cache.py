import pytest
import torch

from happyllm.llama.cache import KVCache, new_cache
from happyllm.llama.config import ModelConfig


def kv(T, B=2, K=3, d=4):
    return torch.randn(B, T, K, d), torch.randn(B, T, K, d)


def test_what_was_written_comes_back_in_order():
    cache = KVCache(2, 10, 3, 4)
    pieces = [kv(T) for T in (4, 1, 2)]
    for k, v in pieces:
        all_k, all_v = cache.update(k, v)
    assert torch.equal(all_k, torch.cat([k for k, _ in pieces], 1))
    assert torch.equal(all_v, torch.cat([v for _, v in pieces], 1))
    assert cache.length == 7


def test_what_comes_back_is_a_view_of_memory_that_is_reserved_once():
    cache = KVCache(2, 10, 3, 4)
    memory = cache.k.data_ptr(), cache.v.data_ptr()
    for _ in range(5):
        all_k, all_v = cache.update(*kv(2))
        assert (all_k.data_ptr(), all_v.data_ptr()) == memory


def test_a_new_cache_is_empty():
    assert KVCache(2, 10, 3, 4).length == 0


def test_a_cache_can_be_filled_to_the_last_place():
    cache = KVCache(2, 5, 3, 4)
    cache.update(*kv(4))
    assert cache.update(*kv(1))[0].shape == (2, 5, 3, 4)


def test_a_full_cache_refuses_more_and_is_left_as_it_was():
    cache = KVCache(2, 5, 3, 4)
    k, v = kv(4)
    cache.update(k, v)
    with pytest.raises(ValueError, match=r"2 new tokens after 4 cached ones .* max_seq_len=5"):
        cache.update(*kv(2))
    assert cache.length == 4
    assert torch.equal(cache.k[:, :4], k)


@pytest.mark.parametrize("sizes", [{"B": 1}, {"K": 1}, {"d": 8}], ids=str)
def test_a_shape_that_does_not_fit_is_refused_and_not_broadcast(sizes):
    with pytest.raises(ValueError, match="B=2, T, K=3, d=4"):
        KVCache(2, 5, 3, 4).update(*kv(1, **sizes))


@pytest.mark.parametrize("wrong", ["k", "v"])
def test_keys_and_values_must_both_fit(wrong):
    good, bad = kv(1)[0], kv(1, K=1)[0]
    with pytest.raises(ValueError, match="must both be"):
        KVCache(2, 5, 3, 4).update(*((bad, good) if wrong == "k" else (good, bad)))


def test_keys_and_values_of_different_length_are_refused():
    with pytest.raises(ValueError, match="must both be"):
        KVCache(2, 5, 3, 4).update(kv(1)[0], kv(2)[1])


def test_the_memory_has_the_dtype_that_was_asked_for():
    cache = KVCache(2, 5, 3, 4, dtype=torch.bfloat16)
    assert cache.k.dtype == cache.v.dtype == torch.bfloat16


def test_a_model_has_a_cache_for_each_layer_none_sharing_memory():
    args = ModelConfig(dim=32, n_layers=3, n_heads=4, n_kv_heads=2, max_seq_len=7)
    caches = new_cache(args, batch_size=5, dtype=torch.bfloat16)
    assert [tuple(c.k.shape) for c in caches] == [(5, 7, 2, 8)] * 3
    assert len({c.k.data_ptr() for c in caches} | {c.v.data_ptr() for c in caches}) == 6
    assert caches[0].k.dtype == torch.bfloat16


def test_a_cache_may_have_less_room_than_the_model():
    assert new_cache(ModelConfig(), batch_size=1, max_seq_len=9)[0].k.size(1) == 9
