"""The learner's own state on the pages: graded when a page asks for it, and again at every save."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from grader import engine
from grader.catalogue import Catalogue, Exercise, Language, Text
from grader.learning.progress import Progress
from grader.learning.workspace import Workspace, WorkspaceError
from grader.report import Graded
from grader.sandbox.nursery import Nursery

StateName = Literal["solved", "failing", "untouched"]
NOTHING = Text("", "")


@dataclass(frozen=True)
class State:
    """Where the learner stands with one exercise, and what the last grading said in a sentence."""

    name: StateName
    said: Text = NOTHING
    grading: bool = False

    def in_(self, language: Language) -> dict[str, object]:
        """What a page is told."""
        return {"name": self.name, "said": self.said.in_(language), "grading": self.grading}


class Live:
    """Grades a workspace in a thread of its own, and wakes those who wait for news.

    Nothing is graded, and no torch imported, before a page asks for states.
    """

    def __init__(
        self, workspace: Workspace, catalogue: Catalogue, complain: Callable[[str], None]
    ) -> None:
        self.workspace = workspace
        self._exercises = {e.file: e for e in workspace.exercises(catalogue)}
        self._complain = complain
        self._states: dict[str, State] = {}
        self._version = 0
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def wait(self, seen: int, seconds: float) -> tuple[int, Mapping[str, State]]:
        """The states, and their version, as soon as it is not the one that was seen."""
        with self._news:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
            self._news.wait_for(lambda: self._version != seen or self._stop.is_set(), seconds)
            return self._version, dict(self._states)

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def close(self) -> None:
        """End the thread and everything that it started."""
        self._stop.set()
        with self._news:
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        from watchfiles import watch

        try:
            with Nursery(engine.preloads(self._exercises.values())) as nursery:
                folders = [
                    folder
                    for folder in sorted({self.workspace.root / e.chapter for e in self._all})
                    if folder.is_dir()
                ]
                graded = False
                # The watcher stands before the first file is read, so that no save goes unseen.
                for changes in watch(
                    *folders,
                    stop_event=self._stop,
                    debounce=100,
                    step=20,
                    rust_timeout=200,
                    yield_on_timeout=True,
                ):
                    names = {self._name(path) for _, path in changes}
                    due = [e for e in self._all if not graded or e.file in names]
                    self._grade(due, nursery, remember=graded)
                    graded = True
        except Exception as error:  # a page without states is still a page
            self._complain(f"your exercises are no longer graded: {error}")
            self._tell(dict.fromkeys(self._states))

    @property
    def _all(self) -> Iterable[Exercise]:
        return self._exercises.values()

    def _name(self, path: str) -> str:
        try:
            return Path(path).relative_to(self.workspace.root).as_posix()
        except ValueError:
            return path

    def _grade(self, exercises: Iterable[Exercise], nursery: Nursery, *, remember: bool) -> None:
        """Grade one by one; what was saved counts as an attempt, what was found does not."""
        for exercise in exercises:
            if self._stop.is_set():
                return
            last = self._states.get(exercise.id, State("untouched"))
            self._tell({exercise.id: replace(last, grading=True)})
            self._tell({exercise.id: self._graded(exercise, nursery, remember)})

    def _graded(self, exercise: Exercise, nursery: Nursery, remember: bool) -> State | None:
        try:
            sources = self.workspace.sources([exercise])
        except WorkspaceError as error:
            return State("failing", Text(str(error), str(error)))
        if exercise.file not in sources:
            return State("untouched")
        report = engine.grade([exercise], sources, engine.Policy(), nursery=nursery)
        if remember:
            Progress.of(self.workspace).record(report, sources)
        return _state(report.exercises[0])

    def _tell(self, states: Mapping[str, State | None]) -> None:
        with self._news:
            for name, state in states.items():
                if state is None:
                    self._states.pop(name, None)
                else:
                    self._states[name] = state
            self._version += 1
            self._news.notify_all()


def _state(graded: Graded) -> State | None:
    """What one grading says on a card; nothing where the grader itself failed."""
    if graded.outcome == "fault":
        return None
    if graded.outcome == "untouched":
        return State("untouched")
    if graded.outcome == "passed":
        return State("solved")
    if graded.mistake is not None and graded.mistake.certain:
        return State("failing", graded.mistake.message)
    failure = graded.failure
    if failure is None and graded.first_failure is not None:
        failure = graded.first_failure.failure
    return State("failing", failure.message if failure is not None else NOTHING)
