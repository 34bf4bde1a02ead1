"""Hidden suite of ch5/clip."""

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.train import optim as reference

SHAPES = ((3, 4), (5,), (2, 1, 3))


def clipped(m, grads, max_norm):
    """Parameters with these gradients: what clip_grad_norm returns, and the gradients after it

    带有这些梯度的参数：clip_grad_norm 的返回值，以及调用之后的梯度
    """
    parameters = []
    for grad in grads:
        like = torch.zeros(1) if grad is None else grad
        parameter = torch.nn.Parameter(torch.zeros_like(like))
        parameter.grad = None if grad is None else grad.clone()
        parameters.append(parameter)
    norm = m.clip_grad_norm(parameters, max_norm)
    return norm, [parameter.grad for parameter in parameters]


def gradients(scale=1.0):
    return [scale * torch.randn(shape) for shape in SHAPES]


def test_the_length_is_that_of_one_long_vector(student):
    """3, 4 and 12 in three tensors have the length 13, the root of the sum of all squares.

    三个张量里的 3、4、12，总长度是 13：所有平方之和的平方根。
    """
    grads = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]]), torch.tensor([0.0, 0.0, 12.0])]
    norm, _ = student.run(clipped, grads, 100.0)
    check.close(norm, torch.tensor(13.0))


@pytest.mark.parametrize("max_norm", [1.0, 0.25])
def test_all_gradients_are_scaled_by_one_factor(student, max_norm):
    """A gradient that is too long keeps its direction, and gets the length max_norm.

    过长的梯度方向不变，长度变为 max_norm。
    """
    grads = gradients(scale=3.0)
    check.close(student.run(clipped, grads, max_norm), clipped(reference, grads, max_norm))


def test_a_short_gradient_stays_as_it_is(student):
    """What is shorter than max_norm is never made longer.

    比 max_norm 短的梯度不会被拉长。
    """
    grads = gradients(scale=0.1)
    norm, after = student.run(clipped, grads, 50.0)
    check.close(norm, clipped(reference, grads, 50.0)[0])
    check.equal(after, grads)


def test_tiny_gradients_are_scaled_by_the_same_formula(student):
    """The divisor is the length plus 1e-6: with lengths of 1e-5 that can be seen.

    除数是长度加 1e-6：长度只有 1e-5 时看得出来。
    """
    grads = [torch.tensor([3e-5, 0.0]), torch.tensor([4e-5])]
    check.close(student.run(clipped, grads, 2e-5), clipped(reference, grads, 2e-5), scale=5e-5)


def test_gradients_of_zero_stay_zero(student):
    """A length of 0 divides nothing: the gradients stay 0, and none becomes NaN.

    长度为 0 时不会除出 NaN：梯度仍为 0。
    """
    grads = [torch.zeros(3), torch.zeros(2, 2)]
    check.equal(student.run(clipped, grads, 1.0), (torch.tensor(0.0), grads))


def test_parameters_without_a_gradient_are_passed_over(student):
    """A frozen parameter has no grad; it has no part in the length and gets no gradient.

    冻结的参数没有 grad；它不计入长度，也不会得到梯度。
    """
    one, _, three = gradients()
    grads = [one, None, three, None]
    check.close(student.run(clipped, grads, 0.5), clipped(reference, grads, 0.5))


def test_without_any_gradient_the_length_is_zero(student):
    """Before the first backward no parameter has a gradient, and the length is 0.

    第一次反向传播之前，没有参数有梯度，长度为 0。
    """
    norm, after = student.run(clipped, [None, None], 1.0)
    check.equal((norm, after), (torch.tensor(0.0), [None, None]))


def test_parameters_may_come_from_a_generator(student):
    """model.parameters() can be walked through once: the second time it is empty.

    model.parameters() 只能遍历一次：第二次就空了。
    """

    def from_a_generator(m, grads, max_norm):
        """clip_grad_norm(model.parameters(), max_norm), where parameters() is a generator

        clip_grad_norm(model.parameters(), max_norm)，其中 parameters() 是生成器
        """
        parameters = []
        for grad in grads:
            parameters.append(torch.nn.Parameter(torch.zeros(grad.shape)))
            parameters[-1].grad = grad.clone()
        norm = m.clip_grad_norm(iter(parameters), max_norm)
        return norm, [parameter.grad for parameter in parameters]

    grads = gradients()
    got = student.run(from_a_generator, grads, 0.5)
    check.close(got, from_a_generator(reference, grads, 0.5))


