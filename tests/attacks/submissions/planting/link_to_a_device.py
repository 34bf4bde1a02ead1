# outcome: failed, error, blocked
# link: ch5/helper.py -> /dev/zero
"""Its helper is a link to /dev/zero, which never ends."""


def repeat_kv(x, n_rep):
    return x.repeat(1, 1, n_rep, 1)
