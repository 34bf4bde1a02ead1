"""Hidden suite of ch5/rotary."""

import math

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.llama import rotary as reference
from happyllm.llama.rotary import (
    apply_rotary_emb,
    permute_for_hf,
    precompute_freqs_cis,
    reshape_for_broadcast,
)


def test_the_tables_have_a_row_a_position_and_a_column_a_pair(student):
    """Two tables come back, cosines and sines, each [end, dim / 2] in float32.

    返回两张表（余弦和正弦），形状都是 [end, dim / 2]，类型 float32。
    """
    got = student.precompute_freqs_cis(8, 5)
    check.that(
        isinstance(got, list | tuple) and len(got) == 2,
        en="Two tables are expected of precompute_freqs_cis: (freqs_cos, freqs_sin).",
        zh="precompute_freqs_cis 应返回两张表：(freqs_cos, freqs_sin)。",
        got=got,
    )
    for table in got:
        check.shape(table, (5, 4))
        check.equal(str(table.dtype), "torch.float32")


@pytest.mark.parametrize(("dim", "end"), [(8, 20), (2, 1), (6, 33)])
def test_an_angle_is_the_position_times_the_frequency_of_the_pair(student, dim, end):
    """Position t turns pair i by t * theta ** (-2i / dim), and position 0 by nothing.

    位置 t 把第 i 对旋转 t * theta ** (-2i / dim)，位置 0 不旋转。
    """
    got = student.precompute_freqs_cis(dim, end)
    check.close(got, precompute_freqs_cis(dim, end), terms=end)


def test_theta_is_the_base_of_the_frequencies(student):
    """A larger theta makes the slow pairs slower; it is an argument, no constant.

    theta 越大，慢的那些对转得越慢；它是参数，不是常数。
    """
    for theta in (500000.0, 100.0):
        got = student.precompute_freqs_cis(8, 12, theta)
        check.close(got, precompute_freqs_cis(8, 12, theta))


def test_a_head_of_odd_size_has_no_pairs(student):
    """With an odd dim one number would be left over: a ValueError names dim.

    dim 为奇数时会剩下一个数：应抛出提到 dim 的 ValueError。
    """
    check.raises(ValueError, lambda: student.precompute_freqs_cis(7, 4), match="dim")


def test_one_table_serves_all_rows_and_heads(student):
    """A table [T, d/2] gets an axis for the rows and one for the heads: [1, T, 1, d/2].

    表 [T, d/2] 补上批次和头两维：[1, T, 1, d/2]。
    """
    freqs, x = torch.randn(5, 4), torch.randn(2, 5, 3, 4)
    check.equal(student.reshape_for_broadcast(freqs, x), freqs.view(1, 5, 1, 4))


def test_a_table_a_row_keeps_its_rows(student):
    """Rows of a padded batch stand at positions of their own: [B, T, d/2] -> [B, T, 1, d/2].

    有填充的批次里，各行有自己的位置：[B, T, d/2] -> [B, T, 1, d/2]。
    """
    freqs, x = torch.randn(3, 5, 4), torch.randn(3, 5, 2, 4)
    check.equal(student.reshape_for_broadcast(freqs, x), freqs.view(3, 5, 1, 4))


def test_a_table_that_does_not_fit_is_refused(student):
    """A table for other positions or other pairs raises ValueError; it never just broadcasts.

    位置数或对数不符的表要抛出 ValueError，不能悄悄广播。
    """
    x = torch.randn(2, 5, 3, 4)
    for shape in [(6, 4), (1, 4), (5, 3), (3, 5, 4), (2, 6, 4), (4,)]:
        freqs = torch.randn(shape)
        check.raises(ValueError, lambda f=freqs: student.reshape_for_broadcast(f, x))


