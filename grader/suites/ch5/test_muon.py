"""Hidden suite of ch5/muon."""

import math

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, equivalent_mutant, known_wrong
from happyllm.train import muon as reference
from happyllm.train.muon import COEFFICIENTS, muon_groups, orthogonalize
from happyllm.train.optim import decay_groups

A, B, C = COEFFICIENTS
SHAPES = ((4, 4), (3, 6), (4, 4))

# The slope of the polynomial at 0 is 3.4445, and that five times over: small values and their
# rounding errors grow by 485.
TERMS = 485**2


def grouped(m, inside, outside, frozen):
    """muon_groups(model, 0.1) of layers and other parameters of these shapes: decays and members

    muon_groups(model, 0.1)，模型的层内和层外参数各为这些形状：各组的 weight_decay 和成员
    """
    model, layer = torch.nn.Module(), torch.nn.Module()
    model.layers = torch.nn.ModuleList([layer, torch.nn.Module()])
    names = {}
    for owner, letter, shapes in ((layer, "inside", inside), (model, "outside", outside)):
        for number, shape in enumerate(shapes):
            name = f"{letter}{number}"
            parameter = torch.nn.Parameter(torch.zeros(shape), requires_grad=name not in frozen)
            owner.register_parameter(name, parameter)
            names[id(parameter)] = name
    muon, adamw = m.muon_groups(model, 0.1)
    return [
        [(group["weight_decay"], sorted(names[id(p)] for p in group["params"])) for group in groups]
        for groups in (muon, adamw)
    ]


def weights_after(m, starts, gradients, options):
    """The matrices after each step of Muon(matrices, **options) with the given gradients

    Muon(matrices, **options) 在给定梯度下，每一步之后的矩阵
    """
    matrices = [torch.nn.Parameter(start.clone()) for start in starts]
    optimizer = m.Muon(matrices, **options)
    seen = []
    for grads in gradients:
        for matrix, grad in zip(matrices, grads, strict=True):
            matrix.grad = None if grad is None else grad.clone()
        optimizer.step()
        seen.append([matrix.detach().clone() for matrix in matrices])
    return seen


def with_values(shape, low):
    """A matrix whose singular values fall from 1 to `low` of it, times a size."""
    U, S, Vh = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    return U @ torch.diag(torch.logspace(0, math.log10(low), len(S))) @ Vh


def starts():
    return [torch.randn(shape) for shape in SHAPES]


def gradients(steps):
    """Each step's gradients are of another size; no singular value is small."""
    sizes = [3.0 ** (t % 3 - 1) for t in range(steps)]
    return [[size * with_values(shape, 0.4) for shape in SHAPES] for size in sizes]


def compare(student, begin, grads, options):
    got = student.run(weights_after, begin, grads, options)
    check.close(got, weights_after(reference, begin, grads, options), terms=TERMS, scale=0.2)


# ---- muon_groups


def test_matrices_inside_the_layers_go_to_muon_and_all_else_to_adamw(student):
    """Embeddings and output stand outside of model.layers; vectors are no matrices.

    嵌入和输出在 model.layers 之外；向量不是矩阵。
    """
    inside, outside = [(3, 3), (3,), (2, 5), (5,)], [(9, 3), (3,), (9, 3), (3, 3)]
    got = student.run(grouped, inside, outside, [])
    check.equal(got, grouped(reference, inside, outside, []))


def test_frozen_parameters_are_in_no_group(student):
    """What needs no gradient is not optimized, neither here nor there.

    不需要梯度的参数，两边都不优化。
    """
    inside, outside, frozen = [(3, 3), (3,), (2, 5)], [(9, 3), (3,)], ["inside0", "outside1"]
    got = student.run(grouped, inside, outside, frozen)
    check.equal(got, grouped(reference, inside, outside, frozen))


# ---- orthogonalize


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3), (1, 5)])
def test_each_singular_value_goes_through_the_polynomial(student, shape):
    """Five times a s + b s^3 + c s^5, from the values over the root of the sum of their squares.

    先把奇异值除以它们平方和的平方根，再过五遍 a s + b s^3 + c s^5。
    """
    matrix = 5 * with_values(shape, 0.3)
    check.close(student.orthogonalize(matrix), orthogonalize(matrix), terms=TERMS, scale=0.2)


