"""Hidden suite of ch5/mlp."""

import torch
import torch.nn.functional as F
from torch import nn

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.llama import mlp as reference
from happyllm.llama.config import ffn_hidden_dim
from happyllm.llama.mlp import MLP


def weights(dim, hidden):
    """Weights of an MLP, drawn so that the gate is often far from zero."""
    w1, w3 = (2 * torch.randn(hidden, dim) / dim**0.5 for _ in range(2))
    w2 = torch.randn(dim, hidden) / hidden**0.5
    return {"w1.weight": w1, "w2.weight": w2, "w3.weight": w3}


def seed():
    return int(torch.randint(1 << 30, ()))


def answer(m, dim, hidden_dim, state, x):
    """MLP(dim, hidden_dim, 4, dropout=0.0)(x), with the weights of state

    用 state 中的权重计算 MLP(dim, hidden_dim, 4, dropout=0.0)(x)
    """
    mlp = m.MLP(dim, hidden_dim, 4, 0.0)
    zeros = {name: torch.zeros_like(value) for name, value in mlp.named_parameters()}
    mlp.load_state_dict(zeros | state, strict=False)
    return mlp(x).detach()


def factors(m, state, x, dropout, training, seed):
    """What dropout multiplies the values by: 1 where there is none

    dropout 给各个值乘上的倍数；没有 dropout 时为 1
    """
    outputs = []
    for p in (dropout, 0.0):
        mlp = m.MLP(x.size(-1), 8, 4, p)
        zeros = {name: torch.zeros_like(value) for name, value in mlp.named_parameters()}
        mlp.load_state_dict(zeros | state, strict=False)
        mlp.train(training)
        torch.manual_seed(seed)
        outputs.append(mlp(x).detach())
    return (outputs[0] / outputs[1]).round(decimals=2).unique()


def test_two_matrices_go_up_and_one_comes_down(student):
    """w1 and w3 lead from dim to the hidden width, w2 back; there are no biases.

    w1 和 w3 从 dim 到隐藏宽度，w2 回到 dim；都没有偏置。
    """

    def shapes(m, dim, hidden_dim, multiple_of):
        """The shapes of the parameters of MLP(dim, hidden_dim, multiple_of, dropout=0.0)

        MLP(dim, hidden_dim, multiple_of, dropout=0.0) 各参数的形状
        """
        mlp = m.MLP(dim=dim, hidden_dim=hidden_dim, multiple_of=multiple_of, dropout=0.0)
        return {name: list(value.shape) for name, value in mlp.named_parameters()}

    for hidden_dim, multiple_of in [(20, 16), (None, 32), (None, 7)]:
        hidden = ffn_hidden_dim(24, multiple_of, hidden_dim)
        up, down = [hidden, 24], [24, hidden]
        got = student.run(shapes, 24, hidden_dim, multiple_of)
        check.equal(got, {"w1.weight": up, "w2.weight": down, "w3.weight": up})


def test_the_gate_decides_how_much_of_each_feature_passes(student):
    """With one hidden feature: w2 * silu(w1 x) * w3 x, where silu(g) = g / (1 + exp(-g)).

    只有一个隐藏特征时：w2 * silu(w1 x) * w3 x，其中 silu(g) = g / (1 + exp(-g))。
    """
    one, x = torch.ones(1, 1), torch.tensor([[-2.0], [-0.5], [0.0], [1.0], [3.0]])
    state = {"w1.weight": one, "w2.weight": 0.5 * one, "w3.weight": 10 * one}
    check.close(student.run(answer, 1, 1, state, x), 5 * x * x / (1 + torch.exp(-x)))


def test_each_token_is_transformed_by_itself(student):
    """w2(silu(w1(x)) * w3(x)) on the last dimension; all others are carried along.

    在最后一维上计算 w2(silu(w1(x)) * w3(x))；其余各维原样保留。
    """
    for shape in [(2, 5, 12), (4, 12), (12,), (3, 1, 12)]:
        given = 12, 20, weights(12, 20), torch.randn(shape)
        check.close(student.run(answer, *given), answer(reference, *given), terms=64)