def test_a_quarter_turn_takes_a_b_to_minus_b_a(student):
    """At 90 degrees the pair (1, 2) becomes (-2, 1); at 0 degrees (3, 4) stays. Neighbours pair.

    旋转 90 度时 (1, 2) 变成 (-2, 1)；0 度时 (3, 4) 不变。相邻两数成对。
    """
    freqs_cos, freqs_sin = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 4)
    got = student.apply_rotary_emb(x, 10 * x, freqs_cos, freqs_sin)
    turned = torch.tensor([-2.0, 1.0, 3.0, 4.0]).view(1, 1, 1, 4)
    check.equal(got, (turned, 10 * turned))


@pytest.mark.parametrize(
    ("B", "T", "H", "K", "d"), [(2, 5, 4, 2, 8), (3, 1, 2, 2, 6), (1, 7, 3, 1, 2)]
)
def test_queries_and_keys_turn_by_their_positions(student, B, T, H, K, d):
    """Every pair of every head turns by the angle of its position, in the queries and the keys.

    查询和键里，每个头的每一对都按所在位置的角度旋转。
    """
    xq, xk = torch.randn(B, T, H, d), torch.randn(B, T, K, d)
    tables = precompute_freqs_cis(d, T + 3)
    freqs_cos, freqs_sin = (table[3:] for table in tables)
    got = student.apply_rotary_emb(xq, xk, freqs_cos, freqs_sin)
    check.close(got, apply_rotary_emb(xq, xk, freqs_cos, freqs_sin))


def test_each_row_may_have_positions_of_its_own(student):
    """With tables [B, T, d/2] the same token turns otherwise in each row.

    表为 [B, T, d/2] 时，同一个 token 在各行的旋转不同。
    """
    xq, xk = torch.randn(1, 4, 2, 6).expand(3, 4, 2, 6), torch.randn(3, 4, 1, 6)
    positions = torch.randint(0, 20, (3, 4))
    freqs_cos, freqs_sin = (table[positions] for table in precompute_freqs_cis(6, 20))
    got = student.apply_rotary_emb(xq, xk, freqs_cos, freqs_sin)
    check.close(got, apply_rotary_emb(xq, xk, freqs_cos, freqs_sin))


def test_the_tables_must_fit_the_queries(student):
    """Tables for more positions than there are tokens are refused: cut them first.

    表中的位置比 token 多时要拒绝：先截取。
    """
    x = torch.randn(2, 4, 2, 6)
    tables = precompute_freqs_cis(6, 9)
    check.raises(ValueError, lambda: student.apply_rotary_emb(x, x, *tables))


def test_half_precision_turns_in_float32_and_comes_back(student):
    """bfloat16 in, bfloat16 out; but in between in float32, so that only the last step rounds.

    输入输出都是 bfloat16；中间用 float32 计算，只在最后一步舍入。
    """

    def in_half(m, xq, xk, freqs_cos, freqs_sin, exact):
        """apply_rotary_emb(xq, xk, freqs_cos, freqs_sin), beside the exact answer

        apply_rotary_emb(xq, xk, freqs_cos, freqs_sin)，并与精确结果比较
        """
        got = m.apply_rotary_emb(xq, xk, freqs_cos, freqs_sin)
        off = [(one.float() - other).abs() for one, other in zip(got, exact, strict=True)]
        allowed = [2**-8 * other.abs() + 1e-5 for other in exact]  # one rounding is half of that
        once = [bool((d <= most).all()) for d, most in zip(off, allowed, strict=True)]
        return got[0], got[1], once

    xq, xk = (torch.randn(2, 16, heads, 32).bfloat16() for heads in (4, 2))
    tables = precompute_freqs_cis(32, 16)
    exact = apply_rotary_emb(xq.float(), xk.float(), *tables)
    *got, once = student.run(in_half, xq, xk, *tables, exact)
    check.close(got, [part.bfloat16() for part in exact])
    check.that(
        all(once),
        en="The turn was computed in bfloat16: go to float32 first, and do not cast the tables.",
        zh="旋转是在 bfloat16 下计算的：先转成 float32，也不要转换表的类型。",
        got=got[0],
        expected=exact[0],
    )


