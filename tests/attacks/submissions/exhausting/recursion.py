# outcome: error, memory, timeout
"""Recurses through C until the stack is gone."""

import sys

sys.setrecursionlimit(1 << 30)


class Deep:
    def __getattr__(self, name):
        return getattr(self, name + "x"[:0])


def repeat_kv(x, n_rep):
    return Deep().anything