def test_half_precision_stays_half_precision(student):
    """A bfloat16 MLP answers in bfloat16.

    bfloat16 的 MLP 输出 bfloat16。
    """

    def in_half(m, state, x):
        """MLP(12, 20, 4, 0.0).to(torch.bfloat16)(x.to(torch.bfloat16))"""
        mlp = m.MLP(12, 20, 4, 0.0).to(torch.bfloat16)
        zeros = {name: torch.zeros_like(value) for name, value in mlp.named_parameters()}
        mlp.load_state_dict(zeros | state, strict=False)
        return mlp(x.to(torch.bfloat16)).detach()

    given = weights(12, 20), torch.randn(2, 3, 12)
    check.close(student.run(in_half, *given), in_half(reference, *given))


def test_gradients_reach_the_input_and_all_three_matrices(student):
    """Gate, up and down all learn, and the gradient goes on to the layer before.

    w1、w2、w3 都能学习，梯度也传到前一层。
    """

    def gradients(m, state, x, along):
        """The gradients of (MLP(…)(x) * along).sum() for x and the three matrices

        (MLP(…)(x) * along).sum() 对 x 和三个矩阵的梯度
        """
        mlp = m.MLP(x.size(-1), along.size(-1), 4, 0.0)
        zeros = {name: torch.zeros_like(value) for name, value in mlp.named_parameters()}
        mlp.load_state_dict(zeros | state, strict=False)
        x = x.clone().requires_grad_()
        (mlp(x) * along[..., : x.size(-1)]).sum().backward()
        weights = {f"{name}.weight": getattr(mlp, name).weight.grad for name in ("w1", "w2", "w3")}
        return x.grad, weights

    given = weights(6, 9), torch.randn(4, 6), torch.randn(4, 9)
    got = student.run(gradients, *given)
    check.gradients(got, gradients(reference, *given), names=("x",), terms=128)


def test_the_input_stays_as_it_was(student):
    """The residual stream is still needed after the MLP has read it: nothing is written to x.

    MLP 读过之后残差流还要用：不改动 x。
    """

    def afterwards(m, state, x):
        """x, after MLP(12, 20, 4, 0.0)(x)

        执行 MLP(12, 20, 4, 0.0)(x) 之后的 x
        """
        x = x.clone()
        mlp = m.MLP(12, 20, 4, 0.0)
        zeros = {name: torch.zeros_like(value) for name, value in mlp.named_parameters()}
        mlp.load_state_dict(zeros | state, strict=False)
        with torch.no_grad():
            mlp(x)
        return x

    x = torch.randn(2, 3, 12)
    check.equal(student.run(afterwards, weights(12, 20), x), x)


def test_in_training_values_of_the_output_are_dropped(student):
    """With dropout=0.5 in training each output value becomes 0 or doubles, after w2.

    训练时 dropout=0.5：输出的每个值变成 0 或翻倍，发生在 w2 之后。
    """
    state = {name: weight.abs() + 0.1 for name, weight in weights(8, 8).items()}
    got = student.run(factors, state, torch.rand(64, 8) + 0.5, 0.5, True, seed())
    check.that(
        isinstance(got, torch.Tensor) and got.tolist() == [0.0, 2.0],
        en="In training with dropout=0.5 every output value should be 0 or twice what it is "
        "without dropout.",
        zh="训练且 dropout=0.5 时，每个输出值应为 0，或是没有 dropout 时的两倍。",
        got=got,
        expected=torch.tensor([0.0, 2.0]),
    )


def test_outside_training_nothing_is_dropped(student):
    """After eval() the output is what it is without dropout.

    eval() 之后，输出与没有 dropout 时相同。
    """
    state = {name: weight.abs() + 0.1 for name, weight in weights(8, 8).items()}
    got = student.run(factors, state, torch.rand(64, 8) + 0.5, 0.5, False, seed())
    check.that(
        isinstance(got, torch.Tensor) and got.tolist() == [1.0],
        en="Values are dropped after eval(): use nn.Dropout, or ask self.training.",
        zh="eval() 之后仍在丢弃：用 nn.Dropout，或判断 self.training。",
        got=got,
        expected=torch.tensor([1.0]),
    )


# ---- other right ways


