"""A soak of the wire: hostile messages by the hundred thousand, and nothing but refusals.

Not part of the quick tests. Run by hand, which also tells the numbers:

    python tests/attacks/soak_wire.py --messages 200000 --seed 1

or `pytest tests/attacks/soak_wire.py`. Three things are fed: `wire.decode`, `wire.Frames`, and a
`WorkerBackend` whose worker is our own, so that it can say what no worker would.
"""

from __future__ import annotations

import argparse
import collections
import random
import resource
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import msgpack
import pytest
import torch

from grader.judge.student import Output, Student, StudentFailure, WorkerBackend
from grader.sandbox import wire
from grader.sandbox.jail import Limits
from grader.sandbox.nursery import Ending

MESSAGES = 100_000
SLOWEST_S = 2.0  # any one message
GROWTH_MB = 512  # of the process, over all of them


# ---- the messages


class Mutator:
    """Makes messages: honest ones, spoilt ones, forged ones and noise, from a seed."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.torch = torch.Generator().manual_seed(seed)
        self.ways = (self.spoilt, self.spoilt, self.spliced, self.forged, self.noise, self.honest)
        self.last = b"\x80"

    def message(self, number: int = 0) -> bytes:
        self.number = number
        return self.random.choice(self.ways)()

    def value(self, depth: int = 0) -> Any:
        r = self.random
        if depth < 3 and r.random() < 0.5:
            parts = [self.value(depth + 1) for _ in range(r.randrange(5))]
            kind = r.randrange(4)
            if kind == 0:
                return tuple(parts)
            if kind == 1:
                return {r.choice(["id", "value", "raised", "x", 1, 2.5, None]): p for p in parts}
            if kind == 2:
                return {p for p in parts if isinstance(p, int | float | str | bytes | complex)}
            return parts
        return r.choice(
            [
                *(None, True, 0, -1, r.getrandbits(63), r.getrandbits(300), 1.5, float("nan")),
                *("", "x" * r.randrange(60), "\ud800", b"\xff" * r.randrange(60), 2 + 3j),
                *(slice(1, None), ..., torch.bfloat16, wire.Handle(r.getrandbits(20), "K")),
                torch.randn(r.randrange(4), r.randrange(4), generator=self.torch),
                torch.tensor(r.random() < 0.5),
            ]
        )

    def honest(self) -> bytes:
        reply = {"id": self.number, "value": self.value()}
        if self.random.random() < 0.2:
            frames = [["ch5/it.py", self.random.getrandbits(40), "f", "return x"]]
            said = {"type": "ValueError", "bases": ["Exception"], "message": "no"}
            reply = {"id": self.number, "raised": said | {"frames": frames}}
        self.last = wire.encode(reply)
        return self.last

    def spoilt(self) -> bytes:
        """An honest message with some bytes changed, left out, doubled or swollen."""
        r, body = self.random, bytearray(self.honest())
        for _ in range(r.randrange(1, 6)):
            at = r.randrange(len(body) + 1)
            way = r.randrange(5)
            if way == 0 and body:
                body[at % len(body)] = r.randrange(256)
            elif way == 1:
                del body[at : at + r.randrange(8)]
            elif way == 2:
                body[at:at] = bytes(r.choices(_HEADS, k=r.randrange(1, 6)))
            elif way == 3:
                body[at:at] = body[at : at + r.randrange(16)] * r.randrange(4)
            else:
                body[at:at] = struct.pack(">I", r.choice(_SIZES) & 0xFFFFFFFF)
        return bytes(body)

    def spliced(self) -> bytes:
        """The beginning of one message and the end of another."""
        one, other = self.last, self.honest()
        return (
            one[: self.random.randrange(len(one) + 1)] + other[self.random.randrange(len(other)) :]
        )

    def forged(self) -> bytes:
        """A message that is well made and false."""
        r = self.random
        code = r.randrange(-2, 12)
        inner = r.choice(
            [
                b"",
                msgpack.packb(
                    [r.choice(["float32", "bool", "object", 5]), [r.choice(_SIZES)], b"1"]
                ),
                msgpack.packb(["float32", [0, 1 << 26, 1 << 26, 1 << 26], b""]),
                msgpack.packb(["int8", [1] * r.randrange(40), b"x"]),
                msgpack.packb([r.choice([1, "x", None]), r.choice([2, [], {}])]),
                msgpack.packb([[], {}]),
                b"\x91" * r.choice([5, 30, 600, 5000]) + b"\xc0",
                b"\xdd" + struct.pack(">I", r.choice(_SIZES) & 0xFFFFFFFF),
                b"\xdf" + struct.pack(">I", r.choice(_SIZES) & 0xFFFFFFFF),
                b"\xff" * r.choice([1, 4095, 4097, 20_000]),
                b"\xc9\x00\x00\x00\x05\x04" * 100,
                bytes(r.getrandbits(8) for _ in range(20)),
            ]
        )
        for _ in range(r.choice([0, 0, 1, 3, 40])):
            inner = msgpack.packb([msgpack.ExtType(r.randrange(10), inner)])
        forged = msgpack.ExtType(code % 128, inner)
        key = r.choice([self.number, True, None, "1", float(self.number), 1 << 63])
        reply = r.choice(
            [
                {"id": key, "value": forged},
                {"id": key, "raised": {"type": forged, "bases": forged, "frames": [forged]}},
                {"id": key, "raised": {"frames": [["a", 1 << 63, "b", "c"], ["a", -1, "b", "c"]]}},
                {"id": key, "raised": {"type": "\n" * 99, "bases": ["MemoryError"], "message": 5}},
                {"id": key, "raised": r.choice([None, 5, [], "x"])},
                {"state": "loaded", "missing": 5},
                {"graded": {"outcome": "passed"}},
                [forged, forged],
                {"id": key, "value": [[]] * r.choice([10, 2000])},
            ]
        )
        return bytes(msgpack.packb(reply))

    def noise(self) -> bytes:
        r = self.random
        return bytes(r.getrandbits(8) for _ in range(r.choice([0, 1, 2, 5, 20, 200])))


_HEADS = (0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xC1, 0xC4, 0xC6, 0xC7, 0xC9, 0xD4, 0xD8, 0xDD, 0xDF, 0xFF)
_SIZES = (0, 1, 2, 255, 65_535, (1 << 20) + 1, 1 << 26, (1 << 31) - 1, (1 << 32) - 1)


# ---- the three that are fed


@dataclass
class Tally:
    """What came of the messages."""

    ends: collections.Counter[str] = field(default_factory=collections.Counter)
    slowest_s: float = 0.0
    started: float = field(default_factory=time.monotonic)
    before_mb: float = field(default_factory=lambda: peak_mb())

    def note(self, end: str, took: float) -> None:
        self.ends[end] += 1
        self.slowest_s = max(self.slowest_s, took)

    def __str__(self) -> str:
        took = time.monotonic() - self.started
        count = sum(self.ends.values())
        grown = peak_mb() - self.before_mb
        ends = ", ".join(f"{end} {number}" for end, number in self.ends.most_common())
        return (
            f"{count} messages in {took:.1f} s ({count / took:.0f} a second), slowest "
            f"{1000 * self.slowest_s:.1f} ms, peak memory +{grown:.0f} MB: {ends}"
        )


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def feed_decode(count: int, seed: int) -> Tally:
    mutator, tally = Mutator(seed), Tally()
    for number in range(count):
        body = mutator.message(number)
        before = time.perf_counter()
        try:
            wire.decode(body)
            end = "value"
        except wire.WireError:
            end = "WireError"
        tally.note(end, time.perf_counter() - before)
    return tally


def feed_frames(count: int, seed: int) -> Tally:
    mutator, tally = Mutator(seed), Tally()
    frames = wire.Frames(limit=1 << 16)
    for number in range(count):
        body = mutator.message(number)
        stream = wire.frame(body) if mutator.random.random() < 0.9 else body
        cut = mutator.random.randrange(len(stream) + 1)
        before = time.perf_counter()
        try:
            parts = [*frames.feed(stream[:cut]), *frames.feed(stream[cut:])]
            end = "frames" if parts else "nothing yet"
        except wire.WireError:
            end, frames = "WireError", wire.Frames(limit=1 << 16)
        assert len(frames.buffer) <= (1 << 16) + 4
        tally.note(end, time.perf_counter() - before)
    return tally


class Fake:
    """Stands for the fork server and for a worker: it answers each request with a message."""

    def __init__(self, mutator: Mutator):
        self.mutator = mutator
        self.thread: threading.Thread | None = None

    def fork_worker(self, link: socket.socket, output: int, limits: Limits) -> int:
        ours = link.dup()
        ours.sendall(wire.frame(wire.encode({"isolation": "process", "refused": ""})))
        self.thread = threading.Thread(target=self.serve, args=(ours,), daemon=True)
        self.thread.start()
        return 1

    def serve(self, link: socket.socket) -> None:
        number = 0
        with link:
            while True:
                try:
                    if wire.receive(link) is None:
                        return
                    number += 1
                    link.sendall(self.stream(number))
                except OSError:
                    return

    def stream(self, number: int) -> bytes:
        r = self.mutator.random
        body = self.mutator.message(number)
        way = r.random()
        if way < 0.90:
            return wire.frame(body)
        if way < 0.94:
            return wire.frame(body) * 2
        if way < 0.97:
            return struct.pack(">I", r.choice(_SIZES) & 0xFFFFFFFF) + body[:9]
        return wire.frame(body) + body[:3]

    def end_worker(self, number: int) -> Ending:
        return Ending(0, 9)


def feed_backend(count: int, seed: int) -> Tally:
    """Ask a worker that answers with mutated messages; a new one whenever it has been ended."""
    mutator, tally = Mutator(seed), Tally()
    asked = 0
    while asked < count:
        fake = Fake(mutator)
        backend = WorkerBackend(fake, Limits(), 0.2, Output(1000))  # type: ignore[arg-type]
        student = Student(backend, ("f",), "ch5/it.py")
        while backend.number is not None and asked < count:
            asked += 1
            before = time.perf_counter()
            try:
                student._ask("call", None, "f", (1,), title="f")
                end = "value"
            except StudentFailure as failure:
                end = type(failure).__name__
            tally.note(end, time.perf_counter() - before)
            student._log.clear()
        backend.close()
        assert fake.thread is not None
        fake.thread.join(5)
    return tally


FEEDS = {"decode": feed_decode, "frames": feed_frames, "backend": feed_backend}
SHARE = {"decode": 1.0, "frames": 1.0, "backend": 0.1}


@pytest.mark.slow
@pytest.mark.parametrize("feed", FEEDS)
def test_no_message_does_more_than_be_refused(feed: str) -> None:
    tally = FEEDS[feed](int(MESSAGES * SHARE[feed]), seed=1)
    print(tally)  # noqa: T201
    assert sum(tally.ends.values()) == int(MESSAGES * SHARE[feed])
    assert tally.slowest_s < SLOWEST_S
    assert peak_mb() - tally.before_mb < GROWTH_MB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for name, feed in FEEDS.items():
        print(f"{name}: {feed(int(given.messages * SHARE[name]), given.seed)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
