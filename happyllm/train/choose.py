"""The optimizer that a configuration asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from happyllm.train.config import OptimConfig
from happyllm.train.muon import Joint, Muon, muon_groups
from happyllm.train.optim import AdamW, Optimizer, decay_groups


def choose_optimizer(
    model: nn.Module,
    config: OptimConfig,
    adamw: Callable[..., Any] = AdamW,
    muon: Callable[..., Any] = Muon,
) -> Any:
    """Make the optimizer of a model.

    Args:
        model: Its parameters are trained. For Muon its layers are in `model.layers`.
        config: Which optimizer, and how it is set.
        adamw: As `AdamW`; a learner's own may take its place.
        muon: As `Muon`; the same.

    Returns:
        It steps, saves and loads as `AdamW` does.

    Example:
        >>> from happyllm.llama import ModelConfig, Transformer
        >>> args = ModelConfig(dim=8, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=10)
        >>> config = OptimConfig(optimizer="muon", muon_scale=2.0)
        >>> type(choose_optimizer(Transformer(args), config)).__name__
        'Joint'
    """
    options = {"lr": config.max_lr, "betas": (config.beta1, config.beta2), "eps": config.eps}
    if config.optimizer == "adamw":
        return adamw(decay_groups(model, config.weight_decay), **options)
    hidden, rest = muon_groups(model, config.weight_decay)
    inside = muon(hidden, lr=config.max_lr, momentum=config.momentum)
    return Joint(Scaled(inside, config.muon_scale), adamw(rest, **options))


class Scaled(Optimizer):
    """An optimizer whose learning rate is always the same multiple of the one that it is told.

    Args:
        inner: The optimizer. Its groups and what it remembers become this one's.
        scale: The multiple.
    """

    def __init__(self, inner: Any, scale: float) -> None:
        self.inner, self.scale = inner, scale
        self.param_groups, self.state = inner.param_groups, inner.state

    def step(self) -> None:
        """Let it step at its own rate; the rate in the groups stays what it was told."""
        self.inner.state = self.state
        told = [group["lr"] for group in self.param_groups]
        try:
            for group, lr in zip(self.param_groups, told, strict=True):
                group["lr"] = lr * self.scale
            self.inner.step()
        finally:
            for group, lr in zip(self.param_groups, told, strict=True):
                group["lr"] = lr
