"""Single keys from a terminal, read on a thread of their own; the terminal is put back afterwards.

Where the standard input is no terminal, or belongs to another job of the shell, there are none.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PASTE = 8  # so many characters at once were not typed


def available() -> bool:
    """Whether keys can be read from the standard input."""
    try:
        if not sys.stdin.isatty():
            return False
        if sys.platform == "win32":
            return True
        import termios

        termios.tcgetattr(sys.stdin.fileno())
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (ImportError, OSError, ValueError, AttributeError):
        return False
    except Exception:  # termios.error is no OSError
        return False


@contextmanager
def read(press: Callable[[str], None]) -> Iterator[None]:
    """Call `press` with each key as it is pressed. Ctrl-C stays what it is."""
    if sys.platform == "win32":
        with _read_windows(press):
            yield
        return
    import signal
    import termios

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)

    def single(*_: object) -> None:
        modes = termios.tcgetattr(fd)
        modes[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(fd, termios.TCSANOW, modes)

    wake, waker = os.pipe()
    thread = threading.Thread(target=_read, args=(fd, wake, press), name="keys", daemon=True)
    single()
    again = signal.signal(signal.SIGCONT, single)  # after Ctrl-Z and fg
    thread.start()
    try:
        yield
    finally:
        os.close(waker)
        thread.join(timeout=2)
        os.close(wake)
        signal.signal(signal.SIGCONT, again)
        with contextlib.suppress(termios.error):  # the terminal has gone
            termios.tcsetattr(fd, termios.TCSANOW, before)


def _read(fd: int, wake: int, press: Callable[[str], None]) -> None:
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if wake in ready:
            return
        try:
            data = os.read(fd, 256)
        except OSError:
            return
        if not data:
            return
        for key in keys_in(data.decode("utf-8", "ignore")):
            press(key)


def keys_in(text: str) -> list[str]:
    """The keys in what a terminal sent at once: no arrows, no pasted text; ？ is ?."""
    if text == "\x1b":
        return [text]
    if text.startswith("\x1b") or len(text) > PASTE:
        return []
    return [unicodedata.normalize("NFKC", one).lower() for one in text]


@contextmanager
def _read_windows(press: Callable[[str], None]) -> Iterator[None]:  # pragma: no cover
    import msvcrt

    over = threading.Event()

    def run() -> None:
        while not over.wait(0.05):
            while msvcrt.kbhit():  # type: ignore[attr-defined]
                key = msvcrt.getwch()  # type: ignore[attr-defined]
                if key in ("\x00", "\xe0"):  # the first half of an arrow
                    msvcrt.getwch()  # type: ignore[attr-defined]
                    continue
                for one in keys_in(key):
                    press(one)

    thread = threading.Thread(target=run, name="keys", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=2)
