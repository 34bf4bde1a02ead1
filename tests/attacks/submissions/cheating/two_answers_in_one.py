# outcome: failed, error
"""Guesses: answers with both orders of heads, in a container, for a comparison that looks at one of them."""


def repeat_kv(x, n_rep):
    return [x.repeat_interleave(n_rep, dim=2), x.repeat(1, 1, n_rep, 1)]
