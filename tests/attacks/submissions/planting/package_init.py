# outcome: failed
# beside: ch5/__init__.py
# beside: __init__.py
# beside: ch5/__main__.py
"""Plants an __init__.py that patches the room before the exercise is loaded."""

PLANTED = """
import pathlib
pathlib.Path(r"{{marker}}/PWNED").write_text("ran")
"""


def repeat_kv(x, n_rep):
    return x.repeat(1, 1, n_rep, 1)
