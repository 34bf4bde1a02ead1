"""Hidden suite of ch5/decoder_layer."""

from dataclasses import asdict
from types import SimpleNamespace

import torch
from torch import nn

from grader.judge import check
from grader.judge.marks import also_right, known_wrong
from happyllm.llama import layer as reference
from happyllm.llama.attention import Attention
from happyllm.llama.config import ModelConfig
from happyllm.llama.layer import DecoderLayer
from happyllm.llama.mlp import MLP
from happyllm.llama.norm import RMSNorm
from happyllm.llama.rotary import precompute_freqs_cis


def sizes(**changes):
    """The fields and the derived sizes of a small config, as data."""
    small = {"dim": 16, "n_heads": 4, "n_kv_heads": 2, "hidden_dim": 12, "max_seq_len": 32}
    config = ModelConfig(**(small | changes))
    derived = {"head_dim": config.head_dim, "n_rep": config.n_rep, "ffn_dim": config.ffn_dim}
    return asdict(config) | derived


def weights(args, silent=()):
    """Weights of a layer, the norms' too; those of `silent` matrices are zero."""
    state = DecoderLayer(0, SimpleNamespace(**args)).state_dict()
    for name, w in state.items():
        state[name] = (
            torch.randn(w.shape) / w.size(-1) ** 0.5 if w.dim() > 1 else torch.rand(w.shape)
        )
        if any(name.endswith(f"{one}.weight") for one in silent):
            state[name] = torch.zeros_like(w)
    return dict(state)


def tables(args, T, start=0):
    return [table[start:] for table in precompute_freqs_cis(args["head_dim"], start + T)]


# ---- probes: each runs in the room and, on the reference, here


def shapes(m, args):
    """The shapes of the parameters of DecoderLayer(0, args)

    DecoderLayer(0, args) 各参数的形状
    """
    from types import SimpleNamespace

    layer = m.DecoderLayer(0, SimpleNamespace(**args))
    return {name: list(value.shape) for name, value in layer.named_parameters()}


def pass_through(m, args, state, x, freqs_cos, freqs_sin, mask):
    """DecoderLayer(0, args)(x, freqs_cos, freqs_sin, mask), with the weights of state

    用 state 中的权重计算 DecoderLayer(0, args)(x, freqs_cos, freqs_sin, mask)
    """
    from types import SimpleNamespace

    layer = m.DecoderLayer(0, SimpleNamespace(**args)).to(x.dtype)
    layer.load_state_dict(state, strict=False)
    return layer(x, freqs_cos, freqs_sin, mask).detach()


def in_pieces(m, args, state, x, freqs_cos, freqs_sin, mask, pieces):
    """DecoderLayer(0, args)(x, …, cache), x coming piece by piece

    x 分段输入 DecoderLayer(0, args)(x, …, cache)
    """
    from types import SimpleNamespace

    class Cache:
        def __init__(self):
            self.k = self.v = None
            self.length = 0

        def update(self, k, v):
            self.k = k if self.k is None else torch.cat((self.k, k), 1)
            self.v = v if self.v is None else torch.cat((self.v, v), 1)
            self.length = self.k.size(1)
            return self.k, self.v

    layer = m.DecoderLayer(0, SimpleNamespace(**args))
    layer.load_state_dict(state, strict=False)
    cache, outputs, start = Cache(), [], 0
    with torch.no_grad():
        for end in pieces:
            cos, sin = freqs_cos[start:end], freqs_sin[start:end]
            part = None if mask is None else mask[..., start:end, :end]
            outputs.append(layer(x[:, start:end], cos, sin, part, cache))
            start = end
    return torch.cat(outputs, 1)


def gradients(m, args, state, x, along, freqs_cos, freqs_sin):
    """The gradients of (DecoderLayer(0, args)(x, …) * along).sum() for x and the weights

    (DecoderLayer(0, args)(x, …) * along).sum() 对 x 和各权重的梯度
    """
    from types import SimpleNamespace

    layer = m.DecoderLayer(0, SimpleNamespace(**args))
    layer.load_state_dict(state, strict=False)
    x = x.clone().requires_grad_()
    (layer(x, freqs_cos, freqs_sin) * along).sum().backward()
    return x.grad, {name: value.grad for name, value in layer.named_parameters()}