@also_right("MLP.forward", en="SiLU written out, by matrix products, F.dropout")
def written_out(self, x):
    gate, up = x @ self.w1.weight.T, x @ self.w3.weight.T
    down = torch.einsum("...h,dh->...d", up * gate * torch.sigmoid(gate), self.w2.weight)
    return F.dropout(down, self.dropout.p, self.training)


@also_right("MLP.forward", en="both branches in one product")
def in_one_product(self, x):
    gate, up = F.linear(x, torch.cat((self.w1.weight, self.w3.weight))).chunk(2, dim=-1)
    return self.dropout(F.linear(nn.functional.silu(gate).mul(up), self.w2.weight))


@also_right("MLP", en="made in another order, with other names for what is private")
class AnotherOrder(MLP):
    def __init__(self, dim, hidden_dim, multiple_of, dropout):
        nn.Module.__init__(self)
        hidden = ffn_hidden_dim(hidden_dim=hidden_dim, multiple_of=multiple_of, dim=dim)
        self.act, self.drop = nn.SiLU(), nn.Dropout(p=dropout)
        self.w3 = nn.Linear(dim, hidden, bias=False)
        self.w2 = nn.Linear(hidden, dim, bias=False)
        self.w1 = nn.Linear(dim, hidden, bias=False)

    def forward(self, x):
        return self.drop(self.w2(self.w3(x) * self.act(self.w1(x))))


EQUIVALENT = (
    equivalent_mutant(
        "MLP.forward",
        "return self.dropout(out) if self.training else out",
        "return self.dropout(out)",
        because="outside training nn.Dropout hands on what it is given; the branch saves the call",
    ),
)


# ---- mistakes that people make


@known_wrong(
    "MLP.forward",
    en="SiLU is on the wrong branch: silu(w1(x)) * w3(x), not w1(x) * silu(w3(x)).",
    zh="SiLU 用错了分支：应是 silu(w1(x)) * w3(x)，而不是 w1(x) * silu(w3(x))。",
)
def silu_on_w3(self, x):
    return self.dropout(self.w2(self.w1(x) * F.silu(self.w3(x))))


@known_wrong(
    "MLP.forward",
    en="SiLU is on both branches: only the gate, w1, has it.",
    zh="两个分支都用了 SiLU：只有门 w1 用。",
)
def silu_on_both(self, x):
    return self.dropout(self.w2(F.silu(self.w1(x)) * F.silu(self.w3(x))))


@known_wrong(
    "MLP.forward",
    en="SiLU is taken of the product: take it of w1(x) alone, and multiply after that.",
    zh="SiLU 作用在乘积上了：应先对 w1(x) 用 SiLU，再相乘。",
)
def silu_of_the_product(self, x):
    return self.dropout(self.w2(F.silu(self.w1(x) * self.w3(x))))


@known_wrong(
    "MLP.forward",
    en="There is no activation: without silu around w1(x) the gate is a plain product.",
    zh="没有激活函数：w1(x) 外要有 silu，否则只是普通的乘积。",
)
def no_activation(self, x):
    return self.dropout(self.w2(self.w1(x) * self.w3(x)))


@known_wrong(
    "MLP.forward",
    en="You used the sigmoid, which is GLU. SwiGLU's gate is SiLU: g * sigmoid(g).",
    zh="你用了 sigmoid，那是 GLU。SwiGLU 的门是 SiLU：g * sigmoid(g)。",
)
def sigmoid_gate(self, x):
    return self.dropout(self.w2(torch.sigmoid(self.w1(x)) * self.w3(x)))


@known_wrong(
    "MLP.forward",
    en="You used GELU, which is GEGLU; LLaMA's gate is SiLU.",
    zh="你用了 GELU，那是 GEGLU；LLaMA 的门是 SiLU。",
)
def gelu_gate(self, x):
    return self.dropout(self.w2(F.gelu(self.w1(x)) * self.w3(x)))


@known_wrong(
    "MLP.forward",
    en="You used ReLU, which is ReGLU; LLaMA's gate is SiLU.",
    zh="你用了 ReLU，那是 ReGLU；LLaMA 的门是 SiLU。",
)
def relu_gate(self, x):
    return self.dropout(self.w2(F.relu(self.w1(x)) * self.w3(x)))


