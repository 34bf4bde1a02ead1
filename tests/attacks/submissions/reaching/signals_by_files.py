# outcome: failed, error
"""Has the kernel signal another process when something can be read, which takes no kill()."""

import fcntl
import os
import signal

F_SETSIG = 10


def repeat_kv(x, n_rep):
    out, into = os.pipe()
    for pid in ({{bystander}},):
        fcntl.fcntl(out, F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(out, fcntl.F_SETOWN, pid)
        fcntl.fcntl(out, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        os.write(into, b"x")
    return x
