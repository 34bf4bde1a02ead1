"""Hidden suite of ch5/attention."""

import math
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.llama import attention as reference
from happyllm.llama.attention import Attention, causal_mask, repeat_kv
from happyllm.llama.config import ModelConfig
from happyllm.llama.rotary import apply_rotary_emb, precompute_freqs_cis

both_paths = pytest.mark.parametrize("flash_attn", [True, False], ids=["fused", "explicit"])


def sizes(**changes):
    """The fields and the derived sizes of a small config, as data."""
    small = {"dim": 16, "n_heads": 4, "n_kv_heads": 2, "n_layers": 1, "max_seq_len": 32}
    config = ModelConfig(**(small | changes))
    derived = {"head_dim": config.head_dim, "n_rep": config.n_rep, "ffn_dim": config.ffn_dim}
    first = {
        "flash_attn": config.flash_attn,
        "n_heads": config.n_heads,
    }  # what a learner sees of it
    return first | asdict(config) | derived


def weights(args):
    """Weights that make scores of about 2, so that no row of attention is flat."""
    state = Attention(SimpleNamespace(**args)).state_dict()
    return {name: 1.5 * torch.randn(w.shape) / w.size(1) ** 0.5 for name, w in state.items()}


def tables(args, T, start=0):
    return [table[start:] for table in precompute_freqs_cis(args["head_dim"], start + T)]


def seed():
    return int(torch.randint(1 << 30, ()))


# ---- probes: each runs in the room and, on the reference, here


def shapes(m, args):
    """The shapes of the parameters of Attention(args)

    Attention(args) 各参数的形状
    """
    from types import SimpleNamespace

    attention = m.Attention(SimpleNamespace(**args))
    return {name: list(value.shape) for name, value in attention.named_parameters()}


def attend(m, args, state, x, freqs_cos, freqs_sin, mask):
    """Attention(args)(x, freqs_cos, freqs_sin, mask), with the weights of state

    用 state 中的权重计算 Attention(args)(x, freqs_cos, freqs_sin, mask)
    """
    from types import SimpleNamespace

    attention = m.Attention(SimpleNamespace(**args)).to(x.dtype)
    zeros = {name: torch.zeros_like(value) for name, value in attention.named_parameters()}
    attention.load_state_dict(zeros | state, strict=False)
    return attention(x, freqs_cos, freqs_sin, mask).detach()


def in_pieces(m, args, state, x, freqs_cos, freqs_sin, mask, pieces):
    """Attention(args)(x, …, cache), x coming piece by piece: the outputs and what is cached first

    x 分段输入 Attention(args)(x, …, cache)：输出，以及最先存入缓存的内容
    """
    from types import SimpleNamespace

    class Cache:
        def __init__(self):
            self.k = self.v = None
            self.given = []
            self.length = 0

        def update(self, k, v):
            self.given += [k, v]
            self.k = k if self.k is None else torch.cat((self.k, k), 1)
            self.v = v if self.v is None else torch.cat((self.v, v), 1)
            self.length = self.k.size(1)
            return self.k, self.v

    attention = m.Attention(SimpleNamespace(**args))
    zeros = {name: torch.zeros_like(value) for name, value in attention.named_parameters()}
    attention.load_state_dict(zeros | state, strict=False)
    cache, outputs, start = Cache(), [], 0
    with torch.no_grad():
        for end in pieces:
            part = None if mask is None else mask[..., start:end, :end]
            cos, sin = freqs_cos[start:end], freqs_sin[start:end]
            outputs.append(attention(x[:, start:end], cos, sin, part, cache))
            start = end
    return torch.cat(outputs, 1), cache.given[:2]


def gradients(m, args, state, x, along, freqs_cos, freqs_sin):
    """The gradients of (Attention(args)(x, …) * along).sum() for x and the four matrices

    (Attention(args)(x, …) * along).sum() 对 x 和四个矩阵的梯度
    """
    from types import SimpleNamespace

    attention = m.Attention(SimpleNamespace(**args))
    zeros = {name: torch.zeros_like(value) for name, value in attention.named_parameters()}
    attention.load_state_dict(zeros | state, strict=False)
    x = x.clone().requires_grad_()
    (attention(x, freqs_cos, freqs_sin) * along).sum().backward()
    names = ("wq", "wk", "wv", "wo")
    return x.grad, {f"{name}.weight": getattr(attention, name).weight.grad for name in names}


def dropped(m, args, state, x, freqs_cos, freqs_sin, training, seed):
    """Lone tokens see only themselves; by what factors does dropout change their heads?

    Gives the factors that occur, and whether some head lost a part of its values but not all.

    单独的 token 只看得到自己：dropout 给各个头乘上的倍数，以及是否有头只丢了一部分值
    """
    from types import SimpleNamespace

    outputs = []
    for p in (args["dropout"], 0.0):
        attention = m.Attention(SimpleNamespace(**{**args, "dropout": p}))
        zeros = {name: torch.zeros_like(value) for name, value in attention.named_parameters()}
        attention.load_state_dict(zeros | state, strict=False)
        attention.train(training)
        torch.manual_seed(seed)
        outputs.append(attention(x, freqs_cos, freqs_sin).detach())
    factors = (outputs[0] / outputs[1]).round(decimals=2)
    gone = (factors == 0).view(-1, args["head_dim"])
    return factors.unique().tolist(), bool((gone.any(1) & ~gone.all(1)).any())