def test_the_queries_and_keys_that_came_in_stay_as_they_were(student):
    """New tensors come back; what was handed in is not written to.

    返回新的张量，不改动传入的张量。
    """

    def afterwards(m, xq, xk, freqs_cos, freqs_sin):
        """xq and xk, after apply_rotary_emb(xq, xk, freqs_cos, freqs_sin)

        执行 apply_rotary_emb(xq, xk, freqs_cos, freqs_sin) 之后的 xq 和 xk
        """
        xq, xk = xq.clone(), xk.clone()
        m.apply_rotary_emb(xq, xk, freqs_cos, freqs_sin)
        return xq, xk

    xq, xk = torch.randn(1, 4, 2, 6), torch.randn(1, 4, 2, 6)
    check.equal(student.run(afterwards, xq, xk, *precompute_freqs_cis(6, 4)), (xq, xk))


def test_heads_that_are_not_contiguous_are_turned_too(student):
    """Queries may come as a transposed view, and tables as a slice: memory order is no matter.

    查询可能是转置的视图，表可能是切片：内存顺序无关紧要。
    """

    def on_views(m, xq, xk, freqs_cos, freqs_sin):
        """apply_rotary_emb(xq.transpose(1, 2), xk.transpose(1, 3), …), the tables sliced

        apply_rotary_emb(xq.transpose(1, 2), xk.transpose(1, 3), …)，表是切片
        """
        xq, xk = xq.transpose(1, 2), xk.transpose(1, 3)
        return m.apply_rotary_emb(xq, xk, freqs_cos[::2].T.contiguous().T, freqs_sin[::2])

    given = (torch.randn(2, 3, 4, 6), torch.randn(2, 6, 2, 4), *precompute_freqs_cis(6, 8))
    check.close(student.run(on_views, *given), on_views(reference, *given))


def test_gradients_turn_back(student):
    """The gradient of a turn is the turn backwards: queries and keys both learn.

    旋转的梯度就是反向旋转：查询和键都能学习。
    """

    def gradients(m, xq, xk, along_q, along_k, freqs_cos, freqs_sin):
        """With q, k = apply_rotary_emb(xq, xk, …): the gradients of q * along_q + k * along_k

        令 q, k = apply_rotary_emb(xq, xk, …)：q * along_q + k * along_k 的梯度
        """
        xq, xk = xq.clone().requires_grad_(), xk.clone().requires_grad_()
        q, k = m.apply_rotary_emb(xq, xk, freqs_cos, freqs_sin)
        ((q * along_q).sum() + (k * along_k).sum()).backward()
        return xq.grad, xk.grad

    given = [torch.randn(2, 4, heads, 6) for heads in (4, 2, 4, 2)]
    given += precompute_freqs_cis(6, 4)
    got = student.run(gradients, *given)
    check.gradients(got, gradients(reference, *given), names=("xq", "xk"))


def test_a_score_knows_only_how_far_apart_two_tokens_are(student):
    """Moving query and key on by the same number of positions leaves their dot product alone.

    查询和键一起移动相同的位置数，点积不变。
    """

    def scores(m, q, k, apart, places):
        """The dot products of q and k, turned to positions that are `apart` apart

        q、k 旋转到相距 apart 的位置之后的点积
        """
        freqs_cos, freqs_sin = m.precompute_freqs_cis(q.size(-1), places + apart)
        q, k = q.expand(1, places, 1, -1), k.expand(1, places, 1, -1)
        later, _ = m.apply_rotary_emb(q, k, freqs_cos[apart:], freqs_sin[apart:])
        _, earlier = m.apply_rotary_emb(q, k, freqs_cos[:places], freqs_sin[:places])
        return (later * earlier).sum(-1).flatten()

    given = (torch.randn(8), torch.randn(8), 3, 10)
    got = student.run(scores, *given)
    check.close(got, scores(reference, *given), terms=64, scale=32.0)


