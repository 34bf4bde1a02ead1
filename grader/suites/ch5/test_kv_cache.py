"""Hidden suite of ch5/kv_cache."""

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
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
    "max_seq_len": 9,
}


def keys_and_values(*lengths):
    """Keys and values for a cache of (2, …, 3, 4), so many tokens at a time."""
    return [(torch.randn(2, T, 3, 4), torch.randn(2, T, 3, 4)) for T in lengths]


def test_an_empty_cache_has_its_memory_reserved(student):
    """Before any token k and v have room for all, (B, max_seq_len, K, d), and length is 0.

    还没有 token 时，k 和 v 就留好了全部位置 (B, max_seq_len, K, d)，length 为 0。
    """

    def memory(m):
        """cache = KVCache(2, 7, 3, 4): the shapes of cache.k and cache.v, and cache.length

        cache = KVCache(2, 7, 3, 4)：cache.k、cache.v 的形状和 cache.length
        """
        cache = m.KVCache(2, 7, 3, 4)
        return tuple(cache.k.shape), tuple(cache.v.shape), cache.length

    check.equal(student.run(memory), ((2, 7, 3, 4), (2, 7, 3, 4), 0))


def test_the_prompt_comes_back_as_it_was_written(student):
    """The first update hands back the keys and values that it was given, and nothing more.

    第一次 update 原样返回传入的键和值，不多不少。
    """
    [(k, v)] = keys_and_values(3)
    check.equal(student.KVCache(2, 7, 3, 4).update(k, v), (k, v))


@pytest.mark.parametrize("lengths", [(1, 1, 1), (3, 1, 2), (2, 4)], ids=["1-1-1", "3-1-2", "2-4"])
def test_new_tokens_stand_behind_the_old(student, lengths):
    """However many tokens come at a time, each stands behind all that came before it.

    不管一次来几个 token，每个都排在之前所有 token 的后面。
    """
    cache = student.KVCache(batch_size=2, max_seq_len=7, n_kv_heads=3, head_dim=4)
    tokens = keys_and_values(*lengths)
    for so_far in range(1, len(tokens) + 1):
        got = cache.update(*tokens[so_far - 1])
        parts = zip(*tokens[:so_far], strict=True)
        check.equal(got, tuple(torch.cat(part, dim=1) for part in parts))


def test_length_counts_the_tokens_held(student):
    """length grows by the number of tokens in each update, not by one.

    length 每次增加这次写入的 token 数，而不是 1。
    """
    cache = student.KVCache(2, 7, 3, 4)
    lengths = []
    for k, v in keys_and_values(3, 1, 2):
        cache.update(k, v)
        lengths.append(cache.length)
    check.equal(lengths, [3, 4, 6])


def test_it_can_be_filled_to_the_last_place(student):
    """A cache of five tokens takes five: the last place is there to be used.

    容量为 5 的缓存能放下 5 个 token：最后一个位置也能用。
    """
    cache = student.KVCache(2, 5, 3, 4)
    (k, v), (last_k, last_v) = keys_and_values(4, 1)
    cache.update(k, v)
    check.equal(
        cache.update(last_k, last_v), (torch.cat([k, last_k], 1), torch.cat([v, last_v], 1))
    )


def test_more_than_there_is_room_for_is_refused(student):
    """Tokens that would run over the end raise ValueError, which names max_seq_len.

    会越过末尾的 token 要抛出 ValueError，并提到 max_seq_len。
    """
    cache = student.KVCache(2, 5, 3, 4)
    (k, v), (more_k, more_v) = keys_and_values(4, 2)
    cache.update(k, v)
    check.raises(ValueError, lambda: cache.update(more_k, more_v), match="max_seq_len")


@pytest.mark.parametrize(
    "wrong", ["rows", "heads of the keys", "head size of the values", "fewer values than keys"]
)
def test_shapes_that_do_not_fit_are_refused(student, wrong):
    """One row, one head or one value would quietly spread over all places: ValueError instead.

    只有一行、一个头或一个值时会悄悄广播到所有位置：应抛出 ValueError。
    """
    right = (2, 2, 3, 4)
    k_shape, v_shape = {
        "rows": ((1, 2, 3, 4), (1, 2, 3, 4)),
        "heads of the keys": ((2, 2, 1, 4), right),
        "head size of the values": (right, (2, 2, 3, 1)),
        "fewer values than keys": (right, (2, 1, 3, 4)),
    }[wrong]
    k, v = torch.randn(k_shape), torch.randn(v_shape)
    cache = student.KVCache(2, 5, 3, 4)
    check.raises(ValueError, lambda: cache.update(k, v))


