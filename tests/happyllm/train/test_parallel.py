"""Two processes on the CPU train as one does, by DDP and by FSDP2, and are resumed bit for bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from happyllm.train.checkpoint import CheckpointError, checkpoints, load_checkpoint
from happyllm.train.log import read_log
from happyllm.train.parallel import ALONE, process_group

from .parallel_run import cfg
from .tiny_run import Rows, trainer

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the runs of two processes and of one."""
    root = tmp_path_factory.mktemp("parallel")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node=2", "-m", "tests.happyllm.train.parallel_run", str(root)]
    environment = dict(os.environ, OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
    done = subprocess.run(
        command,
        cwd=HERE.parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    trainer(root / "alone", cfg(), rows=Rows(11)).train()
    return root


def weights(folder):
    return load_checkpoint(checkpoints(folder)[-1])["model"]


def losses(folder):
    return [r["loss"] for r in read_log(folder / "log.jsonl") if r["kind"] == "step"]


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_train_as_one(runs, kind):
    assert losses(runs / kind) == pytest.approx(losses(runs / "alone"), rel=1e-4)
    one, other = weights(runs / kind), weights(runs / "alone")
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_their_evaluation_and_their_token_counts_are_those_of_one(runs, kind):
    def told(folder):
        records = read_log(folder / "log.jsonl")
        return [r["loss"] for r in records if r["kind"] == "eval"], records[-1]["step"]

    (ours, step), (one, last) = told(runs / kind), told(runs / "alone")
    assert ours == pytest.approx(one, rel=1e-3)
    assert step == last


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_resumed_run_of_two_is_the_same_bit_for_bit(runs, kind):
    assert losses(runs / f"{kind}-resumed") == losses(runs / kind)[2:]
    one, other = weights(runs / f"{kind}-resumed"), weights(runs / kind)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_checkpoint_holds_whole_weights_and_ties_them(runs, kind):
    ours, alone = weights(runs / kind), weights(runs / "alone")
    assert {n: w.shape for n, w in ours.items()} == {n: w.shape for n, w in alone.items()}
    assert ours["output.weight"] is ours["tok_embeddings.weight"]


def test_a_run_of_two_is_not_resumed_by_one(runs):
    with pytest.raises(CheckpointError, match="2 processes, now 1"):
        trainer(runs / "ddp", cfg(), rows=Rows(11)).resume()


def test_without_torchrun_one_trains_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with process_group("fsdp") as group:
        assert group is ALONE


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="parallel='horovod'"), process_group("horovod"):
        pass
