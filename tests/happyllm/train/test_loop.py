"""Whole runs: they learn, they can be stopped anywhere, and they go on bit for bit."""

import dataclasses
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from happyllm.llama.config import ModelConfig
from happyllm.llama.model import Transformer
from happyllm.train.checkpoint import CheckpointError, checkpoints, load_checkpoint
from happyllm.train.config import ConfigError
from happyllm.train.hardware import choose_device
from happyllm.train.log import read_log
from happyllm.train.loop import Parts, Trainer, TrainingDiverged
from happyllm.train.optim import AdamW
from happyllm.train.step import train_step

from .tiny_run import Rows, config, trainer

PROGRAM = str(Path(__file__).with_name("tiny_run.py"))


def losses(folder):
    return {r["step"]: (r["loss"], r["lr"]) for r in steps_of(folder)}


def steps_of(folder):
    return [r for r in read_log(folder / "log.jsonl") if r["kind"] == "step"]


def program(folder, steps, *more):
    command = [sys.executable, "-u", PROGRAM, str(folder), str(steps), *more]
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def wait_for(process, line):
    for said in process.stdout:
        if said.strip() == line:
            return
    raise AssertionError(f"the run ended without saying {line!r}")


def weights(path):
    return load_checkpoint(path)["model"]


def test_a_run_learns_and_says_so(tmp_path):
    run = trainer(tmp_path, config(60, eval_every=30, save_every=0))
    before = run.evaluate()
    outcome = run.train()
    assert outcome.step == 60
    assert outcome.held_out_loss < before / 2
    assert outcome.stopped_by == ""
    records = steps_of(tmp_path)
    assert [r["step"] for r in records] == list(range(1, 61))
    assert set(records[-1]) == {
        *("kind", "step", "loss", "lr", "grad_norm", "tokens", "tokens_per_s", "seconds_left"),
    }
    assert records[-1]["seconds_left"] == 0
    assert records[-1]["tokens"] == 60 * 2 * 4 * 12
    assert records[-1]["lr"] == pytest.approx(1e-3)


def test_evaluations_and_checkpoints_come_when_they_are_due(tmp_path):
    run = trainer(tmp_path, config(10, eval_every=4, save_every=3, keep=9))
    run.train()
    records = read_log(tmp_path / "log.jsonl")
    assert [r["step"] for r in records if r["kind"] == "eval"] == [4, 8, 10]
    assert [r["step"] for r in records if r["kind"] == "save"] == [3, 6, 9, 10]
    assert [int(p.stem[5:]) for p in checkpoints(tmp_path)] == [3, 6, 9, 10]


def test_an_evaluation_changes_nothing_of_the_run(tmp_path):
    trainer(tmp_path / "often", config(8, eval_every=1)).train()
    trainer(tmp_path / "never", config(8, eval_every=0)).train()
    assert losses(tmp_path / "often") == losses(tmp_path / "never")


def test_the_same_seed_makes_the_same_run_and_another_another(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer(tmp_path / name, config(4, seed=seed)).train()
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert losses(tmp_path / "a") != losses(tmp_path / "c")


def test_accumulated_micro_batches_are_one_large_batch(tmp_path):
    still = dataclasses.replace(config().model, dropout=0.0)
    small = config(6, model=still, accumulation=4, data={"batch_size": 2})
    large = config(6, model=still, accumulation=1, data={"batch_size": 8})
    trainer(tmp_path / "small", small).train()
    trainer(tmp_path / "large", large).train()
    one, other = losses(tmp_path / "small"), losses(tmp_path / "large")
    for step in one:
        assert one[step] == pytest.approx(other[step], rel=1e-4)


def test_epochs_end_the_run_and_the_last_partial_window_counts(tmp_path):
    # 40 rows in batches of 4, 3 an update: 10 batches make 3 updates and one of a single batch
    outcome = trainer(tmp_path, config(99, epochs=1, accumulation=3)).train()
    assert outcome.step == 4
    records = steps_of(tmp_path)
    assert records[-1]["tokens"] == 40 * 12
    assert records[-1]["lr"] == pytest.approx(1e-3)  # the schedule knows where it ends


def test_too_few_updates_for_the_warmup_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="warmup_steps=20 must be below the 5 updates"):
        trainer(tmp_path, config(99, epochs=1, optim={"warmup_steps": 20}))


