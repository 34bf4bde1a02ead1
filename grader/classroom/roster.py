"""Who is in the class, and whose each hand-in is.

A roster is a CSV file with a column `id`, and `name`, `email`, `section` and `extension` where they
are known. Without one, every hand-in is a student of its own name.

The attempts of a student are told by name: `alice`, `alice-2`, `alice@2026-11-01T23-59-00+08-00`.
An attempt with a time comes where its time puts it; others by their number.
"""

from __future__ import annotations

import csv
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar

from grader.catalogue import Text
from grader.gradebook import Student

from . import git
from .policy import duration, moment
from .problems import ClassroomError, RosterError, raise_if

MOST_BYTES: Final = 16 << 20
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "id": (
        *("id", "student id", "student_id", "studentid", "sid", "sis user id", "sis login id"),
        *("id number", "username", "user", "login", "学号", "用户名", "账号"),
    ),
    "name": ("name", "student", "student name", "full name", "fullname", "姓名", "名字", "学生"),
    "email": ("email", "e-mail", "email address", "mail", "邮箱", "电子邮件", "电子邮箱"),
    "section": ("section", "class", "group", "tutorial", "班级", "班", "小组", "组"),
    "extension": ("extension", "延期", "延长"),
}
_SEPARATORS: Final = ",;\t|"
_ARCHIVES: Final = re.compile(r"(?i)\.(zip|tar|tar\.(gz|bz2|xz)|tgz|tbz2|txz|py|bundle|git)$")
_TIMED: Final = re.compile(r"(.+)@(\d{4}-\d{2}-\d{2}T?[\d:.+Z-]*)")
_NUMBERED: Final = re.compile(r"(.+)-(\d{1,4})")
_TIME: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:T(\d{2})[:-]?(\d{2})(?:[:-]?(\d{2}))?)?"
    r"(Z|[+-]\d{2}[:-]?\d{2})?"
)


class Ordered(Protocol):
    """What an attempt must say of itself to be put in order."""

    @property
    def name(self) -> str: ...

    @property
    def number(self) -> int: ...

    @property
    def submitted_at(self) -> datetime | None: ...


Attempted = TypeVar("Attempted", bound=Ordered)


