# outcome: timeout
# patience: 6
"""Prints for ever: who reads what is printed has no time to look at the clock."""

import os

LINE = b"all work and no play makes jack a dull boy " * 20_000


def repeat_kv(x, n_rep):
    while True:
        os.write(1, LINE)
