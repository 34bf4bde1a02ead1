# outcome: error
# needs: landlock
# never: TOUCHED
"""Looks for the next submission's worker, to write into its memory and its line."""

import ctypes
import os
import signal


def repeat_kv(x, n_rep):
    libc = ctypes.CDLL(None, use_errno=True)
    found = []
    near = {{bystander}}
    for pid in (near, *range(near - 50, near + 50)):
        if pid in (os.getpid(), os.getppid()) or pid < 2:
            continue
        if libc.ptrace(16, pid, None, None) == 0:
            found.append(pid)
            libc.ptrace(17, pid, None, None)
        try:
            line = os.pidfd_open(pid)
            fd = libc.syscall(438, line, 3, 0)  # pidfd_getfd
            if fd >= 0:
                found.append(pid)
        except OSError:
            pass
        try:
            if pid == near:
                os.kill(pid, signal.SIGUSR1)
                found.append(pid)
        except OSError:
            continue
    raise ValueError(f"TOUCHED {found}" if found else "nobody")