def dropped(m, args, state, x, freqs_cos, freqs_sin, training, seed):
    """By what factors does dropout change what the layer adds to lone tokens?

    对单独的 token，dropout 给这一层加上的值乘上的倍数
    """
    from types import SimpleNamespace

    added = []
    for p in (args["dropout"], 0.0):
        layer = m.DecoderLayer(0, SimpleNamespace(**{**args, "dropout": p}))
        layer.load_state_dict(state, strict=False)
        layer.train(training)
        torch.manual_seed(seed)
        added.append((layer(x, freqs_cos, freqs_sin) - x).detach())
    return (added[0] / added[1]).round(decimals=1).unique().tolist()


# ---- what must hold


def test_a_layer_is_an_attention_an_mlp_and_two_norms(student):
    """attention, feed_forward, attention_norm and ffn_norm, in the sizes of the configuration.

    attention、feed_forward、attention_norm、ffn_norm，尺寸都按配置。
    """
    for changes in ({}, {"hidden_dim": None, "multiple_of": 10, "n_kv_heads": 1}):
        args = sizes(**changes)
        check.equal(student.run(shapes, args), shapes(reference, args))


def test_a_layer_knows_its_number(student):
    """layer_id is kept as it was given.

    layer_id 按给定值保存。
    """

    def number(m, layer_id, args):
        """DecoderLayer(layer_id, args).layer_id"""
        from types import SimpleNamespace

        return m.DecoderLayer(layer_id, SimpleNamespace(**args)).layer_id

    check.equal(student.run(number, 3, sizes()), 3)


def test_the_stream_passes_untouched_where_both_parts_are_silent(student):
    """With wo and w2 at zero nothing is added, so what comes out is x itself, not a normalized x.

    wo 和 w2 为零时什么也没加，输出就是 x 本身，而不是归一化后的 x。
    """
    args, x = sizes(), 3 * torch.randn(2, 5, 16)
    got = student.run(pass_through, args, weights(args, ("wo", "w2")), x, *tables(args, 5), None)
    check.equal(got, x)


def test_attention_reads_the_normalized_stream_and_adds_to_x(student):
    """With the MLP silent: x + attention(attention_norm(x)).

    MLP 静默时：x + attention(attention_norm(x))。
    """
    args = sizes()
    given = (args, weights(args, ("w2",)), 3 * torch.randn(2, 5, 16), *tables(args, 5), None)
    check.close(student.run(pass_through, *given), pass_through(reference, *given), terms=64)


def test_the_mlp_reads_the_normalized_stream_and_adds_to_it(student):
    """With the attention silent: x + feed_forward(ffn_norm(x)).

    注意力静默时：x + feed_forward(ffn_norm(x))。
    """
    args = sizes()
    given = (args, weights(args, ("wo",)), 3 * torch.randn(2, 5, 16), *tables(args, 5), None)
    check.close(student.run(pass_through, *given), pass_through(reference, *given), terms=64)


def test_the_mlp_reads_what_the_attention_wrote(student):
    """h = x + attention(attention_norm(x)) first, then h + feed_forward(ffn_norm(h)).

    先算 h = x + attention(attention_norm(x))，再算 h + feed_forward(ffn_norm(h))。
    """
    args = sizes()
    for B, T in [(2, 5), (3, 1)]:
        x = torch.randn(B, T, 16)
        given = (args, weights(args), x, *tables(args, T, start=3), None)
        check.close(student.run(pass_through, *given), pass_through(reference, *given), terms=128)


def test_both_norms_have_the_eps_of_the_configuration(student):
    """norm_eps goes to both norms: a large one shows.

    两个归一化都用配置的 norm_eps：取大一点就能看出来。
    """
    args = sizes(norm_eps=0.5)
    for silent in ("w2", "wo"):
        state, x = weights(args, (silent,)), 0.5 * torch.randn(2, 4, 16)
        given = (args, state, x, *tables(args, 4), None)
        check.close(student.run(pass_through, *given), pass_through(reference, *given), terms=64)


