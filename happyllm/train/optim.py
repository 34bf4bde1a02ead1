"""From gradients to new weights: AdamW, which weights it decays, and clipping.

Both give the numbers of PyTorch's own, `torch.optim.AdamW` and `torch.nn.utils.clip_grad_norm_`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Sort a model's parameters into those that decay and those that do not.

    Decay pulls a weight to 0. For matrices that is a preference for simple maps; the weight of a
    norm or a bias is a vector, has its place elsewhere (a norm's at 1), and is left alone.

    Args:
        model: Parameters that need no gradient are left out; a shared one counts once.
        weight_decay: The decay of those with two axes or more.

    Returns:
        Two groups for `AdamW`: `{"params": [...], "weight_decay": weight_decay}` with the matrices
        (embeddings too), and `{"params": [...], "weight_decay": 0.0}` with the vectors.

    Example:
        >>> groups = decay_groups(nn.Linear(3, 2), weight_decay=0.1)
        >>> print(*[(len(group["params"]), group["weight_decay"]) for group in groups])
        (1, 0.1) (1, 0.0)

    Source:
        Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training",
        Section 4.1: decay "on all non bias or gain weights".
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    # Step 1: two axes or more decay, one axis does not.
    return [
        {"params": [p for p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]


class Optimizer:
    """What optimizers share: groups of parameters, what is remembered of each, saving and loading.

    Args:
        params: Parameters, or groups of them: dicts with "params" and any of the options.
        options: What holds where a group says nothing else.

    Attributes:
        param_groups: A dict for each group: "params" and every option. What is changed there holds
            from the next step on.
        state: What is remembered of each parameter that has had a step.

    Raises:
        ValueError: There are no parameters, or an option is out of range.

    Example:
        >>> weight, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.zeros(2))
        >>> groups = [{"params": [weight]}, {"params": [bias], "lr": 0.5}]
        >>> optimizer = Optimizer(groups, {"lr": 0.1})
        >>> print(*[group["lr"] for group in optimizer.param_groups])
        0.1 0.5
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        options: Mapping[str, Any],
    ) -> None:
        given: list[Any] = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        self.param_groups = [{**options, **g, "params": list(g["params"])} for g in groups]
        self.state: dict[torch.Tensor, dict[str, Any]] = {}
        if not any(group["params"] for group in self.param_groups):
            raise ValueError("params is empty: there is nothing to optimize")
        for group in self.param_groups:
            for name in ("lr", "eps", "weight_decay"):
                if not 0 <= group.get(name, 0) < math.inf:
                    raise ValueError(f"{name}={group[name]} must be 0 or more, and finite")
            if not all(0 <= beta < 1 for beta in group.get("betas", ())):
                raise ValueError(f"betas={group['betas']} must be in [0, 1)")

    def step(self) -> None:
        """Change each parameter in place by its gradient."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Let every parameter forget its gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Give all that a resumed run needs; parameters stand as numbers, in order.

        Returns:
            `{"state": {number: state}, "param_groups": [group, ...]}`, as PyTorch's optimizers do.
            The tensors are the optimizer's own, not copies.
        """
        ordered = [p for group in self.param_groups for p in group["params"]]
        numbers = {p: number for number, p in enumerate(ordered)}
        groups = [{**g, "params": [numbers[p] for p in g["params"]]} for g in self.param_groups]
        state = {numbers[p]: dict(state) for p, state in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where another optimizer of the same groups stood.

        Args:
            state_dict: What its `state_dict` gave; tensors are copied.

        Raises:
            ValueError: The groups do not have the same numbers of parameters, or a shape differs.
        """
        theirs: Sequence[dict[str, Any]] = state_dict["param_groups"]
        sizes = [len(group["params"]) for group in self.param_groups]
        if sizes != [len(group["params"]) for group in theirs]:
            raise ValueError(
                f"groups of {[len(g['params']) for g in theirs]} parameters do not fit {sizes}"
            )
        ordered = [p for group in self.param_groups for p in group["params"]]
        loaded: dict[torch.Tensor, dict[str, Any]] = {}
        for number, held in state_dict["state"].items():
            p = ordered[int(number)]
            loaded[p] = {}
            for name, value in held.items():
                if name == "step":
                    loaded[p][name] = int(value)
                    continue
                if value.shape != p.shape:
                    raise ValueError(
                        f"parameter {number} has the shape {tuple(p.shape)}, its {name} "
                        f"{tuple(value.shape)}"
                    )
                loaded[p][name] = value.to(p.device, p.dtype, copy=True)
        self.state.clear()
        self.state.update(loaded)
        for ours, group in zip(self.param_groups, theirs, strict=True):
            ours.update({name: value for name, value in group.items() if name != "params"})
            if "betas" in ours:
                ours["betas"] = tuple(ours["betas"])


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    With gradient g, in the t-th step of a parameter w:

        w = w - lr * weight_decay * w
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g ** 2
        w = w - lr * (m / (1 - beta1 ** t)) / (sqrt(v / (1 - beta2 ** t)) + eps)

    Args:
        params: Parameters, or groups of them: dicts with "params" and any of the options below.
        lr: Learning rate.
        betas: How slowly m (the mean of g) and v (that of g squared) forget, each in [0, 1).
        eps: Added to the root, so that a v of 0 divides nothing by 0.
        weight_decay: Share of a weight, times lr, that each step takes away.

    Attributes:
        param_groups: A dict for each group: "params", "lr", "betas", "eps", "weight_decay". What
            is changed there holds from the next step on.
        state: For each parameter that has had a step: its "step" t, "exp_avg" m, "exp_avg_sq" v.

    Raises:
        ValueError: There are no parameters, or an option is out of range.

    Example:
        >>> weight = nn.Parameter(torch.tensor([1.0, -2.0]))
        >>> optimizer = AdamW([weight], lr=0.1, weight_decay=0.0)
        >>> weight.grad = torch.tensor([0.5, -30.0])
        >>> optimizer.step()
        >>> weight.data  # the first step has the size lr, whatever the gradient's
        tensor([ 0.9000, -1.9000])

    Source:
        Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", Algorithm 2;
        Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", Section 3.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self) -> None:
        """Change each parameter in place by its gradient; one without a gradient stays as it is.

        A parameter counts its own steps: t is 1 in the first that it has a gradient in.
        """
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                # Step 1: what is remembered of this parameter; nothing yet in its first step.
                if p not in self.state:
                    zeros = torch.zeros_like(p), torch.zeros_like(p)
                    self.state[p] = {"step": 0, "exp_avg": zeros[0], "exp_avg_sq": zeros[1]}
                state = self.state[p]
                m, v = state["exp_avg"], state["exp_avg_sq"]
                state["step"] += 1
                t = state["step"]
                # Step 2: decay the weight itself; the gradient and its means know nothing of it.
                p.mul_(1 - group["lr"] * group["weight_decay"])
                # Step 3: move both means towards the gradient, and towards its square.
                m.lerp_(p.grad, 1 - beta1)
                v.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                # Step 4: both began at 0: divide by the share of a mean that they hold by now.
                step_size = group["lr"] / (1 - beta1**t)
                root = (v.sqrt() / math.sqrt(1 - beta2**t)).add_(group["eps"])
                # Step 5: step against the mean, over the root of the mean square.
                p.addcdiv_(m, root, value=-step_size)


def clip_grad_norm(parameters: Iterable[torch.Tensor], max_norm: float) -> torch.Tensor:
    """Scale all gradients down together, if their common length is more than `max_norm`.

    The length is that of one long vector made of all gradients. Each is multiplied by the same
    factor, `min(1, max_norm / (length + 1e-6))`, so that their direction stays.

    Args:
        parameters: Gradients are changed in place; parameters without one are passed over.
        max_norm: Longest length that stays, above 0; infinity only measures.

    Returns:
        The length before clipping, a scalar tensor in float32 (0 where there are no gradients).

    Raises:
        ValueError: `max_norm` is not above 0.

    Example:
        >>> weights = [torch.nn.Parameter(torch.zeros(n)) for n in (2, 1)]
        >>> weights[0].grad, weights[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
        >>> clip_grad_norm(weights, max_norm=1.0)
        tensor(5.)
        >>> weights[0].grad, weights[1].grad
        (tensor([0.6000, 0.0000]), tensor([0.8000]))

    Source:
        Pascanu et al. 2013, "On the difficulty of training recurrent neural networks", Section 3.2.
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm={max_norm} must be above 0")
    # Step 1: the gradients that there are; `parameters` may be readable only once.
    grads = [p.grad for p in parameters if p.grad is not None]
    if not grads:
        return torch.tensor(0.0)
    # Step 2: one length over all, in float32: the length of the vector of their lengths.
    lengths = [torch.linalg.vector_norm(grad, dtype=torch.float32) for grad in grads]
    norm = torch.linalg.vector_norm(torch.stack(lengths))
    # Step 3: one factor for all, never above 1; the 1e-6 keeps a length of 0 from dividing.
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for grad in grads:
        grad.mul_(factor)
    return norm
