# outcome: error
# needs: namespaces
"""Fills every folder that it may write to."""

import os


def repeat_kv(x, n_rep):
    total = 0
    for folder in (".", "/tmp", "/var/tmp", "/dev/shm", "{{marker}}"):
        for number in range(20):
            try:
                with open(os.path.join(folder, f"PWNED{number}"), "wb") as file:
                    for _ in range(40):
                        total += file.write(b"x" * (1 << 20))
            except OSError:
                continue
    raise ValueError(f"{total >> 20} MiB written")
