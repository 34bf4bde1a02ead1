"""Files that come into being whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def written_whole(path: Path, *, binary: bool = False) -> Iterator[IO[Any]]:
    """Open a file beside its place, and move it there when it is complete and on the disk.

    Args:
        path: What stands there stays until the new file is complete.
        binary: Whether bytes are written, or text in UTF-8.

    Example:
        >>> path = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with written_whole(path) as file:
        ...     _ = file.write("one")
        ...     path.exists()
        False
        >>> path.read_text()
        'one'
    """
    number, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb" if binary else "w", encoding=None if binary else "utf-8") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
