"""What somebody handed in: a folder, a zip or a tar archive, read and never unpacked.

Nothing is written to disk, no link is followed, and no size that an archive states of itself is
believed: what is read is counted while it is read. What is taken are the texts of `ch5/*.py` and
the like; everything else is left where it is.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from .catalogue import Catalogue, Text

_STREAMS: Final[Mapping[str, Callable[..., Any]]] = {
    **dict.fromkeys((".tar.gz", ".tgz"), gzip.open),
    **dict.fromkeys((".tar.bz2", ".tbz2"), bz2.open),
    **dict.fromkeys((".tar.xz", ".txz"), lzma.open),
}
_NOT_OURS: Final = frozenset({"__MACOSX", "__pycache__", "node_modules", "site-packages"})
_DEEPEST: Final = 12
_END_OF_ZIP: Final = b"PK\x05\x06"
_BOUNDED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others unpack more than is asked for
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, ValueError, NotImplementedError, RuntimeError, OSError, MemoryError, KeyError),
)

Member = tuple[str, Callable[[int], bytes]]
"""The path of a file in a hand-in, and what gives so many of its first bytes."""


class HandInError(Exception):
    """A hand-in cannot be read at all; `text` says why in both languages."""

    def __init__(self, en: str, zh: str):
        self.text = Text(en=en, zh=zh)
        super().__init__(en)


@dataclass(frozen=True)
class Bounds:
    """How much of a hand-in is read.

    Attributes:
        archive_bytes: size of an archive as it was handed in.
        unpacked_bytes: what may come out of it while it is looked through.
        entries: files and folders that are looked at.
        files: Python files that are taken.
        file_bytes: size of one of them.
        total_bytes: size of all of them.
    """

    archive_bytes: int = 64 << 20
    unpacked_bytes: int = 128 << 20
    entries: int = 20_000
    files: int = 200
    file_bytes: int = 1 << 20
    total_bytes: int = 8 << 20


@dataclass(frozen=True)
class HandIn:
    """The files of a hand-in, as the engine takes them.

    Attributes:
        files: texts by their path in a workspace, `ch5/repeat_kv.py`.
        unread: files that cannot be read, by the same paths, and why.
        notes: what else was left out, and why.
    """

    files: Mapping[str, str]
    unread: Mapping[str, Text] = field(default_factory=dict)
    notes: tuple[Text, ...] = ()


def read(path: Path, known: Catalogue, bounds: Bounds = Bounds()) -> HandIn:
    """Read what was handed in at a path.

    The folder that holds `ch5` may lie anywhere in it; where there are several, the one that is
    least deep counts. A file `repeat_kv.py` that lies in no chapter's folder is taken for the
    exercise of that name where there is no other.

    Raises:
        HandInError: it is no folder or archive, it is damaged, or it exceeds the bounds.
    """
    name = path.name.encode("utf-8", "backslashreplace").decode()
    return take(name, lambda sieve: _members(path, name, sieve), known, bounds)


def take(
    name: str,
    members: Callable[[Sieve], Iterable[Member]],
    known: Catalogue,
    bounds: Bounds = Bounds(),
) -> HandIn:
    """Take what counts of a hand-in whose members are listed by somebody else.

    Args:
        name: what to call it.
        members: lists its members; it calls `count` of the sieve for each entry that it sees.
        known: the exercises there are.
        bounds: how much is read.

    Raises:
        HandInError: it is damaged, or it exceeds the bounds.
    """
    sieve = Sieve(known, bounds, name)
    try:
        for member, data in members(sieve):
            sieve.offer(member, data)
    except HandInError:
        raise
    except _DAMAGE as error:
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise HandInError(
            f"{name} cannot be read: {why}. Pack it again, or hand in the folder itself.",
            f"无法读取 {name}：{why}。请重新打包，或直接提交文件夹。",
        ) from error
    return sieve.taken()


def _members(path: Path, name: str, sieve: Sieve) -> Iterator[Member]:
    found, lower = path.lstat(), name.lower()
    if stat.S_ISDIR(found.st_mode):
        return _in_folder(path, sieve)
    if not stat.S_ISREG(found.st_mode):
        raise HandInError(
            f"{name} is no folder and no regular file; hand in a folder, a zip or a tar.gz.",
            f"{name} 既不是文件夹也不是普通文件；请提交文件夹、zip 或 tar.gz。",
        )
    if found.st_size > sieve.bounds.archive_bytes:
        most = sieve.bounds.archive_bytes >> 20
        raise HandInError(
            f"{name} is larger than {most} MiB; hand in the Python files alone.",
            f"{name} 超过 {most} MiB；请只提交 Python 文件。",
        )
    if lower.endswith(".zip"):
        return _in_zip(path, sieve)
    if lower.endswith((".tar", *_STREAMS)):
        return _in_tar(path, sieve)
    if lower.endswith(".py"):
        return iter([(path.name, _of_file(path))])
    raise HandInError(
        f"{name} is no archive that can be read; hand in a folder, a zip or a tar.gz.",
        f"{name} 不是可以读取的压缩包；请提交文件夹、zip 或 tar.gz。",
    )


# ---- what is taken


class Sieve:
    """Keeps the Python files of chapters, and counts all that it is shown."""

    def __init__(self, known: Catalogue, bounds: Bounds, name: str):
        self.bounds = bounds
        self.name = name
        self.chapters = {chapter.id for chapter in known.chapters}
        self.by_name = {f"{exercise.name}.py": exercise.file for exercise in known}
        self.texts: dict[PurePosixPath, str] = {}
        self.unread: dict[PurePosixPath, Text] = {}
        self.notes: list[Text] = []
        self.entries = self.bytes = 0

    def count(self) -> None:
        """Count one entry of a folder or an archive.

        Raises:
            HandInError: there are too many.
        """
        self.entries += 1
        if self.entries > self.bounds.entries:
            raise HandInError(
                f"{self.name} holds more than {self.bounds.entries:,} files; "
                "hand in the Python files alone.",
                f"{self.name} 中的文件超过 {self.bounds.entries:,} 个；请只提交 Python 文件。",
            )

    def wants(self, member: str) -> PurePosixPath | None:
        """The path of a member, if it is a file of a chapter or has the name of an exercise."""
        path = PurePosixPath(member.replace("\\", "/"))
        parts = path.parts
        if path.suffix != ".py" or "\0" in member:
            return None
        if path.parent.name not in self.chapters and path.name not in self.by_name:
            return None
        if path.is_absolute() or ".." in parts or ":" in parts[0]:
            self.leave_out(member, "leads out of the folder", "指向文件夹之外")
            return None
        hidden = any(part in _NOT_OURS or part.startswith(".") for part in parts)
        return None if hidden or len(parts) > _DEEPEST else path

    def leave_out(self, member: str, en: str, zh: str) -> None:
        """Note that a member is not taken, in words; a few of them are enough."""
        shown = member[:120].encode("utf-8", "backslashreplace").decode()
        if len(self.notes) < 20:
            self.notes.append(Text(f"{shown} {en}, and is left out.", f"{shown} {zh}，已忽略。"))

    def offer(self, member: str, data: Callable[[int], bytes]) -> None:
        """Take a member if it is wanted.

        Raises:
            HandInError: the files that are wanted are too many, or too large together.
        """
        path = self.wants(member)
        if path is None or path in self.texts or path in self.unread:
            return
        found = data(self.bounds.file_bytes + 1)
        self.bytes += len(found)
        if (
            self.bytes > self.bounds.total_bytes
            or len(self.texts) + len(self.unread) >= self.bounds.files
        ):
            raise HandInError(
                f"{self.name} holds more than {self.bounds.files} Python files, or "
                f"{self.bounds.total_bytes >> 20} MiB of them; hand in the exercises alone.",
                f"{self.name} 中的 Python 文件超过 {self.bounds.files} 个，或超过 "
                f"{self.bounds.total_bytes >> 20} MiB；请只提交练习文件。",
            )
        text = plain_text(found, self.bounds.file_bytes)
        if isinstance(text, Text):
            self.unread[path] = text
        else:
            self.texts[path] = text

    def taken(self) -> HandIn:
        """What lies in the folder that holds the chapters, under the paths of a workspace.

        Raises:
            HandInError: no file of an exercise was found.
        """
        found = [*self.texts, *self.unread]
        roots = {path.parents[1] for path in found if path.parent.name in self.chapters}
        if roots:
            root = min(roots, key=lambda one: (len(one.parts), str(one)))
            for other in sorted(map(str, roots - {root})):
                self.leave_out(other, f"is a second workspace beside {root}", f"与 {root} 重复")
            in_chapters = [path for path in found if path.parent.name in self.chapters]
            places = {p: str(p.relative_to(root)) for p in in_chapters if p.parents[1] == root}
        else:
            loose = sorted(found, key=lambda path: (len(path.parts), str(path)))
            places = {path: self.by_name[path.name] for path in reversed(loose)}
        if not places:
            chapters = ", ".join(sorted(self.chapters))
            raise HandInError(
                f"{self.name} holds no file of an exercise; hand in the folder that has "
                f"{chapters} in it.",
                f"{self.name} 中没有练习文件；请提交包含 {chapters} 的文件夹。",
            )
        return HandIn(
            files={place: self.texts[p] for p, place in places.items() if p in self.texts},
            unread={place: self.unread[p] for p, place in places.items() if p in self.unread},
            notes=tuple(self.notes),
        )


def plain_text(data: bytes, most: int) -> str | Text:
    """The text of a Python file, or why it cannot be read as one."""
    if len(data) > most:
        return Text(
            f"is larger than {most >> 20} MiB; that is no exercise.",
            f"超过 {most >> 20} MiB；这不是练习文件。",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, data[error.start]
        return Text(
            f"line {line}: byte {byte:#x} is no UTF-8; save the file in UTF-8.",
            f"第 {line} 行：字节 {byte:#x} 不是 UTF-8；请以 UTF-8 保存文件。",
        )
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        return Text(
            f"line {line}: a null byte; save the file as plain text in UTF-8.",
            f"第 {line} 行有空字节；请以纯文本 UTF-8 保存文件。",
        )
    return re.sub(r"\r\n?", "\n", text)


# ---- where it is taken from


def _in_folder(root: Path, sieve: Sieve) -> Iterator[Member]:
    """The regular files of a folder; what links lead to is not its."""
    todo = [root]
    while todo:
        with os.scandir(todo.pop()) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            sieve.count()
            place = Path(entry.path)
            name = place.relative_to(root).as_posix()
            if entry.is_symlink():
                if sieve.wants(name) or entry.name in sieve.chapters:
                    sieve.leave_out(name, "is a link", "是符号链接")
            elif entry.is_dir():
                deep = len(Path(name).parts) >= _DEEPEST
                if not deep and entry.name not in _NOT_OURS and not entry.name.startswith("."):
                    todo.append(place)
            elif entry.is_file():
                yield name, _of_file(place)
            elif sieve.wants(name):
                sieve.leave_out(name, "is no regular file", "不是普通文件")


def _of_file(path: Path) -> Callable[[int], bytes]:
    def first(count: int) -> bytes:
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
            return file.read(count)

    return first


def _in_zip(path: Path, sieve: Sieve) -> Iterator[Member]:
    with path.open("rb") as file:
        _check_directory(file, sieve)
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                sieve.count()
                mode = info.external_attr >> 16
                if info.is_dir():
                    continue
                if stat.S_ISLNK(mode):
                    if sieve.wants(info.filename):
                        sieve.leave_out(info.filename, "is a link", "是符号链接")
                elif info.flag_bits & 1 or info.compress_type not in _BOUNDED:
                    if sieve.wants(info.filename):
                        sieve.leave_out(
                            info.filename,
                            "is encrypted, or packed in an unusual way",
                            "已加密，或采用了不常见的压缩方式",
                        )
                else:
                    yield info.filename, _of_zip(archive, info)


def _of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[int], bytes]:
    def first(count: int) -> bytes:
        with archive.open(info) as member:
            return member.read(count)

    return first


def _check_directory(file: IO[bytes], sieve: Sieve) -> None:
    """Refuse a zip with a directory so large that reading it would take much memory."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(_END_OF_ZIP)
    if at < 0 or len(tail) < at + 16:
        return  # zipfile says what is wrong
    (directory_bytes,) = struct.unpack_from("<I", tail, at + 12)
    if directory_bytes > 512 * sieve.bounds.entries:  # 0xffffffff: only archives of 4 GiB need it
        sieve.entries = sieve.bounds.entries
        sieve.count()


