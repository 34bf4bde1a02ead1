# outcome: error
"""Raises a message of lone surrogates, which no file can hold."""


def repeat_kv(x, n_rep):
    print("printed \udcff")
    raise ValueError("\ud800\udfff\udc80")
