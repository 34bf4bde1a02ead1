"""Is every exercise sound? A list of rules, each a small function that gives what breaks it.

The first rules read the tree; the others read a proof, which shows what the suite accepts and what
it does not. Problems are collected and never thrown, so that an author sees all of them at once.
"""

from __future__ import annotations

import difflib
import re
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from grader.authoring import outline, views
from grader.authoring.outline import Outline
from grader.authoring.proof import Cache, Killed, Material, Named, Proof, Run, gather, prove
from grader.authoring.provers import ProverFault, Provers, at_work
from grader.catalogue import Catalogue, CatalogueError, Exercise, Text, load
from grader.findings import Checked, Findings, Problem, Survivor

MISTAKES: Final = 3  # a suite knows at least so many
KILL_RATE: Final = 0.95
TIME_SHARE: Final = 0.5  # of its limit that the solution may take: a learner's machine is slower
UNWRITTEN: Final = "(write me)"
"""What a skeleton holds in the places that an author has yet to fill."""

_WRONG: Final = ("failed", "error", "timeout", "memory")
_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")


@dataclass(frozen=True)
class Tree:
    """A source tree to check: the suites may lie elsewhere, for a trial."""

    root: Path
    suites: Path

    def show(self, path: Path) -> str:
        """A path from the root, as an author writes it."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return str(path)


@dataclass
class Case:
    """One exercise under check: what there is to read, and what there is to say."""

    tree: Tree
    known: Catalogue
    exercise: Exercise
    book: Outline | None
    stale: tuple[views.Change, ...] | views.ViewError
    material: Material | None = None
    proof: Proof = field(default_factory=Proof)

    @property
    def suite(self) -> Path:
        return self.tree.suites / self.exercise.chapter / f"test_{self.exercise.name}.py"

    @property
    def chapter_toml(self) -> Path:
        return self.tree.suites / self.exercise.chapter / "chapter.toml"

    @property
    def topic(self) -> str:
        """The package of the reference that the exercise is from, `llama`."""
        return self.exercise.objects[0].partition(":")[0].split(".")[1]

    @property
    def oracle(self) -> Path:
        return self.tree.root / "tests" / "oracles" / self.topic / f"test_{self.exercise.name}.py"


Found = Iterator[tuple[Path, str, str]]
"""Where it is, what is wrong, how to put it right."""

Rule = Callable[[Case], Found]


def check(
    exercises: Sequence[Exercise],
    known: Catalogue,
    tree: Tree,
    *,
    cache: Cache | None = None,
    anew: bool = False,
    jobs: int = 2,
    provers: Provers | None = None,
    on_checked: Callable[[Checked], None] = lambda _: None,
) -> Findings:
    """Check exercises against every rule.

    Args:
        exercises: which ones.
        known: the whole catalogue.
        tree: where everything lies.
        cache: where proofs are kept; none keeps none.
        anew: prove everything, whatever the cache holds.
        jobs: how many judges work at once.
        provers: judges that are warm already; some are started, and ended, when none are given.
        on_checked: called with each exercise as soon as it is checked.
    """
    started = time.monotonic()
    problems, book = _book(tree)
    problems += _rest_of_views(known, tree)
    work = _Work(cache, anew, jobs, provers)
    checked = []
    with work.running:
        for exercise in exercises:
            one = _check(Case(tree, known, exercise, book, _stale(exercise, known, tree)), work)
            checked.append(one)
            on_checked(one)
    took = round(time.monotonic() - started, 3)
    return Findings(tuple(checked), tuple(problems), took)


def check_tree(tree: Tree) -> tuple[Catalogue | None, tuple[Problem, ...]]:
    """Read the catalogue; what is wrong with it comes as problems."""
    try:
        return load(tree.suites), ()
    except CatalogueError as error:
        fix = "correct the chapter.toml"
        found = []
        for said in error.problems:
            where, _, what = said.partition(": ")
            found.append(Problem("", "catalogue", tree.show(Path(where)), what, fix))
        return None, tuple(found)


class _Work:
    """The judges, started when the first proof has to be made."""

    def __init__(self, cache: Cache | None, anew: bool, jobs: int, provers: Provers | None):
        self.cache, self.anew, self.jobs = cache, anew, jobs
        self.provers = provers
        self.running = ExitStack()

    def prove(self, material: Material) -> tuple[Proof, bool]:
        """A proof, and whether it was there already."""
        key = material.key()
        if self.cache is not None and not self.anew:
            kept = self.cache.load(key)
            if kept is not None:
                return kept, True
        if self.provers is None:
            self.provers = self.running.enter_context(at_work(self.jobs))
        proof = prove(material, self.provers)
        if self.cache is not None and proof.again:  # else something may have been in the way
            self.cache.save(key, proof)
        return proof, False


def _check(case: Case, work: _Work) -> Checked:
    problems = list(_broken(case, READING))
    cached = False
    try:
        case.material = gather(case.exercise, case.known, case.tree.root, case.tree.suites)
    except OSError:
        case.material = None  # the reading rules have said so
    if case.material is not None:
        try:
            case.proof, cached = work.prove(case.material)
        except ProverFault as fault:
            case.proof = Proof(broken=str(fault))
        problems += _broken(case, PROVING)
    return _summary(case, tuple(problems), cached)


def _broken(case: Case, rules: Iterable[Rule]) -> Iterator[Problem]:
    for rule in rules:
        name = rule.__name__.strip("_").replace("_", " ")
        for where, what, fix in rule(case):
            yield Problem(case.exercise.id, name, case.tree.show(where), what, fix)


def _book(tree: Tree) -> tuple[list[Problem], Outline | None]:
    try:
        return [], outline.read(tree.root)
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        where = tree.show(tree.root / outline.OUTLINE)
        fix = "put the book's outline there"
        return [Problem("", "outline", where, f"cannot be read: {error}", fix)], None


def _rest_of_views(known: Catalogue, tree: Tree) -> Iterator[Problem]:
    for change in views.stale_rest(known, tree.root):
        where = change.path.as_posix()
        yield Problem("", "views up to date", where, change.reason, "run `happyllm-grade build`")


def _stale(
    exercise: Exercise, known: Catalogue, tree: Tree
) -> tuple[views.Change, ...] | views.ViewError:
    try:
        return views.stale_of(exercise, known, tree.root)
    except views.ViewError as error:
        return error


# ---- the rules that read the tree, in the order of an author's work


def written(case: Case) -> Found:
    """Nothing of the skeleton is left to write."""
    pages = (outline.page(case.tree.root, one, case.exercise.section) for one in outline.LANGUAGES)
    exercise = case.exercise
    texts = [exercise.title, exercise.why, *exercise.hints]
    if any(UNWRITTEN in text.en + text.zh for text in texts):
        fix = "replace it with the title, the reason why and the hints, in both languages"
        yield case.chapter_toml, f"{exercise.name} still says '{UNWRITTEN}'", fix
    for file in (case.suite, case.oracle, *pages):
        if file is not None and file.is_file() and UNWRITTEN in file.read_text(encoding="utf-8"):
            yield file, f"still says '{UNWRITTEN}'", "write what the lines around it ask for"


def reference(case: Case) -> Found:
    """The views can be built from the reference."""
    if isinstance(case.stale, views.ViewError):
        for said in case.stale.problems:
            file, _, what = said.partition(": ")
            what, _, fix = what.rpartition("; ")
            yield case.tree.root / file, what or fix, fix


def views_up_to_date(case: Case) -> Found:
    """The stub and the solution are what the reference makes of them."""
    if not isinstance(case.stale, views.ViewError):
        for change in case.stale:
            yield case.tree.root / change.path, change.reason, "run `happyllm-grade build`"


def suite(case: Case) -> Found:
    """There is a suite."""
    if not case.suite.is_file():
        yield case.suite, "there is no suite", "write it, or take the exercise out"


def languages(case: Case) -> Found:
    """Titles, reasons and hints are there in both languages, each in its own."""
    exercise = case.exercise
    texts = {"title": exercise.title, "why": exercise.why}
    texts |= {f"hints[{rung}]": hint for rung, hint in enumerate(exercise.hints, start=1)}
    for what, said, fix in _told(texts):
        yield case.chapter_toml, f"{exercise.name}: {what} {said}", fix


def section(case: Case) -> Found:
    """The section is one of the book's, and stands in it in both languages."""
    number = case.exercise.section
    if case.book is None:
        return
    if number not in case.book.sections:
        near = difflib.get_close_matches(number, case.book.sections, n=1)
        hint = f"did you mean {near[0]}?" if near else f"{outline.OUTLINE} lists them all"
        yield case.chapter_toml, f"{case.exercise.name}: there is no section {number}", hint
        return
    for language in outline.LANGUAGES:
        if outline.page(case.tree.root, language, number) is None:
            near_it = outline.page(case.tree.root, language, ".".join(number.split(".")[:2]))
            what = f"has no section {number}"
            fix = f"write it, under a heading that ends with {outline.anchor(number)}"
            yield near_it or case.tree.root / "docs" / language, what, fix


