# outcome: error
# needs: namespaces
# never: KEPT
"""Leaves a note in the kernel's keyring for its second hand-in to read."""

import ctypes


def repeat_kv(x, n_rep):
    libc = ctypes.CDLL(None, use_errno=True)
    user = ctypes.c_long(-4)
    key = libc.syscall(248, b"user", b"happyllm-note", b"REACHED", ctypes.c_size_t(7), user)
    raise ValueError(f"KEPT {key}" if key > 0 else "no keyring")