def calls_the_fused_kernel(m, args, x, freqs_cos, freqs_sin):
    """Does Attention(args)(x, …) call F.scaled_dot_product_attention?

    Attention(args)(x, …) 是否调用 F.scaled_dot_product_attention？
    """
    from types import SimpleNamespace

    from torch.overrides import TorchFunctionMode

    called = []

    class Listen(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            called.append(getattr(function, "__name__", ""))
            return function(*args, **(kwargs or {}))

    attention = m.Attention(SimpleNamespace(**args))
    with torch.no_grad(), Listen():
        attention(x, freqs_cos, freqs_sin)
    return "scaled_dot_product_attention" in called


# ---- what must hold


def test_the_mask_ends_at_the_last_key(student):
    """The last of T queries sees all S keys, the one before it all but one: j <= i + S - T.

    最后一个查询能看到全部 S 个键，前一个少看一个：j <= i + S - T。
    """
    for T, S in [(4, 4), (2, 5), (1, 3), (1, 1)]:
        expected = torch.arange(S)[None, :] <= torch.arange(T)[:, None] + S - T
        check.equal(student.causal_mask(T, S), expected)


def test_the_projections_fit_the_heads(student):
    """wq makes H heads, wk and wv only K, wo joins the H heads; there are no biases.

    wq 产生 H 个头，wk 和 wv 只产生 K 个，wo 合并 H 个头；都没有偏置。
    """
    for n_kv_heads in (1, 2, 4):
        wide, narrow = [16, 16], [4 * n_kv_heads, 16]
        expected = {"wq.weight": wide, "wk.weight": narrow, "wv.weight": narrow, "wo.weight": wide}
        check.equal(student.run(shapes, sizes(n_kv_heads=n_kv_heads)), expected)


@both_paths
def test_no_token_sees_its_future(student, flash_attn):
    """Without a mask, what comes later changes nothing in what was computed before.

    没有给掩码时，后面的 token 不影响前面的结果。
    """
    args = sizes(flash_attn=flash_attn)
    state, x = weights(args), torch.randn(2, 6, 16)
    other = torch.cat((x[:, :4], torch.randn(2, 2, 16)), 1)
    before = student.run(attend, args, state, x, *tables(args, 6), None)
    after = student.run(attend, args, state, other, *tables(args, 6), None)
    check.shape(before, (2, 6, 16))
    check.shape(after, (2, 6, 16))
    check.close(after[:, :4], before[:, :4], terms=64)


@both_paths
def test_each_token_mixes_the_values_by_softmax_of_its_scores(student, flash_attn):
    """softmax(q k^T / sqrt(d)) v in every head, with rotated q and k, then wo.

    每个头计算 softmax(q k^T / sqrt(d)) v，其中 q、k 已旋转，最后过 wo。
    """
    args = sizes(n_kv_heads=4, flash_attn=flash_attn)
    for B, T in [(2, 5), (3, 1)]:
        given = (args, weights(args), torch.randn(B, T, 16), *tables(args, T, start=2), None)
        check.close(student.run(attend, *given), attend(reference, *given), terms=64)


@both_paths
def test_a_run_of_query_heads_shares_a_key_value_head(student, flash_attn):
    """With K < H each key/value head serves the next H / K query heads.

    K < H 时，每个键值头依次服务 H / K 个查询头。
    """
    for n_kv_heads in (2, 1):
        args = sizes(n_kv_heads=n_kv_heads, flash_attn=flash_attn)
        given = (args, weights(args), torch.randn(2, 5, 16), *tables(args, 5), None)
        check.close(student.run(attend, *given), attend(reference, *given), terms=64)


@both_paths
def test_each_row_may_have_positions_of_its_own(student, flash_attn):
    """With tables [B, T, d/2] each row of the batch is turned by its own positions.

    表为 [B, T, d/2] 时，批次中每一行按自己的位置旋转。
    """
    args = sizes(flash_attn=flash_attn, dim=12, n_heads=2, n_kv_heads=1)
    positions = torch.randint(0, 20, (3, 4))
    cos, sin = (table[positions] for table in tables(args, 20))
    given = (args, weights(args), torch.randn(3, 4, 12), cos, sin, None)
    check.close(student.run(attend, *given), attend(reference, *given), terms=64)


@both_paths
def test_a_mask_says_who_sees_whom(student, flash_attn):
    """True is "may see". A mask is all that counts, past and future alike, and broadcasts.

    True 表示“可以看见”。给了掩码就只看掩码，不分前后，并按广播规则使用。
    """
    args = sizes(flash_attn=flash_attn)
    for shape in [(5, 5), (2, 1, 1, 5), (2, 1, 5, 5), (2, 4, 5, 5)]:
        mask = torch.rand(shape) < 0.5
        mask[..., 2] = True  # every query sees one key at least, some of them a later one
        given = (args, weights(args), torch.randn(2, 5, 16), *tables(args, 5), mask)
        check.close(student.run(attend, *given), attend(reference, *given), terms=64)


@both_paths
def test_a_query_that_may_see_nothing_gets_zeros(student, flash_attn):
    """A padded query has no key to see: its row becomes zeros, not NaN, and the others stand.

    填充位置的查询没有键可看：该行应为零而不是 NaN，其他行不受影响。
    """
    args = sizes(flash_attn=flash_attn)
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool).tril()
    mask[1, :, :2] = False
    given = (args, weights(args), torch.randn(2, 5, 16), *tables(args, 5), mask)
    check.close(student.run(attend, *given), attend(reference, *given), terms=64)


