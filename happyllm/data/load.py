"""Reading data: JSONL line by line, folders of text, and data sets from a hub.

Everything here is lazy: a file of a hundred gigabytes takes no more memory than its longest line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


def iter_jsonl(
    path: str | os.PathLike[str], on_error: str = "raise", skipped: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    r"""Read a JSONL file, one JSON object a line, without ever holding more than one line.

    Blank lines are passed over, and so is a byte order mark at the start of a line (a file that
    was joined of several may have one inside). A line is bad where it is not UTF-8, not JSON (the
    last line of a file that was cut off, say), or no object.

    Args:
        path: The file.
        on_error: "raise" stops at the first bad line, "skip" goes on after it.
        skipped: Takes one message for each line that was skipped, so that it can be counted.

    Yields:
        The object of each line, in order.

    Raises:
        ValueError: `on_error` is neither of the two; or a line is bad, and `on_error` is "raise".
            The message begins with the file and the number of the line, `data.jsonl:3: `, counted
            from 1 with blank lines; messages in `skipped` begin in the same way.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        ...     written = file.write('{"text": "one"}\n\n{"text": \n{"text": "two"}\n')
        ...     file.flush()
        ...     skipped = []
        ...     list(iter_jsonl(file.name, on_error="skip", skipped=skipped))
        [{'text': 'one'}, {'text': 'two'}]
        >>> len(skipped), ".jsonl:3: " in skipped[0]
        (1, True)
    """
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error={on_error!r} must be 'raise' or 'skip'")
    # Step 1: open as bytes; a line that is no UTF-8 must not end the reading of the others.
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            # Step 2: pass over a byte order mark, and over blank lines.
            line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            # Step 3: decode and parse; both errors are ValueErrors.
            try:
                value = json.loads(line.decode("utf-8"))
                if not isinstance(value, dict):
                    raise ValueError(f"{type(value).__name__} where an object belongs")
            except ValueError as error:
                # Step 4: say where, and what to do about it.
                message = (
                    f"{os.fspath(path)}:{number}: {error}; mend or delete the line, "
                    "or skip bad lines with on_error='skip'"
                )
                if on_error == "raise":
                    raise ValueError(message) from None
                if skipped is not None:
                    skipped.append(message)
                continue
            yield value


def pick_fields(
    records: Iterable[Mapping[str, Any]], fields: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Rename the fields of records, so that any JSONL can be read as what is wanted.

    Args:
        records: Objects, of `iter_jsonl` say.
        fields: The wanted name of each field, and where it is: `{"text": "content"}`. A dot goes
            into an object: `{"text": "page.body"}`.

    Yields:
        For each record an object with the wanted fields alone.

    Raises:
        ValueError: A record lacks a field. The message counts records from 1 and lists the fields
            that the record has.

    Example:
        >>> list(pick_fields([{"page": {"body": "Once"}, "id": 7}], {"text": "page.body"}))
        [{'text': 'Once'}]
    """
    for number, record in enumerate(records, start=1):
        picked = {}
        for name, path in fields.items():
            value: Any = record
            for step in path.split("."):
                if not isinstance(value, Mapping) or step not in value:
                    there = ", ".join(map(str, value)) if isinstance(value, Mapping) else "none"
                    raise ValueError(
                        f"record {number} has no field {path!r} for {name!r}: "
                        f"it has {there}; correct the field map"
                    )
                value = value[step]
            picked[name] = value
        yield picked


def iter_texts(
    folder: str | os.PathLike[str], pattern: str = "*.txt", encoding: str = "utf-8"
) -> Iterator[str]:
    """Read every text file below a folder, one document a file, in the order of their paths.

    Args:
        folder: Searched with its subfolders.
        pattern: Which files, as in a shell: `*.md`.
        encoding: Of the files.

    Yields:
        The text of each file that is not blank.

    Raises:
        FileNotFoundError: There is no such folder, or no such file in it.
        ValueError: A file does not have this encoding; the message names it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; name the one that holds your texts")
    paths = sorted(path for path in root.rglob(pattern) if path.is_file())
    if not paths:
        raise FileNotFoundError(f"{root}: no file fits {pattern!r}; choose another pattern")
    for path in paths:
        try:
            text = path.read_text(encoding=encoding)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path}: byte {error.start} is not {encoding}; "
                "convert the file, or say which encoding it has"
            ) from None
        if text.strip():
            yield text


def iter_hub(
    name: str, split: str = "train", config: str | None = None, **options: Any
) -> Iterator[dict[str, Any]]:
    """Stream a data set from the Hugging Face hub, for those who have a network.

    Args:
        name: As the hub names it: `roneneldan/TinyStories`.
        split: Which part of it.
        config: Which of its variants, where there are several.
        options: Handed on to `datasets.load_dataset`.

    Yields:
        Its records, as they arrive; nothing is kept on disk.

    Raises:
        RuntimeError: The library `datasets` is not installed, or the data set cannot be reached.
    """
    try:
        from datasets import load_dataset  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise RuntimeError(
            f"{name}: data sets of the hub need the library datasets: pip install datasets; "
            "any JSONL file can be read without it"
        ) from None
    try:
        records = load_dataset(name, config, split=split, streaming=True, **options)
    except Exception as error:  # the library raises whatever its network layers raise
        raise RuntimeError(
            f"{name}: cannot be read from the hub ({type(error).__name__}: {error}); "
            "check the name, the split and the network"
        ) from error
    yield from records
