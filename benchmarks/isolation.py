"""What a jailed worker costs over a bare fork of the same warm process, medians of one run.

    python benchmarks/isolation.py [--rounds 40]

A bare fork is timed from `os.fork()` to its first byte; a worker from the request to the fork
server to its word that the jail is closed behind it. The two take turns. Exits 1 when the strongest
isolation costs more than 40 ms over the fork.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import sys
import time

from grader.sandbox import wire
from grader.sandbox.jail import STRENGTHS, Isolation, Limits
from grader.sandbox.nursery import Lease, Nursery

LIMIT_MS = 40.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds

    import torch

    torch.set_num_threads(1)
    with Nursery() as nursery:
        offers = nursery.offers()
        given = [isolation for isolation in STRENGTHS if not offers[isolation]]
        lease = Lease(nursery._connection)
        bare: list[float] = []
        jailed: dict[Isolation, list[float]] = {isolation: [] for isolation in given}
        for number in range(rounds + 3):
            taken = {isolation: worker_ms(lease, isolation) for isolation in given}
            fork = fork_ms()
            if number >= 3:
                bare.append(fork)
                for isolation, took in taken.items():
                    jailed[isolation].append(took)
    base = statistics.median(bare)
    print(f"{'':24} {'median ms':>9} {'over a fork':>12}")
    print(f"{'bare fork':24} {base:9.1f}")
    for isolation, times in jailed.items():
        median = statistics.median(times)
        print(f"{isolation:24} {median:9.1f} {median - base:12.1f}")
    for isolation, refused in offers.items():
        if refused:
            print(f"{isolation:24} not on this machine: {refused}")
    over = statistics.median(jailed[given[0]]) - base
    print(f"{given[0]} costs {over:.1f} ms over a bare fork; the limit is {LIMIT_MS:.0f} ms")
    return int(over > LIMIT_MS)


def fork_ms() -> float:
    started = time.perf_counter()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, b"!")
        os._exit(0)
    os.read(reader, 1)
    took = time.perf_counter() - started
    os.waitpid(pid, 0)
    os.close(reader)
    os.close(writer)
    return 1000 * took


def worker_ms(lease: Lease, isolation: Isolation) -> float:
    ours, theirs = socket.socketpair()
    with ours, theirs, open(os.devnull, "wb") as nowhere:
        started = time.perf_counter()
        number = lease.fork_worker(theirs, nowhere.fileno(), Limits(isolation=isolation))
        ready = wire.receive(ours)
        took = time.perf_counter() - started
        lease.end_worker(number)
    assert ready is not None
    assert wire.decode(ready)["isolation"] == isolation
    return 1000 * took


if __name__ == "__main__":
    sys.exit(main())