def test_a_refusal_changes_nothing(student):
    """After a refused update the cache is as it was, and goes on where it stood.

    被拒绝的 update 之后，缓存保持原样，并从原处继续。
    """

    def after_refusals(m, held, too_many, misfit, last):
        """KVCache(2, 5, 3, 4) after two updates that it refuses: its length, and update(*last)

        KVCache(2, 5, 3, 4) 拒绝两次 update 之后的 length，以及 update(*last)
        """
        cache = m.KVCache(2, 5, 3, 4)
        cache.update(*held)
        for refused in (too_many, misfit):
            try:
                cache.update(*refused)
            except ValueError:
                continue
        return cache.length, tuple(cache.update(*last))

    held, too_many, last = keys_and_values(3, 4, 2)
    misfit = (last[0], last[1][:, :, :1])
    got = student.run(after_refusals, held, too_many, misfit, last)
    check.equal(got, after_refusals(reference, held, too_many, misfit, last))


def test_tokens_are_written_in_place_and_seen_through_views(student):
    """What comes back are views of the reserved memory: nothing that is held is copied again.

    返回的是预留内存的视图：已有的内容不再复制。
    """

    def memory(m, *tokens):
        """Where cache.k, cache.v and what update() gives back lie in memory

        cache.k、cache.v 和 update() 的返回值在内存中的位置
        """
        cache = m.KVCache(2, 7, 3, 4)
        before = cache.k.data_ptr(), cache.v.data_ptr()
        for k, v in tokens:
            all_k, all_v = cache.update(k, v)
        return {
            "k and v stay where they are": (cache.k.data_ptr(), cache.v.data_ptr()) == before,
            "views come back": (all_k.data_ptr(), all_v.data_ptr()) == before,
            "k and v are apart": before[0] != before[1],
        }

    tokens = keys_and_values(2, 1)
    check.equal(student.run(memory, *tokens), memory(reference, *tokens))


def test_there_is_one_cache_a_layer_with_the_key_value_heads_only(student):
    """new_cache gives n_layers caches of (B, max_seq_len, K, d): K key/value heads, not H.

    new_cache 为每层给一个 (B, max_seq_len, K, d) 的缓存：K 个键值头，不是 H 个查询头。
    """

    def shapes(m, args, batch_size):
        """new_cache(args, batch_size): the shapes and the length of each layer's cache

        new_cache(args, batch_size)：各层缓存的形状和 length
        """
        return [
            (tuple(c.k.shape), tuple(c.v.shape), c.length) for c in m.new_cache(args, batch_size)
        ]

    args = student.lib("ch5.config").ModelConfig(**SIZES)
    check.equal(student.run(shapes, args, 5), shapes(reference, ModelConfig(**SIZES), 5))


def test_room_dtype_and_device_can_be_chosen(student):
    """A shorter max_seq_len saves memory; dtype and device are those that the model computes with.

    较短的 max_seq_len 省内存；dtype 和 device 与模型计算时一致。
    """

    def made(m, args):
        """new_cache(args, 2, 4, dtype=torch.bfloat16, device="meta"): shape, dtype and device

        new_cache(args, 2, 4, dtype=torch.bfloat16, device="meta")：各部分的形状、dtype 和 device
        """
        caches = m.new_cache(args, 2, 4, dtype=torch.bfloat16, device="meta")
        memory = [part for cache in caches for part in (cache.k, cache.v)]
        return [(tuple(part.shape), part.dtype, part.device.type) for part in memory]

    args = student.lib("ch5.config").ModelConfig(**SIZES)
    check.equal(student.run(made, args), made(reference, ModelConfig(**SIZES)))


def test_no_two_layers_share_a_cache(student):
    """What one layer writes, no other layer sees.

    一层写入的内容，别的层看不到。
    """

    def written(m, args, keys, values):
        """new_cache(args, 1): what each layer's cache holds after updates of the others

        new_cache(args, 1)：更新其他层之后，各层缓存里的内容
        """
        caches = m.new_cache(args, 1)
        for cache, k, v in zip(caches[1:], keys, values, strict=True):
            cache.update(k, v)
        one = torch.zeros(1, 1, 2, 4)
        return [tuple(cache.update(one, one)) for cache in caches]

    args = student.lib("ch5.config").ModelConfig(**SIZES)
    keys, values = ([torch.randn(1, T, 2, 4) for T in (2, 1)] for _ in range(2))
    got = student.run(written, args, keys, values)
    check.equal(got, written(reference, ModelConfig(**SIZES), keys, values))


