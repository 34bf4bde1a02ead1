"""The one entry: `grade(exercises, sources, policy) -> Report`. No click, no rich, no print."""

from __future__ import annotations

import contextlib
import platform
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Protocol

from happyllm import __version__

from . import catalogue
from .achievement import Achievement, Progressed
from .catalogue import Exercise, Language, Milestone, Text
from .report import SCHEMA_VERSION, Failure, Graded, Report, build
from .sandbox import seccomp, wire
from .sandbox.backends import Backend, open_nursery
from .sandbox.jail import STRENGTHS, Isolation, Limits
from .sandbox.nursery import NurseryError
from .sandbox.spawned import PipeConnection

OnGraded = Callable[[Graded], None]
OnProgressed = Callable[[Progressed], None]


@dataclass(frozen=True)
class Policy:
    """How to grade.

    Attributes:
        seed: the hidden inputs are drawn from it; none takes a fresh one.
        timeout_s: seconds for each exercise, in place of the catalogue's.
        own: use the learner's own files for what an exercise requires, not the solutions.
        debug: run the code in this very process: breakpoints work, and nothing is held back.
        limits: isolation, memory, processes and files of one worker.
        output_bytes: how much of what the code prints is kept.
        backend: fork processes or spawn them; none takes what suits the system.
    """

    seed: int | None = None
    timeout_s: float | None = None
    own: bool = False
    debug: bool = False
    limits: Limits = field(default_factory=Limits)
    output_bytes: int = 16 * 1024
    backend: Backend | None = None


class EngineFault(Exception):
    """The grader itself failed."""


class Judges(Protocol):
    """Where judges come from: a `Nursery`, or the bench on which one is kept warm."""

    def fork_judge(self, entry: str) -> socket.socket | PipeConnection: ...

    def last_words(self) -> str: ...


def grade(
    exercises: Sequence[Exercise],
    sources: Mapping[str, str],
    policy: Policy = Policy(),
    *,
    nursery: Judges | None = None,
    on_graded: OnGraded | None = None,
    on_verdict: OnGraded | None = None,
) -> Report:
    """Grade one submission.

    Args:
        exercises: what to grade, in this order.
        sources: the submission's files, text by path: `{"ch5/repeat_kv.py": "…"}`.
        policy: how to grade.
        nursery: a fork server that is warm already; one is started, and ended, when none is given.
        on_graded: called with each exercise as soon as it is graded.
        on_verdict: called before, with one that did not pass and whose mistake has no name yet.

    Raises:
        EngineFault: the grader cannot be started.
        ScratchError: there is no room for the scratch folder of the code's own files.
    """
    started = time.monotonic()
    seed = secrets.randbits(31) if policy.seed is None else policy.seed
    order = {
        "suites": str(catalogue.SUITES),
        "exercises": [exercise.id for exercise in exercises],
        "files": dict(sources),
        "own": policy.own,
        "seed": seed,
        "timeout_s": policy.timeout_s,
        "limits": asdict(policy.limits),
        "output_bytes": policy.output_bytes,
        "early": on_verdict is not None,
    }
    tell = on_graded or (lambda _: None)
    early = on_verdict or (lambda _: None)
    if policy.debug:
        results = _grade_here(order, tell)
    elif nursery is not None:
        results = _grade_by(nursery, order, exercises, tell, early)
    else:
        try:
            with open_nursery(preloads(exercises), policy.backend) as own:
                results = _grade_by(own, order, exercises, tell, early)
        except NurseryError as error:
            raise EngineFault(str(error)) from error
    return Report(
        version=SCHEMA_VERSION,
        happyllm=__version__,
        python=platform.python_version(),
        torch=metadata.version("torch"),
        seed=seed,
        isolation=_weakest(graded.isolation for graded in results),
        duration_s=round(time.monotonic() - started, 4),
        exercises=tuple(results),
        next=next((graded.id for graded in results if graded.outcome != "passed"), None),
    )


