# outcome: error
"""Exits with a status that looks like a signal that does not exist."""

import os


def repeat_kv(x, n_rep):
    os._exit(255)
