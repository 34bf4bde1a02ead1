"""Checkpoints: all that a run needs to go on as if it had never stopped, in one file.

A file is written beside its place, flushed to the disk, and renamed: whatever happens, there is a
whole checkpoint under the name, or none. It is a safetensors file, which holds numbers and text;
loading one runs no code, as unpickling does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

FORMAT = "happyllm-checkpoint-1"
NAME = re.compile(r"step-(\d{8,})\.safetensors")


class CheckpointError(Exception):
    """A checkpoint cannot be written or read; the message names the file and what to do."""


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], *, keep: int = 3) -> Path:
    """Write a checkpoint, and then remove all but the newest `keep`.

    Args:
        folder: Made where it does not exist.
        step: How many updates have been made; it becomes the file's name.
        state: Dicts, lists, tuples, tensors, numbers, strings, None, nested as you like. Tensors
            that share their memory are stored once.
        keep: How many checkpoints may stay, at least 1.

    Returns:
        The file.

    Raises:
        CheckpointError: It cannot be written. Those that were there are as they were.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> path = save_checkpoint(folder, 7, {"weight": torch.ones(2), "betas": (0.9, 0.95)})
        >>> path.name
        'step-00000007.safetensors'
        >>> load_checkpoint(path)
        {'weight': tensor([1., 1.]), 'betas': (0.9, 0.95)}
    """
    if keep < 1:
        raise ValueError(f"keep={keep} must be at least 1")
    path = folder / f"step-{step:08d}.safetensors"
    unfinished = folder / f".{path.name}.unfinished"
    tensors: dict[str, torch.Tensor] = {}
    tree = json.dumps(_take_apart(state, tensors, {}, "state"))
    tensors.setdefault("empty", torch.zeros(0))  # a file of no tensor has no end to check
    metadata = {"format": FORMAT, "tree": tree, "sha256": _digest(tree, tensors)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".step-*.unfinished"):  # by a run that was killed
            left.unlink()
        save_file(tensors, unfinished, metadata=metadata)
        _flush(unfinished)
        os.replace(unfinished, path)
        _flush(folder)
    except (OSError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise CheckpointError(
            f"{path}: cannot be written ({error}). Make room, or choose another folder; "
            "earlier checkpoints are untouched."
        ) from error
    for old in checkpoints(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, tensors on the CPU.

    Args:
        path: A file that `save_checkpoint` wrote.

    Returns:
        The state, equal to what was saved; tensors that shared memory do again.

    Raises:
        CheckpointError: There is none, it is cut short or changed, or it is none of ours.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if not metadata.get("format", "").startswith("happyllm-checkpoint-"):
                raise CheckpointError(
                    f"{path}: is a safetensors file, but no checkpoint of a training run"
                )
            if metadata["format"] != FORMAT:
                raise CheckpointError(
                    f"{path}: has the format {metadata['format']}, this version reads {FORMAT}"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such file") from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: is damaged, or no checkpoint ({error})") from error
    if _digest(metadata["tree"], tensors) != metadata["sha256"]:
        raise CheckpointError(f"{path}: is damaged: its contents do not fit its checksum")
    state: dict[str, Any] = _put_together(json.loads(metadata["tree"]), tensors)
    return state


def checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints of a run by their steps, the newest last.

    Args:
        folder: Where they are; one that does not exist holds none.
    """
    found = [(int(m[1]), p) for p in folder.glob("*") if (m := NAME.fullmatch(p.name))]
    return [path for _, path in sorted(found)]


def load_newest(folder: Path, *, skip_damaged: bool = False) -> tuple[Path, dict[str, Any]] | None:
    """Read the newest checkpoint of a run.

    Args:
        folder: Where its checkpoints are.
        skip_damaged: Take the newest that can be read; without, a damaged one is an error.

    Returns:
        The file and its state, or None where there is none.

    Raises:
        CheckpointError: The newest cannot be read, or with `skip_damaged` none of them.
    """
    found = checkpoints(folder)
    for number, path in enumerate(reversed(found)):
        try:
            return path, load_checkpoint(path)
        except CheckpointError as error:
            earlier = found[-2 - number] if number + 1 < len(found) else None
            if skip_damaged and earlier is not None:
                continue
            hint = "There is none before it."
            if earlier is not None:
                hint = f"The one before, {earlier.name}, can be taken with --skip-damaged."
            raise CheckpointError(f"{error}. {hint}") from error
    return None


# ---- chance


def random_state() -> dict[str, Any]:
    """Note where the random numbers of Python, NumPy and PyTorch stand."""
    kind, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (
            kind,
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            place,
            has_gauss,
            gauss,
        ),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put the random numbers back to where `random_state` found them.

    Args:
        state: What it gave. States of GPUs that are not there are passed over.
    """
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])


# ---- a tree of anything, as JSON and tensors


def _take_apart(
    value: Any, tensors: dict[str, torch.Tensor], names: dict[tuple[Any, ...], str], path: str
) -> Any:
    """Make JSON of a state; each tensor goes to `tensors`, and its name stands in its place."""
    if isinstance(value, torch.Tensor):
        key = (value.data_ptr(), value.dtype, tuple(value.shape), value.stride(), value.device)
        if value.numel() == 0 or key not in names:
            names[key] = path
            held = value.detach().cpu().contiguous()
            tensors[path] = held.clone() if held.data_ptr() == value.data_ptr() else held
        return {"tensor": names[key]}
    if isinstance(value, dict):
        pairs = [
            [key, _take_apart(one, tensors, names, f"{path}.{key}")] for key, one in value.items()
        ]
        return {"dict": pairs}
    if isinstance(value, list | tuple):
        parts = [_take_apart(v, tensors, names, f"{path}.{i}") for i, v in enumerate(value)]
        return {type(value).__name__ if type(value) in (list, tuple) else "tuple": parts}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{path} is of type {type(value).__name__}, which a checkpoint cannot hold")


def _put_together(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if not isinstance(tree, dict):
        return tree
    [(kind, content)] = tree.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _put_together(value, tensors) for key, value in content}
    parts = [_put_together(value, tensors) for value in content]
    return parts if kind == "list" else tuple(parts)


def _digest(tree: str, tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256(tree.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":
        return
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
