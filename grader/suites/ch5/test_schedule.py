"""Hidden suite of ch5/schedule."""

import math

import pytest

from grader.judge import check
from grader.judge.marks import also_right, known_wrong
from happyllm.train.schedule import cosine_lr

SIZES = {"max_lr": 0.6, "min_lr": 0.06, "warmup_steps": 5, "total_steps": 17}


def rates(m, steps, sizes):
    """[cosine_lr(step, **sizes) for step in steps]"""
    return [float(m.cosine_lr(step, **sizes)) for step in steps]


def expected(steps, sizes):
    return [cosine_lr(step, **sizes) for step in steps]


def test_the_warmup_is_a_straight_line_from_zero(student):
    """Of 5 warmup steps the first has 1/5 of max_lr, and step 5 all of it.

    预热 5 步时，第 1 步是 max_lr 的 1/5，第 5 步达到 max_lr。
    """
    got = student.run(rates, [0, 1, 2, 4, 5], SIZES)
    check.close(got, [0.0, 0.12, 0.24, 0.48, 0.6], scale=0.6)


def test_the_decay_is_half_a_cosine_from_the_top_to_the_floor(student):
    """Between warmup_steps and total_steps the rate falls along half a cosine to min_lr.

    从 warmup_steps 到 total_steps，学习率沿半个余弦降到 min_lr。
    """
    steps = list(range(5, 18))
    check.close(student.run(rates, steps, SIZES), expected(steps, SIZES), scale=0.6)


def test_halfway_down_the_rate_is_halfway(student):
    """In the middle of the decay the rate is the mean of max_lr and min_lr.

    衰减到一半时，学习率是 max_lr 和 min_lr 的平均。
    """
    check.close(student.run(rates, [11], SIZES), [0.33], scale=0.6)


def test_the_rate_stays_at_its_floor_after_the_last_step(student):
    """After total_steps it is min_lr for good; a cosine that runs on would rise again.

    total_steps 之后一直是 min_lr；若余弦继续往下算，它又会升上去。
    """
    check.close(student.run(rates, [17, 18, 29, 1000], SIZES), [0.06] * 4, scale=0.6)


def test_without_a_warmup_it_starts_at_the_top(student):
    """With warmup_steps = 0 the rate at step 0 is max_lr, and nothing is divided by 0.

    warmup_steps = 0 时，第 0 步就是 max_lr，而且不会除以 0。
    """
    sizes = SIZES | {"warmup_steps": 0}
    steps = [0, 1, 8, 17]
    check.close(student.run(rates, steps, sizes), expected(steps, sizes), scale=0.6)


@pytest.mark.parametrize("min_lr", [0.0, 0.6])
def test_the_floor_may_be_zero_or_the_top(student, min_lr):
    """min_lr = 0 decays to nothing, min_lr = max_lr not at all: both are allowed.

    min_lr = 0 会降到零，min_lr = max_lr 则不衰减：两者都允许。
    """
    sizes = SIZES | {"min_lr": min_lr}
    steps = [3, 5, 9, 17, 20]
    check.close(student.run(rates, steps, sizes), expected(steps, sizes), scale=0.6)


@pytest.mark.parametrize(
    ("bad", "name"),
    [
        ({"min_lr": -0.1}, "min_lr"),
        ({"min_lr": 0.7}, "min_lr"),
        ({"warmup_steps": -1}, "warmup_steps"),
        ({"warmup_steps": 17}, "warmup_steps"),
        ({"warmup_steps": 30}, "warmup_steps"),
    ],
    ids=["floor below 0", "floor above the top", "negative", "all warmup", "too long"],
)
def test_what_cannot_be_a_schedule_is_refused(student, bad, name):
    """A floor outside [0, max_lr], or a warmup that leaves no decay, raises ValueError.

    min_lr 不在 [0, max_lr] 内，或预热没给衰减留下步数，都要抛出 ValueError。
    """
    check.raises(ValueError, lambda: student.cosine_lr(3, **(SIZES | bad)), match=name)


