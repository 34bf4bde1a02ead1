"""Datasets: rows of tokens with the tokens that follow them, for pretraining and fine-tuning.

Targets are shifted here already, as `happyllm.llama.Transformer` wants them: `targets[t]` follows
`tokens[t]`. -100 marks what is not learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from happyllm.data.chat import Encoder, iter_turns

IGNORE = -100


class PretrainDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Cut a long run of ids into rows, each with the ids that follow.

    Rows do not overlap, but every id is once a target, except for the first of all: the last
    target of one row is the first token of the next.

    Args:
        ids: (N,) integers: a list, an array, the `ids` of a `TokenFile`. A file that is mapped
            into memory is read a row at a time, never as a whole.
        seq_len: The length of a row (T), at least 1.

    Attributes:
        ids: As given.
        seq_len: As given.

    Raises:
        ValueError: `seq_len` is below 1; `ids` are too few for a single row, T + 1.

    Example:
        >>> rows = PretrainDataset([5, 6, 7, 0, 8, 9, 0, 4], seq_len=3)
        >>> len(rows)
        2
        >>> rows[1]
        (tensor([0, 8, 9]), tensor([8, 9, 0]))
    """

    def __init__(self, ids: Sequence[int] | np.ndarray, seq_len: int) -> None:
        if seq_len < 1:
            raise ValueError(f"seq_len={seq_len} must be at least 1")
        if len(ids) < seq_len + 1:
            raise ValueError(
                f"{len(ids)} ids are too few for a row of seq_len={seq_len} and the id after it; "
                "take more text or a smaller seq_len"
            )
        self.ids = ids
        self.seq_len = seq_len

    def __len__(self) -> int:
        """Count the rows: T tokens each, and one more id at the end as the last target."""
        return (len(self.ids) - 1) // self.seq_len

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Read one row.

        Args:
            index: 0 .. len - 1; from -len on it counts from the end.

        Returns:
            `(tokens, targets)`, each (T,) int64: `targets[t]` is the id after `tokens[t]`.

        Raises:
            IndexError: There is no such row.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        # Step 1: T + 1 ids, of which the last belongs to the next row too.
        start = index % len(self) * self.seq_len
        # Step 2: as int64, which embeddings and losses want; files hold smaller integers.
        row = torch.from_numpy(np.asarray(self.ids[start : start + self.seq_len + 1], np.int64))
        # Step 3: without the last, and without the first.
        return row[:-1], row[1:]


class SFTDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Turn conversations into rows in which only the assistant's words are learned.

    What is learned is known turn by turn (see `iter_turns`): the words of every answer and the
    `<|im_end|>` after it, so that the model learns to stop. A row that is too long is cut at its
    end; where nothing to learn would be left of it, it is left out, and counted.

    Args:
        conversations: Lists of messages, each with a "role" and a "content".
        encoder: Its `encode` takes special tokens that are written out as plain text.
        im_start: The id of `<|im_start|>`.
        im_end: The id of `<|im_end|>`.
        max_len: The length of a row (T) at most, at least 1.

    Attributes:
        rows: (tokens, targets) of each conversation that was kept, as lists.
        dropped: How many were left out.

    Raises:
        ValueError: `max_len` is below 1; nothing is left.

    Example:
        >>> class Letters:
        ...     def encode(self, text):
        ...         return [ord(letter) for letter in text]
        >>> talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        >>> tokens, targets = SFTDataset([talk], Letters(), 1, 2, max_len=99)[0]
        >>> tokens.tolist()[-4:]  # of "assistant", a line break, the answer, the end
        [116, 10, 98, 2]
        >>> print(targets.tolist()[-4:])
        [-100, 98, 2, -100]
    """

    def __init__(
        self,
        conversations: Iterable[Sequence[Mapping[str, str]]],
        encoder: Encoder,
        im_start: int,
        im_end: int,
        max_len: int,
    ) -> None:
        if max_len < 1:
            raise ValueError(f"max_len={max_len} must be at least 1")
        self.rows: list[tuple[list[int], list[int]]] = []
        self.dropped = 0
        for messages in conversations:
            # Step 1: all turns in a row, and beside them what has to be learned.
            ids: list[int] = []
            labels: list[int] = []
            for turn, mask in iter_turns(messages, encoder, im_start, im_end):
                ids += turn
                labels += [i if learned else IGNORE for i, learned in zip(turn, mask, strict=True)]
            # Step 2: shift, then cut both to the length of a row.
            tokens, targets = ids[:-1][:max_len], labels[1:][:max_len]
            # Step 3: a row with nothing to learn has no loss (0 / 0), so leave it out.
            if all(target == IGNORE for target in targets):
                self.dropped += 1
                continue
            self.rows.append((tokens, targets))
        if not self.rows:
            raise ValueError(
                f"none of {self.dropped} conversations has an answer within max_len={max_len}; "
                "take a larger max_len or shorter conversations"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Read one row.

        Args:
            index: 0 .. len - 1; from -len on it counts from the end.

        Returns:
            `(tokens, targets)`, each (T,) int64; -100 where nothing is learned.

        Raises:
            IndexError: There is no such row.
        """
        tokens, targets = self.rows[index]
        return torch.tensor(tokens), torch.tensor(targets)


def collate(
    batch: Sequence[tuple[torch.Tensor, torch.Tensor]], pad_id: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Join rows of several lengths to a batch, filled up on the right.

    A batch is one tensor, so short rows need padding; and padding must teach nothing.

    Args:
        batch: `(tokens, targets)` of each row, as a dataset gives them; at least one.
        pad_id: Fills up the tokens. Any id will do, the end token's too: nothing is learned
            there, because targets are filled up with -100 and not with it.

    Returns:
        `(tokens, targets, attention_mask)`, each (B, T) int64 with T the longest row; the mask is
        1 for real tokens and 0 for padding.

    Raises:
        ValueError: `batch` is empty; the message says so.

    Example:
        >>> rows = [(torch.tensor([5, 6, 7]), torch.tensor([6, 7, 2]))]
        >>> rows += [(torch.tensor([8]), torch.tensor([2]))]
        >>> tokens, targets, attention_mask = collate(rows, pad_id=2)
        >>> targets
        tensor([[   6,    7,    2],
                [   2, -100, -100]])
    """
    if not batch:
        raise ValueError("a batch of no rows")
    # Step 1: three tensors that hold nothing but padding.
    B, T = len(batch), max(len(tokens) for tokens, _ in batch)
    tokens = torch.full((B, T), pad_id)
    targets = torch.full((B, T), IGNORE)
    attention_mask = torch.zeros(B, T, dtype=torch.int64)
    # Step 2: each row goes over the beginning of its own; how long it is says what is real.
    for row, (ids, following) in enumerate(batch):
        tokens[row, : len(ids)] = ids
        targets[row, : len(ids)] = following
        attention_mask[row, : len(ids)] = 1
    return tokens, targets, attention_mask
