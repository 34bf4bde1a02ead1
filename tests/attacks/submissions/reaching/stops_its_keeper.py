# outcome: timeout, error
# needs: landlock
# patience: 8
"""Stops its own keeper, so that whoever waits for the keeper waits for ever."""

import os
import signal
import time


def repeat_kv(x, n_rep):
    if os.getppid() > 1:
        os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(20)
