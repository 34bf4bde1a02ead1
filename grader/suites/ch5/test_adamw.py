"""Hidden suite of ch5/adamw."""

import math

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, known_wrong
from happyllm.train import optim as reference

SHAPES = ((3, 4), (5,))
PLAIN = {"lr": 0.1, "weight_decay": 0.0}


def weights_after(m, starts, gradients, options):
    """The weights after each step of AdamW(parameters, **options) with the given gradients

    AdamW(parameters, **options) 在给定梯度下，每一步之后的权重
    """
    parameters = [torch.nn.Parameter(start.clone()) for start in starts]
    optimizer = m.AdamW(parameters, **options)
    seen = []
    for grads in gradients:
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = None if grad is None else grad.clone()
        optimizer.step()
        seen.append([parameter.detach().clone() for parameter in parameters])
    return seen


def grouped(m, shapes, frozen):
    """decay_groups(model, 0.1) of parameters of these shapes: each group's decay and its members

    decay_groups(model, 0.1)：各组的 weight_decay，以及组里是哪些参数
    """
    model = torch.nn.Module()
    names = {}
    for number, shape in enumerate(shapes):
        parameter = torch.nn.Parameter(torch.zeros(shape), requires_grad=number not in frozen)
        model.register_parameter(f"p{number}", parameter)
        names[id(parameter)] = f"p{number}"
    model.register_parameter("again", model.p0)
    groups = m.decay_groups(model, 0.1)
    return [(group["weight_decay"], [names[id(p)] for p in group["params"]]) for group in groups]


def starts():
    return [torch.randn(shape) for shape in SHAPES]


def gradients(steps):
    """Each step's gradients are of another size."""
    return [[3.0 ** (t % 4 - 1) * torch.randn(shape) for shape in SHAPES] for t in range(steps)]


def compare(student, begin, grads, options):
    got = student.run(weights_after, begin, grads, options)
    check.close(got, weights_after(reference, begin, grads, options), terms=64, scale=2.0)


def test_matrices_decay_and_vectors_do_not(student):
    """Two axes or more get the decay, also an embedding or a convolution; one axis gets 0.

    两个轴及以上的参数衰减（嵌入、卷积也算）；只有一个轴的不衰减。
    """
    shapes = [(3, 2), (4,), (2, 2, 5), (1, 7), (6,)]
    check.equal(student.run(grouped, shapes, []), [(0.1, ["p0", "p2", "p3"]), (0.0, ["p1", "p4"])])


def test_frozen_parameters_are_in_no_group(student):
    """What needs no gradient is not optimized.

    不需要梯度的参数不参与优化。
    """
    shapes = [(3, 2), (4,), (2, 5), (6,)]
    check.equal(student.run(grouped, shapes, [1, 2]), [(0.1, ["p0"]), (0.0, ["p3"])])


def test_the_first_step_has_the_size_of_the_learning_rate(student):
    """m and v are corrected for their start at 0: g / |g| is left, whatever the gradient's size.

    m 和 v 从 0 开始的偏差被校正：只剩 g / |g|，与梯度大小无关。
    """
    begin = [torch.tensor([1.0, -2.0, 0.5])]
    grads = [[torch.tensor([0.01, -30.0, 2.0])]]
    got = student.run(weights_after, begin, grads, PLAIN)
    check.close(got, [[torch.tensor([0.9, -1.9, 0.4])]], terms=400, scale=2.0)


@pytest.mark.parametrize(
    "betas", [(0.9, 0.999), (0.8, 0.95), (0.0, 0.5)], ids=["usual", "short", "no mean"]
)
def test_each_step_is_that_of_the_paper(student, betas):
    """Twelve steps with gradients of changing size: the mean over the root of the mean square.

    十二步，梯度大小不断变化：平均值除以平方平均的平方根。
    """
    compare(student, starts(), gradients(12), PLAIN | {"betas": betas})


def test_a_large_eps_stands_beside_the_corrected_root(student):
    """eps is added after the root and after the correction: with 0.5 its place can be seen.

    eps 在开方并校正之后再加：取 0.5 时看得出它在哪里。
    """
    compare(student, starts(), gradients(6), PLAIN | {"eps": 0.5})


def test_a_gradient_of_zero_moves_nothing(student):
    """With v = 0 only eps stands below the line: the weight stays, and is not NaN.

    v = 0 时分母只剩 eps：权重不动，也不会变成 NaN。
    """
    begin = starts()
    zeros = [[torch.zeros(shape) for shape in SHAPES]] * 2
    check.equal(student.run(weights_after, begin, zeros, PLAIN), [begin, begin])


