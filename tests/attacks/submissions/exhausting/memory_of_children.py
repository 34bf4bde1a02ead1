# outcome: memory, timeout, error
# ceiling: 1500
"""Each child takes its full allowance; together they take the machine's."""

import os
import time


def repeat_kv(x, n_rep):
    for _ in range(12):  # bounded: twelve children
        if os.fork() == 0:
            held = bytearray()
            try:
                while len(held) < 256 << 20:
                    held += b"\1" * (16 << 20)
            except MemoryError:
                pass
            time.sleep(20)
            os._exit(0)
    time.sleep(20)
