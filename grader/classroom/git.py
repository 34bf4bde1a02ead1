"""A git bundle or a bare clone that was handed in, read through the git program.

Nothing is checked out, and nothing that was handed in takes effect: git runs in an empty repository
of our own, without anybody's configuration, hooks or attributes. A bundle is unpacked there; of a
bare clone only the objects are looked at, through that repository, so that git never opens its
`config`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Final

from grader import handin
from grader.catalogue import Catalogue
from grader.handin import Bounds, HandIn, HandInError, Member, Sieve

SECONDS: Final = 60  # for one call of git
MEMORY: Final = 2 << 30
_NAME: Final = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
_REF: Final = re.compile(rb"ref: (refs/[\x21-\x7e]+)\n?")
_BRANCHES: Final = (b"refs/heads/main", b"refs/heads/master")


def is_bundle(path: Path) -> bool:
    """Whether a file is a git bundle, by its first line."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(7) == b"# v2 gi" or path.suffix == ".bundle"
    except OSError:
        return False


def is_bare(path: Path) -> bool:
    """Whether a folder is a bare clone."""
    return path.is_dir() and all(
        (path / name).exists() and not (path / name).is_symlink() for name in ("HEAD", "objects")
    )


def read(path: Path, known: Catalogue, bounds: Bounds) -> HandIn:
    """Read what was handed in as a bundle or a bare clone: the files of its newest commit.

    Raises:
        HandInError: git is not there, it cannot be read, or it exceeds the bounds.
    """
    name = path.name.encode("utf-8", "backslashreplace").decode()
    program = shutil.which("git")
    if program is None:
        raise HandInError(
            f"{name} is a git repository, and git is not installed; install it, or hand in a zip.",
            f"{name} 是 git 仓库，但没有安装 git；请安装 git，或改交 zip。",
        )
    with tempfile.TemporaryDirectory(prefix="happyllm-git-") as folder:
        git = _Git(program, Path(folder), name)
        git.run("init", "--quiet", "--bare", "--template=", str(git.repository))
        commit = _of_bundle(git, path, bounds) if path.is_file() else _of_clone(git, path, bounds)
        return handin.take(name, lambda sieve: _members(git, commit, sieve), known, bounds)


def _of_bundle(git: _Git, path: Path, bounds: Bounds) -> str:
    """Unpack a bundle into our repository; the commit that it hands in."""
    if path.stat().st_size > bounds.archive_bytes:
        raise git.refuse(
            f"is larger than {bounds.archive_bytes >> 20} MiB",
            "过大",
            "hand in a zip",
            "请改交 zip",
        )
    git.run("bundle", "verify", "--quiet", str(path.resolve()))
    heads: dict[bytes, bytes] = {}
    for line in git.run("bundle", "list-heads", str(path.resolve())).splitlines():
        commit, _, ref = line.partition(b" ")
        if _NAME.fullmatch(commit):
            heads[ref] = commit
    git.run("bundle", "unbundle", str(path.resolve()))
    return git.chosen(heads)


def _of_clone(git: _Git, path: Path, bounds: Bounds) -> str:
    """Look at the objects of a clone; the commit that its HEAD names, read without git."""
    borrowed = [path / "objects/info" / name for name in ("alternates", "http-alternates")]
    links, size = False, 0
    for folder, folders, files in os.walk(path):
        for one in (*folders, *files):
            place = os.path.join(folder, one)
            links = links or os.path.islink(place)
            with contextlib.suppress(OSError):
                size += os.lstat(place).st_size
    if links or any(one.exists() for one in borrowed) or (path / "commondir").exists():
        raise git.refuse(
            "borrows objects from elsewhere, or holds links",
            "借用了别处的对象或含有链接",
            "hand in `git bundle create work.bundle HEAD`",
            "请改交 `git bundle create work.bundle HEAD`",
        )
    if size > bounds.archive_bytes:
        most = bounds.archive_bytes >> 20
        raise git.refuse(f"is larger than {most} MiB", "过大", "hand in a zip", "请改交 zip")
    git.objects = path / "objects"
    heads: dict[bytes, bytes] = {}
    for line in _lines(path / "packed-refs"):
        commit, _, ref = line.partition(b" ")
        if _NAME.fullmatch(commit):
            heads[ref] = commit
    for ref in _BRANCHES:
        found = _lines(path / ref.decode())
        if found and _NAME.fullmatch(found[0]):
            heads[ref] = found[0]
    head = b"\n".join(_lines(path / "HEAD"))
    named = _REF.fullmatch(head)
    if named is not None and b".." not in named[1]:
        loose = _lines(path / os.fsdecode(named[1]))
        if loose and _NAME.fullmatch(loose[0]):
            heads[named[1]] = loose[0]
        if named[1] in heads:
            heads[b"HEAD"] = heads[named[1]]
    elif _NAME.fullmatch(head):
        heads[b"HEAD"] = head
    return git.chosen(heads)


