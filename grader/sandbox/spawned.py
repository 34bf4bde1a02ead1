"""Judges and workers as fresh processes, where there is no fork: the same wire, over pipes.

A spawned process imports torch itself, which takes seconds; so each judge keeps a worker in reserve
that is doing it already. There is no jail but the limits of the process, where the system has any,
and every Report says `process`. Two threads read what a worker answers and prints, because pipes
cannot be waited for together on every system.

What ends whom: a worker ends when its line to the judge does, also in the middle of a call, and a
judge when its line to the owner does. At a time limit the judge kills the worker with its process
group, on Windows with its tree (`taskkill /T`). What calls into C and never lets other threads run
is killed by the kernel on Linux, when the judge has ended; elsewhere its limit of processor time
ends it, and on Windows nothing does before the judge's clock.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from . import jail, seccomp, wire, worker
from .nursery import ROOT, Ending, NurseryError, plain_streams
from .scratch import ScratchError, scratch_folder

_CHUNK = 1 << 16
_CHUNKS = 64  # unread ones of what a worker answers; one that answers without end waits then
_PATIENCE_S = 5.0
NO_JAIL = "a spawned process has no jail; `--backend fork` has, where the system can"


class PipeConnection:
    """What a socket is to the fork server: a line to another process, over two pipes."""

    def __init__(self, reader: int, writer: int, process: subprocess.Popen[bytes] | None = None):
        self._reader = reader
        self._writer = writer
        self._process = process
        self._open = True
        self._lock = threading.Lock()

    def recv(self, size: int) -> bytes:
        try:
            return os.read(self._reader, size)
        except OSError:  # closed by another thread, or the other side has gone
            return b""

    def sendall(self, data: bytes) -> None:
        """Write all of it.

        Raises:
            ConnectionError: the other side has gone.
        """
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._writer, view[:_CHUNK]) :]
        except OSError as error:
            raise ConnectionError(str(error)) from error

    @property
    def alive(self) -> bool:
        """Whether the other process has not ended."""
        return self._open and (self._process is None or self._process.poll() is None)

    def shutdown(self, _: int = 0) -> None:
        """End the other process, also while another thread waits for what it says."""
        if self._process is not None:
            end(self._process)

    def close(self) -> None:
        with self._lock:
            if not self._open:
                return
            self._open = False
        if self._process is not None:
            end(self._process)
        for fd in (self._reader, self._writer):
            with contextlib.suppress(OSError):
                os.close(fd)

    def __enter__(self) -> PipeConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with its group, and wait for it."""
    if process.poll() is None:
        if sys.platform == "win32":  # pragma: no cover
            done = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
            subprocess.run(done, capture_output=True, check=False)
        else:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_PATIENCE_S)