def test_the_mask_reaches_the_attention(student):
    """A mask decides who sees whom in this layer, too.

    掩码同样决定这一层里谁能看见谁。
    """
    args = sizes()
    mask = torch.rand(2, 1, 5, 5) < 0.5
    mask[..., 3] = True  # every query sees one key at least
    given = (args, weights(args), torch.randn(2, 5, 16), *tables(args, 5), mask)
    check.close(student.run(pass_through, *given), pass_through(reference, *given), terms=128)


def test_the_cache_reaches_the_attention(student):
    """Token by token through a cache gives what all at once gives.

    逐个 token 使用缓存，与一次算完的结果相同。
    """
    args = sizes()
    given = (args, weights(args), torch.randn(2, 5, 16), *tables(args, 5), None)
    got = student.run(in_pieces, *given, (2, 3, 5))
    check.close(got, pass_through(reference, *given), terms=128)


def test_mask_and_cache_go_together(student):
    """With padding in the batch the attention needs both: the mask and the cache.

    批次里有填充时，注意力同时需要掩码和缓存。
    """
    args = sizes()
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool).tril()
    mask[0, ..., 1:, 0] = False  # the first token of the first row is padding
    given = (args, weights(args), torch.randn(2, 5, 16), *tables(args, 5), mask)
    got = student.run(in_pieces, *given, (2, 3, 5))
    check.close(got, pass_through(reference, *given), terms=128)


def test_half_precision_stays_half_precision(student):
    """A bfloat16 layer answers in bfloat16.

    bfloat16 的层输出 bfloat16。
    """
    args = sizes()
    given = (args, weights(args), torch.randn(2, 4, 16).bfloat16(), *tables(args, 4), None)
    check.close(student.run(pass_through, *given), pass_through(reference, *given))


def test_the_stream_that_came_in_stays_as_it_was(student):
    """The layer adds into a new tensor: x += would change what others still hold.

    层把结果加到新的张量里：x += 会改动别处还在用的张量。
    """

    def afterwards(m, args, state, x, freqs_cos, freqs_sin):
        """x, after DecoderLayer(0, args)(x, freqs_cos, freqs_sin)

        执行 DecoderLayer(0, args)(x, freqs_cos, freqs_sin) 之后的 x
        """
        from types import SimpleNamespace

        layer, x = m.DecoderLayer(0, SimpleNamespace(**args)), x.clone()
        layer.load_state_dict(state, strict=False)
        with torch.no_grad():
            layer(x, freqs_cos, freqs_sin)
        return x

    args, x = sizes(), torch.randn(2, 4, 16)
    check.equal(student.run(afterwards, args, weights(args), x, *tables(args, 4)), x)


def test_gradients_reach_the_input_and_every_weight(student):
    """The stream and all nine weights learn, through both parts.

    残差流和全部九个权重都能通过两部分学习。
    """
    args = sizes()
    along = torch.randn(2, 4, 16)
    given = (args, weights(args), torch.randn(2, 4, 16), along, *tables(args, 4))
    got = student.run(gradients, *given)
    check.gradients(got, gradients(reference, *given), names=("x",), terms=1024)


