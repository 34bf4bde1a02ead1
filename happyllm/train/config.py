"""What a run is made of: a tree of frozen dataclasses, read from TOML, with flags on top.

A name that is not a field is refused with the nearest one, and with the file and the line. What is
read in this order wins over what came before: the defaults, a preset, a file, single settings.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from happyllm.llama.config import ModelConfig

INIT_STD = 0.02  # what `Transformer.init_weights` draws matrices with
STAGES = ("sft", "dpo")  # tables with settings of their own for what comes after pretraining


class ConfigError(Exception):
    """A configuration is wrong; the message names the file, the line, the field and the fix."""


@dataclass(frozen=True)
class DataConfig:
    """What is read.

    Attributes:
        train: File or folder to learn from.
        held_out: File or folder to evaluate on; "" evaluates nothing.
        tokenizer: File of the tokenizer.
        seq_len: Tokens in a row.
        batch_size: Rows in a micro-batch, of all processes together.
        shuffle: Go through the rows in another order each time.
        packing: How documents fill the rows. "stream" lays them end to end and cuts where a row
            ends; "whole" puts as many whole ones into a row as fit; "single" puts one into a row,
            and takes rows of about one length into a batch.
        document_mask: Keep the documents of a row apart: none sees another, and positions count
            from the start of each.
        split_han: Let the tokenizer learn each Chinese character by itself. Chinese puts no spaces
            between words, so a merge may join the end of one to the beginning of the next, and a
            small model no longer sees that two tokens speak of the same thing.
        other_share: Share of the rows that are of the other kind: conversations in pretraining,
            plain text in fine-tuning. All of their tokens are learned.
    """

    train: str = ""
    held_out: str = ""
    tokenizer: str = ""
    seq_len: int = 256
    batch_size: int = 16
    shuffle: bool = True
    packing: Literal["stream", "whole", "single"] = "stream"
    document_mask: bool = False
    split_han: bool = False
    other_share: float = 0.0


@dataclass(frozen=True)
class CorpusConfig:
    """What the corpus is made of, where there is none yet; see `happyllm.data.tinytales`.

    Attributes:
        lang: "en" or "zh".
        seed: The same seed gives the same corpus.
        pretrain: Documents to pretrain on.
        sft: Conversations to fine-tune on.
        eval_text: Held-out documents.
        eval_questions: Held-out stories with their questions.
        weights: How often a story is of level 1, 2 and 3, relative to one another.
        people: People in a story, level by level.
        fewest_events: Fewest things that happen in a story, level by level.
        most_events: Most things that happen in a story, level by level.
        questions_per_story: Asked in one conversation, at most.
        documents: How often a document of pretraining is a page of facts, a story with questions,
            a story told twice, and a story alone.
        conversations: How often a conversation asks about a story, asks for one, asks for facts,
            and is small talk.
        unknown: How often a conversation about a story asks what it does not say, too.
    """

    lang: Literal["en", "zh"] = "en"
    seed: int = 0
    pretrain: int = 30_000
    sft: int = 20_000
    eval_text: int = 500
    eval_questions: int = 300
    weights: tuple[float, ...] = (0.3, 0.5, 0.2)
    people: tuple[int, ...] = (1, 2, 3)
    fewest_events: tuple[int, ...] = (3, 4, 6)
    most_events: tuple[int, ...] = (5, 7, 9)
    questions_per_story: int = 12
    documents: tuple[float, ...] = (0.06, 0.44, 0.25, 0.25)
    conversations: tuple[float, ...] = (0.85, 0.09, 0.04, 0.02)
    unknown: float = 0.0


@dataclass(frozen=True)
class PreferenceConfig:
    """What `happyllm dpo` learns from.

    Attributes:
        pairs: Pairs of a right and a wrong answer.
        beta: How dearly it is paid to move away from the model that training began with.
    """

    pairs: int = 2000
    beta: float = 0.1


@dataclass(frozen=True)
class OptimConfig:
    """How the weights are updated.

    Attributes:
        max_lr: Highest learning rate, after the warmup.
        min_lr: Learning rate of the last update.
        warmup_steps: Updates until `max_lr`.
        weight_decay: Decay of the matrices.
        beta1: How slowly AdamW's mean of the gradient forgets.
        beta2: The same of its mean square.
        eps: AdamW's.
        max_norm: Gradients are clipped to this length.
        optimizer: "adamw", or "muon": Muon for the matrices inside the layers, AdamW for the rest.
        momentum: How slowly Muon's mean of the gradient forgets.
        muon_scale: Muon's learning rate, as a multiple of AdamW's.
    """

    max_lr: float = 1e-3
    min_lr: float = 1e-4
    warmup_steps: int = 20
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    max_norm: float = 1.0
    optimizer: Literal["adamw", "muon"] = "adamw"
    momentum: float = 0.95
    muon_scale: float = 1.0


@dataclass(frozen=True)
class RunConfig:
    """How long, how often, and on what.

    Attributes:
        total_steps: Number of updates.
        epochs: Times to go through the data; 0 goes on until `total_steps`. Whichever ends first
            ends the run.
        accumulation: Micro-batches of an update.
        seed: Of the weights, the order of the data, and dropout.
        eval_every: Updates between evaluations; 0 for none but the last.
        eval_batches: Most batches of an evaluation; 0 for all.
        save_every: Updates between checkpoints; 0 for none but the last.
        keep: Checkpoints that are kept.
        log_every: Updates between lines of the log.
        device: "cpu", "cuda", "cuda:1", ...; "auto" takes a GPU where there is one.
        precision: "float32", "bfloat16", or "auto": bfloat16 on a GPU that has it.
        compile: Compile the model with torch.compile.
        threads: CPU threads; 0 leaves it to PyTorch.
        questions: Held-out questions that are answered at the end of fine-tuning; 0 for all.
        init_std: Standard deviation of the matrices of a new model. The model itself draws them
            with 0.02, which is made for widths in the thousands; for a width D, 1 / sqrt(D) lets
            every part be heard from the beginning.
    """

    total_steps: int = 1000
    epochs: int = 0
    accumulation: int = 1
    seed: int = 0
    eval_every: int = 100
    eval_batches: int = 20
    save_every: int = 100
    keep: int = 3
    log_every: int = 1
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    threads: int = 0
    questions: int = 500
    init_std: float = INIT_STD


@dataclass(frozen=True)
class TrainConfig:
    """A whole run.

    Attributes:
        model: Sizes of the model.
        data: What is read.
        optim: How the weights are updated.
        run: How long, how often, and on what.
        corpus: What the corpus is made of.
        preference: What `happyllm dpo` learns from.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    run: RunConfig = field(default_factory=RunConfig)
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    preference: PreferenceConfig = field(default_factory=PreferenceConfig)

    def __post_init__(self) -> None:
        at_least = {
            "data.seq_len": 1,
            "data.batch_size": 1,
            "optim.warmup_steps": 0,
            "optim.weight_decay": 0,
            "run.total_steps": 1,
            "run.epochs": 0,
            "run.accumulation": 1,
            "run.eval_every": 0,
            "run.eval_batches": 0,
            "run.save_every": 0,
            "run.keep": 1,
            "run.log_every": 1,
            "run.threads": 0,
            "run.questions": 0,
            "data.other_share": 0,
            "corpus.pretrain": 0,
            "corpus.sft": 0,
            "corpus.eval_text": 0,
            "corpus.eval_questions": 0,
            "corpus.questions_per_story": 1,
            "corpus.unknown": 0,
            "preference.pairs": 1,
        }
        for path, least in at_least.items():
            table, name = path.split(".")
            value = getattr(getattr(self, table), name)
            if not least <= value < math.inf:
                raise ConfigError(f"{path}={value} must be {least} or more")
        for path in (
            "optim.max_lr",
            "optim.eps",
            "optim.max_norm",
            "optim.muon_scale",
            "preference.beta",
            "run.init_std",
        ):
            table, name = path.split(".")
            value = getattr(getattr(self, table), name)
            if not value > 0:
                raise ConfigError(f"{path}={value} must be above 0")
        o = self.optim
        if not 0 <= o.min_lr <= o.max_lr:
            raise ConfigError(f"optim.min_lr={o.min_lr} must be in [0, optim.max_lr={o.max_lr}]")
        if not o.warmup_steps < self.run.total_steps:
            raise ConfigError(
                f"optim.warmup_steps={o.warmup_steps} must be below "
                f"run.total_steps={self.run.total_steps}"
            )
        for name in ("beta1", "beta2", "momentum"):
            if not 0 <= getattr(o, name) < 1:
                raise ConfigError(f"optim.{name}={getattr(o, name)} must be in [0, 1)")
        if self.corpus.unknown > 1:
            raise ConfigError(f"corpus.unknown={self.corpus.unknown} must be at most 1")
        if not self.data.other_share < 1:
            raise ConfigError(f"data.other_share={self.data.other_share} must be below 1")
        counts = {"documents": 4, "conversations": 4}
        for name in ("weights", "people", "fewest_events", "most_events", *counts):
            values, count = getattr(self.corpus, name), counts.get(name, 3)
            if len(values) != count or min(values) < 0 or sum(values) <= 0:
                raise ConfigError(
                    f"corpus.{name}={list(values)} must be {count} numbers of 0 or more, not all 0"
                )
        if self.data.seq_len > self.model.max_seq_len:
            raise ConfigError(
                f"data.seq_len={self.data.seq_len} is more than "
                f"model.max_seq_len={self.model.max_seq_len}"
            )

    def as_dict(self) -> dict[str, Any]:
        """All settings as nested dicts, as a TOML file has them."""
        return asdict(self)

    def as_toml(self) -> str:
        """All settings as a TOML file, which `load_config` reads.

        Example:
            >>> "total_steps = 1000" in TrainConfig().as_toml()
            True
        """
        parts = []
        for table, values in self.as_dict().items():
            lines = [f"{name} = {_toml(v)}" for name, v in values.items() if v is not None]
            parts.append("\n".join((f"[{table}]", *lines)) + "\n")
        return "\n".join(parts)