def test_a_mask_that_is_not_boolean_is_refused(student):
    """A mask of numbers could mean "add this" or "1 = see": it raises a TypeError about the mask.

    数值掩码可能表示“加上”，也可能表示“1 = 可见”：应抛出提到 mask 的 TypeError。
    """
    for flash_attn in (False, True):
        args = sizes(flash_attn=flash_attn)
        given = (args, weights(args), torch.randn(2, 5, 16), *tables(args, 5))
        for mask in (torch.zeros(5, 5), torch.ones(5, 5, dtype=torch.int64)):
            check.raises(
                TypeError, lambda g=given, w=mask: student.run(attend, *g, w), match="mask"
            )


def test_the_cache_keeps_rotated_keys_and_plain_values_of_k_heads(student):
    """The cache is handed keys after the rotation and values without, each [B, T, K, d].

    交给缓存的是旋转后的键和未旋转的值，形状都是 [B, T, K, d]。
    """
    args = sizes()
    given = (args, weights(args), torch.randn(2, 5, 16), *tables(args, 5), None, (5,))
    _, kept = student.run(in_pieces, *given)
    check.close(kept, in_pieces(reference, *given)[1], terms=32)


@both_paths
def test_in_pieces_through_a_cache_is_the_same_as_at_once(student, flash_attn):
    """Whether tokens come one by one or several at a time, each sees all that came before it.

    无论 token 逐个到来还是一次几个，每个都能看到之前的全部 token。
    """
    args = sizes(flash_attn=flash_attn)
    given = (args, weights(args), torch.randn(2, 6, 16), *tables(args, 6), None)
    for pieces in [(3, 4, 5, 6), (2, 5, 6), (1, 3, 6)]:
        got, _ = student.run(in_pieces, *given, pieces)
        check.close(got, attend(reference, *given), terms=64)


@both_paths
def test_a_mask_covers_the_cached_keys_too(student, flash_attn):
    """With a cache the mask is [.., T, S], over all S keys so far.

    使用缓存时掩码是 [.., T, S]，覆盖到目前为止的全部 S 个键。
    """
    args = sizes(flash_attn=flash_attn)
    mask = torch.ones(2, 1, 6, 6, dtype=torch.bool).tril()
    mask[0, ..., :2] = False  # two padded tokens on the left,
    mask[0, ..., :2, 0] = True  # which see something, whatever it is
    given = (args, weights(args), torch.randn(2, 6, 16), *tables(args, 6), mask)
    got, _ = student.run(in_pieces, *given, (3, 5, 6))
    check.close(got, attend(reference, *given), terms=64)


@both_paths
def test_half_precision_stays_half_precision(student, flash_attn):
    """A bfloat16 attention answers in bfloat16, on either path.

    bfloat16 的注意力输出 bfloat16，两条路径都是。
    """
    args = sizes(flash_attn=flash_attn)
    x = torch.randn(2, 5, 16).bfloat16()
    given = (args, weights(args), x, *tables(args, 5), None)
    check.close(student.run(attend, *given), attend(reference, *given))


@both_paths
def test_gradients_reach_the_input_and_all_four_matrices(student, flash_attn):
    """Queries, keys, values and output all learn; a shared head learns from all its queries.

    查询、键、值和输出矩阵都能学习；共享的头向它的所有查询头学习。
    """
    args = sizes(flash_attn=flash_attn)
    given = (args, weights(args), torch.randn(2, 4, 16), torch.randn(2, 4, 16), *tables(args, 4))
    got = student.run(gradients, *given)
    check.gradients(got, gradients(reference, *given), names=("x",), terms=256)


def lone_tokens(args):
    """Tokens on their own, with positive values and an output matrix that changes nothing."""
    state = {name: weight.abs() + 0.1 for name, weight in weights(args).items()}
    state["wo.weight"] = torch.eye(args["dim"])
    return state, torch.rand(64, 1, args["dim"]) + 0.5, *tables(args, 1)


@both_paths
def test_in_training_attention_weights_and_outputs_are_dropped(student, flash_attn):
    """With dropout=0.5 a weight falls with its whole head, an output value by itself: 0 or 4 times.

    dropout=0.5 时，权重被丢弃则整个头归零，输出值则逐个丢弃：结果是 0 或 4 倍。
    """
    args = sizes(flash_attn=flash_attn, dropout=0.5)
    got = student.run(dropped, args, *lone_tokens(args), True, seed())
    check.that(
        isinstance(got, list | tuple) and list(got) == [[0.0, 4.0], True],
        en="In training with dropout=0.5 there should be two dropouts, each doubling what it "
        "keeps: one on the attention weights, after the softmax, and one on the output of wo.",
        zh="训练且 dropout=0.5 时应有两处 dropout，各把保留的值翻倍："
        "一处在 softmax 之后的注意力权重上，一处在 wo 的输出上。",
        got=got,
        expected=[[0.0, 4.0], True],
    )


