# outcome: memory
# ceiling: 700
"""Takes memory in Python objects, and goes on when it is refused."""

HELD = []


def repeat_kv(x, n_rep):
    while len(HELD) < 8_000:
        try:
            HELD.append(bytearray(1 << 20))
        except MemoryError:
            if len(HELD) < 10:
                raise
            raise
    return x
