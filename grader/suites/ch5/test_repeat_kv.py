"""Hidden suite of ch5/repeat_kv."""

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.llama import attention as reference
from happyllm.llama.attention import repeat_kv


@pytest.mark.parametrize(("n_kv_heads", "n_rep"), [(2, 3), (4, 2), (1, 8)])
def test_each_kv_head_serves_a_run_of_query_heads(student, n_kv_heads, n_rep):
    """Each key/value head stands n_rep times in a row, before the next one begins.

    每个键值头连续出现 n_rep 次，然后才轮到下一个头。
    """
    x = torch.randn(2, 5, n_kv_heads, 8)
    check.equal(student.repeat_kv(x, n_rep), repeat_kv(x, n_rep))


def test_with_one_repetition_the_heads_stay_as_they_are(student):
    """With n_rep = 1, as in plain multi-head attention, nothing changes.

    n_rep = 1（普通多头注意力）时，什么都不变。
    """
    x = torch.randn(2, 3, 4, 6)
    check.equal(student.repeat_kv(x, 1), x)


def test_the_dtype_is_that_of_the_input(student):
    """Heads are copied, not computed: bfloat16 stays bfloat16, to the last bit.

    头只是被复制，没有计算：bfloat16 仍是 bfloat16，一位不差。
    """
    x = torch.randn(1, 4, 2, 8).to(torch.bfloat16)
    check.equal(student.repeat_kv(x, 2), repeat_kv(x, 2))


def test_it_takes_keys_that_are_not_contiguous(student):
    """Keys often come as a transposed view; their memory order must not matter.

    键常常是转置得到的视图；内存顺序不应影响结果。
    """

    def on_a_transposed_view(m, x, n_rep):
        """repeat_kv(x.transpose(1, 2), n_rep)"""
        return m.repeat_kv(x.transpose(1, 2), n_rep)

    x = torch.randn(2, 3, 6, 4)
    got = student.run(on_a_transposed_view, x, 2)
    check.equal(got, on_a_transposed_view(reference, x, 2))


@pytest.mark.parametrize("n_rep", [3, 1])
def test_the_gradients_of_the_copies_add_up(student, n_rep):
    """Every copy sends its gradient back: a shared head learns from all its query heads.

    每个副本都把梯度传回：共享的头向它服务的所有查询头学习。
    """

    def gradient(m, x, n_rep, weight):
        """The gradient of (repeat_kv(x, n_rep) * weight).sum() for x

        (repeat_kv(x, n_rep) * weight).sum() 对 x 的梯度
        """
        x = x.clone().requires_grad_()
        (m.repeat_kv(x, n_rep) * weight).sum().backward()
        return x.grad

    x, weight = torch.randn(2, 3, 2, 4), torch.randn(2, 3, 2 * n_rep, 4)
    got = student.run(gradient, x, n_rep, weight)
    check.gradients(got, gradient(reference, x, n_rep, weight), names=("x",))


# ---- other right ways, and mutants that change nothing


@also_right("repeat_kv", en="the library's own")
def interleaved(x, n_rep):
    return torch.repeat_interleave(x, n_rep, dim=2)


@also_right("repeat_kv", en="by index")
def indexed(x, n_rep):
    return x[:, :, torch.arange(x.size(2) * n_rep) // n_rep]


@also_right("repeat_kv", en="head by head, stacked")
def stacked(x, n_rep):
    return torch.stack([x] * n_rep, dim=3).flatten(2, 3)


@also_right("repeat_kv", en="a product with a matrix of ones and zeros, in the dtype of x")
def by_einsum(x, n_rep):
    copies = torch.eye(x.size(2), dtype=x.dtype).repeat_interleave(n_rep, dim=0)
    return torch.einsum("btkd,hk->bthd", x, copies)


EQUIVALENT = (
    equivalent_mutant(
        "repeat_kv",
        "if n_rep == 1:",
        "if False:",
        because="A shortcut only: one repetition by expand and reshape gives the same heads.",
    ),
    equivalent_mutant(
        "repeat_kv",
        "if n_rep == 1:",
        "if n_rep == 0:",
        because="As without the shortcut; no group has 0 query heads a key/value head.",
    ),
)


# ---- mistakes that people make


@known_wrong(
    "repeat_kv",
    en="You tiled the heads [K1, K2, K1, K2]; each head must repeat in place [K1, K1, K2, K2].",
    zh="你把整组头平铺成了 [K1, K2, K1, K2]；应让每个头原地重复 [K1, K1, K2, K2]。",
)
def tiled(x, n_rep):
    return x.repeat(1, 1, n_rep, 1)


@known_wrong(
    "repeat_kv",
    en="You repeated the positions (dimension 1) in place of the heads (dimension 2).",
    zh="你重复的是位置（第 1 维），应当重复头（第 2 维）。",
)
def repeated_positions(x, n_rep):
    return x.repeat_interleave(n_rep, dim=1)


@known_wrong(
    "repeat_kv",
    en="You repeated the numbers inside each head (the last dimension) in place of the heads.",
    zh="你重复的是每个头内部的数（最后一维），应当重复头本身。",
)
def repeated_features(x, n_rep):
    return x.repeat_interleave(n_rep, dim=-1)


@known_wrong(
    "repeat_kv",
    en="You gave the heads back as they came; with n_rep > 1 each must appear n_rep times.",
    zh="你原样返回了这些头；n_rep > 1 时每个头要出现 n_rep 次。",
)
def unchanged(x, n_rep):
    return x


@known_wrong(
    "repeat_kv",
    en="Your new axis is not next to the heads: expanding before the head axis and reshaping tiles "
    "the heads. Put it right after them, x[:, :, :, None, :].",
    zh="新的一维没有紧跟头维：在头维之前 expand 再 reshape 会变成平铺。应写 x[:, :, :, None, :]。",
)
def transposed_heads(x, n_rep):
    B, T, K, d = x.shape
    return x.transpose(1, 2)[:, :, :, None].expand(B, K, T, n_rep, d).reshape(B, T, K * n_rep, d)


@known_wrong(
    "repeat_kv",
    en="The copies are cut off from the graph (detach, .data or no_grad): no gradient flows back.",
    zh="副本与计算图断开了（detach、.data 或 no_grad）：梯度传不回去。",
)
def detached(x, n_rep):
    return x.detach().repeat_interleave(n_rep, dim=2)
