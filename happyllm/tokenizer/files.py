"""The file `tokenizer.json`: written for every library that reads it, read with suspicion.

The format is that of Hugging Face's `tokenizers`, which its documentation calls a serialized
Tokenizer. What is read is refused unless it is a byte-level BPE that works exactly as ours does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from happyllm.files import written_whole
from happyllm.tokenizer.letters import BYTE, bytes_of, letters_of

Parts = tuple[dict[bytes, int], list[tuple[bytes, bytes]], dict[str, int]]

ELSEWHERE = "load this one with tokenizers.Tokenizer.from_file"


class TokenizerFileError(ValueError):
    """A tokenizer file cannot be used; the message names the file, the field and the fix."""


def write_tokenizer_json(
    path: Path,
    vocab: Mapping[bytes, int],
    merges: Sequence[tuple[bytes, bytes]],
    special_tokens: Mapping[str, int],
) -> None:
    """Write a tokenizer to a file, all of it or nothing.

    Args:
        path: The file; what was there is replaced.
        vocab: Ordinary tokens with their ids.
        merges: The parts of each merge, in order.
        special_tokens: Special tokens with their ids.
    """
    ids = {letters_of(piece): i for piece, i in vocab.items()} | dict(special_tokens)
    byte_level = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    contents = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": i,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token, i in sorted(special_tokens.items(), key=lambda entry: entry[1])
        ],
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "add_prefix_space": False},
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": dict(sorted(ids.items(), key=lambda entry: entry[1])),
            "merges": [[letters_of(left), letters_of(right)] for left, right in merges],
        },
    }
    text = json.dumps(contents, ensure_ascii=False, indent=2)
    with written_whole(path) as file:
        file.write(f"{text}\n")


def read_tokenizer_json(path: Path) -> Parts:
    """Read a tokenizer from a file.

    Args:
        path: A `tokenizer.json`.

    Returns:
        Ordinary tokens with their ids, the merges in order, special tokens with their ids.

    Raises:
        TokenizerFileError: The file cannot be read, is damaged, or works in another way.
    """
    return _Reader(path).parts()


class _Reader:
    """One reading of one file; every complaint names it."""

    def __init__(self, path: Path):
        self.path = path

    def refuse(self, field: str, what: str) -> TokenizerFileError:
        return TokenizerFileError(
            f"{self.path}: {field}: {what}" if field else f"{self.path}: {what}"
        )

    def parts(self) -> Parts:
        contents = self.contents()
        self.check_pipeline(contents)
        model = self.get(contents, "model", dict)
        self.check_model(model)
        special = self.special_tokens(contents)
        vocab = self.vocab(model, special)
        return vocab, self.merges(model, vocab), special

    def contents(self) -> dict[str, Any]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise self.refuse(
                "", f"byte {error.start} is not UTF-8, so this is no tokenizer.json; get it again"
            ) from None
        except OSError as error:
            raise self.refuse("", f"cannot be read: {error.strerror or error}") from None
        try:
            contents = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            line = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "nesting"
            raise self.refuse(
                line, "not valid JSON; the file is damaged or cut off: save or fetch it again"
            ) from None
        if not isinstance(contents, dict) or "model" not in contents:
            raise self.refuse(
                "model", "missing; this is no tokenizer.json, as BPETokenizer.save writes it"
            )
        return contents

    def get(self, table: Mapping[str, Any], name: str, kind: type, where: str = "") -> Any:
        field = f"{where}{name}"
        if name not in table:
            raise self.refuse(field, "missing; the file is damaged: save or fetch it again")
        value = table[name]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.refuse(
                field,
                f"is {type(value).__name__}, where {kind.__name__} is expected; "
                "save or fetch the file again",
            )
        return value

    def check_pipeline(self, contents: Mapping[str, Any]) -> None:
        """Require that text reaches the model, and leaves it, as it does here."""
        for name in ("normalizer", "truncation", "padding"):
            if contents.get(name) is not None:
                raise self.refuse(
                    name,
                    f"is set, where null is expected: text and ids stay as they are; {ELSEWHERE}",
                )
        for name, options in (
            ("pre_tokenizer", {"add_prefix_space": False, "use_regex": True}),
            ("post_processor", {}),
            ("decoder", {}),
        ):
            step = contents.get(name)
            if step is None and name == "post_processor":
                continue
            if not isinstance(step, dict) or step.get("type") != "ByteLevel":
                kind = step.get("type") if isinstance(step, dict) else step
                raise self.refuse(name, f"is {kind!r}, where 'ByteLevel' is expected; {ELSEWHERE}")
            for option, wanted in options.items():
                if step.get(option, True) is not wanted:
                    raise self.refuse(
                        f"{name}.{option}",
                        f"is {step.get(option)!r}, where {wanted!r} is expected; {ELSEWHERE}",
                    )

    def check_model(self, model: Mapping[str, Any]) -> None:
        """Require BPE without options that change what it gives."""
        if model.get("type", "BPE") != "BPE":
            raise self.refuse(
                "model.type", f"is {model['type']!r}, where 'BPE' is expected; {ELSEWHERE}"
            )
        for option in (
            "dropout",
            "unk_token",
            "continuing_subword_prefix",
            "end_of_word_suffix",
            "byte_fallback",
            "ignore_merges",
        ):
            if model.get(option):
                raise self.refuse(
                    f"model.{option}", f"is {model[option]!r}, where it must be off; {ELSEWHERE}"
                )

    def special_tokens(self, contents: Mapping[str, Any]) -> dict[str, int]:
        special: dict[str, int] = {}
        for n, entry in enumerate(self.get(contents, "added_tokens", list)):
            where = f"added_tokens[{n}]"
            if not isinstance(entry, dict):
                raise self.refuse(where, "is no table; save or fetch the file again")
            token = self.get(entry, "content", str, f"{where}.")
            for option in ("single_word", "lstrip", "rstrip"):
                if entry.get(option):
                    raise self.refuse(
                        f"{where}.{option}", f"is set, which is not done here; {ELSEWHERE}"
                    )
            if token in special:
                raise self.refuse(f"{where}.content", f"{token!r} occurs twice; leave one out")
            special[token] = self.get(entry, "id", int, f"{where}.")
        return special

    def vocab(self, model: Mapping[str, Any], special: Mapping[str, int]) -> dict[bytes, int]:
        vocab: dict[bytes, int] = {}
        for letters, i in self.get(model, "vocab", dict, "model.").items():
            if letters in special:
                if i != special[letters]:
                    raise self.refuse(
                        f"model.vocab[{letters!r}]",
                        f"is {i!r}, but added_tokens says {special[letters]}; make them agree",
                    )
                continue
            if not isinstance(i, int) or isinstance(i, bool):
                raise self.refuse(
                    f"model.vocab[{letters!r}]",
                    f"is {i!r}, where a whole number is expected; save or fetch the file again",
                )
            unknown = [letter for letter in letters if letter not in BYTE]
            if unknown or not letters:
                raise self.refuse(
                    f"model.vocab[{letters!r}]",
                    f"{''.join(unknown[:1])!r} stands for no byte: not a byte-level vocabulary; "
                    f"{ELSEWHERE}",
                )
            vocab[bytes_of(letters)] = i
        return vocab

    def merges(
        self, model: Mapping[str, Any], vocab: Mapping[bytes, int]
    ) -> list[tuple[bytes, bytes]]:
        merges = []
        for n, entry in enumerate(self.get(model, "merges", list, "model.")):
            where = f"model.merges[{n}]"
            halves = entry.split(" ") if isinstance(entry, str) else entry  # "a b" in older files
            if (
                not isinstance(halves, list)
                or len(halves) != 2
                or not all(isinstance(half, str) for half in halves)
            ):
                raise self.refuse(
                    where,
                    f"is {entry!r}, where two tokens are expected; save or fetch the file again",
                )
            left, right = halves
            for letters in (left, right, left + right):
                if not set(letters) <= BYTE.keys() or bytes_of(letters) not in vocab:
                    raise self.refuse(
                        where, f"{letters!r} is not in model.vocab; save or fetch the file again"
                    )
            merges.append((bytes_of(left), bytes_of(right)))
        return merges
