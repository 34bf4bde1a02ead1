"""Rows to train on, cut and put together from documents that lie one after another on disk."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from happyllm.pipeline.vocabulary import Encoded

IGNORE = -100
OPEN = 32  # rows that wait for a document that still fits
WINDOW = 50  # batches whose rows are sorted by their length

Span = tuple[int, int]


class Rows:
    """Rows of tokens with their targets, as `Trainer` takes them.

    Args:
        encoded: The documents.
        end: The id of the end token.
        seq_len: Most tokens of a row (T).
        packing: "stream", "whole" or "single"; see `DataConfig`.
        document_mask: Number the documents of each row, so that attention can keep them apart.

    Attributes:
        spans: For each row the parts of the ids that it is made of.

    Raises:
        ValueError: There is not enough for one row.
    """

    def __init__(
        self, encoded: Encoded, end: int, seq_len: int, packing: str, document_mask: bool = False
    ) -> None:
        self.ids = encoded.ids.ids
        self.learned = None if encoded.learned is None else encoded.learned.ids
        self.end, self.document_mask, self.packing = end, document_mask, packing
        if packing == "stream":
            count = (len(self.ids) - 1) // seq_len
            self.spans = [[(row * seq_len, row * seq_len + seq_len + 1)] for row in range(count)]
        else:
            documents = self._documents(seq_len + 1)
            self.spans = (
                [[one] for one in documents]
                if packing == "single"
                else fill(documents, seq_len + 1)
            )
        if not self.spans:
            raise ValueError(
                f"{encoded.ids.path}: {len(self.ids)} ids are too few for a row of "
                f"data.seq_len={seq_len}; take more text or a smaller data.seq_len"
            )

    def _documents(self, room: int) -> list[Span]:
        """Where each document begins and ends, cut to what a row holds.

        Text begins with the end token before it, so that how a document begins is learned. A
        conversation whose answers are all cut away has nothing to learn, and is left out.
        """
        ends = np.flatnonzero(self.ids == self.end)
        lead = 0 if self.learned is None else 1
        spans = [
            (int(start) + lead, min(int(stop) + 1, int(start) + lead + room))
            for start, stop in pairwise(ends)
        ]
        if self.learned is None:
            return spans
        sums = np.concatenate([[0], np.cumsum(self.learned, dtype=np.int64)])
        return [(start, stop) for start, stop in spans if sums[stop] > sums[start + 1]]

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Read one row: "tokens", "targets", and "attention_mask" where documents are numbered."""
        spans = self.spans[index]
        ids = np.concatenate([self.ids[a:b] for a, b in spans]).astype(np.int64)
        targets = ids.copy()
        if self.learned is not None:
            marks = np.concatenate([self.learned[a:b] for a, b in spans])
            targets[marks == 0] = IGNORE
        if self.packing != "stream":  # what follows a document is no part of it
            begins = np.cumsum([b - a for a, b in spans])[:-1]
            targets[begins] = IGNORE
        row = {"tokens": torch.from_numpy(ids[:-1]), "targets": torch.from_numpy(targets[1:])}
        if self.document_mask:
            row["attention_mask"] = torch.from_numpy(self._numbers(ids, spans)[:-1])
        return row

    def _numbers(self, ids: np.ndarray, spans: list[Span]) -> np.ndarray:
        if self.packing == "stream":  # an end token belongs to the document that it ends
            ends = (ids == self.end).astype(np.int64)
            return np.cumsum(ends) - ends + 1
        return np.repeat(np.arange(1, len(spans) + 1), [b - a for a, b in spans])

    def order(self, generator: torch.Generator, batch_size: int, begun: int = 0) -> list[int]:
        """Shuffle the rows; those that hold one document each so that batches are of a length."""
        order: list[int] = torch.randperm(len(self), generator=generator).tolist()
        return (
            order if self.packing != "single" else alike(order, self.lengths(), batch_size, begun)
        )

    def lengths(self) -> list[int]:
        """How many tokens each row holds."""
        return [sum(b - a for a, b in spans) - 1 for spans in self.spans]


class Mixed:
    """Rows of two kinds as one data set: all of the first, and a share of the second.

    Args:
        main: Rows, all of which are taken.
        other: Rows of which as many are taken as make up `share` of all; from the start again
            where there are too few.
        share: In [0, 1).
    """

    def __init__(self, main: Rows, other: Rows, share: float) -> None:
        self.main, self.other = main, other
        self.count = round(len(main) * share / (1 - share))

    def __len__(self) -> int:
        return len(self.main) + self.count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if index < len(self.main):
            return self.main[index]
        return self.other[(index - len(self.main)) % len(self.other)]

    def order(self, generator: torch.Generator, batch_size: int, begun: int = 0) -> list[int]:
        """Shuffle all rows, as `Rows.order` does."""
        order: list[int] = torch.randperm(len(self), generator=generator).tolist()
        if self.main.packing != "single":
            return order
        others = self.other.lengths()
        lengths = self.main.lengths() + [others[i % len(others)] for i in range(self.count)]
        return alike(order, lengths, batch_size, begun)


def fill(documents: Sequence[Span], room: int) -> list[list[Span]]:
    """Put whole documents into rows, each into the fullest of the open rows that has room.

    Example:
        >>> fill([(0, 5), (5, 8), (8, 12), (12, 14)], room=8)
        [[(0, 5), (5, 8)], [(8, 12), (12, 14)]]
    """
    rows: list[list[Span]] = []
    waiting: list[tuple[int, int]] = []  # (room that is left, number of the row)
    for start, stop in documents:
        size = stop - start
        fitting = [(left, row) for left, row in waiting if left >= size]
        if fitting:
            left, row = min(fitting)
            waiting.remove((left, row))
        else:
            left, row = room, len(rows)
            rows.append([])
        rows[row].append((start, stop))
        waiting.append((left - size, row))
        if len(waiting) > OPEN:
            waiting.remove(min(waiting))
    return rows


def alike(
    order: Sequence[int], lengths: Sequence[int], batch_size: int, begun: int = 0
) -> list[int]:
    """Order shuffled rows so that each batch has rows of about one length.

    Rows are sorted within windows of many batches, and the batches of a window keep a random
    order; so little is filled up, and long and short come mixed.

    Example:
        >>> alike([3, 0, 2, 1], [9, 1, 8, 2], batch_size=2)
        [3, 1, 0, 2]
    """
    head = -begun % batch_size
    result, order = list(order[:head]), order[head:]
    for begin in range(0, len(order), WINDOW * batch_size):
        window = order[begin : begin + WINDOW * batch_size]
        by_length = sorted(window, key=lambda row: -lengths[row])
        batches = [by_length[i : i + batch_size] for i in range(0, len(window), batch_size)]
        last = batches.pop() if len(batches[-1]) < batch_size else []
        first = {row: place for place, row in enumerate(window)}
        batches.sort(key=lambda batch: first[batch[0]])  # as random as the order that was given
        result += [row for batch in batches for row in batch] + last
    return result
