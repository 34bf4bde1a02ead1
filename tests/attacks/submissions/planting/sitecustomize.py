# outcome: failed
# beside: sitecustomize.py
# beside: usercustomize.py
# beside: ch5/sitecustomize.py
# beside: .pythonrc.py
"""Plants what Python runs by itself when it starts."""

PLANTED = """
import pathlib
pathlib.Path(r"{{marker}}/PWNED").write_text("ran")
"""


def repeat_kv(x, n_rep):
    return x.repeat(1, 1, n_rep, 1)
