# outcome: error
# needs: landlock
"""Reads the hidden suite and tells it to its owner in an error message."""


def repeat_kv(x, n_rep):
    with open("{{repo}}/grader/suites/ch5/test_repeat_kv.py") as file:
        raise ValueError(file.read()[-3000:])