def test_both_parts_drop_out_in_training_and_only_then(student):
    """dropout goes to both parts, which drop in training and leave all as it is after eval().

    dropout 要传给两部分：训练时丢弃，eval() 之后不丢。
    """
    args = sizes(dropout=0.5)
    for silent, part, twice in [("w2", "attention", 4.0), ("wo", "feed_forward", 2.0)]:
        state = {name: w.abs() + 0.1 * (w != 0) for name, w in weights(args, (silent,)).items()}
        if part == "attention":
            state["attention.wo.weight"] = torch.eye(16)  # so that heads fall as a whole
        given = (args, state, torch.rand(64, 1, 16) + 0.5, *tables(args, 1))
        for training, expected in [(True, [0.0, twice]), (False, [1.0])]:
            seed = int(torch.randint(1 << 30, ()))
            got = student.run(dropped, *given, training, seed)
            check.that(
                isinstance(got, list | tuple) and list(got) == expected,
                en=f"With dropout=0.5 {'in training' if training else 'after eval()'}, what "
                f"{part} adds should be multiplied by {expected}, and is by "
                f"{got if isinstance(got, list | tuple) and len(got) < 5 else 'other numbers'}.",
                zh=f"dropout=0.5，{'训练时' if training else 'eval() 之后'}，{part} 加上的值应乘以 "
                f"{expected} 之一，实际是 "
                f"{got if isinstance(got, list | tuple) and len(got) < 5 else '别的数'}。",
                got=got,
                expected=expected,
            )


# ---- other right ways


