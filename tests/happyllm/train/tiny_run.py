"""A run of a few thousand parameters, as a module of the tests and as a program that can be killed.

python tiny_run.py FOLDER STEPS [--pause S] [--resume]
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch

from happyllm.llama.config import ModelConfig
from happyllm.llama.model import Transformer
from happyllm.train.config import DataConfig, OptimConfig, RunConfig, TrainConfig
from happyllm.train.loop import Trainer

MODEL = ModelConfig(
    dim=16, n_layers=2, n_heads=2, n_kv_heads=1, vocab_size=31, max_seq_len=12, dropout=0.1
)


class Rows:
    """Rows of tokens that count up in steps of their own; the beginning of each is not learned."""

    def __init__(self, number=40, length=12, seed=0):
        generator = torch.Generator().manual_seed(seed)
        start = torch.randint(31, (number, 1), generator=generator)
        stride = torch.randint(1, 4, (number, 1), generator=generator)
        self.tokens = (start + stride * torch.arange(length + 1)) % 31
        self.known = torch.randint(0, length, (number,), generator=generator)
        self.noisy = False

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, index):
        row, known = self.tokens[index], int(self.known[index])
        targets = row[1:].clone()
        targets[:known] = -100
        tokens = row[:-1].clone()
        if self.noisy:  # an augmentation that draws from NumPy's and Python's chance too
            tokens[0] = int(np.random.randint(31))
        return {"tokens": tokens, "targets": targets}


def config(steps=12, *, model=MODEL, data=None, optim=None, **run):
    run = {"eval_every": 4, "save_every": 4, "accumulation": 2, "device": "cpu"} | run
    return TrainConfig(
        model,
        DataConfig(**({"seq_len": 12, "batch_size": 4} | (data or {}))),
        OptimConfig(**({"max_lr": 0.01, "min_lr": 1e-3, "warmup_steps": 2} | (optim or {}))),
        RunConfig(total_steps=steps, **run),
    )


def trainer(folder, cfg, *, rows=None, **more):
    torch.manual_seed(cfg.run.seed)
    np.random.seed(cfg.run.seed)
    rows = rows or Rows()
    return Trainer(Transformer(cfg.model), cfg, rows, Rows(9, seed=1), folder=folder, **more)


def main():
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    pause = float(sys.argv[sys.argv.index("--pause") + 1]) if "--pause" in sys.argv else 0.0

    def listen(record):
        if record["kind"] == "step":
            sys.stdout.write(f"step {record['step']}\n")
            sys.stdout.flush()
            time.sleep(pause)

    rows = Rows()
    rows.noisy = True
    own = {"eval_every": 5, "save_every": 3}
    run = trainer(folder, config(steps, **own), rows=rows, listeners=[listen])
    run.fingerprint = "noisy rows"  # they differ each time they are looked at
    if "--resume" in sys.argv:
        run.resume()
    sys.stdout.write(f"stopped by {run.train().stopped_by or 'nothing'}\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
