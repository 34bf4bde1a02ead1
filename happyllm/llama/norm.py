"""RMSNorm: divide a vector by its root mean square, then scale each feature.

Unlike LayerNorm it subtracts no mean and has no bias. It is computed in float32 and cast back
*before* the weight multiplies: the order of Meta's and Hugging Face's code, bit for bit.
"""

from __future__ import annotations

import torch
from torch import nn


class RMSNorm(nn.Module):
    """Scale every vector of the last dimension to a root mean square of one, then by a weight.

        y = x / sqrt(mean(x ** 2) + eps) * weight

    Args:
        dim: Size D of the last dimension.
        eps: Added to the mean square, inside the root, so that a zero vector stays zero.

    Attributes:
        weight: Parameter (D,), one scale per feature; starts at ones.

    Example:
        >>> norm = RMSNorm(2)
        >>> norm(torch.tensor([3.0, 4.0])).detach()  # sqrt((9 + 16) / 2) = 3.5355
        tensor([0.8485, 1.1314])

    Source:
        Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", Section 4.
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise `x` over its last dimension.

        Args:
            x: (..., D), any floating dtype.

        Returns:
            (..., D). The dtype is that of `x`, promoted with the weight's: in an all-bfloat16
            model it is bfloat16.
        """
        # Step 1: go to float32; squares of half-precision numbers overflow or lose digits.
        x32 = x.float()
        # Step 2: multiply by one over the root of (mean square + eps), per vector.
        mean_square = x32.square().mean(-1, keepdim=True)  # (..., 1)
        normed = x32 * torch.rsqrt(mean_square + self.eps)
        # Step 3: come back to the dtype of x, and only then scale by the weight.
        return self.weight * normed.to(x.dtype)