@pytest.mark.parametrize("chunks", [(4, 1, 1, 1), (1, 4, 2)], ids=["4-1-1-1", "1-4-2"])
def test_a_cached_model_says_what_the_whole_model_says(student, chunks):
    """Tokens shown bit by bit, with the cache, get the logits that they get all at once without.

    借助缓存一点一点地输入 token，得到的 logits 与不用缓存一次输入全部时相同。
    """

    def logits_in_chunks(m, model, args, tokens, chunks):
        """The logits of Transformer(args), tokens coming in chunks through new_cache(args, B)

        token 分段经过 new_cache(args, B) 时 Transformer(args) 的 logits
        """
        cache = m.new_cache(args, len(tokens))
        with torch.no_grad():
            parts = [model(part, cache=cache)[0] for part in tokens.split(chunks, dim=1)]
        return torch.cat(parts, dim=1)

    whole = Transformer(ModelConfig(**SIZES)).eval()
    for weight in whole.parameters():
        weight.data += 0.2 * torch.randn_like(weight)
    tokens = torch.randint(23, (2, 7))
    args = student.lib("ch5.config").ModelConfig(**SIZES)
    model = student.lib("ch5.model").Transformer(args)
    model.load_state_dict(dict(whole.state_dict()))
    got = student.run(logits_in_chunks, model, args, tokens, list(chunks))
    check.close(got, whole(tokens)[0].detach(), terms=16 * 24 * 3)


# ---- other right ways


@also_right("KVCache.update", en="written through narrow and copy_")
def by_narrow(self, k, v):
    rows, room, heads, d = self.k.shape
    T = k.shape[1]
    if k.shape != v.shape or tuple(k.shape) != (rows, T, heads, d):
        raise ValueError("k and v do not fit")
    if room - self.length < T:
        raise ValueError("more than max_seq_len")
    for held, new in ((self.k, k), (self.v, v)):
        held.narrow(1, self.length, T).copy_(new)
    self.length += T
    return tuple(held.narrow(1, 0, self.length) for held in (self.k, self.v))


@also_right("KVCache", en="a module, one buffer for both, heads before tokens, nothing zeroed")
class OneBuffer(torch.nn.Module):
    def __init__(self, batch_size, max_seq_len, n_kv_heads, head_dim, dtype=None, device=None):
        super().__init__()
        sizes = (2, batch_size, n_kv_heads, max_seq_len, head_dim)
        self.register_buffer("both", torch.empty(sizes, dtype=dtype, device=device))
        self.filled = 0

    k = property(lambda self: self.both[0].transpose(1, 2))
    v = property(lambda self: self.both[1].transpose(1, 2))
    length = property(lambda self: self.filled)

    def update(self, k, v):
        B, room, K, d = self.k.shape
        T = len(k[0])
        if any(part.size() != torch.Size([B, T, K, d]) for part in (k, v)):
            raise ValueError("the shapes do not fit")
        if self.filled + T > room:
            raise ValueError("more than max_seq_len")
        self.k.narrow(1, self.filled, T).copy_(k)
        self.v.narrow(1, self.filled, T).copy_(v)
        self.filled += T
        return [self.k.narrow(1, 0, self.filled), self.v.narrow(1, 0, self.filled)]


@also_right("new_cache", en="a tuple, made in a loop")
def in_a_tuple(args, batch_size, max_seq_len=None, dtype=torch.float32, device=None):
    caches = ()
    while len(caches) < args.n_layers:
        heads = args.n_heads // args.n_rep
        room = max_seq_len or args.max_seq_len
        caches += (KVCache(batch_size, room, heads, args.head_dim, dtype=dtype, device=device),)
    return caches


