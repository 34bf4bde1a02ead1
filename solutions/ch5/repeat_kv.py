import torch


def repeat_kv(x: torch.Tensor, n_rep: int) -> torch.Tensor:
    """Repeat each key/value head for the query heads that share it.

    Heads repeat in place, [K1, K2] -> [K1, K1, K2, K2], because query heads 0 .. n_rep - 1 share
    the first key/value head, the next n_rep the second, and so on.

    Args:
        x: (B, T, K, d) keys or values.
        n_rep: Query heads per key/value head, H / K.

    Returns:
        (B, T, K * n_rep, d), the dtype of `x`; `x` itself where `n_rep` is 1.

    Example:
        >>> x = torch.tensor([1.0, 2.0]).view(1, 1, 2, 1)
        >>> repeat_kv(x, 3).flatten()
        tensor([1., 1., 1., 2., 2., 2.])

    Source:
        Ainslie et al. 2023, "GQA: Training Generalized Multi-Query Transformer Models from
        Multi-Head Checkpoints", Section 2.2.
    """
    # Step 1: nothing to repeat, nothing to copy.
    if n_rep == 1:
        return x
    B, T, K, d = x.shape  # batch, sequence, key/value heads, head size
    # Step 2: add an axis of n_rep after the heads, then merge it into them.
    x = x[:, :, :, None, :].expand(B, T, K, n_rep, d)
    return x.reshape(B, T, K * n_rep, d)
