"""Hidden suite of ch5/train_step."""

import pytest
import torch

from grader.judge import check
from grader.judge.marks import also_right, known_wrong
from happyllm.train import step as reference
from happyllm.train.accumulate import accumulate_gradients
from happyllm.train.optim import clip_grad_norm
from happyllm.train.step import StepResult


def stepped(m, pieces, lr, max_norm, stale, spoilt, n_tokens):
    """train_step(model, optimizer, …) of a small model, with an optimizer that moves by lr * grad

    小模型的 train_step(model, optimizer, …)；这个优化器每步移动 lr * grad
    """

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Parameter(torch.linspace(-1, 1, 35).view(7, 5).sin())
            self.out = torch.nn.Parameter(torch.linspace(-2, 2, 35).view(5, 7).cos())
            self.modes = []

        def forward(self, tokens, targets):
            self.modes.append(self.training)
            counted = targets != -100
            logits = self.embed[tokens] @ self.out
            losses = -logits.log_softmax(-1).gather(-1, targets.clamp(min=0)[..., None])[..., 0]
            loss = losses.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)
            if spoilt == "loss":
                loss = loss * torch.nan
            if spoilt == "loss alone":
                loss = loss + torch.inf
            if spoilt == "gradient":
                loss = loss + (self.out - self.out.detach()).abs().sqrt().sum()
            return logits, loss

    class Descent:
        def __init__(self, *groups):
            self.param_groups = [{"params": group, "lr": 77.0} for group in groups]
            self.steps = 0

        def zero_grad(self):
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad = None

        @torch.no_grad()
        def step(self):
            self.steps += 1
            for group in self.param_groups:
                for p in group["params"]:
                    p -= group["lr"] * p.grad

    model = Model().eval()
    optimizer = Descent([model.embed], [model.out])
    if stale:
        for p in model.parameters():
            p.grad = torch.full_like(p, stale)
    batches = [{"tokens": tokens, "targets": targets} for tokens, targets in pieces]
    more = {} if n_tokens is None else {"n_tokens": n_tokens}
    try:
        result = m.train_step(model, optimizer, batches, lr=lr, max_norm=max_norm, **more)
        told = [result.loss, result.grad_norm]
    except FloatingPointError:
        told = "FloatingPointError"
    return {
        "loss, grad_norm": told,
        "weights": [p.detach().clone() for p in model.parameters()],
        "steps": optimizer.steps,
        "training": model.modes,
        "gradients left": [p.grad is not None for p in model.parameters()],
    }


def pieces(*counts):
    """Micro-batches of two rows; of each, so many tokens count."""
    made = []
    for count in counts:
        targets = torch.randint(7, (12,))
        targets[torch.randperm(12)[count:]] = -100
        made.append((torch.randint(7, (2, 6)), targets.view(2, 6)))
    return made


def step(student, pieces, lr, max_norm, stale=0.0, spoilt=None, n_tokens=None):
    """What the learner's train_step does, and what the reference's does."""
    arguments = (pieces, lr, max_norm, stale, spoilt, n_tokens)
    return student.run(stepped, *arguments), stepped(reference, *arguments)


def compare(student, part, *arguments):
    got, expected = step(student, *arguments)
    check.close(got[part], expected[part], terms=64, scale=4.0)


def test_loss_and_length_of_the_gradient_are_told(student):
    """Two Python floats come back: the mean loss of all tokens, and the length before clipping.

    返回两个 Python 浮点数：全部 token 的平均损失，以及裁剪前的梯度长度。
    """
    compare(student, "loss, grad_norm", pieces(12, 3), 0.1, 0.01)


def test_both_are_plain_numbers(student):
    """A tensor in the log would keep memory alive, and wait for the GPU again; give floats.

    日志里放张量会占住内存，还要再等一次 GPU；应给浮点数。
    """

    def plain(m):
        """The types of what train_step returns, .loss and .grad_norm

        train_step 返回的 .loss 和 .grad_norm 的类型
        """

        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = torch.nn.Parameter(torch.tensor(2.0))

            def forward(self, targets):
                return None, self.weight * 3

        class Still:
            def __init__(self, weight):
                self.param_groups = [{"params": [weight], "lr": 0.0}]

            def zero_grad(self):
                self.param_groups[0]["params"][0].grad = None

            def step(self):
                pass

        model = Model()
        batch = {"targets": torch.tensor([[1]])}
        result = m.train_step(model, Still(model.weight), [batch], lr=0.1, max_norm=1.0)
        return type(result.loss).__name__, type(result.grad_norm).__name__

    check.equal(student.run(plain), ("float", "float"))