@both_paths
def test_outside_training_nothing_is_dropped(student, flash_attn):
    """After eval() the output is what it is without dropout.

    eval() 之后，输出与没有 dropout 时相同。
    """
    args = sizes(flash_attn=flash_attn, dropout=0.5)
    got = student.run(dropped, args, *lone_tokens(args), False, seed())
    check.that(
        isinstance(got, list | tuple) and list(got) == [[1.0], False],
        en="Values are dropped after eval(). F.scaled_dot_product_attention does not know of "
        "training: give it dropout_p=0.0 unless self.training.",
        zh="eval() 之后仍在丢弃。F.scaled_dot_product_attention 不知道是否在训练："
        "self.training 为假时要给它 dropout_p=0.0。",
        got=got,
        expected=[[1.0], False],
    )


def test_flash_attn_chooses_the_path(student):
    """True calls PyTorch's fused kernel, False spells the attention out.

    True 调用 PyTorch 的融合算子，False 写出完整计算。
    """
    x = torch.randn(1, 3, 16)
    for flash_attn in (True, False):
        args = sizes(flash_attn=flash_attn)
        got = student.run(calls_the_fused_kernel, args, x, *tables(args, 3))
        does, should = (
            (("called", "被调用"), ("should not be", "不应调用"))
            if not flash_attn
            else (("not called", "没有被调用"), ("should be", "应当调用"))
        )
        check.that(
            got is flash_attn,
            en=f"With flash_attn={flash_attn} F.scaled_dot_product_attention was {does[0]}; it "
            f"{should[0]}.",
            zh=f"flash_attn={flash_attn} 时 F.scaled_dot_product_attention {does[1]}；"
            f"{should[1]}。",
            got=got,
            expected=flash_attn,
        )


# ---- other right ways


@also_right("causal_mask", en="by comparing positions")
def by_comparing(T, S, device=None):
    ends = torch.arange(S - T, S, device=device)
    return torch.arange(S, device=device).unsqueeze(0) <= ends.unsqueeze(1)


@also_right("Attention.explicit_attention", en="einsum, an added mask of -inf, NaN made zero")
def by_einsum(self, q, k, v, mask):
    mask = causal_mask(q.size(2), k.size(2)) if mask is None else mask
    scores = torch.einsum("bhtd,bhsd->bhts", q * self.head_dim**-0.5, k).float()
    scores = scores + torch.zeros(mask.shape).masked_fill(mask.logical_not(), -math.inf)
    weights = self.attn_dropout(torch.nan_to_num(scores.softmax(-1), nan=0.0))
    return torch.einsum("bhts,bhsd->bhtd", weights.to(v.dtype), v)


@also_right("Attention.explicit_attention", en="in float64, the exponentials written out")
def by_exponentials(self, q, k, v, mask):
    mask = causal_mask(q.size(2), k.size(2)) if mask is None else mask
    scores = q.double() @ k.double().mT / math.sqrt(q.size(-1))
    exps = (scores - scores.detach().amax(-1, keepdim=True)).exp() * mask
    weights = exps / exps.sum(-1, keepdim=True).clamp(min=1e-30)
    return (self.attn_dropout(weights) @ v.double()).to(v.dtype)


@also_right("Attention.fused_attention", en="always with a mask")
def fused_with_a_mask(self, q, k, v, mask):
    mask = causal_mask(q.size(2), k.size(2)) if mask is None else mask
    drop = self.attn_dropout.p * self.training
    return nn.functional.scaled_dot_product_attention(
        q, k, v, mask, dropout_p=drop, enable_gqa=True
    )


