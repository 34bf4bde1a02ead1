# outcome: memory
# ceiling: 700
# never: LIFTED
"""Lifts its own limits before it takes the memory."""

import resource

HELD = []


def repeat_kv(x, n_rep):
    for name in ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_FSIZE"):
        try:
            most = resource.RLIM_INFINITY if name != "RLIMIT_NOFILE" else 4096
            resource.setrlimit(getattr(resource, name), (most, most))
        except (OSError, ValueError):
            continue
        if name == "RLIMIT_AS":
            HELD.append("LIFTED")
    while len(HELD) < 24:  # bounded: 1.5 GiB
        HELD.append(bytearray(64 << 20))
    raise ValueError(HELD[0])
