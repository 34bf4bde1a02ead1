"""Several processes on this machine, without torchrun: started together, ended together.

They meet over a file, not a port: no two runs can take each other's, and no firewall or odd network
interface makes one wait for the others for ever.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from happyllm.train.parallel import RENDEZVOUS

STOPPED = (0, 130, 143)  # done, or stopped in good order by a signal
GRACE = 5.0  # seconds that the others get once one has failed


class LaunchError(Exception):
    """One of several processes failed."""


def in_a_group() -> bool:
    """Whether this process is one of several that were started together."""
    return "WORLD_SIZE" in os.environ and "RANK" in os.environ


def launch(count: int, arguments: Sequence[str] | None = None) -> int:
    """Run this command in several processes, and wait for them.

    Args:
        count: How many.
        arguments: Of the command line; None takes those of this process.

    Returns:
        0, or the exit status of those that stopped at a signal.

    Raises:
        LaunchError: One of them failed; the others have been ended.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with tempfile.TemporaryDirectory(prefix="happyllm-") as scratch:
        environment = dict(os.environ, WORLD_SIZE=str(count), LOCAL_WORLD_SIZE=str(count))
        environment[RENDEZVOUS] = str(Path(scratch) / "meeting")
        if "OMP_NUM_THREADS" not in environment:
            environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // count))
        workers = [
            subprocess.Popen(
                [sys.executable, "-m", "happyllm.cli", *words],
                env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            )
            for rank in range(count)
        ]
        with _signals_passed_on(workers):
            return _wait(workers)


def _wait(workers: list[subprocess.Popen[bytes]]) -> int:
    try:
        deadline = math.inf
        while any(worker.poll() is None for worker in workers) and time.monotonic() < deadline:
            if deadline == math.inf and any(w.poll() not in (None, *STOPPED) for w in workers):
                deadline = time.monotonic() + GRACE
            time.sleep(0.05)
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.kill()
        codes = [worker.wait() for worker in workers]
    failed = [rank for rank, code in enumerate(codes) if code not in STOPPED]
    if not failed:
        return max(codes)
    for rank in failed:
        if codes[rank] > 0:  # it has said itself what is wrong
            return codes[rank]
    raise LaunchError(f"process {failed[0]} of {len(workers)} ended by signal {-codes[failed[0]]}")


@contextlib.contextmanager
def _signals_passed_on(workers: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Hand SIGTERM on; a terminal sends Ctrl-C to all processes itself."""

    def hand_on(number: int, _: object) -> None:
        for worker in workers:
            if worker.poll() is None:
                worker.send_signal(number)

    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, hand_on),
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
