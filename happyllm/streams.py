"""The standard streams, fit to be written to whatever the caller has made of them."""

from __future__ import annotations

import io
import os
import sys


def prepare() -> None:
    """Open those that are closed, and have what a stream cannot encode shown as an escape.

    The number of a closed one would go to the next file or socket that is opened, and what is
    meant for people would be written there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
            setattr(sys, name, os.fdopen(nothing, "w" if number else "r"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
