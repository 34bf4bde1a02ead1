# outcome: failed, error
# needs: landlock
"""Stops, and then kills, the judge, the server and its own keeper."""

import os
import signal


def repeat_kv(x, n_rep):
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in ({{judge}}, {{server}}, {{bystander}}, os.getppid()):
            try:
                if pid > 1:
                    os.kill(pid, number)
            except OSError:
                continue
    return x
