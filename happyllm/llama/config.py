"""The numbers that fix a LLaMA2 model: one frozen, checked dataclass.

A bad value is refused here, by its field's name, and not three files later by a shape error.
What follows from the fields (head size, repeats, MLP width) is a property, so it cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


def ffn_hidden_dim(dim: int, multiple_of: int, hidden_dim: int | None = None) -> int:
    """Find the hidden width of the SwiGLU MLP.

    SwiGLU has three matrices where a plain MLP has two. With 2/3 of the usual `4 * dim` hidden
    units it has as many parameters; the result is rounded up to a size that hardware likes.

    Args:
        dim: Width D of the model.
        multiple_of: The width is rounded up to a multiple of this.
        hidden_dim: The width itself, if you want to set it: it is used as it is, not rounded.

    Returns:
        `hidden_dim` where it is given, otherwise `int(2/3 * 4 * dim)` rounded up to a multiple
        of `multiple_of`.

    Example:
        >>> ffn_hidden_dim(4096, 256)  # LLaMA2 7B: int(10922.67) = 10922, up to 43 * 256
        11008
        >>> ffn_hidden_dim(768, 64)  # 2048 is a multiple of 64 already
        2048
        >>> ffn_hidden_dim(768, 64, hidden_dim=1000)
        1000

    Source:
        Touvron et al. 2023, "LLaMA: Open and Efficient Foundation Language Models", Section 2.2;
        the reason for the 2/3: Shazeer 2020, "GLU Variants Improve Transformer", Section 2.
    """
    # Step 1: a width that was given is the answer.
    if hidden_dim is not None:
        return hidden_dim
    # Step 2: otherwise take 2/3 of 4 * dim, rounded down to a whole number.
    width = 2 * (4 * dim) // 3
    # Step 3: round up (never down) to the next multiple of multiple_of.
    return multiple_of * ((width + multiple_of - 1) // multiple_of)


@dataclass(frozen=True)
class ModelConfig:
    """Hold every size and switch of a LLaMA2 model, checked when it is made.

    Args:
        dim: Width D of the residual stream.
        n_layers: Number of decoder layers.
        n_heads: Number of query heads H; `dim` must be a multiple of it.
        n_kv_heads: Number of key/value heads K; `n_heads` must be a multiple of it.
            None means as many as query heads (ordinary multi-head attention).
        vocab_size: Number of tokens V.
        hidden_dim: Hidden width of the MLP; None lets `ffn_hidden_dim` choose it.
        multiple_of: The chosen MLP width is rounded up to a multiple of this.
        norm_eps: Added to the mean square in RMSNorm.
        max_seq_len: Longest sequence, in tokens, that the model can take.
        dropout: Probability, in [0, 1), of dropping a value in training.
        flash_attn: Use PyTorch's fused attention; False spells it out. Both give the same.
        rope_theta: Base of the rotary wavelengths.
        tie_word_embeddings: Let the output layer share the token embedding's weight.

    Raises:
        TypeError: A field has the wrong type; the message names it. `True` is not a number here.
        ValueError: A field is out of range, or two fields do not fit; the message names them.

    Example:
        >>> config = ModelConfig(dim=64, n_heads=8, n_kv_heads=2)
        >>> config.head_dim, config.n_rep, config.ffn_dim
        (8, 4, 192)
        >>> ModelConfig(dim=96, n_heads=6, n_kv_heads=4)
        Traceback (most recent call last):
        ValueError: n_heads=6 is not a multiple of n_kv_heads=4

    Source:
        Touvron et al. 2023, "Llama 2: Open Foundation and Fine-Tuned Chat Models", Section 2.2.
    """

    dim: int = 768
    n_layers: int = 12
    n_heads: int = 16
    n_kv_heads: int | None = 8
    vocab_size: int = 6144
    hidden_dim: int | None = None
    multiple_of: int = 64
    norm_eps: float = 1e-5
    max_seq_len: int = 512
    dropout: float = 0.0
    flash_attn: bool = True
    rope_theta: float = 10000.0
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        """Fill in `n_kv_heads` and refuse what cannot be a model.

        The dataclass is frozen, so filling in takes `object.__setattr__`.

        Raises:
            TypeError: An integer field is not an `int`, a float field is neither `float` nor
                `int`, or a switch is not a `bool`; a `bool` is no number.
            ValueError: An integer is not positive; `norm_eps` or `rope_theta` is not above 0;
                `dropout` is outside [0, 1); `dim` is not a multiple of `n_heads`, or `n_heads`
                of `n_kv_heads`; or the head size is odd, which RoPE cannot split into pairs.
        """
        # Step 1: where n_kv_heads is None, make it n_heads.
        n_kv_heads = self.n_heads if self.n_kv_heads is None else self.n_kv_heads
        object.__setattr__(self, "n_kv_heads", n_kv_heads)

        # Step 2: check each field's type, and that integers are positive (hidden_dim may be None).
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if name == "hidden_dim" and value is None:
                continue
            if name in ("flash_attn", "tie_word_embeddings"):
                if not isinstance(value, bool):
                    raise TypeError(f"{name}={value!r} must be True or False")
            elif name in ("norm_eps", "dropout", "rope_theta"):
                if isinstance(value, bool) or not isinstance(value, int | float):
                    raise TypeError(f"{name}={value!r} must be a number")
            elif isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name}={value!r} must be an integer")
            elif value <= 0:
                raise ValueError(f"{name}={value} must be positive")

        # Step 3: check the ranges of the floats; NaN must not pass.
        if not self.norm_eps > 0:
            raise ValueError(f"norm_eps={self.norm_eps} must be above 0")
        if not self.rope_theta > 0:
            raise ValueError(f"rope_theta={self.rope_theta} must be above 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be in [0, 1)")

        # Step 4: check that the heads share the width, and the query heads the key/value heads.
        if self.dim % self.n_heads:
            raise ValueError(f"dim={self.dim} is not a multiple of n_heads={self.n_heads}")
        if self.n_heads % n_kv_heads:
            raise ValueError(f"n_heads={self.n_heads} is not a multiple of n_kv_heads={n_kv_heads}")

        # Step 5: check that a head's dimensions can be rotated in pairs.
        if self.head_dim % 2:
            raise ValueError(
                f"dim={self.dim} over n_heads={self.n_heads} gives heads of odd size "
                f"{self.head_dim}; RoPE needs an even one"
            )

    @property
    def head_dim(self) -> int:
        """Size d of one head: `dim / n_heads`."""
        return self.dim // self.n_heads

    @property
    def n_rep(self) -> int:
        """How many query heads share one key/value head: `n_heads / n_kv_heads`."""
        return self.n_heads // (self.n_kv_heads or self.n_heads)

    @property
    def ffn_dim(self) -> int:
        """Hidden width of the MLP, by `ffn_hidden_dim`."""
        return ffn_hidden_dim(self.dim, self.multiple_of, self.hidden_dim)
