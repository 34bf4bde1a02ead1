# outcome: error
"""Raises what stops a pytest session, and what the interpreter itself obeys."""


class Exit(KeyboardInterrupt):
    returncode = 0


def repeat_kv(x, n_rep):
    if n_rep == 1:
        raise GeneratorExit
    raise Exit("all passed")