def test_rows_go_from_pairs_to_halves_within_each_head(student):
    """Two heads of six rows, [a0 b0 a1 b1 a2 b2], become [a0 a1 a2 b0 b1 b2] each.

    两个头、每头六行 [a0 b0 a1 b1 a2 b2]，各自变成 [a0 a1 a2 b0 b1 b2]。
    """
    weight = torch.arange(12.0).view(12, 1)
    halves = torch.tensor([0.0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]).view(12, 1)
    check.equal(student.permute_for_hf(weight, 2), halves)


@pytest.mark.parametrize(("n_heads", "d", "D"), [(2, 6, 5), (1, 8, 3), (3, 4, 12), (4, 2, 8)])
def test_rows_move_and_columns_stay(student, n_heads, d, D):
    """Only rows move, whole, within their head, and no number changes.

    只移动整行，且不出自己的头；数值不变。
    """
    weight = torch.randn(n_heads * d, D)
    check.equal(student.permute_for_hf(weight, n_heads), permute_for_hf(weight, n_heads))


def test_half_precision_weights_move_without_rounding(student):
    """Rows are moved, not computed: bfloat16 stays bfloat16.

    行只是移动，没有计算：bfloat16 仍是 bfloat16。
    """
    weight = torch.randn(12, 4).bfloat16()
    check.equal(student.permute_for_hf(weight, 2), permute_for_hf(weight, 2))


def test_rows_that_do_not_make_even_heads_are_refused(student):
    """12 rows are no 5 heads, and 4 heads of 3 rows have no pairs: ValueError.

    12 行分不成 5 个头；4 个头各 3 行也无法成对：抛出 ValueError。
    """
    for n_heads in (5, 4):
        check.raises(ValueError, lambda n=n_heads: student.permute_for_hf(torch.ones(12, 4), n))


# ---- other right ways


@also_right("precompute_freqs_cis", en="in float64, through the exponential")
def in_double(dim, end, theta=10000.0):
    if dim % 2:
        raise ValueError("dim must be even")
    freqs = torch.exp(-torch.arange(0, dim, 2, dtype=torch.float64) / dim * math.log(theta))
    angles = torch.arange(end, dtype=torch.float64)[:, None] * freqs
    return [torch.cos(angles).float(), torch.sin(angles).float()]


@also_right("reshape_for_broadcast", en="by view, with a copy")
def by_view(freqs, x):
    B, T, _, half = x.shape
    if tuple(freqs.shape) not in ((T, half), (B, T, half)):
        raise ValueError("no fit")
    return freqs.contiguous().view(-1, T, 1, half).clone()


@also_right("apply_rotary_emb", en="with complex numbers, as in Meta's code")
def with_complex_numbers(xq, xk, freqs_cos, freqs_sin):
    turned = []
    for x in (xq, xk):
        pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2).contiguous())
        turn = reshape_for_broadcast(torch.complex(freqs_cos, freqs_sin), pairs)
        turned.append(torch.view_as_real(pairs * turn).flatten(3).to(x.dtype))
    return turned


@also_right("apply_rotary_emb", en="by even and odd features, in float64, into an empty tensor")
def by_even_and_odd(xq, xk, freqs_cos, freqs_sin):
    def turn(x):
        even, odd = x[..., 0::2].double(), x[..., 1::2].double()
        cos = reshape_for_broadcast(freqs_cos.double(), even)
        sin = reshape_for_broadcast(freqs_sin.double(), even)
        out = torch.zeros(x.shape, dtype=torch.float64)
        out[..., 0::2] = even * cos - odd * sin
        out[..., 1::2] = odd * cos + even * sin
        return out.to(x.dtype)

    return turn(xq), turn(xk)


