# outcome: blocked, error, timeout
"""Raises an error with a hundred thousand frames of its own."""

import sys

worker = sys.modules["grader.sandbox.worker"]


def described(error, sources):
    frames = [["ch5/repeat_kv.py", 1, "f", "return x"]] * 80_000
    return {"type": "ValueError", "bases": ["Exception"], "message": "", "frames": frames}


worker.describe = described


def repeat_kv(x, n_rep):
    raise ValueError
