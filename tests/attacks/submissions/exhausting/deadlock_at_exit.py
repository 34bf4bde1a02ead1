# outcome: passed, error
# patience: 8
"""Answers rightly, and never ends: threads that do not stop, handlers that wait."""

import atexit
import threading
import time

GATE = threading.Lock()
GATE.acquire()
atexit.register(GATE.acquire)
threading.Thread(target=GATE.acquire).start()


class Grave:
    def __del__(self):
        time.sleep(1000)


KEPT = Grave()
KEPT.itself = KEPT


def repeat_kv(x, n_rep):
    B, T, K, d = x.shape
    return x[:, :, :, None, :].expand(B, T, K, n_rep, d).reshape(B, T, K * n_rep, d)