EQUIVALENT = (
    *(
        equivalent_mutant(
            "KVCache.__init__",
            f"self.{name} = torch.zeros(shape, dtype=dtype, device=device)",
            f"self.{name} = torch.ones(shape, dtype=dtype, device=device)",
            because="what is in memory that is not yet in use is nobody's business",
        )
        for name in ("k", "v")
    ),
    *(
        equivalent_mutant(
            "KVCache.update",
            "return self.k[:, : self.length], self.v[:, : self.length]",
            becomes,
            because="it is meant for generation, where no gradient is taken",
        )
        for becomes in (
            "return self.k[:, : self.length].detach(), self.v[:, : self.length]",
            "return self.k[:, : self.length], self.v[:, : self.length].detach()",
        )
    ),
    equivalent_mutant(
        "new_cache",
        "KVCache(batch_size, room, args.n_kv_heads or args.n_heads, args.head_dim, dtype, device)",
        "KVCache(batch_size, room, args.n_kv_heads, args.head_dim, dtype, device)",
        because="ModelConfig has filled in n_kv_heads; the rest is for the type checker",
    ),
)


# ---- mistakes that people make


def _refuse(cache, k, v):
    B, room, K, d = cache.k.shape
    if not k.shape == v.shape == (B, k.size(1), K, d):
        raise ValueError("shape")
    if cache.length + k.size(1) > room:
        raise ValueError("max_seq_len")


def _held(cache):
    return cache.k[:, : cache.length], cache.v[:, : cache.length]


@known_wrong(
    "KVCache.update",
    en="Every update writes from position 0 and overwrites what is held. Write at "
    "[length : length + T].",
    zh="每次 update 都从位置 0 写起，覆盖了已有内容。应写到 [length : length + T]。",
)
def overwrites_the_start(self, k, v):
    _refuse(self, k, v)
    self.k[:, : k.size(1)], self.v[:, : k.size(1)] = k, v
    self.length += k.size(1)
    return _held(self)


@known_wrong(
    "KVCache.update",
    en="length never moves, so the next tokens overwrite these: add T to self.length.",
    zh="length 一直没动，后来的 token 会覆盖这些：self.length 要加上 T。",
)
def length_stays(self, k, v):
    _refuse(self, k, v)
    end = self.length + k.size(1)
    self.k[:, self.length : end], self.v[:, self.length : end] = k, v
    return self.k[:, :end], self.v[:, :end]


@known_wrong(
    "KVCache.update",
    en="length grows by 1 an update. A prompt brings many tokens at once: add T = k.size(1).",
    zh="length 每次只加 1。提示词一次带来多个 token：应加 T = k.size(1)。",
)
def length_by_one(self, k, v):
    _refuse(self, k, v)
    end = self.length + k.size(1)
    self.k[:, self.length : end], self.v[:, self.length : end] = k, v
    self.length += 1
    return self.k[:, :end], self.v[:, :end]


@known_wrong(
    "KVCache.update",
    en="You hand back the whole memory, with the places that are still empty: cut it at length.",
    zh="你把整块内存都返回了，包括还空着的位置：应截到 length 为止。",
)
def whole_memory(self, k, v):
    KVCache.update(self, k, v)
    return self.k, self.v


@known_wrong(
    "KVCache.update",
    en="Only the new tokens come back; attention needs all that are held, [: length].",
    zh="只返回了新的 token；注意力需要已有的全部，即 [: length]。",
)
def only_the_new(self, k, v):
    KVCache.update(self, k, v)
    return k, v


@known_wrong(
    "KVCache.update",
    en="torch.cat makes a new tensor at every step and copies all that is held. Write in place "
    "into the reserved memory and hand back slices of it.",
    zh="torch.cat 每一步都新建张量，把已有内容全部复制一遍。应就地写入预留的内存，返回它的切片。",
)
def concatenated(self, k, v):
    _refuse(self, k, v)
    all_k, all_v = (torch.cat(pair, dim=1) for pair in zip(_held(self), (k, v), strict=True))
    self.length += k.size(1)
    self.k[:, : self.length], self.v[:, : self.length] = all_k, all_v
    return all_k, all_v


@known_wrong(
    "KVCache.update",
    en="The values that come back are the keys: self.v has to be written from v and returned.",
    zh="返回的值其实是键：self.v 要用 v 写入并返回。",
)
def keys_twice(self, k, v):
    all_k, _ = KVCache.update(self, k, v)
    return all_k, all_k


@known_wrong(
    "KVCache.update",
    en="Nothing checks that there is room: raise ValueError where length + T > max_seq_len, and "
    "name both numbers.",
    zh="没有检查是否还放得下：length + T > max_seq_len 时要抛出 ValueError，并写出这两个数。",
)
def no_check_of_room(self, k, v):
    B, _, K, d = self.k.shape
    if not k.shape == v.shape == (B, k.size(1), K, d):
        raise ValueError("shape")
    start, self.length = self.length, self.length + k.size(1)
    self.k[:, start : self.length], self.v[:, start : self.length] = k, v
    return _held(self)


