# outcome: timeout
# patience: 6
"""A loop that never ends, in C, where no signal handler of Python's is run."""


def repeat_kv(x, n_rep):
    return sum(1 for _ in iter(int, 1))
