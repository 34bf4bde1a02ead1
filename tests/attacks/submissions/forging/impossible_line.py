# outcome: blocked, error
"""Claims an error in a line whose number is too long to be written."""

import sys

worker = sys.modules["grader.sandbox.worker"]
LINE = 1 << 20_000


def described(error, sources):
    frames = [["ch5/repeat_kv.py", LINE, "repeat_kv", "return x"]]
    return {"type": "ValueError", "bases": ["Exception"], "message": "", "frames": frames}


worker.describe = described


def repeat_kv(x, n_rep):
    raise ValueError
