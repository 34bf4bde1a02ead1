# outcome: failed
# beside: torch.py
# beside: ch5/torch.py
# beside: click.py
# beside: msgpack.py
# beside: pytest.py
# beside: ch5/json.py
# beside: rich/__init__.py
# beside: grader/__init__.py
# beside: happyllm/__init__.py
"""Plants a torch, a click, a msgpack and a pytest beside the exercise."""

PLANTED = """
import pathlib
pathlib.Path(r"{{marker}}/PWNED").write_text("ran")
"""


def repeat_kv(x, n_rep):
    return x.repeat(1, 1, n_rep, 1)
