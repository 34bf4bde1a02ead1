"""Muon: steps that turn a matrix as a whole, where AdamW moves each number by itself.

The gradient of a matrix is mostly a few directions; what is rare in the data is in the others, and
is drowned out. Muon gives all directions the same length. It is made for the matrices inside the
layers; the embeddings, the output and the vectors stay with AdamW.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from happyllm.train.optim import AdamW, Optimizer, decay_groups

Groups = list[dict[str, Any]]

COEFFICIENTS = 3.4445, -4.7750, 2.0315
"""a, b and c of the polynomial in `orthogonalize`, by Jordan et al.: steep at 0."""


def muon_groups(model: nn.Module, weight_decay: float) -> tuple[Groups, Groups]:
    """Sort a model's parameters into those for Muon and those for AdamW.

    An embedding is a table: each row is the vector of one token, and most have no gradient in a
    batch. The output reads one row for each token. Neither is a map from width to width, and a
    vector has no directions to bring to one length.

    Args:
        model: Its layers are in `model.layers`. Parameters that need no gradient are left out.
        weight_decay: The decay of those with two axes or more.

    Returns:
        The groups for `Muon`: one, `{"params": [...], "weight_decay": weight_decay}`, with the
        parameters of `model.layers` that have two axes; and the groups for `AdamW`: those of
        `decay_groups` without them. A group without parameters stays, empty.

    Example:
        >>> from happyllm.llama import ModelConfig, Transformer
        >>> args = ModelConfig(dim=8, n_layers=2, n_heads=2, n_kv_heads=1, vocab_size=10)
        >>> muon, adamw = muon_groups(Transformer(args), weight_decay=0.1)
        >>> [len(group["params"]) for group in muon + adamw]  # 2 x 7; embeddings; 2 x 2 + 1 norms
        [14, 1, 5]
    """
    # Step 1: the matrices inside the layers; nn.Module holds parameters in a fixed order.
    inside = [p for p in model.get_submodule("layers").parameters() if p.dim() == 2]
    hidden = [p for p in inside if p.requires_grad]
    # Step 2: all others, sorted by whether they decay. Compare by identity: == is elementwise.
    taken = {id(p) for p in hidden}
    rest = [
        {**group, "params": [p for p in group["params"] if id(p) not in taken]}
        for group in decay_groups(model, weight_decay)
    ]
    return [{"params": hidden, "weight_decay": weight_decay}], rest


def orthogonalize(matrix: torch.Tensor, n_steps: int = 5) -> torch.Tensor:
    """Bring all singular values of a matrix near 1, and leave its directions as they are.

    With the singular value decomposition `matrix = U S V^T` that is about `U V^T`. It is found by
    products of matrices alone: an odd polynomial in X, `a X + b (X X^T) X + c (X X^T)^2 X`, acts on
    each singular value s as `a s + b s^3 + c s^5` and on nothing else. X begins as the matrix over
    the root of the sum of all its squares (at least 1e-7), which no singular value exceeds. Five
    times over, the polynomial brings all between 0.01 and 1 to between 0.68 and 1.14.

    Args:
        matrix: (n, m), any floating dtype; it is not changed.
        n_steps: How often the polynomial is applied, a Newton-Schulz iteration; at least 1.

    Returns:
        (n, m), in the dtype of `matrix`; zeros where it is zeros.

    Raises:
        ValueError: It has not two axes.

    Example:
        >>> stretched = torch.tensor([[0.0, 30.0], [-1.0, 0.0]])
        >>> orthogonalize(stretched).round(decimals=1)
        tensor([[ 0.0000,  0.7000],
                [-1.1000,  0.0000]])

    Source:
        Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks";
        Bernstein and Newhouse 2024, "Old Optimizer, New Norm: An Anthology", Appendix A.
    """
    if matrix.dim() != 2:
        raise ValueError(f"a matrix has two axes, this has the shape {tuple(matrix.shape)}")
    a, b, c = COEFFICIENTS
    # Step 1: lay it on its long side, so that X X^T is the smaller of the two products.
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.mT if tall else matrix  # (n, m), n <= m
    # Step 2: no singular value is more than the root of the sum of all squares: divide by it.
    x = x / x.norm().clamp(min=1e-7)
    # Step 3: a X + (b G + c G^2) X, with G = X X^T.
    for _ in range(n_steps):
        gram = x @ x.mT  # (n, n)
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.addmm(x, factor, x, beta=a)  # (n, m)
    return x.mT if tall else x


class Muon(Optimizer):
    """Momentum that is orthogonalized before it is stepped along.

    With gradient g, in each step of a matrix w of (n, m):

        m = momentum * m + (1 - momentum) * g
        u = (1 - momentum) * g + momentum * m
        w = w - lr * weight_decay * w
        w = w - lr * 0.2 * sqrt(max(n, m)) * orthogonalize(u)

    u looks one step ahead (Nesterov). The factor makes the root mean square of an update about
    0.2 lr whatever the shape, which is that of AdamW's: one learning rate and one decay serve both.

    Args:
        params: Matrices, or groups of them: dicts with "params" and any of the options below. The
            whole matrix has to be at hand, not a process's share of it.
        lr: Learning rate, as for AdamW.
        momentum: How slowly m (the mean of g) forgets, in [0, 1).
        weight_decay: Share of a weight, times lr, that each step takes away.
        n_steps: See `orthogonalize`.

    Attributes:
        param_groups: A dict for each group: "params", "lr", "momentum", "weight_decay",
            "n_steps".
        state: For each parameter that has had a step: its "momentum_buffer" m.

    Raises:
        ValueError: There are no parameters, one has not two axes, or an option is out of range.

    Example:
        >>> weight = nn.Parameter(torch.zeros(2, 2))
        >>> optimizer = Muon([weight], lr=0.1)
        >>> weight.grad = torch.tensor([[0.0, 30.0], [-1.0, 0.0]])
        >>> optimizer.step()
        >>> weight.data.round(decimals=2)  # the 30 and the 1 weigh about the same
        tensor([[ 0.0000, -0.0200],
                [ 0.0300,  0.0000]])

    Source:
        Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the factor
        and the decay: Liu et al. 2025, "Muon is Scalable for LLM Training", Section 2.2.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        n_steps: int = 5,
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, {**options, "n_steps": n_steps})
        for group in self.param_groups:
            if not 0 <= group["momentum"] < 1:
                raise ValueError(f"momentum={group['momentum']} must be in [0, 1)")
            if group["n_steps"] < 1:
                raise ValueError(f"n_steps={group['n_steps']} must be at least 1")
            for p in group["params"]:
                if p.dim() != 2:
                    raise ValueError(
                        f"Muon steps matrices; a parameter of the shape {tuple(p.shape)} "
                        "belongs to AdamW"
                    )

    @torch.no_grad()
    def step(self) -> None:
        """Change each matrix in place by its gradient; one without a gradient stays as it is."""
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                # Step 1: the mean of the gradients so far; zeros before the first step.
                if p not in self.state:
                    self.state[p] = {"momentum_buffer": torch.zeros_like(p)}
                m = self.state[p]["momentum_buffer"]
                m.lerp_(p.grad, 1 - momentum)
                # Step 2: a look ahead: the mean, moved towards this gradient once more.
                update = p.grad.lerp(m, momentum)
                # Step 3: all directions at one length.
                update = orthogonalize(update, group["n_steps"])
                # Step 4: decay the weight itself, then step.
                p.mul_(1 - lr * group["weight_decay"])
                p.add_(update, alpha=-lr * 0.2 * math.sqrt(max(p.shape)))


