"""The fork server: one warm process, with torch imported and nothing else, to fork others from.

It is started with a scrubbed environment and knows no suite, no reference and no submission. From
it come the judges, which are trusted, and the workers, which enter the jail before they see code.
A connection that closes takes its workers along; when the first one closes, the server ends.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from . import jail, pages, seccomp, wire, worker
from .scratch import ScratchError, scratch_folder

try:
    import fcntl
except ImportError:  # Windows, where nothing is forked either
    fcntl = None  # type: ignore[assignment]

__all__ = ["Lease", "Nursery", "NurseryError", "ScratchError"]

ROOT = Path(__file__).resolve().parents[2]
_MAX_FDS = 4
ANSWER_S = 300.0  # the server answers at once, but at first it has torch to import


class NurseryError(Exception):
    """The fork server cannot be started, or has gone."""


# ---- the side that asks


class Nursery:
    """A running fork server, as its owner sees it. Close it, or use it as a context manager."""

    def __init__(self, preload: Iterable[str] = ("torch",), many: bool = False):
        """Start the server; it imports `preload` while the caller goes on.

        Args:
            preload: modules that all that is forked shall have.
            many: dozens will be forked, so that it pays to make forks cheap first.

        Raises:
            ScratchError: there is no room for its scratch folder.
        """
        self._folder = scratch_folder()
        self._scratch = self._folder.path
        self._connection, theirs = socket.socketpair()
        self._connection.settimeout(ANSWER_S)
        start = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
            "from grader.sandbox.nursery import main; main()"
        )
        with theirs, tempfile.TemporaryFile() as self._errors_made:
            self._errors = os.dup(self._errors_made.fileno())
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-c", start),
                    *(str(theirs.fileno()), self._scratch, "many" if many else "few", *preload),
                ],
                pass_fds=[theirs.fileno()],
                env=_environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                start_new_session=True,
            )
        self._lock = threading.Lock()

    def fork_judge(self, entry: str) -> socket.socket:
        """Fork a trusted process that runs `entry` ("package.module:function").

        The function is given the connection whose other end is returned, and a `Lease` of its own.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            request = {"op": "judge", "entry": entry}
            try:
                with self._lock:
                    _ask(self._connection, request, [theirs.fileno()], self.last_words)
            except BaseException:
                ours.close()
                raise
        return ours

    def offers(self) -> dict[jail.Isolation, str]:
        """What this machine gives, by trying: for each isolation why not, or nothing if it does."""
        lease = Lease(self._connection)
        found: dict[jail.Isolation, str] = {}
        for isolation in jail.STRENGTHS:
            ours, theirs = socket.socketpair()
            with ours, theirs, open(os.devnull, "wb") as nowhere, self._lock:
                limits = jail.Limits(isolation=isolation)
                number = lease.fork_worker(theirs, nowhere.fileno(), limits)
                theirs.close()
                body = wire.receive(ours)
                lease.end_worker(number)
            ready = {} if body is None else wire.decode(body)
            refused = ready.get("refused", "the worker ended before it was ready")
            found[isolation] = "" if ready.get("isolation") == isolation else refused
        return found

    def last_words(self) -> str:
        """What the server wrote on standard error, for a fault report."""
        with contextlib.suppress(OSError):
            size = os.fstat(self._errors).st_size
            return os.pread(self._errors, 4000, max(0, size - 4000)).decode(errors="replace")
        return ""

    @property
    def alive(self) -> bool:
        """Whether the server still runs, and answers."""
        return self._process.poll() is None and self._connection.fileno() >= 0

    def close(self) -> None:
        """End the server and everything that was forked from it."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # also for a thread that waits on it
        self._connection.close()
        try:
            self._process.wait(timeout=2)  # it may still be importing
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with contextlib.suppress(OSError):
            os.close(self._errors)
        self._folder.remove()

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class Ending:
    """How a worker ended: its exit status, or the signal that ended it."""

    status: int
    signal: int


@dataclass
class Lease:
    """A judge's line to the fork server: it asks for workers and ends them."""

    connection: socket.socket

    def fork_worker(self, link: socket.socket, output: int, limits: jail.Limits) -> int:
        """Fork a jailed worker that answers on `link` and writes what it prints to `output`."""
        request = {"op": "worker", "limits": asdict(limits)}
        number: int = _ask(self.connection, request, [link.fileno(), output])["worker"]
        return number

    def share(self) -> Lease:
        """A lease of its own for a process that this one forks; what it leaves ends with it."""
        ours, theirs = socket.socketpair()
        with theirs:
            _ask(self.connection, {"op": "lease"}, [theirs.fileno()])
        return Lease(ours)

    def end_worker(self, number: int) -> Ending:
        """Kill a worker with all its children, and say how it ended."""
        reply = _ask(self.connection, {"op": "end", "worker": number})
        return Ending(reply["status"], reply["signal"])


