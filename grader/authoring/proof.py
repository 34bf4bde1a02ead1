"""The proof of one exercise: what its suite made of everything that it was shown.

A proof holds facts and no opinion; the rules of `soundness` judge them. It depends on nothing but
the texts that went into it, so it is kept under their hash and need not be made twice.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final, cast

from grader.authoring.mutants import Mutant, mutate
from grader.authoring.provers import ProverFault, Provers
from grader.catalogue import Catalogue, Exercise
from grader.files import write_whole
from grader.report import build

SEEDS: Final = tuple(range(1, 21))  # the suite holds under each of them
MISTAKE_SEEDS: Final = (1, 2)  # a mistake is rejected under both, and named under the first
MUTANT_SEED: Final = 1
MUTANT_SECONDS: Final = 2.0  # or ten times what the solution takes

_GRADER = Path(__file__).resolve().parents[1]
_OF_THE_PROOF = (
    *("judge/*.py", "sandbox/*.py", "report.py", "catalogue.py"),
    *("authoring/mutants.py", "authoring/proof.py"),
)


@dataclass(frozen=True)
class Material:
    """Everything that a proof is made from.

    Attributes:
        exercise: what is proven.
        suite: the hidden suite.
        solutions: name, path and text of the worked files, requirements first.
        stub: the text of the learner's file.
        reference: the texts of the reference's modules that the suite imports, by their path.
    """

    exercise: Exercise
    suite: Path
    solutions: tuple[tuple[str, str, str], ...]
    stub: str
    reference: Mapping[str, str]

    @property
    def solution(self) -> str:
        return self.solutions[-1][2]

    def key(self) -> str:
        """A hash of all that the proof depends on."""
        exercise = self.exercise
        facts = [
            *(exercise.id, exercise.objects, exercise.blanks, exercise.time_limit_s),
            *(
                exercise.preload,
                exercise.forbids,
                self.suite.read_text(encoding="utf-8"),
                self.solutions,
                self.stub,
            ),
            *(sorted(self.reference.items()), platform.python_version(), metadata.version("torch")),
            *(platform.machine(), SEEDS, MISTAKE_SEEDS, _grader_hash()),
        ]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def gather(exercise: Exercise, known: Catalogue, root: Path, suites: Path) -> Material:
    """Read what a proof is made from.

    Raises:
        OSError: a file is not there.
    """

    def text(view: str, one: Exercise) -> str:
        return (root / view / one.file).read_text(encoding="utf-8")

    suite = suites / exercise.chapter / f"test_{exercise.name}.py"
    return Material(
        exercise=exercise,
        suite=suite,
        solutions=tuple(
            (one.module, f"solutions/{one.file}", text("solutions", one))
            for one in (*known.requirements(exercise), exercise)
        ),
        stub=text("exercises", exercise),
        reference=dict(_imported(suite, root)),
    )


def _imported(suite: Path, root: Path) -> Iterator[tuple[str, str]]:
    """The modules of the reference that a file imports, directly or through another."""
    todo, seen = [suite], {suite}
    while todo:
        path = todo.pop()
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except SyntaxError:
            continue
        names: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        for name in sorted(names):
            if name.split(".")[0] != "happyllm":
                continue
            base = root.joinpath(*name.split("."))
            for file in (base.with_suffix(".py"), base / "__init__.py"):
                if file.is_file() and file not in seen:
                    seen.add(file)
                    todo.append(file)
                    yield file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")


def _grader_hash() -> str:
    files = sorted(file for pattern in _OF_THE_PROOF for file in _GRADER.glob(pattern))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


# ---- what is found out


@dataclass(frozen=True)
class Claim:
    """A test of the suite, and what it claims."""

    id: str
    en: str
    zh: str


@dataclass(frozen=True)
class Run:
    """One grading.

    Attributes:
        seed: the inputs were drawn from it.
        failed: the first test that did not pass.
        why: the first failure, in a sentence.
        mistake: the known mistake that was named.
        rivals: other mistakes that explain as much.
    """

    seed: int
    outcome: str
    failed: str = ""
    why: str = ""
    mistake: str = ""
    certain: bool = False
    rivals: tuple[str, ...] = ()
    duration_s: float = 0.0


@dataclass(frozen=True)
class Tried:
    """A variant of the suite, a mistake or another right way, and what came of it."""

    id: str
    target: str
    en: str
    zh: str
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Killed:
    """A mutant, and what came of it: any outcome but a pass has killed it."""

    id: str
    target: str
    was: str
    becomes: str
    what: str
    diff: str
    run: Run


@dataclass(frozen=True)
class Named:
    """A mutant that the suite says changes nothing."""

    target: str
    was: str
    becomes: str
    because: str


@dataclass(frozen=True)
class Proof:
    """All that was found out. `broken` says why there is no more than there is."""

    broken: str = ""
    tests: tuple[Claim, ...] = ()
    solution: Run | None = None
    stub: Run | None = None
    again: tuple[Run, ...] = ()
    mistakes: tuple[Tried, ...] = ()
    rights: tuple[Tried, ...] = ()
    mutants: tuple[Killed, ...] = ()
    equivalents: tuple[Named, ...] = ()


def prove(material: Material, provers: Provers) -> Proof:
    """Show a suite everything that it must accept and everything that it must not."""
    tasks = Tasks(material)
    answers = provers.ask_all([tasks.marks(), tasks.submission(material.stub)])
    answers += provers.ask_all([tasks.submission(material.solution)])  # alone: its time is told
    for answer in answers:
        if isinstance(answer, ProverFault):
            return Proof(broken=str(answer))
    says, stub, solution = cast("list[dict[str, Any]]", answers)
    equivalents = tuple(Named(**entry) for entry in says["equivalents"])
    proof = Proof(
        tests=tuple(Claim(*entry) for entry in solution["tests"]),
        solution=_run(solution, MUTANT_SEED),
        stub=_run(stub, MUTANT_SEED),
        equivalents=equivalents,
    )
    if solution["outcome"] != "passed":
        return proof
    limit = max(MUTANT_SECONDS, 10 * solution["duration_s"])
    mutants: list[Mutant] = []
    asked: list[tuple[str, int]] = []  # what a task is for, and its seed

    def todo() -> Iterator[dict[str, Any]]:
        for one in says["wrongs"]:
            for number, seed in enumerate(MISTAKE_SEEDS):
                asked.append((f"wrong {one['id']}", seed))
                yield tasks.variants(seed, one["id"], diagnose=number == 0)
        for seed in SEEDS:
            asked.append(("again", seed))
            yield tasks.variants(seed)
        for one in says["rights"]:
            for seed in SEEDS:
                asked.append((f"right {one['id']}", seed))
                yield tasks.variants(seed, one["id"])
        # The judges are at work by now; making the mutants takes a while.
        mutants.extend(mutate(material.solution, material.exercise.blanks, material.exercise.file))
        for mutant in mutants:
            asked.append((f"mutant {mutant.id}", MUTANT_SEED))
            yield tasks.submission(mutant.text, limit)

    runs: dict[str, list[Run]] = {}
    for (purpose, seed), answer in zip(asked, provers.ask_all(todo()), strict=True):
        runs.setdefault(purpose, []).append(_run(answer, seed))
    return dataclasses.replace(
        proof,
        again=tuple(runs["again"]),
        mistakes=tuple(
            Tried(**one, runs=tuple(runs[f"wrong {one['id']}"])) for one in says["wrongs"]
        ),
        rights=tuple(
            Tried(**one, en="", zh="", runs=tuple(runs[f"right {one['id']}"]))
            for one in says["rights"]
        ),
        mutants=tuple(
            Killed(m.id, m.target, m.was, m.becomes, m.what, m.diff, runs[f"mutant {m.id}"][0])
            for m in mutants
        ),
    )


class Tasks:
    """The tasks of one proof, as `grader.judge.proving` takes them."""

    def __init__(self, material: Material):
        self.common = {
            "exercise": dataclasses.asdict(material.exercise),
            "suite": str(material.suite),
            "solutions": [list(entry) for entry in material.solutions],
            "seed": MUTANT_SEED,
            "time_s": material.exercise.time_limit_s,
            "stop_early": True,
            "diagnose": False,
        }

    def marks(self) -> dict[str, Any]:
        return self.common | {"do": "marks"}

    def submission(self, text: str, time_s: float | None = None) -> dict[str, Any]:
        limits = {} if time_s is None else {"time_s": time_s}
        return self.common | limits | {"do": "submission", "text": text}

    def variants(self, seed: int, *names: str, diagnose: bool = False) -> dict[str, Any]:
        how = {"variants": list(names), "diagnose": diagnose, "stop_early": not diagnose}
        return self.common | how | {"do": "variants", "seed": seed}


def _run(answer: dict[str, Any] | ProverFault, seed: int) -> Run:
    if isinstance(answer, ProverFault):
        return Run(seed, "fault", why=str(answer).strip().splitlines()[-1])
    known = {field.name for field in dataclasses.fields(Run)} - {"seed", "rivals"}
    given = {name: value for name, value in answer.items() if name in known}
    return Run(seed=seed, rivals=tuple(answer["rivals"]), **given)


# ---- proofs that are kept


@dataclass(frozen=True)
class Cache:
    """A folder of proofs by the hash of what they were made from."""

    folder: Path

    def load(self, key: str) -> Proof | None:
        """The proof under a key; none where there is none that can be read."""
        try:
            proof: Proof = build(Proof, json.loads((self.folder / f"{key}.json").read_text()))
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return proof

    def save(self, key: str, proof: Proof) -> None:
        """Keep a proof; a folder that cannot be written costs only the time of the next check."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(dataclasses.asdict(proof), ensure_ascii=False)
            write_whole(self.folder / f"{key}.json", text)
        except OSError:
            return


def default_cache() -> Cache:
    """The cache in the user's own cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Cache(Path(base).expanduser() / "happyllm" / "proofs")
