"""The SwiGLU MLP: one projection gates another, feature by feature.

Names follow Meta's code: w1 is the gate, w3 goes up beside it, w2 comes down.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from happyllm.llama.config import ffn_hidden_dim


class MLP(nn.Module):
    """Transform each token by itself: `w2(silu(w1(x)) * w3(x))`.

    Args:
        dim: Width D of the model.
        hidden_dim: Hidden width; None lets `ffn_hidden_dim` choose it.
        multiple_of: A chosen hidden width is rounded up to a multiple of this.
        dropout: Probability, in [0, 1), of dropping a value of the output in training.

    Attributes:
        w1: Linear D -> hidden, the gate. None of the three has a bias.
        w2: Linear hidden -> D, down.
        w3: Linear D -> hidden, up.
        dropout: Dropout on the output.

    Example:
        >>> mlp = MLP(dim=48, hidden_dim=None, multiple_of=32, dropout=0.0)
        >>> mlp.w1.out_features
        128
        >>> mlp(torch.randn(2, 5, 48)).shape
        torch.Size([2, 5, 48])

    Source:
        Shazeer 2020, "GLU Variants Improve Transformer", Section 2 (FFN_SwiGLU).
    """

    def __init__(self, dim: int, hidden_dim: int | None, multiple_of: int, dropout: float) -> None:
        super().__init__()
        hidden_dim = ffn_hidden_dim(dim, multiple_of, hidden_dim)
        self.w1 = nn.Linear(dim, hidden_dim, bias=False)
        self.w2 = nn.Linear(hidden_dim, dim, bias=False)
        self.w3 = nn.Linear(dim, hidden_dim, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the MLP to each vector of the last dimension.

        Args:
            x: (..., D).

        Returns:
            (..., D), the dtype of `x`.
        """
        # Step 1: open or close each hidden feature with SiLU of the gate, w1.
        hidden = F.silu(self.w1(x)) * self.w3(x)  # (..., hidden)
        # Step 2: come down to the model's width with w2; in training, drop out.
        out = self.w2(hidden)  # (..., D)
        return self.dropout(out) if self.training else out