@also_right("apply_rotary_emb", en="x cos + rotated x sin, with every angle standing twice")
def by_rotating_pairs(xq, xk, freqs_cos, freqs_sin):
    def turn(x):
        x32 = x.float()
        rotated = torch.stack((-x32[..., 1::2], x32[..., 0::2]), -1).flatten(-2)
        cos, sin = (reshape_for_broadcast(f, x[..., ::2]) for f in (freqs_cos, freqs_sin))
        cos, sin = (table.repeat_interleave(2, dim=-1) for table in (cos, sin))
        return (x32 * cos + rotated * sin).to(x.dtype)

    return turn(xq), turn(xk)


@also_right("permute_for_hf", en="by taking every other row of each head")
def every_other_row(weight, n_heads):
    d, rest = divmod(weight.size(0), n_heads)
    if rest or d % 2:
        raise ValueError("no even heads")
    heads = weight.split(d)
    return torch.cat([torch.cat((head[::2], head[1::2])) for head in heads])


# ---- mistakes that people make


def turned(x, freqs_cos, freqs_sin, backwards=False):
    first, second = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = (reshape_for_broadcast(f, first) for f in (freqs_cos, freqs_sin))
    sin = -sin if backwards else sin
    return first * cos - second * sin, first * sin + second * cos


def table_of(angles):
    return angles.cos(), angles.sin()


