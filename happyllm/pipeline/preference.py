"""What `happyllm dpo` learns from: pairs of answers as rows, and the loss as a module."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from happyllm.alignment import dpo_loss, sequence_log_probs
from happyllm.data.chat import IM_END, IM_START
from happyllm.pipeline.folder import FolderError
from happyllm.pipeline.parts import OURS, Pieces
from happyllm.tokenizer import BPETokenizer
from happyllm.train.batches import Batch, Collate, stack

IGNORE = -100


class Pairs:
    """Pairs of answers as rows: "tokens" and "labels" of the better answer, and of the worse.

    Args:
        records: Each with "messages" that end in a question, a "chosen" and a "rejected" answer.
        tokenizer: With the special tokens of the chat.
        seq_len: Pairs with a longer row are left out.
        pieces: Whose chat template conversations get, and whose `collate` makes batches.

    Raises:
        FolderError: No pair is left.
    """

    def __init__(
        self,
        records: Iterable[Mapping[str, Any]],
        tokenizer: BPETokenizer,
        seq_len: int,
        pieces: Pieces = OURS,
    ) -> None:
        self.collate = functools.partial(lay_over, stack=pieces.stack())
        iter_turns = pieces.turns()
        start, stop = (tokenizer.special_tokens[token] for token in (IM_START, IM_END))
        self.rows: list[dict[str, torch.Tensor]] = []
        longest = 0
        for record in records:
            row = {}
            for name in ("chosen", "rejected"):
                answer = {"role": "assistant", "content": record[name]}
                turns = list(iter_turns([*record["messages"], answer], tokenizer, start, stop))
                ids = torch.tensor([i for turn, _ in turns for i in turn])
                labels = ids.clone()
                labels[: -len(turns[-1][0])] = IGNORE
                learned = torch.tensor(turns[-1][1])
                labels[-len(learned) :][learned == 0] = IGNORE
                row[f"{name} tokens"], row[f"{name} targets"] = ids[:-1], labels[1:]
            longest = max(longest, *(len(one) for one in row.values()))
            if max(len(one) for one in row.values()) <= seq_len:
                self.rows.append(row)
        if not self.rows:
            raise FolderError(
                f"no pair of answers fits into data.seq_len={seq_len}: the longest has {longest} "
                "tokens; make it larger"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return self.rows[index]


def lay_over(rows: Sequence[Mapping[str, torch.Tensor]], stack: Collate = stack) -> Batch:
    """Lay the better answers of a batch over the worse.

    Args:
        rows: Of `Pairs`.
        stack: As `stack`.

    Returns:
        "tokens" and "labels" (2 B, T); "targets" (B, 1), whose size says how many pairs count.
    """
    flat = [
        {name: row[f"{which} {name}"] for name in ("tokens", "targets")}
        for which in ("chosen", "rejected")
        for row in rows
    ]
    batch = stack(flat)
    counted = torch.zeros(len(rows), 1, dtype=torch.int64)
    return {"tokens": batch["tokens"], "labels": batch["targets"], "targets": counted}


class Preference(nn.Module):
    """The loss of a model against itself as it was at the beginning.

    Args:
        model: What is trained; a frozen copy of it is the reference.
        beta: See `dpo_loss`.

    Attributes:
        right: Of the pairs of the last call, the share whose better answer has the larger reward.
    """

    def __init__(self, model: nn.Module, beta: float) -> None:
        super().__init__()
        self.model, self.beta = model, beta
        self.reference = copy.deepcopy(model).requires_grad_(False).eval()
        self.right = 0.0

    def train(self, mode: bool = True) -> Preference:
        """Put the model into training mode; the reference drops nothing out, ever."""
        super().train(mode)
        self.reference.eval()
        return self

    def forward(
        self, tokens: torch.Tensor, labels: torch.Tensor, targets: torch.Tensor
    ) -> tuple[None, torch.Tensor]:
        """Give (None, the mean loss of the pairs that count)."""
        chosen, rejected = sequence_log_probs(self.model(tokens)[0], labels).chunk(2)
        with torch.no_grad():
            liked, disliked = sequence_log_probs(self.reference(tokens)[0], labels).chunk(2)
        counted = (targets != IGNORE).flatten()
        if not counted.any():  # a batch of fewer pairs than processes: take part, learn nothing
            return None, (chosen.sum() + rejected.sum()) * 0.0
        loss, better, worse = dpo_loss(chosen, rejected, liked, disliked, self.beta)
        self.right = float((better > worse).float().mean())
        return None, loss