@known_wrong(
    "MLP.forward",
    en="The branches are added: a gate multiplies, feature by feature.",
    zh="两个分支被相加了：门是逐元素相乘。",
)
def branches_added(self, x):
    return self.dropout(self.w2(F.silu(self.w1(x)) + self.w3(x)))


@known_wrong(
    "MLP.forward",
    en="w3 is never used: multiply silu(w1(x)) by w3(x) before w2.",
    zh="没有用到 w3：进入 w2 之前要用 silu(w1(x)) 乘以 w3(x)。",
)
def no_gate(self, x):
    return self.dropout(self.w2(F.silu(self.w1(x))))


@known_wrong(
    "MLP.forward",
    en="The output is not dropped out: return self.dropout(w2(...)).",
    zh="输出没有经过 dropout：应返回 self.dropout(w2(...))。",
)
def no_dropout(self, x):
    return self.w2(F.silu(self.w1(x)) * self.w3(x))


@known_wrong(
    "MLP.forward",
    en="Dropout acts on the hidden features; it belongs on the output, after w2.",
    zh="dropout 用在了隐藏特征上；应在 w2 之后，作用于输出。",
)
def hidden_dropped(self, x):
    return self.w2(self.dropout(F.silu(self.w1(x)) * self.w3(x)))


@known_wrong(
    "MLP.forward",
    en="Dropout stays on after eval(): hand self.training to F.dropout, or use nn.Dropout.",
    zh="eval() 之后 dropout 仍然有效：给 F.dropout 传 self.training，或用 nn.Dropout。",
)
def always_dropped(self, x):
    return F.dropout(self.w2(F.silu(self.w1(x)) * self.w3(x)), self.dropout.p)


@known_wrong(
    "MLP",
    en="The matrices have biases: nn.Linear(..., bias=False).",
    zh="矩阵带了偏置：应写 nn.Linear(..., bias=False)。",
)
class WithBiases(MLP):
    def __init__(self, dim, hidden_dim, multiple_of, dropout):
        super().__init__(dim, hidden_dim, multiple_of, dropout)
        hidden = self.w1.out_features
        self.w1, self.w3 = nn.Linear(dim, hidden), nn.Linear(dim, hidden)
        self.w2 = nn.Linear(hidden, dim)


@known_wrong(
    "MLP",
    en="w2 and w3 have changed places: w1 and w3 go up (dim -> hidden), w2 comes down.",
    zh="w2 与 w3 弄反了：w1 和 w3 升维（dim -> hidden），w2 降维。",
)
class SwappedNames(MLP):
    def __init__(self, dim, hidden_dim, multiple_of, dropout):
        super().__init__(dim, hidden_dim, multiple_of, dropout)
        self.w2, self.w3 = self.w3, self.w2

    def forward(self, x):
        return self.dropout(self.w3(F.silu(self.w1(x)) * self.w2(x)))


@known_wrong(
    "MLP",
    en="hidden_dim is not used: where it is given it is the hidden width, as it is.",
    zh="没有使用 hidden_dim：给出时它就是隐藏宽度，原样使用。",
)
class WidthIgnored(MLP):
    def __init__(self, dim, hidden_dim, multiple_of, dropout):
        super().__init__(dim, None, multiple_of, dropout)


@known_wrong(
    "MLP",
    en="Without hidden_dim you took 4 * dim: ffn_hidden_dim takes 2/3 of it and rounds up.",
    zh="没有给 hidden_dim 时你取了 4 * dim：应由 ffn_hidden_dim 取其 2/3 并向上取整。",
)
class FourTimesDim(MLP):
    def __init__(self, dim, hidden_dim, multiple_of, dropout):
        super().__init__(dim, hidden_dim or 4 * dim, multiple_of, dropout)


@known_wrong(
    "MLP",
    en="Without hidden_dim you took 2/3 of 4 * dim but did not round up to multiple_of: ask "
    "ffn_hidden_dim.",
    zh="没有给 hidden_dim 时你取了 4 * dim 的 2/3，却没有向上取到 multiple_of 的倍数："
    "请用 ffn_hidden_dim。",
)
class WidthUnrounded(MLP):
    def __init__(self, dim, hidden_dim, multiple_of, dropout):
        super().__init__(dim, hidden_dim or 8 * dim // 3, multiple_of, dropout)
