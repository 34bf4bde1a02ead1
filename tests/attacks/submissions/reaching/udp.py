# outcome: failed, error
# needs: namespaces
"""Sends a datagram, which needs no connection."""

import socket


def repeat_kv(x, n_rep):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.sendto(b"REACHED", ("127.0.0.1", {{udp}}))
    return x
