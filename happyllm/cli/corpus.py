"""`happyllm data` and `happyllm tokenizer`: what is read, and how it is cut."""

from __future__ import annotations

import time
from pathlib import Path

import click

from .options import config_options, default_folder, folder_option
from .words import tell


@click.command()
@click.option(
    "--from",
    "source",
    metavar="SOURCE",
    help="Your own: a JSONL file, a text file, a folder of text files, or the name of a data set "
    "on the Hugging Face hub.",
)
@click.option("--pattern", default="*.txt", show_default="*.txt", help="Which files of a folder.")
@click.option("--split", default="train", show_default="train", help="Which part, on the hub.")
@click.option("--field", default="", help="Where a record has its text.", show_default="text")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="Most records to read.")
@click.option("--skip-bad", is_flag=True, help="Pass over bad lines, and say which.")
@click.option("--seed", type=int, help="Another corpus for each.", show_default="0")
@click.option("--documents", type=int, help="Documents of TinyTales to pretrain on.")
@click.option("--conversations", type=int, help="Conversations of TinyTales to fine-tune on.")
@click.option("--overwrite", is_flag=True, help="Replace the corpus that is there.")
@config_options
@folder_option
def data(
    source: str | None,
    pattern: str,
    split: str,
    field: str,
    limit: int,
    skip_bad: bool,
    seed: int | None,
    documents: int | None,
    conversations: int | None,
    overwrite: bool,
    preset: str | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    out: Path | None,
    lang: str | None,
) -> None:
    """Make the corpus: TinyTales, or your own by --from.

    TinyTales are small stories, in English or Chinese, with questions and exact answers; the same
    seed gives the same corpus. Of your own records, those with `messages`, `conversations` or
    `instruction` become conversations and all others text; one of 50 is held out.
    """
    from happyllm.pipeline import corpus
    from happyllm.pipeline.folder import Folder
    from happyllm.train.config import load_config

    if source is not None:
        name = Path(source).stem if Path(source).exists() else source.replace("/", "-")
        folder = Folder(out or Path(name if name not in ("", ".", "..") else "corpus"))
        if folder.root.is_file() or folder.root.resolve() == Path(source).resolve():
            folder = Folder(folder.root.with_name(f"{folder.root.name}-model"))
        told: list[str] = []
        counts = corpus.import_corpus(
            folder,
            source,
            pattern=pattern,
            split=split,
            field=field,
            limit=limit,
            skip_bad=skip_bad,
            overwrite=overwrite,
            notify=told.append,
        )
        for message in told[:10]:
            tell(f"skipped {message.split('; mend')[0]}", err=True)
        if len(told) > 10:
            tell(f"… and {len(told) - 10} more", err=True)
        skipped = counts.pop("skipped")
        _counts(folder, counts, f", {skipped} skipped" if skipped else "")
        kind = "pretrain" if "pretrain" in counts else "sft"
        tell(f"Next: happyllm {kind} --out {folder.root}")
        return
    flags = {"seed": seed, "pretrain": documents, "sft": conversations, "lang": lang}
    given = [f"corpus.{name}={value}" for name, value in flags.items() if value is not None]
    config = load_config(
        config_file,
        preset=preset or (None if config_file else "laptop"),
        settings=[*given, *settings],
    )
    folder = Folder(out or default_folder(config.corpus.lang))
    started = time.perf_counter()
    corpus.make_tinytales(folder, config.corpus, overwrite=overwrite)
    meta = corpus.meta_of(folder.corpus) or {}
    counts = {Path(name).stem: one["records"] for name, one in meta["files"].items()}
    _counts(folder, counts, f", in {time.perf_counter() - started:.1f} s")


def _counts(folder: object, counts: dict[str, int], more: str) -> None:
    from happyllm.pipeline.folder import Folder

    assert isinstance(folder, Folder)
    said = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    tell(f"{folder.corpus}: {said}{more}")


@click.command()
@click.option("--vocab-size", type=int, help="Most tokens.", show_default="of the preset")
@click.option("--overwrite", is_flag=True, help="Replace the tokenizer that is there.")
@config_options
@folder_option
def tokenizer(
    vocab_size: int | None,
    overwrite: bool,
    preset: str | None,
    config_file: Path | None,
    settings: tuple[str, ...],
    out: Path | None,
    lang: str | None,
) -> None:
    """Learn a byte-level BPE tokenizer from the corpus.

    It becomes a `tokenizer.json`, as the tokenizers library reads it.
    """
    from happyllm.pipeline.assemble import sources, training_files
    from happyllm.pipeline.corpus import meta_of
    from happyllm.pipeline.folder import Folder, FolderError
    from happyllm.pipeline.vocabulary import train_tokenizer
    from happyllm.train.config import load_config

    given = [] if vocab_size is None else [f"model.vocab_size={vocab_size}"]
    given += [] if lang is None else [f"corpus.lang={lang}"]
    config = load_config(
        config_file,
        preset=preset or (None if config_file else "laptop"),
        settings=[*given, *settings],
    )
    folder = Folder(out or default_folder(config.corpus.lang))
    place = sources(folder, config, "pretrain")
    if place.tokenizer.exists() and not overwrite:
        raise FolderError(
            f"{place.tokenizer}: is there already; what was trained with it needs it. Replace it "
            "by --overwrite, or choose another folder by --out"
        )
    if not config.data.train and meta_of(place.corpus) is None:
        raise FolderError(f"{place.corpus}: there is no complete corpus; make one by happyllm data")
    started = time.perf_counter()
    files = training_files(place, "pretrain")
    made = train_tokenizer(
        files, place.tokenizer, config.model.vocab_size, split_han=config.data.split_han
    )
    seconds = time.perf_counter() - started
    tell(f"{place.tokenizer}: {made.vocab_size:,} tokens, in {seconds:.1f} s")
    if made.vocab_size < config.model.vocab_size:
        tell(f"There is nothing left to merge: fewer than {config.model.vocab_size:,}.")