def test_the_weights_move_against_the_gradient(student):
    """One micro-batch, no clipping: one step of the optimizer with the gradient of its loss.

    一个小批次、不裁剪：优化器用它的梯度走一步。
    """
    compare(student, "weights", pieces(12), 0.5, 1e6)


def test_the_gradient_is_that_of_all_micro_batches(student):
    """Micro-batches of 12, 1 and 5 tokens make one update, and each token weighs the same.

    12、1、5 个 token 的小批次合成一次更新，每个 token 分量相同。
    """
    some = pieces(12, 1, 5)
    compare(student, "weights", some, 0.5, 1e6)
    check.equal(step(student, some, 0.5, 1e6)[0]["steps"], 1)


def test_the_gradient_is_clipped_before_the_step(student):
    """With max_norm below the gradient's length the weights move less: by lr * max_norm in all.

    max_norm 小于梯度长度时，权重走得更短：总长为 lr * max_norm。
    """
    compare(student, "weights", pieces(12, 4), 0.5, 0.05)


def test_every_group_steps_at_the_given_rate(student):
    """lr is written into each of the optimizer's groups, whatever stood there.

    不管原来是多少，都把 lr 写进优化器的每个组。
    """
    compare(student, "weights", pieces(8), 0.02, 1e6)


def test_gradients_of_before_do_not_count(student):
    """What an evaluation or a broken step left in p.grad is cleared first.

    之前的评估或中断的步骤留在 p.grad 里的梯度，要先清掉。
    """
    some = pieces(9)
    compare(student, "weights", some, 0.5, 1e6, 10.0)
    compare(student, "loss, grad_norm", some, 0.5, 1e6, 10.0)


def test_the_model_trains_in_training_mode(student):
    """An evaluation may have left the model in eval(), without dropout: model.train() first.

    评估可能把模型留在 eval() 模式、没有 dropout：先调用 model.train()。
    """
    got = step(student, pieces(9, 2), 0.5, 1e6)[0]["training"]
    check.equal(got, [True, True])


def test_no_gradient_is_left_behind(student):
    """After the step the gradients are of no more use; as None they take no memory.

    更新之后梯度不再有用；设为 None 就不占内存。
    """
    got = step(student, pieces(9), 0.5, 1e6)[0]["gradients left"]
    check.equal(got, [False, False])


@pytest.mark.parametrize("spoilt", ["loss", "gradient", "loss alone"])
def test_what_is_not_finite_changes_nothing(student, spoilt):
    """Where the loss, or only the gradient's length, is not finite, FloatingPointError is raised.

    损失不是有限数，或者只有梯度长度不是，都要抛出 FloatingPointError，且权重不变。
    """
    got, expected = step(student, pieces(9), 0.5, 1.0, 0.0, spoilt)
    check.equal(got["loss, grad_norm"], "FloatingPointError")
    check.equal((got["steps"], got["weights"]), (0, expected["weights"]))


def test_a_refused_step_leaves_no_gradient(student):
    """After FloatingPointError no NaN waits in p.grad for whoever goes on.

    抛出 FloatingPointError 之后，p.grad 里不留下 NaN。
    """
    got = step(student, pieces(9), 0.5, 1.0, 0.0, "loss")[0]
    check.equal(got["gradients left"], [False, False])


def test_a_number_of_tokens_that_is_given_is_handed_on(student):
    """n_tokens goes to accumulate_gradients: the loss and the gradient are over that number.

    n_tokens 传给 accumulate_gradients：损失和梯度都除以它。
    """
    some = pieces(9, 2)
    compare(student, "loss, grad_norm", some, 0.5, 1e6, 0.0, None, 44)
    compare(student, "weights", some, 0.5, 1e6, 0.0, None, 44)


# ---- other right ways


def _prepared(model, optimizer, lr):
    model.train(True)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad()


