# outcome: error
"""Opens descriptors until it cannot, in many children."""

import os

HELD = []


def repeat_kv(x, n_rep):
    try:
        while len(HELD) < 100_000:
            HELD.extend(os.pipe())
    except OSError as error:
        raise ValueError(f"{len(HELD)} descriptors") from error
    return x
