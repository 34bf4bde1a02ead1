"""The jail: what a forked worker gives up before it runs a line of a learner's code.

From strong to weak:

- `namespaces+landlock`: users, processes, network, IPC and mounts of its own, a scratch folder that
  nobody else sees, and no file to read but the libraries';
- `landlock+uid`: no file but the libraries' and its scratch folder, as a user that is nobody's;
- `landlock`: the same under the user who grades, where there is no other to become;
- `process`: limits only.

In each of them the seccomp filter holds too, where the kernel has one: no process, no program, no
socket.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import re
import signal
import site
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .isolation import STRENGTHS, Isolation
from .modules import FORBIDDEN

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (
    *(0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000),
)
_MS_NOSUID, _MS_NODEV, _MS_REC, _MS_PRIVATE = 2, 4, 16384, 1 << 18
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME, _PR_CAPBSET_DROP = 1, 4, 15, 24
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 36, 38
_FIRST_UID, _UIDS = 61184, 4000  # the range that systemd keeps for users that come and go
_LAST_CAPABILITY = 63
HIGHEST_FD = 4096  # nothing of ours is opened above it

# What an environment may hold in the room; everything else stays outside.
ENVIRONMENT = ("LANG", "LC_ALL", "LC_CTYPE", "TZ")

# What the learning parts of the standard library and torch read at run time.
_READABLE = (
    *("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/usr/share/zoneinfo"),
    *("/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/zero"),
    *("/proc/cpuinfo", "/sys/devices/system/cpu"),  # torch asks for the processor's abilities
)
_HIDDEN = tuple(FORBIDDEN)
_PACKAGES = ("site-packages", "dist-packages")
_IS_PYTHON = re.compile(r"python[\d.]*")  # a Python's own library, ours or another's


@dataclass(frozen=True)
class Limits:
    """What one worker may use, and how it is confined.

    Attributes:
        isolation: demand this and no other; none takes the strongest that the machine gives.
        weakest: refuse to run code with less than this.
        memory_bytes: address space beyond what the fork server has already mapped.
        cpu_s: seconds of processor time, a backstop behind the judge's own clock.
        processes: processes and threads of the worker's user.
        open_files: descriptors.
        file_bytes: size of the private scratch folder, and of any one file in it.
    """

    isolation: Isolation | None = None
    weakest: Isolation = "process"
    memory_bytes: int = 2 << 30
    cpu_s: int = 60
    processes: int = 64
    open_files: int = 128
    file_bytes: int = 16 << 20

    def allows(self, isolation: Isolation) -> bool:
        """Whether a worker may run so."""
        if self.isolation is not None:
            return isolation == self.isolation
        return STRENGTHS.index(isolation) <= STRENGTHS.index(self.weakest)


class JailError(Exception):
    """This machine refuses the isolation that was demanded."""


def environment(scratch: str) -> dict[str, str]:
    """The environment of a worker: a home of its own and the language, and no secret."""
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return kept | {"HOME": scratch, "TMPDIR": scratch, "PATH": "/usr/bin:/bin"}


def unshare() -> None:
    """Enter new user, network, IPC and mount namespaces; the next fork enters a new PID namespace.

    Raises:
        OSError: the kernel or the container refuses.
    """
    uid, gid = os.getuid(), os.getgid()
    _check(_libc().unshare(_NEWUSER | _NEWNS | _NEWIPC | _NEWNET | _NEWPID), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"1000 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"1000 {gid} 1")


def private_scratch(scratch: str, limits: Limits) -> None:
    """Lay an empty file system in memory over the scratch folder, seen by this worker alone."""
    libc = _libc()
    _check(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount --make-rprivate /")
    options = f"size={limits.file_bytes},mode=700,nr_inodes=4096".encode()
    flags = _MS_NOSUID | _MS_NODEV
    _check(libc.mount(b"tmpfs", os.fsencode(scratch), b"tmpfs", flags, options), "mount tmpfs")


class Library:
    """What every worker may read, opened once, so that the rules of the next cost a moment.

    Opening a few hundred paths takes longer than all else that the jail does.
    """

    def __init__(self) -> None:
        """Open every file and folder, unless Landlock is not to be had."""
        self.refused = ""
        self._rules: list[Any] = []
        try:
            from landlock import FSAccess, LandlockError, landlock_abi_version
            from landlock.plumbing import PathBeneathAttr
        except ImportError:
            self.refused = "the package landlock is not installed"
            return
        try:
            _forget_errno()
            landlock_abi_version()
        except (LandlockError, OSError) as error:
            self.refused = str(error)
            return
        _allow_open_files()
        file = FSAccess.READ_FILE | FSAccess.EXECUTE
        paths = [(path, file | FSAccess.READ_DIR * os.path.isdir(path)) for path in libraries()]
        for path, allowed in [*paths, ("/dev/null", FSAccess.READ_FILE | FSAccess.WRITE_FILE)]:
            self._rules.append(PathBeneathAttr(allowed, os.open(path, os.O_PATH | os.O_CLOEXEC)))

    def ruleset(self) -> int | None:
        """The descriptor of new rules, by which these may be read and nothing else.

        Nothing where Landlock is not. Close it when it has been applied.

        Raises:
            OSError: the kernel refuses.
        """
        if self.refused:
            return None
        from landlock import FSAccess, LandlockError, plumbing

        all_that_there_is = plumbing.RulesetAttr(FSAccess.all())
        size = ctypes.sizeof(all_that_there_is)
        _forget_errno()
        try:
            rules: int = plumbing.get_create_ruleset()(ctypes.byref(all_that_there_is), size, 0)
            for rule in self._rules:
                _add_rule(rules, rule)
        except LandlockError as error:
            raise OSError(str(error)) from error
        return rules


def landlock(rules: int, scratch: str) -> None:
    """Leave only what the rules allow to be read, and the scratch folder to be written.

    Args:
        rules: made by `Library.ruleset`, for this worker alone.
        scratch: its own folder.

    Raises:
        OSError: the kernel refuses.
    """
    from landlock import FSAccess, LandlockError, plumbing

    folder = os.open(scratch, os.O_PATH | os.O_CLOEXEC)
    _forget_errno()
    try:
        _add_rule(rules, plumbing.PathBeneathAttr(FSAccess.all(), folder))
        plumbing.get_prctl()(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        plumbing.get_restrict_self()(rules, 0)
    except LandlockError as error:
        raise OSError(str(error)) from error
    finally:
        os.close(folder)


def _add_rule(rules: int, rule: Any) -> None:
    from landlock.plumbing import get_add_rule

    beneath_a_path = 1
    get_add_rule()(rules, beneath_a_path, ctypes.byref(rule), 0)


def _forget_errno() -> None:
    ctypes.set_errno(0)  # the package takes what an earlier call left for an error of its own


def _allow_open_files() -> None:
    """Raise the number of files that this process may have open, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = HIGHEST_FD if hard == resource.RLIM_INFINITY else min(HIGHEST_FD, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@functools.cache
def libraries() -> tuple[str, ...]:
    """Every file and folder that a worker may read: system libraries, Python's own, and packages.

    A folder that holds packages is named entry by entry, because the answers may lie in it.
    """
    folders = [path for path in _READABLE if os.path.isdir(path)]
    folders += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += site.getsitepackages()
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    found = {path for path in _READABLE if os.path.exists(path) and not os.path.isdir(path)}
    for folder in {os.path.realpath(folder) for folder in folders}:  # /lib may be /usr/lib
        found |= set(_entries(folder))
    if shared := sysconfig.get_config_var("LIBDIR"):
        found |= {path for path in _entries(shared) if ".so" in os.path.basename(path)}
    return tuple(sorted(path for path in found if os.path.exists(path)))


def _entries(folder: str) -> list[str]:
    """A folder, or what lies in it if that is not all to be read: answers, packages, Pythons."""
    if not os.path.isdir(folder):
        return []
    kept, all_of_it = [], True
    for entry in os.scandir(folder):
        name = entry.name.lower()
        others = entry.is_dir() and (_IS_PYTHON.fullmatch(name) or name in _PACKAGES)
        if others or name.startswith(_HIDDEN) or name.endswith((".pth", ".egg-link")):
            all_of_it = False
        else:
            kept.append(entry.path)
    return [folder] if all_of_it else kept


def limit(limits: Limits) -> None:
    """Set the process's limits; what is above its own hard limit stays where it is.

    Windows has none of them, and macOS none of memory that holds.
    """
    if resource is None:
        return
    values = {
        resource.RLIMIT_CPU: limits.cpu_s,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux":
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        values |= {
            resource.RLIMIT_AS: mapped + limits.memory_bytes,
            resource.RLIMIT_NPROC: limits.processes,
        }
    for name, value in values.items():
        _, hard = resource.getrlimit(name)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (most, most))


def leave_no_core() -> None:
    """Have no core file written when this process crashes."""
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def drop_capabilities() -> None:
    """Give up every capability, also those that a new user namespace had granted."""
    libc = _libc()
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    empty = (ctypes.c_uint32 * 6)()
    _check(libc.capset(header, empty), "capset")
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def become_nobody(number: int, scratch: str) -> None:
    """Take a user of which nothing else on this machine is, and give it the scratch folder.

    Args:
        number: counts the workers, so that two at a time are two users.
        scratch: a folder for this worker alone.

    Raises:
        OSError: we are no root, or that user could not read Python's own library.
    """
    if os.getuid() != 0:
        raise OSError(errno.EPERM, "only root can become another user")
    library = Path(sysconfig.get_path("stdlib")).resolve()
    closed = [str(part) for part in (library, *library.parents) if not part.stat().st_mode & 0o005]
    if closed:
        raise OSError(errno.EACCES, f"other users cannot enter {closed[-1]}")
    uid = _FIRST_UID + number % _UIDS
    os.chown(scratch, uid, uid)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def keep_private(private: bool = True) -> None:
    """Forbid, or allow, other processes of the same user to look into this one's memory."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_DUMPABLE, int(not private), 0, 0, 0)


def be_called(name: str) -> None:
    """Give this process a name of at most 15 characters, by which `ps` and `top` show it."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def adopt_orphans() -> None:
    """Have what a child leaves behind handed to this process, and not to the system's first."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
