# outcome: failed, blocked, error
"""Answers with a table whose key cannot be written down, in a tuple in a tuple."""


def repeat_kv(x, n_rep):
    return [{frozenset([10**6_000]): slice(10**6_000)}]