def test_decay_shrinks_the_weight_whatever_the_gradient(student):
    """Each step takes lr * weight_decay of the weight away, and the gradient knows nothing of it.

    每一步去掉权重的 lr * weight_decay，与梯度无关。
    """
    begin = starts()
    zeros = [[torch.zeros(shape) for shape in SHAPES]]
    got = student.run(weights_after, begin, zeros, {"lr": 0.1, "weight_decay": 0.4})
    check.close(got, [[0.96 * start for start in begin]])


def test_decay_and_gradient_work_side_by_side(student):
    """Eight steps with decay: it is in the weight, never in m or v.

    带衰减的八步：衰减作用在权重上，从不进入 m 或 v。
    """
    compare(student, starts(), gradients(8), {"lr": 0.2, "weight_decay": 0.7})


def test_a_parameter_without_a_gradient_stays_as_it_is(student):
    """A parameter that took no part is not moved, and does not decay.

    没有参与计算的参数不动，也不衰减。
    """
    begin, grads = starts(), gradients(3)
    for step in grads:
        step[0] = None
    compare(student, begin, grads, {"lr": 0.1, "weight_decay": 0.5})


def test_each_parameter_counts_its_own_steps(student):
    """A parameter that gets its first gradient in step 3 is corrected as in a first step.

    第 3 步才第一次有梯度的参数，校正时按第 1 步算。
    """
    grads = gradients(5)
    grads[0][1] = grads[1][1] = None
    compare(student, starts(), grads, PLAIN)


def test_every_group_has_its_own_options(student):
    """Two groups: each is stepped by its own lr, betas, eps and weight_decay.

    两个参数组：各用自己的 lr、betas、eps 和 weight_decay。
    """

    def of_two_groups(m, starts, gradients):
        """The weights after steps of AdamW with two groups that differ in every option

        两个参数组选项各不相同，AdamW 几步之后的权重
        """
        one, two = (torch.nn.Parameter(start.clone()) for start in starts)
        first = {"params": [one], "lr": 0.3, "betas": (0.5, 0.7)}
        second = {"params": [two], "eps": 0.1, "weight_decay": 0.9}
        optimizer = m.AdamW([first, second], lr=0.05)
        for grads in gradients:
            one.grad, two.grad = (grad.clone() for grad in grads)
            optimizer.step()
        return one.detach(), two.detach()

    begin, grads = starts(), gradients(4)
    got = student.run(of_two_groups, begin, grads)
    check.close(got, of_two_groups(reference, begin, grads), terms=64, scale=2.0)


def test_a_changed_learning_rate_holds_from_the_next_step(student):
    """A schedule writes into param_groups between the steps.

    学习率调度在两步之间改写 param_groups。
    """

    def scheduled(m, start, gradients):
        """The weight after steps of AdamW, with param_groups[0]["lr"] changed before each

        每一步之前改写 param_groups[0]["lr"]，AdamW 几步之后的权重
        """
        weight = torch.nn.Parameter(start.clone())
        optimizer = m.AdamW([weight], lr=9.0, weight_decay=0.3)
        for step, grads in enumerate(gradients):
            optimizer.param_groups[0]["lr"] = 0.4 / (step + 1)
            weight.grad = grads[0].clone()
            optimizer.step()
        return weight.detach()

    begin, grads = starts()[0], gradients(4)
    got = student.run(scheduled, begin, grads)
    check.close(got, scheduled(reference, begin, grads), terms=64, scale=2.0)


def test_the_parameter_is_changed_in_place_and_its_gradient_is_not(student):
    """The model holds the tensor, so it must be that one which changes; p.grad stays as it was.

    模型引用着这个张量，所以必须就地修改它；p.grad 保持原样。
    """

    def held(m, start, grad):
        """A view of the weight that was made before step(), and weight.grad after it

        step() 之前取的权重视图，以及之后的 weight.grad
        """
        weight = torch.nn.Parameter(start.clone())
        view = weight.detach()
        weight.grad = grad.clone()
        m.AdamW([weight], lr=0.1, weight_decay=0.5).step()
        return view, weight.grad

    begin, grad = torch.randn(4), torch.randn(4)
    got = student.run(held, begin, grad)
    check.close(got, held(reference, begin, grad), scale=2.0)


