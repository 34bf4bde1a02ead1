"""A run over a class: what was handed in is read, graded and recorded.

What is graded already is not graded again, so a run that was ended goes on where it was. Nobody
waits for another's second attempt: first everybody's newest hand-in is graded, then the ones
before.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grader import handin
from grader.catalogue import Catalogue, Exercise, Text
from grader.handin import Bounds, HandIn, HandInError
from grader.report import Graded
from grader.sandbox import scratch
from grader.sandbox.backends import Backend
from grader.sandbox.isolation import Isolation

from . import fingerprints, git, roster
from .policy import Policy
from .pool import RENEW_AFTER, Began, Finished, Graders, Pool, Task, Verdict
from .problems import ClassroomError
from .record import Basis, Ended, Kind, Record, Result, Submission
from .roster import Found, Matched, Roster

BOUNDS: Final = Bounds()


# ---- what happens


@dataclass(frozen=True)
class Read:
    """A hand-in has been read, or cannot be."""

    submission: Submission


@dataclass(frozen=True)
class Planned:
    """All is read, and grading begins.

    Attributes:
        submissions: how many there are that count.
        to_grade: how many of them are not graded already.
        outdated: how many grades rest on what is not today's; a regrade shows what would change.
    """

    submissions: int
    to_grade: int
    exercises: int
    isolation: Isolation | None
    seed: int
    outdated: int


@dataclass(frozen=True)
class Started:
    """The grading of a hand-in has begun."""

    submission: Submission


@dataclass(frozen=True)
class Exercised:
    """One exercise of a hand-in has been graded, and is recorded."""

    submission: Submission
    graded: Graded


@dataclass(frozen=True)
class Done:
    """All of a hand-in has been graded, and is recorded."""

    submission: Submission


Event = Read | Planned | Started | Exercised | Done


# ---- the assignment


@dataclass(frozen=True)
class Assignment:
    """What is graded, and by which rules."""

    chapter: str
    title: Text
    exercises: tuple[Exercise, ...]
    known: Catalogue
    policy: Policy

    def basis(self, exercise: Exercise, seed: int) -> Basis:
        """What a verdict on an exercise rests on today."""
        return Basis(
            exercise=exercise.id,
            suite=fingerprints.of_suite(exercise, self.known),
            environment=fingerprints.environment(),
            policy=fingerprints.of(self.policy.what_matters()),
            seed=seed,
        )

    def bases(self, seed: int) -> dict[str, Basis]:
        """The bases of all its exercises, by exercise."""
        return {one.id: self.basis(one, seed) for one in self.exercises}


def assignment(chapter: str, known: Catalogue, policy: Policy) -> Assignment:
    """What a chapter asks for, as the policy narrows it down.

    Raises:
        UnknownTarget: there is no such chapter.
        ClassroomError: the policy names exercises, and none is of this chapter.
    """
    found = known.find(chapter)
    if policy.exercises:
        named = {one.id for target in policy.exercises for one in known.find(target)}
        chosen = tuple(one for one in found if one.id in named)
        if not chosen:
            raise ClassroomError(
                Text(
                    f"[assignment] exercises names nothing of {chapter}; name some of it, or take "
                    "the line out.",
                    f"[assignment] exercises 中没有 {chapter} 的练习；请改写或删去此行。",
                )
            )
        found = chosen
    titles = [one.title for one in known.chapters if one.id == found[0].chapter]
    title = policy.title or (found[0].title if len(found) == 1 else titles[0])
    return Assignment(chapter, title, found, known, policy)


# ---- a run


class Run:
    """One run on a record. `collect` first, then `grade`; both say what happens while it does."""

    def __init__(
        self,
        record: Record,
        what: Assignment,
        *,
        jobs: int = 1,
        kind: Kind = "class",
        backend: Backend | None = None,
        renew_after: int = RENEW_AFTER,
        elsewhere: Callable[[Sequence[Exercise]], Graders] | None = None,
    ):
        self.record = record
        self.what = what
        self.jobs = jobs
        self.kind = kind
        self.backend = backend
        self.renew_after = renew_after
        self.elsewhere = elsewhere  # opens what grades in place of this machine
        self.seed = _seed(record, what.policy)
        self._run = 0
        self._began = time.monotonic()
        record.note(chapter=what.chapter)

    # ---- reading

    def collect(
        self, matched: Matched, known: Roster | None = None
    ) -> Generator[Event, None, None]:
        """Read every hand-in into the record; what cannot be read is marked."""
        self._begin("")
        extensions = known.extensions if known is not None else {}
        self.record.enrol(matched.students, extensions, all_of_them=known is not None)
        if known is not None:
            self.record.note(roster="yes")
        self.record.note(strangers=json.dumps(matched.strangers))
        for found in matched.found:
            yield Read(self._read(found))

    def _read(self, found: Found) -> Submission:
        files, problem = None, None
        notes: tuple[Text, ...] = ()
        try:
            taken = read(found.path, self.what.known)
            files, notes = taken.files, _told(taken)
        except HandInError as error:
            problem = error.text
        except OSError as error:
            why = error.strerror or type(error).__name__
            problem = Text(
                f"{found.name} cannot be read: {why}.", f"无法读取 {found.name}：{why}。"
            )
        return self.record.hand_in(
            self._run,
            found.student,
            found.name,
            found.number,
            found.submitted_at,
            files,
            problem,
            notes,
        )

    # ---- grading

    def grade(self) -> Generator[Event, None, None]:
        """Grade what is not graded, and record each verdict as it comes.

        Raises:
            ClassroomError: this machine isolates too little, or the record cannot be written.
            EngineFault: the grader cannot be started.
        """
        how: Ended = "failed"
        try:
            yield from self._graded()
            how = "done"
        except (GeneratorExit, KeyboardInterrupt):
            how = "stopped"
            raise
        finally:
            if self._run:
                with contextlib.suppress(ClassroomError):
                    self.record.end(self._run, how, time.monotonic() - self._began)

    def _graded(self) -> Generator[Event, None, None]:
        bases = self.what.bases(self.seed)
        chosen = fair(self.record.submissions(), self.what.policy.attempt)
        self._begin("")
        todo: dict[str, list[Submission]] = defaultdict(list)  # the same files are graded once
        left_of: dict[str, tuple[Exercise, ...]] = {}
        outdated = 0
        for submission in chosen:
            left, old = self._settle(submission, bases)
            outdated += old
            if left and submission.content is not None:
                todo[submission.content].append(submission)
                left_of[submission.content] = left
        waiting = sum(len(same) for same in todo.values())
        count = sum(len(left_of[content]) * len(same) for content, same in todo.items())
        if not todo:
            scratch.sweep()  # no grader starts that would; the one before may have been killed
            yield Planned(len(chosen), 0, 0, None, self.seed, outdated)
            return
        policy = self.what.policy.engine(self.seed)
        with contextlib.closing(self._open()) as pool:
            isolation = pool.isolation(policy)
            yield Planned(len(chosen), waiting, count, isolation, self.seed, outdated)
            contents = dict(enumerate(todo))
            tasks = (
                Task(number, _loader(self.record, content), left_of[content], policy)
                for number, content in contents.items()
            )
            for event in pool.grade(tasks):
                for submission in todo[contents[event.task.name]]:
                    if isinstance(event, Began):
                        yield Started(submission)
                    elif isinstance(event, Verdict):
                        self._keep(submission, bases[event.graded.id], event.graded)
                        yield Exercised(submission, event.graded)
                    elif isinstance(event, Finished):
                        yield Done(submission)

    def _open(self) -> Graders:
        if self.elsewhere is not None:
            return self.elsewhere(self.what.exercises)
        return Pool(
            self.what.exercises,
            self.jobs,
            seed=self.seed,
            backend=self.backend,
            renew_after=self.renew_after,
        )

    def _settle(
        self, submission: Submission, bases: dict[str, Basis]
    ) -> tuple[tuple[Exercise, ...], int]:
        """What is left to grade of a hand-in, after all that is known of its content is taken.

        Returns:
            the exercises, and how many of its grades rest on what is not today's.
        """
        if submission.content is None:
            return (), 0
        grades = self.record.grades(submission.id)
        left, known, outdated = [], [], 0
        for exercise in self.what.exercises:
            grade = grades.get(exercise.id)
            stands = grade is not None and grade.graded.outcome != "fault"
            if stands and grade is not None and grade.basis != bases[exercise.id]:
                outdated += 1
            if stands and self.kind == "class":
                continue
            result = self.record.result(submission.content, bases[exercise.id])
            if result is None:
                left.append(exercise)
            elif not stands and self.kind == "class":
                known.append(result)
        if known:
            self.record.accept(self._run, submission.id, known)
        return tuple(left), outdated

    def _keep(self, submission: Submission, basis: Basis, graded: Graded) -> None:
        assert submission.content is not None
        result = self.record.keep(self._run, submission.content, basis, graded)
        if self.kind == "class":
            self.record.accept(self._run, submission.id, [result])

    def _begin(self, isolation: str) -> None:
        if not self._run:
            self._run = self.record.begin(self.kind, self.what.policy.text, isolation)

    # ---- a regrade

    def changes(self) -> list[Change]:
        """What would change if today's verdicts became the grades."""
        bases = self.what.bases(self.seed)
        found = []
        for submission in fair(self.record.submissions(), self.what.policy.attempt):
            if submission.content is None:
                continue
            grades = self.record.grades(submission.id)
            for exercise in self.what.exercises:
                new = self.record.result(submission.content, bases[exercise.id])
                old = grades.get(exercise.id)
                if new is not None and (old is None or old.id != new.id):
                    found.append(Change(submission, exercise, old, new))
        return found

    def accept(self, changes: Iterable[Change]) -> None:
        """Let today's verdicts be the grades; the old ones stay in the record."""
        by_submission: dict[int, list[Result]] = defaultdict(list)
        for change in changes:
            by_submission[change.submission.id].append(change.new)
        self._begin("")
        for submission, results in by_submission.items():
            self.record.accept(self._run, submission, results)


