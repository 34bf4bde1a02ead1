# outcome: blocked, error, timeout, failed
"""Reports on its own loading, in a form that makes the judge stumble."""

import os
import struct
import time

import msgpack


def say(value):
    body = msgpack.packb(value)
    os.write(3, struct.pack(">I", len(body)) + body)


say({"state": "loaded", "unwritten": 5, "missing": 5})
time.sleep(60)


def repeat_kv(x, n_rep):
    return x