@pytest.mark.parametrize("at", [4, 8])
def test_a_resumed_run_makes_the_same_losses_bit_for_bit(tmp_path, at):
    cfg = config(12)
    trainer(tmp_path / "whole", cfg).train()

    class Enough(Exception):
        pass

    def leave(record):
        if record["kind"] == "step" and record["step"] == at + 2:
            raise Enough

    with pytest.raises(Enough):
        trainer(tmp_path / "cut", cfg, listeners=[leave]).train()
    torch.manual_seed(99)
    random.seed(99)
    again = trainer(tmp_path / "cut", cfg)
    assert again.resume()
    assert again.step == at
    again.train()
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    one, other = (weights(checkpoints(tmp_path / name)[-1]) for name in ("cut", "whole"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_that_is_killed_at_random_goes_on_bit_for_bit(tmp_path):
    whole = program(tmp_path / "whole", 14)
    assert whole.communicate()[0].endswith("stopped by nothing\n")
    rng = random.Random(7)
    more = ()
    for _ in range(2):
        killed = program(tmp_path / "killed", 14, "--pause", "0.02", *more)
        wait_for(killed, f"step {rng.randint(4, 6) if not more else rng.randint(8, 13)}")
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        more = ("--resume",)
    program(tmp_path / "killed", 14, "--resume").communicate()
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    one, other = (weights(checkpoints(tmp_path / name)[-1]) for name in ("killed", "whole"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_run_with_a_checkpoint(tmp_path, number):
    def interrupt(record):
        if record["kind"] == "step" and record["step"] == 6:
            signal.raise_signal(number)

    before = signal.getsignal(number)
    outcome = trainer(tmp_path, config(12), listeners=[interrupt]).train()
    assert outcome.stopped_by == number.name
    assert outcome.step == 6
    assert outcome.checkpoint.name == "step-00000006.safetensors"
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_the_run_at_once(tmp_path):
    def impatient(record):
        if record["kind"] == "step":
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path, config(12), listeners=[impatient]).train()


def test_a_run_in_another_thread_leaves_signals_alone(tmp_path):
    found = []
    run = trainer(tmp_path, config(3))
    thread = threading.Thread(target=lambda: found.append(run.train().step))
    thread.start()
    thread.join()
    assert found == [3]


class Poisoned(Transformer):
    """A model whose loss is NaN from its seventh call on."""

    def forward(self, tokens, targets=None, **more):
        self.calls = getattr(self, "calls", 0) + self.training
        logits, loss = super().forward(tokens, targets, **more)
        return logits, loss * (float("nan") if self.calls >= 7 else 1.0)


def test_a_loss_of_nan_stops_the_run_and_writes_over_nothing(tmp_path):
    cfg = config(12, accumulation=1, save_every=2)
    run = Trainer(Poisoned(cfg.model), cfg, Rows(), folder=tmp_path)
    with pytest.raises(TrainingDiverged, match=r"after 6 updates the loss is nan.*step-00000006"):
        run.train()
    saved = checkpoints(tmp_path)
    assert [int(p.stem[5:]) for p in saved] == [2, 4, 6]
    assert all(bool(w.isfinite().all()) for w in weights(saved[-1]).values())


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    class Reckless(AdamW):
        def step(self):
            super().step()
            with torch.no_grad():
                self.param_groups[0]["params"][0][0, 0] = float("inf")

    run = trainer(tmp_path, config(12, save_every=1), parts=Parts(optimizer=Reckless))
    with pytest.raises(TrainingDiverged, match="a weight is not finite; no checkpoint"):
        run.train()
    assert checkpoints(tmp_path) == []


def test_a_folder_with_another_runs_checkpoints_is_refused(tmp_path):
    trainer(tmp_path, config(4)).train()
    before = sorted((p.name, p.read_bytes()) for p in tmp_path.iterdir())
    with pytest.raises(CheckpointError, match="holds the checkpoints of another run"):
        trainer(tmp_path, config(4)).train()
    assert sorted((p.name, p.read_bytes()) for p in tmp_path.iterdir()) == before


def test_a_run_that_has_ended_can_be_resumed_and_makes_no_update(tmp_path):
    trainer(tmp_path, config(4)).train()
    again = trainer(tmp_path, config(4))
    assert again.resume()
    outcome = again.train()
    assert outcome.step == 4
    assert len(losses(tmp_path)) == 4


def test_without_a_checkpoint_there_is_nothing_to_resume(tmp_path):
    assert not trainer(tmp_path / "none", config(4)).resume()


def test_a_checkpoint_of_another_run_is_refused_with_what_differs(tmp_path):
    trainer(tmp_path, config(4)).train()
    other = trainer(tmp_path, config(4, optim={"max_lr": 0.5}, seed=3))
    with pytest.raises(CheckpointError, match=r"optim.max_lr was 0.01, is 0.5; run.seed was 0"):
        other.resume()
    with pytest.raises(CheckpointError, match="the data has changed"):
        trainer(tmp_path, config(4), rows=Rows(seed=5)).resume()


def test_how_often_things_are_done_may_change(tmp_path):
    trainer(tmp_path, config(4)).train()
    assert trainer(tmp_path, config(4, eval_every=1, save_every=2, keep=7, log_every=3)).resume()


def test_a_damaged_checkpoint_is_refused_and_the_one_before_taken_on_request(tmp_path):
    trainer(tmp_path, config(12)).train()
    newest = checkpoints(tmp_path)[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    again = trainer(tmp_path, config(12))
    with pytest.raises(CheckpointError, match=r"step-00000012.*step-00000008.*--skip-damaged"):
        again.resume()
    assert again.resume(skip_damaged=True)
    assert again.step == 8


def test_an_iterator_that_tells_where_it_stands_can_be_trained_on(tmp_path):
    class Stream:
        def __init__(self):
            self.at = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.at += 1
            tokens = (torch.arange(13) * self.at % 31).expand(2, -1)
            return {"tokens": tokens[:, :-1], "targets": tokens[:, 1:]}

        def state_dict(self):
            return {"at": self.at}

        def load_state_dict(self, state):
            self.at = state["at"]

    def run(folder, steps):
        torch.manual_seed(0)
        cfg = config(8)
        made = Trainer(Transformer(cfg.model), cfg, Stream(), folder=folder)
        made.resume()
        made.total_steps, total = steps, made.total_steps
        made.parts = Parts(schedule=lambda *_, **__: 0.01)
        made.train()
        return total

    run(tmp_path / "whole", 8)
    run(tmp_path / "parts", 4)
    run(tmp_path / "parts", 8)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


def test_parts_of_ones_own_take_the_place_of_ours(tmp_path):
    used = []

    def schedule(step, **sizes):
        used.append(sizes["total_steps"])
        return 0.25

    def step(model, optimizer, batches, *, lr, max_norm):
        assert lr == 0.25
        return train_step(model, optimizer, batches, lr=lr, max_norm=max_norm)

    run = trainer(tmp_path, config(3), parts=Parts(schedule=schedule, train_step=step))
    run.train()
    assert used == [3, 3, 3]


def test_bfloat16_keeps_the_weights_in_float32(tmp_path):
    run = trainer(tmp_path, config(10, precision="bfloat16"))
    kinds = []
    run.model.layers[0].attention.wq.register_forward_hook(lambda *a: kinds.append(a[2].dtype))
    outcome = run.train()
    assert set(kinds) == {torch.bfloat16}
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}
    assert outcome.loss < 3.4


@pytest.mark.slow
def test_a_compiled_model_trains_alike_and_its_checkpoint_has_the_same_names(tmp_path):
    still = ModelConfig(dim=16, n_layers=1, n_heads=2, n_kv_heads=1, vocab_size=31, max_seq_len=12)
    for name, compiled in (("plain", False), ("compiled", True)):
        trainer(tmp_path / name, config(4, model=still, compile=compiled)).train()
    one, other = (weights(checkpoints(tmp_path / name)[-1]) for name in ("plain", "compiled"))
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-4, rtol=1e-3)


def test_a_device_that_is_not_there_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"run\.device='quantum'"):
        choose_device("quantum")


def test_muon_trains_the_layers_at_its_own_rate_and_is_resumed_bit_for_bit(tmp_path):
    own = {"optimizer": "muon", "muon_scale": 3.0}
    trainer(tmp_path / "whole", config(8, optim=own)).train()
    cut = trainer(tmp_path / "cut", config(8, optim=own, keep=9))
    cut.train()
    for path in checkpoints(tmp_path / "cut")[1:]:
        path.unlink()
    again = trainer(tmp_path / "cut", config(8, optim=own))
    assert again.resume()
    again.train()
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    trainer(tmp_path / "one", config(8, optim=own | {"muon_scale": 1.0})).train()
    assert losses(tmp_path / "one") != losses(tmp_path / "whole")
    assert losses(tmp_path / "one")[8][1] == losses(tmp_path / "whole")[8][1]  # the rate is told


def test_another_objective_takes_the_place_of_the_models_loss(tmp_path):
    class Doubled(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, **batch):
            logits, loss = self.model(**batch)
            return logits, 2 * loss

    trainer(tmp_path / "plain", config(3)).train()
    trainer(tmp_path / "doubled", config(3), objective=Doubled).train()
    one, other = losses(tmp_path / "plain"), losses(tmp_path / "doubled")
    assert other[1][0] == pytest.approx(2 * one[1][0])
    names = [set(weights(checkpoints(tmp_path / n)[-1])) for n in ("plain", "doubled")]
    assert names[0] == names[1]
