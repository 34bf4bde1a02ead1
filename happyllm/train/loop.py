"""A whole training run: updates, evaluation, checkpoints; it can be stopped anywhere and goes on.

What a run computes depends on its configuration, its data and its step alone. So a run that was
killed and resumed from a checkpoint makes the same losses, bit for bit, as one that never stopped.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from happyllm.train.accumulate import windows
from happyllm.train.batches import Batch, Batches, fingerprint
from happyllm.train.checkpoint import (
    CheckpointError,
    checkpoints,
    load_newest,
    random_state,
    save_checkpoint,
    set_random_state,
)
from happyllm.train.choose import choose_optimizer
from happyllm.train.config import ConfigError, TrainConfig
from happyllm.train.hardware import InPrecision, choose_device, choose_precision
from happyllm.train.log import JsonlLog, Record
from happyllm.train.muon import Muon
from happyllm.train.optim import AdamW
from happyllm.train.parallel import ALONE, Group
from happyllm.train.schedule import cosine_lr
from happyllm.train.step import train_step
from happyllm.train.stop import stop_signals

# What may differ between a run and its resumption: it changes nothing that is learned.
FREE = {
    "data": {"train", "held_out", "tokenizer"},
    "run": {"eval_every", "eval_batches", "save_every", "keep", "log_every"}
    | {"device", "compile", "threads", "questions"},
}


class TrainingDiverged(Exception):
    """The loss, the gradient or a weight is not finite; the message says what to do."""


@dataclass(frozen=True)
class Parts:
    """What a run is assembled from; a learner's own take the place of these.

    Attributes:
        schedule: As `cosine_lr`.
        optimizer: As `AdamW`.
        muon: As `Muon`, where `optim.optimizer` asks for it.
        train_step: As `train_step`, with the clipping and accumulating that it uses.
    """

    schedule: Callable[..., float] = cosine_lr
    optimizer: Callable[..., Any] = AdamW
    muon: Callable[..., Any] = Muon
    train_step: Callable[..., Any] = train_step


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        step: Updates that were made in all.
        loss: Training loss of the last update; NaN if this run made none.
        held_out_loss: Loss of the last evaluation, None where there was none.
        stopped_by: The signal that ended it, "SIGINT"; "" where it ran to its end.
        checkpoint: The last checkpoint, None where none was asked for.
    """

    step: int
    loss: float
    held_out_loss: float | None
    stopped_by: str
    checkpoint: Path | None


