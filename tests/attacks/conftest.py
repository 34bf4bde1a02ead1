"""A warm server, and a world around it that an attack could harm: files, sockets, a bystander."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from grader import catalogue, engine, shelf
from grader.sandbox.jail import STRENGTHS
from grader.sandbox.nursery import ROOT, Nursery

SECRET = "a-token-of-the-class-that-nobody-may-read-0815"


@dataclass
class World:
    """What stands outside the room."""

    folder: Path
    nursery: Nursery
    offered: dict[str, str]
    bystander: subprocess.Popen[bytes]
    listeners: dict[str, socket.socket]

    @property
    def facts(self) -> dict[str, object]:
        return {
            "repo": ROOT,
            "marker": self.folder / "marker",
            "class": self.folder / "class",
            "judge": os.getpid(),
            "server": self.nursery._process.pid,
            "bystander": self.bystander.pid,
            "tcp": self.listeners["tcp"].getsockname()[1],
            "udp": self.listeners["udp"].getsockname()[1],
            "unix": self.folder / "service",
            "log": self.folder / "log",
            "kept": self.folder / "kept",
            "abstract": f"happyllm-attack-{os.getpid()}",
        }

    def marks(self) -> list[str]:
        """What lies where nothing may be written."""
        found = list((self.folder / "marker").iterdir())
        for folder in (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path.home(), ROOT):
            with contextlib.suppress(OSError):
                found += [*folder.glob("PWNED*"), *folder.glob("planted-*")]
        return [str(path) for path in found]

    def listen(self, seconds: float = 0.0) -> list[str]:
        """Who has been reached, by the name of the listener."""
        found = []
        ready, _, _ = select.select(list(self.listeners.values()), [], [], seconds)
        for name, listener in self.listeners.items():
            if listener in ready:
                found.append(name)
                if listener.type == socket.SOCK_DGRAM:
                    listener.recv(100)
                else:
                    listener.accept()[0].close()
        return found

    def bystander_as_it_was(self) -> bool:
        process = psutil.Process(self.bystander.pid)
        asleep = process.status() == psutil.STATUS_SLEEPING
        return asleep and process.rlimit(psutil.RLIMIT_NOFILE) == self.limits

    def __post_init__(self) -> None:
        self.limits = psutil.Process(self.bystander.pid).rlimit(psutil.RLIMIT_NOFILE)

    def workers(self) -> list[psutil.Process]:
        """What runs below the server, save the server itself."""
        try:
            return psutil.Process(self.nursery._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def keep(self) -> os.stat_result:
        """A file of the grader's user that nobody is to touch, made anew."""
        file = self.folder / "kept"
        file.unlink(missing_ok=True)
        file.write_text("kept")
        file.chmod(0o600)
        return file.stat()

    def is_kept(self) -> bool:
        """Whether that file is as it was."""
        now = (self.folder / "kept").stat()
        return all(
            getattr(now, name) == getattr(self.kept, name)
            for name in ("st_mode", "st_size", "st_mtime_ns", "st_uid", "st_ctime_ns")
        )

    def is_quiet(self, patience_s: float = 5.0) -> bool:
        """Whether all that the server started has ended; a judge takes a moment to."""
        until = time.monotonic() + patience_s
        while self.workers():
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def clean(self) -> None:
        self.kept = self.keep()
        for mark in self.marks():
            Path(mark).unlink(missing_ok=True)
        while self.listen():
            pass
        if self.bystander.poll() is not None or not self.bystander_as_it_was():
            self.bystander.kill()
            self.bystander.wait()
            self.bystander = _bystander()
            self.__post_init__()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    for name in ("marker", "class/alice/ch5"):
        (folder / name).mkdir(parents=True)
    (folder / "marker").chmod(0o777)
    alice = folder / "class/alice/ch5/repeat_kv.py"
    alice.write_text("# ALICE\n" + shelf.solution(catalogue.load()["ch5/repeat_kv"]))
    listeners = {
        "tcp": socket.create_server(("127.0.0.1", 0)),
        "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "unix": socket.socket(socket.AF_UNIX),
        "abstract": socket.socket(socket.AF_UNIX),
        "log": socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
        "abstract log": socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    }
    listeners["udp"].bind(("127.0.0.1", 0))
    listeners["unix"].bind(str(folder / "service"))
    listeners["abstract"].bind(f"\0happyllm-attack-{os.getpid()}")
    listeners["log"].bind(str(folder / "log"))
    listeners["abstract log"].bind(f"\0happyllm-attack-{os.getpid()}-log")
    for name in ("unix", "abstract"):
        listeners[name].listen()
    bystander = _bystander()
    os.environ["CLASS_TOKEN"] = SECRET
    try:
        with Nursery() as nursery:
            offered = {str(name): why for name, why in nursery.offers().items()}
            world = World(folder, nursery, offered, bystander, listeners)
            yield world
            bystander = world.bystander  # an attack may have cost the first its life
    finally:
        del os.environ["CLASS_TOKEN"]
        bystander.kill()
        bystander.wait()
        for listener in listeners.values():
            listener.close()


def _bystander() -> subprocess.Popen[bytes]:
    """Another process of the same user, which has nothing to do with the grading."""
    process = subprocess.Popen(["sleep", "3600"])
    until = time.monotonic() + 5
    while psutil.Process(process.pid).name() != "sleep" and time.monotonic() < until:
        time.sleep(0.01)
    return process


@pytest.fixture(params=STRENGTHS)
def isolation(request: pytest.FixtureRequest, world: World) -> str:
    """Every isolation that this machine gives, one after another."""
    if world.offered[request.param]:
        pytest.skip(f"this machine gives no {request.param}: {world.offered[request.param]}")
    return str(request.param)


class Watch:
    """Counts, while something runs, what lives below the server: processes, and their memory."""

    def __init__(self, world: World, counts: bool):
        self.world = world
        self.counts = counts
        self.most_processes = 0
        self.most_mb = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._shared = _shared_mb()
        if self.counts:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self.counts:
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.05):
            processes = self.world.workers()
            self.most_processes = max(self.most_processes, len(processes))
            mb = _shared_mb() - self._shared
            for process in processes[:20]:
                with contextlib.suppress(psutil.Error):
                    mb += process.memory_full_info().uss / (1 << 20)
            self.most_mb = max(self.most_mb, mb)


def _shared_mb() -> float:
    """Memory that belongs to files in memory and to segments, wherever they are."""
    text = Path("/proc/meminfo").read_text()
    return int(text.split("Shmem:")[1].split()[0]) / 1024


__all__ = ["SECRET", "Watch", "World", "engine"]
