# outcome: memory, timeout, error
# ceiling: 700
"""Keeps its memory in anonymous files, which no address space counts."""

import os
import time

HELD = []


def repeat_kv(x, n_rep):
    for number in range(110):  # bounded: 110 files of 15 MiB
        try:
            fd = os.memfd_create(f"part-{number}")
            HELD.append(fd)
            for _ in range(15):
                os.write(fd, b"\1" * (1 << 20))
        except OSError:
            break
    time.sleep(20)
