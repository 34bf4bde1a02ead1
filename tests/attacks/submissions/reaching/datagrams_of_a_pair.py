# outcome: failed, error
"""Makes no socket, but a pair of them, and writes from one of the two to the machine's log."""

import socket


def repeat_kv(x, n_rep):
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.setblocking(False)
    for address in ("{{log}}", "\0{{abstract}}-log"):
        try:
            one.sendto(b"REACHED", address)
        except OSError:
            continue
    return x
