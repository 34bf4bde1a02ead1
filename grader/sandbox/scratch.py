"""Scratch folders: each grader has one, and holds a lock on it for as long as it lives.

The system takes the lock away with the process. So what a killed grader has left behind is told
from what is in use, and the next one that starts removes it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass

try:
    import fcntl
except ImportError:  # Windows, where a folder cannot be locked, and none is swept
    fcntl = None  # type: ignore[assignment]

PREFIX = "happyllm-scratch-"
YOUNG_S = 60.0  # one that was made just now may not be locked yet


class ScratchError(Exception):
    """There is no folder that can be written, or no room in it."""


@dataclass(frozen=True)
class Scratch:
    """A folder in which every worker gets one of its own.

    Attributes:
        lock: the descriptor that holds it; none where folders cannot be locked.
    """

    path: str
    lock: int | None

    def remove(self) -> None:
        """Remove it with all that is in it, and let it go."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.lock is not None:
            with contextlib.suppress(OSError):  # closed already
                os.close(self.lock)


def scratch_folder() -> Scratch:
    """Make a scratch folder, and remove those whose graders were killed.

    Raises:
        ScratchError: there is no room for it.
    """
    try:
        path = tempfile.mkdtemp(prefix=PREFIX)
        lock = _lock(path)
    except OSError as error:
        raise ScratchError(
            f"{error.filename or 'scratch folder'}: {error.strerror}; "
            "make room there, or set TMPDIR to a folder that can be written"
        ) from error
    sweep()
    return Scratch(path, lock)


def sweep() -> None:
    """Remove the scratch folders of killed graders; what is held or cannot be removed is left."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(tempfile.gettempdir()):
            if fcntl is None or not entry.name.startswith(PREFIX):
                continue
            with contextlib.suppress(OSError):
                made = entry.stat(follow_symlinks=False).st_mtime
                if not entry.is_dir(follow_symlinks=False) or 0 <= time.time() - made < YOUNG_S:
                    continue
                lock = _lock(entry.path)
                shutil.rmtree(entry.path, ignore_errors=True)
                if lock is not None:
                    os.close(lock)


def _lock(path: str) -> int | None:
    """Hold a folder.

    Raises:
        OSError: somebody else does, or it is none.
    """
    if fcntl is None:
        return None
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
