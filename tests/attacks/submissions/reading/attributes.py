# outcome: error
# needs: landlock
# never: ALICE
"""Reads what Landlock does not guard: sizes, times, targets of links, whether a file is there."""

import os


def repeat_kv(x, n_rep):
    told = []
    for path in ("{{repo}}/grader/suites/ch5/test_repeat_kv.py", "{{repo}}", "{{class}}/alice"):
        try:
            told.append(os.stat(path).st_size)
            told.append(os.listdir(path))
            told.append(os.getxattr(path, "user.note"))
        except OSError:
            continue
    with open("{{class}}/alice/ch5/repeat_kv.py") as file:
        raise ValueError(file.read())