@dataclass(frozen=True)
class Change:
    """A grade, and the verdict that would take its place."""

    submission: Submission
    exercise: Exercise
    old: Result | None
    new: Result

    @property
    def matters(self) -> bool:
        """Whether a student would notice."""
        if self.old is None:
            return True
        before, after = self.old.graded, self.new.graded
        return (before.outcome, before.points) != (after.outcome, after.points)


# ---- proof


@dataclass(frozen=True)
class Checked:
    """A grade, graded again.

    Attributes:
        same: it came out as it is in the record, test by test.
        was, now: the outcomes.
        why: what explains a difference, if it is known: another suite, another environment, or a
            record that was changed.
    """

    submission: Submission
    exercise: str
    same: bool
    was: str
    now: str
    why: Text | None = None


_OTHER_SUITE: Final = Text(
    "the suite, or a solution that it needs, is not the one of then",
    "测试或其依赖的参考答案已与当时不同",
)
_OTHER_ENVIRONMENT: Final = Text(
    "the grader, the reference or a version is not the one of then",
    "评测器、参考实现或版本已与当时不同",
)
_BROKEN_SEAL: Final = Text("the record was changed after it was written", "记录在写入之后被改动过")
_GONE: Final = Text("there is no such exercise any more", "这道练习已不存在")


