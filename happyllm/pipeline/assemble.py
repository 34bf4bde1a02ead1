"""From a configuration and a working folder to a run: pretraining, fine-tuning, preferences."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from happyllm.data.chat import IM_END, IM_START
from happyllm.data.load import iter_jsonl
from happyllm.data.tinytales import records
from happyllm.llama.config import ModelConfig
from happyllm.llama.model import Transformer
from happyllm.pipeline import corpus
from happyllm.pipeline.folder import STAGES, Folder, FolderError, read_json, write_json
from happyllm.pipeline.packed import keeping_apart
from happyllm.pipeline.parts import OURS, Pieces, theirs
from happyllm.pipeline.preference import Pairs, Preference
from happyllm.pipeline.rows import Mixed, Rows, Shuffled, Stream, Talks
from happyllm.pipeline.vocabulary import END, encode, load_tokenizer, train_tokenizer
from happyllm.tokenizer import BPETokenizer
from happyllm.train.checkpoint import CheckpointError, checkpoints, load_checkpoint, load_newest
from happyllm.train.config import INIT_STD, TrainConfig
from happyllm.train.log import Record
from happyllm.train.loop import Trainer
from happyllm.train.parallel import ALONE, Group

Notify = Callable[[str], None]
TRAINED_ON = {"pretrain": ("pretrain", "eval_text"), "sft": ("sft", "eval_sft")}


@dataclass(frozen=True)
class Sources:
    """The files that a run reads.

    Attributes:
        corpus: The folder of the corpus.
        tokenizer: The `tokenizer.json`.
        train: What is learned from.
        held_out: What is evaluated on; None where there is nothing.
    """

    corpus: Path
    tokenizer: Path
    train: Path
    held_out: Path | None


def sources(folder: Folder, config: TrainConfig, stage: str) -> Sources:
    """Find the files that a run reads: those that `data` names, else those of the folder."""
    given = Path(config.data.train) if config.data.train else folder.corpus
    place = given if given.is_dir() or not given.suffix else given.parent
    train_name, held_name = TRAINED_ON["pretrain" if stage == "pretrain" else "sft"]
    train = place / f"{train_name}.jsonl" if place == given else given
    held_out: Path | None = place / f"{held_name}.jsonl"
    if config.data.held_out:
        held_out = Path(config.data.held_out)
    elif stage != "pretrain" and not (place / f"{held_name}.jsonl").exists():
        held_out = place / "eval_questions.jsonl"
    if held_out is not None and not config.data.held_out and not held_out.exists():
        held_out = None
    tokenizer = Path(config.data.tokenizer) if config.data.tokenizer else folder.tokenizer
    return Sources(place, tokenizer, train, held_out)


def training_files(place: Sources, stage: str) -> list[tuple[Path, bool]]:
    """The files that a tokenizer is learned from, each with whether it holds conversations."""
    files = {place.corpus / "pretrain.jsonl": False, place.corpus / "sft.jsonl": True}
    files[place.train] = stage != "pretrain"
    return [(path, chat) for path, chat in files.items() if path.exists()]


def prepare(
    folder: Folder, config: TrainConfig, stage: str, notify: Notify, pieces: Pieces = OURS
) -> None:
    """Make what is missing for a run: the corpus, the tokenizer, the ids.

    A learner's own functions read the corpus, learn the merges of the tokenizer and frame the
    conversations, where there are such.

    Raises:
        FolderError: It cannot be made, or what is there does not fit the configuration.
    """
    folder.make()
    place = sources(folder, config, stage)
    if not config.data.train:
        meta = corpus.meta_of(folder.corpus)
        if meta is None:
            if any(folder.corpus.glob("*.jsonl")):
                notify(f"{folder.corpus}: was interrupted; it is made anew")
            notify(
                f"{folder.corpus}: no corpus yet; making TinyTales ({config.corpus.lang}): "
                f"{config.corpus.pretrain:,} documents, {config.corpus.sft:,} conversations"
            )
            corpus.make_tinytales(folder, config.corpus, overwrite=True)
        elif meta.get("lang", config.corpus.lang) != config.corpus.lang:
            raise FolderError(
                f"{folder.corpus}: its language is {meta['lang']}, not {config.corpus.lang}; "
                "choose another folder by --out"
            )
        elif "mix" in meta and not corpus.fits(meta, config.corpus):
            notify(
                f"{folder.corpus}: is taken as it is, though [corpus] asks for another; "
                "happyllm data --overwrite makes that"
            )
        place = sources(folder, config, stage)
    if not place.train.exists():
        kind = "documents" if stage == "pretrain" else "conversations"
        raise FolderError(
            f"{place.train}: there are no {kind} to learn from; happyllm data makes a corpus, "
            "or reads one by --from"
        )
    if not place.tokenizer.exists():
        if config.data.tokenizer:
            raise FolderError(f"{place.tokenizer}: there is no such tokenizer")
        notify(f"{place.tokenizer}: no tokenizer yet; learning one")
        tokenizer = train_tokenizer(
            training_files(place, stage),
            place.tokenizer,
            config.model.vocab_size,
            split_han=config.data.split_han,
            pieces=pieces,
        )
        notify(f"{place.tokenizer}: {tokenizer.vocab_size:,} tokens")
    tokenizer = load_tokenizer(place.tokenizer)
    if tokenizer.vocab_size > config.model.vocab_size:
        raise FolderError(
            f"{place.tokenizer}: has {tokenizer.vocab_size} tokens, more than "
            f"model.vocab_size={config.model.vocab_size}; make that larger, or the tokenizer anew"
        )
    if stage != "dpo":
        with theirs(pieces):
            for path, chat in _files(place, config, stage):
                encode(folder, path, place.tokenizer, chat=chat, pieces=pieces)


def _files(place: Sources, config: TrainConfig, stage: str) -> list[tuple[Path, bool]]:
    chat = stage != "pretrain"
    files = [(place.train, chat)]
    if place.held_out is not None:
        files.append((place.held_out, chat))
    if config.data.other_share:
        other = place.corpus / ("pretrain.jsonl" if chat else "sft.jsonl")
        files.append((other, not chat))
    return files


def assemble(
    stage: str,
    folder: Folder,
    config: TrainConfig,
    *,
    pieces: Pieces = OURS,
    base: Path | None = None,
    listeners: Iterable[Callable[[Record], None]] = (),
    group: Group = ALONE,
) -> Trainer:
    """Put a run together from what `prepare` has made.

    Args:
        stage: "pretrain", "sft" or "dpo".
        folder: The working folder.
        config: Of this stage.
        pieces: The learner's own, or ours.
        base: The checkpoint to go on from; None takes that of the stage before, and pretraining
            begins with new weights.
        listeners: See `Trainer`.
        group: See `Trainer`.

    Raises:
        FolderError: Something is missing, or does not fit.
        CheckpointError: The checkpoint to go on from cannot be read.
    """
    place = sources(folder, config, stage)
    tokenizer = load_tokenizer(place.tokenizer)
    train, held_out = (
        _pairs(config, tokenizer, pieces)
        if stage == "dpo"
        else _rows(folder, config, stage, place, tokenizer, pieces)
    )
    torch.manual_seed(config.run.seed)
    kind: type[Any] = pieces.transformer
    if config.data.document_mask:
        find = pieces.found
        kind = keeping_apart(kind, find["document_positions"], find["document_mask"])
    model = kind(pieces.config(**dataclasses.asdict(config.model)))
    if base is None:
        widen(model, config.run.init_std / INIT_STD)
    else:
        _, weights = read_weights(base)
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise FolderError(f"{base}: does not fit [model] of this run: {first}") from error
    objective = pieces.objective()
    if stage == "dpo":
        beta = config.preference.beta

        def objective(model: Any) -> Preference:
            return Preference(model, beta)

    run = folder.run(stage)
    return Trainer(
        model,
        config,
        train,
        held_out,
        folder=run,
        parts=pieces.trainer_parts(),
        listeners=listeners,
        group=group,
        objective=objective,
    )


def _rows(
    folder: Folder,
    config: TrainConfig,
    stage: str,
    place: Sources,
    tokenizer: BPETokenizer,
    pieces: Pieces,
) -> tuple[Shuffled, Shuffled | None]:
    data = config.data
    end, start, stop = (tokenizer.special_tokens[token] for token in (END, IM_START, IM_END))

    def rows(path: Path, chat: bool, may_be_short: bool = False) -> Shuffled:
        if chat and data.packing == "single" and "SFTDataset" in pieces.theirs:
            talks = corpus.conversations(path, pieces)
            made = pieces.found["SFTDataset"](talks, tokenizer, start, stop, data.seq_len)
            return Talks(made, data.seq_len, data.document_mask, pieces)
        encoded = encode(folder, path, place.tokenizer, chat=chat, pieces=pieces)
        packing = data.packing
        if may_be_short and len(encoded.ids) <= data.seq_len:  # too little for a row of a stream
            packing = "single"
        try:
            if packing == "stream":
                with theirs(pieces):
                    return Stream(encoded, end, data.seq_len, data.document_mask, pieces)
            return Rows(encoded, end, data.seq_len, packing, data.document_mask, pieces)
        except ValueError as error:
            raise FolderError(str(error)) from error

    files = _files(place, config, stage)
    train = rows(*files[0])
    if data.other_share:
        train = Mixed(train, rows(*files[-1]), data.other_share, pieces)
    held_out = None if place.held_out is None else rows(*files[1], may_be_short=True)
    return train, held_out


def _pairs(
    config: TrainConfig, tokenizer: BPETokenizer, pieces: Pieces
) -> tuple[Pairs, Pairs | None]:
    count, length = config.preference.pairs, config.data.seq_len
    if config.data.train:
        path = Path(config.data.train)
        path = path / "preference.jsonl" if path.is_dir() else path
        try:
            lines = list(iter_jsonl(path))
            for number, line in enumerate(lines, start=1):
                if not {"messages", "chosen", "rejected"} <= line.keys():
                    raise FolderError(
                        f"{path}: record {number}: needs messages, chosen and rejected; "
                        f"it has {', '.join(line)}"
                    )
        except (OSError, ValueError) as error:
            raise FolderError(str(error)) from error
        return Pairs(lines, tokenizer, length, pieces), None
    lang, seed, mix = config.corpus.lang, config.corpus.seed, corpus.mix_of(config.corpus)
    train, held_out = (
        islice(records(part, lang, seed, mix), number)
        for part, number in (
            ("preference", count),
            ("eval_preference", max(1, min(500, count // 4))),
        )
    )
    try:
        return (
            Pairs(train, tokenizer, length, pieces),
            Pairs(held_out, tokenizer, length, pieces),
        )
    except ValueError as error:
        raise FolderError(f"corpus: {error} (corpus.people, corpus.most_events)") from error


# ---- runs on disk


def begin(stage: str, run: Path, config: TrainConfig, about: dict[str, Any]) -> None:
    """Note what a run is made of: config.toml, which --config reads, and run.json."""
    run.mkdir(parents=True, exist_ok=True)
    text = f"# The configuration of this run; happyllm {stage} --config reads it.\n\n"
    (run / "config.toml").write_text(text + config.as_toml(), encoding="utf-8")
    write_json(run / "run.json", about)


def about_run(run: Path) -> dict[str, Any]:
    """Read what `begin` noted; empty where there is nothing."""
    found = read_json(run / "run.json")
    return found if isinstance(found, dict) else {}


def read_weights(path: Path) -> tuple[ModelConfig, dict[str, torch.Tensor]]:
    """Read the model of a checkpoint.

    Args:
        path: A checkpoint, or the folder of a run, whose newest is taken.

    Raises:
        CheckpointError: There is none, or it cannot be read.
    """
    if path.is_dir():
        newest = load_newest(path)
        if newest is None:
            raise CheckpointError(f"{path}: there is no checkpoint in it")
        path, state = newest
    else:
        state = load_checkpoint(path)
    try:
        return ModelConfig(**state["config"]["model"]), state["model"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: is of another version: {error}") from error


def find_run(path: Path, stage: str | None = None) -> Path:
    """Find the run to take the model from.

    Args:
        path: A working folder, the folder of a run, or a checkpoint.
        stage: Which of the runs of a working folder; None takes the furthest.

    Raises:
        FolderError: There is none.
    """
    if path.is_file() or checkpoints(path):
        return path
    for name in [stage] if stage else reversed(STAGES):
        if checkpoints(path / name):
            return path / name
    wanted = f"no run of {stage}" if stage else "no trained model"
    raise FolderError(
        f"{path}: there is {wanted} in it; train one by happyllm {stage or 'pretrain'}"
    )


def widen(model: torch.nn.Module, factor: float) -> None:
    """Multiply the matrices of a new model, which keep their proportions; vectors stay."""
    if factor != 1:
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() > 1:
                    weight.mul_(factor)


def load_model(path: Path, pieces: Pieces = OURS) -> Transformer:
    """Load the model of a run, ready to write.

    Raises:
        CheckpointError: It cannot be read.
    """
    config, weights = read_weights(path)
    model = pieces.transformer(pieces.config(**dataclasses.asdict(config)))
    model.load_state_dict(weights)
    return model.eval()


def tokenizer_of(run: Path) -> Path:
    """Find the tokenizer that belongs to a run: as its notes say, else the working folder's."""
    folder = run.parent if run.is_file() else run
    noted = about_run(folder).get("tokenizer")
    for path in (Path(noted) if noted else None, folder.parent / "tokenizer.json"):
        if path is not None and path.exists():
            return path
    raise FolderError(f"{folder.parent / 'tokenizer.json'}: there is no tokenizer for {run}")
