"""Training, from one update to a run that can be killed and goes on (chapter 5.3 of the book).

Read the files in this order: schedule, optim, muon, loss, accumulate, step; then config, batches,
checkpoint, loop; parallel is for several processes.
"""

from happyllm.train.accumulate import accumulate_gradients, windows
from happyllm.train.loss import masked_cross_entropy
from happyllm.train.muon import Muon, muon_groups, muon_with_adamw, orthogonalize
from happyllm.train.optim import AdamW, clip_grad_norm, decay_groups
from happyllm.train.schedule import cosine_lr
from happyllm.train.step import StepResult, train_step

__all__ = [
    "AdamW",
    "Muon",
    "StepResult",
    "accumulate_gradients",
    "clip_grad_norm",
    "cosine_lr",
    "decay_groups",
    "masked_cross_entropy",
    "muon_groups",
    "muon_with_adamw",
    "orthogonalize",
    "train_step",
    "windows",
]
