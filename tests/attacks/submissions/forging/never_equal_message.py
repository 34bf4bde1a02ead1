# outcome: error
"""Raises an error whose message, name and ancestry are made up as they are read."""


class Meta(type):
    @property
    def __name__(cls):
        raise SystemExit(0)


class Liar(Exception, metaclass=Meta):
    def __str__(self):
        raise SystemExit(0)


def repeat_kv(x, n_rep):
    raise Liar
