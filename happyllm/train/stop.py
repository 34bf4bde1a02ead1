"""Ctrl-C and SIGTERM as a wish to stop soon, in good order."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


class Stop:
    """Whether to stop.

    Attributes:
        signal: Name of the signal that came, "SIGINT"; "" as long as none did.
    """

    signal = ""


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """Take note of SIGINT and SIGTERM in place of ending at once; the second one ends at once.

    Example:
        >>> with stop_signals() as stop:
        ...     signal.raise_signal(signal.SIGTERM)
        ...     stop.signal
        'SIGTERM'
    """
    stop = Stop()

    def note(number: int, _: object) -> None:
        if stop.signal:
            raise KeyboardInterrupt
        stop.signal = signal.Signals(number).name

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
