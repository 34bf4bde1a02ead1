# outcome: error
# needs: landlock
"""Reaches the solution by the long ways: other processes' roots, working folders and descriptors."""

import glob
import os

FILE = "{{repo}}/solutions/ch5/repeat_kv.py"


def ways():
    for pid in ("self", "thread-self", "1", "{{judge}}", "{{server}}", str(os.getpid())):
        yield f"/proc/{pid}/root{FILE}"
        yield f"/proc/{pid}/cwd/../../../../../..{FILE}"
    yield from glob.glob("/proc/*/root" + FILE)
    yield "/dev/fd/0/../../.." + FILE


def find():
    for way in ways():
        try:
            names = {}
            with open(way) as file:
                exec(file.read(), names)
            return names["repeat_kv"]
        except OSError:
            continue
    os.chdir("{{repo}}")  # Landlock lets one go there; and then?
    flags = os.O_PATH | os.O_DIRECTORY
    folder = os.open("solutions/ch5", flags)
    names = {}
    with open(os.open("repeat_kv.py", os.O_RDONLY, dir_fd=folder)) as file:
        exec(file.read(), names)
    return names["repeat_kv"]


def repeat_kv(x, n_rep):
    return find()(x, n_rep)