class Trainer:
    """Train a model.

    Args:
        model: Called as `model(**batch)`; gives `(logits, loss)`.
        config: See `TrainConfig`.
        data: Rows (`__len__` and `__getitem__`), or an iterator of batches with `state_dict` and
            `load_state_dict`.
        held_out: Rows to evaluate on.
        folder: Where checkpoints and the log go; None keeps nothing.
        parts: What the run is assembled from.
        listeners: Each is called with every record: dicts with "kind" ("step", "eval", "save")
            and "step".
        group: The processes that train together.
        objective: Makes of the model what is called in its place; by it a loss other than the
            model's own is learned. None calls the model.

    Attributes:
        step: Updates that have been made.

    Example:
        >>> from happyllm.llama import ModelConfig, Transformer
        >>> from happyllm.train.config import OptimConfig, RunConfig
        >>> args = ModelConfig(dim=16, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=10)
        >>> run, optim = RunConfig(total_steps=50), OptimConfig(max_lr=0.01, warmup_steps=5)
        >>> tokens = torch.arange(300) % 10
        >>> rows = [{"tokens": tokens[i : i + 8], "targets": tokens[i + 1 : i + 9]}
        ...         for i in range(200)]
        >>> config = TrainConfig(args, run=run, optim=optim)
        >>> outcome = Trainer(Transformer(args), config, rows).train()
        >>> outcome.loss < 1.0  # it can count; at the start the loss is ln 10 = 2.3
        True
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainConfig,
        data: Any,
        held_out: Any = None,
        *,
        folder: Path | None = None,
        parts: Parts | None = None,
        listeners: Iterable[Callable[[Record], None]] = (),
        group: Group = ALONE,
        objective: Callable[[nn.Module], nn.Module] | None = None,
    ) -> None:
        self.config, self.folder, self.group = config, folder, group
        self.parts, self.listeners = parts or Parts(), list(listeners)
        if config.run.threads:
            torch.set_num_threads(config.run.threads)
        self.device = choose_device(config.run.device)
        self.model = model.to(self.device)
        forward: nn.Module = torch.compile(model) if config.run.compile else model  # type: ignore[assignment]
        forward = forward if objective is None else objective(forward).to(self.device)
        forward = InPrecision(forward, choose_precision(config.run.precision, self.device))
        self.forward = group.wrap(forward)

        optim = config.optim
        if optim.optimizer == "muon" and group.shares_weights:
            raise ConfigError(
                'optim.optimizer="muon" needs whole matrices, which fsdp shares out; train with ddp'
            )
        self.optimizer = choose_optimizer(model, optim, self.parts.optimizer, self.parts.muon)
        size, seed = config.data.batch_size, config.run.seed if config.data.shuffle else None
        shares: dict[str, Any] = {"rank": group.rank, "world_size": group.world_size}
        epochs = config.run.epochs or None
        is_rows = hasattr(data, "__getitem__")
        self.batches = Batches(data, size, seed=seed, epochs=epochs, **shares) if is_rows else data
        self.held_out = held_out
        self.evaluation: Callable[[], Iterator[Batch]] = lambda: iter(
            Batches(held_out, size, seed=None, epochs=1, **shares)
        )
        self.fingerprint = fingerprint(data)
        self.step, self.tokens = 0, 0
        self.loss = math.nan
        self.held_out_loss: float | None = None
        self.resumed = False
        self.total_steps = config.run.total_steps
        if epochs and is_rows:
            of_epochs = -(-len(self.batches) // config.run.accumulation)
            self.total_steps = min(self.total_steps, of_epochs)
            if optim.warmup_steps >= self.total_steps:
                raise ConfigError(
                    f"optim.warmup_steps={optim.warmup_steps} must be below the "
                    f"{self.total_steps} updates that run.epochs={epochs} makes"
                )

    def train(self) -> Outcome:
        """Make the updates that are left.

        SIGINT and SIGTERM end the run after the update that is under way, with a checkpoint; a
        second one ends it at once.

        Returns:
            How it ended.

        Raises:
            TrainingDiverged: Something is not finite. Nothing was written over.
            CheckpointError: One cannot be written, or the folder holds another run's.
        """
        run = self.config.run
        if self.folder is not None and not self.resumed and checkpoints(self.folder):
            raise CheckpointError(
                f"{self.folder}: holds the checkpoints of another run. Go on with it by --resume, "
                "or choose another folder."
            )
        saved_at = evaluated_at = self.step if self.resumed else -1
        began, spent, seen = self.step, 0.0, 0
        with contextlib.ExitStack() as stack:
            if self.folder is not None and self.group.rank == 0:
                log = stack.enter_context(JsonlLog(self.folder / "log.jsonl", self.step))
                self.listeners.insert(0, log)
                stack.callback(self.listeners.remove, log)
            stop = stack.enter_context(stop_signals())
            left = self.total_steps - self.step
            started = time.perf_counter()
            for window in islice(windows(self.batches, run.accumulation), max(0, left)):
                batches = [{name: x.to(self.device) for name, x in b.items()} for b in window]
                seen += self.update(batches)
                spent += time.perf_counter() - started
                if self.step % run.log_every == 0 or self.step == self.total_steps:
                    speed = {
                        "tokens_per_s": round(seen / spent, 1),
                        "seconds_left": round(
                            spent / (self.step - began) * (self.total_steps - self.step), 1
                        ),
                    }
                    self.tell("step", **self.record, **speed)
                if run.eval_every and self.step % run.eval_every == 0:
                    self.evaluate()
                    evaluated_at = self.step
                stop.signal = self.group.first(stop.signal)
                if (run.save_every and self.step % run.save_every == 0) or stop.signal:
                    self.save()
                    saved_at = self.step
                if stop.signal:
                    break
                started = time.perf_counter()
            if not stop.signal and self.step != evaluated_at:
                self.evaluate()
            if self.step != saved_at:
                self.save()
        newest = checkpoints(self.folder)[-1] if self.folder and checkpoints(self.folder) else None
        return Outcome(self.step, self.loss, self.held_out_loss, stop.signal, newest)

    def update(self, batches: list[Batch]) -> int:
        """Make one update; say how many positions all processes have shown the model."""
        optim = self.config.optim
        lr = self.parts.schedule(
            self.step + 1,
            max_lr=optim.max_lr,
            min_lr=optim.min_lr,
            warmup_steps=optim.warmup_steps,
            total_steps=self.total_steps,
        )
        shared: dict[str, float] = {}
        positions = sum(b["targets"].numel() for b in batches)
        if self.group.world_size > 1:  # each process averages over its share of the common count
            counted = sum(int((b["targets"] != -100).sum()) for b in batches)
            shared["n_tokens"] = max(1.0, self.group.sum(counted)) / self.group.world_size
            positions = int(self.group.sum(positions))
        try:
            result = self.parts.train_step(
                self.forward, self.optimizer, batches, lr=lr, max_norm=optim.max_norm, **shared
            )
        except FloatingPointError as error:
            raise self.diverged(str(error)) from error
        self.step += 1
        self.tokens += positions
        self.loss = self.group.sum(result.loss) / self.group.world_size
        self.record = {
            "loss": self.loss,
            "lr": lr,
            "grad_norm": result.grad_norm,
            "tokens": self.tokens,
        }
        return positions

    @torch.no_grad()
    def evaluate(self) -> float | None:
        """Find the mean loss over the counted tokens of the held-out rows.

        Returns:
            The loss in nats, None where there are no held-out rows.
        """
        if self.held_out is None:
            return None
        self.model.eval()
        total = counted = 0.0
        for batch in islice(self.evaluation(), self.config.run.eval_batches or None):
            batch = {name: x.to(self.device) for name, x in batch.items()}
            count = int((batch["targets"] != -100).sum())
            total += float(self.forward(**batch)[1]) * count
            counted += count
        self.model.train()
        loss = self.group.sum(total) / max(1.0, self.group.sum(counted))
        if not math.isfinite(loss):
            raise self.diverged(f"the held-out loss is {loss}")
        self.held_out_loss = loss
        self.tell("eval", loss=loss, perplexity=math.exp(min(loss, 700.0)))
        return loss

    def save(self) -> Path | None:
        """Write a checkpoint.

        Returns:
            The file; None where the run has no folder.
        """
        if self.folder is None:
            return None
        weights, moments = self.group.collect(self.model, self.optimizer)
        chance = self.group.gather(random_state())
        path = None
        if self.group.rank == 0:
            if not all(bool(weight.isfinite().all()) for weight in weights.values()):
                raise self.diverged("a weight is not finite")
            state = {
                "model": weights,
                "optimizer": moments,
                "step": self.step,
                "tokens": self.tokens,
                "held_out_loss": self.held_out_loss,
                "data": self.batches.state_dict(),
                "fingerprint": self.fingerprint,
                "random": chance,
                "config": self.config.as_dict(),
            }
            path = save_checkpoint(self.folder, self.step, state, keep=self.config.run.keep)
        self.group.wait()
        self.tell("save", path=str(path))
        return path

    def resume(self, *, skip_damaged: bool = False) -> bool:
        """Go on from the newest checkpoint in the folder.

        Args:
            skip_damaged: Where the newest cannot be read, take the one before.

        Returns:
            False where there is none: the run begins anew.

        Raises:
            CheckpointError: It cannot be read, or is of a run with another configuration, other
                data, or another number of processes.
        """
        newest = load_newest(self.folder, skip_damaged=skip_damaged) if self.folder else None
        if newest is None:
            return False
        path, state = newest
        differing = list(_differences(state["config"], self.config.as_dict()))
        if state["fingerprint"] != self.fingerprint:
            differing.append("the data has changed")
        if len(state["random"]) != self.group.world_size:
            differing.append(f"{len(state['random'])} processes, now {self.group.world_size}")
        if differing:
            raise CheckpointError(f"{path}: is of another run: {'; '.join(differing)}")
        try:
            self.group.distribute(self.model, self.optimizer, state["model"], state["optimizer"])
            self.batches.load_state_dict(state["data"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path}: does not fit: {error}") from error
        self.step, self.tokens = state["step"], state["tokens"]
        self.held_out_loss = state["held_out_loss"]
        set_random_state(state["random"][self.group.rank])
        self.resumed = True
        return True

    def tell(self, kind: str, **numbers: Any) -> None:
        """Give a record to all listeners."""
        for listener in self.listeners if self.group.rank == 0 else ():
            listener({"kind": kind, "step": self.step, **numbers})

    def diverged(self, what: str) -> TrainingDiverged:
        """Say what is not finite, what is still there, and what helps."""
        found = checkpoints(self.folder) if self.folder else []
        kept = f"{found[-1]} is untouched" if found else "no checkpoint was written"
        return TrainingDiverged(
            f"after {self.step} updates {what}; {kept}. A lower optim.max_lr, more "
            "optim.warmup_steps or a lower optim.max_norm may help, and a look at the data."
        )


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[str]:
    for table in sorted(theirs.keys() | ours.keys()):
        one, other = theirs.get(table, {}), ours.get(table, {})
        for name in sorted((one.keys() | other.keys()) - FREE.get(table, set())):
            if one.get(name) != other.get(name):
                yield f"{table}.{name} was {one.get(name)!r}, is {other.get(name)!r}"
