"""What a grading found: frozen dataclasses, and their JSON form (schema/report.schema.json).

Everything that a renderer shows is in here as plain values; no renderer looks anywhere else.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .catalogue import Text

SCHEMA_VERSION = 1
SCHEMA = Path(__file__).parent / "schema" / "report.schema.json"

Outcome = Literal[
    "passed",  # every test has a record, and every record says so
    "failed",  # a wrong answer
    "error",  # the learner's code raised, crashed, or cannot be loaded
    "timeout",
    "memory",
    "blocked",  # it reached for something that is not its to use
    "untouched",  # still the stub
    "fault",  # the grader's own; never a zero, never a pass
]

# Which outcome speaks for an exercise whose tests ended differently: the first of these.
WORST_FIRST: tuple[Outcome, ...] = (
    *("fault", "blocked", "memory", "timeout", "error", "failed", "untouched", "passed"),
)


@dataclass(frozen=True)
class Value:
    """A value made ready to be read: `text` is small and rounded.

    Attributes:
        text: one or more lines.
        type: `Tensor`, `int`, `list`, …
        shape: of a tensor.
        dtype: of a tensor, `float32`.
        corner: where in a large tensor the lines of `text` were taken, `[0, 2, :6, :8]`.
    """

    text: str
    type: str
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    corner: str | None = None


@dataclass(frozen=True)
class Argument:
    """One argument of the call that failed."""

    name: str
    value: Value


@dataclass(frozen=True)
class Variable:
    """A name in a line of the learner's code, and what it stood for when the line failed."""

    name: str
    text: str


@dataclass(frozen=True)
class Frame:
    """One line of the learner's code in a traceback.

    Attributes:
        span: the part of `text` that failed, from and up to which character.
        variables: what the names in the line stood for.
    """

    file: str
    line: int
    function: str
    text: str
    span: tuple[int, ...] | None = None
    variables: tuple[Variable, ...] = ()


@dataclass(frozen=True)
class Heat:
    """Where a matrix is off, as a small map.

    Attributes:
        cells: rows of numbers from 0, right, to 1, off as far as the worst. A cell stands for the
            worst of the values that lie under it.
        shape: the sizes of what the cells cover: rows and columns, or one size of a vector.
        at: which part of the tensor that is, `[1, 0, :, :]`.
    """

    cells: tuple[tuple[float, ...], ...]
    shape: tuple[int, ...]
    at: str


@dataclass(frozen=True)
class Origin:
    """The first operation that made what is not finite out of what is. It is a hint, no proof.

    Attributes:
        value: `nan` or `inf`.
        operation: `torch.rsqrt`.
        frame: the learner's line that called for it; none where it was a backward pass.
        source: where the infinity came from that it made a NaN of.
    """

    value: str
    operation: str
    frame: Frame | None = None
    source: Origin | None = None


@dataclass(frozen=True)
class Failure:
    """Why one test did not pass.

    Attributes:
        kind: what kind of difference: `type`, `shape`, `dtype`, `finite`, `values`, `gradient`,
            `raises`, `claim`, `exception`, `exit`, `crash`, `timeout`, `memory`, `blocked`,
            `unwritten`, `missing`, `syntax`, `fault`.
        message: one sentence.
        call: the call that was made, `repeat_kv(x, 3)`, or what a probe does, in English.
        call_zh: what a probe does, in Chinese, where that is another text.
        arguments: what it was called with.
        expected: what the reference answers.
        got: what came.
        worst: index of the largest difference.
        difference: its size.
        tolerance: the largest difference that rounding explains.
        frames: the learner's own lines, outermost first.
        pattern: what all the differences have in common, in a sentence.
        heat: where the differences are.
        origin: where the first number that is not finite came from.
    """

    kind: str
    message: Text
    call: str | None = None
    arguments: tuple[Argument, ...] = ()
    expected: Value | None = None
    got: Value | None = None
    worst: tuple[int, ...] | None = None
    difference: float | None = None
    tolerance: float | None = None
    frames: tuple[Frame, ...] = ()
    call_zh: str | None = None
    pattern: Text | None = None
    heat: Heat | None = None
    origin: Origin | None = None


@dataclass(frozen=True)
class Printed:
    """What the learner's code wrote, cut at the limit."""

    text: str
    dropped_bytes: int = 0