@dataclass(frozen=True)
class Roster:
    """The students of a class, in the order of the file, and what the file says of extensions."""

    students: tuple[Student, ...]
    extensions: Mapping[str, timedelta | datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A hand-in that was found, and what its name says.

    Attributes:
        path: where it lies.
        name: how it is called, fit to be shown.
        student: the id of whose it is.
        number: what the name says of its place among a student's attempts.
        submitted_at: when it came, where its name says so, in UTC.
    """

    path: Path
    name: str
    student: str
    number: int
    submitted_at: datetime | None


@dataclass(frozen=True)
class Matched:
    """Whose hand-ins are whose.

    Attributes:
        students: everybody: the roster, or all that handed in.
        found: their hand-ins, in the order of the folder.
        strangers: hand-ins that belong to nobody, or to more than one, on the roster.
    """

    students: tuple[Student, ...]
    found: tuple[Found, ...]
    strangers: tuple[str, ...] = ()


def load(file: Path) -> Roster:
    """Read a roster.

    Raises:
        RosterError: it cannot be read, has no column `id`, or names somebody twice.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise RosterError(
                Text(
                    f"{file}: is larger than {MOST_BYTES >> 20} MiB; that is no roster.",
                    f"{file}：超过 {MOST_BYTES >> 20} MiB；这不是名单。",
                )
            )
        data = file.read_bytes()
    except OSError as error:
        why = error.strerror
        raise RosterError(
            Text(f"{file}: cannot be read: {why}.", f"{file}：无法读取：{why}。")
        ) from error
    return parse(data, str(file))


def parse(data: bytes, name: str = "roster.csv") -> Roster:
    """Read a roster from its bytes.

    Raises:
        RosterError: it has no column `id`, or names somebody twice; every problem is told.
    """
    reader = _Reader(name)
    roster = reader.roster(reader.text(data))
    raise_if(reader.problems, RosterError)
    return roster


class _Reader:
    """Reads one roster; problems are collected, so that all are seen at once."""

    def __init__(self, name: str):
        self.name = name
        self.problems: list[Text] = []

    def problem(self, line: int, en: str, zh: str) -> None:
        self.problems.append(
            Text(f"{self.name}: line {line}: {en}.", f"{self.name}：第 {line} 行：{zh}。")
        )

    def text(self, data: bytes) -> str:
        encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            self.problem(
                line,
                f"byte {data[error.start]:#x} is no UTF-8; save the file as 'CSV UTF-8'",
                f"字节 {data[error.start]:#x} 不是 UTF-8；请另存为“CSV UTF-8”",
            )
            raise RosterError(*self.problems) from None

    def roster(self, text: str) -> Roster:
        head = next((line for line in text.splitlines() if line.strip()), "")
        separator = max(_SEPARATORS, key=head.count)
        rows = csv.reader(text.replace("\0", "\ufffd").splitlines(), delimiter=separator)
        try:
            lines = [(rows.line_num, [cell.strip() for cell in row]) for row in rows if any(row)]
        except csv.Error as error:
            self.problem(rows.line_num, f"is no CSV: {error}", f"不是有效的 CSV：{error}")
            return Roster(())
        if not lines:
            self.problem(1, "the file is empty; it needs a line of names", "文件为空；需要一行列名")
            return Roster(())
        columns = self.columns(*lines[0])
        if "id" not in columns:
            return Roster(())
        students: list[Student] = []
        extensions: dict[str, timedelta | datetime] = {}
        seen: dict[str, int] = {}
        for number, row in lines[1:]:
            cells = {key: row[at] for key, at in columns.items() if at < len(row)}
            student = self.student(number, cells, seen)
            if student is None:
                continue
            students.append(student)
            if cells.get("extension"):
                more = self.extension(number, cells["extension"])
                if more is not None:
                    extensions[student.id] = more
        if not students and not self.problems:
            self.problem(
                lines[0][0], "no student follows; is the file whole", "其后没有学生；文件是否完整"
            )
        return Roster(tuple(students), extensions)

    def columns(self, line: int, row: Sequence[str]) -> dict[str, int]:
        """Where each known column stands."""
        names = [plain(cell).replace("_", " ") for cell in row]
        found: dict[str, int] = {}
        for key, known in _COLUMNS.items():
            for one in known:
                if one.replace("_", " ") in names:
                    found[key] = names.index(one.replace("_", " "))
                    break
        if "id" not in found:
            there = ", ".join(row)[:120]
            self.problem(
                line,
                f"no column is called id (there are: {there}); call the student's number id",
                f"没有名为 id 的列（现有：{there}）；请把学号一列命名为 id",
            )
        return found

    def student(self, line: int, cells: Mapping[str, str], seen: dict[str, int]) -> Student | None:
        who = unicodedata.normalize("NFC", cells.get("id", ""))
        if not who:
            self.problem(
                line,
                "the id is empty; write one, or take the line out",
                "id 为空；请填写或删去此行",
            )
            return None
        if len(who) > 200 or any(c in "/\\" or not c.isprintable() for c in who):
            self.problem(
                line,
                f"id {who[:60]!r} holds a slash or a character that cannot be seen; take it out",
                f"id {who[:60]!r} 含有斜杠或不可见字符；请删去",
            )
            return None
        earlier = seen.setdefault(plain(who), line)
        if earlier != line:
            self.problem(
                line,
                f"id {who} stands in line {earlier} already; take one of the two out",
                f"id {who} 已在第 {earlier} 行出现；请删去其中一个",
            )
            return None
        rest = (cells.get(key, "") for key in ("name", "email", "section"))
        return Student(who, *rest)

    def extension(self, line: int, said: str) -> timedelta | datetime | None:
        more = duration(said) or moment(said)
        if more is None:
            self.problem(
                line,
                f"extension {said!r} is neither a span such as 2d nor a date such as "
                "2026-11-03T12:00:00+08:00; write one of them, or nothing",
                f"extension {said!r} 既不是 2d 这样的时长，也不是 2026-11-03T12:00:00+08:00 "
                "这样的时间；请改写或留空",
            )
        return more


# ---- whose is it


def listed(folder: Path) -> Iterator[Path]:
    """The hand-ins that lie in a folder: its folders, archives, bundles and clones.

    Raises:
        ClassroomError: it is no folder, or cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise ClassroomError(
            Text(
                f"{folder}: cannot be read as a folder of hand-ins: {error.strerror}; name the "
                "folder in which each student's folder or archive lies.",
                f"{folder}：无法作为作业文件夹读取：{error.strerror}；"
                "请给出存放每个学生的文件夹或压缩包的那个文件夹。",
            )
        ) from error
    for entry in found:
        if not entry.name.startswith((".", "__MACOSX")):
            path = Path(entry.path)
            is_folder = entry.is_symlink() or entry.is_dir(follow_symlinks=False)
            if is_folder or _ARCHIVES.search(entry.name) or git.is_bundle(path):
                yield path


def match(
    paths: Iterable[Path],
    roster: Roster | None,
    times: Literal["name", "mtime"] = "name",
) -> Matched:
    """Find whose each hand-in is, and order each student's attempts."""
    paths = list(paths)
    stems = [_stem(path) for path in paths]
    whose = _ByRoster(roster.students) if roster is not None else _ByName(stems)
    found: list[Found] = []
    strangers: list[str] = []
    for path, stem in zip(paths, stems, strict=True):
        who, number, when = whose.read(stem)
        if times == "mtime":
            when = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
        if who is None:
            strangers.append(shown(path.name))
        else:
            found.append(Found(path, shown(path.name), who, number, when))
    if roster is not None:
        students = roster.students
    else:
        students = tuple(Student(who) for who in sorted({f.student for f in found}, key=plain))
    return Matched(students, tuple(found), tuple(strangers))


def in_order(attempts: Iterable[Attempted]) -> list[Attempted]:
    """A student's attempts, the first one first: by time where every one has a time."""
    attempts = list(attempts)
    far = datetime.max.replace(tzinfo=UTC)
    if all(one.submitted_at is not None for one in attempts):
        return sorted(attempts, key=lambda a: (a.submitted_at or far, a.number, a.name))
    return sorted(attempts, key=lambda a: (a.number, a.submitted_at or far, a.name))


class _ByName:
    """Without a roster: the name is the student, and attempts are told by what is added to it."""

    def __init__(self, stems: Iterable[str]):
        self.stems = {plain(stem) for stem in stems}
        self.spelt: dict[str, str] = {}

    def read(self, stem: str) -> tuple[str | None, int, datetime | None]:
        timed = _TIMED.fullmatch(stem)
        if timed is not None and (when := when_of(timed[2])) is not None:
            who, number, _ = self.read(timed[1])
            return who, number, when
        numbered = _NUMBERED.fullmatch(stem)
        if numbered is not None and plain(numbered[1]) in self.stems:  # else it is a name: team-2
            return self.of(numbered[1]), int(numbered[2]), None
        return self.of(stem), 1, None

    def of(self, name: str) -> str:
        return self.spelt.setdefault(plain(name), name)


class _ByRoster:
    """By id, else by email, else by name, each if it is one student's alone."""

    def __init__(self, students: Iterable[Student]):
        students = tuple(students)
        self.by: dict[str, str] = {}
        for keys in (
            lambda s: (s.name, re.sub(r"\s", "", s.name), re.sub(r"\s", "_", s.name)),
            lambda s: (s.email, s.email.partition("@")[0]),
            lambda s: (s.id,),
        ):
            pairs = {(plain(key), s.id) for s in students for key in keys(s) if key}
            counts = Counter(key for key, _ in pairs)
            self.by |= {key: who for key, who in pairs if counts[key] == 1}

    def read(self, stem: str) -> tuple[str | None, int, datetime | None]:
        who = self.by.get(plain(stem))
        if who is not None:
            return who, 1, None
        timed = _TIMED.fullmatch(stem)
        if timed is not None and (when := when_of(timed[2])) is not None:
            who, number, _ = self.read(timed[1])
            return who, number, when
        numbered = _NUMBERED.fullmatch(stem)
        if numbered is not None and plain(numbered[1]) in self.by:
            return self.by[plain(numbered[1])], int(numbered[2]), None
        return self.of_download(stem), 1, None

    def of_download(self, stem: str) -> str | None:
        """Whose it is, where a course system has named it: `Ada Li_12345_assignsubmission_file_`.

        Canvas writes `lastnamefirstname_12345_67890_name`, with the number of the student first.
        """
        parts = [part for part in stem.split("_") if part]
        if len(parts) < 2:
            return None
        numbers = [part for part in parts if part.isdigit()]
        found = {self.by[plain(one)] for one in (parts[0], *numbers[:1]) if plain(one) in self.by}
        return found.pop() if len(found) == 1 else None


def when_of(said: str) -> datetime | None:
    """The time in a name, in UTC; `-` may stand for `:`, and without a zone it is UTC."""
    found = _TIME.fullmatch(said)
    if found is None:
        return None
    date, hour, minute, second, offset = found.groups()
    offset = "+00:00" if offset in (None, "Z") else f"{offset[:3]}:{offset[-2:]}"
    return moment(f"{date}T{hour or '00'}:{minute or '00'}:{second or '00'}{offset}")


def plain(name: str) -> str:
    """A name as names are compared: no difference of case, of width, or of blanks around it."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def shown(name: str) -> str:
    """A file's name, fit to be shown and stored, whatever bytes it is made of."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", text)


def _stem(path: Path) -> str:
    return _ARCHIVES.sub("", shown(path.name)) or shown(path.name)
