"""Several processes that train one model: each takes a part of every batch.

Under `torchrun` each process finds its place in the environment. DDP keeps a whole model in each
process; FSDP2 shares weights, gradients and the optimizer's state out among them. Both average the
gradients over the processes, so a batch's mean comes out where each process divides by its share of
the common number of tokens.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import os
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.rendezvous import rendezvous

KINDS = ("ddp", "fsdp")
RENDEZVOUS = "HAPPYLLM_RENDEZVOUS"  # a file over which processes of one machine meet
PATIENCE = datetime.timedelta(minutes=10)  # then a process that waits for another gives up


class Group:
    """The processes that train together: here, one alone.

    Attributes:
        rank: Number of this process, from 0.
        world_size: How many there are.
        shares_weights: Whether each holds a part of every weight, and none the whole.

    Example:
        >>> ALONE.rank, ALONE.world_size, ALONE.sum(3.0)
        (0, 1, 3.0)
    """

    rank: int = 0
    world_size: int = 1
    shares_weights: bool = False

    def wrap(self, model: nn.Module) -> nn.Module:
        """Make a model that averages its gradients over the processes.

        It has to be called before the optimizer is made: parameters may be replaced.
        """
        return model

    def sum(self, number: float) -> float:
        """Add up a number of each process."""
        return number

    def first(self, text: str) -> str:
        """Give the text of the first process that has one."""
        return text

    def gather(self, value: Any) -> list[Any]:
        """List a value of each process, in their order."""
        return [value]

    def wait(self) -> None:
        """Wait until all processes are here."""

    def collect(self, model: nn.Module, optimizer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Give the whole state of the model and of the optimizer, for a checkpoint."""
        return dict(model.state_dict()), optimizer.state_dict()

    def distribute(
        self, model: nn.Module, optimizer: Any, weights: dict[str, Any], moments: dict[str, Any]
    ) -> None:
        """Put back what `collect` gave."""
        model.load_state_dict(weights)
        optimizer.load_state_dict(moments)


ALONE = Group()


class DDPGroup(Group):
    """Processes that each hold the whole model (DistributedDataParallel)."""

    def __init__(self) -> None:
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        on_gpu = dist.get_backend() == "nccl"
        self.device = torch.device("cuda" if on_gpu else "cpu")

    def wrap(self, model: nn.Module) -> nn.Module:
        return nn.parallel.DistributedDataParallel(model)

    def sum(self, number: float) -> float:
        total = torch.tensor(number, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return float(total)

    def first(self, text: str) -> str:
        return next((one for one in self.gather(text) if one), "")

    def gather(self, value: Any) -> list[Any]:
        values = [None] * self.world_size
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        dist.barrier()


class FSDPGroup(DDPGroup):
    """Processes that each hold a share of every weight (FSDP2's `fully_shard`)."""

    shares_weights = True

    def wrap(self, model: nn.Module) -> nn.Module:
        from torch.distributed.fsdp import fully_shard

        # A layer at a time is whole in memory: the one that computes.
        for module in list(model.modules()):
            if isinstance(module, nn.ModuleList):
                for layer in module:
                    fully_shard(layer)
        fully_shard(model)
        return model

    def collect(self, model: nn.Module, optimizer: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        whole: dict[int, torch.Tensor] = {}  # tied weights stay tied

        def gathered(value: Any) -> Any:
            if not hasattr(value, "full_tensor"):
                return value
            local = value.to_local()
            key = local.data_ptr() if local.numel() else id(value)
            if key not in whole:
                whole[key] = value.full_tensor().cpu()
            return whole[key]

        state = optimizer.state_dict()
        moments = {
            number: {name: gathered(value) for name, value in held.items()}
            for number, held in state["state"].items()
        }
        weights = {name: gathered(value) for name, value in model.state_dict().items()}
        return weights, {**state, "state": moments}

    def distribute(
        self, model: nn.Module, optimizer: Any, weights: dict[str, Any], moments: dict[str, Any]
    ) -> None:
        from torch.distributed.tensor import distribute_tensor

        def shared_out(value: Any, like: Any) -> Any:
            if not isinstance(value, torch.Tensor) or not hasattr(like, "device_mesh"):
                return value
            return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)

        ours = model.state_dict()
        model.load_state_dict(
            {name: shared_out(weights[name], like) for name, like in ours.items()}
        )
        ordered = [p for group in optimizer.param_groups for p in group["params"]]
        state = {
            number: {name: shared_out(value, ordered[int(number)]) for name, value in held.items()}
            for number, held in moments["state"].items()
        }
        optimizer.load_state_dict({**moments, "state": state})


# Groups that this process has joined, one after another. Each leaves the addresses of its processes
# in the place where they met, and PyTorch begins anew to count groups when one is left: in the next
# a process may find another's old address, and wait there for ever. So each gets names of its own.
_JOINED = itertools.count()


def _meeting_place(world_size: int) -> dist.Store:
    """Where the processes find one another: a file, if they were told one, or torchrun's store."""
    if os.environ.get(RENDEZVOUS):
        return dist.FileStore(os.environ[RENDEZVOUS], world_size)
    store, _, _ = next(rendezvous("env://", timeout=PATIENCE))
    return store


def leave(code: int = 0) -> NoReturn:
    """End a process of a group, now that all is written: nothing is taken down any more.

    Threads of the backend may still run when the interpreter takes down what they use; at times
    that aborts a process that has done all its work.

    Args:
        code: The exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


@contextlib.contextmanager
def process_group(kind: str = "ddp") -> Iterator[Group]:
    """Join the processes that `torchrun` has started; without it, train alone.

    Args:
        kind: "ddp" or "fsdp".

    Yields:
        The group, for `Trainer`. Each process works on the GPU of its local rank, where there are
        as many; otherwise on the CPU.

    Raises:
        ValueError: There is no such kind.

    Example:
        >>> with process_group() as group:
        ...     group.world_size
        1
    """
    if kind not in KINDS:
        raise ValueError(f"parallel={kind!r} must be one of {KINDS}")
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        yield ALONE
        return
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    on_gpu = torch.cuda.is_available() and torch.cuda.device_count() >= local_size
    if on_gpu:
        torch.cuda.set_device(local_rank)
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=dist.PrefixStore(f"happyllm-{next(_JOINED)}", _meeting_place(world_size)),
        rank=rank,
        world_size=world_size,
        timeout=PATIENCE,
    )
    try:
        yield DDPGroup() if kind == "ddp" else FSDPGroup()
    finally:
        dist.destroy_process_group()