class Joint(Optimizer):
    """Several optimizers that step, save and load as one.

    Args:
        optimizers: Of different parameters. Their groups and what they remember become this one's:
            what is changed here holds for them.

    Attributes:
        param_groups: The groups of all, in order.
        state: What is remembered of the parameters of all.

    Example:
        >>> matrix, vector = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
        >>> optimizer = Joint(Muon([matrix]), AdamW([vector]))
        >>> for group in optimizer.param_groups:
        ...     group["lr"] = 0.5
        >>> (matrix @ vector).sum().backward()
        >>> optimizer.step()
        >>> vector.data
        tensor([0.4950, 0.4950])
    """

    def __init__(self, *optimizers: Optimizer) -> None:
        self.optimizers = optimizers
        self.param_groups = [group for one in optimizers for group in one.param_groups]
        self.state = {}
        for one in optimizers:
            self.state.update(one.state)
            one.state = self.state

    def step(self) -> None:
        """Let each of them step."""
        for one in self.optimizers:
            one.step()


def muon_with_adamw(
    model: nn.Module,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.95),
    eps: float = 1e-8,
    weight_decay: float = 0.1,
    momentum: float = 0.95,
    n_steps: int = 5,
) -> Joint:
    """Make the optimizer of a whole model: Muon inside the layers, AdamW for all else.

    Args:
        model: Its layers are in `model.layers`.
        lr: Learning rate of both.
        betas: AdamW's.
        eps: AdamW's.
        weight_decay: Decay of all matrices.
        momentum: Muon's.
        n_steps: Muon's.

    Returns:
        One optimizer, to be used as `AdamW` is. The groups of Muon come first.

    Raises:
        ValueError: An option is out of range.

    Example:
        >>> from happyllm.llama import ModelConfig, Transformer
        >>> args = ModelConfig(dim=8, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=10)
        >>> optimizer = muon_with_adamw(Transformer(args), lr=0.01)
        >>> print(*["momentum" in group for group in optimizer.param_groups])
        True False False
    """
    hidden, rest = muon_groups(model, weight_decay)
    return Joint(
        Muon(hidden, lr=lr, momentum=momentum, n_steps=n_steps),
        AdamW(rest, lr=lr, betas=betas, eps=eps),
    )