def presets() -> list[str]:
    """Name the presets that come with the package."""
    found = resources.files("happyllm.train").joinpath("presets").iterdir()
    return sorted(one.name.removesuffix(".toml") for one in found if one.name.endswith(".toml"))


def load_config(
    path: Path | None = None,
    *,
    preset: str | None = None,
    settings: Sequence[str] = (),
    stage: str | None = None,
) -> TrainConfig:
    """Read a configuration.

    Args:
        path: A TOML file with the tables `[model]`, `[data]`, `[optim]`, `[run]`; a table
            `[sft.optim]` holds in the stage "sft" only, and wins there.
        preset: One of `presets()`, to start from.
        settings: Single fields, "optim.max_lr=1e-3"; they win over the files.
        stage: None for pretraining, or one of "sft", "dpo".

    Returns:
        The configuration, checked.

    Raises:
        ConfigError: A file cannot be read, a name is unknown, a value has the wrong type or does
            not fit.

    Example:
        >>> config = load_config(preset="tiny", settings=["optim.max_lr=1e-2", "run.seed=7"])
        >>> config.model.dim, config.optim.max_lr, config.run.seed
        (32, 0.01, 7)
        >>> load_config(settings=["run.se=1"])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        happyllm.train.config.ConfigError: --set run.se=1: run has no field 'se'; did you ...
    """
    merged: dict[str, dict[str, Any]] = {
        table: dict(values) for table, values in _OF_STAGE.get(stage or "", {}).items()
    }
    if preset is not None:
        if preset not in presets():
            near = _nearest(preset, presets())
            raise ConfigError(f"there is no preset {preset!r}{near}; there are {presets()}")
        text = resources.files("happyllm.train").joinpath("presets", f"{preset}.toml").read_text()
        _merge(merged, text, f"preset {preset}", stage)
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read ({error})") from error
        _merge(merged, text, str(path), stage)
    for setting in settings:
        name, equals, value = setting.partition("=")
        table, dot, key = name.strip().partition(".")
        if not (equals and dot and key):
            raise ConfigError(f"--set {setting}: write it as table.field=value, run.seed=1")

        def where(_: str | None, setting: str = setting) -> str:
            return f"--set {setting}"

        merged.setdefault(table, {}).update(_checked(table, {key: _value(value)}, where))
    try:
        return TrainConfig(**{name: _TABLES[name](**merged.get(name, {})) for name in _TABLES})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"model: {error}") from error