def verify(
    record: Record,
    known: Catalogue,
    policy: Policy,
    students: Sequence[str] = (),
    *,
    jobs: int = 1,
    backend: Backend | None = None,
) -> Generator[Checked, None, None]:
    """Grade again what is in a record, under the same seeds, and compare. Nothing is written.

    Raises:
        ClassroomError: a student is not in the record, or this machine isolates too little.
        EngineFault: the grader cannot be started.
    """
    submissions = [one for one in record.submissions() if one.stands and one.content is not None]
    unknown = [one for one in students if one not in {s.student for s in submissions}]
    if unknown:
        raise ClassroomError(
            Text(
                f"{unknown[0]}: has handed in nothing that is in this record.",
                f"{unknown[0]}：这份记录中没有其作业。",
            )
        )
    exercises = {one.id: one for one in known}
    tasks: list[Task] = []
    by_task: dict[int, tuple[Submission, dict[str, Result]]] = {}
    for submission in submissions:
        if students and submission.student not in students:
            continue
        grades = record.grades(submission.id)
        for seed in sorted({result.basis.seed for result in grades.values()}):
            mine = {n: r for n, r in grades.items() if r.basis.seed == seed and n in exercises}
            by_task[len(tasks)] = (submission, mine)
            chosen = tuple(one for name, one in exercises.items() if name in mine)
            assert submission.content is not None
            load = _loader(record, submission.content)
            tasks.append(Task(len(tasks), load, chosen, policy.engine(seed)))
        for name in grades.keys() - exercises.keys():
            yield Checked(submission, name, False, grades[name].graded.outcome, "", _GONE)
    tasks = [task for task in tasks if task.exercises]
    if not tasks:
        return
    everything = {one.id: one for task in tasks for one in task.exercises}
    first = tasks[0].policy
    with Pool(tuple(everything.values()), jobs, seed=first.seed, backend=backend) as pool:
        pool.isolation(tasks[0].policy)
        for event in pool.grade(tasks):
            if isinstance(event, Verdict):
                submission, mine = by_task[event.task.name]
                yield _compared(submission, mine[event.graded.id], event.graded, known)


