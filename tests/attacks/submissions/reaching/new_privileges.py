# outcome: error
# needs: landlock
# never: GAINED
"""Asks for capabilities in namespaces of its own, where the kernel is broad to attack."""

import ctypes
import os

NEWUSER, NEWNET = 0x10000000, 0x40000000


def repeat_kv(x, n_rep):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEWUSER | NEWNET) == 0:
        raise ValueError("GAINED a namespace with every capability")
    for number in (321, 298, 425, 323):  # bpf, perf_event_open, io_uring_setup, userfaultfd
        room = ctypes.create_string_buffer(512)
        fd = libc.syscall(number, 1, room, 120, -1, 0)
        if fd >= 0:
            os.close(fd)
            raise ValueError(f"GAINED system call {number}")
    raise LookupError("nothing gained")
