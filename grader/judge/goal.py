"""A chapter's milestone: a script of the trusted side, played on the learner's own files alone.

It stands in `suites/chN/milestone.py`. Like a suite it talks to the code in the room through
`student`, and its probes do there what can only be done there; what they answer is judged here.
"""

from __future__ import annotations

import importlib.util
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from grader.achievement import Achievement, Claim, Progressed
from grader.catalogue import Language, Milestone, Text
from grader.report import Failure, Printed
from grader.sandbox import wire
from grader.sandbox.jail import Limits
from grader.sandbox.nursery import NurseryError
from grader.sandbox.worker import seed as seed_all

from .student import (
    AnyLease,
    Backend,
    BadAnswer,
    Died,
    OutOfMemory,
    Output,
    Raised,
    Student,
    StudentFailure,
    TimedOut,
    open_worker,
    raised,
)

Tell = Callable[[Progressed], None]


@dataclass
class Stage:
    """What a milestone's script is given: the student, a language, and ways to show what came.

    Attributes:
        losses: the loss of each step so far.
    """

    student: Student
    language: Language
    tell: Tell
    losses: list[float] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    texts: tuple[str, str, str] = ("", "", "")
    parameters: int = 0
    characters: int = 0

    def begin(self, *, characters: int) -> None:
        """Say how much there is to learn."""
        self.characters = characters

    def has(self, *, parameters: int) -> None:
        """Say how large the model is."""
        self.parameters = int(parameters)

    def learned(self, losses: list[float]) -> None:
        """Show some steps of training."""
        self.losses += [float(loss) for loss in losses]
        self.tell(Progressed(self.characters, len(self.losses), self.losses[-1]))

    def wrote(self, given: str, written: str, expected: str) -> None:
        """Show what the model was given and what it wrote."""
        self.texts = given, written, expected

    def claim(self, *, en: str, zh: str, holds: bool, found: str) -> None:
        """Say what is claimed, and whether it holds."""
        self.claims.append(Claim(Text(en, zh), bool(holds), found))


def attempt(
    milestone: Milestone, order: Mapping[str, Any], lease: AnyLease, tell: Tell
) -> Achievement:
    """Play a milestone on the files of an order; whatever the code does, an answer comes back."""
    started = time.monotonic()
    output, limits = Output(order["output_bytes"]), Limits(**order["limits"])
    seconds = order["timeout_s"] or milestone.time_limit_s
    failure: Failure | None = None
    isolation, worker = "none", None
    stage: Stage | None = None
    try:
        worker = open_worker(lease, limits, seconds, output)
        if not worker.isolation:
            raise NurseryError(worker.refused)
        isolation = worker.isolation
        student = _admitted(worker, milestone, order)
        stage = Stage(student, order["language"], tell)
        seed_all(order["seed"])
        _script(Path(order["suites"], milestone.chapter, "milestone.py")).milestone(stage)
    except StudentFailure as ended:
        failure = _told(ended, seconds, limits)
    except NurseryError as error:
        failure = _fault(str(error))
    except Exception as error:
        failure = _wrong_kind(stage, error)
    finally:
        if worker is not None:
            worker.close()
    given, written, expected = stage.texts if stage is not None else ("", "", "")
    return Achievement(
        milestone=milestone.id,
        losses=tuple(stage.losses) if stage is not None else (),
        given=given,
        written=written,
        expected=expected,
        claims=tuple(stage.claims) if stage is not None else (),
        parameters=stage.parameters if stage is not None else 0,
        seed=order["seed"],
        isolation=isolation,
        duration_s=round(time.monotonic() - started, 4),
        failure=failure,
        printed=Printed(output.text(), output.dropped) if output.kept else None,
    )


def as_message(achievement: Achievement) -> dict[str, Any]:
    """As it travels to the engine."""
    return {"achieved": asdict(achievement)}


def _admitted(worker: Backend, milestone: Milestone, order: Mapping[str, Any]) -> Student:
    """Have the learner's files loaded, the last of the required ones first."""
    target = milestone.requires[-1]
    files: Mapping[str, str] = order["files"]
    request = {
        "modules": [[p.removesuffix(".py").replace("/", "."), p, t] for p, t in files.items()],
        "target": target.replace("/", "."),
        "blanks": [],
        "names": [],
        "seed": order["seed"],
    }
    try:
        reply = wire.decode(worker.ask(wire.encode(request)))
    except wire.WireError as error:
        raise BadAnswer(str(error)) from error
    if type(reply) is not dict or reply.get("state") not in ("loaded", "raised"):
        raise BadAnswer("no answer to the order to load")
    if reply["state"] == "raised":
        raise raised(reply.get("raised"))
    return Student(worker, (), f"{target}.py")


def _script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"milestone_{path.parent.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _wrong_kind(stage: Stage | None, error: Exception) -> Failure:
    """The script stumbled: over what the learner's code gave it, or by itself."""
    log = stage.student._log if stage is not None else []
    calls = [asked for asked in log if asked.op in ("call", "probe")]
    if not calls:
        return _fault(traceback.format_exc()[-3000:])
    said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return Failure(
        "type",
        Text(
            en=f"What {calls[-1].title} answered cannot be used ({said}). Grade the chapter again.",
            zh=f"{calls[-1].title} 的返回值无法使用（{said}）。请重新评测这一章。",
        ),
    )


def _told(failure: StudentFailure, seconds: float, limits: Limits) -> Failure:
    """What ended the attempt, in words."""
    if isinstance(failure, TimedOut):
        said = Text(
            en=f"It was still at work after {seconds:g} s.", zh=f"{seconds:g} 秒后仍未结束。"
        )
        return Failure("timeout", said)
    if isinstance(failure, OutOfMemory):
        limit = limits.memory_bytes >> 20
        said = Text(
            en=f"It asked for more than the {limit} MiB of memory that it may use.",
            zh=f"申请的内存超过了 {limit} MiB 的上限。",
        )
        return Failure("memory", said)
    if isinstance(failure, Died):
        said = Text(
            en=f"The Python interpreter ended in the middle of a call ({failure}).",
            zh=f"Python 解释器在调用过程中结束了（{failure}）。",
        )
        return Failure("crash" if failure.signal else "exit", said)
    if isinstance(failure, Raised):
        at = failure.frames[-1] if failure.frames else None
        place = f"{at.file}:{at.line}" if at is not None else "your code"
        place_zh = f"{at.file}:{at.line}" if at is not None else "你的代码"
        what = f"{failure.type}: {failure.message}".strip().removesuffix(":")
        said = Text(en=f"{place} raised {what}", zh=f"{place_zh} 抛出了 {what}")
        return Failure("exception", said, frames=failure.frames)
    said = Text(
        en="Something wrote to the grader's own line; such an answer does not count.",
        zh="有内容写进了评测器自己的通道；这样的回答不算数。",
    )
    return Failure("blocked", said)


def _fault(why: str) -> Failure:
    return Failure(
        "fault",
        Text(
            en=f"The grader itself failed, which says nothing of your answer: {why}",
            zh=f"评测器自身出错，与你的答案无关：{why}",
        ),
    )