@pytest.mark.parametrize("n_steps", [1, 2, 6])
def test_the_polynomial_is_applied_n_steps_times(student, n_steps):
    """One step of the iteration, two, six: n_steps says how many.

    迭代一步、两步、六步：由 n_steps 决定。
    """
    matrix = with_values((3, 5), 0.3)
    got = student.orthogonalize(matrix, n_steps)
    check.close(got, orthogonalize(matrix, n_steps), terms=TERMS, scale=0.2)


@pytest.mark.parametrize("size", [1e-2, 1e4])
def test_the_length_of_the_matrix_plays_no_part(student, size):
    """A gradient a million times as large gives the same directions at the same length.

    梯度放大多少倍，得到的方向和长度都一样。
    """
    matrix = with_values((4, 6), 0.3)
    check.close(student.orthogonalize(size * matrix), orthogonalize(matrix), terms=TERMS, scale=0.2)


def test_a_matrix_of_zeros_stays_zero(student):
    """Without a direction there is none to give a length to: zeros, and not NaN.

    没有方向就没有可以拉长的：结果是零，而不是 NaN。
    """
    check.equal(student.orthogonalize(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_the_matrix_is_not_changed(student):
    """The momentum goes on with it.

    动量还要接着用它。
    """

    def left_behind(m, matrix):
        """matrix, after orthogonalize(matrix)

        orthogonalize(matrix) 之后的 matrix
        """
        m.orthogonalize(matrix)
        return matrix

    for shape in ((3, 4), (4, 3)):
        matrix = torch.randn(shape)
        check.equal(student.run(left_behind, matrix), matrix)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 3)])
def test_what_has_not_two_axes_is_refused(student, shape):
    """A vector has no directions, a batch of matrices is not meant: ValueError.

    向量没有方向可言，一批矩阵也不在此列：ValueError。
    """
    check.raises(ValueError, lambda: student.orthogonalize(torch.ones(shape)))


# ---- Muon.step


def test_an_update_is_as_large_whatever_the_shape(student):
    """The factor 0.2 sqrt(max(n, m)) brings the root mean square of an update to about 0.2 lr.

    因子 0.2 sqrt(max(n, m)) 让每次更新的均方根约为 0.2 lr。
    """
    grads = [[with_values(shape, 0.4) for shape in SHAPES]]
    begin = [torch.zeros(shape) for shape in SHAPES]
    compare(student, begin, grads, {"lr": 1.0, "weight_decay": 0.0})


@pytest.mark.parametrize("momentum", [0.95, 0.6, 0.0])
def test_each_step_is_that_of_the_formulas(student, momentum):
    """Four steps: the mean of the gradients, the look ahead, orthogonalized, stepped along.

    四步：梯度的平均，往前看一步，正交化，再走一步。
    """
    compare(student, starts(), gradients(4), {"lr": 0.1, "momentum": momentum})


def test_decay_shrinks_the_matrix_whatever_the_gradient(student):
    """Each step takes lr * weight_decay of the weight away, and the momentum knows nothing of it.

    每一步去掉权重的 lr * weight_decay，动量对此一无所知。
    """
    begin = starts()
    zeros = [[torch.zeros(shape) for shape in SHAPES]]
    got = student.run(weights_after, begin, zeros, {"lr": 0.1, "weight_decay": 0.4})
    check.close(got, [[0.96 * start for start in begin]])


def test_decay_and_gradient_work_side_by_side(student):
    """Three steps with much decay.

    衰减很强的三步。
    """
    compare(student, starts(), gradients(3), {"lr": 0.2, "weight_decay": 0.7})


def test_n_steps_is_handed_on(student):
    """The option n_steps of the group goes to orthogonalize.

    参数组里的 n_steps 传给 orthogonalize。
    """
    compare(student, starts(), gradients(2), {"lr": 0.1, "n_steps": 2})


def test_a_matrix_without_a_gradient_stays_as_it_is(student):
    """A matrix that took no part is not moved, and does not decay.

    没有参与计算的矩阵不动，也不衰减。
    """
    begin, grads = starts(), gradients(3)
    for step in grads:
        step[1] = None
    compare(student, begin, grads, {"lr": 0.1, "weight_decay": 0.5})


