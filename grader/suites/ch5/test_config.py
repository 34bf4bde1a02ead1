"""Hidden suite of ch5/config."""

import math
import random
from copy import copy

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.llama.config import ModelConfig, ffn_hidden_dim

INTEGERS = (
    *("dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size"),
    *("hidden_dim", "multiple_of", "max_seq_len"),
)
FLOATS = ("norm_eps", "dropout", "rope_theta")
SWITCHES = ("flash_attn", "tie_word_embeddings")


def test_the_mlp_width_is_that_of_the_published_model(student):
    """LLaMA2 7B, with dim=4096 and multiple_of=256, has an MLP 11008 wide.

    LLaMA2 7B（dim=4096，multiple_of=256）的 MLP 宽度是 11008。
    """
    check.equal(student.ffn_hidden_dim(4096, 256), 11008)


def test_a_width_that_is_a_multiple_already_stays(student):
    """2/3 of 4 * 768 is 2048, a multiple of 64: there is nothing to round.

    4 * 768 的 2/3 是 2048，已是 64 的倍数：无需取整。
    """
    check.equal(student.ffn_hidden_dim(768, 64), 2048)


def test_the_mlp_width_is_two_thirds_of_four_times_dim_rounded_up_to_a_multiple(student):
    """Two thirds of 4 * dim, cut to a whole number, then up to the next multiple of multiple_of.

    取 4 * dim 的三分之二，去掉小数部分，再向上取到 multiple_of 的倍数。
    """
    assorted = [(64, 1), (66, 1), (65, 1), (64, 10), (96, 256), (96, 250), (30, 16)]
    assorted += [(random.randrange(8, 3000), random.choice([1, 2, 8, 100])) for _ in range(6)]
    for dim, multiple_of in assorted:
        got = student.ffn_hidden_dim(dim, multiple_of)
        expected = ffn_hidden_dim(dim, multiple_of)
        check.that(
            type(got) is int and got == expected,
            en=f"With dim={dim} and multiple_of={multiple_of} the width is {got!r}; {expected} is "
            f"expected: {8 * dim // 3}, up to a multiple of {multiple_of}.",
            zh=f"dim={dim}、multiple_of={multiple_of} 时宽度是 {got!r}，应为 {expected}："
            f"{8 * dim // 3} 向上取到 {multiple_of} 的倍数。",
            got=got,
            expected=expected,
        )


def test_a_width_that_is_given_is_used_as_it_is(student):
    """Who names the hidden width gets exactly that: no two thirds, no rounding.

    明确给出的隐藏宽度原样使用：不取三分之二，也不取整。
    """
    check.equal(student.ffn_hidden_dim(768, 64, 1000), 1000)
    check.equal(student.ffn_hidden_dim(32, 256, hidden_dim=7), 7)