def test_the_gradients_are_changed_in_place(student):
    """The tensor that was p.grad is still p.grad afterwards: others may hold it too.

    原来的 p.grad 张量之后仍是 p.grad：别处也可能引用着它。
    """

    def held(m, grad):
        """p.grad, held elsewhere too: that tensor after clip_grad_norm([p], 0.5)

        别处也引用着 p.grad：调用 clip_grad_norm([p], 0.5) 之后的那个张量
        """
        parameter = torch.nn.Parameter(torch.zeros(grad.shape))
        parameter.grad = kept = grad.clone()
        m.clip_grad_norm([parameter], 0.5)
        return kept

    grad = torch.tensor([3.0, 4.0])
    check.close(student.run(held, grad), held(reference, grad))


def test_the_length_of_half_precision_is_computed_in_float32(student):
    """1000 bfloat16 gradients of 0.1: the length is a float32, summed in float32.

    1000 个 bfloat16 的 0.1：长度是 float32，也要用 float32 累加。
    """
    grads = [torch.full((40, 25), 0.1, dtype=torch.bfloat16), torch.ones(3, dtype=torch.bfloat16)]
    norm, after = student.run(clipped, grads, 100.0)
    check.close(norm, clipped(reference, grads, 100.0)[0])
    check.equal([grad.dtype == torch.bfloat16 for grad in after], [True, True])


@pytest.mark.parametrize("max_norm", [0.0, -1.0, float("nan")])
def test_a_length_that_is_not_above_zero_is_refused(student, max_norm):
    """max_norm must be above 0: 0 would stop all learning in silence.

    max_norm 必须大于 0：取 0 会悄悄地让学习停止。
    """
    check.raises(ValueError, lambda: student.clip_grad_norm([], max_norm), match="max_norm")


def test_an_infinite_length_only_measures(student):
    """max_norm = inf leaves the gradients as they are, and tells their length.

    max_norm = inf 时梯度不变，只返回长度。
    """
    grads = gradients(scale=20.0)
    norm, after = student.run(clipped, grads, float("inf"))
    check.close(norm, clipped(reference, grads, float("inf"))[0])
    check.equal(after, grads)


# ---- other right ways


@also_right("clip_grad_norm", en="one concatenated vector in float64, and an if")
def one_vector(parameters, max_norm):
    if not max_norm > 0:
        raise ValueError("max_norm")
    grads = [p.grad for p in list(parameters) if p.grad is not None]
    if not grads:
        return torch.zeros(())
    norm = torch.cat([grad.flatten().double() for grad in grads]).norm()
    if norm + 1e-6 > max_norm:
        for grad in grads:
            grad.copy_(grad.double() * (max_norm / (norm + 1e-6)))
    return norm.float()


@also_right("clip_grad_norm", en="the root of the sum of squares, in a Python loop")
def sum_of_squares(parameters, max_norm):
    if max_norm <= 0 or max_norm != max_norm:
        raise ValueError("max_norm")
    grads, total = [], 0.0
    for p in parameters:
        if p.grad is not None:
            grads.append(p.grad)
            total += p.grad.double().square().sum().item()
    norm = total**0.5
    for grad in grads:
        grad *= min(1.0, max_norm / (norm + 1e-6))
    return torch.tensor(norm)


EQUIVALENT = (
    equivalent_mutant(
        "clip_grad_norm",
        "return norm",
        "return norm.detach()",
        because="gradients carry no graph of their own",
    ),
    equivalent_mutant(
        "clip_grad_norm",
        "return torch.tensor(0.0)",
        "return torch.tensor(0.0).detach()",
        because="a constant has no graph",
    ),
)


# ---- mistakes that people make


def _grads(parameters, max_norm):
    if not max_norm > 0:
        raise ValueError("max_norm")
    return [p.grad for p in parameters if p.grad is not None]


def _length(grads):
    parts = [torch.linalg.vector_norm(grad, dtype=torch.float32) for grad in grads]
    return torch.linalg.vector_norm(torch.stack(parts)) if parts else torch.tensor(0.0)


