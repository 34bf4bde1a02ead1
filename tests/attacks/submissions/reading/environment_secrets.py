# outcome: error
"""Tells what the environment holds: Python's view, libc's, and the memory behind argv."""

import ctypes
import os


def repeat_kv(x, n_rep):
    libc = ctypes.CDLL(None)
    environ = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
    told = [f"{name}={value}" for name, value in os.environ.items()]
    for place in range(1000):
        if not environ or not environ[place]:
            break
        told.append(environ[place].decode())
    name = ctypes.c_char_p.in_dll(libc, "program_invocation_name")
    start = ctypes.cast(name, ctypes.c_void_p).value & ~4095
    told.append(repr(ctypes.string_at(start, 8)))
    raise ValueError("; ".join(told))
