"""The record of a class: one SQLite file that holds every hand-in, every verdict, every grade.

Whatever happens to a run, the record is whole: each verdict is a transaction of its own, written
ahead (WAL). Nothing in it is ever overwritten but a fault of the grader; a grade that is replaced
stays beside the one that replaces it. Times are in UTC, and nothing is ordered by them: a clock
that jumps changes what is shown, and nothing else.

A run holds a lock beside the file, which the system takes away with the process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from grader.catalogue import Text
from grader.gradebook import Integrity, Student
from grader.report import Graded, build, plain

from . import fingerprints
from .problems import RecordError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# Each step brings a record from the version of its place to the next.
MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        began_at TEXT NOT NULL,
        ended_at TEXT,
        took_s REAL,
        ended TEXT,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        versions TEXT NOT NULL,
        environment TEXT NOT NULL,
        policy TEXT NOT NULL,
        isolation TEXT NOT NULL
    );
    CREATE TABLE students (
        id TEXT PRIMARY KEY,
        place INTEGER NOT NULL,
        name TEXT NOT NULL,
        email TEXT NOT NULL,
        section TEXT NOT NULL,
        extension TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE contents (hash TEXT PRIMARY KEY, files BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE submissions (
        id INTEGER PRIMARY KEY,
        student TEXT NOT NULL,
        name TEXT NOT NULL,
        number INTEGER NOT NULL,
        submitted_at TEXT,
        content TEXT REFERENCES contents (hash),
        problem TEXT,
        notes TEXT NOT NULL,
        stands INTEGER NOT NULL,
        run INTEGER NOT NULL REFERENCES runs (id)
    );
    CREATE INDEX submissions_of_students ON submissions (student, name);
    CREATE TABLE results (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        content TEXT NOT NULL REFERENCES contents (hash),
        exercise TEXT NOT NULL,
        suite TEXT NOT NULL,
        environment TEXT NOT NULL,
        policy TEXT NOT NULL,
        seed INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        isolation TEXT NOT NULL,
        versions TEXT NOT NULL,
        graded TEXT NOT NULL,
        made_at TEXT NOT NULL,
        seal TEXT NOT NULL,
        run INTEGER NOT NULL REFERENCES runs (id)
    );
    CREATE INDEX results_of_contents ON results (content, exercise);
    CREATE TABLE grades (
        id INTEGER PRIMARY KEY,
        submission INTEGER NOT NULL REFERENCES submissions (id),
        exercise TEXT NOT NULL,
        result INTEGER NOT NULL REFERENCES results (id),
        accepted_at TEXT NOT NULL,
        run INTEGER NOT NULL REFERENCES runs (id)
    );
    CREATE INDEX grades_of_submissions ON grades (submission, exercise);
    """,
)
APPLICATION: Final = 0x68616C6D  # says in the file that it is a record of ours

Kind = Literal["class", "regrade"]
Ended = Literal["done", "stopped", "failed"]


@dataclass(frozen=True)
class Basis:
    """What a verdict on an exercise rests on, besides the files: with them it is the result's key.

    Attributes:
        policy: hash of the parts of the policy that change a verdict.
    """

    exercise: str
    suite: str
    environment: str
    policy: str
    seed: int

    def key(self, content: str) -> str:
        """Under which a result is kept."""
        return fingerprints.of([content, *dataclasses.astuple(self)])


@dataclass(frozen=True)
class Submission:
    """A hand-in as it is kept.

    Attributes:
        number: what its name says of its place among a student's attempts.
        content: hash of the files that count; none where it cannot be read.
        stands: no other has been handed in under its name since.
    """

    id: int
    student: str
    name: str
    number: int
    submitted_at: datetime | None
    content: str | None
    problem: Text | None
    notes: tuple[Text, ...]
    stands: bool


