"""What is read: TinyTales, or whatever somebody brings along, as JSONL files of one form."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from happyllm.data.chat import to_messages
from happyllm.data.load import iter_hub, iter_jsonl, iter_texts, pick_fields
from happyllm.data.tinytales import Mix, Sizes, write_corpus
from happyllm.files import written_whole
from happyllm.pipeline.folder import Folder, FolderError, read_json, write_json
from happyllm.pipeline.parts import OURS, Pieces
from happyllm.pipeline.wanted import A_RECORD
from happyllm.train.config import CorpusConfig

META = "meta.json"
HELD_OUT = 50  # one record of so many is kept for evaluation
FILES = {"text": ("pretrain", "eval_text"), "chat": ("sft", "eval_sft")}


def sizes_of(config: CorpusConfig) -> Sizes:
    """Say how many records the parts of TinyTales shall have."""
    return Sizes(config.pretrain, config.sft, config.eval_text, config.eval_questions)


def mix_of(config: CorpusConfig) -> Mix:
    """Say how hard the stories of TinyTales shall be.

    Example:
        >>> mix_of(CorpusConfig()) == Mix()
        True
    """
    level = zip(config.people, config.fewest_events, config.most_events, strict=True)
    a, b, c = config.weights
    return Mix(
        (a, b, c),
        tuple(level),
        config.questions_per_story,
        config.documents,
        config.conversations,
        config.unknown,
    )


def make_tinytales(folder: Folder, config: CorpusConfig, *, overwrite: bool = False) -> Path:
    """Write TinyTales into a working folder.

    Returns:
        Where the corpus lies.

    Raises:
        FolderError: There is a corpus already, or the settings make no story.
    """
    folder.make()
    try:
        return write_corpus(
            folder.corpus,
            config.lang,
            config.seed,
            sizes_of(config),
            mix_of(config),
            overwrite=overwrite,
        )
    except FileExistsError as error:
        raise FolderError(
            f"{folder.corpus}: holds a corpus already; choose another folder by --out, "
            "or replace it by --overwrite"
        ) from error
    except ValueError as error:
        raise FolderError(f"corpus: {error}") from error


def meta_of(corpus: Path) -> dict[str, Any] | None:
    """Read what a complete corpus says of itself; None where there is none."""
    found = read_json(corpus / META)
    return found if isinstance(found, dict) else None


def fits(meta: dict[str, Any], config: CorpusConfig) -> bool:
    """Whether a corpus of TinyTales is the one that a configuration asks for."""
    wanted = {"seed": config.seed, "sizes": asdict(sizes_of(config)), "mix": asdict(mix_of(config))}
    wanted = json.loads(json.dumps(wanted))  # lists, as the file has them
    return all(meta.get(name) == value for name, value in wanted.items())


# ---- what somebody brings along


def import_corpus(
    folder: Folder,
    source: str,
    *,
    pattern: str = "*.txt",
    split: str = "train",
    field: str = "",
    limit: int = 0,
    skip_bad: bool = False,
    overwrite: bool = False,
    notify: Callable[[str], None] = lambda _: None,
) -> dict[str, int]:
    """Read a JSONL file, a folder of text files or a data set of the hub into a working folder.

    Records with "messages", "conversations" or "instruction" become conversations, all others
    text. One of 50, chosen by its contents, is held out.

    Args:
        folder: Where to.
        source: A file, a folder, or the name of a data set of the hub.
        pattern: Which files of a folder.
        split: Which part of a data set of the hub.
        field: Where the text of a record is; "" takes "text".
        limit: Most records to read; 0 reads all.
        skip_bad: Pass over lines and records that are bad, and count them.
        overwrite: Whether a corpus that is there may be replaced.
        notify: Is told of every record that is passed over.

    Returns:
        How many records each file got, and under "skipped" how many were passed over.

    Raises:
        FolderError: The source cannot be read, is empty, or has a bad record; or there is a corpus
            already. Nothing is then written.
    """
    if (folder.corpus / META).exists() and not overwrite:
        raise FolderError(
            f"{folder.corpus}: holds a corpus already; choose another folder by --out, "
            "or replace it by --overwrite"
        )
    folder.make()
    skipped: list[str] = []
    empty = not folder.corpus.exists()
    folder.corpus.mkdir(exist_ok=True)
    try:
        with contextlib.ExitStack() as open_files:
            sorted_out = _SortedOut(folder.corpus, open_files)
            records = _records(source, pattern, split, field, skip_bad, skipped)
            for number, record in enumerate(records, start=1):
                try:
                    sorted_out.add(*_form(record, field))
                except ValueError as error:
                    message = f"{source}: record {number}: {error}"
                    if not skip_bad:
                        raise FolderError(
                            f"{message}; mend it, or pass over it by --skip-bad"
                        ) from None
                    skipped.append(message)
                if limit and number >= limit:
                    break
            if not sorted_out.counts:
                passed = f"all {len(skipped)} records are bad" if skipped else "there is nothing"
                raise FolderError(f"{source}: {passed} in it; name a file or folder with text")
            (folder.corpus / META).unlink(missing_ok=True)
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise FolderError(
            str(error).replace("skip bad lines with on_error='skip'", "pass over it by --skip-bad")
        ) from error
    finally:
        if empty and not any(folder.corpus.iterdir()):
            folder.corpus.rmdir()
    for message in skipped:
        notify(message)
    for name in (name for pair in FILES.values() for name in pair):
        if name not in sorted_out.counts:
            (folder.corpus / f"{name}.jsonl").unlink(missing_ok=True)
    write_json(folder.corpus / META, {"corpus": source, "records": sorted_out.counts})
    return sorted_out.counts | {"skipped": len(skipped)}


class _SortedOut:
    """Files that records are sorted into, a line each; none is kept in memory."""

    def __init__(self, corpus: Path, open_files: contextlib.ExitStack) -> None:
        self.corpus, self.open_files = corpus, open_files
        self.files: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self.first: dict[str, str] = {}

    def add(self, kind: str, content: dict[str, Any]) -> None:
        """Put a record where it belongs: equal ones on one side, and on each side at least one."""
        line = json.dumps(content, ensure_ascii=False)
        line.encode()  # half a surrogate pair is a ValueError here, and not while it is written
        first = self.first.setdefault(kind, line)
        train, held_out = FILES[kind]
        digest = hashlib.blake2b(line.encode(), digest_size=4).digest()
        keep = int.from_bytes(digest) % HELD_OUT == 0 or self.counts.get(held_out, 0) == 0
        name = held_out if keep and line != first else train
        if name not in self.files:
            path = self.corpus / f"{name}.jsonl"
            self.files[name] = self.open_files.enter_context(written_whole(path))
        self.files[name].write(f"{line}\n")
        self.counts[name] = self.counts.get(name, 0) + 1


def _records(
    source: str, pattern: str, split: str, field: str, skip_bad: bool, skipped: list[str]
) -> Iterator[dict[str, Any]]:
    path = Path(source)
    if path.is_dir():
        return ({"text": text} for text in iter_texts(path, pattern))
    if path.is_file():
        if path.suffix in (".txt", ".md"):
            return ({"text": text} for text in [_whole(path)] if text.strip())
        return iter_jsonl(path, on_error="skip" if skip_bad else "raise", skipped=skipped)
    if source.count("/") == 1 and not source.startswith((".", "/")) and not path.parent.exists():
        return iter_hub(source, split)
    raise FolderError(
        f"{source}: there is no such file or folder (a data set of the hub is named owner/name)"
    )


def _whole(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FolderError(
            f"{path}: byte {error.start} is not UTF-8; convert the file to UTF-8"
        ) from None


def _form(record: dict[str, Any], field: str) -> tuple[str, dict[str, Any]]:
    if not field and record.keys() & {"messages", "conversations", "instruction"}:
        return "chat", {"messages": to_messages(record)}
    try:
        (picked,) = pick_fields([record], {"text": field or "text"})
    except ValueError:
        there = ", ".join(map(str, record)) or "none"
        raise ValueError(
            f"has no field {field or 'text'!r}: it has {there}; name another by --field"
        ) from None
    if not isinstance(picked["text"], str):
        raise ValueError(f"field {field or 'text'!r} must be a text, not {picked['text']!r}")
    return "text", picked


# ---- reading it again


def texts(path: Path, pieces: Pieces = OURS) -> Iterator[str]:
    """Read the documents of one file of a corpus.

    Args:
        path: The file.
        pieces: Whose `iter_jsonl` reads it.

    Raises:
        FolderError: The file is missing, or a line is bad.
    """
    for number, record in enumerate(_lines(path, pieces), start=1):
        if not isinstance(record.get("text"), str):
            raise FolderError(f"{path}: record {number}: field 'text' must be a text")
        yield record["text"]


def conversations(path: Path, pieces: Pieces = OURS) -> Iterator[list[dict[str, str]]]:
    """Read the conversations of one file of a corpus; stories with questions become some.

    Args:
        path: The file.
        pieces: Whose `iter_jsonl` reads it, and whose `to_messages` makes messages of it.

    Raises:
        FolderError: The file is missing, or a line is bad.
    """
    normalise = pieces.found["to_messages"]
    for number, record in enumerate(_lines(path, pieces), start=1):
        try:
            yield as_talk(record) if "questions" in record else normalise(record)
        except (KeyError, TypeError, ValueError) as error:
            if "to_messages" in pieces.theirs and _is_sound(record):
                raise  # it is not the record that is wrong
            raise FolderError(f"{path}: record {number}: {error}") from error


def _is_sound(record: dict[str, Any]) -> bool:
    """Whether our own functions make a conversation of a record."""
    try:
        return bool(as_talk(record) if "questions" in record else to_messages(record))
    except (KeyError, TypeError, ValueError):
        return False


def as_talk(record: dict[str, Any]) -> list[dict[str, str]]:
    """Make one conversation of a held-out story and all its questions, as fine-tuning has them."""
    messages = [{"role": "system", "content": record["system"]}]
    for number, asked in enumerate(record["questions"]):
        content = asked["question"]
        content = content if number else f"{record['story']}\n{content}"
        messages.append({"role": "user", "content": content})
        messages.append({"role": "assistant", "content": asked["answer"]})
    return messages


def questions(path: Path) -> list[dict[str, Any]]:
    """Read held-out stories with their questions."""
    return list(_lines(path, OURS))


def _lines(path: Path, pieces: Pieces) -> Iterable[dict[str, Any]]:
    try:
        for record in pieces.found["iter_jsonl"](path):
            yield pieces.expect("iter_jsonl", record, A_RECORD)
    except FileNotFoundError:
        raise FolderError(
            f"{path}: there is no such file; make a corpus by happyllm data"
        ) from None
    except ValueError as error:
        if not str(error).startswith(f"{path}:"):
            raise  # it is not a line that is wrong, but what reads it
        raise FolderError(f"{str(error).split('; mend')[0]}; mend or delete the line") from error