@also_right("Attention", en="one class without helpers: other names, a mask kept as a buffer")
class InOnePiece(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.args = args
        width = args.head_dim * args.n_kv_heads
        self.wo = nn.Linear(args.dim, args.dim, bias=False)
        self.wv = nn.Linear(args.dim, width, bias=False)
        self.wk = nn.Linear(args.dim, width, bias=False)
        self.wq = nn.Linear(args.dim, args.dim, bias=False)
        most = args.max_seq_len
        self.register_buffer("seen", torch.ones(most, most, dtype=torch.bool).tril())

    def forward(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
        if mask is not None and mask.dtype is not torch.bool:
            raise TypeError("a mask is boolean here")
        args, (B, T, D) = self.args, x.shape
        q, k, v = (w(x).unflatten(-1, (-1, args.head_dim)) for w in (self.wq, self.wk, self.wv))
        q, k = apply_rotary_emb(q, k, freqs_cos, freqs_sin)
        if cache is not None:
            k, v = cache.update(k, v)
        S, drop = k.size(1), args.dropout if self.training else 0.0
        mask = self.seen[S - T : S, :S] if mask is None else mask
        if args.flash_attn:
            q, k, v = (part.transpose(1, 2) for part in (q, k, v))
            out = F.scaled_dot_product_attention(q, k, v, mask, drop, enable_gqa=True)
            out = out.transpose(1, 2)
        else:  # no head is copied: the queries are grouped by the key/value head that they share
            groups = q.reshape(B, T, args.n_kv_heads, args.n_rep, args.head_dim)
            scores = torch.einsum("btkgd,bskd->bkgts", groups, k) / args.head_dim**0.5
            mask = mask.expand(B, args.n_heads, T, S).reshape(scores.shape)
            weights = scores.masked_fill(~mask, -1e30).softmax(-1) * mask
            weights = F.dropout(weights, drop, self.training)
            out = torch.einsum("bkgts,bskd->btkgd", weights, v)
        return F.dropout(self.wo(out.reshape(B, T, D)), drop, self.training)


# ---- mistakes that people make


def project(self, x):
    """Queries, keys and values, split into heads."""
    B, T, _ = x.shape
    heads = ((self.wq, self.n_heads), (self.wk, self.n_kv_heads), (self.wv, self.n_kv_heads))
    return tuple(w(x).view(B, T, n, self.head_dim) for w, n in heads)


def finish(self, q, k, v, mask, *, join=True, drop=True, share=repeat_kv):
    """All that follows after the rotation and the cache."""
    B, T = q.shape[:2]
    k, v = share(k, self.n_rep), share(v, self.n_rep)
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    out = (self.fused_attention if self.flash_attn else self.explicit_attention)(q, k, v, mask)
    out = self.wo((out.transpose(1, 2) if join else out).reshape(B, T, -1))
    return self.resid_dropout(out) if drop else out


def checked(mask):
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError("mask must be boolean")


def weigh(self, scores, mask, v):
    """The rest of the explicit path, from its scores on."""
    mask = causal_mask(*scores.shape[-2:]) if mask is None else mask
    scores = scores.float().masked_fill(~mask, torch.finfo(torch.float32).min)
    return self.attn_dropout(scores.softmax(dim=-1) * mask).to(v.dtype) @ v


@known_wrong(
    "causal_mask",
    en="Your mask starts at the first key: with S > T (a cache) the last query must see all S "
    "keys, so shift the diagonal by S - T.",
    zh="你的掩码从第一个键对齐：S > T（有缓存）时最后一个查询应看到全部 S 个键，"
    "对角线要移动 S - T。",
)
def aligned_to_the_start(T, S, device=None):
    return torch.ones(T, S, dtype=torch.bool, device=device).tril()


@known_wrong(
    "causal_mask",
    en="Your mask is inverted: True stands where a query may see a key, not where it may not.",
    zh="掩码反了：True 应表示查询可以看见的键，而不是看不见的。",
)
def inverted(T, S, device=None):
    return ~causal_mask(T, S, device)


@known_wrong(
    "causal_mask",
    en="Nobody sees himself: the diagonal belongs to what a query may see.",
    zh="每个 token 看不到自己：对角线也应是可见的。",
)
def without_the_diagonal(T, S, device=None):
    return torch.ones(T, S, dtype=torch.bool, device=device).tril(diagonal=S - T - 1)


@known_wrong(
    "causal_mask",
    en="You made a mask to be added (0 and -inf); here a mask is boolean, True where one may see.",
    zh="你做的是用来相加的掩码（0 和 -inf）；这里的掩码是布尔型，True 表示可以看见。",
)
def additive(T, S, device=None):
    return torch.full((T, S), -torch.inf, device=device).triu(diagonal=S - T + 1)


@known_wrong(
    "causal_mask",
    en="The mask holds ones and zeros: make it boolean with dtype=torch.bool.",
    zh="掩码里是 1 和 0：要用 dtype=torch.bool 做成布尔型。",
)
def of_numbers(T, S, device=None):
    return torch.ones(T, S, device=device).tril(diagonal=S - T)


@known_wrong(
    "Attention.explicit_attention",
    en="The scores are not divided by sqrt(d): the softmax becomes too sharp.",
    zh="分数没有除以 sqrt(d)：softmax 会变得过于尖锐。",
)
def unscaled(self, q, k, v, mask):
    return weigh(self, q @ k.transpose(2, 3), mask, v)


@known_wrong(
    "Attention.explicit_attention",
    en="You divided by sqrt(dim); divide by sqrt(head_dim), the size of one head.",
    zh="你除以的是 sqrt(dim)；应除以 sqrt(head_dim)，即一个头的维度。",
)
def scaled_by_the_width(self, q, k, v, mask):
    return weigh(self, q @ k.transpose(2, 3) / math.sqrt(self.wq.in_features), mask, v)


@known_wrong(
    "Attention.explicit_attention",
    en="You divided by head_dim itself; divide by its square root.",
    zh="你除以的是 head_dim 本身；应除以它的平方根。",
)
def scaled_without_root(self, q, k, v, mask):
    return weigh(self, q @ k.transpose(2, 3) / self.head_dim, mask, v)


@known_wrong(
    "Attention.explicit_attention",
    en="The mask acts after the softmax, so the weights that are left no longer add up to 1: mask "
    "the scores before it.",
    zh="掩码用在了 softmax 之后，剩下的权重加起来不再是 1：应在 softmax 之前遮住分数。",
)
def masked_after_softmax(self, q, k, v, mask):
    mask = causal_mask(q.size(2), k.size(2)) if mask is None else mask
    scores = (q @ k.transpose(2, 3)).float() / math.sqrt(self.head_dim)
    return self.attn_dropout(scores.softmax(dim=-1) * mask).to(v.dtype) @ v


@known_wrong(
    "Attention.explicit_attention",
    en="Without a mask the explicit path sees the future: None means causal, so make the mask.",
    zh="没有掩码时显式路径看到了未来：None 表示因果，要自己生成掩码。",
)
def explicit_sees_the_future(self, q, k, v, mask):
    everything = torch.ones(q.size(2), k.size(2), dtype=torch.bool)
    scores = q @ k.transpose(2, 3) / math.sqrt(self.head_dim)
    return weigh(self, scores, everything if mask is None else mask, v)


@known_wrong(
    "Attention.explicit_attention",
    en="A row of nothing but -inf becomes NaN in the softmax: fill with the lowest finite number, "
    "then multiply the weights by the mask.",
    zh="整行都是 -inf 时 softmax 得到 NaN：应填最小的有限数，再让权重乘以掩码。",
)
def empty_rows_nan(self, q, k, v, mask):
    mask = causal_mask(q.size(2), k.size(2)) if mask is None else mask
    scores = (q @ k.transpose(2, 3)).float() / math.sqrt(self.head_dim)
    weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
    return self.attn_dropout(weights).to(v.dtype) @ v


@known_wrong(
    "Attention.explicit_attention",
    en="A query that may see nothing gets the mean of all values: multiply the weights by the mask "
    "after the softmax, so that it gets zeros.",
    zh="什么都看不到的查询得到了所有值的平均：softmax 之后权重要再乘以掩码，使其为零。",
)
def empty_rows_mean(self, q, k, v, mask):
    mask = causal_mask(q.size(2), k.size(2)) if mask is None else mask
    scores = (q @ k.transpose(2, 3)).float() / math.sqrt(self.head_dim)
    weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim=-1)
    return self.attn_dropout(weights).to(v.dtype) @ v


@known_wrong(
    "Attention.explicit_attention",
    en="True hides a key in your explicit path; it means that one may see it: masked_fill(~mask).",
    zh="显式路径里 True 成了遮住；True 表示可以看见：应写 masked_fill(~mask)。",
)
def true_hides(self, q, k, v, mask):
    mask = causal_mask(q.size(2), k.size(2)) if mask is None else mask
    return weigh(self, q @ k.transpose(2, 3) / math.sqrt(self.head_dim), ~mask, v)


@known_wrong(
    "Attention.explicit_attention",
    en="The softmax runs over the queries; it runs over the keys, the last axis.",
    zh="softmax 沿查询做了；应沿键（最后一维）做。",
)
def softmax_over_queries(self, q, k, v, mask):
    mask = causal_mask(q.size(2), k.size(2)) if mask is None else mask
    scores = (q @ k.transpose(2, 3)).float() / math.sqrt(self.head_dim)
    weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(dim=-2) * mask
    return self.attn_dropout(weights).to(v.dtype) @ v


@known_wrong(
    "Attention.explicit_attention",
    en="The explicit path drops no attention weights: apply self.attn_dropout after the softmax.",
    zh="显式路径没有丢弃注意力权重：softmax 之后要用 self.attn_dropout。",
)
def explicit_undropped(self, q, k, v, mask):
    mask = causal_mask(q.size(2), k.size(2)) if mask is None else mask
    scores = (q @ k.transpose(2, 3)).float() / math.sqrt(self.head_dim)
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return (scores.softmax(dim=-1) * mask).to(v.dtype) @ v


@known_wrong(
    "Attention.fused_attention",
    en="Dropout stays on after eval(): F.scaled_dot_product_attention does not look at "
    "self.training, so give dropout_p=0.0 outside training.",
    zh="eval() 之后 dropout 仍有效：F.scaled_dot_product_attention 不看 self.training，"
    "非训练时要传 dropout_p=0.0。",
)
def fused_always_drops(self, q, k, v, mask):
    if mask is None:
        mask = causal_mask(q.size(2), k.size(2))
    return F.scaled_dot_product_attention(q, k, v, mask, self.attn_dropout.p, enable_gqa=True)


@known_wrong(
    "Attention.fused_attention",
    en="The fused path drops no attention weights: give dropout_p in training.",
    zh="融合路径没有丢弃注意力权重：训练时要传 dropout_p。",
)
def fused_undropped(self, q, k, v, mask):
    if mask is None:
        mask = causal_mask(q.size(2), k.size(2))
    return F.scaled_dot_product_attention(q, k, v, mask, enable_gqa=True)


@known_wrong(
    "Attention.fused_attention",
    en="is_causal=True aligns the mask to the first key. With a cache (T < S) hand over "
    "causal_mask(T, S), and for a lone token no mask at all.",
    zh="is_causal=True 从第一个键对齐。有缓存时（T < S）要传 causal_mask(T, S)，"
    "单个 token 则不需要掩码。",
)
def fused_aligned_to_the_start(self, q, k, v, mask):
    drop = self.attn_dropout.p if self.training else 0.0
    return F.scaled_dot_product_attention(
        q, k, v, mask, drop, is_causal=mask is None, enable_gqa=True
    )


@known_wrong(
    "Attention.fused_attention",
    en="Without a mask the fused path sees the future: None means causal, so set is_causal or make "
    "the mask.",
    zh="没有掩码时融合路径看到了未来：None 表示因果，要设 is_causal 或自己生成掩码。",
)
def fused_sees_the_future(self, q, k, v, mask):
    drop = self.attn_dropout.p if self.training else 0.0
    return F.scaled_dot_product_attention(q, k, v, mask, drop, enable_gqa=True)


@known_wrong(
    "Attention.fused_attention",
    en="is_causal=True stands beside a mask, and cuts off the future that the mask allows (or "
    "PyTorch refuses the two): set it only where there is no mask.",
    zh="给了掩码还设 is_causal=True，会把掩码允许看的未来也切掉（有的版本直接报错）："
    "只有没有掩码时才设 is_causal。",
)
def causal_beside_a_mask(self, q, k, v, mask):
    T, S = q.size(2), k.size(2)
    mask = causal_mask(T, S) if mask is None and T != S else mask
    drop = self.attn_dropout.p if self.training else 0.0
    return F.scaled_dot_product_attention(q, k, v, mask, drop, is_causal=T > 1, enable_gqa=True)


@known_wrong(
    "Attention.forward",
    en="The keys are not rotated: turn xk as well as xq.",
    zh="键没有旋转：xk 要和 xq 一样旋转。",
)
def keys_not_rotated(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    checked(mask)
    q, k, v = project(self, x)
    q = apply_rotary_emb(q, k, freqs_cos, freqs_sin)[0]
    k, v = (k, v) if cache is None else cache.update(k, v)
    return finish(self, q, k, v, mask)


@known_wrong(
    "Attention.forward",
    en="Nothing is rotated: call apply_rotary_emb on queries and keys.",
    zh="没有旋转：要对查询和键调用 apply_rotary_emb。",
)
def nothing_rotated(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    checked(mask)
    q, k, v = project(self, x)
    k, v = (k, v) if cache is None else cache.update(k, v)
    return finish(self, q, k, v, mask)


@known_wrong(
    "Attention.forward",
    en="The values are rotated too: positions belong to queries and keys only.",
    zh="值也被旋转了：位置信息只属于查询和键。",
)
def values_rotated(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    checked(mask)
    q, k, v = project(self, x)
    q, k = apply_rotary_emb(q, k, freqs_cos, freqs_sin)
    v = apply_rotary_emb(v, v, freqs_cos, freqs_sin)[0]
    k, v = (k, v) if cache is None else cache.update(k, v)
    return finish(self, q, k, v, mask)


@known_wrong(
    "Attention.forward",
    en="The keys go into the cache before they are rotated: rotate first, then cache.update.",
    zh="键在旋转之前就放进了缓存：先旋转，再 cache.update。",
)
def cached_before_rotation(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    checked(mask)
    q, k, v = project(self, x)
    if cache is not None:
        cache.update(k, v)
        k, v = cache.k, cache.v
    past = k.size(1) - q.size(1)
    if past:  # rotated with the tables at hand, for want of those of the past
        freqs_cos = torch.cat((freqs_cos[:1].expand(past, -1), freqs_cos))
        freqs_sin = torch.cat((freqs_sin[:1].expand(past, -1), freqs_sin))
    q, _ = apply_rotary_emb(q, q, freqs_cos[-q.size(1) :], freqs_sin[-q.size(1) :])
    _, k = apply_rotary_emb(k, k, freqs_cos, freqs_sin)
    return finish(self, q, k, v, mask)


@known_wrong(
    "Attention.forward",
    en="The cache is given all H heads: hand it the K heads, and then repeat_kv what comes back.",
    zh="交给缓存的是 H 个头：应只交 K 个头，再对它返回的结果调用 repeat_kv。",
)
def repeated_before_the_cache(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    checked(mask)
    q, k, v = project(self, x)
    q, k = apply_rotary_emb(q, k, freqs_cos, freqs_sin)
    k, v = repeat_kv(k, self.n_rep), repeat_kv(v, self.n_rep)
    k, v = (k, v) if cache is None else cache.update(k, v)
    return finish(self, q, k, v, mask, share=lambda part, _: part)


@known_wrong(
    "Attention.forward",
    en="What the cache returns is not used: attend to the keys and values that cache.update gives "
    "back.",
    zh="没有使用缓存返回的结果：应对 cache.update 返回的键和值做注意力。",
)
def cache_not_read(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    checked(mask)
    q, k, v = project(self, x)
    q, k = apply_rotary_emb(q, k, freqs_cos, freqs_sin)
    if cache is not None:
        cache.update(k, v)
    return finish(self, q, k, v, mask)


@known_wrong(
    "Attention.forward",
    en="You tiled the key/value heads [K1, K2, K1, K2]; use repeat_kv, [K1, K1, K2, K2].",
    zh="你把键值头平铺成了 [K1, K2, K1, K2]；应用 repeat_kv：[K1, K1, K2, K2]。",
)
def heads_tiled(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    checked(mask)
    q, k, v = project(self, x)
    q, k = apply_rotary_emb(q, k, freqs_cos, freqs_sin)
    k, v = (k, v) if cache is None else cache.update(k, v)
    return finish(self, q, k, v, mask, share=lambda part, n_rep: part.repeat(1, 1, n_rep, 1))


@known_wrong(
    "Attention.forward",
    en="The heads are joined without transposing back: [B, H, T, d] -> transpose(1, 2) -> "
    "[B, T, H, d] -> [B, T, H * d].",
    zh="合并头之前没有转置回来：[B, H, T, d] -> transpose(1, 2) -> [B, T, H, d] -> [B, T, H * d]。",
)
def heads_scrambled(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    checked(mask)
    q, k, v = project(self, x)
    q, k = apply_rotary_emb(q, k, freqs_cos, freqs_sin)
    k, v = (k, v) if cache is None else cache.update(k, v)
    return finish(self, q, k, v, mask, join=False)


@known_wrong(
    "Attention.forward",
    en="The mask that is given is never used: hand it on to the attention.",
    zh="传入的掩码没有使用：要交给注意力计算。",
)
def mask_ignored(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    checked(mask)
    q, k, v = project(self, x)
    q, k = apply_rotary_emb(q, k, freqs_cos, freqs_sin)
    k, v = (k, v) if cache is None else cache.update(k, v)
    return finish(self, q, k, v, None)


@known_wrong(
    "Attention.forward",
    en="You put the causal mask on top of the one that is given: that one alone counts.",
    zh="你在给定的掩码上又叠加了因果掩码：给了掩码就只看它。",
)
def causal_on_top(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    checked(mask)
    q, k, v = project(self, x)
    q, k = apply_rotary_emb(q, k, freqs_cos, freqs_sin)
    k, v = (k, v) if cache is None else cache.update(k, v)
    causal = causal_mask(q.size(1), k.size(1))
    return finish(self, q, k, v, causal if mask is None else mask & causal)


@known_wrong(
    "Attention.forward",
    en="Any mask is taken: one whose dtype is not torch.bool must raise a TypeError.",
    zh="什么掩码都收下了：dtype 不是 torch.bool 的要抛出 TypeError。",
)
def mask_unchecked(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    q, k, v = project(self, x)
    q, k = apply_rotary_emb(q, k, freqs_cos, freqs_sin)
    k, v = (k, v) if cache is None else cache.update(k, v)
    return finish(self, q, k, v, mask if mask is None else mask.bool())


@known_wrong(
    "Attention.forward",
    en="The output is not dropped out: return self.resid_dropout(self.wo(...)).",
    zh="输出没有经过 dropout：应返回 self.resid_dropout(self.wo(...))。",
)
def output_undropped(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    checked(mask)
    q, k, v = project(self, x)
    q, k = apply_rotary_emb(q, k, freqs_cos, freqs_sin)
    k, v = (k, v) if cache is None else cache.update(k, v)
    return finish(self, q, k, v, mask, drop=False)


@known_wrong(
    "Attention",
    en="flash_attn is never read: with True the fused kernel should be called.",
    zh="没有读取 flash_attn：为 True 时应调用融合算子。",
)
class AlwaysExplicit(Attention):
    def __init__(self, args):
        super().__init__(args)
        self.flash_attn = False


@known_wrong(
    "Attention",
    en="flash_attn is never read: with False the attention should be spelled out.",
    zh="没有读取 flash_attn：为 False 时应写出完整计算。",
)
class AlwaysFused(Attention):
    def __init__(self, args):
        super().__init__(args)
        self.flash_attn = True


@known_wrong(
    "Attention",
    en="The projections have biases: nn.Linear(..., bias=False).",
    zh="投影带了偏置：应写 nn.Linear(..., bias=False)。",
)
class WithBiases(Attention):
    def __init__(self, args):
        super().__init__(args)
        for name in ("wq", "wk", "wv", "wo"):
            old = getattr(self, name)
            setattr(self, name, nn.Linear(old.in_features, old.out_features))


@known_wrong(
    "Attention",
    en="wk and wv make H heads; they make n_kv_heads, and repeat_kv shares them out.",
    zh="wk 和 wv 产生了 H 个头；它们应只产生 n_kv_heads 个，再由 repeat_kv 分给查询头。",
)
class AllHeadsTheirOwn(Attention):
    def __init__(self, args):
        super().__init__(SimpleNamespace(**{**vars(args), "n_kv_heads": args.n_heads, "n_rep": 1}))


# ---- mutants that change nothing

EQUIVALENT = (
    equivalent_mutant(
        "Attention.forward",
        "return self.resid_dropout(out) if self.training else out",
        "return self.resid_dropout(out)",
        because="outside training nn.Dropout hands on what it is given; the branch saves the call",
    ),
    equivalent_mutant(
        "causal_mask",
        "return torch.ones(T, S, dtype=torch.bool, device=device).tril(diagonal=S - T)",
        "return torch.ones(T, S, dtype=torch.bool, device=device).tril(diagonal=S - T).detach()",
        because="booleans have no gradient",
    ),
    equivalent_mutant(
        "Attention.__init__",
        "self.n_kv_heads = args.n_kv_heads or args.n_heads",
        "self.n_kv_heads = args.n_kv_heads",
        because="a config has filled n_kv_heads in",
    ),
    equivalent_mutant(
        "Attention.__init__",
        "self.wq = nn.Linear(args.dim, self.n_heads * self.head_dim, bias=False)",
        "self.wq = nn.Linear(self.n_heads * self.head_dim, args.dim, bias=False)",
        because="n_heads * head_dim is dim",
    ),
    equivalent_mutant(
        "Attention.__init__",
        "self.wo = nn.Linear(self.n_heads * self.head_dim, args.dim, bias=False)",
        "self.wo = nn.Linear(args.dim, self.n_heads * self.head_dim, bias=False)",
        because="n_heads * head_dim is dim",
    ),
    equivalent_mutant(
        "Attention.fused_attention",
        "if mask is None and T not in (1, S):",
        "if mask is None:",
        because="a mask where none is needed is slower, and says the same",
    ),
    equivalent_mutant(
        "Attention.fused_attention",
        "if mask is None and T not in (1, S):",
        "if mask is None and T not in (0, S):",
        because="the mask of a lone query hides nothing",
    ),
)
