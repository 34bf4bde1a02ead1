# outcome: timeout, blocked
# patience: 6
"""Sends its answer byte by byte: something has always just come."""

import os
import struct


def repeat_kv(x, n_rep):
    os.write(3, struct.pack(">I", 60 << 20))
    while True:
        os.write(3, b"x")