@known_wrong(
    "precompute_freqs_cis",
    en="The exponent is off by two: pair i has theta ** (-2i / dim). Take torch.arange(0, dim, 2) "
    "over dim.",
    zh="指数差了一倍：第 i 对是 theta ** (-2i / dim)。用 torch.arange(0, dim, 2) 除以 dim。",
)
def exponent_halved(dim, end, theta=10000.0):
    if dim % 2:
        raise ValueError(f"dim={dim} is odd")
    return table_of(torch.outer(torch.arange(end), theta ** (-torch.arange(dim // 2) / dim)))


@known_wrong(
    "precompute_freqs_cis",
    en="The exponent is doubled: divide torch.arange(0, dim, 2) by dim, not by dim / 2.",
    zh="指数大了一倍：torch.arange(0, dim, 2) 应除以 dim，而不是 dim / 2。",
)
def exponent_doubled(dim, end, theta=10000.0):
    if dim % 2:
        raise ValueError(f"dim={dim} is odd")
    return table_of(torch.outer(torch.arange(end), theta ** (-4 * torch.arange(dim // 2) / dim)))


@known_wrong(
    "precompute_freqs_cis",
    en="The frequencies grow with i: the exponent is negative, 1 / theta ** (2i / dim).",
    zh="频率随 i 增大了：指数应为负，即 1 / theta ** (2i / dim)。",
)
def exponent_positive(dim, end, theta=10000.0):
    if dim % 2:
        raise ValueError(f"dim={dim} is odd")
    freqs = theta ** (torch.arange(0, dim, 2).float() / dim)
    return table_of(torch.outer(torch.arange(end).float(), freqs))


@known_wrong(
    "precompute_freqs_cis",
    en="Your positions begin at 1: they begin at 0, where nothing turns.",
    zh="你的位置从 1 开始：应从 0 开始，位置 0 不旋转。",
)
def from_one(dim, end, theta=10000.0):
    return tuple(table[1:] for table in precompute_freqs_cis(dim, end + 1, theta))


@known_wrong(
    "precompute_freqs_cis",
    en="theta is never used: 10000 is only its default.",
    zh="没有用到 theta：10000 只是它的默认值。",
)
def theta_ignored(dim, end, theta=10000.0):
    return precompute_freqs_cis(dim, end)


@known_wrong(
    "precompute_freqs_cis",
    en="The tables come in the wrong order: cosines first, then sines.",
    zh="两张表的顺序反了：先余弦，后正弦。",
)
def sines_first(dim, end, theta=10000.0):
    return precompute_freqs_cis(dim, end, theta)[::-1]


@known_wrong(
    "precompute_freqs_cis",
    en="Each frequency stands twice, as in Hugging Face's tables: here a pair has one column, "
    "dim / 2 in all.",
    zh="每个频率出现了两次（Hugging Face 的表如此）：这里一对只占一列，共 dim / 2 列。",
)
def columns_doubled(dim, end, theta=10000.0):
    return tuple(torch.cat((t, t), dim=-1) for t in precompute_freqs_cis(dim, end, theta))


@known_wrong(
    "precompute_freqs_cis",
    en="You returned complex numbers, as Meta's code does: return their cosines and sines as two "
    "real tables.",
    zh="你返回了复数（Meta 的代码如此）：应返回余弦、正弦两张实数表。",
)
def as_complex(dim, end, theta=10000.0):
    return torch.complex(*precompute_freqs_cis(dim, end, theta))


@known_wrong(
    "precompute_freqs_cis",
    en="An odd dim gets through: raise a ValueError that names dim.",
    zh="奇数的 dim 没有被拒绝：应抛出提到 dim 的 ValueError。",
)
def odd_accepted(dim, end, theta=10000.0):
    freqs = 1.0 / theta ** (torch.arange(0, dim, 2)[: dim // 2].float() / dim)
    return table_of(torch.outer(torch.arange(end).float(), freqs))


@known_wrong(
    "reshape_for_broadcast",
    en="The positions stand on the axis of the heads: [1, 1, T, d/2]. x is [B, T, H, d/2], so the "
    "table is [1, T, 1, d/2].",
    zh="位置放到了头那一维：[1, 1, T, d/2]。x 是 [B, T, H, d/2]，表应为 [1, T, 1, d/2]。",
)
def on_the_heads(freqs, x):
    table = reshape_for_broadcast(freqs, x)
    return table.transpose(1, 2)


@known_wrong(
    "reshape_for_broadcast",
    en="A table that does not fit is let through: compare its shape with [T, d/2] and [B, T, d/2], "
    "and raise ValueError otherwise.",
    zh="没有拒绝不匹配的表：与 [T, d/2]、[B, T, d/2] 比较形状，不符就抛出 ValueError。",
)
def unchecked(freqs, x):
    return (freqs[None] if freqs.dim() < 3 else freqs).unsqueeze(-2)


@known_wrong(
    "reshape_for_broadcast",
    en="Only [T, d/2] is taken: a left-padded batch brings a table for each row, [B, T, d/2].",
    zh="只接受了 [T, d/2]：左填充的批次会带来每行一张的表 [B, T, d/2]。",
)
def one_table_only(freqs, x):
    if freqs.shape != (x.size(1), x.size(-1)):
        raise ValueError(f"freqs {tuple(freqs.shape)} does not fit")
    return freqs[None, :, None]


@known_wrong(
    "apply_rotary_emb",
    en="You paired feature i with i + d/2, as Hugging Face does (rotate_half). Here neighbours "
    "pair: (x0, x1), (x2, x3), ...",
    zh="你把第 i 个与第 i + d/2 个配对（Hugging Face 的 rotate_half）。"
    "这里是相邻两数成对：(x0, x1), (x2, x3), …",
)
def rotate_half(xq, xk, freqs_cos, freqs_sin):
    def turn(x):
        first, second = x.float().chunk(2, dim=-1)
        cos, sin = (reshape_for_broadcast(f, first) for f in (freqs_cos, freqs_sin))
        return torch.cat((first * cos - second * sin, first * sin + second * cos), -1).type_as(x)

    return turn(xq), turn(xk)


@known_wrong(
    "apply_rotary_emb",
    en="The turned pairs are not put back side by side: stack on a new last axis and flatten, "
    "where you joined two halves (cat).",
    zh="旋转后的两数没有放回相邻位置：你用 cat 拼成了前后两半；应在新的最后一维 stack 再 flatten。",
)
def halves_joined(xq, xk, freqs_cos, freqs_sin):
    return tuple(torch.cat(turned(x, freqs_cos, freqs_sin), -1).type_as(x) for x in (xq, xk))


@known_wrong(
    "apply_rotary_emb",
    en="You turned backwards: it is (a cos - b sin, a sin + b cos); mind which term has the minus.",
    zh="旋转方向反了：应是 (a cos - b sin, a sin + b cos)，注意负号在哪一项。",
)
def backwards(xq, xk, freqs_cos, freqs_sin):
    return apply_rotary_emb(xq, xk, freqs_cos, -freqs_sin)


@known_wrong(
    "apply_rotary_emb",
    en="Both terms have the same sign: the first of the pair is a cos MINUS b sin.",
    zh="两项的符号一样了：每对的第一个数是 a cos 减 b sin。",
)
def minus_forgotten(xq, xk, freqs_cos, freqs_sin):
    def turn(x):
        first, second = x.float().unflatten(-1, (-1, 2)).unbind(-1)
        cos, sin = (reshape_for_broadcast(f, first) for f in (freqs_cos, freqs_sin))
        pairs = (first * cos + second * sin, first * sin + second * cos)
        return torch.stack(pairs, -1).flatten(-2).type_as(x)

    return turn(xq), turn(xk)


@known_wrong(
    "apply_rotary_emb",
    en="The second of each pair was computed from the first one already turned: keep the old "
    "numbers until both are done.",
    zh="算第二个数时用了已经旋转过的第一个数：两个都算完之前要保留原值。",
)
def second_from_the_turned(xq, xk, freqs_cos, freqs_sin):
    def turn(x):
        first, second = x.float().unflatten(-1, (-1, 2)).unbind(-1)
        cos, sin = (reshape_for_broadcast(f, first) for f in (freqs_cos, freqs_sin))
        first = first * cos - second * sin
        return torch.stack((first, first * sin + second * cos), -1).flatten(-2).type_as(x)

    return turn(xq), turn(xk)


@known_wrong(
    "apply_rotary_emb",
    en="The keys are given back as they came: turn them as you turn the queries.",
    zh="键原样返回了：要像查询那样旋转。",
)
def keys_not_turned(xq, xk, freqs_cos, freqs_sin):
    return apply_rotary_emb(xq, xk, freqs_cos, freqs_sin)[0], xk


@known_wrong(
    "apply_rotary_emb",
    en="The result stays in float32: come back to the dtype of xq and xk with type_as.",
    zh="结果停留在 float32：要用 type_as 转回 xq、xk 的 dtype。",
)
def left_in_float32(xq, xk, freqs_cos, freqs_sin):
    return apply_rotary_emb(xq.float(), xk.float(), freqs_cos, freqs_sin)


@known_wrong(
    "apply_rotary_emb",
    en="The turn is computed in half precision: call .float() on xq and xk, and do not cast the "
    "tables down.",
    zh="旋转是在半精度下计算的：对 xq、xk 调用 .float()，也不要把表转成半精度。",
)
def in_half_precision(xq, xk, freqs_cos, freqs_sin):
    def turn(x):
        first, second = x.unflatten(-1, (-1, 2)).unbind(-1)
        cos, sin = (reshape_for_broadcast(f.to(x.dtype), first) for f in (freqs_cos, freqs_sin))
        return torch.stack((first * cos - second * sin, first * sin + second * cos), -1).flatten(-2)

    return turn(xq), turn(xk)


@known_wrong(
    "apply_rotary_emb",
    en="You wrote into xq and xk themselves (x.float() of a float32 tensor is that tensor): make "
    "new ones.",
    zh="你写进了 xq、xk 本身（float32 张量的 x.float() 就是它自己）：应生成新的张量。",
)
def in_place(xq, xk, freqs_cos, freqs_sin):
    q, k = apply_rotary_emb(xq, xk, freqs_cos, freqs_sin)
    with torch.no_grad():
        return xq.copy_(q) if not xq.requires_grad else q, xk.copy_(
            k
        ) if not xk.requires_grad else k


@known_wrong(
    "apply_rotary_emb",
    en="The result is cut off from the graph (no_grad, detach or .data): wq and wk cannot learn.",
    zh="结果与计算图断开了（no_grad、detach 或 .data）：wq、wk 无法学习。",
)
def detached(xq, xk, freqs_cos, freqs_sin):
    return apply_rotary_emb(xq.detach(), xk.detach(), freqs_cos, freqs_sin)


@known_wrong(
    "permute_for_hf",
    en="That is the way back, from halves to pairs: view the rows as [H, d/2, 2, D] and swap the "
    "middle axes.",
    zh="方向反了，那是从两半回到相邻：应把行看成 [H, d/2, 2, D] 再交换中间两维。",
)
def way_back(weight, n_heads):
    rows, width = weight.shape
    if rows % (2 * n_heads):
        raise ValueError(f"{rows} rows")
    return weight.view(n_heads, 2, -1, width).transpose(1, 2).reshape(rows, width)


@known_wrong(
    "permute_for_hf",
    en="You reordered all rows as one head: each head keeps its own rows.",
    zh="你把所有行当成了一个头来重排：每个头的行只在自己内部移动。",
)
def across_heads(weight, n_heads):
    if weight.size(0) % (2 * n_heads):
        raise ValueError(f"{weight.size(0)} rows")
    return torch.cat((weight[0::2], weight[1::2]))


@known_wrong(
    "permute_for_hf",
    en="Nothing moved: the two middle axes of [H, d/2, 2, D] must be swapped before you flatten.",
    zh="行没有移动：展平之前要交换 [H, d/2, 2, D] 的中间两维。",
)
def nothing_moved(weight, n_heads):
    if weight.size(0) % (2 * n_heads):
        raise ValueError(f"{weight.size(0)} rows")
    return weight.clone()


@known_wrong(
    "permute_for_hf",
    en="Rows that do not divide into even heads are not refused with ValueError.",
    zh="行数分不成偶数维的头时，没有抛出 ValueError。",
)
def rows_unchecked(weight, n_heads):
    rows, width = weight.shape
    d = rows // n_heads
    heads = weight[: n_heads * d].reshape(n_heads, d, width)
    return torch.cat((heads[:, 0::2], heads[:, 1::2]), 1).reshape(-1, width)


# ---- mutants that change nothing

NO_GRADIENT = "the tables are made from integers, and carry no gradient"

EQUIVALENT = (
    equivalent_mutant(
        "precompute_freqs_cis",
        "freqs = 1.0 / theta ** (torch.arange(0, dim, 2).float() / dim)",
        "freqs = 1.0 / theta ** (torch.arange(0, dim, 2) / dim)",
        because="a division of integers is float32",
    ),
    equivalent_mutant(
        "precompute_freqs_cis",
        "angles = torch.outer(torch.arange(end).float(), freqs)",
        "angles = torch.outer(torch.arange(end), freqs)",
        because="the frequencies are float32, so the outer product is",
    ),
    equivalent_mutant(
        "precompute_freqs_cis",
        "return angles.cos(), angles.sin()",
        "return angles.cos().detach(), angles.sin()",
        because=NO_GRADIENT,
    ),
    equivalent_mutant(
        "precompute_freqs_cis",
        "return angles.cos(), angles.sin()",
        "return angles.cos(), angles.sin().detach()",
        because=NO_GRADIENT,
    ),
    equivalent_mutant(
        "reshape_for_broadcast",
        "return freqs.unsqueeze(2)",
        "return freqs.unsqueeze(2).detach()",
        because=NO_GRADIENT,
    ),
    equivalent_mutant(
        "apply_rotary_emb",
        "turns = torch.view_as_complex(torch.stack((freqs_cos, freqs_sin), dim=-1).float())",
        "turns = torch.view_as_complex(torch.stack((freqs_cos, freqs_sin), dim=-1))",
        because="the tables are float32 already",
    ),
)
