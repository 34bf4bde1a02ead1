# outcome: failed, error, timeout
# needs: landlock
"""Kills all that it may kill, at once."""

import os
import signal


def repeat_kv(x, n_rep):
    for target in (-1, 0):
        try:
            os.kill(target, signal.SIGKILL)
        except OSError:
            continue
    return x
