# outcome: blocked, failed, error, timeout, memory
# ceiling: 900
"""Answers with sixty million empty parts, one byte each on the wire."""

import os
import struct
import time


def repeat_kv(x, n_rep):
    count = 60_000_000
    body = b"\x82\xa2id\x03\xa5value\xdd" + struct.pack(">I", count) + b"\xc0" * count
    body = struct.pack(">I", len(body)) + body
    while body:
        body = body[os.write(3, body[: 1 << 20]) :]
    time.sleep(20)