def test_every_group_has_its_own_options(student):
    """Two groups: each is stepped by its own lr, momentum, weight_decay and n_steps.

    两个参数组：各用自己的 lr、momentum、weight_decay 和 n_steps。
    """

    def of_two_groups(m, starts, gradients):
        """The matrices after steps of Muon with two groups that differ in every option

        两个参数组选项各不相同，Muon 几步之后的矩阵
        """
        one, two = (torch.nn.Parameter(start.clone()) for start in starts[:2])
        first = {"params": [one], "lr": 0.3, "momentum": 0.5}
        second = {"params": [two], "weight_decay": 0.9, "n_steps": 3}
        optimizer = m.Muon([first, second], lr=0.05)
        for grads in gradients:
            one.grad, two.grad = (grad.clone() for grad in grads[:2])
            optimizer.step()
        return one.detach(), two.detach()

    begin, grads = starts(), gradients(3)
    got = student.run(of_two_groups, begin, grads)
    check.close(got, of_two_groups(reference, begin, grads), terms=TERMS, scale=0.2)


def test_a_changed_learning_rate_holds_from_the_next_step(student):
    """A schedule writes into param_groups between the steps.

    学习率调度在两步之间改写 param_groups。
    """

    def scheduled(m, start, gradients):
        """The matrix after steps of Muon, with param_groups[0]["lr"] changed before each

        每一步之前改写 param_groups[0]["lr"]，Muon 几步之后的矩阵
        """
        matrix = torch.nn.Parameter(start.clone())
        optimizer = m.Muon([matrix], lr=9.0)
        for step, grads in enumerate(gradients):
            optimizer.param_groups[0]["lr"] = 0.4 / (step + 1)
            matrix.grad = grads[0].clone()
            optimizer.step()
        return matrix.detach()

    begin, grads = starts()[0], gradients(3)
    got = student.run(scheduled, begin, grads)
    check.close(got, scheduled(reference, begin, grads), terms=TERMS, scale=0.2)


def test_the_matrix_is_changed_in_place_and_its_gradient_is_not(student):
    """The model holds the tensor, so it must be that one which changes; p.grad stays as it was.

    模型引用着这个张量，所以必须就地修改它；p.grad 保持原样。
    """

    def held(m, start, grad):
        """A view of the matrix that was made before two step(), and matrix.grad after them

        两次 step() 之前取的矩阵视图，以及之后的 matrix.grad
        """
        matrix = torch.nn.Parameter(start.clone())
        view = matrix.detach()
        matrix.grad = grad.clone()
        optimizer = m.Muon([matrix], lr=0.1)
        optimizer.step()
        optimizer.step()
        return view, matrix.grad

    begin, grad = torch.randn(4, 3), with_values((4, 3), 0.4)
    got = student.run(held, begin, grad)
    check.close(got[0], held(reference, begin, grad)[0], terms=TERMS, scale=0.2)
    check.equal(got[1], grad)


def test_what_is_saved_goes_on_in_another_optimizer(student):
    """The mean is in state: an optimizer that loads it goes on as if nothing had been between.

    平均值在 state 里：另一个优化器载入后，就像从未中断一样。
    """

    def resumed(m, start, gradients):
        """The matrix after four steps; after the second another Muon loads what the first saved

        四步之后的矩阵；第二步之后换成另一个 Muon，载入前一个保存的状态
        """
        matrix = torch.nn.Parameter(start.clone())
        optimizer = m.Muon([matrix], lr=0.1)
        for step, grads in enumerate(gradients):
            if step == 2:
                state = optimizer.state_dict()
                optimizer = m.Muon([matrix], lr=7.0)
                optimizer.load_state_dict(state)
            matrix.grad = grads[0].clone()
            optimizer.step()
        return matrix.detach()

    begin, grads = starts()[0], gradients(4)
    got = student.run(resumed, begin, grads)
    check.close(got, resumed(reference, begin, grads), terms=TERMS, scale=0.2)


# ---- other right ways


@also_right("muon_groups", en="by names, and decays by hand")
def by_name(model, weight_decay):
    muon, matrices, vectors = [], [], []
    for name, p in model.named_parameters():
        if p.requires_grad:
            inside = name.startswith("layers.") and p.ndim == 2
            (muon if inside else matrices if p.ndim > 1 else vectors).append(p)
    rest = [{"params": matrices, "weight_decay": weight_decay}]
    rest.append({"params": vectors, "weight_decay": 0.0})
    return [{"params": muon, "weight_decay": weight_decay}], rest


