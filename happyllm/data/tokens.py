"""Token files: ids on disk as they lie in memory, so that training reads them without loading them.

Layout, all little-endian: 8 bytes "HLTOKENS", then three 64-bit numbers (bytes an id, the number
of ids, the size of the vocabulary), then the ids.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from happyllm.files import written_whole

MAGIC = b"HLTOKENS"
HEADER = struct.Struct("<8sQQQ")
CHUNK = 1 << 20  # ids that are held before they are written


@dataclass(frozen=True)
class TokenFile:
    """The ids of a corpus, read from disk where they are needed.

    Attributes:
        path: The file.
        ids: (N,) uint16 or uint32, mapped from the file and read-only.
        vocab_size: Every id is below it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = TokenFile.write(f"{folder}/a.tokens", [[5, 6], [7]], vocab_size=300, eos=0)
        ...     file.ids.tolist(), file.ids.dtype.name
        ([5, 6, 0, 7, 0], 'uint16')
    """

    path: Path
    ids: np.ndarray
    vocab_size: int

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def write(
        cls,
        path: str | os.PathLike[str],
        docs: Iterable[Sequence[int]],
        vocab_size: int,
        eos: int | None = None,
    ) -> TokenFile:
        """Write documents one after another; the file comes into being whole or not at all.

        Args:
            path: The file; one that is there is replaced once the new one is complete.
            docs: The ids of each document. They are taken one at a time.
            vocab_size: Up to 65 536 an id takes two bytes, above it four.
            eos: Put after each document that is not empty and does not end in it; None puts none.

        Returns:
            The file, opened.

        Raises:
            ValueError: An id is not in 0 .. vocab_size - 1; the message names the document.
            OSError: There is no room, say; what stood at `path` stands there still.
        """
        path = Path(path)
        dtype = np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
        with written_whole(path, binary=True) as file:
            file.write(HEADER.pack(MAGIC, dtype.itemsize, 0, vocab_size))
            total, held = 0, list[int]()
            for index, doc in enumerate(docs):
                if not len(doc):
                    continue
                low, high = min(doc), max(doc)
                if low < 0 or high >= vocab_size:
                    raise ValueError(
                        f"{path}: document {index} holds the id {low if low < 0 else high}, "
                        f"which is not in 0 .. {vocab_size - 1}; use the tokenizer that "
                        "vocab_size belongs to"
                    )
                held.extend(doc)
                if eos is not None and held[-1] != eos:
                    held.append(eos)
                if len(held) >= CHUNK:
                    total += len(held)
                    file.write(np.asarray(held, dtype=dtype).tobytes())
                    held.clear()
            total += len(held)
            file.write(np.asarray(held, dtype=dtype).tobytes())
            file.seek(0)
            file.write(HEADER.pack(MAGIC, dtype.itemsize, total, vocab_size))
        return cls.read(path)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> TokenFile:
        """Open a token file; its ids stay on disk until they are looked at.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no token file, or it was cut off; the message names it.
        """
        path = Path(path)
        size = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(HEADER.size)
        if len(head) < HEADER.size or not head.startswith(MAGIC):
            raise ValueError(f"{path}: no token file; write one with TokenFile.write")
        _, width, total, vocab_size = HEADER.unpack(head)
        if width not in (2, 4):
            raise ValueError(f"{path}: ids of {width} bytes; write the file anew")
        if size != HEADER.size + total * width:
            raise ValueError(
                f"{path}: cut off or damaged: {size} bytes where {total} ids take "
                f"{HEADER.size + total * width}; write the file anew"
            )
        dtype = np.dtype("<u2" if width == 2 else "<u4")
        ids: np.ndarray
        if total:
            ids = np.memmap(path, dtype=dtype, mode="r", offset=HEADER.size, shape=(total,))
        else:
            ids = np.empty(0, dtype=dtype)  # nothing cannot be mapped
        return cls(path, ids, vocab_size)