@dataclass(frozen=True)
class Result:
    """A verdict as it is kept."""

    id: int
    content: str
    basis: Basis
    isolation: str
    versions: Mapping[str, str]
    graded: Graded
    made_at: str
    seal: str

    @property
    def is_whole(self) -> bool:
        """Whether it is as it was written; the seal tells an accident, not a forger."""
        return self.seal == _seal(self.content, self.basis, self.isolation, self.graded)

    def integrity(self) -> Integrity:
        """The line that says what it rests on."""
        return Integrity(
            happyllm=self.versions.get("happyllm", ""),
            python=self.versions.get("python", ""),
            torch=self.versions.get("torch", ""),
            submission=self.content,
            suites=self.basis.suite,
            environment=self.basis.environment,
            policy=self.basis.policy,
            seed=self.basis.seed,
            isolation=self.isolation,
            seal=self.seal,
        )


class Record:
    """A record that is open. Use it as a context manager, or close it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: int | None):
        self.path = path
        self._db = connection
        self._lock = lock

    # ---- opening and closing

    @classmethod
    def open(cls, path: Path) -> Record:
        """Open a record for a run, and make it if it is not there.

        Raises:
            RecordError: another run has it, it is no record, or it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(path.parent, str(error.strerror)) from error
        lock = _lock(path)
        try:
            with _told(path):
                connection = sqlite3.connect(path, isolation_level=None, timeout=10)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA foreign_keys = ON")
                _migrate(path, connection)
        except BaseException:
            _unlock(path, lock)
            raise
        return cls(path, connection, lock)

    @classmethod
    def read(cls, path: Path) -> Record:
        """Open a record to look at it; a run may write to it meanwhile.

        Raises:
            RecordError: it is not there, or is no record.
        """
        if not path.is_file():
            raise RecordError(
                Text(
                    f"{path}: there is no such record; `happyllm-grade class` makes one.",
                    f"{path}：没有这份记录；`happyllm-grade class` 会建立它。",
                )
            )
        with _told(path):
            connection = _connect_to_read(path)
            _check_version(path, connection)
        return cls(path, connection, None)

    def close(self) -> None:
        """Close it, and leave one file if that can be done."""
        if self._lock is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        _unlock(self.path, self._lock)
        self._lock = None

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is kept, or nothing."""
        with _told(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with _told(self.path):
            return self._db.execute(query, values).fetchall()

    # ---- facts and runs

    def fact(self, key: str) -> str | None:
        """What was noted of the class under a name."""
        found = self._rows("SELECT value FROM facts WHERE key = ?", key)
        return str(found[0][0]) if found else None

    def note(self, **facts: str) -> None:
        """Note something of the class."""
        with self._writing() as db:
            for key, value in facts.items():
                db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, value))

    def begin(self, kind: Kind, policy: str, isolation: str) -> int:
        """Begin a run, and say which it is."""
        with self._writing() as db:
            added = db.execute(
                "INSERT INTO runs (kind, began_at, host, pid, versions, environment, policy, "
                "isolation) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(kind, now(), socket.gethostname(), os.getpid()),
                    json.dumps(fingerprints.versions()),
                    *(fingerprints.environment(), policy, isolation),
                ),
            )
            assert added.lastrowid is not None
            return added.lastrowid

    def end(self, run: int, how: Ended, took_s: float) -> None:
        """End a run; one that was killed has no end."""
        with self._writing() as db:
            db.execute(
                "UPDATE runs SET ended_at = ?, ended = ?, took_s = ? WHERE id = ?",
                (now(), how, round(took_s, 3), run),
            )

    def policy(self) -> str:
        """The text of the policy of the last run of the class."""
        found = self._rows("SELECT policy FROM runs ORDER BY id DESC LIMIT 1")
        return str(found[0][0]) if found else ""

    # ---- students and hand-ins

    def enrol(
        self,
        students: Iterable[Student],
        extensions: Mapping[str, timedelta | datetime],
        *,
        all_of_them: bool,
    ) -> None:
        """Take the students over, as they are now.

        With `all_of_them`, whoever is not among them has no line any more; what they handed in, and
        their grades, stay in the record all the same.
        """
        with self._writing() as db:
            if all_of_them:
                db.execute("DELETE FROM students")
            for place, one in enumerate(students):
                more = extensions.get(one.id)
                said = ""
                if isinstance(more, timedelta):
                    said = f"{int(more.total_seconds())}s"
                elif more is not None:
                    said = more.isoformat()
                db.execute(
                    "INSERT OR REPLACE INTO students VALUES (?, ?, ?, ?, ?, ?)",
                    (one.id, place, one.name, one.email, one.section, said),
                )

    def students(self) -> list[tuple[Student, timedelta | datetime | None]]:
        """Everybody, in the order of the roster, with what it says of more time."""
        from .policy import moment

        found: list[tuple[Student, timedelta | datetime | None]] = []
        for row in self._rows(
            "SELECT id, name, email, section, extension FROM students ORDER BY place, id"
        ):
            more: timedelta | datetime | None = None
            if row[4]:
                span = row[4].endswith("s") and row[4][:-1].isdigit()
                more = timedelta(seconds=int(row[4][:-1])) if span else moment(row[4])
            found.append((Student(*row[:4]), more))
        return found

    def hand_in(
        self,
        run: int,
        student: str,
        name: str,
        number: int,
        submitted_at: datetime | None,
        files: Mapping[str, str] | None,
        problem: Text | None = None,
        notes: Iterable[Text] = (),
    ) -> Submission:
        """Keep what was handed in; the same again under the same name is the same hand-in."""
        content = fingerprints.of_files(files) if files is not None else None
        told = json.dumps([problem.en, problem.zh]) if problem is not None else None
        when = submitted_at.isoformat() if submitted_at is not None else None
        with self._writing() as db:
            if files is not None:
                packed = zlib.compress(json.dumps(dict(files)).encode(), 6)
                db.execute("INSERT OR IGNORE INTO contents VALUES (?, ?)", (content, packed))
            db.execute(
                "UPDATE submissions SET stands = 0 WHERE student = ? AND name = ?", (student, name)
            )
            found = db.execute(
                "SELECT id FROM submissions WHERE student = ? AND name = ? AND content IS ? "
                "AND (content IS NOT NULL OR problem IS ?)",
                (student, name, content, told),
            ).fetchone()
            listed = json.dumps([[note.en, note.zh] for note in notes])
            if found is not None:
                number_of = int(found[0])
                db.execute(
                    "UPDATE submissions SET stands = 1, number = ?, submitted_at = ?, notes = ? "
                    "WHERE id = ?",
                    (number, when, listed, number_of),
                )
            else:
                added = db.execute(
                    "INSERT INTO submissions (student, name, number, submitted_at, content, "
                    "problem, notes, stands, run) VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)",
                    (student, name, number, when, content, told, listed, run),
                )
                assert added.lastrowid is not None
                number_of = added.lastrowid
        return self.submissions(number_of)[0]

    def submissions(self, one: int | None = None) -> list[Submission]:
        """Every hand-in, those too that no longer stand; or one."""
        where = "" if one is None else f" WHERE id = {int(one)}"
        rows = self._rows(
            "SELECT id, student, name, number, submitted_at, content, problem, notes, stands "
            f"FROM submissions{where} ORDER BY id"
        )
        return [
            Submission(
                id=row[0],
                student=row[1],
                name=row[2],
                number=row[3],
                submitted_at=datetime.fromisoformat(row[4]) if row[4] else None,
                content=row[5],
                problem=Text(*json.loads(row[6])) if row[6] else None,
                notes=tuple(Text(*note) for note in json.loads(row[7])),
                stands=bool(row[8]),
            )
            for row in rows
        ]

    def files(self, content: str) -> dict[str, str]:
        """The files of a hand-in.

        Raises:
            RecordError: they are not as they were kept.
        """
        found = self._rows("SELECT files FROM contents WHERE hash = ?", content)
        try:
            files: dict[str, str] = json.loads(zlib.decompress(found[0][0]))
        except (IndexError, zlib.error, ValueError) as error:
            raise _damaged(self.path, content[:12]) from error
        if fingerprints.of_files(files) != content:
            raise _damaged(self.path, content[:12])
        return files

    # ---- verdicts and grades

    def result(self, content: str, basis: Basis) -> Result | None:
        """A verdict that was found already; a fault of the grader is none."""
        found = self._results("results.key = ? AND outcome != 'fault'", basis.key(content))
        return found[0] if found else None

    def keep(self, run: int, content: str, basis: Basis, graded: Graded) -> Result:
        """Keep a verdict. A fault gives way to what is found later; nothing else does."""
        text = _as_json(graded)
        seal = _seal_of(content, basis, graded.isolation, text)
        key = basis.key(content)
        with self._writing() as db:
            db.execute(
                "INSERT INTO results (key, content, exercise, suite, environment, policy, seed, "
                "outcome, isolation, versions, graded, made_at, seal, run) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET outcome = excluded.outcome, "
                "isolation = excluded.isolation, versions = excluded.versions, "
                "graded = excluded.graded, made_at = excluded.made_at, seal = excluded.seal, "
                "run = excluded.run WHERE results.outcome = 'fault'",
                (
                    *(key, content, basis.exercise, basis.suite, basis.environment, basis.policy),
                    *(basis.seed, graded.outcome, graded.isolation),
                    *(json.dumps(fingerprints.versions()), text, now(), seal, run),
                ),
            )
        return self._results("results.key = ?", key, known={text: graded})[0]

    def accept(self, run: int, submission: int, results: Iterable[Result]) -> None:
        """Let verdicts be grades. What was a grade before stays, and no longer counts."""
        with self._writing() as db:
            for one in results:
                db.execute(
                    "INSERT INTO grades (submission, exercise, result, accepted_at, run) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (submission, one.basis.exercise, one.id, now(), run),
                )

    def grades(self, submission: int) -> dict[str, Result]:
        """The verdicts that count for a hand-in, by exercise."""
        found = self._results(
            "results.id IN (SELECT result FROM grades AS newest WHERE newest.id IN ("
            "SELECT max(id) FROM grades WHERE submission = ? GROUP BY exercise))",
            submission,
        )
        return {one.basis.exercise: one for one in found}

    def history(self, submission: int, exercise: str) -> list[tuple[str, Result]]:
        """Every grade that a hand-in had in an exercise, the oldest first, and when it was."""
        rows = self._rows(
            "SELECT accepted_at, result FROM grades WHERE submission = ? AND exercise = ? "
            "ORDER BY id",
            submission,
            exercise,
        )
        return [(row[0], self._results("results.id = ?", row[1])[0]) for row in rows]

    def _results(
        self, where: str, *values: object, known: Mapping[str, Graded] | None = None
    ) -> list[Result]:
        """Verdicts, in the order in which they were found; what is known need not be read anew."""
        known = known or {}
        rows = self._rows(
            "SELECT id, content, exercise, suite, environment, policy, seed, isolation, versions, "
            f"graded, made_at, seal FROM results WHERE {where} ORDER BY id",
            *values,
        )
        return [
            Result(
                id=row[0],
                content=row[1],
                basis=Basis(*row[2:7]),
                isolation=row[7],
                versions=json.loads(row[8]),
                graded=known.get(row[9]) or build(Graded, json.loads(row[9])),
                made_at=row[10],
                seal=row[11],
            )
            for row in rows
        ]


def now() -> str:
    """The time, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _as_json(graded: Graded) -> str:
    return json.dumps(plain(graded), allow_nan=False)