def _spawn(function: str, *words: str, errors: Any, environment: dict[str, str]) -> Any:
    start = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        f"from grader.sandbox.spawned import {function}; {function}()"
    )
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":  # pragma: no cover
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(
        [sys.executable, "-I", "-c", start, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        cwd=os.path.abspath(os.sep),
        env=environment,
        bufsize=0,
        **options,
    )


def _environment(scratch: str) -> dict[str, str]:
    """Where libraries are and the language, and no secret."""
    system = ("SYSTEMROOT", "WINDIR", "PATH") if sys.platform == "win32" else ("LD_LIBRARY_PATH",)
    kept = {name: os.environ[name] for name in system if name in os.environ}
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    places = {"TEMP": scratch, "TMP": scratch, "PYTHONDONTWRITEBYTECODE": "1"}
    return jail.environment(scratch) | kept | one | places


# ---- the side that asks


class Spawner:
    """What a `Nursery` is to those that fork: where judges come from."""

    def __init__(self, preload: Iterable[str] = ("torch",)):
        """Make the scratch folder; nothing is started before a judge is asked for.

        Raises:
            ScratchError: there is no room for it.
        """
        self._preload = tuple(preload)
        self._folder = scratch_folder()
        self._scratch = self._folder.path
        self._errors = os.path.join(self._scratch, "last-words")
        self._judges: list[subprocess.Popen[bytes]] = []
        self._lines: list[PipeConnection] = []

    def fork_judge(self, entry: str) -> PipeConnection:
        """Start a trusted process that runs `entry`; its line comes back.

        Raises:
            NurseryError: it cannot be started.
        """
        try:
            with open(self._errors, "ab") as errors:
                process = _spawn(
                    "judge_main",
                    *(entry, self._scratch, *self._preload),
                    errors=errors,
                    environment=_environment(self._scratch),
                )
        except OSError as error:
            raise NurseryError(f"a judge cannot be started: {error}") from error
        with process.stdout, process.stdin:
            line = PipeConnection(
                os.dup(process.stdout.fileno()), os.dup(process.stdin.fileno()), process
            )
        self._judges.append(process)
        self._lines.append(line)
        return line

    def offers(self) -> dict[jail.Isolation, str]:
        """What spawned processes give: for each isolation why not, or nothing if they do."""
        return {name: "" if name == "process" else NO_JAIL for name in jail.STRENGTHS}

    def last_words(self) -> str:
        """What the judges wrote on standard error, for a fault report."""
        with contextlib.suppress(OSError):
            return Path(self._errors).read_bytes()[-4000:].decode(errors="replace")
        return ""

    @property
    def alive(self) -> bool:
        """Whether judges can be had; nothing runs that could have ended."""
        return os.path.isdir(self._scratch)

    def close(self) -> None:
        """End every judge, and with them their workers."""
        for line in self._lines:
            line.close()
        self._folder.remove()

    def __enter__(self) -> Spawner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# ---- the judge


def judge_main() -> None:
    """A judge's process. Arguments: entry, scratch folder, modules that its workers preload."""
    entry, scratch, *preload = sys.argv[1:]

    def orphaned() -> None:  # an owner that lives kills us before it hangs up
        shutil.rmtree(scratch, ignore_errors=True)

    connection = _Inbox(*_take_wire(keep_output=False), orphaned)
    lease = SpawnLease(scratch, preload)
    lease.expect(1)  # it imports torch while we do
    try:
        module, _, function = entry.partition(":")
        getattr(importlib.import_module(module), function)(connection, lease)
    finally:
        lease.close()


class SpawnLease:
    """A judge's stock of workers: one may stand in reserve, importing torch beforehand."""

    def __init__(self, scratch: str, preload: Iterable[str] = ("torch",)):
        self.scratch = scratch
        self.preload = tuple(preload)
        self.reserve: SpawnedWorker | None = None
        self.expected = 0

    def expect(self, count: int) -> None:
        """So many workers will be wanted; have the next one get ready."""
        self.expected = count
        if count > 0 and self.reserve is None:
            self.reserve = SpawnedWorker(self.scratch, self.preload)

    def take(self) -> SpawnedWorker:
        """A worker that nobody has used.

        Raises:
            NurseryError: none can be started.
        """
        taken, self.reserve = self.reserve, None
        if taken is None or not taken.is_fresh:
            if taken is not None:
                taken.kill()
            taken = SpawnedWorker(self.scratch, self.preload)
        self.expect(self.expected - 1)
        return taken

    def close(self) -> None:
        if self.reserve is not None:
            self.reserve.kill()
            self.reserve = None


class SpawnedWorker:
    """One worker process, and the threads that read from it."""

    def __init__(self, scratch: str, preload: Iterable[str]):
        self._print: Callable[[bytes], None] = lambda _: None
        try:
            self._scratch = tempfile.mkdtemp(dir=scratch)
            self._process = _spawn(
                "worker_main",
                *(self._scratch, *preload),
                errors=subprocess.PIPE,
                environment=_environment(self._scratch),
            )
        except OSError as error:
            raise NurseryError(f"a worker cannot be started: {error}") from error
        self._arrived: queue.Queue[bytes] = queue.Queue(_CHUNKS)
        self._to_send: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._over = False
        self._threads = [
            threading.Thread(target=run, daemon=True)
            for run in (self._read_answers, self._read_prints, self._write)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_fresh(self) -> bool:
        return self._process.poll() is None

    def begin(self, limits: jail.Limits, on_print: Callable[[bytes], None]) -> None:
        """Have the worker set its limits and say so; what it prints from then on is handed over."""
        self._print = on_print
        self.send(wire.frame(wire.encode({"limits": asdict(limits)})))

    def send(self, data: bytes) -> None:
        self._to_send.put(data)

    def receive(self, seconds: float) -> bytes | None:
        """What has come; empty when the worker has closed its line, None when time is up."""
        try:
            return self._arrived.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None

    def kill(self) -> Ending:
        """End the worker with all that it started; say how it ended, or was ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):  # one that has ended says how itself
            if self._arrived.qsize() and self._process.poll() is None:
                self._process.wait(timeout=0.2)
        end(self._process)
        self._over = True
        self._to_send.put(None)
        while True:  # a thread may wait for room
            try:
                self._arrived.get_nowait()
            except queue.Empty:
                break
        for thread in self._threads:
            thread.join(timeout=_PATIENCE_S)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()
        shutil.rmtree(self._scratch, ignore_errors=True)
        code = self._process.returncode or 0
        if sys.platform == "win32" and code >= 0xC0000000:  # pragma: no cover
            return Ending(0, signal.SIGSEGV)  # an exception of the processor's
        return Ending(0, -code) if code < 0 else Ending(code, 0)

    def _read_answers(self) -> None:
        while not self._over:
            data = _read(self._process.stdout.fileno())
            with contextlib.suppress(queue.Full):
                while not self._over:
                    try:
                        self._arrived.put(data, timeout=0.2)
                        break
                    except queue.Full:
                        continue
            if not data:
                return

    def _read_prints(self) -> None:
        while data := _read(self._process.stderr.fileno()):
            self._print(data)

    def _write(self) -> None:
        while (data := self._to_send.get()) is not None:
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(self._process.stdin.fileno(), view[:_CHUNK]) :]
            except OSError:  # it has ended, which its answers tell
                return


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except OSError:
        return b""


# ---- the worker


def worker_main() -> None:
    """A worker's process. Arguments: its scratch folder, modules to preload."""
    scratch, *preload = sys.argv[1:]
    inbox = _Inbox(*_take_wire(keep_output=True))
    jail.die_with_parent()
    try:
        for name in preload:
            importlib.import_module(name)
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(1)
        body = wire.receive(inbox)
        if body is None:
            os._exit(0)
        _begin(inbox, jail.Limits(**wire.decode(body)["limits"]), scratch)
    except MemoryError:
        os._exit(worker.OUT_OF_MEMORY)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def _begin(inbox: _Inbox, limits: jail.Limits, scratch: str) -> NoReturn:
    """Set the limits, say which isolation this is, and serve."""
    import faulthandler

    refused = [NO_JAIL]
    if not limits.allows("process"):
        wanted = limits.isolation or f"{limits.weakest} or stronger"
        said = f"'{wanted}' is demanded, and this machine gives 'process' ({NO_JAIL})"
        inbox.sendall(wire.frame(wire.encode({"isolation": "", "refused": said})))
        os._exit(0)
    os.chdir(scratch)
    jail.limit(limits)
    if sys.platform == "linux":
        try:
            jail.drop_capabilities()
            jail.keep_private()
            seccomp.restrict()
        except OSError as error:
            refused.append(f"seccomp: {error}")
    os.environ.clear()
    os.environ.update(_environment(scratch))
    tempfile.tempdir = None
    plain_streams()
    faulthandler.enable(2)
    ready = {"isolation": "process", "refused": "; ".join(refused)}
    inbox.sendall(wire.frame(wire.encode(ready)))
    worker.serve(inbox)
    os._exit(0)


class _Inbox:
    """The line to whom this process works for. It ends the process when the other side hangs up."""

    def __init__(self, reader: int, writer: int, at_end: Callable[[], None] = lambda: None):
        self._line = PipeConnection(reader, writer)
        self._at_end = at_end
        self._chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._rest = b""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while data := self._line.recv(_CHUNK):
            self._chunks.put(data)
        self._at_end()
        os._exit(0)

    def recv(self, size: int) -> bytes:
        if not self._rest:
            self._rest = self._chunks.get()
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def sendall(self, data: bytes) -> None:
        self._line.sendall(data)


def _take_wire(*, keep_output: bool) -> tuple[int, int]:
    """Move the two pipes away from the standard streams; what is printed goes to the error's."""
    writer, reader = os.dup(1), os.dup(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2 if keep_output else nothing, 1)
    os.close(nothing)
    if sys.platform == "win32":  # pragma: no cover
        import msvcrt

        for fd in (reader, writer):
            msvcrt.setmode(fd, os.O_BINARY)
    return reader, writer


__all__ = ["PipeConnection", "ScratchError", "SpawnLease", "SpawnedWorker", "Spawner"]
