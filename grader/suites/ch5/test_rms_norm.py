"""Hidden suite of ch5/rms_norm."""

import torch
from torch import nn

from grader.judge import check
from grader.judge.marks import also_right, known_wrong
from happyllm.llama import norm as reference
from happyllm.llama.norm import RMSNorm


def normalized(m, dim, eps, weight, x):
    """RMSNorm(dim, eps)(x)"""
    norm = m.RMSNorm(dim, eps)
    norm.load_state_dict({"weight": weight})
    return norm(x).detach()


def test_every_vector_is_divided_by_its_root_mean_square(student):
    """Each vector of the last dimension is divided by the root of the mean of its squares.

    最后一维的每个向量都除以其平方均值的平方根。
    """
    x, weight = 3 * torch.randn(2, 5, 16) + 1, torch.ones(16)
    got = student.run(normalized, 16, 1e-8, weight, x)
    check.close(got, normalized(reference, 16, 1e-8, weight, x))


def test_the_weight_scales_each_coordinate_after_the_division(student):
    """The learned weight stretches each coordinate of the normalized vector.

    可学习的权重逐坐标缩放归一化后的向量。
    """
    x, weight = torch.randn(3, 4, 8), torch.randn(8)
    got = student.run(normalized, 8, 1e-8, weight, x)
    check.close(got, normalized(reference, 8, 1e-8, weight, x))


def test_the_weight_is_a_parameter_of_ones(student):
    """There is one learnable weight a coordinate, called `weight`, and it starts at one.

    每个坐标有一个名为 weight 的可学习权重，初值为 1。
    """

    def parameters(m, dim):
        """dict(RMSNorm(dim).named_parameters())"""
        return {name: value.detach() for name, value in m.RMSNorm(dim).named_parameters()}

    check.equal(student.run(parameters, 12), {"weight": torch.ones(12)})


def test_eps_stands_inside_the_root(student):
    """eps is added to the mean of squares, under the root: a tiny vector shows where it stands.

    eps 加在根号里的平方均值上：很小的向量能看出它的位置。
    """
    x, weight = 1e-3 * torch.randn(4, 8), torch.ones(8)
    got = student.run(normalized, 8, 1e-2, weight, x)
    check.close(got, normalized(reference, 8, 1e-2, weight, x))


def test_a_zero_vector_stays_zero(student):
    """A vector of zeros has no direction to keep: it stays zero, and no NaN appears.

    零向量没有方向可保留：仍为零，且不出现 NaN。
    """
    got = student.run(normalized, 8, 1e-5, torch.ones(8), torch.zeros(2, 8))
    check.equal(got, torch.zeros(2, 8))


def test_half_precision_is_normalized_in_float32(student):
    """Squares overflow float16 beyond 255, so the norm is computed in float32 and cast back.

    float16 中大于 255 的数平方就会溢出，所以要用 float32 计算再转换回来。
    """
    x, weight = (300 * torch.randn(4, 64)).to(torch.float16), torch.ones(64).to(torch.float16)

    def in_half(m, dim, eps, weight, x):
        """RMSNorm(dim, eps).to(float16)(x)"""
        norm = m.RMSNorm(dim, eps).to(torch.float16)
        norm.load_state_dict({"weight": weight})
        return norm(x).detach()

    got = student.run(in_half, 64, 1e-8, weight, x)
    check.close(got, in_half(reference, 64, 1e-5, weight, x), terms=1)


def test_gradients_reach_the_input_and_the_weight(student):
    """Nothing is cut off: x and the weight both learn.

    没有任何部分被切断：x 和权重都能学习。
    """

    def gradients(m, dim, x, weight, along):
        """The gradients of (RMSNorm(dim)(x) * along).sum() for x and the weight

        (RMSNorm(dim)(x) * along).sum() 对 x 和权重的梯度
        """
        norm = m.RMSNorm(dim)
        norm.load_state_dict({"weight": weight})
        x = x.clone().requires_grad_()
        (norm(x) * along).sum().backward()
        return x.grad, norm.weight.grad

    x, weight, along = torch.randn(3, 8), torch.randn(8), torch.randn(3, 8)
    got = student.run(gradients, 8, x, weight, along)
    expected = gradients(reference, 8, x, weight, along)
    check.gradients(got, expected, names=("x", "weight"), terms=64)


# ---- other right ways


@also_right("RMSNorm.forward", en="the norm divided by the root of the width, in float64")
def by_vector_norm(self, x):
    mean = torch.linalg.vector_norm(x.double(), dim=-1, keepdim=True).square() / x.shape[-1]
    return (x.double() / (mean + self.eps).sqrt()).to(x.dtype) * self.weight


@also_right("RMSNorm.forward", en="torch's own, in float32")
def by_the_library(self, x):
    normed = nn.functional.rms_norm(x.float(), (x.size(-1),), eps=self.eps)
    return normed.type_as(x) * self.weight


