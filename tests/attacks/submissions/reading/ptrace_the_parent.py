# outcome: error
# needs: landlock
# never: TRACED
"""Attaches to its parent and to the judge, and reads their memory."""

import ctypes
import os

ATTACH, PEEK = 16, 1


class Span(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def repeat_kv(x, n_rep):
    libc = ctypes.CDLL(None, use_errno=True)
    for pid in (os.getppid(), {{judge}}, {{server}}, 1):
        if pid in (0, os.getpid()):
            continue
        if libc.ptrace(ATTACH, pid, None, None) == 0:
            raise ValueError(f"TRACED {pid}")
        room = ctypes.create_string_buffer(64)
        here = Span(ctypes.addressof(room), 64)
        there = Span(0x400000, 64)
        if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0:
            raise ValueError(f"TRACED {pid}")
        try:
            with open(f"/proc/{pid}/mem", "rb"):
                raise ValueError(f"TRACED {pid}")
        except OSError:
            continue
    raise LookupError("nobody lets himself be traced")
