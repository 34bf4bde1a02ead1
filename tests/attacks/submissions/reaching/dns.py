# outcome: error, timeout, failed
# needs: namespaces
"""Tells the world by the name that it looks up."""

import socket

socket.setdefaulttimeout(0.5)


def repeat_kv(x, n_rep):
    try:
        socket.getaddrinfo("the-answer-is-42.example.com", 80)
    except OSError:
        raise LookupError("no name service") from None
    return x