def oracle(case: Case) -> Found:
    """The reference agrees with an independent library, and a test says so."""
    if not case.oracle.is_file():
        fix = "write a test that compares the reference with an independent library"
        yield case.oracle, "there is no oracle test", fix


READING: Final[tuple[Rule, ...]] = (
    *(reference, views_up_to_date, suite, written, languages, section, oracle),
)


# ---- the rules that read the proof


def suite_runs(case: Case) -> Found:
    """The suite can be loaded and run."""
    if case.proof.broken:
        last = case.proof.broken.strip().splitlines()[-1]
        yield case.suite, f"cannot be used: {last}", "correct it until it runs"


def solution_passes(case: Case) -> Found:
    """The solution passes in the sandbox."""
    run = case.proof.solution
    if run is not None and run.outcome != "passed":
        fix = "correct the suite, or the reference"
        yield case.suite, f"rejects the solution: {_ending(run)}", fix


def stub_is_untouched(case: Case) -> Found:
    """The stub is `untouched`, and nothing else."""
    run = case.proof.stub
    if run is not None and run.outcome != "untouched":
        what = f"the stub is graded as {run.outcome}"
        yield case.chapter_toml, what, "name in `blanks` every body that is left to write"


def claims(case: Case) -> Found:
    """Every test and every mistake is told in both languages."""
    texts = {f"the claim of {one.id}": Text(one.en, one.zh) for one in case.proof.tests}
    texts |= {f"the message of {one.id}": Text(one.en, one.zh) for one in case.proof.mistakes}
    for what, said, fix in _told(texts):
        yield case.suite, f"{what} {said}", fix