# ---- other right ways


@also_right("cosine_lr", en="by the square of a cosine of half the angle")
def by_the_half_angle(step, *, max_lr, min_lr, warmup_steps, total_steps):
    if min_lr < 0 or min_lr > max_lr:
        raise ValueError("min_lr")
    if warmup_steps < 0 or warmup_steps >= total_steps:
        raise ValueError("warmup_steps")
    if step < warmup_steps:
        return step / warmup_steps * max_lr
    if step >= total_steps:
        return min_lr
    angle = math.pi / 2 * (step - warmup_steps) / (total_steps - warmup_steps)
    return min_lr * math.sin(angle) ** 2 + max_lr * math.cos(angle) ** 2


@also_right("cosine_lr", en="decay first, warmup as a factor, with torch")
def with_torch(step, *, max_lr, min_lr, warmup_steps, total_steps):
    import torch

    if not (0 <= min_lr <= max_lr):
        raise ValueError("min_lr")
    if not (0 <= warmup_steps < total_steps):
        raise ValueError("warmup_steps")
    if warmup_steps and step <= warmup_steps:
        return torch.tensor(max_lr, dtype=torch.float64).mul(step).div(warmup_steps).item()
    done = torch.tensor((step - warmup_steps) / (total_steps - warmup_steps)).clamp(0, 1)
    return min_lr + (max_lr - min_lr) / 2 * (1 + torch.cos(math.pi * done.double()).item())


# ---- mistakes that people make


def _checked(max_lr, min_lr, warmup_steps, total_steps):
    if not 0 <= min_lr <= max_lr:
        raise ValueError(f"min_lr={min_lr}")
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(f"warmup_steps={warmup_steps}")


@known_wrong(
    "cosine_lr",
    en="The decay does not stop at total_steps: the cosine rises again. Keep the share at most 1.",
    zh="衰减在 total_steps 之后没有停：余弦又升了上去。进度最多取 1。",
)
def restarts(step, *, max_lr, min_lr, warmup_steps, total_steps):
    _checked(max_lr, min_lr, warmup_steps, total_steps)
    if step < warmup_steps:
        return max_lr * step / warmup_steps
    done = (step - warmup_steps) / (total_steps - warmup_steps)
    return min_lr + (max_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * done))


@known_wrong(
    "cosine_lr",
    en="The decay counts from step 0, so the rate jumps where the warmup ends. Count from "
    "warmup_steps: (step - warmup_steps) / (total_steps - warmup_steps).",
    zh="衰减从第 0 步算起，预热结束处学习率会突跳。应从 warmup_steps 算起："
    "(step - warmup_steps) / (total_steps - warmup_steps)。",
)
def decay_from_zero(step, *, max_lr, min_lr, warmup_steps, total_steps):
    _checked(max_lr, min_lr, warmup_steps, total_steps)
    if step < warmup_steps:
        return max_lr * step / warmup_steps
    done = min(1.0, step / total_steps)
    return min_lr + (max_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * done))


@known_wrong(
    "cosine_lr",
    en="The decay is spread over total_steps after the warmup, so it is not over at total_steps. "
    "It has total_steps - warmup_steps of them.",
    zh="衰减被摊到预热之后的 total_steps 步上，到 total_steps 时还没结束。"
    "它只有 total_steps - warmup_steps 步。",
)
def decay_too_long(step, *, max_lr, min_lr, warmup_steps, total_steps):
    _checked(max_lr, min_lr, warmup_steps, total_steps)
    if step < warmup_steps:
        return max_lr * step / warmup_steps
    done = min(1.0, (step - warmup_steps) / total_steps)
    return min_lr + (max_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * done))


@known_wrong(
    "cosine_lr",
    en="min_lr plays no part: the rate falls to 0. Scale the cosine by max_lr - min_lr and add "
    "min_lr.",
    zh="min_lr 没有起作用：学习率降到了 0。余弦要乘以 max_lr - min_lr，再加上 min_lr。",
)
def floor_forgotten(step, *, max_lr, min_lr, warmup_steps, total_steps):
    _checked(max_lr, min_lr, warmup_steps, total_steps)
    if step < warmup_steps:
        return max_lr * step / warmup_steps
    done = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    return max_lr * 0.5 * (1 + math.cos(math.pi * done))


