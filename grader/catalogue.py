"""The catalogue: chapters and exercises, read from `suites/*/chapter.toml` into frozen dataclasses.

Reading it imports neither torch nor a suite, so `list`, `hint` and `--help` stay quick.
"""

from __future__ import annotations

import difflib
import keyword
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

SUITES = Path(__file__).parent / "suites"

Language = Literal["en", "zh"]


class CatalogueError(Exception):
    """A chapter.toml says something that it must not; the message lists every problem found."""

    def __init__(self, problems: Iterable[str]):
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class UnknownTarget(LookupError):
    """No exercise answers to the name that was given; `near` holds the closest names."""

    def __init__(self, target: str, near: Iterable[str] = ()):
        self.target = target
        self.near = tuple(near)
        hint = f" Did you mean {' or '.join(self.near)}?" if self.near else ""
        super().__init__(
            f"There is no exercise, section or chapter '{target}'.{hint} "
            "`happyllm-grade list` shows them all."
        )


@dataclass(frozen=True)
class Text:
    """One text in both languages."""

    en: str
    zh: str

    def in_(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


@dataclass(frozen=True)
class Hint(Text):
    """One rung of a ladder.

    Attributes:
        fits: what it helps with, by the names in the suite: known mistakes, and tests. Where the
            last grading found one of them, this hint comes before the others.
    """

    fits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exercise:
    """One exercise: what the learner writes, and what the grader needs to know about it.

    Attributes:
        id: chapter and name, `ch5/repeat_kv`.
        section: the book's section, `5.1.3.1`.
        objects: source objects in reading order, `happyllm.llama.attention:repeat_kv`.
        blanks: what is blanked in the stub, `repeat_kv` or `RMSNorm.forward`.
        points: what a pass is worth.
        requires: ids of the exercises whose files this one imports, directly or through another.
        time_limit_s: seconds that the learner's code may take for the whole suite.
        preload: libraries that the fork server imports before it forks.
        forbids: library functions and classes that solve the exercise; a call of one is blocked.
        hints: a ladder, from the idea to near the code.
        why: why it matters, in two or three sentences; shown beside the solution.
        public: the tests of the suite that the student edition shows, by name.
    """

    id: str
    section: str
    title: Text
    objects: tuple[str, ...]
    blanks: tuple[str, ...]
    points: int
    requires: tuple[str, ...]
    time_limit_s: float
    preload: tuple[str, ...]
    hints: tuple[Hint, ...]
    forbids: tuple[str, ...] = ()
    why: Text = Text("", "")
    public: tuple[str, ...] = ()

    @property
    def chapter(self) -> str:
        return self.id.split("/")[0]

    @property
    def name(self) -> str:
        return self.id.split("/")[1]

    @property
    def file(self) -> str:
        """Where the learner's file lies in a workspace, `ch5/repeat_kv.py`."""
        return f"{self.id}.py"

    @property
    def module(self) -> str:
        """The name under which the learner's file is imported, `ch5.repeat_kv`."""
        return self.id.replace("/", ".")

    @property
    def suite(self) -> Path:
        return SUITES / self.chapter / f"test_{self.name}.py"


@dataclass(frozen=True)
class Milestone:
    """What a chapter ends in: it runs on the learner's own files alone, and shows something.

    Attributes:
        chapter: the chapter that it ends, `ch5`.
        section: the book's section that tells of it.
        requires: ids of the exercises that must be solved before.
        time_limit_s: seconds that the learner's code may take.
    """

    chapter: str
    title: Text
    section: str
    requires: tuple[str, ...]
    time_limit_s: float

    @property
    def id(self) -> str:
        return f"{self.chapter}/milestone"

    @property
    def suite(self) -> Path:
        return SUITES / self.chapter / "milestone.py"


@dataclass(frozen=True)
class Chapter:
    """One chapter and its exercises in reading order."""

    id: str
    title: Text
    exercises: tuple[Exercise, ...]
    milestone: Milestone | None = None


@dataclass(frozen=True)
class Catalogue:
    """Every chapter that has exercises, in the book's order."""

    chapters: tuple[Chapter, ...]

    @cached_property
    def _by_id(self) -> Mapping[str, Exercise]:
        return {exercise.id: exercise for exercise in self}

    def __iter__(self) -> Iterator[Exercise]:
        for chapter in self.chapters:
            yield from chapter.exercises

    def __getitem__(self, exercise_id: str) -> Exercise:
        try:
            return self._by_id[exercise_id]
        except KeyError:
            raise UnknownTarget(exercise_id, self.near(exercise_id)) from None

    def find(self, target: str) -> tuple[Exercise, ...]:
        """The exercises that a target names: an id, a chapter, a section, or a bare name.

        Raises:
            UnknownTarget: nothing answers to it; the error carries the nearest names.
        """
        wanted = target.strip().removesuffix("/")
        if re.fullmatch(r"\d+(\.\d+)*", wanted):
            found = [e for e in self if e.section == wanted or e.section.startswith(f"{wanted}.")]
        elif "/" in wanted:
            found = [e for e in self if e.id == wanted]
        else:
            found = [e for e in self if wanted in (e.chapter, e.name)]
        if not found:
            raise UnknownTarget(target, self.near(wanted))
        return tuple(found)

    def near(self, target: str, n: int = 3) -> tuple[str, ...]:
        """The names closest to one that nothing answers to, best first."""
        names: dict[str, str] = {}
        for exercise in self:
            names |= {exercise.id: exercise.id, exercise.name: exercise.id}
            names |= {exercise.section: exercise.section, exercise.chapter: exercise.chapter}
        close = difflib.get_close_matches(target, names, n=2 * n, cutoff=0.6)
        return tuple(dict.fromkeys(names[name] for name in close))[:n]

    def requirements(self, exercise: Exercise) -> tuple[Exercise, ...]:
        """The exercises that one builds on, near and far, each after what it builds on itself."""
        ordered: dict[str, Exercise] = {}

        def visit(one: Exercise) -> None:
            for required in one.requires:
                if required not in ordered:
                    visit(self[required])
                    ordered[required] = self[required]

        visit(exercise)
        return tuple(ordered.values())


def load(suites: Path = SUITES) -> Catalogue:
    """Read every chapter.toml under `suites`.

    Raises:
        CatalogueError: with every problem found, each naming the file, the field and the fix.
    """
    problems: list[str] = []
    chapters = []
    named: set[str] = set()
    for file in sorted(suites.glob("ch*/chapter.toml"), key=_chapter_number):
        reader = _Reader(file, problems)
        chapter = reader.chapter()
        named |= reader.named
        if chapter is not None:
            chapters.append(chapter)
    catalogue = Catalogue(tuple(chapters))
    problems += _loose_ends(catalogue, suites, named)
    if problems:
        raise CatalogueError(problems)
    return catalogue


def _chapter_number(file: Path) -> int:
    digits = re.sub(r"\D", "", file.parent.name)
    return int(digits) if digits else 0


def _loose_ends(catalogue: Catalogue, suites: Path, named: set[str]) -> Iterator[str]:
    """What one exercise says of another: a requirement missing or in a circle, an object shared.

    `named` holds the ids of all exercises, those too that have problems of their own.
    """
    known = {exercise.id: exercise for exercise in catalogue}
    told: set[str] = set()  # exercises of a circle that was reported already
    owners: dict[str, str] = {}

    def circle(start: str) -> list[str] | None:
        paths, seen = [[start]], {start}
        while paths:
            path = paths.pop(0)
            for following in known[path[-1]].requires:
                if following == start:
                    return [*path, start]
                if following in known and following not in seen:
                    seen.add(following)
                    paths.append([*path, following])
        return None

    for chapter in catalogue.chapters:
        for required in chapter.milestone.requires if chapter.milestone else ():
            if required not in named:
                where = f"{suites / chapter.id / 'chapter.toml'}: [milestone]"
                yield f"{where}: requires: there is no exercise '{required}'; take it out"
    for exercise in catalogue:
        where = f"{suites / exercise.chapter / 'chapter.toml'}: exercise '{exercise.name}'"
        for required in exercise.requires:
            if required not in named:
                near = difflib.get_close_matches(required, sorted(named), n=1)
                hint = f"did you mean '{near[0]}'?" if near else "take it out, or write it first"
                yield f"{where}: requires: there is no exercise '{required}'; {hint}"
        if exercise.id not in told and (path := circle(exercise.id)):
            told |= set(path)
            yield f"{where}: requires: goes in a circle, {' -> '.join(path)}; take one link out"
        for reference in exercise.objects:
            owner = owners.setdefault(reference, exercise.id)
            if owner != exercise.id:
                yield f"{where}: objects: '{reference}' belongs to {owner}; leave it to one of them"


class _Reader:
    """Reads one chapter.toml; problems are collected, so that an author sees them all at once."""

    EXERCISE_FIELDS = frozenset(
        {"id", "section", "title", "objects", "blanks", "points", "requires"}
        | {"time_limit_s", "preload", "hints", "forbids", "why", "public"}
    )
    MILESTONE_FIELDS = frozenset({"section", "title", "requires", "time_limit_s"})

    def __init__(self, file: Path, problems: list[str]):
        self.file = file
        self.problems = problems
        self.named: set[str] = set()  # ids of all exercises, those with problems too

    def problem(self, where: str, what: str) -> None:
        self.problems.append(f"{self.file}: {where}: {what}")

    def chapter(self) -> Chapter | None:
        try:
            table = tomllib.loads(self.file.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            self.problems.append(f"{self.file}: not valid TOML: {error}")
            return None
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(f"{self.file}: cannot be read: {error}")
            return None
        for key in sorted(table.keys() - {"chapter", "exercise", "milestone"}):
            self.problem(
                key, "no such table; a chapter has [chapter], [[exercise]] and [milestone]"
            )
        title = self.head(table.get("chapter"))
        entries = table.get("exercise", [])
        if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
            self.problem("exercise", "must be a list of tables: write [[exercise]]")
            entries = []
        elif not entries:
            self.problem("exercise", "missing; a chapter has at least one [[exercise]]")
        exercises = [
            exercise
            for number, entry in enumerate(entries, start=1)
            if (exercise := self.exercise(entry, number))
        ]
        seen: set[str] = set()
        for exercise in exercises:
            if exercise.id in seen:
                self.problem(f"exercise '{exercise.name}': id", "used twice; rename one")
            seen.add(exercise.id)
        # What has problems is handed on all the same, so that loose ends are found beside them.
        milestone = self.milestone(table["milestone"]) if "milestone" in table else None
        name = self.file.parent.name
        return Chapter(name, title or Text("", ""), tuple(exercises), milestone)

    def head(self, head: Any) -> Text | None:
        """Check [chapter], and hand its title back."""
        if not isinstance(head, dict):
            self.problem("[chapter]", "missing; it holds id and title = { en = …, zh = … }")
            return None
        for key in sorted(head.keys() - {"id", "title"}):
            self.problem(f"[chapter]: {key}", "no such field; [chapter] holds id and title")
        chapter_id = self.text(head, "id", "[chapter]", r"ch\d+")
        folder = self.file.parent.name
        if chapter_id and chapter_id != folder:
            self.problem(
                "[chapter]: id", f"'{chapter_id}', but its folder is '{folder}'; rename one"
            )
        return self.both(head.get("title"), "[chapter]: title")

    def exercise(self, entry: dict[str, Any], number: int) -> Exercise | None:
        before = len(self.problems)
        where = f"exercise {number} ('{entry.get('id', '?')}')"
        for key in sorted(entry.keys() - self.EXERCISE_FIELDS):
            near = difflib.get_close_matches(key, self.EXERCISE_FIELDS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            self.problem(f"{where}: {key}", f"no such field{hint}")
        chapter = self.file.parent.name
        name = self.text(entry, "id", where, r"[a-z][a-z0-9_]*")
        if keyword.iskeyword(name):
            self.problem(f"{where}: id", f"'{name}' is a word of Python's; a module needs another")
        self.named.add(f"{chapter}/{name}")
        section = self.section(entry, where)
        title = self.both(entry.get("title"), f"{where}: title")
        objects = self.texts(entry, "objects", where, r"[\w.]+:\w+", needed=True)
        blanks = self.texts(entry, "blanks", where, r"\w+(\.\w+)?", needed=True)
        names = {reference.split(":")[1] for reference in objects}
        for blank in blanks:
            if names and blank.split(".")[0] not in names:
                self.problem(f"{where}: blanks", f"'{blank}' is not one of objects {sorted(names)}")
        requires = self.texts(entry, "requires", where, r"ch\d+/[a-z][a-z0-9_]*")
        preload = self.texts(entry, "preload", where, r"[\w.]+") or ("torch",)
        forbids = self.texts(entry, "forbids", where, r"[\w.]+\.\w+")
        points = entry.get("points")
        if not isinstance(points, int) or isinstance(points, bool) or points < 1:
            self.problem(f"{where}: points", f"{points!r} is not a positive whole number")
        limit = self.limit(entry, where)
        why = self.both(entry.get("why"), f"{where}: why")
        steps = entry.get("hints")
        if not isinstance(steps, list) or not steps:
            self.problem(f"{where}: hints", "missing; a list of { en = …, zh = … }, general first")
            steps = []
        suite = self.file.parent / f"test_{name}.py"
        hints = self.hints(steps, where, suite)
        public = self.public(entry, where, suite)
        if len(self.problems) > before or title is None or why is None:
            return None
        assert isinstance(points, int)
        return Exercise(
            id=f"{chapter}/{name}",
            section=section,
            title=title,
            objects=objects,
            blanks=blanks,
            points=points,
            requires=requires,
            time_limit_s=limit,
            preload=preload,
            forbids=forbids,
            hints=hints,
            why=why,
            public=public,
        )

    def public(self, entry: dict[str, Any], where: str, suite: Path) -> tuple[str, ...]:
        """Check the list of public tests; they must stand in the suite, where there is one."""
        public = self.texts(entry, "public", where, r"test_\w+")
        if public and suite.is_file():
            written = suite.read_text(encoding="utf-8", errors="replace")
            names = re.findall(r"^def (test_\w+)", written, flags=re.MULTILINE)
            for name in public:
                if name not in names:
                    near = difflib.get_close_matches(name, names, n=1)
                    hint = f"did you mean '{near[0]}'?" if near else "take it out"
                    self.problem(f"{where}: public", f"'{name}' is not in {suite.name}; {hint}")
        return public

    def milestone(self, entry: Any) -> Milestone | None:
        """Check [milestone]."""
        before, where, chapter = len(self.problems), "[milestone]", self.file.parent.name
        if not isinstance(entry, dict):
            self.problem(where, "must be a table of section, title, requires and time_limit_s")
            return None
        for key in sorted(entry.keys() - self.MILESTONE_FIELDS):
            holds = ", ".join(sorted(self.MILESTONE_FIELDS))
            self.problem(f"{where}: {key}", f"no such field; [milestone] holds {holds}")
        title = self.both(entry.get("title"), f"{where}: title")
        requires = self.texts(entry, "requires", where, r"ch\d+/[a-z][a-z0-9_]*", needed=True)
        section, limit = self.section(entry, where), self.limit(entry, where)
        if len(self.problems) > before or title is None:
            return None
        return Milestone(chapter, title, section, requires, limit)

    def hints(self, steps: list[Any], where: str, suite: Path) -> tuple[Hint, ...]:
        """Check the ladder; what a hint fits must stand in the suite, where there is one."""
        hints = []
        for rung, step in enumerate(steps, start=1):
            at = f"{where}: hints[{rung}]"
            fits: tuple[str, ...] = ()
            if isinstance(step, dict) and "fits" in step:
                step = dict(step)
                fits = self.texts({"fits": step.pop("fits")}, "fits", at, r"[A-Za-z_]\w*")
            text = self.both(step, at)
            if text is not None:
                hints.append(Hint(text.en, text.zh, fits))
        fitted = {name for hint in hints for name in hint.fits}
        if fitted and suite.is_file():
            written = suite.read_text(encoding="utf-8", errors="replace")
            names = set(re.findall(r"^(?:def|class) (\w+)", written, flags=re.MULTILINE))
            for name in sorted(fitted - names):
                near = difflib.get_close_matches(name, sorted(names), n=1)
                hint = f"did you mean '{near[0]}'?" if near else "name a known mistake or a test"
                self.problem(f"{where}: hints: fits", f"'{name}' is not in {suite.name}; {hint}")
        return tuple(hints)

    def section(self, entry: dict[str, Any], where: str) -> str:
        chapter = self.file.parent.name
        section = self.text(entry, "section", where, r"\d+(\.\d+)+")
        if section and f"ch{section.split('.')[0]}" != chapter:
            self.problem(
                f"{where}: section",
                f"'{section}' is not a section of {chapter}; a section begins with its number",
            )
        return section

    def limit(self, entry: dict[str, Any], where: str) -> float:
        limit = entry.get("time_limit_s", 10)
        if isinstance(limit, int | float) and not isinstance(limit, bool) and 0 < limit <= 600:
            return float(limit)
        self.problem(f"{where}: time_limit_s", f"{limit!r} is not seconds, above 0 and up to 600")
        return 0.0

    def text(self, table: dict[str, Any], key: str, where: str, form: str) -> str:
        value = table.get(key)
        if isinstance(value, str) and re.fullmatch(form, value):
            return value
        said = "missing; it is" if value is None else f"{value!r} is not"
        said += f" a string of the form {form}"
        self.problem(f"{where}: {key}", said)
        return ""

    def texts(
        self, table: dict[str, Any], key: str, where: str, form: str, *, needed: bool = False
    ) -> tuple[str, ...]:
        values = table.get(key, [])
        if not isinstance(values, list):
            self.problem(f"{where}: {key}", f"{values!r} is not a list of strings")
            return ()
        if needed and not values:
            self.problem(f"{where}: {key}", f"missing; a list of strings of the form {form}")
        for value in values:
            if not isinstance(value, str) or not re.fullmatch(form, value):
                self.problem(f"{where}: {key}", f"{value!r} is not a string of the form {form}")
                return ()
        return tuple(values)

    def both(self, value: Any, where: str) -> Text | None:
        if not isinstance(value, dict):
            self.problem(where, "missing; write { en = …, zh = … }")
            return None
        ok = True
        for language in ("en", "zh"):
            said = value.get(language)
            if not isinstance(said, str) or not said.strip():
                self.problem(f"{where}.{language}", "missing or empty; both languages are needed")
                ok = False
        for key in sorted(value.keys() - {"en", "zh"}):
            self.problem(f"{where}.{key}", "no such language; only en and zh")
            ok = False
        return Text(en=value["en"].strip(), zh=value["zh"].strip()) if ok else None