def mistakes(case: Case) -> Found:
    """Three mistakes or more are known, and each is rejected and named as itself."""
    proof = case.proof
    if proof.again and len(proof.mistakes) < MISTAKES:
        what = f"knows {len(proof.mistakes)} mistakes; {MISTAKES} or more are needed"
        yield case.suite, what, "add what people get wrong, each with @known_wrong"
    for one in proof.mistakes:
        for run in one.runs:
            if run.outcome not in _WRONG:
                what = f"accepts the mistake {one.id} (seed {run.seed}: {run.outcome})"
                said = f"; {run.why}" if run.why else ""
                yield case.suite, what + said, "write a test that fails on it"
                break
        else:
            run = one.runs[0]
            if run.mistake != one.id and one.id not in run.rivals:
                named = f"as {run.mistake}" if run.mistake else "not at all"
                what = f"the mistake {one.id} is named {named} (seed {run.seed})"
                yield case.suite, what, "ask for values that differ between the two"


def mistakes_apart(case: Case) -> Found:
    """No two mistakes give the same answers to everything that the suite asks."""
    told: set[frozenset[str]] = set()
    for one in case.proof.mistakes:
        run = one.runs[0]
        alike = {run.mistake, *run.rivals} - {""}
        for other in sorted(alike - {one.id}) if one.id in alike else ():
            pair = frozenset({one.id, other})
            if pair not in told:
                told.add(pair)
                fix = "add a test that tells them apart, or make them one"
                yield case.suite, f"cannot tell {one.id} from {other}", fix
        if one.id in alike and not run.certain and not run.rivals:
            what = f"the mistake {one.id} is named with a doubt (seed {run.seed})"
            yield case.suite, what, "see that each test that fails asks for what is wrong"


def other_right_ways(case: Case) -> Found:
    """Right answers that look different pass under every seed."""
    if case.proof.again and not case.proof.rights:
        fix = "add one or more with @also_right: another loop order, einsum, another function"
        yield case.suite, "knows no other right way", fix
    for one in case.proof.rights:
        bad = [run for run in one.runs if run.outcome != "passed"]
        if bad:
            what = f"rejects {one.id}, which is right, under {len(bad)} of {len(one.runs)} seeds"
            fix = "widen the tolerance to what the arithmetic explains, or correct the variant"
            yield case.suite, f"{what}; {_ending(bad[0])}", fix


def seeds(case: Case) -> Found:
    """The solution passes under every seed."""
    bad = [run for run in case.proof.again if run.outcome != "passed"]
    if bad:
        what = f"rejects the solution under {len(bad)} of {len(case.proof.again)} seeds"
        yield case.suite, f"{what}; {_ending(bad[0])}", "make no claim that chance can break"