@also_right("orthogonalize", en="tall matrices as they are, by X^T X; powers one after another")
def never_turned(matrix, n_steps=5):
    if matrix.ndim != 2:
        raise ValueError("two axes")
    x = matrix / (torch.linalg.matrix_norm(matrix) + 1e-7)
    for _ in range(n_steps):
        x3 = x @ (x.T @ x)
        x5 = x3 @ (x.T @ x)
        x = A * x + B * x3 + C * x5
    return x


@also_right("orthogonalize", en="through the singular value decomposition in float64")
def by_svd(matrix, n_steps=5):
    if len(matrix.shape) != 2:
        raise ValueError("two axes")
    U, S, Vh = torch.linalg.svd(matrix.double(), full_matrices=False)
    S = S / max(1e-7, float(S.square().sum().sqrt()))
    for _ in range(n_steps):
        S = A * S + B * S**3 + C * S**5
    return (U * S @ Vh).to(matrix.dtype)


@torch.no_grad()
def _stepped(self, update_of, decay=lambda p, group: 1 - group["lr"] * group["weight_decay"]):
    for group in self.param_groups:
        for p in (p for p in group["params"] if p.grad is not None):
            m = self.state.setdefault(p, {"momentum_buffer": torch.zeros_like(p)})
            update = update_of(p, m["momentum_buffer"], group)
            p.mul_(decay(p, group))
            p.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(p.shape)))


def _ahead(p, m, group):
    m.lerp_(p.grad, 1 - group["momentum"])
    return p.grad.lerp(m, group["momentum"])


@also_right("Muon.step", en="a running sum in place of the mean: the length plays no part")
def running_sum(self):
    def update(p, m, group):
        m.mul_(group["momentum"]).add_(p.grad)
        return orthogonalize(p.grad + group["momentum"] * m, group["n_steps"])

    _stepped(self, update)


@also_right("Muon.step", en="as the formulas stand, with copies")
def as_written(self):
    for group in self.param_groups:
        lr, mu = group["lr"], group["momentum"]
        for p in group["params"]:
            if p.grad is None:
                continue
            with torch.no_grad():
                old = self.state.get(p, {}).get("momentum_buffer", torch.zeros(p.shape))
                m = mu * old + (1 - mu) * p.grad
                self.state[p] = {"momentum_buffer": m}
                u = orthogonalize((1 - mu) * p.grad + mu * m, group["n_steps"])
                w = p - lr * group["weight_decay"] * p
                p.copy_(w - lr * 0.2 * max(p.size(0), p.size(1)) ** 0.5 * u)


_TALL = "tall = matrix.size(0) > matrix.size(1)"

EQUIVALENT = (
    *(
        equivalent_mutant(
            "orthogonalize",
            _TALL,
            f"tall = {becomes}",
            because="X X^T X is (X^T X)^T X^T turned: which side it lies on costs time and no more",
        )
        for becomes in (
            "matrix.size(0) >= matrix.size(1)",
            "matrix.size(1) > matrix.size(1)",
            "matrix.size(-1) > matrix.size(1)",
            "matrix.size(0) > matrix.size(0)",
        )
    ),
    equivalent_mutant(
        "orthogonalize",
        "return x.mT if tall else x",
        "return (x.mT if tall else x).detach()",
        because="an optimizer steps without gradients",
    ),
)


# ---- mistakes that people make


def _sorted(model, weight_decay, wanted):
    muon = [p for name, p in model.named_parameters() if wanted(name, p)]
    taken = {id(p) for p in muon}
    rest = [
        {**group, "params": [p for p in group["params"] if id(p) not in taken]}
        for group in decay_groups(model, weight_decay)
    ]
    return [{"params": muon, "weight_decay": weight_decay}], rest


@known_wrong(
    "muon_groups",
    en="Every matrix goes to Muon, embeddings and output too. They are tables, a row for each "
    "token: leave them to AdamW.",
    zh="所有矩阵都归了 Muon，连嵌入和输出也在内。它们是表格，每个 token 一行：应留给 AdamW。",
)
def every_matrix(model, weight_decay):
    return _sorted(model, weight_decay, lambda name, p: p.dim() == 2 and p.requires_grad)


@known_wrong(
    "muon_groups",
    en="All parameters of the layers go to Muon, the norms' vectors too: those have no directions "
    "to bring to one length.",
    zh="层里的所有参数都归了 Muon，连归一化的向量也在内：向量没有可以拉到一样长的方向。",
)
def whole_layers(model, weight_decay):
    return _sorted(
        model, weight_decay, lambda name, p: name.startswith("layers.") and p.requires_grad
    )


