"""How processes are made: forked from a warm server, or spawned where there is no fork."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Literal

from .nursery import Nursery, NurseryError
from .spawned import Spawner

Backend = Literal["fork", "spawn"]
BACKENDS: tuple[Backend, ...] = ("fork", "spawn")
VARIABLE = "HAPPYLLM_BACKEND"


def chosen(wanted: Backend | None = None) -> Backend:
    """What is wanted, else what the environment says, else what suits the system.

    macOS can fork, but its system libraries and torch do not live through it well.

    Raises:
        NurseryError: there is no such backend, or this system cannot fork.
    """
    told = wanted or os.environ.get(VARIABLE) or ""
    can_fork = hasattr(os, "fork")
    if not told:
        return "fork" if can_fork and sys.platform != "darwin" else "spawn"
    if told == "spawn":
        return "spawn"
    if told != "fork":
        raise NurseryError(f"{VARIABLE}={told}: there is no such backend; it is fork or spawn")
    if not can_fork:
        raise NurseryError("this system cannot fork; leave --backend out, or take spawn")
    return "fork"


def open_nursery(
    preload: Iterable[str] = ("torch",), backend: Backend | None = None, *, many: bool = False
) -> Nursery | Spawner:
    """Start where judges come from.

    Args:
        preload: modules that all of them shall have imported.
        backend: how they are made; what suits the system when not given.
        many: dozens of workers will follow, so that it pays to make them cheap first.

    Raises:
        NurseryError: there is no such backend here.
        ScratchError: there is no room for the scratch folder.
    """
    return Nursery(preload, many) if chosen(backend) == "fork" else Spawner(preload)