def _ask(
    connection: socket.socket,
    request: dict[str, Any],
    fds: Iterable[int] = (),
    last_words: Any = lambda: "",
) -> Any:
    try:
        socket.send_fds(connection, [wire.frame(wire.encode(request))], list(fds))
        body = wire.receive(connection)
    except OSError as error:
        connection.close()  # an answer that comes late would be taken for the next one's
        raise NurseryError(f"the fork server does not answer: {error}\n{last_words()}") from error
    if body is None:
        raise NurseryError(f"the fork server has ended\n{last_words()}")
    reply = wire.decode(body)
    if "refused" in reply:
        raise NurseryError(reply["refused"])
    return reply


def _environment() -> dict[str, str]:
    """What the server itself may know: where libraries are and the language, and no secret."""
    names = (*jail.ENVIRONMENT, "LD_LIBRARY_PATH", "SYSTEMROOT")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return kept | one | {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}


# ---- the server


def main() -> None:
    """Serve until the owner hangs up.

    Arguments: descriptor, scratch folder, whether `many` or `few` are forked, modules to preload.
    """
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    for name in sys.argv[4:]:
        importlib.import_module(name)
    if "torch" in sys.modules:
        _warm_torch()
    jail.keep_private()
    jail.be_called("happyllm-server")
    library = jail.Library()  # looked up once, for all workers
    gc.collect()
    gc.freeze()  # what is here now is never freed, so forks need not copy its pages to count
    if sys.argv[3] == "many":
        pages.join()
    _Server(connection, sys.argv[2], library).run()


def _warm_torch() -> None:
    """Have torch do at once what it would do at a worker's first call; no gradient is taken."""
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    with torch.no_grad():
        x = torch.ones(1, 2, 4, 8)
        torch.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)
        torch.nn.functional.silu(torch.nn.Linear(8, 8)(x).softmax(-1)).to(torch.float16).square()
        (x.to(torch.bfloat16) @ x.to(torch.bfloat16).transpose(2, 3)).float().rsqrt()


@dataclass
class _Worker:
    pid: int
    owner: socket.socket