def attempt(
    milestone: Milestone,
    sources: Mapping[str, str],
    language: Language = "en",
    policy: Policy = Policy(),
    *,
    nursery: Judges | None = None,
    on_progressed: OnProgressed | None = None,
) -> Achievement:
    """Play a chapter's milestone on one submission's own files, and nothing else.

    Args:
        milestone: which.
        sources: the submission's files, text by path.
        language: of the text that the model learns.
        policy: how; `own` goes without saying, and `debug` is not heeded.
        nursery: a fork server that is warm already; one is started, and ended, when none is given.
        on_progressed: called now and then while the model learns.

    Raises:
        EngineFault: the grader cannot be started, or has ended.
        ScratchError: there is no room for the scratch folder of the code's own files.
    """
    order = {
        "suites": str(catalogue.SUITES),
        "milestone": milestone.chapter,
        "language": language,
        "files": dict(sources),
        "seed": secrets.randbits(31) if policy.seed is None else policy.seed,
        "timeout_s": policy.timeout_s,
        "limits": asdict(policy.limits),
        "output_bytes": policy.output_bytes,
    }
    tell = on_progressed or (lambda _: None)
    try:
        if nursery is not None:
            return _attempt_by(nursery, order, tell)
        with open_nursery(("torch",), policy.backend) as own:
            return _attempt_by(own, order, tell)
    except NurseryError as error:
        raise EngineFault(str(error)) from error


@dataclass(frozen=True)
class Offer:
    """One isolation, and why this machine does not give it; nothing if it does."""

    isolation: Isolation
    refused: str


def examine(backend: Backend | None = None) -> list[Offer]:
    """Find out which isolation this machine gives, from strong to weak.

    Raises:
        EngineFault: the fork server cannot be started.
    """
    try:
        with open_nursery((), backend) as nursery:
            return [Offer(isolation, refused) for isolation, refused in nursery.offers().items()]
    except NurseryError as error:
        raise EngineFault(str(error)) from error


def no_filter() -> str:
    """Why this machine filters no system calls, in any isolation; nothing if it does."""
    return seccomp.refused()


def preloads(exercises: Iterable[Exercise]) -> tuple[str, ...]:
    """The libraries that the fork server should import for these exercises."""
    return tuple(dict.fromkeys(name for exercise in exercises for name in exercise.preload))


def _grade_here(order: dict[str, object], tell: OnGraded) -> list[Graded]:
    from .judge import desk

    results = []
    for graded in desk.grade(order, None):
        tell(graded)
        results.append(graded)
    return results


def _grade_by(
    nursery: Judges,
    order: dict[str, object],
    exercises: Sequence[Exercise],
    tell: OnGraded,
    early: OnGraded,
) -> list[Graded]:
    """Hand the order to a judge; what it leaves ungraded, because it ended, is a fault."""
    results: list[Graded] = []
    why = ""
    with nursery.fork_judge("grader.judge.desk:main") as judge:
        with contextlib.suppress(ConnectionError):  # then there is no answer either
            judge.sendall(wire.frame(wire.encode(order)))
        while True:
            body = wire.receive(judge)
            reply = {"fault": "the judge has ended"} if body is None else wire.decode(body)
            if "verdict" in reply:
                early(build(Graded, reply["verdict"]))
                continue
            if "graded" not in reply:
                why = reply.get("fault", "")
                break
            graded = build(Graded, reply["graded"])
            tell(graded)
            results.append(graded)
    for exercise in exercises[len(results) :]:
        graded = lost(exercise, f"{why}\n{nursery.last_words()}".strip())
        tell(graded)
        results.append(graded)
    return results


def _attempt_by(nursery: Judges, order: dict[str, object], tell: OnProgressed) -> Achievement:
    """Hand the order to a judge, and pass on what it tells until it says how it ended."""
    with nursery.fork_judge("grader.judge.desk:main") as judge:
        with contextlib.suppress(ConnectionError):  # then there is no answer either
            judge.sendall(wire.frame(wire.encode(order)))
        while True:
            body = wire.receive(judge)
            reply = {"fault": "the judge has ended"} if body is None else wire.decode(body)
            if "progressed" in reply:
                tell(build(Progressed, reply["progressed"]))
            elif "achieved" in reply:
                achieved: Achievement = build(Achievement, reply["achieved"])
                return achieved
            else:
                raise EngineFault(f"{reply.get('fault', '')}\n{nursery.last_words()}".strip())


def lost(exercise: Exercise, why: str) -> Graded:
    """What an exercise gets that the grader itself failed on: no grade at all."""
    message = Text(
        en=f"The grader itself failed, which says nothing of your answer: {why}",
        zh=f"评测器自身出错，与你的答案无关：{why}",
    )
    return Graded(
        id=exercise.id,
        section=exercise.section,
        title=exercise.title,
        file=exercise.file,
        outcome="fault",
        points=0,
        points_possible=exercise.points,
        duration_s=0.0,
        isolation="none",
        failure=Failure("fault", message),
    )


def _weakest(isolations: Iterable[str]) -> str:
    """The weakest isolation among those in force; exercises that ran no code have none."""
    found = {one for one in isolations if one != "none"}
    for strength in reversed(STRENGTHS):
        if strength in found:
            return strength
    return next(iter(found), "none")
