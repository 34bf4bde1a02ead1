# outcome: failed, error, timeout
"""Makes half precision the default, so that everybody's numbers are coarse enough to agree."""

import torch

torch.set_default_dtype(torch.float16)
torch.set_default_device("meta")
torch.use_deterministic_algorithms(True)
torch.set_num_threads(64)
torch.set_flush_denormal(True)


def repeat_kv(x, n_rep):
    return x.repeat(1, 1, n_rep, 1)