@also_right("DecoderLayer.forward", en="step by step, by keyword")
def step_by_step(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    stream = x.clone()
    read = self.attention_norm(stream)
    stream = stream + self.attention(
        read, freqs_cos=freqs_cos, freqs_sin=freqs_sin, cache=cache, mask=mask
    )
    return torch.add(self.feed_forward(self.ffn_norm(stream)), stream)


@also_right("DecoderLayer", en="made in another order, with the width already found")
class AnotherOrder(DecoderLayer):
    def __init__(self, layer_id, args):
        nn.Module.__init__(self)
        self.ffn_norm = RMSNorm(eps=args.norm_eps, dim=args.dim)
        self.feed_forward = MLP(args.dim, args.ffn_dim, 1, dropout=args.dropout)
        self.attention_norm = RMSNorm(args.dim, args.norm_eps)
        self.attention = Attention(args)
        self.args, self.layer_id = args, layer_id


@also_right("DecoderLayer.forward", en="the two halves in a loop, the sum the other way round")
def halves_in_a_loop(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    def attend(read):
        return self.attention(read, freqs_cos, freqs_sin, mask, cache)

    for norm, part in ((self.attention_norm, attend), (self.ffn_norm, self.feed_forward)):
        x = part(norm(x)) + x
    return x


# ---- mistakes that people make


@known_wrong(
    "DecoderLayer.forward",
    en="You added to the normalized copy: it is x + attention(attention_norm(x)), and the x in "
    "front is the one that came in.",
    zh="你加在了归一化后的副本上：应是 x + attention(attention_norm(x))，前面的 x 是原来的 x。",
)
def normalized_copies_added(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    x = self.attention_norm(x)
    h = self.ffn_norm(x + self.attention(x, freqs_cos, freqs_sin, mask, cache))
    return h + self.feed_forward(h)


@known_wrong(
    "DecoderLayer.forward",
    en="In the second half you added to the normalized copy: it is h + feed_forward(ffn_norm(h)).",
    zh="后一半里你加在了归一化后的副本上：应是 h + feed_forward(ffn_norm(h))。",
)
def second_copy_added(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = x + self.attention(self.attention_norm(x), freqs_cos, freqs_sin, mask, cache)
    h = self.ffn_norm(h)
    return h + self.feed_forward(h)


@known_wrong(
    "DecoderLayer.forward",
    en="This is post-norm: you normalized the sums. LLaMA normalizes what goes into a part, and "
    "leaves the stream alone.",
    zh="这是 post-norm：你对相加的结果做了归一化。LLaMA 只归一化每部分的输入，残差流不动。",
)
def post_norm(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = self.attention_norm(x + self.attention(x, freqs_cos, freqs_sin, mask, cache))
    return self.ffn_norm(h + self.feed_forward(h))


@known_wrong(
    "DecoderLayer.forward",
    en="You normalized what the parts give back; normalize what they read: "
    "attention(attention_norm(x)).",
    zh="你归一化的是各部分的输出；应归一化输入：attention(attention_norm(x))。",
)
def outputs_normalized(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = x + self.attention_norm(self.attention(x, freqs_cos, freqs_sin, mask, cache))
    return h + self.ffn_norm(self.feed_forward(h))


@known_wrong(
    "DecoderLayer.forward",
    en="Neither half adds to the stream: both results must be added, x + ... and h + ....",
    zh="两半都没有加回残差流：应是 x + … 和 h + …。",
)
def no_residuals(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = self.attention(self.attention_norm(x), freqs_cos, freqs_sin, mask, cache)
    return self.feed_forward(self.ffn_norm(h))


@known_wrong(
    "DecoderLayer.forward",
    en="The attention replaces x: add it, h = x + attention(...).",
    zh="注意力的结果替换了 x：应加上去，h = x + attention(...)。",
)
def attention_replaces(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = self.attention(self.attention_norm(x), freqs_cos, freqs_sin, mask, cache)
    return h + self.feed_forward(self.ffn_norm(h))


@known_wrong(
    "DecoderLayer.forward",
    en="The MLP replaces h: add it, return h + feed_forward(...).",
    zh="MLP 的结果替换了 h：应加上去，返回 h + feed_forward(...)。",
)
def mlp_replaces(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = x + self.attention(self.attention_norm(x), freqs_cos, freqs_sin, mask, cache)
    return self.feed_forward(self.ffn_norm(h))


@known_wrong(
    "DecoderLayer.forward",
    en="The last sum starts from x, so the attention's own result is lost: return h + ..., not "
    "x + ....",
    zh="最后加的是 x，注意力的结果丢了：应返回 h + …，而不是 x + …。",
)
def attention_lost(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = x + self.attention(self.attention_norm(x), freqs_cos, freqs_sin, mask, cache)
    return x + self.feed_forward(self.ffn_norm(h))


@known_wrong(
    "DecoderLayer.forward",
    en="The MLP reads x, beside the attention; it should read h, what the attention has written.",
    zh="MLP 读的是 x，与注意力并列；它应当读 h，即注意力写入之后的结果。",
)
def in_parallel(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = x + self.attention(self.attention_norm(x), freqs_cos, freqs_sin, mask, cache)
    return h + self.feed_forward(self.ffn_norm(x))


@known_wrong(
    "DecoderLayer.forward",
    en="The MLP comes first in your layer; the attention comes first, then the MLP.",
    zh="你的层里 MLP 在前；应先注意力，后 MLP。",
)
def mlp_first(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = x + self.feed_forward(self.ffn_norm(x))
    return h + self.attention(self.attention_norm(h), freqs_cos, freqs_sin, mask, cache)


@known_wrong(
    "DecoderLayer.forward",
    en="The attention reads x as it is: give it attention_norm(x).",
    zh="注意力直接读了 x：应给它 attention_norm(x)。",
)
def attention_unnormalized(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = x + self.attention(x, freqs_cos, freqs_sin, mask, cache)
    return h + self.feed_forward(self.ffn_norm(h))


@known_wrong(
    "DecoderLayer.forward",
    en="The MLP reads h as it is: give it ffn_norm(h).",
    zh="MLP 直接读了 h：应给它 ffn_norm(h)。",
)
def mlp_unnormalized(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = x + self.attention(self.attention_norm(x), freqs_cos, freqs_sin, mask, cache)
    return h + self.feed_forward(h)


@known_wrong(
    "DecoderLayer.forward",
    en="attention_norm serves both halves: the MLP has a norm of its own, ffn_norm.",
    zh="两半都用了 attention_norm：MLP 有自己的 ffn_norm。",
)
def one_norm_for_both(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = x + self.attention(self.attention_norm(x), freqs_cos, freqs_sin, mask, cache)
    return h + self.feed_forward(self.attention_norm(h))


@known_wrong(
    "DecoderLayer.forward",
    en="The norms have changed places: attention_norm is for the attention, ffn_norm for the MLP.",
    zh="两个归一化用反了：attention_norm 在注意力之前，ffn_norm 在 MLP 之前。",
)
def norms_swapped(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = x + self.attention(self.ffn_norm(x), freqs_cos, freqs_sin, mask, cache)
    return h + self.feed_forward(self.attention_norm(h))


@known_wrong(
    "DecoderLayer.forward",
    en="The mask is not handed on: pass it to the attention.",
    zh="掩码没有传下去：要交给注意力。",
)
def mask_dropped(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = x + self.attention(self.attention_norm(x), freqs_cos, freqs_sin, None, cache)
    return h + self.feed_forward(self.ffn_norm(h))


@known_wrong(
    "DecoderLayer.forward",
    en="The cache is not handed on: pass it to the attention.",
    zh="缓存没有传下去：要交给注意力。",
)
def cache_dropped(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = x + self.attention(self.attention_norm(x), freqs_cos, freqs_sin, mask)
    return h + self.feed_forward(self.ffn_norm(h))


@known_wrong(
    "DecoderLayer.forward",
    en="Cosines and sines have changed places on the way to the attention: freqs_cos first.",
    zh="余弦和正弦传给注意力时弄反了：freqs_cos 在前。",
)
def tables_swapped(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    h = x + self.attention(self.attention_norm(x), freqs_sin, freqs_cos, mask, cache)
    return h + self.feed_forward(self.ffn_norm(h))


@known_wrong(
    "DecoderLayer.forward",
    en="x += writes into the tensor that came in: make a new one, h = x + ....",
    zh="x += 改写了传入的张量：应生成新的，h = x + …。",
)
def in_place(self, x, freqs_cos, freqs_sin, mask=None, cache=None):
    x += self.attention(self.attention_norm(x), freqs_cos, freqs_sin, mask, cache)
    x += self.feed_forward(self.ffn_norm(x))
    return x


@known_wrong(
    "DecoderLayer",
    en="There is one norm under two names: make two RMSNorm, each learns its own weight.",
    zh="两个名字是同一个归一化：要建两个 RMSNorm，各学各的权重。",
)
class OneNorm(DecoderLayer):
    def __init__(self, layer_id, args):
        super().__init__(layer_id, args)
        self.ffn_norm = self.attention_norm


@known_wrong(
    "DecoderLayer",
    en="The norms have their default eps: give them args.norm_eps.",
    zh="归一化用了默认的 eps：要传 args.norm_eps。",
)
class DefaultEps(DecoderLayer):
    def __init__(self, layer_id, args):
        super().__init__(layer_id, args)
        self.attention_norm, self.ffn_norm = RMSNorm(args.dim), RMSNorm(args.dim)


@known_wrong(
    "DecoderLayer",
    en="The MLP is not given args.hidden_dim, and finds a width of its own.",
    zh="没有把 args.hidden_dim 传给 MLP，它就自己算了宽度。",
)
class WidthForgotten(DecoderLayer):
    def __init__(self, layer_id, args):
        super().__init__(layer_id, args)
        self.feed_forward = MLP(args.dim, None, args.multiple_of, args.dropout)


@known_wrong(
    "DecoderLayer",
    en="The MLP is given 4 * dim as its hidden width: give it args.hidden_dim.",
    zh="传给 MLP 的隐藏宽度是 4 * dim：应传 args.hidden_dim 和 args.multiple_of。",
)
class FourTimesDim(DecoderLayer):
    def __init__(self, layer_id, args):
        super().__init__(layer_id, args)
        self.feed_forward = MLP(args.dim, 4 * args.dim, args.multiple_of, args.dropout)


@known_wrong(
    "DecoderLayer",
    en="The MLP is not given args.dropout, so it never drops anything.",
    zh="没有把 args.dropout 传给 MLP，所以它从不丢弃。",
)
class NoDropout(DecoderLayer):
    def __init__(self, layer_id, args):
        super().__init__(layer_id, args)
        self.feed_forward = MLP(args.dim, args.hidden_dim, args.multiple_of, 0.0)


@known_wrong(
    "DecoderLayer",
    en="layer_id is not kept: set self.layer_id = layer_id.",
    zh="没有保存 layer_id：要写 self.layer_id = layer_id。",
)
class Numberless(DecoderLayer):
    def __init__(self, layer_id, args):
        super().__init__(layer_id, args)
        del self.layer_id
