# outcome: error
# needs: landlock
# never: GAINED
"""Sets the machine's clock, and asks for the rights of root that would go with it."""

import os
import time


def repeat_kv(x, n_rep):
    for attempt in (
        lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
        lambda: os.setuid(0) if os.getuid() else os.setgroups([1, 2]),
        lambda: os.chroot("."),
        lambda: os.nice(-1),
    ):
        try:
            attempt()
        except OSError:
            continue
        raise ValueError("GAINED the rights of root")
    raise LookupError("nothing gained")
