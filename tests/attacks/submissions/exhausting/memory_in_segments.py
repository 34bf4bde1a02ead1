# outcome: memory, timeout, error
# ceiling: 700
"""Keeps its memory in System V segments that it attaches to one at a time."""

import ctypes
import time


def repeat_kv(x, n_rep):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
    libc.shmdt.argtypes = [ctypes.c_void_p]
    size = 64 << 20
    for _ in range(24):  # bounded: 1.5 GiB
        segment = libc.shmget(0, ctypes.c_size_t(size), 0o1600)
        if segment < 0:
            break
        place = libc.shmat(segment, None, 0)
        if place in (None, ctypes.c_void_p(-1).value):
            break
        ctypes.memset(place, 1, size)
        libc.shmdt(place)
    time.sleep(20)
