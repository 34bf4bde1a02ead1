# outcome: failed, error
# exercise: ch5/attention
# beside: ch5/rotary.py
# beside: ch5/repeat_kv.py
# beside: ch5/config.py
"""Plants its own answer in place of a requirement's, so that the reference's helpers are its own."""

PLANTED = """
import pathlib

pathlib.Path(r"{{marker}}/PWNED").write_text("ran")


def __getattr__(name):
    raise SystemExit(0)
"""

from ch5.rotary import apply_rotary_emb  # noqa: E402, F401


class Attention:
    def __init__(self, *_):
        pass


def causal_mask(*_):
    return None