def mutants(case: Case) -> Found:
    """Nearly all mutants of the solution are killed; none of them breaks the grader."""
    counted = [one for one in case.proof.mutants if not _equivalent(one, case.proof)]
    faults = [one for one in counted if one.run.outcome == "fault"]
    for one in faults:
        yield case.suite, f"breaks on the mutant {one.id}, {one.what}: {one.run.why}", _UNBROKEN
    killed = sum(one.run.outcome not in ("passed", "fault") for one in counted)
    if counted and killed < KILL_RATE * len(counted):
        what = f"kills {killed} of {len(counted)} mutants; {KILL_RATE:.0%} are needed"
        yield case.suite, what, "write tests that fail on the survivors below"


_UNBROKEN: Final = "let a test fail by a check, not by an exception of its own"


def equivalent_mutants(case: Case) -> Found:
    """What the suite calls equivalent is a mutant that there is, and no test kills it."""
    for note in case.proof.equivalents if case.proof.again else ():
        found = [one for one in case.proof.mutants if _same(one, note)]
        said = f"EQUIVALENT names `{note.was}` -> `{note.becomes}` in {note.target}"
        if not found:
            yield case.suite, f"{said}, and there is no such mutant", "take the note out"
        elif any(one.run.outcome != "passed" for one in found):
            yield case.suite, f"{said}, but a test kills it", "take the note out"
        elif not note.because.strip():
            yield case.suite, f"{said} without a reason", "say why no test can tell"


def in_time(case: Case) -> Found:
    """The solution leaves a slower machine its time."""
    run, limit = case.proof.solution, case.exercise.time_limit_s
    if run is not None and run.outcome == "passed" and run.duration_s > TIME_SHARE * limit:
        what = f"the solution takes {run.duration_s:.1f} s of {limit:g} s"
        yield case.suite, what, "ask for less, or raise time_limit_s"


PROVING: Final[tuple[Rule, ...]] = (
    *(suite_runs, solution_passes, stub_is_untouched, claims, mistakes, mistakes_apart),
    *(other_right_ways, seeds, mutants, equivalent_mutants, in_time),
)


# ---- small parts


def _told(texts: dict[str, Text]) -> Iterator[tuple[str, str, str]]:
    for what, text in texts.items():
        if not _CHINESE.search(text.zh):
            yield what, "is not in Chinese", "write its zh in Chinese"
        if not text.en.strip() or _CHINESE.search(text.en):
            yield what, "is not in English", "write its en in English"


def _ending(run: Run) -> str:
    where = f" in {run.failed}" if run.failed else ""
    return f"seed {run.seed}: {run.outcome}{where}. {run.why}".strip()


def _same(mutant: Killed, note: Named) -> bool:
    def plain(text: str) -> str:
        return " ".join(text.split())

    return (
        mutant.target == note.target
        and plain(mutant.was) == plain(note.was)
        and plain(mutant.becomes) == plain(note.becomes)
    )


def _equivalent(mutant: Killed, proof: Proof) -> bool:
    return mutant.run.outcome == "passed" and any(_same(mutant, note) for note in proof.equivalents)


def _note(mutant: Killed) -> str:
    sides = f"{mutant.was!r},\n    {mutant.becomes!r}"
    return f'equivalent_mutant(\n    "{mutant.target}",\n    {sides},\n    because="…",\n)'


def _summary(case: Case, problems: tuple[Problem, ...], cached: bool) -> Checked:
    proof = case.proof
    counted = [one for one in proof.mutants if not _equivalent(one, proof)]
    return Checked(
        id=case.exercise.id,
        tests=len(proof.tests),
        mistakes=len(proof.mistakes),
        named=sum(one.runs[0].mistake == one.id and one.runs[0].certain for one in proof.mistakes),
        rights=len(proof.rights),
        accepted=sum(all(run.outcome == "passed" for run in one.runs) for one in proof.rights),
        mutants=len(counted),
        killed=sum(one.run.outcome not in ("passed", "fault") for one in counted),
        equivalent=len(proof.mutants) - len(counted),
        seeds=sum(run.outcome == "passed" for run in proof.again),
        time_s=proof.solution.duration_s if proof.solution is not None else 0.0,
        proven=bool(proof.again),
        cached=cached,
        problems=problems,
        survivors=tuple(
            Survivor(one.id, one.what, one.diff, _note(one))
            for one in counted
            if one.run.outcome == "passed"
        ),
    )
