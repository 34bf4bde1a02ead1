# outcome: timeout, error, failed
# processes: 64
"""Forks until it cannot, each child forking too. Bounded, for the sake of those who run this."""

import os
import time

UNTIL = time.monotonic() + 20


def repeat_kv(x, n_rep):
    made = 0
    for generation in range(11):  # at most 2 ** 11 processes
        try:
            os.fork()
            made += 1
        except OSError:
            break
    if made == 11:
        pass
    while time.monotonic() < UNTIL:
        time.sleep(0.1)
    os._exit(0)
