"""One stage from its settings to its report: what `happyllm pretrain`, `sft` and `dpo` do."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from happyllm.pipeline import corpus
from happyllm.pipeline.assemble import (
    about_run,
    assemble,
    begin,
    find_run,
    read_weights,
    sources,
)
from happyllm.pipeline.evaluate import report, stories_of
from happyllm.pipeline.folder import Folder, FolderError, write_json
from happyllm.pipeline.parts import OURS, Pieces, theirs
from happyllm.pipeline.plot import plot_losses
from happyllm.pipeline.preference import Preference
from happyllm.pipeline.speak import Sampling, Speaker, sample_prompt
from happyllm.pipeline.vocabulary import encode, load_tokenizer
from happyllm.train.checkpoint import checkpoints
from happyllm.train.config import ConfigError, TrainConfig, load_config
from happyllm.train.log import Record, TensorBoardLog, read_log
from happyllm.train.loop import Outcome, Trainer
from happyllm.train.parallel import ALONE, Group

BEFORE = {"sft": ("pretrain",), "dpo": ("sft", "pretrain")}
OF_THE_BASE = ("dropout", "flash_attn", "max_seq_len")  # fields of [model] that may be set anew


@dataclass(frozen=True)
class Request:
    """What somebody asks for.

    Attributes:
        stage: "pretrain", "sft" or "dpo".
        out: The working folder; None takes that of the language.
        lang: The language of TinyTales; None leaves it to the configuration.
        preset: See `load_config`.
        config_file: See `load_config`.
        settings: See `load_config`.
        resume: Go on with the run that is there.
        skip_damaged: See `Trainer.resume`.
        base: The run or checkpoint to go on from, for what comes after pretraining.
        tensorboard: Write for TensorBoard too.
    """

    stage: str
    out: Path | None = None
    lang: str | None = None
    preset: str | None = None
    config_file: Path | None = None
    settings: tuple[str, ...] = ()
    resume: bool = False
    skip_damaged: bool = False
    base: Path | None = None
    tensorboard: bool = False


@dataclass(frozen=True)
class Plan:
    """What is going to be done.

    Attributes:
        request: What was asked for.
        folder: The working folder.
        config: The configuration, whole.
        base: The checkpoint or run to go on from.
        about: What is noted with the run.
    """

    request: Request
    folder: Folder
    config: TrainConfig
    base: Path | None
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def run(self) -> Path:
        """The folder of the run."""
        return self.folder.run(self.request.stage)


def plan(request: Request) -> Plan:
    """Find out what is to be done, and refuse what cannot be, before anything is written.

    Raises:
        ConfigError: The configuration is wrong.
        FolderError: There is nothing to go on from, or another run is in the way.
        CheckpointError: What there is to go on from cannot be read.
    """
    stage, settings = request.stage, list(request.settings)
    if request.lang is not None:
        settings.insert(0, f"corpus.lang={request.lang}")
    base, preset, config_file = None, request.preset, request.config_file
    folder = Folder(request.out or Path(f"tinytales-{_lang(request, settings)}"))
    told = (corpus.meta_of(folder.corpus) or {}).get("lang")
    if told and not any(one.startswith("corpus.lang=") for one in settings):
        settings.insert(0, f"corpus.lang={told}")  # that of the corpus which is there
    run = folder.run(stage)
    found = checkpoints(run)
    if found and not request.resume:
        raise FolderError(
            f"{run}: holds a run already, of {_steps(found[-1])} updates. Go on with it by "
            "--resume, or choose another folder by --out"
        )
    if request.resume and not found:
        raise FolderError(f"{run}: there is no run to resume; leave --resume out to begin one")
    if stage in BEFORE:
        base = _base(request, folder)
    named = preset is not None or config_file is not None
    if not named and request.resume and (run / "config.toml").exists():
        config_file = run / "config.toml"
    elif not named:
        before = about_run(base.parent if base.is_file() else base) if base else {}
        preset = before.get("preset") or (None if before.get("config") else "laptop")
        config_file = Path(before["config"]) if before.get("config") else None
    of_run = config_file == run / "config.toml"
    config = load_config(
        config_file, preset=preset, settings=settings, stage=None if of_run else stage
    )
    if base is not None:
        config = _with_base(config, base, settings)
    about = {
        "stage": stage,
        "preset": preset,
        "config": str(config_file.resolve()) if config_file else None,
        "base": str(base) if base else None,
        "tokenizer": str(sources(folder, config, stage).tokenizer),
    }
    return Plan(request, folder, config, base, about)


def _lang(request: Request, settings: list[str]) -> str:
    """The language, by which the folder is named where nobody names it."""
    told = [one.partition("=")[2] for one in settings if one.startswith("corpus.lang=")]
    if told or (request.preset is None and request.config_file is None):
        return told[-1] if told else "en"
    config = load_config(
        request.config_file, preset=request.preset, settings=settings, stage=request.stage
    )
    return config.corpus.lang


def _steps(checkpoint: Path) -> int:
    return int(checkpoint.stem.partition("-")[2])


def _base(request: Request, folder: Folder) -> Path:
    if request.base is not None:
        if not request.base.exists():
            raise FolderError(f"{request.base}: there is no such run or checkpoint")
        return find_run(request.base)
    for name in BEFORE[request.stage]:
        if checkpoints(folder.run(name)):
            return folder.run(name)
    raise FolderError(
        f"{folder.root}: there is no pretrained model in it to go on from; "
        f"make one by happyllm pretrain --out {folder.root}, or name one by --base"
    )


def _with_base(config: TrainConfig, base: Path, settings: list[str]) -> TrainConfig:
    """Take the sizes of the model from what is gone on from."""
    model, _ = read_weights(base)
    given = [one.partition("=")[0].strip().partition(".") for one in settings]
    fresh = {}
    for table, _, name in given:
        if table != "model":
            continue
        if name not in OF_THE_BASE:
            raise ConfigError(
                f"--set model.{name}: {base} has its sizes already; of [model] only "
                f"{', '.join(OF_THE_BASE)} may be set"
            )
        fresh[name] = getattr(config.model, name)
    return dataclasses.replace(config, model=dataclasses.replace(model, **fresh))


@dataclass(frozen=True)
class Show:
    """How a run is shown.

    Attributes:
        record: Takes the records of the run.
        note: Takes lines.
        sample: Takes what the model writes now and then.
        start: Told the stage, the step and the number of steps.
    """

    record: Callable[[Record], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None
    sample: Callable[[str], None] = lambda _: None
    start: Callable[[str, int, int], None] = lambda *_: None


def work(
    planned: Plan, pieces: Pieces = OURS, show: Show | None = None, group: Group = ALONE
) -> tuple[Outcome, dict[str, Any]]:
    """Do what was planned: train, then evaluate, and leave a report and a picture.

    Args:
        planned: Of `plan`; what it needs has been made by `prepare`.
        pieces: The learner's own files, or ours.
        show: How it is shown.
        group: The processes that train together.

    Returns:
        How training ended, and the report (empty where a signal ended it).
    """
    request, config, run, show = planned.request, planned.config, planned.run, show or Show()
    with theirs(pieces):
        trainer = assemble(
            request.stage,
            planned.folder,
            config,
            pieces=pieces,
            base=planned.base,
            listeners=[show.record],
            group=group,
        )
        if request.resume:
            trainer.resume(skip_damaged=request.skip_damaged)
        elif group.rank == 0:
            begin(request.stage, run, config, planned.about)
        if request.tensorboard and group.rank == 0:
            trainer.listeners.append(TensorBoardLog(run / "tensorboard"))
        tokenizer = load_tokenizer(sources(planned.folder, config, request.stage).tokenizer)
        speaker = Speaker(trainer.model, tokenizer, pieces)  # type: ignore[arg-type]
        if group.world_size == 1:  # shared-out weights write with all processes or not at all
            trainer.listeners.append(_sampler(planned, speaker, show))
        show.note(_opening(trainer, planned))
        show.start(request.stage, trainer.step, trainer.total_steps)
        try:
            outcome = trainer.train()
        finally:
            if group.rank == 0 and (run / "log.jsonl").exists():
                with contextlib.suppress(OSError):  # a full disk has been told of already
                    title = f"{request.stage} in {planned.folder.root}"
                    plot_losses(read_log(run / "log.jsonl"), run / "loss.svg", title)
        if outcome.stopped_by or group.rank or group.world_size > 1:
            return outcome, {}
        speaker.model.eval()
        return outcome, _report(planned, trainer, speaker, pieces)


def _opening(trainer: Trainer, planned: Plan) -> str:
    n = sum(p.numel() for p in trainer.model.parameters())
    data = planned.config.data
    begun = f"; goes on from step {trainer.step}" if trainer.resumed else ""
    return (
        f"{planned.run}: {n:,} parameters, {trainer.total_steps:,} updates of "
        f"{data.batch_size * planned.config.run.accumulation} rows{begun}"
    )


def _sampler(planned: Plan, speaker: Speaker, show: Show) -> Callable[[Record], None]:
    """Let the model write something after each evaluation."""
    stage = planned.request.stage
    stories = stories_of(sources(planned.folder, planned.config, stage).corpus)[:1]
    messages = sample_prompt(stage, stories[0] if stories else None)
    if stage != "pretrain" and messages is None:
        return lambda _: None

    def listen(record: Record) -> None:
        if record["kind"] != "eval":
            return
        how = Sampling(
            temperature=0.7 if stage == "pretrain" else 0.0,
            seed=0,
            max_new_tokens=48 if stage == "pretrain" else 16,
        )
        ids = speaker.text_prompt("") if messages is None else speaker.chat_prompt(messages)
        if len(ids) >= speaker.model.args.max_seq_len:
            return
        text = "".join(speaker.stream(ids, how))
        speaker.model.train()
        question = f"{messages[-1]['content'].splitlines()[-1]}  →  " if messages else ""
        show.sample(question + text)

    return listen


def _report(planned: Plan, trainer: Trainer, speaker: Speaker, pieces: Pieces) -> dict[str, Any]:
    stage, config, folder = planned.request.stage, planned.config, planned.folder
    place = sources(folder, config, stage)
    if stage == "dpo":
        found: dict[str, Any] = {"preferred": _preferred(planned, trainer)}
    else:
        chat = stage == "sft"
        held_out = place.held_out
        encoded = None
        if held_out is not None:
            encoded = encode(folder, held_out, place.tokenizer, chat=chat, pieces=pieces)
        found = report(speaker, None if chat else encoded, encoded if chat else None)
    if stage != "pretrain":
        stories = stories_of(place.corpus)
        if stories:
            found |= report(speaker, None, None, stories, config.run.questions)
    write_json(planned.run / "report.json", found)
    return found


def _preferred(planned: Plan, trainer: Trainer) -> float:
    """The share of held-out pairs whose right answer has the larger reward."""
    module = next(one for one in trainer.forward.modules() if isinstance(one, Preference))
    module.eval()
    right = count = 0.0
    for batch in trainer.evaluation() if trainer.held_out is not None else ():
        module(**{name: x.to(trainer.device) for name, x in batch.items()})
        right += module.right * len(batch["targets"])
        count += len(batch["targets"])
    return right / count if count else math.nan
