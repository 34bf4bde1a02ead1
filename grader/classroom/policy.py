"""The policy of a class: what counts, until when, how it is graded and what is told of it.

It is a TOML file. Nothing in it is needed; what is left out has the default of its field here.
Every problem of a file is told at once, with the field, the value and what to write in its place.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from grader import engine
from grader.catalogue import Catalogue, Exercise, Text, UnknownTarget
from grader.sandbox.isolation import STRENGTHS, Isolation
from grader.sandbox.jail import Limits

from .problems import PolicyError, raise_if

Feedback = Literal["full", "hints", "verdict"]
FEEDBACK: Final[tuple[Feedback, ...]] = ("full", "hints", "verdict")

_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION: Final = re.compile(
    r"\s*(?:(\d+)\s*d)?\s*(?:(\d+)\s*h)?\s*(?:(\d+)\s*m)?\s*(?:(\d+)\s*s)?\s*"
)
_TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "assignment": ("title", "title_zh", "exercises", "attempt", "total"),
    "points": (),  # by exercise
    "due": ("at", "grace", "times"),
    "late": ("per_day", "most", "until"),
    "extensions": (),  # by student
    "grading": (*("dependencies", "seed", "time_s", "memory_mb", "isolation", "weakest"),),
    "feedback": ("level", "public", "hidden"),
}


@dataclass(frozen=True)
class Late:
    """What lateness costs.

    Attributes:
        per_day: share of the points that each day begun takes away; nothing, and being late costs
            nothing.
        most: no more than this share is taken away.
        until: what comes later than this after the due date gives nothing at all.
    """

    per_day: float = 0.0
    most: float = 1.0
    until: timedelta | None = None


@dataclass(frozen=True)
class Policy:
    """The rules of one assignment.

    Attributes:
        title: what the assignment is called, in place of the chapter's title.
        exercises: targets, as on the command line; none means the whole chapter.
        attempt: whether a student's `best` or `last` attempt counts.
        total: what the whole assignment is worth, in place of the sum of the points.
        points: of an exercise, by id, in place of the catalogue's.
        due: until when; none means that nothing is late.
        grace: so much lateness is overlooked.
        times: where the time of a hand-in is read: in its `name`, or from the file's `mtime`.
        extensions: by student: more time, or a due date of one's own.
        own: exercises build on the student's own files, not on the solutions.
        seed: of the hidden inputs; none draws one for the first run, and keeps to it.
        time_s: for each exercise, in place of its own limit.
        memory_mb: of one worker.
        isolation: demand this one.
        weakest: refuse to grade with less than this.
        feedback: what students are told.
        public, hidden: tests whose details students may, or may not, see.
        text: the file itself.
    """

    title: Text | None = None
    exercises: tuple[str, ...] = ()
    attempt: Literal["best", "last"] = "last"
    total: float | None = None
    points: Mapping[str, float] = field(default_factory=dict)
    due: datetime | None = None
    grace: timedelta = timedelta()
    times: Literal["name", "mtime"] = "name"
    late: Late = Late()
    extensions: Mapping[str, timedelta | datetime] = field(default_factory=dict)
    own: bool = False
    seed: int | None = None
    time_s: float | None = None
    memory_mb: int = 2048
    isolation: Isolation | None = None
    weakest: Isolation = "landlock"
    feedback: Feedback = "full"
    public: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    text: str = ""

    def engine(self, seed: int) -> engine.Policy:
        """How the engine is to grade."""
        limits = Limits(
            isolation=self.isolation, weakest=self.weakest, memory_bytes=self.memory_mb << 20
        )
        return engine.Policy(seed=seed, timeout_s=self.time_s, own=self.own, limits=limits)

    def what_matters(self) -> str:
        """The parts that may change a verdict, as one text; others change only what it is worth."""
        parts = {"own": self.own, "time_s": self.time_s, "memory_mb": self.memory_mb}
        return json.dumps(parts, sort_keys=True)

    def worth(self, exercises: Iterable[Exercise]) -> dict[str, float]:
        """What each exercise is worth here."""
        raw = {one.id: float(self.points.get(one.id, one.points)) for one in exercises}
        whole = sum(raw.values())
        if self.total is None or not whole:
            return raw
        return {name: points * self.total / whole for name, points in raw.items()}

    def due_for(
        self, student: str, extension: timedelta | datetime | None = None
    ) -> datetime | None:
        """Until when a student has time; an extension in the policy goes before the roster's."""
        more = self.extensions.get(student, extension)
        if isinstance(more, datetime):
            return more
        if self.due is None:
            return None
        return self.due + (more or timedelta())

    def lateness(self, submitted: datetime | None, due: datetime | None) -> tuple[float, float]:
        """Seconds late, and the share of the points that they cost."""
        if submitted is None or due is None:
            return 0.0, 0.0
        late = (submitted - due).total_seconds()
        if late <= self.grace.total_seconds():
            return 0.0, 0.0
        if self.late.until is not None and late > self.late.until.total_seconds():
            return late, 1.0
        return late, min(self.late.most, self.late.per_day * math.ceil(late / 86_400))

    def shows(self, exercise: str, test: str) -> bool:
        """Whether students may see the details of a test."""
        names = (f"{exercise}::{test.partition('[')[0]}", exercise)
        if any(name in self.hidden for name in names):
            return False
        return not self.public or any(name in self.public for name in names)


