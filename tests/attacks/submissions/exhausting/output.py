# outcome: failed, timeout
"""Prints a hundred megabytes."""

import os

LINE = b"all work and no play makes jack a dull boy " * 1600


def repeat_kv(x, n_rep):
    for _ in range(1500):
        os.write(1, LINE)
        os.write(2, LINE)
    return x
