# outcome: error
# needs: landlock
"""Makes symbolic and hard links to the solution in the one folder that may be read."""

import os

FILE = "{{repo}}/solutions/ch5/repeat_kv.py"


def repeat_kv(x, n_rep):
    for make, name in ((os.symlink, "soft.py"), (os.link, "hard.py"), (os.rename, "moved.py")):
        try:
            make(FILE, name)
            names = {}
            with open(name) as file:
                exec(file.read(), names)
            return names["repeat_kv"](x, n_rep)
        except OSError:
            continue
    raise LookupError("no link leads there")
