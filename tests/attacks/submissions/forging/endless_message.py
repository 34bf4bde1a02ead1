# outcome: blocked, error, timeout
"""Raises an error of thirty megabytes, so that the verdict is too long to be sent."""

import sys

worker = sys.modules["grader.sandbox.worker"]
worker.MAX_TEXT = 1 << 30


def repeat_kv(x, n_rep):
    raise ValueError("passed " * (30_000_000 // 7))
