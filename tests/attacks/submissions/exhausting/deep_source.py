# outcome: error, memory, timeout
"""Is nested so deeply that whoever parses it falls over."""

VALUE = 1
CODE = "-" * 3_000_000 + "1"


def repeat_kv(x, n_rep):
    return eval(CODE)
