"""Batches from a data set: shuffled anew each time round, and able to say where they stand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch

Batch = dict[str, torch.Tensor]
Collate = Callable[[Sequence[Mapping[str, torch.Tensor]]], Batch]


class Dataset(Protocol):
    """What is trained on: a sequence of dicts of tensors, one for each row of a batch.

    The names are the arguments of the model: "tokens" and "targets", (T,) int64 each.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Mapping[str, torch.Tensor]: ...


def stack(rows: Sequence[Mapping[str, torch.Tensor]]) -> Batch:
    """Stack rows of equal lengths into a batch; shorter ones are filled up on the right.

    Args:
        rows: Dicts with the same names. "targets" are filled up with -100, all else with 0.

    Returns:
        For each name a tensor (B, T), T the longest of the rows.

    Example:
        >>> rows = [{"targets": torch.tensor([5, 6])}, {"targets": torch.tensor([7])}]
        >>> stack(rows)["targets"]
        tensor([[   5,    6],
                [   7, -100]])
    """
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: torch.nn.utils.rnn.pad_sequence(
            column, batch_first=True, padding_value=-100 if name == "targets" else 0
        )
        for name, column in columns.items()
    }


class Batches:
    """Go through a data set in batches, in another order each time.

    The order depends on the seed and on how often the data has been gone through, and on nothing
    else; so two numbers are enough to go on from the middle.

    Args:
        dataset: At least one row. It may have an order of its own, `order(generator, batch_size,
            begun)`, which lists its rows' numbers for one time round; `begun` rows of the first
            batch come from the round before.
        batch_size: Rows of a batch, of all processes together.
        seed: Of the order; None keeps the data's own.
        epochs: How often to go through the data; None goes on without end. The last batch may be
            smaller, all others run on from one round into the next.
        collate: Makes a batch of rows; None takes the data set's own `collate`, or `stack`.
        rank: Which of the processes that share each batch this one is.
        world_size: How many they are; each takes every `world_size`-th row.

    Raises:
        ValueError: The data is empty, or the sizes do not fit.

    Example:
        >>> rows = [{"tokens": torch.tensor([number])} for number in range(5)]
        >>> batches = Batches(rows, batch_size=2, seed=None, epochs=1)
        >>> for batch in batches:
        ...     print(*batch["tokens"].flatten().tolist())
        0 1
        2 3
        4
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        *,
        seed: int | None = 0,
        epochs: int | None = None,
        collate: Collate | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if len(dataset) == 0:
            raise ValueError("the data is empty: there is nothing to learn from")
        if batch_size < 1 or batch_size % world_size:
            raise ValueError(
                f"batch_size={batch_size} must be a positive multiple of the {world_size} processes"
            )
        if epochs is not None and epochs < 1:
            raise ValueError(f"epochs={epochs} must be at least 1")
        self.dataset, self.batch_size, self.seed, self.epochs = dataset, batch_size, seed, epochs
        own: Collate = getattr(dataset, "collate", stack)
        self.collate = own if collate is None else collate
        self.rank, self.world_size = rank, world_size
        self.position = 0  # rows that were handed out, of all rounds and processes
        self._order: tuple[int, list[int]] = (-1, [])

    def __len__(self) -> int:
        """How many batches there are in all; without `epochs`, in one time round."""
        return -(-(self.epochs or 1) * len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        end = self.position + self.batch_size
        if self.epochs is not None:
            end = min(end, self.epochs * len(self.dataset))
        if self.position >= end:
            raise StopIteration
        places = range(self.position, end)
        self.position = end
        mine = [self._row(place) for place in places[self.rank :: self.world_size]]
        if mine:
            return self.collate(mine)
        # A last batch of fewer rows than processes: take part in it, with nothing to learn.
        batch = self.collate([self._row(places[0])])
        return batch | {"targets": torch.full_like(batch["targets"], -100)}

    def _row(self, place: int) -> Mapping[str, torch.Tensor]:
        round_, index = divmod(place, len(self.dataset))
        if self.seed is None:
            return self.dataset[index]
        if self._order[0] != round_:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + round_)
            own = getattr(self.dataset, "order", None)
            order = (
                torch.randperm(len(self.dataset), generator=generator).tolist()
                if own is None
                else own(generator, self.batch_size, round_ * len(self.dataset) % self.batch_size)
            )
            self._order = (round_, order)
        return self.dataset[self._order[1][index]]

    def state_dict(self) -> dict[str, Any]:
        """Where the batches stand."""
        return {"position": self.position, "seed": self.seed, "rows": len(self.dataset)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where others stood.

        Args:
            state: What their `state_dict` gave.

        Raises:
            ValueError: They had another seed, or another number of rows.
        """
        for name, mine in (("seed", self.seed), ("rows", len(self.dataset))):
            if state[name] != mine:
                raise ValueError(f"the data had {name}={state[name]}, and has {mine} now")
        self.position = state["position"]


def fingerprint(dataset: Any) -> str:
    """Tell one data set from another, by up to 64 of its rows.

    Args:
        dataset: A data set that has a `fingerprint` of its own (a string) is asked for it. An
            iterator without one has none.

    Returns:
        A short text; "" where nothing can be told.

    Example:
        >>> rows = [{"tokens": torch.tensor([1, 2])}]
        >>> fingerprint(rows) == fingerprint([{"tokens": torch.tensor([1, 3])}])
        False
    """
    own = getattr(dataset, "fingerprint", None)
    if own is not None:
        return str(own() if callable(own) else own)
    if not hasattr(dataset, "__getitem__"):
        return ""
    count = len(dataset)
    digest = hashlib.sha256(str(count).encode())
    for index in sorted({round(i * (count - 1) / 63) for i in range(64)} if count else ()):
        for name, tensor in sorted(dataset[index].items()):
            digest.update(f"{index} {name} {tensor.tolist()}".encode())
    return digest.hexdigest()[:16]
