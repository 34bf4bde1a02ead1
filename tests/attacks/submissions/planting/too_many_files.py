# outcome: failed, error, blocked
# many: 70
"""Hands in so many files that they do not fit into one message."""

PLANTED = """
# xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
"""


def repeat_kv(x, n_rep):
    return x.repeat(1, 1, n_rep, 1)
