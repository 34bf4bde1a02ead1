# outcome: failed, error, timeout
"""Computes under a mode that makes no numbers."""

from torch._subclasses.fake_tensor import FakeTensorMode

MODE = FakeTensorMode(allow_non_fake_inputs=True)


def repeat_kv(x, n_rep):
    with MODE:
        B, T, K, d = x.shape
        return x.new_empty(B, T, K * n_rep, d)