def _finished(model, optimizer, loss, norm):
    total = loss + norm
    if total != total or total in (float("inf"), -float("inf")):
        optimizer.zero_grad()
        raise FloatingPointError("not finite")
    optimizer.step()
    optimizer.zero_grad()
    return StepResult(loss, norm)


@also_right("train_step", en="the parameters of the optimizer's groups, tensors until the end")
def of_the_groups(model, optimizer, micro_batches, *, lr, max_norm, n_tokens=None):
    model.train()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for p in parameters:
        p.grad = None
    loss = accumulate_gradients(model, micro_batches, n_tokens)
    norm = clip_grad_norm(parameters, max_norm)
    if not (torch.isfinite(loss) and torch.isfinite(norm)):
        for p in parameters:
            p.grad = None
        raise FloatingPointError(f"{loss=} {norm=}")
    for group in optimizer.param_groups:
        group.update(lr=lr)
    optimizer.step()
    for p in parameters:
        p.grad = None
    return StepResult(loss=loss.item(), grad_norm=norm.item())


@also_right("train_step", en="the loss checked before the gradient is clipped")
def checked_twice(model, optimizer, micro_batches, *, lr, max_norm, n_tokens=None):
    _prepared(model, optimizer, lr)
    loss = accumulate_gradients(model, micro_batches, n_tokens).item()
    if loss != loss or abs(loss) == float("inf"):
        optimizer.zero_grad()
        raise FloatingPointError("loss")
    norm = clip_grad_norm(list(model.parameters()), max_norm).item()
    return _finished(model, optimizer, loss, norm)


# ---- mistakes that people make


@known_wrong(
    "train_step",
    en="You clip after the step, when the weights have moved already. Clip before it.",
    zh="你在更新之后才裁剪，权重已经动了。应在更新之前裁剪。",
)
def clipped_after(model, optimizer, micro_batches, *, lr, max_norm, n_tokens=None):
    _prepared(model, optimizer, lr)
    loss = float(accumulate_gradients(model, micro_batches, n_tokens))
    norm = float(clip_grad_norm(model.parameters(), float("inf")))
    result = _finished(model, optimizer, loss, norm)
    clip_grad_norm(model.parameters(), max_norm)
    return result


@known_wrong(
    "train_step",
    en="The old gradients are still there, and are added to. Call zero_grad() first.",
    zh="旧的梯度还在，新的加在了上面。先调用 zero_grad()。",
)
def old_gradients_kept(model, optimizer, micro_batches, *, lr, max_norm, n_tokens=None):
    model.train()
    for group in optimizer.param_groups:
        group["lr"] = lr
    loss = float(accumulate_gradients(model, micro_batches, n_tokens))
    norm = float(clip_grad_norm(model.parameters(), max_norm))
    return _finished(model, optimizer, loss, norm)


@known_wrong(
    "train_step",
    en="Only the first group gets the rate; the second goes on with its old one. Write lr into "
    "all.",
    zh="只有第一个组换了学习率，第二个组还用旧的。要写进所有组。",
)
def first_group_only(model, optimizer, micro_batches, *, lr, max_norm, n_tokens=None):
    model.train()
    optimizer.param_groups[0]["lr"] = lr
    optimizer.zero_grad()
    loss = float(accumulate_gradients(model, micro_batches, n_tokens))
    norm = float(clip_grad_norm(model.parameters(), max_norm))
    return _finished(model, optimizer, loss, norm)


@known_wrong(
    "train_step",
    en="lr is not used: write it into optimizer.param_groups before the step.",
    zh="没有用到 lr：更新之前把它写进 optimizer.param_groups。",
)
def rate_ignored(model, optimizer, micro_batches, *, lr, max_norm, n_tokens=None):
    model.train()
    optimizer.zero_grad()
    loss = float(accumulate_gradients(model, micro_batches, n_tokens))
    norm = float(clip_grad_norm(model.parameters(), max_norm))
    return _finished(model, optimizer, loss, norm)


@known_wrong(
    "train_step",
    en="The model stays in evaluation mode, where dropout does nothing. Call model.train().",
    zh="模型还停在评估模式，dropout 不起作用。应调用 model.train()。",
)
def left_in_evaluation(model, optimizer, micro_batches, *, lr, max_norm, n_tokens=None):
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad()
    loss = float(accumulate_gradients(model, micro_batches, n_tokens))
    norm = float(clip_grad_norm(model.parameters(), max_norm))
    return _finished(model, optimizer, loss, norm)


