# outcome: timeout
# patience: 6
"""Handles every signal, so that no timeout reaches it."""

import signal
import time

for number in range(1, 65):
    try:
        signal.signal(number, lambda *_: None)
    except (OSError, ValueError):
        continue
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))


def repeat_kv(x, n_rep):
    while True:
        time.sleep(0.1)