@known_wrong(
    "cosine_lr",
    en="min_lr is added on top of max_lr, so the peak is too high: scale by max_lr - min_lr.",
    zh="min_lr 被加在了 max_lr 之上，峰值过高：余弦应乘以 max_lr - min_lr。",
)
def floor_added(step, *, max_lr, min_lr, warmup_steps, total_steps):
    _checked(max_lr, min_lr, warmup_steps, total_steps)
    if step < warmup_steps:
        return max_lr * step / warmup_steps
    done = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    return min_lr + max_lr * 0.5 * (1 + math.cos(math.pi * done))


@known_wrong(
    "cosine_lr",
    en="A whole cosine goes down and comes up again: the angle goes to pi, not to 2 pi.",
    zh="完整的余弦先降后升：角度只到 pi，而不是 2 pi。",
)
def whole_cosine(step, *, max_lr, min_lr, warmup_steps, total_steps):
    _checked(max_lr, min_lr, warmup_steps, total_steps)
    if step < warmup_steps:
        return max_lr * step / warmup_steps
    done = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    return min_lr + (max_lr - min_lr) * 0.5 * (1 + math.cos(2 * math.pi * done))


@known_wrong(
    "cosine_lr",
    en="The rate falls in a straight line; the task asks for half a cosine.",
    zh="学习率沿直线下降；题目要的是半个余弦。",
)
def linear_decay(step, *, max_lr, min_lr, warmup_steps, total_steps):
    _checked(max_lr, min_lr, warmup_steps, total_steps)
    if step < warmup_steps:
        return max_lr * step / warmup_steps
    done = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    return max_lr + (min_lr - max_lr) * done


@known_wrong(
    "cosine_lr",
    en="There is no warmup: the first steps have the full rate.",
    zh="没有预热：最初几步就用了最大学习率。",
)
def no_warmup(step, *, max_lr, min_lr, warmup_steps, total_steps):
    _checked(max_lr, min_lr, warmup_steps, total_steps)
    if step < warmup_steps:
        return max_lr
    done = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    return min_lr + (max_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * done))


@known_wrong(
    "cosine_lr",
    en="The warmup is a step ahead: (step + 1) / warmup_steps counts the updates from 0. Here they "
    "are counted from 1, and step / warmup_steps it is.",
    zh="预热早了一步：(step + 1) / warmup_steps 是从 0 数更新次数的写法。这里从 1 数起，"
    "应为 step / warmup_steps。",
)
def a_step_ahead(step, *, max_lr, min_lr, warmup_steps, total_steps):
    _checked(max_lr, min_lr, warmup_steps, total_steps)
    if step < warmup_steps:
        return max_lr * (step + 1) / warmup_steps
    done = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    return min_lr + (max_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * done))


@known_wrong(
    "cosine_lr",
    en="The warmup starts at min_lr; the task asks for a line from 0.",
    zh="预热从 min_lr 开始；题目要求从 0 开始的直线。",
)
def warmup_from_the_floor(step, *, max_lr, min_lr, warmup_steps, total_steps):
    _checked(max_lr, min_lr, warmup_steps, total_steps)
    if step < warmup_steps:
        return min_lr + (max_lr - min_lr) * step / warmup_steps
    done = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
    return min_lr + (max_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * done))


@known_wrong(
    "cosine_lr",
    en="Sizes that cannot be a schedule go through; raise ValueError that names the argument.",
    zh="不可能成立的参数没有被拒绝；应抛出 ValueError，并写明参数名。",
)
def nothing_refused(step, *, max_lr, min_lr, warmup_steps, total_steps):
    if step < warmup_steps:
        return max_lr * step / warmup_steps
    done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return min_lr + (max_lr - min_lr) * 0.5 * (1 + math.cos(math.pi * done))
