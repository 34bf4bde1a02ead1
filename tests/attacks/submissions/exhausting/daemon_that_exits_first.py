# outcome: error
"""Leaves a process behind and ends its own at once, so that nobody is left to kill."""

import ctypes
import os
import time


def settle():
    """Leave the session, the group and the parent's deathbed; write when the verdict is long in."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
    os.closerange(0, 256)
    while True:
        time.sleep(0.2)


def repeat_kv(x, n_rep):
    for _ in range(3):
        settle()
    os._exit(0)
