"""The tokenizer of a working folder, and the corpus as ids."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import regex

from happyllm.data.chat import IM_END, IM_START
from happyllm.data.tokens import TokenFile
from happyllm.pipeline import corpus
from happyllm.pipeline.folder import Folder, FolderError, read_json, write_json
from happyllm.pipeline.parts import OURS, Pieces, theirs
from happyllm.tokenizer import BPETokenizer, train_bpe

END = "<|endoftext|>"  # stands between documents
SPECIAL = (END, IM_START, IM_END)
READ_BY = ("iter_jsonl", "to_messages", "render_chatml")  # what makes ids of a file, for one
BETWEEN_HAN = regex.compile(r"(?<=\p{Han})(?=\p{Han})")
FORMAT = 1


def train_tokenizer(
    files: Sequence[tuple[Path, bool]],
    path: Path,
    vocab_size: int,
    *,
    split_han: bool = False,
    pieces: Pieces = OURS,
) -> BPETokenizer:
    """Learn a tokenizer from all that a model will be trained on, and write it.

    Args:
        files: JSONL files of a corpus, each with whether it holds conversations. Never those that
            are held out.
        path: The `tokenizer.json`.
        vocab_size: Most tokens.
        split_han: Learn each Chinese character by itself; see `DataConfig`.
        pieces: Whose functions read the files and learn the merges.

    Raises:
        FolderError: A file cannot be read; the size is too small.
    """

    def texts() -> Iterator[str]:
        for file, chat in files:
            if not chat:
                yield from corpus.texts(file, pieces)
                continue
            for messages in corpus.conversations(file, pieces):
                for message in messages:
                    yield message["role"] + "\n"
                    yield message["content"]

    # What a line break parts in the text that is learned from, no merge will ever join.
    learned = (BETWEEN_HAN.sub("\n", text) for text in texts()) if split_han else texts()
    try:
        with theirs(pieces):
            tokenizer = train_bpe(learned, vocab_size, SPECIAL, learn=pieces.found["learn_merges"])
    except ValueError as error:
        raise FolderError(f"model.{error}") from error
    tokenizer.save(path)
    return tokenizer


def load_tokenizer(path: Path) -> BPETokenizer:
    """Read a tokenizer that has the special tokens that training needs.

    Raises:
        FolderError: One of them is missing, or there is no file.
        TokenizerFileError: The file cannot be used.
    """
    if not path.exists():
        raise FolderError(f"{path}: there is no tokenizer; make one by happyllm tokenizer")
    tokenizer = BPETokenizer.load(path)
    missing = [token for token in SPECIAL if token not in tokenizer.special_tokens]
    if missing:
        raise FolderError(
            f"{path}: added_tokens lacks {missing[0]}; train the tokenizer by happyllm tokenizer"
        )
    return tokenizer


# ---- a corpus as ids


@dataclass(frozen=True)
class Encoded:
    """Documents as ids.

    Attributes:
        ids: An end token, then the documents, an end token after each.
        learned: For conversations, 1 at the ids that are to be learned; None where all are.
    """

    ids: TokenFile
    learned: TokenFile | None


def encode(
    folder: Folder, source: Path, tokenizer_file: Path, *, chat: bool, pieces: Pieces = OURS
) -> Encoded:
    """Turn a file of the corpus into ids on disk, or take those that are there and still fit.

    Args:
        folder: The working folder; the ids go to its `tokens/`.
        source: A JSONL file of the corpus.
        tokenizer_file: The `tokenizer.json`.
        chat: Whether it holds conversations, or documents.
        pieces: Whose functions read the file, and whose chat template conversations get.

    Raises:
        FolderError: The source or the tokenizer cannot be read, or there is nothing in it.
    """
    tokenizer = load_tokenizer(tokenizer_file)
    end = tokenizer.special_tokens[END]
    path = folder.tokens / f"{source.stem}.bin"
    mask = folder.tokens / f"{source.stem}.learned.bin"
    note = folder.tokens / f"{source.stem}.json"
    made_of = {
        "format": FORMAT,
        "chat": chat,
        "source": _digest(source),
        "tokenizer": _digest(tokenizer_file),
        "parts": {name: pieces.digests[name] for name in READ_BY if name in pieces.theirs},
    }
    if read_json(note) == made_of:
        try:
            return Encoded(TokenFile.read(path), TokenFile.read(mask) if chat else None)
        except (OSError, ValueError):
            pass  # damaged or half gone: it can be made again
    folder.tokens.mkdir(parents=True, exist_ok=True)
    note.unlink(missing_ok=True)
    marks = [bytes(1)]  # a byte an id, so that a million conversations take little room

    def docs() -> Iterator[list[int]]:
        yield [end]
        if not chat:
            for text in corpus.texts(source, pieces):
                yield tokenizer.encode(text)
            return
        start, stop = (tokenizer.special_tokens[token] for token in (IM_START, IM_END))
        turns = pieces.turns()
        for messages in corpus.conversations(source, pieces):
            talk = list(turns(messages, tokenizer, start, stop))
            marks.append(bytes([one for _, mask in talk for one in mask] + [0]))
            yield [i for ids, _ in talk for i in ids]

    ids = TokenFile.write(path, docs(), tokenizer.vocab_size, end)
    learned = TokenFile.write(mask, marks, 2) if chat else None
    if len(ids) < 2:
        raise FolderError(f"{source}: holds no text; name a corpus that does")
    write_json(note, made_of)
    return Encoded(ids, learned)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise FolderError(
            f"{path}: there is no such file; make a corpus by happyllm data"
        ) from None