def test_the_heads_share_the_width(student):
    """A head has dim / n_heads numbers, whatever the number of key/value heads.

    每个头有 dim / n_heads 个数，与键值头的个数无关。
    """
    for dim, n_heads, n_kv_heads in [(64, 8, 2), (48, 4, 4), (32, 16, 1), (30, 3, 3)]:
        config = student.ModelConfig(dim=dim, n_heads=n_heads, n_kv_heads=n_kv_heads)
        check.equal(config.head_dim, dim // n_heads)


def test_query_heads_share_the_key_value_heads(student):
    """Each key/value head serves n_heads / n_kv_heads query heads.

    每个键值头服务 n_heads / n_kv_heads 个查询头。
    """
    for n_heads, n_kv_heads in [(8, 2), (8, 8), (8, 1), (12, 4)]:
        config = student.ModelConfig(dim=96, n_heads=n_heads, n_kv_heads=n_kv_heads)
        check.equal(config.n_rep, n_heads // n_kv_heads)


def test_without_a_number_of_key_value_heads_there_are_as_many_as_query_heads(student):
    """n_kv_heads=None means ordinary multi-head attention: it becomes n_heads.

    n_kv_heads=None 表示普通多头注意力：它应变成 n_heads。
    """
    config = student.ModelConfig(dim=60, n_heads=6, n_kv_heads=None)
    check.equal(config.n_kv_heads, 6)
    check.equal(config.n_rep, 1)


def test_the_mlp_width_follows_from_the_fields(student):
    """ffn_dim asks ffn_hidden_dim with the config's own dim, multiple_of and hidden_dim.

    ffn_dim 用配置自己的 dim、multiple_of、hidden_dim 去调用 ffn_hidden_dim。
    """
    check.equal(student.ModelConfig(dim=96, n_heads=4, n_kv_heads=2, multiple_of=50).ffn_dim, 300)
    check.equal(student.ModelConfig(dim=96, n_heads=4, n_kv_heads=2, hidden_dim=77).ffn_dim, 77)


def test_good_values_at_the_edges_are_taken(student):
    """No dropout, almost all dropout, and whole numbers for a float field are all in order.

    dropout 为 0 或接近 1，以及给浮点字段传整数，都是允许的。
    """
    check.equal(student.ModelConfig(dropout=0, rope_theta=500000, norm_eps=1).dropout, 0)
    check.close(student.ModelConfig(dropout=0.99, rope_theta=0.5).dropout, 0.99)
    config = student.ModelConfig(dim=2, n_heads=1, n_kv_heads=1, n_layers=1, vocab_size=1)
    check.equal(config.head_dim, 2)


def test_a_size_that_is_not_positive_is_refused_by_name(student):
    """No size can be zero or negative; the ValueError names the field.

    任何尺寸都不能是零或负数；ValueError 的消息要写出字段名。
    """
    for name in INTEGERS:
        for value in (0, -4):
            wrong = {name: value}
            check.raises(ValueError, lambda w=wrong: student.ModelConfig(**w), match=name)


def test_numbers_out_of_range_are_refused_by_name(student):
    """norm_eps and rope_theta must be above 0, and dropout in [0, 1).

    norm_eps 和 rope_theta 必须大于 0，dropout 必须在 [0, 1) 内。
    """
    outside = [("norm_eps", 0.0), ("norm_eps", -1e-5), ("rope_theta", 0.0), ("rope_theta", -1.0)]
    outside += [("dropout", -0.1), ("dropout", 1.5)]
    for name, value in outside:
        wrong = {name: value}
        check.raises(ValueError, lambda w=wrong: student.ModelConfig(**w), match=name)


def test_to_drop_everything_is_refused(student):
    """With dropout=1 nothing is left to learn from: 1 itself is out of range.

    dropout=1 会丢掉全部信息：1 本身不在范围内。
    """
    check.raises(ValueError, lambda: student.ModelConfig(dropout=1.0), match="dropout")


def test_nan_is_refused_by_name(student):
    """NaN is neither above nor below anything: ask for what is right, not for what is wrong.

    NaN 与任何数都比不出大小：应判断“合法”，而不是判断“不合法”。
    """
    for name in FLOATS:
        wrong = {name: math.nan}
        check.raises(ValueError, lambda w=wrong: student.ModelConfig(**w), match=name)


def test_heads_that_cannot_be_shared_out_evenly_are_refused(student):
    """dim must be a multiple of n_heads, and n_heads of n_kv_heads; the error names both fields.

    dim 必须是 n_heads 的倍数，n_heads 必须是 n_kv_heads 的倍数；报错要写出这两个字段。
    """

    def uneven_width():
        return student.ModelConfig(dim=100, n_heads=8, n_kv_heads=4)

    def uneven_heads():
        return student.ModelConfig(dim=96, n_heads=6, n_kv_heads=4)

    def more_than_query_heads():
        return student.ModelConfig(dim=64, n_heads=4, n_kv_heads=8)

    check.raises(ValueError, uneven_width, match="dim")
    check.raises(ValueError, uneven_width, match="n_heads")
    for uneven in (uneven_heads, more_than_query_heads):
        check.raises(ValueError, uneven, match="n_heads")
        check.raises(ValueError, uneven, match="n_kv_heads")


def test_heads_of_odd_size_are_refused(student):
    """RoPE turns numbers in pairs, so a head of odd size cannot be.

    RoPE 成对旋转，所以每个头的维度不能是奇数。
    """
    check.raises(
        ValueError, lambda: student.ModelConfig(dim=12, n_heads=4, n_kv_heads=2), match="dim"
    )


def test_a_value_of_the_wrong_type_is_refused_by_name(student):
    """Text is no number, 8.0 is no count, and 1 is no switch: a TypeError names the field.

    文本不是数，8.0 不是个数，1 不是开关：要抛出写明字段名的 TypeError。
    """
    values = {
        **dict.fromkeys(INTEGERS, (8.0, "8")),
        **dict.fromkeys(FLOATS, ("0.5", [0.5], None)),
        **dict.fromkeys(SWITCHES, ("True", 1, None)),
    }
    for name in values:
        for value in values[name]:
            wrong = {name: value}
            check.raises(TypeError, lambda w=wrong: student.ModelConfig(**w), match=name)


def test_true_is_not_a_number(student):
    """In Python True is an int, but nobody means one layer by n_layers=True: it is refused.

    Python 中 True 也是 int，但没人会用 n_layers=True 表示一层：应当拒绝。
    """
    for name in ("n_layers", "vocab_size", "hidden_dim", "norm_eps", "dropout"):
        wrong = {name: True}
        check.raises(TypeError, lambda w=wrong: student.ModelConfig(**w), match=name)


def test_a_config_does_not_change(student):
    """The checks hold for good, because a field cannot be set afterwards.

    字段之后不能再改，所以检查过的结果一直成立。
    """
    config = student.ModelConfig(dim=64, n_heads=4, n_kv_heads=2)
    check.raises(AttributeError, lambda: setattr(config, "n_heads", 3))


# ---- other right ways


@also_right("ffn_hidden_dim", en="in floats, with math.ceil")
def in_floats(dim, multiple_of, hidden_dim=None):
    if hidden_dim is None:
        hidden_dim = math.ceil(int(2 / 3 * (4 * dim)) / multiple_of) * multiple_of
    return hidden_dim


@also_right("ffn_hidden_dim", en="as Meta's code has it, but for a width that is given")
def rounded_by_remainder(dim, multiple_of, hidden_dim=None):
    width = int(2 * (4 * dim) / 3)
    return hidden_dim or width + -width % multiple_of


@also_right("ModelConfig.__post_init__", en="field by field, in another order, in other words")
def field_by_field(self):
    for name in SWITCHES:
        if type(getattr(self, name)) is not bool:
            raise TypeError(f"'{name}' has to be a bool")
    for name in FLOATS:
        if type(getattr(self, name)) not in (int, float):
            raise TypeError(f"'{name}' has to be a float")
    if self.n_kv_heads is None:
        self.__dict__["n_kv_heads"] = self.n_heads
    for name in reversed(INTEGERS):
        value = getattr(self, name)
        if name == "hidden_dim" and value is None:
            continue
        if type(value) is not int:
            raise TypeError(f"'{name}' has to be an int")
        if value < 1:
            raise ValueError(f"'{name}' has to be at least 1")
    for name in FLOATS:
        value = getattr(self, name)
        if not (0 <= value < 1 if name == "dropout" else value > 0):
            raise ValueError(f"'{name}' is out of range")
    if self.n_heads % self.n_kv_heads != 0:
        raise ValueError("n_heads cannot be shared out among n_kv_heads")
    if self.dim % (2 * self.n_heads) != 0:
        raise ValueError("dim has to be n_heads times an even number")


# ---- mistakes that people make

refuse = ModelConfig.__post_init__


def refuse_as_if(self, **others):
    """Check a config as the reference does, as if some fields had other values."""
    twin = copy(self)
    for name, value in others.items():
        object.__setattr__(twin, name, value)
    refuse(twin)
    n_kv_heads = self.n_heads if self.n_kv_heads is None else self.n_kv_heads
    object.__setattr__(self, "n_kv_heads", n_kv_heads)


@known_wrong(
    "ffn_hidden_dim",
    en="You rounded down to a multiple of multiple_of. Round up: add multiple_of - 1 before "
    "the whole division.",
    zh="你向下取到了 multiple_of 的倍数。应向上取：整除之前先加 multiple_of - 1。",
)
def rounded_down(dim, multiple_of, hidden_dim=None):
    return multiple_of * (8 * dim // 3 // multiple_of) if hidden_dim is None else hidden_dim


@known_wrong(
    "ffn_hidden_dim",
    en="You always go on to the next multiple, even from a width that is one already "
    "(2048 became 2112): add multiple_of - 1, not multiple_of.",
    zh="宽度已经是倍数时你也跳到了下一个倍数（2048 变成了 2112）："
    "应加 multiple_of - 1，而不是 multiple_of。",
)
def always_the_next(dim, multiple_of, hidden_dim=None):
    return multiple_of * (8 * dim // 3 // multiple_of + 1) if hidden_dim is None else hidden_dim


@known_wrong(
    "ffn_hidden_dim",
    en="You left out the 2/3: SwiGLU has three matrices, so its width is 2/3 of 4 * dim.",
    zh="你漏了 2/3：SwiGLU 有三个矩阵，宽度应是 4 * dim 的 2/3。",
)
def without_two_thirds(dim, multiple_of, hidden_dim=None):
    return -(-4 * dim // multiple_of) * multiple_of if hidden_dim is None else hidden_dim


@known_wrong(
    "ffn_hidden_dim",
    en="You took 2/3 of dim; take 2/3 of 4 * dim.",
    zh="你取的是 dim 的 2/3；应取 4 * dim 的 2/3。",
)
def without_the_four(dim, multiple_of, hidden_dim=None):
    return -(-(2 * dim // 3) // multiple_of) * multiple_of if hidden_dim is None else hidden_dim


@known_wrong(
    "ffn_hidden_dim",
    en="The fraction of 2/3 * 4 * dim pushed you up to the next multiple: cut it off with "
    "int(...) before you round up.",
    zh="2/3 * 4 * dim 的小数部分把结果推到了下一个倍数：向上取整之前先用 int(...) 截掉小数。",
)
def fraction_rounded_up(dim, multiple_of, hidden_dim=None):
    return -(-8 * dim // (3 * multiple_of)) * multiple_of if hidden_dim is None else hidden_dim


@known_wrong(
    "ffn_hidden_dim",
    en="You returned a float: keep to whole numbers, with int(...) and //.",
    zh="你返回了浮点数：请用 int(...) 和 // 保持整数。",
)
def as_a_float(dim, multiple_of, hidden_dim=None):
    return float(ffn_hidden_dim(dim, multiple_of)) if hidden_dim is None else hidden_dim


@known_wrong(
    "ffn_hidden_dim",
    en="You never look at hidden_dim: where it is given, it is the answer.",
    zh="你没有使用 hidden_dim：给出时它就是答案。",
)
def given_width_ignored(dim, multiple_of, hidden_dim=None):
    return ffn_hidden_dim(dim, multiple_of)


@known_wrong(
    "ffn_hidden_dim",
    en="You rounded a hidden_dim that was given: return it as it is.",
    zh="给出的 hidden_dim 也被你取整了：应原样返回。",
)
def given_width_rounded(dim, multiple_of, hidden_dim=None):
    width = 8 * dim // 3 if hidden_dim is None else hidden_dim
    return -(-width // multiple_of) * multiple_of


@known_wrong(
    "ffn_hidden_dim",
    en="You took 2/3 of a hidden_dim that was given, as Meta's code does; here it is returned as "
    "it is.",
    zh="你对给出的 hidden_dim 也取了 2/3（Meta 的代码如此）；这里应原样返回。",
)
def given_width_cut(dim, multiple_of, hidden_dim=None):
    width = 2 * (4 * dim if hidden_dim is None else hidden_dim) // 3
    return -(-width // multiple_of) * multiple_of


@known_wrong(
    "ModelConfig",
    en="head_dim divides dim by n_kv_heads; it is dim / n_heads.",
    zh="head_dim 用 n_kv_heads 去除 dim；应是 dim / n_heads。",
)
class HeadOfKeyValueHeads(ModelConfig):
    @property
    def head_dim(self):
        return self.dim // self.n_kv_heads


@known_wrong(
    "ModelConfig",
    en="head_dim or n_rep is a float: divide with //, because sizes are whole numbers.",
    zh="head_dim 或 n_rep 成了浮点数：尺寸是整数，要用 // 做除法。",
)
class TrueDivision(ModelConfig):
    @property
    def head_dim(self):
        return self.dim / self.n_heads

    @property
    def n_rep(self):
        return self.n_heads / self.n_kv_heads


@known_wrong(
    "ModelConfig",
    en="n_rep is upside down: it is n_heads / n_kv_heads, the query heads of one key/value head.",
    zh="n_rep 除反了：应是 n_heads / n_kv_heads，即一个键值头对应的查询头数。",
)
class UpsideDown(ModelConfig):
    @property
    def n_rep(self):
        return self.n_kv_heads // self.n_heads


@known_wrong(
    "ModelConfig",
    en="ffn_dim forgets the field hidden_dim: hand it on to ffn_hidden_dim.",
    zh="ffn_dim 忘了 hidden_dim 字段：要把它传给 ffn_hidden_dim。",
)
class WidthForgotten(ModelConfig):
    @property
    def ffn_dim(self):
        return ffn_hidden_dim(self.dim, self.multiple_of)


@known_wrong(
    "ModelConfig",
    en="The config can still be changed after it was checked: keep @dataclass(frozen=True), and "
    "fill in n_kv_heads with object.__setattr__.",
    zh="配置检查之后还能被修改：保留 @dataclass(frozen=True)，"
    "用 object.__setattr__ 填入 n_kv_heads。",
)
class Thawed(ModelConfig):
    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)


@known_wrong(
    "ModelConfig.__post_init__",
    en="n_kv_heads stays None: set it to n_heads, with object.__setattr__ as the class is frozen.",
    zh="n_kv_heads 仍是 None：要设为 n_heads；类是冻结的，所以用 object.__setattr__。",
)
def left_none(self):
    given = self.n_kv_heads
    refuse(self)
    object.__setattr__(self, "n_kv_heads", given)


@known_wrong(
    "ModelConfig.__post_init__",
    en="`n_kv_heads or n_heads` takes 0 for None: ask `is None`, so that 0 is refused.",
    zh="`n_kv_heads or n_heads` 把 0 当成了 None：应判断 `is None`，让 0 被拒绝。",
)
def zero_taken_for_none(self):
    object.__setattr__(self, "n_kv_heads", self.n_kv_heads or self.n_heads)
    refuse(self)


@known_wrong(
    "ModelConfig.__post_init__",
    en="A size of zero gets through: refuse `<= 0`, not only `< 0`.",
    zh="尺寸为 0 没有被拒绝：应判断 `<= 0`，而不只是 `< 0`。",
)
def zero_gets_through(self):
    names = [name for name in INTEGERS if type(getattr(self, name)) is int]
    zeros = [name for name in names if getattr(self, name) == 0]
    refuse_as_if(self, **{name: getattr(ModelConfig, name) for name in zeros})


@known_wrong(
    "ModelConfig.__post_init__",
    en="A bool passes for a number: isinstance(True, int) holds, so refuse bool first.",
    zh="布尔值被当成了数：isinstance(True, int) 成立，所以要先排除 bool。",
)
def true_is_one(self):
    values = {name: getattr(self, name) for name in (*INTEGERS, *FLOATS)}
    bools = {name: value for name, value in values.items() if isinstance(value, bool)}
    refuse_as_if(self, **{name: int(value) for name, value in bools.items()})


@known_wrong(
    "ModelConfig.__post_init__",
    en="NaN gets through: `if norm_eps <= 0` is False for NaN. Write `if not norm_eps > 0`.",
    zh="NaN 溜过去了：`if norm_eps <= 0` 对 NaN 为假。应写 `if not norm_eps > 0`。",
)
def nan_gets_through(self):
    values = {name: getattr(self, name) for name in FLOATS}
    refuse_as_if(self, **{name: 0.5 for name, value in values.items() if value != value})


@known_wrong(
    "ModelConfig.__post_init__",
    en="A float field refuses whole numbers: dropout=0 and rope_theta=500000 are in order.",
    zh="浮点字段拒绝了整数：dropout=0、rope_theta=500000 都是合法的。",
)
def floats_only(self):
    for name in FLOATS:
        if not isinstance(value := getattr(self, name), float):
            raise TypeError(f"{name}={value!r} must be a float")
    refuse(self)


@known_wrong(
    "ModelConfig.__post_init__",
    en="dropout=1 gets through: the range is [0, 1), so 1 itself is refused.",
    zh="dropout=1 没有被拒绝：范围是 [0, 1)，不含 1。",
)
def all_dropped(self):
    is_one = type(self.dropout) in (int, float) and self.dropout == 1
    refuse_as_if(self, **({"dropout": 0.0} if is_one else {}))


@known_wrong(
    "ModelConfig.__post_init__",
    en="Types are not checked: ask isinstance of every field, and raise a TypeError naming it.",
    zh="没有检查类型：对每个字段用 isinstance 判断，不符就抛出写明字段名的 TypeError。",
)
def types_unchecked(self):
    n_kv_heads = self.n_heads if self.n_kv_heads is None else self.n_kv_heads
    object.__setattr__(self, "n_kv_heads", n_kv_heads)
    for name in INTEGERS:
        if (value := getattr(self, name)) is not None and value <= 0:
            raise ValueError(f"{name}={value} must be positive")
    if not (self.norm_eps > 0 and self.rope_theta > 0 and 0 <= self.dropout < 1):
        raise ValueError("norm_eps, rope_theta or dropout is out of range")
    if self.dim % self.n_heads or self.n_heads % n_kv_heads:
        raise ValueError("dim, n_heads and n_kv_heads do not fit")
    if self.dim // self.n_heads % 2:
        raise ValueError("dim / n_heads is odd")


@known_wrong(
    "ModelConfig.__post_init__",
    en="You asked whether n_kv_heads is a multiple of n_heads; it is n_heads that must be a "
    "multiple of n_kv_heads.",
    zh="整除的方向反了：应是 n_heads 能被 n_kv_heads 整除。",
)
def divided_the_wrong_way(self):
    counts = (self.n_heads, self.n_heads if self.n_kv_heads is None else self.n_kv_heads)
    are_counts = all(type(count) is int and count > 0 for count in counts)
    if are_counts and counts[1] % counts[0]:
        raise ValueError(f"n_kv_heads={counts[1]} is not a multiple of n_heads={counts[0]}")
    refuse_as_if(self, **({"n_kv_heads": counts[0]} if are_counts else {}))


@known_wrong(
    "ModelConfig.__post_init__",
    en="Heads of odd size get through: RoPE turns pairs, so refuse an odd dim / n_heads.",
    zh="奇数维的头没有被拒绝：RoPE 成对旋转，dim / n_heads 为奇数时应报错。",
)
def odd_heads(self):
    try:
        refuse(self)
    except ValueError as error:
        if "odd" not in str(error):
            raise


@known_wrong(
    "ModelConfig.__post_init__",
    en="You check with assert, which raises AssertionError and is skipped under python -O: "
    "raise ValueError or TypeError with the field's name.",
    zh="你用 assert 检查：它抛出 AssertionError，而且在 python -O 下会被跳过。"
    "应抛出写明字段名的 ValueError 或 TypeError。",
)
def asserted(self):
    try:
        refuse(self)
    except (TypeError, ValueError) as error:
        raise AssertionError(str(error)) from None


@known_wrong(
    "ModelConfig.__post_init__",
    en="Everything wrong is refused with ValueError: a value of the wrong type is a TypeError.",
    zh="所有错误都抛了 ValueError：类型不对时应抛 TypeError。",
)
def one_error_for_all(self):
    try:
        refuse(self)
    except TypeError as error:
        raise ValueError(str(error)) from None


# ---- mutants that change nothing

EQUIVALENT = (
    equivalent_mutant(
        "ModelConfig.n_rep",
        "return self.n_heads // (self.n_kv_heads or self.n_heads)",
        "return self.n_heads // (self.n_kv_heads)",
        because="__post_init__ has filled n_kv_heads in",
    ),
)
