"""Rows to train on, cut and put together from documents that lie one after another on disk."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from happyllm.pipeline.parts import OURS, Pieces
from happyllm.pipeline.vocabulary import Encoded
from happyllm.pipeline.wanted import A_PAIR, tensors

IGNORE = -100
OPEN = 32  # rows that wait for a document that still fits
WINDOW = 50  # batches whose rows are sorted by their length

Span = tuple[int, int]


class Shuffled:
    """Rows in another order each time, as `Trainer` takes them.

    Args:
        packing: "stream", "whole" or "single"; see `DataConfig`.
        pieces: Whose `collate` makes batches of them.
    """

    def __init__(self, packing: str, pieces: Pieces) -> None:
        self.packing, self.collate = packing, pieces.stack()

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Read one row: "tokens", "targets", and "attention_mask" where documents are numbered."""
        raise NotImplementedError

    def lengths(self) -> list[int]:
        """How many tokens each row holds."""
        return [len(self[index]["tokens"]) for index in range(len(self))]

    def order(self, generator: torch.Generator, batch_size: int, begun: int = 0) -> list[int]:
        """Shuffle the rows; those that hold one document each so that batches are of a length."""
        order: list[int] = torch.randperm(len(self), generator=generator).tolist()
        return (
            order if self.packing != "single" else alike(order, self.lengths(), batch_size, begun)
        )


class Stream(Shuffled):
    """Rows of one length, cut from documents as they lie end to end.

    Args:
        encoded: The documents.
        end: The id of the end token.
        seq_len: Tokens of a row (T).
        document_mask: Number the documents of each row, so that attention can keep them apart.
        pieces: Whose `PretrainDataset` cuts the rows, and whose `document_ids` number them.

    Raises:
        ValueError: There is not enough for one row.
    """

    def __init__(
        self,
        encoded: Encoded,
        end: int,
        seq_len: int,
        document_mask: bool = False,
        pieces: Pieces = OURS,
    ) -> None:
        super().__init__("stream", pieces)
        if len(encoded.ids) <= seq_len:
            raise too_few(encoded, seq_len)
        cut = pieces.found["PretrainDataset"]
        self.rows = cut(encoded.ids.ids, seq_len)
        self.learned = None if encoded.learned is None else cut(encoded.learned.ids, seq_len)
        self.end, self.document_mask, self.pieces = end, document_mask, pieces
        self.wanted = tensors((seq_len,), (seq_len,))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Read one row, as `Shuffled` says."""
        tokens, targets = self.pieces.expect("PretrainDataset", self.rows[index], self.wanted)
        if self.learned is not None:
            targets = targets.masked_fill(self.learned[index][1] == 0, IGNORE)
        row = {"tokens": tokens, "targets": targets}
        if self.document_mask:  # an end token belongs to the document that it ends
            row["attention_mask"] = self.pieces.found["document_ids"](tokens[None], self.end)[0] + 1
        return row


class Rows(Shuffled):
    """Rows of whole documents.

    Args:
        encoded: The documents.
        end: The id of the end token.
        seq_len: Most tokens of a row (T).
        packing: "whole" or "single"; see `DataConfig`.
        document_mask: Number the documents of each row, so that attention can keep them apart.
        pieces: See `Shuffled`.

    Attributes:
        spans: For each row the parts of the ids that it is made of.

    Raises:
        ValueError: There is not enough for one row.
    """

    def __init__(
        self,
        encoded: Encoded,
        end: int,
        seq_len: int,
        packing: str,
        document_mask: bool = False,
        pieces: Pieces = OURS,
    ) -> None:
        super().__init__(packing, pieces)
        self.ids = encoded.ids.ids
        self.learned = None if encoded.learned is None else encoded.learned.ids
        self.end, self.document_mask = end, document_mask
        documents = self._documents(seq_len + 1)
        self.spans = (
            [[one] for one in documents] if packing == "single" else fill(documents, seq_len + 1)
        )
        if not self.spans:
            raise too_few(encoded, seq_len)

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
        """Read one row, as `Shuffled` says."""
        spans = self.spans[index]
        ids = np.concatenate([self.ids[a:b] for a, b in spans]).astype(np.int64)
        targets = ids.copy()
        if self.learned is not None:
            marks = np.concatenate([self.learned[a:b] for a, b in spans])
            targets[marks == 0] = IGNORE
        sizes = [b - a for a, b in spans]
        targets[np.cumsum(sizes)[:-1]] = IGNORE  # what follows a document is no part of it
        row = {"tokens": torch.from_numpy(ids[:-1]), "targets": torch.from_numpy(targets[1:])}
        if self.document_mask:
            numbers = np.repeat(np.arange(1, len(spans) + 1), sizes)
            row["attention_mask"] = torch.from_numpy(numbers[:-1])
        return row

    def lengths(self) -> list[int]:
        """How many tokens each row holds."""
        return [sum(b - a for a, b in spans) - 1 for spans in self.spans]


class Talks(Shuffled):
    """Conversations, one a row, as a learner's `SFTDataset` gives them.

    Args:
        dataset: The data set.
        seq_len: Most tokens of a row (T).
        document_mask: Number the documents of each row; there is but one.
        pieces: Whose data set it is; see `Shuffled` too.
    """

    def __init__(self, dataset: Any, seq_len: int, document_mask: bool, pieces: Pieces) -> None:
        super().__init__("single", pieces)
        self.dataset, self.seq_len, self.pieces = dataset, seq_len, pieces
        self.document_mask = document_mask

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Read one row, as `Shuffled` says."""
        tokens, targets = self.pieces.expect("SFTDataset", self.dataset[index], A_PAIR)
        row = {"tokens": tokens, "targets": targets}
        if self.document_mask:
            row["attention_mask"] = torch.ones_like(tokens)
        return row

    def lengths(self) -> list[int]:
        """How many tokens each row would hold in `Rows`, so that both go into the same batches.

        There a conversation keeps its last token, after which there is nothing to learn.
        """
        return self._lengths

    @functools.cached_property
    def _lengths(self) -> list[int]:  # each round of training asks for them
        return [min(length + 1, self.seq_len) for length in super().lengths()]


class Mixed(Shuffled):
    """Rows of two kinds as one data set: all of the first, and a share of the second.

    Args:
        main: Rows, all of which are taken.
        other: Rows of which as many are taken as make up `share` of all; from the start again
            where there are too few.
        share: In [0, 1).
        pieces: See `Shuffled`.
    """

    def __init__(
        self, main: Shuffled, other: Shuffled, share: float, pieces: Pieces = OURS
    ) -> None:
        super().__init__(main.packing, pieces)
        self.main, self.other = main, other
        self.count = round(len(main) * share / (1 - share))

    def __len__(self) -> int:
        return len(self.main) + self.count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Read one row, as `Shuffled` says."""
        if index < len(self.main):
            return self.main[index]
        return self.other[(index - len(self.main)) % len(self.other)]

    def lengths(self) -> list[int]:
        """How many tokens each row holds."""
        others = self.other.lengths()
        return self.main.lengths() + [others[i % len(others)] for i in range(self.count)]


def too_few(encoded: Encoded, seq_len: int) -> ValueError:
    """Say that there is not enough for one row."""
    return ValueError(
        f"{encoded.ids.path}: {len(encoded.ids)} ids are too few for a row of "
        f"data.seq_len={seq_len}; take more text or a smaller data.seq_len"
    )


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
