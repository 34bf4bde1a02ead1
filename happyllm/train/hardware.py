"""What a run computes on: the device, and the precision of the forward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from happyllm.train.config import ConfigError


class InPrecision(nn.Module):
    """Run a model's forward pass in bfloat16 where that is asked for; its weights stay float32.

    Args:
        model: The model.
        dtype: torch.bfloat16 or torch.float32. Never float16: its range takes loss scaling.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = model, dtype

    def forward(self, **batch: torch.Tensor) -> Any:
        """Call the model."""
        device = next(iter(batch.values())).device.type
        with torch.autocast(device, self.dtype, enabled=self.dtype == torch.bfloat16):
            return self.model(**batch)


def choose_device(name: str) -> torch.device:
    """Find the device that a configuration asks for.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"run.device={name!r} is not to be had here: {error}") from error
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Find the dtype of the forward pass: bfloat16 by itself only on a GPU that has it.

    Example:
        >>> choose_precision("auto", torch.device("cpu"))
        torch.float32
    """
    if name == "auto":
        gpu = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        name = "bfloat16" if gpu else "float32"
    return {"bfloat16": torch.bfloat16, "float32": torch.float32}[name]