@also_right("RMSNorm.forward", en="vector by vector")
def in_a_loop(self, x):
    rows = [row * (row @ row / len(row) + self.eps) ** -0.5 for row in x.float().flatten(0, -2)]
    return self.weight * torch.stack(rows).reshape(x.shape).to(x.dtype)


@also_right("RMSNorm", en="no buffer of the library's, the weight made by another call")
class FilledWithOnes(nn.Module):
    def __init__(self, dim, eps=1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim).fill_(1.0))
        self.epsilon = eps

    def forward(self, x):
        x32 = x.to(torch.float32)
        mean = torch.einsum("...d,...d->...", x32, x32)[..., None] / x.shape[-1]
        return self.weight * (x32 / torch.sqrt(mean + self.epsilon)).to(x.dtype)


# ---- mistakes that people make


def test_the_input_is_left_alone(student):
    """The stream that comes in is read again by others: normalizing must not write into it.

    输入还会被别的模块读取：归一化不能改写它。
    """

    def afterwards(m, dim, x):
        """x, after RMSNorm(dim)(x)

        执行 RMSNorm(dim)(x) 之后的 x
        """
        m.RMSNorm(dim)(x)
        return x

    x = torch.randn(3, 8)
    check.equal(student.run(afterwards, 8, x), x)


@known_wrong(
    "RMSNorm.forward",
    en="You divided x in place (x /= …): the caller's tensor is changed. Make a new one.",
    zh="你原地修改了 x（x /= …），调用者的张量被改掉了。应生成新的张量。",
)
def in_place(self, x):
    out = reference.RMSNorm.forward(self, x)
    x.data.copy_(x.data * torch.rsqrt(x.data.pow(2).mean(-1, keepdim=True) + self.eps))
    return out


@known_wrong(
    "RMSNorm.forward",
    en="eps stands outside the root: rms + eps. It belongs under it: sqrt(mean(x²) + eps).",
    zh="eps 放在了根号外面：rms + eps。它应在根号里：sqrt(mean(x²) + eps)。",
)
def eps_outside(self, x):
    rms = x.float().pow(2).mean(-1, keepdim=True).sqrt()
    return (x.float() / (rms + self.eps)).type_as(x) * self.weight


@known_wrong(
    "RMSNorm.forward",
    en="There is no eps under the root: a vector of zeros becomes 0/0 = NaN.",
    zh="根号里没有加 eps：零向量会变成 0/0 = NaN。",
)
def no_eps(self, x):
    return (x.float() * x.float().pow(2).mean(-1, keepdim=True).rsqrt()).type_as(x) * self.weight


@known_wrong(
    "RMSNorm.forward",
    en="The squares are taken in half precision, where they overflow: call x.float() first.",
    zh="平方是在半精度下计算的，会溢出：先调用 x.float()。",
)
def in_input_precision(self, x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


@known_wrong(
    "RMSNorm.forward",
    en="You subtracted the mean, as LayerNorm does. RMSNorm leaves the mean alone.",
    zh="你减去了均值，那是 LayerNorm。RMSNorm 不动均值。",
)
def centred(self, x):
    x32 = x.float() - x.float().mean(-1, keepdim=True)
    return (x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + self.eps)).type_as(
        x
    ) * self.weight


@known_wrong(
    "RMSNorm.forward",
    en="You divided by the root of the SUM of squares; take the mean, or the scale grows with dim.",
    zh="你除以的是平方和的根；应取均值，否则尺度会随 dim 变化。",
)
def summed(self, x):
    x32 = x.float()
    return (x32 * torch.rsqrt(x32.pow(2).sum(-1, keepdim=True) + self.eps)).type_as(x) * self.weight


@known_wrong(
    "RMSNorm.forward",
    en="The weight is never used: multiply the normalized vector by self.weight.",
    zh="没有用到权重：归一化后要乘以 self.weight。",
)
def no_weight(self, x):
    x32 = x.float()
    return (x32 * torch.rsqrt(x32.pow(2).mean(-1, keepdim=True) + self.eps)).type_as(x)


@known_wrong(
    "RMSNorm",
    en="The weight starts at zeros, so the layer answers zero: start it at ones.",
    zh="权重初值为 0，整层输出都是零：应从 1 开始。",
)
class FromZeros(RMSNorm):
    def __init__(self, dim, eps=1e-5):
        super().__init__(dim, eps)
        self.weight = nn.Parameter(torch.zeros(dim))


@known_wrong(
    "RMSNorm",
    en="The weight is a plain tensor: wrap it in nn.Parameter, or it is neither learned nor saved.",
    zh="权重只是普通张量：要用 nn.Parameter 包起来，否则既不会学习也不会保存。",
)
class PlainTensor(RMSNorm):
    def __init__(self, dim, eps=1e-5):
        nn.Module.__init__(self)
        self.eps = eps
        self.weight = torch.ones(dim)