@known_wrong(
    "muon_groups",
    en="Frozen parameters are among those for Muon; leave out what has requires_grad = False.",
    zh="冻结的参数也归了 Muon；requires_grad = False 的应当去掉。",
)
def frozen_too(model, weight_decay):
    return _sorted(model, weight_decay, lambda name, p: name.startswith("layers.") and p.dim() == 2)


@known_wrong(
    "muon_groups",
    en="The matrices of the layers stand in AdamW's groups as well: both would step them.",
    zh="层里的矩阵同时还留在 AdamW 的组里：两个优化器都会更新它们。",
)
def in_both(model, weight_decay):
    return muon_groups(model, weight_decay)[0], decay_groups(model, weight_decay)


@known_wrong(
    "muon_groups",
    en="The vectors are in no group, and never learn: whatever is not Muon's is AdamW's.",
    zh="向量不在任何一组里，永远不会更新：不归 Muon 的都归 AdamW。",
)
def nothing_for_adamw(model, weight_decay):
    muon, (matrices, vectors) = muon_groups(model, weight_decay)
    return muon, [matrices, {**vectors, "params": []}]


def _iterated(x, n_steps, a=A, b=B, c=C):
    for _ in range(n_steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x


def _two_axes(matrix):
    if matrix.dim() != 2:
        raise ValueError("two axes")


@known_wrong(
    "orthogonalize",
    en="The matrix is not divided by its length first. The polynomial holds for singular values up "
    "to 1; beyond, the fifth power runs off to infinity.",
    zh="没有先除以矩阵的长度。多项式只适用于不超过 1 的奇异值；再大，五次方就会冲向无穷。",
)
def not_divided(matrix, n_steps=5):
    _two_axes(matrix)
    return _iterated(matrix, n_steps)


@known_wrong(
    "orthogonalize",
    en="You divide by the largest singular value. It takes a decomposition to know; x.norm(), the "
    "root of the sum of all squares, is a bound that costs nothing.",
    zh="你除以了最大的奇异值。要知道它得先做分解；x.norm()，即所有平方和的平方根，是不费力气的上界。",
)
def divided_by_the_largest(matrix, n_steps=5):
    _two_axes(matrix)
    return _iterated(matrix / torch.linalg.matrix_norm(matrix, 2).clamp(min=1e-7), n_steps)


@known_wrong(
    "orthogonalize",
    en="The fifth power is missing: c (X X^T)^2 X.",
    zh="少了五次项：c (X X^T)^2 X。",
)
def without_the_fifth_power(matrix, n_steps=5):
    _two_axes(matrix)
    return _iterated(matrix / matrix.norm().clamp(min=1e-7), n_steps, c=0.0)


@known_wrong(
    "orthogonalize",
    en="Those are the classical coefficients (1.5, -0.5): they end at exactly 1, but raise a small "
    "value only by half each time. Take a, b, c as the task gives them.",
    zh="这是经典的系数（1.5、-0.5）：最终恰好到 1，但小的值每次只放大一半。"
    "应使用题目给出的 a、b、c。",
)
def classical(matrix, n_steps=5):
    _two_axes(matrix)
    return _iterated(matrix / matrix.norm().clamp(min=1e-7), n_steps, a=1.5, b=-0.5, c=0.0)


@known_wrong(
    "orthogonalize",
    en="The products are made in bfloat16, as fast code for GPUs does: 8 bits are enough for a "
    "direction, but the task asks for the precision of the matrix.",
    zh="乘法是在 bfloat16 里做的，GPU 上的快速实现如此：定方向 8 位就够了，"
    "但题目要求用矩阵自身的精度。",
)
def in_bfloat16(matrix, n_steps=5):
    return orthogonalize(matrix.bfloat16(), n_steps).to(matrix.dtype)


@known_wrong(
    "orthogonalize",
    en="n_steps is not used: the polynomial is applied five times, whatever was asked for.",
    zh="没有用到 n_steps：不管要求几次，多项式都用了五遍。",
)
def always_five(matrix, n_steps=5):
    return orthogonalize(matrix)


@known_wrong(
    "orthogonalize",
    en="The polynomial is applied once; it takes n_steps of it to bring small values near 1.",
    zh="多项式只用了一遍；要用 n_steps 遍，小的值才会接近 1。",
)
def once_only(matrix, n_steps=5):
    return orthogonalize(matrix, 1)


@known_wrong(
    "orthogonalize",
    en="That is U V^T exactly, by a decomposition, which is slow for large matrices and on GPUs. "
    "The task asks for the polynomial, that comes near it by products alone.",
    zh="这是用分解精确算出的 U V^T，大矩阵和 GPU 上都很慢。题目要的是多项式：只用乘法就能接近它。",
)
def exact(matrix, n_steps=5):
    _two_axes(matrix)
    U, S, Vh = torch.linalg.svd(matrix, full_matrices=False)
    return U * (S > 0) @ Vh


@known_wrong(
    "orthogonalize",
    en="You took the sign of each number. A matrix is orthogonalized as a whole: its directions "
    "stay, and their lengths become one.",
    zh="你对每个数各自取了符号。正交化针对整个矩阵：方向不变，长度变得一样。",
)
def signs(matrix, n_steps=5):
    _two_axes(matrix)
    return matrix.sign()


@known_wrong(
    "orthogonalize",
    en="The argument is divided in place, and the caller goes on with it. Make a new tensor.",
    zh="你就地改了参数，而调用者还要接着用它。应生成新的张量。",
)
def argument_overwritten(matrix, n_steps=5):
    answer = orthogonalize(matrix, n_steps)
    matrix.div_(matrix.norm().clamp(min=1e-7))
    return answer


@known_wrong(
    "orthogonalize",
    en="A tall matrix comes back on its side: turn it back at the end, x.mT.",
    zh="竖长的矩阵回来时是横着的：最后要转回去，x.mT。",
)
def left_on_its_side(matrix, n_steps=5):
    answer = orthogonalize(matrix, n_steps)
    return answer.mT if matrix.size(0) > matrix.size(1) else answer


@known_wrong(
    "orthogonalize",
    en="A matrix of zeros is divided by 0 and becomes NaN. Let the divisor be at least 1e-7.",
    zh="全零的矩阵除以 0 变成了 NaN。除数至少取 1e-7。",
)
def nothing_over_nothing(matrix, n_steps=5):
    _two_axes(matrix)
    return _iterated(matrix / matrix.norm(), n_steps)


@known_wrong(
    "Muon.step",
    en="There is no momentum: the gradient of this step alone is orthogonalized.",
    zh="没有动量：正交化的只是这一步的梯度。",
)
def no_momentum(self):
    _stepped(self, lambda p, m, group: orthogonalize(p.grad, group["n_steps"]))


@known_wrong(
    "Muon.step",
    en="The look ahead is missing: orthogonalize (1 - momentum) * g + momentum * m, not m.",
    zh="少了往前看的一步：要正交化的是 (1 - momentum) * g + momentum * m，而不是 m。",
)
def no_look_ahead(self):
    def update(p, m, group):
        m.lerp_(p.grad, 1 - group["momentum"])
        return orthogonalize(m, group["n_steps"])

    _stepped(self, update)


@known_wrong(
    "Muon.step",
    en="The gradients are orthogonalized before they are averaged; their mean has lost that again. "
    "Average first.",
    zh="你先正交化再求平均，平均之后又不正交了。应先求平均。",
)
def orthogonalized_first(self):
    def update(p, m, group):
        g = orthogonalize(p.grad, group["n_steps"])
        m.lerp_(g, 1 - group["momentum"])
        return g.lerp(m, group["momentum"])

    _stepped(self, update)


@known_wrong(
    "Muon.step",
    en="The mean begins with the first gradient, which weighs 1 / (1 - momentum) times as much "
    "as any other. It begins with zeros.",
    zh="平均从第一个梯度开始，于是它的分量是其他梯度的 1 / (1 - momentum) 倍。应从零开始。",
)
def begun_with_the_gradient(self):
    def update(p, m, group):
        if not m.any():
            m.copy_(p.grad)
        return _usual(p, m, group)

    _stepped(self, update)


@known_wrong(
    "Muon.step",
    en="Nothing is orthogonalized: that is plain momentum.",
    zh="没有正交化：这只是普通的动量法。",
)
def not_orthogonalized(self):
    _stepped(self, _ahead)


@known_wrong(
    "Muon.step",
    en="n_steps of the group is not handed on to orthogonalize.",
    zh="参数组里的 n_steps 没有传给 orthogonalize。",
)
def n_steps_ignored(self):
    _stepped(self, lambda p, m, group: orthogonalize(_ahead(p, m, group)))


def _usual(p, m, group):
    return orthogonalize(_ahead(p, m, group), group["n_steps"])


@known_wrong(
    "Muon.step",
    en="There is no decay: weight_decay is never used.",
    zh="没有衰减：weight_decay 没有用上。",
)
def no_decay(self):
    _stepped(self, _usual, decay=lambda p, group: 1.0)


@known_wrong(
    "Muon.step",
    en="The decay is added to the gradient, where orthogonalizing takes its size away. Shrink the "
    "weight itself: p.mul_(1 - lr * weight_decay).",
    zh="你把衰减加进了梯度，正交化又抹掉了它的大小。应直接缩小权重："
    "p.mul_(1 - lr * weight_decay)。",
)
def decay_in_the_gradient(self):
    def update(p, m, group):
        g = p.grad + group["weight_decay"] * p
        m.lerp_(g, 1 - group["momentum"])
        return orthogonalize(g.lerp(m, group["momentum"]), group["n_steps"])

    _stepped(self, update, decay=lambda p, group: 1.0)


@known_wrong(
    "Muon.step",
    en="The decay is multiplied by the factor of the shape, too. It is lr * weight_decay for every "
    "matrix.",
    zh="衰减也乘上了与形状有关的因子。每个矩阵的衰减都是 lr * weight_decay。",
)
def decay_scaled(self):
    _stepped(
        self,
        _usual,
        decay=lambda p, group: 1 - group["lr"] * group["weight_decay"] * 0.2 * max(p.shape) ** 0.5,
    )


@known_wrong(
    "Muon.step",
    en="The factor 0.2 * sqrt(max(n, m)) is missing: without it one learning rate does not serve "
    "matrices of several shapes, nor AdamW beside them.",
    zh="少了因子 0.2 * sqrt(max(n, m))：没有它，不同形状的矩阵以及旁边的 AdamW 就不能共用"
    "一个学习率。",
)
def no_factor(self):
    _stepped(self, lambda p, m, group: _usual(p, m, group) / (0.2 * math.sqrt(max(p.shape))))


@known_wrong(
    "Muon.step",
    en="The factor takes the shorter side; it is the longer: 0.2 * sqrt(max(n, m)).",
    zh="因子取了较短的一边，应取较长的：0.2 * sqrt(max(n, m))。",
)
def factor_of_the_shorter(self):
    _stepped(
        self,
        lambda p, m, group: _usual(p, m, group) * math.sqrt(min(p.shape) / max(p.shape)),
    )


@known_wrong(
    "Muon.step",
    en="That is the factor of the first version of Muon, sqrt(max(1, n / m)), which needs a "
    "learning rate of its own. Here it is 0.2 * sqrt(max(n, m)).",
    zh="这是 Muon 最初版本的因子 sqrt(max(1, n / m))，需要单独的学习率。"
    "这里是 0.2 * sqrt(max(n, m))。",
)
def factor_of_the_ratio(self):
    def update(p, m, group):
        n, k = p.shape
        return _usual(p, m, group) * math.sqrt(max(1, n / k)) / (0.2 * math.sqrt(max(n, k)))

    _stepped(self, update)


@known_wrong(
    "Muon.step",
    en="Matrices without a gradient decay all the same: pass them over before anything else.",
    zh="没有梯度的矩阵也衰减了：应最先跳过它们。",
)
@torch.no_grad()
def decays_without_gradient(self):
    for group in self.param_groups:
        for p in (p for p in group["params"] if p.grad is None):
            p.mul_(1 - group["lr"] * group["weight_decay"])
    _stepped(self, _usual)


@known_wrong(
    "Muon.step",
    en="All matrices of one shape share one momentum: keep m in self.state[p].",
    zh="形状相同的矩阵共用了一个动量：m 应存放在 self.state[p] 里。",
)
@torch.no_grad()
def one_momentum(self):
    means = self.__dict__.setdefault("means", {})
    for group in self.param_groups:
        for p in (p for p in group["params"] if p.grad is not None):
            m = means.setdefault(p.shape, torch.zeros_like(p))
            update = _usual(p, m, group)
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(p.shape)))
