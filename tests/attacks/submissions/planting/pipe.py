# outcome: failed, error, blocked
# pipe: ch5/helper.py
"""Its helper is a named pipe, which whoever reads it waits for."""


def repeat_kv(x, n_rep):
    return x.repeat(1, 1, n_rep, 1)