def test_what_is_saved_goes_on_in_another_optimizer(student):
    """state holds step, exp_avg and exp_avg_sq: an optimizer that loads them goes on the same.

    state 里有 step、exp_avg 和 exp_avg_sq：另一个优化器载入后，结果与不中断一样。
    """

    def resumed(m, start, gradients):
        """The state after two steps; and the weight after two more, of another AdamW that loads it

        两步之后的状态；以及另一个 AdamW 载入它、再走两步之后的权重
        """
        weight = torch.nn.Parameter(start.clone())
        optimizer = m.AdamW([weight], lr=0.1)
        saved = None
        for step, grads in enumerate(gradients):
            if step == 2:
                state = optimizer.state_dict()
                saved = {
                    name: float(held) if name == "step" else held.clone()
                    for name, held in state["state"][0].items()
                }
                optimizer = m.AdamW([weight], lr=7.0)
                optimizer.load_state_dict(state)
            weight.grad = grads[0].clone()
            optimizer.step()
        return saved, weight.detach()

    begin, grads = starts()[0], gradients(4)
    got = student.run(resumed, begin, grads)
    check.close(got, resumed(reference, begin, grads), terms=64, scale=2.0)


# ---- other right ways


def _remembered(self, p):
    if p not in self.state:
        self.state[p] = {
            "step": 0,
            "exp_avg": torch.zeros_like(p),
            "exp_avg_sq": torch.zeros_like(p),
        }
    self.state[p]["step"] += 1
    return self.state[p]


@also_right("AdamW.step", en="as the formulas stand, with copies")
def as_written(self):
    for group in self.param_groups:
        beta1, beta2 = group["betas"]
        for p in group["params"]:
            if p.grad is None:
                continue
            with torch.no_grad():
                state = _remembered(self, p)
                t, g = state["step"], p.grad
                state["exp_avg"] = beta1 * state["exp_avg"] + (1 - beta1) * g
                state["exp_avg_sq"] = beta2 * state["exp_avg_sq"] + (1 - beta2) * g**2
                w = p - group["lr"] * group["weight_decay"] * p
                m_hat = state["exp_avg"] / (1 - beta1**t)
                v_hat = state["exp_avg_sq"] / (1 - beta2**t)
                p.copy_(w - group["lr"] * m_hat / (v_hat.sqrt() + group["eps"]))


@also_right("AdamW.step", en="the decay last, computed from the old weight; in float64")
def decayed_last(self):
    with torch.no_grad():
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in (p for p in group["params"] if p.grad is not None):
                state = _remembered(self, p)
                old, g = p.double(), p.grad.double()
                m = b1 * state["exp_avg"].double() + (1 - b1) * g
                v = b2 * state["exp_avg_sq"].double() + (1 - b2) * g * g
                state["exp_avg"], state["exp_avg_sq"] = m.to(p.dtype), v.to(p.dtype)
                t = state["step"]
                root = torch.sqrt(v) / math.sqrt(1 - b2**t) + group["eps"]
                new = old - group["lr"] / (1 - b1**t) * m / root
                p.data.copy_(new - group["lr"] * group["weight_decay"] * old)


@also_right("decay_groups", en="a loop")
def one_by_one(model, weight_decay):
    matrices, vectors = [], []
    for _, p in model.named_parameters():
        if not p.requires_grad:
            continue
        (vectors if p.ndim <= 1 else matrices).append(p)
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


# ---- mistakes that people make


@known_wrong(
    "decay_groups",
    en="Everything decays. The weights of norms and biases, with one axis, must not.",
    zh="所有参数都衰减了。归一化的权重和偏置（一个轴）不应衰减。",
)
def all_decay(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": trained, "weight_decay": weight_decay},
        {"params": [], "weight_decay": 0.0},
    ]


@known_wrong(
    "decay_groups",
    en="The groups are exchanged: the matrices decay, not the vectors.",
    zh="两组弄反了：应衰减的是矩阵，不是向量。",
)
def exchanged(model, weight_decay):
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": 0.0},
    ]


@known_wrong(
    "decay_groups",
    en="Frozen parameters are in the groups; leave out what has requires_grad = False.",
    zh="冻结的参数也进了组；requires_grad = False 的应当去掉。",
)
def frozen_too(model, weight_decay):
    every = list(model.parameters())
    return [
        {"params": [p for p in every if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in every if p.dim() < 2], "weight_decay": 0.0},
    ]


@torch.no_grad()
def _stepped(
    self,
    *,
    decay=lambda group: 1 - group["lr"] * group["weight_decay"],
    gradient=lambda p, group: p.grad,
    betas=lambda group: group["betas"],
    corrected=lambda beta, t: 1 - beta**t,
    root=lambda v, share, eps: (v / share).sqrt() + eps,
):
    """A step as it should be, but for what is given."""
    for group in self.param_groups:
        b1, b2 = betas(group)
        for p in (p for p in group["params"] if p.grad is not None):
            state = _remembered(self, p)
            t, g = state["step"], gradient(p, group)
            p.mul_(decay(group))
            state["exp_avg"].lerp_(g, 1 - b1)
            state["exp_avg_sq"].mul_(b2).addcmul_(g, g, value=1 - b2)
            under = root(state["exp_avg_sq"], corrected(b2, t), group["eps"])
            p.sub_(group["lr"] * state["exp_avg"] / corrected(b1, t) / under)


