"""Where the numbers of a run go: a file with one JSON object a line, and TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from happyllm.files import written_whole

Record = Mapping[str, Any]


class JsonlLog:
    """Write each record as a line of JSON, at once, so that a killed run keeps what it wrote.

    Args:
        path: The file; lines are added to it.
        step: Where the run begins. Lines of later steps, which it will make again, are dropped,
            and with them a last line that was cut short.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "log.jsonl"
        >>> for begin, steps in ((0, (1, 2, 3)), (2, (3, 4))):  # goes on from step 2
        ...     with JsonlLog(path, begin) as log:
        ...         for step in steps:
        ...             log({"kind": "step", "step": step})
        >>> [record["step"] for record in read_log(path)]
        [1, 2, 3, 4]
    """

    def __init__(self, path: Path, step: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            kept = [record for record in read_log(path) if record["step"] <= step]
            with written_whole(path) as file:
                file.writelines(f"{json.dumps(record)}\n" for record in kept)
        self._file = path.open("a", encoding="utf-8")

    def __call__(self, record: Record) -> None:
        """Write a record."""
        self._file.write(json.dumps(dict(record)) + "\n")
        self._file.flush()

    def __enter__(self) -> JsonlLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read a log; lines that are no record, as a killed run may leave one, are passed over.

    Args:
        path: What `JsonlLog` wrote.
    """
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            records.append(record)
    return records


class TensorBoardLog:
    """Hand the numbers of each record on to TensorBoard, as "step/loss", "eval/loss" and so on.

    Args:
        folder: Where TensorBoard looks for them.

    Raises:
        ModuleNotFoundError: TensorBoard is not installed; the message says how to install it.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                "TensorBoard is not installed: pip install 'happyllm[train]'"
            ) from error
        self._writer = SummaryWriter(str(folder))

    def __call__(self, record: Record) -> None:
        """Hand a record on."""
        for name, value in record.items():
            if name not in ("kind", "step") and isinstance(value, int | float):
                tag = f"{record['kind']}/{name}"
                self._writer.add_scalar(tag, value, record["step"])
        self._writer.flush()
