"""Hidden suite of ch5/repeat_kv."""

import pytest
import torch

from grader.judge import check
from grader.judge.diagnosis import known_wrong
from happyllm.llama.attention import repeat_kv


@pytest.mark.parametrize(("n_kv_heads", "n_rep"), [(2, 3), (4, 2), (1, 8), (3, 1)])
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


@known_wrong(
    "repeat_kv",
    en="You tiled the heads [K1, K2, K1, K2]; each head must repeat in place [K1, K1, K2, K2].",
    zh="你把整组头平铺成了 [K1, K2, K1, K2]；应让每个头原地重复 [K1, K1, K2, K2]。",
)
def tiled(x, n_rep):
    return x.repeat(1, 1, n_rep, 1)