@dataclass(frozen=True)
class Test:
    """One test of a suite: what it claims, and how it ended.

    Attributes:
        case: the parameters, where a claim is tested in several cases: `n_kv_heads=2, n_rep=3`.
        printed: what the learner's code wrote in it, where it did not pass.
    """

    __test__ = False  # pytest collects classes of this name

    id: str
    claim: Text
    outcome: Outcome
    duration_s: float
    failure: Failure | None = None
    case: str | None = None
    printed: Printed | None = None


@dataclass(frozen=True)
class Mistake:
    """A known mistake that explains the answers that the learner's code gave.

    Attributes:
        certain: it explains every answer, and no other known mistake does.
        explains: the share of the failing tests that it explains.
        rivals: the ids of other known mistakes that explain as much.
    """

    id: str
    message: Text
    certain: bool = True
    explains: float = 1.0
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graded:
    """One exercise, graded."""

    id: str
    section: str
    title: Text
    file: str
    outcome: Outcome
    points: int
    points_possible: int
    duration_s: float
    isolation: str
    tests: tuple[Test, ...] = ()
    failure: Failure | None = None
    mistake: Mistake | None = None
    printed: Printed | None = None
    stands_on: tuple[str, ...] = ()

    @property
    def first_failure(self) -> Test | None:
        """The test whose failure is explained first."""
        failed = [test for test in self.tests if test.failure is not None]
        return next((test for test in failed if test.failure == self.failure), None)


@dataclass(frozen=True)
class Report:
    """Everything that one run found.

    Attributes:
        seed: the hidden inputs were drawn from it; the same seed gives the same inputs.
        isolation: the weakest isolation that was in force.
        next: the exercise to do next, if any is left.
    """

    version: int
    happyllm: str
    python: str
    torch: str
    seed: int
    isolation: str
    duration_s: float
    exercises: tuple[Graded, ...]
    next: str | None = None

    @property
    def points(self) -> int:
        return sum(graded.points for graded in self.exercises)

    @property
    def points_possible(self) -> int:
        return sum(graded.points_possible for graded in self.exercises)

    @property
    def exit_code(self) -> int:
        """0 all passed, 1 something did not, 3 the grader's own fault."""
        outcomes = {graded.outcome for graded in self.exercises}
        if "fault" in outcomes:
            return 3
        return 0 if outcomes == {"passed"} else 1

    def to_json(self, indent: int | None = 2) -> str:
        totals = {"points": self.points, "points_possible": self.points_possible}
        table = plain(self) | totals
        text = json.dumps(table, ensure_ascii=False, indent=indent, allow_nan=False)
        return text.encode("utf-8", "backslashreplace").decode(
            "utf-8"
        )  # half a character is \ud800

    @classmethod
    def from_json(cls, text: str) -> Report:
        return build(cls, json.loads(text))


def worst(outcomes: typing.Iterable[Outcome]) -> Outcome:
    """The outcome that speaks for many; `fault` for none at all, since a pass needs proof."""
    return min(outcomes, key=WORST_FIRST.index, default="fault")


def plain(value: Any) -> Any:
    """A dataclass, with all that it holds, as plain JSON values.

    `dataclasses.asdict` copies the leaves as well, which takes most of its time.
    """
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    kind: Any = type(value)
    if (names := _names(kind)) is not None:
        return {name: plain(getattr(value, name)) for name in names}
    return value


@functools.cache
def _names(kind: type[Any]) -> tuple[str, ...] | None:
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


def build(kind: Any, data: Any) -> Any:
    """Make a dataclass, with all that it holds, from plain JSON values."""
    return _builder(kind)(data)


@functools.cache
def _builder(kind: Any) -> Callable[[Any], Any]:
    """What makes a value of some type from JSON; to find that out takes longer than to do it."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        fields = {field.name: hints[field.name] for field in dataclasses.fields(kind)}
        parts: dict[str, Callable[[Any], Any]] = {}

        def make(data: Mapping[str, Any]) -> Any:
            if not parts:  # not before: a dataclass may hold another of its kind
                parts.update((name, _builder(hint)) for name, hint in fields.items())
            return kind(**{name: parts[name](part) for name, part in data.items() if name in parts})

        return make
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        item = _builder(args[0])
        return lambda data: tuple(map(item, data))
    if origin in (types.UnionType, typing.Union):
        some = _builder(next(one for one in args if one is not type(None)))
        return lambda data: None if data is None else some(data)
    return lambda data: data
