"""The working folder: where the corpus, the tokenizer and the runs of one model lie.

corpus/         pretrain.jsonl, sft.jsonl, ...: what is read
tokenizer.json
tokens/         the same as ids, made anew where the corpus or the tokenizer changes
pretrain/ sft/ dpo/    a run each: checkpoints, log.jsonl, config.toml, loss.svg, report.json
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from happyllm.files import written_whole

STAGES = ("pretrain", "sft", "dpo")  # each goes on from the one before


class FolderError(Exception):
    """Something in the working folder is missing, damaged or in the way; the message says what."""


@dataclass(frozen=True)
class Folder:
    """A working folder.

    Attributes:
        root: Where it is. It need not exist yet.

    Example:
        >>> Folder(Path("tinytales-en")).run("sft").as_posix()
        'tinytales-en/sft'
    """

    root: Path

    @property
    def corpus(self) -> Path:
        """Where the corpus lies."""
        return self.root / "corpus"

    @property
    def tokenizer(self) -> Path:
        """The file of the tokenizer."""
        return self.root / "tokenizer.json"

    @property
    def tokens(self) -> Path:
        """Where the ids of the corpus lie."""
        return self.root / "tokens"

    def run(self, stage: str) -> Path:
        """Where the run of a stage lies."""
        return self.root / stage

    def make(self) -> None:
        """Make the folder, if it is not there.

        Raises:
            FolderError: It cannot be made, or a file has its name.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(
                f"{self.root}: cannot be made ({error.strerror}); choose another by --out"
            ) from error


def write_json(path: Path, content: Any) -> None:
    """Write a small JSON file, whole or not at all."""
    with written_whole(path) as file:
        file.write(json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a small JSON file; None where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