def load(file: Path | None, known: Catalogue) -> Policy:
    """Read a policy; without a file, all defaults.

    Raises:
        PolicyError: it cannot be read, or something in it cannot be.
    """
    if file is None:
        return Policy()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise PolicyError(
            Text(f"{file}: cannot be read: {why}.", f"{file}：无法读取：{why}。")
        ) from error
    return parse(text, known, str(file))


def parse(text: str, known: Catalogue, name: str = "policy.toml") -> Policy:
    """Read a policy from its text.

    Raises:
        PolicyError: something in it cannot be; every problem is told.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(
            Text(f"{name}: is no TOML: {error}.", f"{name}：不是有效的 TOML：{error}。")
        ) from error
    reader = _Reader(name, known)
    policy = reader.policy(table, text)
    raise_if(reader.problems, PolicyError)
    return policy


def duration(text: str) -> timedelta | None:
    """`2d`, `36h`, `1d 12h` or `90m` as a span of time; none if it is no such thing."""
    found = _DURATION.fullmatch(text)
    if (
        found is None
        or not any(found.groups())
        or any(len(one or "") > 6 for one in found.groups())
    ):
        return None
    parts = zip(_UNITS.values(), found.groups(), strict=True)
    return timedelta(seconds=sum(unit * int(count) for unit, count in parts if count))


def moment(text: str) -> datetime | None:
    """A date and time with its offset from UTC, in UTC; none if it is no such thing."""
    try:
        found = datetime.fromisoformat(text.strip())
        return None if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


class _Reader:
    """Checks one policy; problems are collected, so that all are seen at once."""

    def __init__(self, name: str, known: Catalogue):
        self.name = name
        self.known = known
        self.problems: list[Text] = []

    def problem(self, where: str, value: object, en: str, zh: str) -> None:
        """Note what is wrong with a field, and what to write."""
        shown = _shown(value)
        self.problems.append(
            Text(
                f"{self.name}: {where} = {shown}: {en}.", f"{self.name}：{where} = {shown}：{zh}。"
            )
        )

    def policy(self, table: dict[str, Any], text: str) -> Policy:
        for name in table:
            if name not in _TABLES:
                self.unknown(f"[{name}]", name, tuple(_TABLES), table[name])
        parts: dict[str, dict[str, Any]] = {}
        for name, fields in _TABLES.items():
            part = table.get(name, {})
            if not isinstance(part, dict):
                self.problem(name, part, f"write a table, [{name}]", f"应写成表 [{name}]")
                part = {}
            for key in part:
                if fields and key not in fields:
                    self.unknown(f"[{name}] {key}", key, fields, part[key])
            parts[name] = {key: one for key, one in part.items() if not fields or key in fields}
        assignment, due, grading = parts["assignment"], parts["due"], parts["grading"]
        feedback = parts["feedback"]
        return Policy(
            title=self.title(assignment),
            exercises=self.targets(assignment),
            attempt=self.choice(assignment, "assignment", "attempt", ("last", "best")),
            total=self.number(assignment, "assignment", "total", None, 0, 1e6, above=True),
            points=self.points(parts["points"]),
            due=self.due(due),
            grace=self.span(due, "due", "grace") or timedelta(),
            times=self.choice(due, "due", "times", ("name", "mtime")),
            late=self.late(parts["late"], due),
            extensions=self.extensions(parts["extensions"]),
            own=self.choice(grading, "grading", "dependencies", ("reference", "own")) == "own",
            seed=self.whole(grading, "seed", 0, 2**31 - 1),
            time_s=self.number(grading, "grading", "time_s", None, 0, 3600, above=True),
            memory_mb=self.whole(grading, "memory_mb", 64, 1 << 20) or 2048,
            isolation=self.choice(grading, "grading", "isolation", (None, *STRENGTHS)),
            weakest=self.weakest(grading),
            feedback=self.choice(feedback, "feedback", "level", FEEDBACK),
            public=self.tests(feedback, "public"),
            hidden=self.tests(feedback, "hidden"),
            text=text,
        )

    def unknown(self, where: str, key: str, fields: tuple[str, ...], value: object) -> None:
        near = difflib.get_close_matches(key, fields, n=1)
        names = ", ".join(fields)
        en = f"did you mean '{near[0]}'?" if near else f"there are {names}"
        zh = f"是否想写 '{near[0]}'？" if near else f"可以写的有 {names}"
        self.problem(
            where,
            value,
            f"there is no such name; {en.rstrip('?')}",
            f"没有这个名字；{zh.rstrip('？')}",
        )

    def title(self, part: dict[str, Any]) -> Text | None:
        for key in ("title", "title_zh"):
            if key in part and (not isinstance(part[key], str) or not part[key].strip()):
                self.problem(f"[assignment] {key}", part[key], "write a text", "应为文字")
                return None
        if "title" not in part:
            return None
        return Text(part["title"].strip(), part.get("title_zh", part["title"]).strip())

    def targets(self, part: dict[str, Any]) -> tuple[str, ...]:
        found = part.get("exercises", [])
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            example = 'exercises = ["ch5/repeat_kv", "5.1.2"]'
            self.problem(
                "[assignment] exercises",
                found,
                f"write a list, {example}",
                f"应为列表，如 {example}",
            )
            return ()
        for one in found:
            try:
                self.known.find(one)
            except UnknownTarget as unknown:
                near = f" ({', '.join(unknown.near)}?)" if unknown.near else ""
                self.problem(
                    "[assignment] exercises",
                    one,
                    f"there is no such exercise, section or chapter{near}",
                    f"没有这样的练习、章节或章{near}",
                )
        return tuple(found)

    def points(self, part: dict[str, Any]) -> dict[str, float]:
        found: dict[str, float] = {}
        for key, value in part.items():
            self.exercise(f'[points] "{key}"', key, value)
            number = self.number(part, "points", key, None, 0, 1e6)
            if number is not None:
                found[key] = number
        return found

    def exercise(self, where: str, name: str, value: object) -> bool:
        names = [exercise.id for exercise in self.known]
        if name in names:
            return True
        near = difflib.get_close_matches(name, names, n=1)
        en = f'; did you mean "{near[0]}"' if near else '; write it as "ch5/repeat_kv"'
        zh = f'；是否想写 "{near[0]}"' if near else '；应写成 "ch5/repeat_kv" 这样'
        self.problem(where, value, f"there is no such exercise{en}", f"没有这道练习{zh}")
        return False

    def due(self, part: dict[str, Any]) -> datetime | None:
        return self.time(part["at"], "[due] at") if "at" in part else None

    def time(self, value: object, where: str) -> datetime | None:
        """A moment that everybody in the world agrees on."""
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC)
        example = "2026-11-01T23:59:00+08:00"
        self.problem(
            where,
            value,
            f"write a date and time with its offset from UTC, {example}",
            f"应为带时区的日期时间，如 {example}",
        )
        return None

    def span(self, part: dict[str, Any], table: str, key: str) -> timedelta | None:
        if key not in part:
            return None
        found = duration(part[key]) if isinstance(part[key], str) else None
        if found is None:
            self.problem(
                f"[{table}] {key}",
                part[key],
                'write a span of time, "2d", "36h" or "1d 12h"',
                '应为时长，如 "2d"、"36h" 或 "1d 12h"',
            )
        return found

    def late(self, part: dict[str, Any], due: dict[str, Any]) -> Late:
        if part and "at" not in due:
            self.problem(
                "[late]",
                part,
                "nothing is late without [due] at; write the due date, or take this out",
                "没有 [due] at 就没有迟交；请写上截止时间，或删去这一段",
            )
        per_day = self.number(part, "late", "per_day", 0.0, 0, 1)
        most = self.number(part, "late", "most", 1.0, 0, 1)
        return Late(per_day or 0.0, 1.0 if most is None else most, self.span(part, "late", "until"))

    def extensions(self, part: dict[str, Any]) -> dict[str, timedelta | datetime]:
        found: dict[str, timedelta | datetime] = {}
        for student, value in part.items():
            more: timedelta | datetime | None
            if isinstance(value, str):
                more = self.span(part, "extensions", student)
            else:
                more = self.time(value, f"[extensions] {student}")
            if more is not None:
                found[student] = more
        return found

    def weakest(self, part: dict[str, Any]) -> Isolation:
        found: Isolation = self.choice(
            part, "grading", "weakest", ("landlock", *(s for s in STRENGTHS if s != "landlock"))
        )
        demanded = part.get("isolation")
        if demanded == "process" and "weakest" not in part:
            return "process"  # who demands it by name has been told what it is
        return found

    def tests(self, part: dict[str, Any], key: str) -> tuple[str, ...]:
        found = part.get(key, [])
        where = f"[feedback] {key}"
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            example = f'{key} = ["ch5/repeat_kv::test_name", "ch5/mlp"]'
            self.problem(where, found, f"write a list, {example}", f"应为列表，如 {example}")
            return ()
        for one in found:
            name, _, test = one.partition("::")
            if self.exercise(where, name, one) and test:
                self.test(where, one, name, test)
        return tuple(found)

    def test(self, where: str, said: str, exercise: str, test: str) -> None:
        """Check that a suite has a test of this name, without importing it."""
        try:
            written = self.known[exercise].suite.read_text(encoding="utf-8")
        except OSError:
            return  # what is wrong with it is told when it is graded
        names = re.findall(r"^def (test_\w+)", written, flags=re.MULTILINE)
        if test not in names:
            near = difflib.get_close_matches(test, names, n=1)
            en = f"; did you mean '{near[0]}'" if near else ""
            zh = f"；是否想写 '{near[0]}'" if near else ""
            self.problem(
                where, said, f"{exercise} has no such test{en}", f"{exercise} 没有这个测试{zh}"
            )

    def choice(self, part: dict[str, Any], table: str, key: str, choices: tuple[Any, ...]) -> Any:
        """One of some words; the first is the default."""
        if key not in part:
            return choices[0]
        if part[key] in choices and part[key] is not None:
            return part[key]
        names = ", ".join(repr(one) for one in choices if one is not None)
        self.problem(f"[{table}] {key}", part[key], f"write one of {names}", f"应为 {names} 之一")
        return choices[0]

    def number(
        self,
        part: dict[str, Any],
        table: str,
        key: str,
        default: float | None,
        least: float,
        most: float,
        *,
        above: bool = False,
    ) -> float | None:
        if key not in part:
            return default
        value = part[key]
        right = isinstance(value, int | float) and not isinstance(value, bool)
        if right and least <= value <= most and not (above and value == least):
            return float(value)
        shown = f'"{key}"' if "/" in key else key
        en = f"write a number {'above' if above else 'from'} {least:g}, up to {most:g}"
        zh = f"应为{'大于' if above else '不小于'} {least:g}、不大于 {most:g} 的数"
        self.problem(f"[{table}] {shown}", value, en, zh)
        return default

    def whole(self, part: dict[str, Any], key: str, least: int, most: int) -> int | None:
        if key not in part:
            return None
        value = part[key]
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.problem(
            f"[grading] {key}",
            value,
            f"write a whole number from {least} to {most}",
            f"应为 {least} 到 {most} 的整数",
        )
        return None


def _shown(value: object) -> str:
    """A value as it could stand in the file."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
