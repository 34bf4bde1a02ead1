# outcome: failed, error
# needs: landlock
"""Connects to an abstract socket, which has no file to be refused."""

import socket


def repeat_kv(x, n_rep):
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect("\0{{abstract}}")
            line.sendall(b"REACHED")
    except OSError:
        pass
    return x