class _Server:
    def __init__(self, owner: socket.socket, scratch: str, library: jail.Library):
        self.owner = owner
        self.scratch = scratch
        self.library = library
        self.selector = selectors.DefaultSelector()
        self.selector.register(owner, selectors.EVENT_READ)
        self.workers: dict[int, _Worker] = {}
        self.judges: dict[int, int] = {}
        self.count = 0

    def run(self) -> NoReturn:
        while True:
            for key, _ in self.selector.select():
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                if not self.serve(connection):
                    self.forget(connection)

    def serve(self, connection: socket.socket) -> bool:
        """Answer one request; False when the other side has closed."""
        try:
            head, fds, _, _ = socket.recv_fds(connection, 1 << 16, _MAX_FDS)
        except OSError:
            return False
        if not head:
            return False
        frames = list(wire.Frames().feed(head))  # a request is small and arrives whole
        try:
            request = wire.decode(frames[0])
            reply = getattr(self, f"do_{request['op']}")(connection, request, fds)
        except OSError as error:
            reply = {"refused": f"the fork server could not: {error}"}
        finally:
            for fd in fds:
                os.close(fd)
        try:
            connection.sendall(wire.frame(wire.encode(reply)))
        except OSError:  # it has ended since it asked
            return False
        return True

    def do_judge(self, _: socket.socket, request: dict[str, Any], fds: list[int]) -> Any:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                job = socket.socket(fileno=os.dup(fds[0]))
                self.let_go(keep={job.fileno(), theirs.fileno()})
                jail.die_with_parent()
                jail.be_called("happyllm-judge")
                module, _, function = request["entry"].partition(":")
                getattr(importlib.import_module(module), function)(job, Lease(theirs))
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        theirs.close()
        self.selector.register(ours, selectors.EVENT_READ)
        self.judges[ours.fileno()] = pid
        return {"pid": pid}

    def do_lease(self, _: socket.socket, request: dict[str, Any], fds: list[int]) -> Any:
        self.selector.register(socket.socket(fileno=os.dup(fds[0])), selectors.EVENT_READ)
        return {}

    def do_worker(self, owner: socket.socket, request: dict[str, Any], fds: list[int]) -> Any:
        limits = jail.Limits(**request["limits"])
        rules = self.library.ruleset()
        pid = os.fork()
        if pid == 0:
            ticket = _Ticket(limits, self.scratch, self.count, rules, self.library.refused)
            _live(fds[0], fds[1], ticket)
        if rules is not None:
            os.close(rules)
        self.count += 1
        self.workers[self.count] = _Worker(pid, owner)
        return {"worker": self.count}

    def do_end(self, _: socket.socket, request: dict[str, Any], fds: list[int]) -> Any:
        return self.end(self.workers.pop(request["worker"]))

    def end(self, one: _Worker) -> dict[str, int]:
        """Kill a worker's whole family and wait for it."""
        done, status = os.waitpid(one.pid, os.WNOHANG)
        if not done:
            os.kill(one.pid, signal.SIGTERM)  # its guardian kills the room, then follows
            _, status = os.waitpid(one.pid, 0)
        return _ending(status)

    def forget(self, connection: socket.socket) -> None:
        """A connection has closed: end what belonged to it."""
        for number in [n for n, one in self.workers.items() if one.owner is connection]:
            self.end(self.workers.pop(number))
        if connection is self.owner:
            for pid in self.judges.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for one in self.workers.values():
                self.end(one)
            shutil.rmtree(self.scratch, ignore_errors=True)  # the owner may have been killed
            os._exit(0)
        self.selector.unregister(connection)
        pid = self.judges.pop(connection.fileno(), 0)  # none where a judge has forked another
        connection.close()
        if pid:
            os.waitpid(pid, 0)

    def let_go(self, keep: set[int]) -> None:
        """In a fork: close every descriptor that is the server's."""
        self.selector.close()
        _close_all_but(keep | {0, 1, 2})


def _ending(status: int) -> dict[str, int]:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return {"status": 0, "signal": -code}
    return {"status": code, "signal": 0}


def _close_all_but(keep: set[int]) -> None:
    lower = 0
    for fd in [*sorted(keep), jail.HIGHEST_FD]:
        if fd > lower:  # closerange(0, 0) closes everything
            os.closerange(lower, fd)
        lower = fd + 1


# ---- a worker's first moments


@dataclass
class _Ticket:
    """What a worker is given on its way into the jail.

    Attributes:
        scratch: a folder for the files of its own; the server's, until it has one.
        number: counts the workers.
        rules: the descriptor of Landlock's rules, if it is to be had.
        refused: why an isolation is not to be had.
    """

    limits: jail.Limits
    scratch: str
    number: int
    rules: int | None
    no_landlock: str
    namespaces: bool = False
    refused: list[str] = field(default_factory=list)


def _live(link: int, output: int, ticket: _Ticket) -> NoReturn:
    """In the fork: become a guardian, and have the worker as its only child.

    The guardian stays outside the namespaces. It waits for the worker, hands its ending on, and
    kills it when told to; with the first process of a PID namespace the kernel kills the others,
    and without one the guardian kills what the worker leaves behind.
    """
    os.setsid()
    jail.be_called("happyllm-guard")
    jail.adopt_orphans()
    ticket.rules = _arrange_descriptors(link, output, ticket.rules)
    if ticket.limits.allows("namespaces+landlock"):
        jail.keep_private(False)  # /proc/self/uid_map is ours to write only then
        try:
            jail.unshare()
            ticket.namespaces = True
        except (OSError, AttributeError) as error:
            ticket.refused.append(f"namespaces: {error}")
    if not ticket.namespaces:  # a private mount would have parted the workers
        os.chmod(ticket.scratch, 0o711)  # another user has to get to its own folder
        ticket.scratch = tempfile.mkdtemp(dir=ticket.scratch)
    jail.keep_private()
    jail.die_with_parent()  # new credentials would have cleared it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    signal.signal(signal.SIGCHLD, lambda *_: None)  # what is ignored need not be kept
    try:
        child = os.fork()
    except OSError:
        os._exit(1)
    if child == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGCHLD})
        _enter(ticket)
    _close_all_but(set())
    status = _outlast(child)
    _end_orphans()
    if not ticket.namespaces:
        shutil.rmtree(ticket.scratch, ignore_errors=True)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        _end_by(-code)
    os._exit(code)