@known_wrong(
    "clip_grad_norm",
    en="You clip each tensor by itself, which turns the gradient as a whole. There is one length, "
    "and one factor, for all.",
    zh="你对每个张量各自裁剪，整体梯度的方向就变了。长度只有一个，因子也只有一个。",
)
def each_by_itself(parameters, max_norm):
    grads = _grads(parameters, max_norm)
    norm = _length(grads)
    for grad in grads:
        grad.mul_((max_norm / (_length([grad]) + 1e-6)).clamp(max=1.0))
    return norm


@known_wrong(
    "clip_grad_norm",
    en="You clamp the single numbers. That bends the direction; scale all of them by one factor.",
    zh="你把每个数各自截断了，方向会变；应让所有数乘同一个因子。",
)
def by_value(parameters, max_norm):
    grads = _grads(parameters, max_norm)
    norm = _length(grads)
    for grad in grads:
        grad.clamp_(-max_norm, max_norm)
    return norm


@known_wrong(
    "clip_grad_norm",
    en="You added the lengths of the parts. The length of the whole is the root of the sum of "
    "their squares.",
    zh="你把各部分的长度直接相加了。整体长度是各部分长度平方和的平方根。",
)
def lengths_added(parameters, max_norm):
    grads = _grads(parameters, max_norm)
    norm = sum((_length([grad]) for grad in grads), torch.tensor(0.0))
    for grad in grads:
        grad.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm


@known_wrong(
    "clip_grad_norm",
    en="You took the longest part for the whole: put the lengths of all parts together.",
    zh="你把最长的一部分当成了整体：应把所有部分的长度合起来。",
)
def largest_only(parameters, max_norm):
    grads = _grads(parameters, max_norm)
    norm = max((_length([grad]) for grad in grads), default=torch.tensor(0.0))
    for grad in grads:
        grad.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm


@known_wrong(
    "clip_grad_norm",
    en="That is the sum of the squares; its root is missing.",
    zh="这是平方和，还差开平方。",
)
def squared(parameters, max_norm):
    grads = _grads(parameters, max_norm)
    norm = _length(grads).square()
    for grad in grads:
        grad.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm


@known_wrong(
    "clip_grad_norm",
    en="You scale short gradients up to max_norm. The factor must never be above 1.",
    zh="你把短的梯度也放大到了 max_norm。因子不能大于 1。",
)
def always_scaled(parameters, max_norm):
    grads = _grads(parameters, max_norm)
    norm = _length(grads)
    for grad in grads:
        grad.mul_(max_norm / (norm + 1e-6))
    return norm


@known_wrong(
    "clip_grad_norm",
    en="parameters may be a generator, as model.parameters() is: it is empty the second time that "
    "you walk through it. Collect the gradients in a list first.",
    zh="parameters 可能是生成器，model.parameters() 就是：第二次遍历时已经空了。"
    "先把梯度收进一个列表。",
)
def read_twice(parameters, max_norm):
    if not max_norm > 0:
        raise ValueError("max_norm")
    norm = _length([p.grad for p in parameters if p.grad is not None])
    for p in parameters:
        if p.grad is not None:
            p.grad.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm


@known_wrong(
    "clip_grad_norm",
    en="You return the length after clipping. What belongs in the log is the one before.",
    zh="你返回了裁剪之后的长度。该记进日志的是裁剪之前的。",
)
def length_after(parameters, max_norm):
    grads = _grads(parameters, max_norm)
    norm = _length(grads)
    for grad in grads:
        grad.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
    return _length(grads)


@known_wrong(
    "clip_grad_norm",
    en="You put new tensors into p.grad. Change the old ones in place: grad.mul_(factor).",
    zh="你给 p.grad 换了新的张量。应就地修改原来的：grad.mul_(factor)。",
)
def new_tensors(parameters, max_norm):
    if not max_norm > 0:
        raise ValueError("max_norm")
    parameters = [p for p in parameters if p.grad is not None]
    norm = _length([p.grad for p in parameters])
    for p in parameters:
        p.grad = p.grad * (max_norm / (norm + 1e-6)).clamp(max=1.0)
    return norm


@known_wrong(
    "clip_grad_norm",
    en="A max_norm of 0, below 0 or NaN goes through: raise ValueError for it.",
    zh="max_norm 为 0、为负或 NaN 时没有报错：应抛出 ValueError。",
)
def any_length(parameters, max_norm):
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = _length(grads)
    for grad in grads:
        grad.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm
