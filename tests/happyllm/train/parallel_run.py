"""What two processes do under torchrun, as a module with the folder as its argument."""

import shutil
import sys
from pathlib import Path

import torch

from happyllm.llama.config import ModelConfig
from happyllm.train.parallel import leave, process_group

from .tiny_run import Rows, config, trainer

STILL = ModelConfig(dim=16, n_layers=2, n_heads=2, n_kv_heads=1, vocab_size=31, max_seq_len=12)


def cfg():
    # 11 rows, three times round, in batches of 4: the last batch has one row, for one of the two
    return config(99, model=STILL, epochs=3, save_every=2, eval_every=3)


def main():
    root = Path(sys.argv[1])
    for kind in ("ddp", "fsdp"):
        with process_group(kind) as group:
            folder, cut = root / kind, root / f"{kind}-resumed"
            trainer(folder, cfg(), rows=Rows(11), group=group).train()
            if group.rank == 0:
                cut.mkdir()
                shutil.copy(folder / "step-00000002.safetensors", cut)
            group.wait()
            torch.manual_seed(5)
            again = trainer(cut, cfg(), rows=Rows(11), group=group)
            assert again.resume()
            again.train()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
    leave()