@known_wrong(
    "train_step",
    en="You look for NaN when the step is done: the weights are spoilt already. Look before it.",
    zh="你在更新之后才检查 NaN：权重已经毁了。应在更新之前检查。",
)
def checked_after(model, optimizer, micro_batches, *, lr, max_norm, n_tokens=None):
    _prepared(model, optimizer, lr)
    loss = float(accumulate_gradients(model, micro_batches, n_tokens))
    norm = float(clip_grad_norm(model.parameters(), max_norm))
    optimizer.step()
    optimizer.zero_grad()
    if not abs(loss + norm) < float("inf"):
        raise FloatingPointError("not finite")
    return StepResult(loss, norm)


@known_wrong(
    "train_step",
    en="Nothing looks whether the loss is finite: one NaN, and every weight is NaN.",
    zh="没有检查损失是否有限：一个 NaN 就会让所有权重都变成 NaN。",
)
def unchecked(model, optimizer, micro_batches, *, lr, max_norm, n_tokens=None):
    _prepared(model, optimizer, lr)
    loss = float(accumulate_gradients(model, micro_batches, n_tokens))
    norm = float(clip_grad_norm(model.parameters(), max_norm))
    optimizer.step()
    optimizer.zero_grad()
    return StepResult(loss, norm)


@known_wrong(
    "train_step",
    en="You look at the loss only. A root at 0, or an overflow, spoils the gradient under a fine "
    "loss: look at its length too.",
    zh="你只检查了损失。根号在 0 处或溢出时，损失正常，梯度却已经坏了：还要检查梯度长度。",
)
def loss_alone_checked(model, optimizer, micro_batches, *, lr, max_norm, n_tokens=None):
    _prepared(model, optimizer, lr)
    loss = float(accumulate_gradients(model, micro_batches, n_tokens))
    norm = float(clip_grad_norm(model.parameters(), max_norm))
    if not abs(loss) < float("inf"):
        optimizer.zero_grad()
        raise FloatingPointError("loss")
    optimizer.step()
    optimizer.zero_grad()
    return StepResult(loss, norm)


@known_wrong(
    "train_step",
    en="You look at the gradient only. An infinite loss can have a finite gradient: look at both.",
    zh="你只检查了梯度。损失无穷大时，梯度仍可能有限：两者都要检查。",
)
def gradient_alone_checked(model, optimizer, micro_batches, *, lr, max_norm, n_tokens=None):
    _prepared(model, optimizer, lr)
    loss = float(accumulate_gradients(model, micro_batches, n_tokens))
    norm = float(clip_grad_norm(model.parameters(), max_norm))
    if not norm < float("inf"):
        optimizer.zero_grad()
        raise FloatingPointError("gradient")
    optimizer.step()
    optimizer.zero_grad()
    return StepResult(loss, norm)


@known_wrong(
    "train_step",
    en="One step for each micro-batch: they belong to one update. Accumulate all, then step once.",
    zh="你每个小批次都更新了一次；它们属于同一次更新。先全部累积，再走一步。",
)
def step_for_each(model, optimizer, micro_batches, *, lr, max_norm, n_tokens=None):
    for batch in micro_batches:
        _prepared(model, optimizer, lr)
        loss = float(accumulate_gradients(model, [batch], n_tokens))
        norm = float(clip_grad_norm(model.parameters(), max_norm))
        result = _finished(model, optimizer, loss, norm)
    return result


@known_wrong(
    "train_step",
    en="Gradients are left behind, and hold as much memory as the model. zero_grad() at the end "
    "too.",
    zh="梯度留了下来，占的内存和模型一样大。最后也要 zero_grad()。",
)
def gradients_left(model, optimizer, micro_batches, *, lr, max_norm, n_tokens=None):
    _prepared(model, optimizer, lr)
    loss = float(accumulate_gradients(model, micro_batches, n_tokens))
    norm = float(clip_grad_norm(model.parameters(), max_norm))
    if not abs(loss + norm) < float("inf"):
        optimizer.zero_grad()
        raise FloatingPointError("not finite")
    optimizer.step()
    return StepResult(loss, norm)