@known_wrong(
    "AdamW.step",
    en="You add the decay to the gradient. That is Adam with L2: the root divides it away again. "
    "Shrink the weight itself: p.mul_(1 - lr * weight_decay).",
    zh="你把衰减加进了梯度，那是带 L2 的 Adam：随后又被平方根除掉了。应直接缩小权重："
    "p.mul_(1 - lr * weight_decay)。",
)
def l2_in_the_gradient(self):
    _stepped(
        self,
        decay=lambda group: 1.0,
        gradient=lambda p, group: p.grad + group["weight_decay"] * p,
    )


@known_wrong(
    "AdamW.step",
    en="The decay is not multiplied by lr: p.mul_(1 - lr * weight_decay).",
    zh="衰减没有乘 lr：应为 p.mul_(1 - lr * weight_decay)。",
)
def decay_without_lr(self):
    _stepped(self, decay=lambda group: 1 - group["weight_decay"])


@known_wrong(
    "AdamW.step",
    en="There is no decay: weight_decay is never used.",
    zh="没有衰减：weight_decay 没有用上。",
)
def no_decay(self):
    _stepped(self, decay=lambda group: 1.0)


@known_wrong(
    "AdamW.step",
    en="The averages start at 0 and are not corrected: divide m by 1 - beta1 ** t and v by "
    "1 - beta2 ** t.",
    zh="两个平均从 0 开始，却没有校正：m 要除以 1 - beta1 ** t，v 要除以 1 - beta2 ** t。",
)
def no_bias_correction(self):
    _stepped(self, corrected=lambda beta, t: 1.0)


@known_wrong(
    "AdamW.step",
    en="The correction of the first step divides by 1 - beta ** 0 = 0: count the step before you "
    "use t.",
    zh="第一步的校正除以了 1 - beta ** 0 = 0：先把步数加一，再用 t。",
)
def steps_from_zero(self):
    _stepped(self, corrected=lambda beta, t: 1 - beta ** torch.tensor(float(t - 1)))


@known_wrong(
    "AdamW.step",
    en="One count of steps for all: a parameter whose first gradient comes later is corrected "
    "wrongly. Count in its own state.",
    zh="所有参数共用一个步数：较晚才有梯度的参数校正就错了。步数应记在各自的 state 里。",
)
def one_count_for_all(self):
    self.t = getattr(self, "t", 0) + 1
    _stepped(self, corrected=lambda beta, t: 1 - beta**self.t)
    for state in self.state.values():
        state["step"] = self.t


@known_wrong(
    "AdamW.step",
    en="eps stands inside the root, where it is far larger: sqrt(v) + eps, not sqrt(v + eps).",
    zh="eps 放进了根号，作用大得多：应为 sqrt(v) + eps，而不是 sqrt(v + eps)。",
)
def eps_inside_the_root(self):
    _stepped(self, root=lambda v, share, eps: (v / share + eps).sqrt())


@known_wrong(
    "AdamW.step",
    en="eps is added before the root is corrected, and is corrected with it: "
    "sqrt(v) / sqrt(1 - beta2 ** t) + eps.",
    zh="eps 在校正之前就加上了，于是也被校正：应为 sqrt(v) / sqrt(1 - beta2 ** t) + eps。",
)
def eps_before_the_correction(self):
    _stepped(self, root=lambda v, share, eps: (v.sqrt() + eps) / share**0.5)


@known_wrong(
    "AdamW.step",
    en="You divide by v itself: its square root is missing.",
    zh="你除以了 v 本身：还差开平方。",
)
def no_root(self):
    _stepped(self, root=lambda v, share, eps: v / share + eps)


@known_wrong(
    "AdamW.step",
    en="beta1 and beta2 are exchanged: beta1 belongs to the mean m, beta2 to the mean square v.",
    zh="beta1 和 beta2 弄反了：beta1 用于均值 m，beta2 用于平方均值 v。",
)
def betas_swapped(self):
    _stepped(self, betas=lambda group: group["betas"][::-1])


@known_wrong(
    "AdamW.step",
    en="Parameters without a gradient decay all the same: pass them over before anything else.",
    zh="没有梯度的参数也衰减了：应最先跳过它们。",
)
def decays_without_gradient(self):
    for group in self.param_groups:
        for p in (p for p in group["params"] if p.grad is None):
            p.data.mul_(1 - group["lr"] * group["weight_decay"])
    _stepped(self)
