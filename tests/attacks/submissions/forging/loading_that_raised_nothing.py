# outcome: blocked, error, timeout, failed
"""Says that loading raised, and not what."""

import os
import struct
import time

import msgpack


def say(value):
    body = msgpack.packb(value)
    os.write(3, struct.pack(">I", len(body)) + body)


say({"state": "raised"})
time.sleep(60)


def repeat_kv(x, n_rep):
    return x
