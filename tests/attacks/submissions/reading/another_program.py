# outcome: error, timeout
# needs: landlock
"""Has cat, sh and a second Python read what it may not."""

import os
import subprocess
import sys

FILE = "{{repo}}/solutions/ch5/repeat_kv.py"


def repeat_kv(x, n_rep):
    for command in (
        ["/bin/cat", FILE],
        ["/bin/sh", "-c", f"cat {FILE}"],
        [sys.executable, "-c", f"print(open({FILE!r}).read())"],
        ["/lib64/ld-linux-x86-64.so.2", "/bin/cat", FILE],
        ["/usr/bin/sudo", "-n", "cat", FILE],
    ):
        try:
            text = subprocess.run(command, capture_output=True, text=True, timeout=1).stdout
            names = {}
            exec(text, names)
            return names["repeat_kv"](x, n_rep)
        except (OSError, KeyError, subprocess.SubprocessError):
            continue
    os.execv("/bin/cat", ["cat", FILE])
