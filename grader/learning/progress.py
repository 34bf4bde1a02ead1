"""Progress: what a learner has done in a workspace, kept in `.happyllm/progress.jsonl`.

It holds one line an event and is only ever appended to, whole lines at once and under a lock, so
that a crash or a second terminal costs no more than the line that was being written. What cannot
be read is left out, and what a later version wrote is kept. No verdict depends on any of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from grader import shelf
from grader.catalogue import Exercise, Text
from grader.report import Graded, Report
from grader.standing import State, StateName

from .workspace import HOME, NO_LINK, NO_WAIT, Workspace, WorkspaceError

VERSION = 1
FILE = "progress.jsonl"
MAX_BYTES = 64 << 20
LOCK_SECONDS = 2.0  # how long to wait for another terminal that is writing
MAX_FAILED = 50  # names of failing tests that are kept of one grading

Event = Mapping[str, Any]

_OF_EXERCISES = ("graded", "hint", "solution", "reset")


class Progress:
    """The journal of one workspace. It remembers nothing where `init` has made no `.happyllm/`.

    Every question reads what other terminals have added since.

    Attributes:
        note: why something could not be read or kept, in a line; None when all went well.
    """

    def __init__(self, workspace: Workspace):
        self.workspace = workspace
        self.file = workspace.root / HOME / FILE
        self.note: Text | None = None
        self._events: list[Event] = []
        self._read_at: tuple[int, ...] | None = None

    @classmethod
    def of(cls, workspace: Workspace) -> Progress:
        """The progress of a workspace; no state of the file makes this fail."""
        progress = cls(workspace)
        progress.events()
        return progress

    # ---- what is remembered

    def record(self, report: Report, sources: Mapping[str, str] | None = None) -> None:
        """Remember how exercises were graded.

        Only what the learner wrote counts: no stub, no file that is not there, no fault of the
        grader.

        Args:
            report: the grading's.
            sources: the texts that were graded, as `Workspace.sources` gave them; else the files
                are read again.
        """
        self.record_graded(report.exercises, sources)

    def record_graded(
        self, exercises: Iterable[Graded], sources: Mapping[str, str] | None = None
    ) -> None:
        """Remember how single exercises were graded; see `record`."""
        events = self.events()
        added: list[Event] = []
        for graded in exercises:
            if graded.outcome == "fault":
                continue
            text = self._text(graded.file) if sources is None else sources.get(graded.file)
            last = next(
                (
                    e
                    for e in reversed(events)
                    if e["exercise"] == graded.id and e["kind"] in ("graded", "reset")
                ),
                None,
            )
            if text is None or (
                graded.outcome == "untouched"
                and (last is None or last["kind"] == "reset" or last.get("outcome") == "untouched")
            ):
                continue
            failed = [test.id for test in graded.tests if test.outcome != "passed"]
            event = {
                "exercise": graded.id,
                "kind": "graded",
                "outcome": graded.outcome,
                "hash": fingerprint(text),
                "failed": failed[:MAX_FAILED],
                "mistake": graded.mistake.id if graded.mistake is not None else None,
            }
            same = events and all(events[-1].get(key) == value for key, value in event.items())
            if not same:  # what watch grades again and again is one event
                added.append(event)
        self._append(added)

    def record_milestone(self, milestone_id: str, reached: bool) -> None:
        """Remember that a chapter's milestone was tried."""
        if not reached or self.reached(milestone_id):
            return
        self._append([{"exercise": milestone_id, "kind": "milestone", "reached": True}])

    def reached(self, milestone_id: str) -> bool:
        """Whether a chapter's milestone was ever reached."""
        return any(e["kind"] == "milestone" and e.get("reached") for e in self._of(milestone_id))

    def shown(self, exercise_id: str) -> tuple[int, ...]:
        """Which hints of an exercise have been shown, by their places in the ladder, from 0."""
        told = (e.get("hint") for e in self._of(exercise_id) if e["kind"] == "hint")
        return tuple(dict.fromkeys(hint for hint in told if isinstance(hint, int)))

    def rung(self, exercise_id: str) -> int:
        """How many hints of an exercise have been shown."""
        return len(self.shown(exercise_id))

    def climb(self, exercise_id: str, hint: int | None = None) -> int:
        """Remember that a hint was shown, the lowest unseen one unless told; how many comes back.

        Where nothing can be remembered, the number does not grow.
        """
        if hint is None:
            shown = self.shown(exercise_id)
            hint = next(place for place in itertools.count() if place not in shown)
        self._append([{"exercise": exercise_id, "kind": "hint", "hint": hint}])
        return self.rung(exercise_id)

    def gave_up(self, exercise_id: str) -> None:
        """Remember that the solution was shown before the exercise was solved."""
        self._append([{"exercise": exercise_id, "kind": "solution"}])

    def reset(self, exercise_id: str) -> None:
        """Remember that an exercise was begun anew; the help that was had stays had."""
        self._append([{"exercise": exercise_id, "kind": "reset"}])

    # ---- what is asked

    @property
    def last(self) -> str | None:
        """The exercise that was last worked on."""
        told = (str(e["exercise"]) for e in reversed(self.events()) if e["kind"] in _OF_EXERCISES)
        return next(told, None)

    def state(self, exercise: Exercise) -> State:
        """Where the learner stands with an exercise."""
        outcome: str | None = None
        best: str | None = None
        graded: Event | None = None
        hints: set[int] = set()
        gave_up = False
        tried: set[str] = set()
        for event in self._of(exercise.id):
            kind = event["kind"]
            if kind == "reset":
                outcome, graded = None, None
                best = best if best == "passed" else None
            elif kind == "hint" and best != "passed":
                hints.add(event["hint"] if isinstance(event.get("hint"), int) else 0)
            elif kind == "solution" and best != "passed":
                gave_up = True
            elif kind == "graded":
                graded = event
                outcome = str(event.get("outcome"))
                if outcome != "untouched" and best != "passed":
                    tried.add(str(event.get("hash")))
                best = best if best == "passed" else outcome
        name: StateName = "failing"
        if outcome in (None, "untouched"):
            name = "untouched"
        elif outcome == "passed":
            name = "solved_with_help" if hints or gave_up else "solved"
        failed = graded.get("failed") if graded is not None else None
        mistake = graded.get("mistake") if graded is not None else None
        return State(
            name=name,
            outcome=outcome,
            best=best,
            attempts=len(tried),
            hints_used=len(hints),
            gave_up=gave_up,
            changed=self._changed(exercise, graded),
            mistake=mistake if isinstance(mistake, str) else None,
            failed=tuple(map(str, failed)) if isinstance(failed, list) else (),
        )

    def _of(self, exercise_id: str) -> list[Event]:
        return [event for event in self.events() if event["exercise"] == exercise_id]

    def _changed(self, exercise: Exercise, graded: Event | None) -> bool:
        text = self._text(exercise.file)
        if text is None:
            return False
        if graded is not None:
            return fingerprint(text) != graded.get("hash")
        try:
            return text != shelf.stub(exercise)
        except shelf.ShelfError:
            return False

    def _text(self, name: str) -> str | None:
        try:
            return self.workspace.text(name)
        except WorkspaceError:
            return None

    # ---- the file

    @property
    def kept(self) -> bool:
        """Whether anything is remembered here at all."""
        return self.file.parent.is_dir() and not self.file.parent.is_symlink()

    def events(self) -> list[Event]:
        """Every event that can be read, oldest first; those of later versions too."""
        if not self.kept:
            return []
        try:
            with open(os.open(self.file, os.O_RDONLY | NO_LINK | NO_WAIT), "rb") as file:
                at = _regular(os.fstat(file.fileno()))
                if at != self._read_at:
                    self._events = self._parse(file.read(MAX_BYTES))
                    self._read_at = at
        except FileNotFoundError:
            self._events, self._read_at = [], None
        except OSError as error:
            self._complain(error, "read", "读取")
        return self._events

    def _parse(self, data: bytes) -> list[Event]:
        lines = [line for line in data.split(b"\n") if line.strip()]
        events = [event for line in lines if (event := _event(line)) is not None]
        if lines and not events:
            self.note = Text(
                f"{self.file}: no line of it can be read; progress begins anew below them.",
                f"{self.file}：没有一行能读懂；进度将从其后重新记录。",
            )
        return events

    def _append(self, events: Iterable[Event]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        lines = [
            json.dumps({"v": VERSION, "at": now, **event}, ensure_ascii=False) for event in events
        ]
        if not lines or not self.kept:
            return
        data = ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | NO_LINK | NO_WAIT
        try:
            with open(os.open(self.file, flags, 0o666), "r+b", buffering=0) as file, _locked(file):
                size = _regular(os.fstat(file.fileno()))[1]
                if size:
                    file.seek(size - 1)
                    if file.read(1) != b"\n":  # somebody was stopped in the middle of a line
                        data = b"\n" + data
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._complain(error, "written", "写入")

    def _complain(self, error: OSError, done: str, done_zh: str) -> None:
        why = error.strerror or str(error)
        self.note = Text(
            f"{self.file}: cannot be {done} ({why}); progress is not remembered.",
            f"{self.file}：无法{done_zh}（{why}）；进度不会被记住。",
        )


def fingerprint(text: str) -> str:
    """What tells one text of a file from another."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _event(line: bytes) -> Event | None:
    """One line, if it is an event: of a kind that we know, or of one that comes later."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("v"), int):
        return None
    told = isinstance(event.get("exercise"), str) and isinstance(event.get("kind"), str)
    return event if told else None


def _regular(status: os.stat_result) -> tuple[int, int, int]:
    """What changes when the file does.

    Raises:
        OSError: it is no regular file.
    """
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, "it is no regular file")
    return status.st_ino, status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def _locked(file: Any) -> Iterator[None]:
    """Hold the file against other writers, where the file system can; wait a little for them.

    Without the lock all that can be lost is the check that the last line is whole: a line is
    written at once in any case.
    """
    held = False
    until = time.monotonic() + LOCK_SECONDS
    while not held and time.monotonic() < until:
        try:
            _lock(file.fileno())
            held = True
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:  # a file system without locks
            break
    try:
        yield
    finally:
        if held:
            with contextlib.suppress(OSError):
                _unlock(file.fileno())


try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    import msvcrt

    _FAR = 1 << 30  # a byte that nobody writes: what is locked on Windows cannot be read either

    def _lock(handle: int) -> None:
        os.lseek(handle, _FAR, os.SEEK_SET)
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except PermissionError as error:
            raise BlockingIOError from error

    def _unlock(handle: int) -> None:
        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
else:

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)