def _lines(path: Path) -> list[bytes]:
    """The lines of a small file of a clone; none if it is not there."""
    try:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
            return file.read(1 << 20).splitlines()
    except OSError:
        return []


def _members(git: _Git, commit: str, sieve: Sieve) -> Iterator[Member]:
    """The regular files of a commit, listed while they come, so that no list is too long."""
    with git.stream("ls-tree", "-r", "-z", "--long", "--full-tree", commit) as out:
        for entry in _split(out):
            sieve.count()
            facts, _, raw = entry.partition(b"\t")
            mode, _, object_name, size = facts.split()
            path = raw.decode("utf-8", "surrogateescape")
            if sieve.wants(path) is None:
                continue
            if mode not in (b"100644", b"100755"):
                sieve.leave_out(path, "is a link, or no regular file", "是链接或特殊文件")
                continue
            yield path, _blob(git, object_name.decode(), int(size))


def _blob(git: _Git, name: str, size: int) -> Callable[[int], bytes]:
    def first(count: int) -> bytes:
        if size >= count:
            return b"\0" * count  # too large to be taken, and so not read at all
        return git.run("cat-file", "blob", name)

    return first


def _split(out: IO[bytes]) -> Iterator[bytes]:
    """What stands between null bytes."""
    rest = b""
    while chunk := out.read(1 << 16):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole


class _Git:
    """The git program in a repository of our own, with nobody's configuration."""

    def __init__(self, program: str, folder: Path, name: str):
        self.program = program
        self.folder = folder
        self.name = name
        self.repository = folder / "ours"
        self.objects: Path | None = None

    def refuse(self, en: str, zh: str, fix: str, fix_zh: str) -> HandInError:
        return HandInError(f"{self.name} {en}; {fix}.", f"{self.name} {zh}；{fix_zh}。")

    def chosen(self, heads: Mapping[bytes, bytes]) -> str:
        """The commit that counts: HEAD, else main or master, else the only one there is.

        Raises:
            HandInError: there is none, or it is not clear which.
        """
        for ref in (b"HEAD", *_BRANCHES):
            if ref in heads:
                return heads[ref].decode()
        if len(set(heads.values())) == 1:
            return next(iter(heads.values())).decode()
        raise self.refuse(
            f"holds {len(heads)} branches and no HEAD",
            f"含有 {len(heads)} 个分支而没有 HEAD",
            "hand in `git bundle create work.bundle HEAD`",
            "请改交 `git bundle create work.bundle HEAD`",
        )

    def run(self, *words: str) -> bytes:
        """What git prints.

        Raises:
            HandInError: it does not end well, or not in time.
        """
        with self._start(words) as process:
            try:
                out, errors = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise self.refuse(
                    "takes too long to read", "读取时间过长", "hand in a zip", "请改交 zip"
                ) from None
        if process.returncode:
            said = " ".join(errors.decode("utf-8", "backslashreplace").split())[:200]
            raise self.refuse(
                f"cannot be read by git ({said})",
                f"无法用 git 读取（{said}）",
                "hand in `git bundle create work.bundle HEAD`",
                "请改交 `git bundle create work.bundle HEAD`",
            )
        return out

    @contextlib.contextmanager
    def stream(self, *words: str) -> Iterator[IO[bytes]]:
        """What git prints, while it does; whoever has enough ends it."""
        with self._start(words) as process:
            assert process.stdout is not None
            try:
                yield process.stdout
            except BaseException:
                process.kill()
                raise
            finally:
                process.stdout.close()
                process.wait()
        if process.returncode:
            raise self.refuse(
                "has no such commit, or is damaged",
                "没有这次提交，或已损坏",
                "hand in `git bundle create work.bundle HEAD`",
                "请改交 `git bundle create work.bundle HEAD`",
            )

    def _start(self, words: Iterable[str]) -> subprocess.Popen[bytes]:
        settings = {
            "core.hooksPath": os.devnull,
            "core.fsmonitor": "false",
            "core.bigFileThreshold": "1m",
            "protocol.allow": "never",
            "gc.auto": "0",
            "pack.threads": "1",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        environment = {
            "PATH": "/usr/bin:/bin" if os.name == "posix" else os.environ.get("PATH", ""),
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
        }
        if "init" not in words:
            environment["GIT_DIR"] = str(self.repository)
        if self.objects is not None:
            environment["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(self.objects.resolve())
        process = subprocess.Popen(
            [self.program, *options, *words],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if "ls-tree" in words else subprocess.PIPE,
        )
        _bound(process.pid)
        return process


def _bound(pid: int) -> None:
    """Limit what git may take, where the system can."""
    with contextlib.suppress(ImportError, AttributeError, OSError, ValueError):
        import resource

        resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.prlimit(pid, resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (256 << 20, 256 << 20))