def _in_tar(path: Path, sieve: Sieve) -> Iterator[Member]:
    opening = next((how for end, how in _STREAMS.items() if path.name.lower().endswith(end)), open)
    with (
        opening(path, "rb") as stream,
        tarfile.open(fileobj=_Counted(stream, sieve), mode="r|") as archive,
    ):
        for info in archive:
            sieve.count()
            if info.isdir():
                continue
            if info.isreg():
                yield info.name, _of_tar(archive, info)
            elif sieve.wants(info.name):
                sieve.leave_out(info.name, "is a link, or no regular file", "是链接或特殊文件")


def _of_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[int], bytes]:
    def first(count: int) -> bytes:
        member = archive.extractfile(info)
        return member.read(count) if member is not None else b""

    return first


class _Counted(io.RawIOBase):
    """A stream that ends in an error when more comes out of it than may."""

    def __init__(self, stream: IO[bytes], sieve: Sieve):
        self.stream = stream
        self.sieve = sieve
        self.left = sieve.bounds.unpacked_bytes

    def read(self, count: int = -1) -> bytes:
        """Read at most so many bytes."""
        data = self.stream.read(min(count, self.left + 1) if count >= 0 else self.left + 1)
        self.left -= len(data)
        if self.left < 0:
            most = self.sieve.bounds.unpacked_bytes >> 20
            raise HandInError(
                f"{self.sieve.name} unpacks to more than {most} MiB; "
                "hand in the Python files alone.",
                f"{self.sieve.name} 解压后超过 {most} MiB；请只提交 Python 文件。",
            )
        return data

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True
