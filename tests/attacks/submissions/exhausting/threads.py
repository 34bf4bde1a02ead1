# outcome: timeout, error, memory, failed
"""Starts threads until it cannot, and leaves them at work."""

import threading
import time


def spin():
    until = time.monotonic() + 20
    while time.monotonic() < until:
        pass


def repeat_kv(x, n_rep):
    for _ in range(500):
        threading.Thread(target=spin).start()
    return x
