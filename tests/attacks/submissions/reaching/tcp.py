# outcome: failed, error
# needs: namespaces
"""Sends the hand-in's inputs to a server, and asks it for the answers."""

import socket


def repeat_kv(x, n_rep):
    for host in ("127.0.0.1", "::1", "1.1.1.1"):
        try:
            with socket.create_connection((host, {{tcp}}), timeout=0.3) as line:
                line.sendall(b"REACHED")
        except OSError:
            continue
    return x