@known_wrong(
    "KVCache.update",
    en="Nothing is checked. Before writing raise ValueError where the shapes are not (B, T, K, d), "
    "and where length + T is more than max_seq_len; name both numbers.",
    zh="什么都没有检查。写入之前，形状不是 (B, T, K, d)，或 length + T 超过 max_seq_len 时，"
    "都要抛出 ValueError，并写出这两个数。",
)
def nothing_checked(self, k, v):
    start, self.length = self.length, self.length + k.size(1)
    self.k[:, start : self.length], self.v[:, start : self.length] = k, v
    return _held(self)


@known_wrong(
    "KVCache.update",
    en="The last place is refused: length + T may be equal to max_seq_len, only not more.",
    zh="最后一个位置被拒绝了：length + T 可以等于 max_seq_len，只是不能超过。",
)
def last_place_refused(self, k, v):
    if self.length + k.size(1) >= self.k.size(1):
        raise ValueError("max_seq_len")
    return KVCache.update(self, k, v)


@known_wrong(
    "KVCache.update",
    en="length has moved before the refusal, so the cache is broken after it. Check first, write "
    "after.",
    zh="拒绝之前 length 已经变了，缓存从此不对。应先检查，再写入。",
)
def moved_before_the_check(self, k, v):
    start, self.length = self.length, self.length + k.size(1)
    if self.length > self.k.size(1):
        raise ValueError("max_seq_len")
    if not k.shape == v.shape == self.k[:, start : self.length].shape:
        raise ValueError("shape")
    self.k[:, start : self.length], self.v[:, start : self.length] = k, v
    return _held(self)


@known_wrong(
    "KVCache.update",
    en="A row, a head or a token too few is spread over all places without a word. Compare the "
    "shapes of k and v with (B, T, K, d) and raise ValueError.",
    zh="少了一行、一个头或一个 token 时，会一声不响地广播到所有位置。应把 k 和 v 的形状与 "
    "(B, T, K, d) 比较，不符就抛出 ValueError。",
)
def broadcast(self, k, v):
    if self.length + k.size(1) > self.k.size(1):
        raise ValueError("max_seq_len")
    start, self.length = self.length, self.length + k.size(1)
    self.k[:, start : self.length], self.v[:, start : self.length] = k, v
    return _held(self)


@known_wrong(
    "new_cache",
    en="[cache] * n_layers is one cache n times, and the layers overwrite each other. Make a new "
    "KVCache for each layer.",
    zh="[cache] * n_layers 是同一个缓存重复 n 次，各层会互相覆盖。应为每层新建一个 KVCache。",
)
def one_for_all(args, batch_size, max_seq_len=None, dtype=torch.float32, device=None):
    return new_cache(args, batch_size, max_seq_len, dtype, device)[:1] * args.n_layers


@known_wrong(
    "new_cache",
    en="The cache has n_heads heads. It holds keys and values, so n_kv_heads: that is what grouped "
    "queries save.",
    zh="缓存用了 n_heads 个头。它存的是键和值，应为 n_kv_heads：分组查询省的就是这个。",
)
def query_heads(args, batch_size, max_seq_len=None, dtype=torch.float32, device=None):
    room = args.max_seq_len if max_seq_len is None else max_seq_len
    sizes = (batch_size, room, args.n_heads, args.head_dim, dtype, device)
    return [KVCache(*sizes) for _ in range(args.n_layers)]


@known_wrong(
    "new_cache",
    en="max_seq_len is ignored: where it is given, reserve that much and no more.",
    zh="没有理会 max_seq_len：给了它，就只预留这么多。",
)
def always_the_longest(args, batch_size, max_seq_len=None, dtype=torch.float32, device=None):
    return new_cache(args, batch_size, None, dtype, device)


@known_wrong(
    "new_cache",
    en="The dtype does not reach the caches: they stay float32 beside a bfloat16 model.",
    zh="dtype 没有传给缓存：模型是 bfloat16，缓存却仍是 float32。",
)
def always_float32(args, batch_size, max_seq_len=None, dtype=torch.float32, device=None):
    return new_cache(args, batch_size, max_seq_len, device=device)