def _outlast(child: int) -> int:
    """Wait for the worker, and kill it when told to; its status.

    SIGTERM and SIGCHLD are blocked, and taken here. A handler would not do: Python runs it before a
    wait or when it breaks one off, so a signal that came just between would be heard when the
    worker ends by itself, if ever.
    """
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        if signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) == signal.SIGTERM:
            os.kill(child, signal.SIGKILL)


def _end_by(number: int) -> None:
    """End by the signal that ended the worker, so that no exit status is taken for one."""
    jail.leave_no_core()
    with contextlib.suppress(OSError):  # nobody may change what SIGKILL does
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)


def _end_orphans() -> None:
    """Kill what the worker left behind, and what that leaves behind, until nothing is left."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    with contextlib.suppress(ChildProcessError):
        while True:
            for pid in children.read_text().split():
                os.kill(int(pid), signal.SIGKILL)
            os.waitpid(-1, 0)


def _arrange_descriptors(link: int, output: int, rules: int | None) -> int | None:
    """Leave four descriptors: nothing to read, the output twice, and the wire; then the rules.

    Returns:
        where the rules are now.
    """
    nothing = os.open(os.devnull, os.O_RDONLY)
    wanted = (nothing, output, output, link, *([] if rules is None else [rules]))
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, len(wanted)) for fd in wanted]
    for fd, source in enumerate(high):
        os.dup2(source, fd, inheritable=False)
    os.closerange(len(wanted), jail.HIGHEST_FD)
    return None if rules is None else len(wanted) - 1


def _enter(ticket: _Ticket) -> NoReturn:
    """Close the jail behind this process, say which one it is, and serve."""
    connection = socket.socket(fileno=3)
    try:
        jail.die_with_parent()
        jail.be_called("happyllm-room")
        os.setsid()
        isolation = _confine(ticket)
        os.environ.clear()
        os.environ.update(jail.environment(ticket.scratch))
        tempfile.tempdir = None
        plain_streams()
        faulthandler.enable(2)
        ready = {"isolation": isolation, "refused": "; ".join(ticket.refused)}
        connection.sendall(wire.frame(wire.encode(ready)))
        worker.serve(connection)
    except jail.JailError as error:
        connection.sendall(wire.frame(wire.encode({"isolation": "", "refused": str(error)})))
    except MemoryError:
        os._exit(worker.OUT_OF_MEMORY)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def _confine(ticket: _Ticket) -> jail.Isolation:
    """Give up all that the limits ask for, from strong to weak; what is refused is noted.

    Raises:
        jail.JailError: what this machine gives is not allowed.
    """
    limits, scratch, refused = ticket.limits, ticket.scratch, ticket.refused
    isolation: jail.Isolation = "namespaces+landlock"
    if ticket.namespaces:
        jail.private_scratch(scratch, limits)
    else:
        isolation = "landlock"
        if limits.allows("landlock+uid"):
            try:
                jail.become_nobody(ticket.number, scratch)
                isolation = "landlock+uid"
                jail.die_with_parent()  # new credentials had cleared it
            except OSError as error:
                refused.append(f"uid: {error}")
    os.chdir(scratch)
    jail.limit(limits)
    if any(limits.allows(strength) for strength in jail.STRENGTHS[:-1]):
        try:
            if ticket.rules is None:
                raise OSError(ticket.no_landlock)
            jail.landlock(ticket.rules, scratch)
        except OSError as error:
            isolation = "process"
            refused.append(f"landlock: {error}")
    else:
        isolation = "process"
    if ticket.rules is not None:
        os.close(ticket.rules)
    jail.drop_capabilities()
    jail.keep_private()
    try:
        seccomp.restrict()
    except OSError as error:
        refused.append(f"seccomp: {error}")
    if not limits.allows(isolation):
        wanted = limits.isolation or f"{limits.weakest} or stronger"
        why = f" ({'; '.join(refused)})" if refused else ""
        raise jail.JailError(f"'{wanted}' is demanded, and this machine gives '{isolation}'{why}")
    return isolation


def plain_streams() -> None:
    """Fresh text streams on the worker's own descriptors; the server's went elsewhere.

    They are written line by line, so that what was printed before a crash can be shown.
    """
    options: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace", "closefd": False}
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        stream = os.fdopen(fd, "w" if fd else "r", buffering=1 if fd else -1, **options)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = [""]