def _seal(content: str, basis: Basis, isolation: str, graded: Graded) -> str:
    return _seal_of(content, basis, isolation, _as_json(graded))


def _seal_of(content: str, basis: Basis, isolation: str, text: str) -> str:
    return fingerprints.of([content, dataclasses.astuple(basis), isolation, json.loads(text)])


# ---- the file


def _connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a record without writing, also where the folder cannot be written."""
    address = path.resolve().as_uri()
    connection = sqlite3.connect(f"{address}?mode=ro", uri=True, isolation_level=None, timeout=10)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if Path(f"{path}-wal").exists() and Path(f"{path}-wal").stat().st_size:
            raise  # the newest would be left out unseen
        return sqlite3.connect(f"{address}?immutable=1", uri=True, isolation_level=None)
    return connection


def _check_version(path: Path, db: sqlite3.Connection) -> int:
    """The version of a record.

    Raises:
        RecordError: it is none of ours, or is newer than this program.
    """
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION and (tables or version):
        raise _no_record(path)
    if version > len(MIGRATIONS):
        raise RecordError(
            Text(
                f"{path}: was made by a newer happyllm (form {version}, and this one knows "
                f"{len(MIGRATIONS)}); upgrade happyllm, or name another folder by --out.",
                f"{path}：由更新版本的 happyllm 建立（格式 {version}，本版本只认识到 "
                f"{len(MIGRATIONS)}）；请升级 happyllm，或用 --out 换一个文件夹。",
            )
        )
    return int(version)


def _migrate(path: Path, db: sqlite3.Connection) -> None:
    """Bring a record to the form of today, a step in a transaction each."""
    version = _check_version(path, db)
    for number in range(version, len(MIGRATIONS)):
        steps = MIGRATIONS[number].strip().rstrip(";")
        db.execute("BEGIN IMMEDIATE")
        try:
            for step in steps.split(";"):
                db.execute(step)
            db.execute(f"PRAGMA application_id = {APPLICATION}")
            db.execute(f"PRAGMA user_version = {number + 1}")
            db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in words what SQLite says in its own."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        said = str(error)
        code = getattr(error, "sqlite_errorname", "")
        if code.startswith("SQLITE_NOTADB") or "not a database" in said:
            raise _no_record(path) from error
        if code.startswith("SQLITE_FULL") or "disk is full" in said or "disk I/O" in said:
            raise RecordError(
                Text(
                    f"{path}: there is no room left on the disk. What was graded until now is "
                    "kept; make room and run the same command again.",
                    f"{path}：磁盘空间已满。此前的评分已保存；请腾出空间后再次运行同一命令。",
                )
            ) from error
        if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            raise _unwritable(path, said) from error
        if code.startswith("SQLITE_CORRUPT") or "malformed" in said:
            raise _damaged(path, said) from error
        raise RecordError(
            Text(
                f"{path}: cannot be used: {said}; is another program at work on it?",
                f"{path}：无法使用：{said}；是否有其他程序正在使用它？",
            )
        ) from error


def _no_record(path: Path) -> RecordError:
    return RecordError(
        Text(
            f"{path}: is no record of a class; name another folder by --out.",
            f"{path}：不是班级记录；请用 --out 换一个文件夹。",
        )
    )


def _damaged(path: Path, what: str) -> RecordError:
    return RecordError(
        Text(
            f"{path}: is damaged ({what}); put a copy of it back, or grade anew into another "
            "folder by --out.",
            f"{path}：已损坏（{what}）；请恢复备份，或用 --out 换一个文件夹重新评分。",
        )
    )


def _unwritable(path: Path, why: str) -> RecordError:
    return RecordError(
        Text(
            f"{path}: cannot be written: {why}; name a folder that can be written by --out.",
            f"{path}：无法写入：{why}；请用 --out 指定一个可写的文件夹。",
        )
    )


def _lock(path: Path) -> int:
    """Take the lock beside a record; the system gives it back when the process ends.

    Raises:
        RecordError: another run has it, or the folder cannot be written.
    """
    place = Path(f"{path}.lock")
    try:
        lock = os.open(place, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
    except OSError as error:
        raise _unwritable(path, str(error.strerror)) from error
    try:
        _take(lock)
    except OSError:
        said = os.pread(lock, 300, 1).decode("utf-8", "replace") if hasattr(os, "pread") else ""
        os.close(lock)
        who = " ".join(said.split()) or "another process"
        raise RecordError(
            Text(
                f"{path}: another run is at work on it ({who}); wait for it, or end it.",
                f"{path}：另一次运行正在使用它（{who}）；请等它结束，或先终止它。",
            )
        ) from None
    with contextlib.suppress(OSError):  # who it is says only who is in the way
        os.ftruncate(lock, 0)
        os.lseek(lock, 0, os.SEEK_SET)
        os.write(lock, f"\npid {os.getpid()}, {socket.gethostname()}, {now()}\n".encode())
    return lock


def _take(lock: int) -> None:
    if fcntl is not None:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:  # the first byte alone is locked, so that the rest can be read
        import msvcrt

        os.lseek(lock, 0, os.SEEK_SET)
        msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]


def _unlock(path: Path, lock: int | None) -> None:
    """Give the lock back; its file stays, since another may have opened it already."""
    if lock is not None:
        with contextlib.suppress(OSError):
            os.close(lock)