_TABLES: dict[str, Any] = {
    "model": ModelConfig,
    "data": DataConfig,
    "optim": OptimConfig,
    "run": RunConfig,
    "corpus": CorpusConfig,
    "preference": PreferenceConfig,
}
_OF_STAGE: dict[str, dict[str, dict[str, Any]]] = {
    "sft": {"data": {"packing": "single"}},
    "dpo": {"data": {"packing": "single"}},
}


def _merge(merged: dict[str, dict[str, Any]], text: str, origin: str, stage: str | None) -> None:
    """Put the tables of a TOML text over what is there; those of the stage last."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin}: is not TOML: {error}") from error
    later = {name: found.pop(name) for name in STAGES if name in found}
    for prefix, tables in (("", found), *((f"{name}.", later[name]) for name in later)):
        for table, values in tables.items():

            def where(key: str | None, at: str = f"{prefix}{table}") -> str:
                line = _line_of(text, at, key)
                return f"{origin}:{line}" if line else origin

            if not isinstance(values, Mapping):
                _unknown_table(table, where(None))
                raise ConfigError(f"{where(None)}: {table} must be a table, [{prefix}{table}]")
            checked = _checked(table, values, where)
            if prefix in ("", f"{stage}."):
                merged.setdefault(table, {}).update(checked)


def _unknown_table(table: str, where: str) -> None:
    if table not in _TABLES:
        raise ConfigError(f"{where}: there is no table {table!r}{_nearest(table, _TABLES)}")


def _checked(table: str, values: Mapping[str, Any], where: Any) -> dict[str, Any]:
    """Refuse names that are no fields, and values of the wrong type."""
    _unknown_table(table, where(None))
    kinds = typing.get_type_hints(_TABLES[table])
    names = [one.name for one in fields(_TABLES[table])]
    checked = {}
    for name, value in values.items():
        if name not in names:
            near = _nearest(name, names)
            raise ConfigError(f"{where(name)}: {table} has no field {name!r}{near}")
        kind = kinds[name]
        if _accepts(kind, float) and type(value) is int:
            value = float(value)
        if typing.get_origin(kind) is tuple and isinstance(value, list):
            number = typing.get_args(kind)[0]
            exact = all(type(one) in (int, number) for one in value)
            value = tuple(number(one) for one in value) if exact else value
        if not _accepts(kind, type(value), value):
            wanted = _spoken(kind)
            raise ConfigError(f"{where(name)}: {table}.{name}={value!r} must be {wanted}")
        checked[name] = value
    return checked


def _accepts(kind: Any, given: type, value: Any = None) -> bool:
    if typing.get_origin(kind) is Literal:
        return value in typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        return any(_accepts(one, given, value) for one in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return given is tuple
    return given is kind


def _spoken(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(repr(one) for one in typing.get_args(kind))
    if isinstance(kind, types.UnionType):
        return " or ".join(_spoken(one) for one in typing.get_args(kind) if one is not type(None))
    if typing.get_origin(kind) is tuple:
        return f"a list, [1, 2, 3], each {_spoken(typing.get_args(kind)[0])}"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[kind]


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | str) else repr(value)


def _nearest(name: str, names: Any) -> str:
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _value(text: str) -> Any:
    """Read a value as TOML does; what is none is a text."""
    try:
        return tomllib.loads(f"x = {text.strip()}")["x"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _line_of(text: str, table: str, key: str | None) -> int | None:
    """The line of a key in a table, or of the table's head."""
    inside = ""
    for number, line in enumerate(text.splitlines(), start=1):
        name = re.match(r"\s*[\"']?([\w-]+)[\"']?\s*=", line)
        if head := re.match(r"\s*\[\s*([\w.\s]+?)\s*\]", line):
            inside = head[1].replace(" ", "")
            found = key is None and inside == table
        elif inside:
            found = inside == table and name is not None and name[1] == key
        else:
            found = key is None and name is not None and name[1] == table
        if found:
            return number
    return None