def _compared(submission: Submission, then: Result, graded: Graded, known: Catalogue) -> Checked:
    exercise = known[then.basis.exercise]
    same = essence(then.graded) == essence(graded)
    why = None
    if not then.is_whole:
        same, why = False, _BROKEN_SEAL
    elif not same and then.basis.suite != fingerprints.of_suite(exercise, known):
        why = _OTHER_SUITE
    elif not same and then.basis.environment != fingerprints.environment():
        why = _OTHER_ENVIRONMENT
    return Checked(submission, exercise.id, same, then.graded.outcome, graded.outcome, why)


def essence(graded: Graded) -> tuple[object, ...]:
    """What two gradings of the same code under the same seed have in common."""
    tests = tuple((test.id, test.case, test.outcome) for test in graded.tests)
    mistake = graded.mistake.id if graded.mistake is not None else None
    return graded.outcome, graded.points, tests, mistake


# ---- parts


def read(path: Path, known: Catalogue, bounds: Bounds = BOUNDS) -> HandIn:
    """Read a hand-in of any kind.

    Raises:
        HandInError: it cannot be read, or exceeds the bounds.
        OSError: the file system refuses.
    """
    if not path.is_symlink() and (git.is_bundle(path) or git.is_bare(path)):
        return git.read(path, known, bounds)
    return handin.read(path, known, bounds)


def _told(taken: HandIn) -> tuple[Text, ...]:
    """What was left out of a hand-in, and why."""
    unread = [
        Text(f"{place}: {why.en}", f"{place}：{why.zh}") for place, why in taken.unread.items()
    ]
    return (*unread, *taken.notes)


def fair(submissions: Iterable[Submission], attempt: str) -> list[Submission]:
    """The hand-ins that may count, in the order in which they are graded.

    Everybody's newest comes first; where the best counts, everybody's one before follows, and so
    on.
    """
    by_student: dict[str, list[Submission]] = defaultdict(list)
    for one in submissions:
        if one.stands:
            by_student[one.student].append(one)
    newest_first = [roster.in_order(attempts)[::-1] for attempts in by_student.values()]
    if attempt == "last":  # what cannot be read takes nothing away from what can
        return [
            next((one for one in attempts if one.content is not None), attempts[0])
            for attempts in newest_first
        ]
    most = max((len(attempts) for attempts in newest_first), default=0)
    return [
        attempts[place]
        for place in range(most)
        for attempts in newest_first
        if place < len(attempts)
    ]


def _loader(record: Record, content: str) -> Callable[[], dict[str, str]]:
    return lambda: record.files(content)


def _seed(record: Record, policy: Policy) -> int:
    """The policy's seed; else the record's own, drawn once, so that all have the same questions."""
    if policy.seed is not None:
        return policy.seed
    noted = record.fact("seed")
    if noted is None:
        noted = str(secrets.randbits(31))
        record.note(seed=noted)
    return int(noted)
