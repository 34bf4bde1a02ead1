"""A class of known verdicts, graded in isolation, beside pytest, nbgrader and otter-grader.

    python benchmarks/classroom.py [--size 200] [--sample 6] [--nbgrader PYTHON] [--otter PYTHON]

All in one run, on the same two processors. Ours is the command itself, `happyllm-grade class`, from
a cold start to the last file that it writes. pytest is one process for each submission, two at a
time, with the same hidden tests and without any isolation. nbgrader and otter-grader get the same
code as notebooks of eleven exercises with a few asserts each, fewer than ours has; they grade one
after another, as their commands do, and are measured on a sample. What two of their commands side
by side would give is told as well.

PYTHON is that of a virtual environment in which nbgrader or otter-grader is installed; where none
is named, one is made in a temporary folder by pip. torch is lent to it, not installed again.

Exits 1 when a verdict is not what the class was made to have, when somebody was harmed, when memory
grows from the 20th submission to the last, or when a ratio is below its limit (which counts from
100 submissions on).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import torch

from grader import catalogue, shelf
from grader.catalogue import Exercise
from grader.classroom.record import Record
from grader.judge import marks
from grader.report import Graded
from grader.sandbox.jail import STRENGTHS

ROOT = Path(__file__).resolve().parents[1]
AT_LEAST = {"pytest": 5.0, "nbgrader": 15.0, "otter-grader": 40.0}
GROWTH = 1.15  # memory at the end, beside that at the 20th
HANGING = 2  # so many of the class never end, and are killed at their limit
RULES = "[grading]\nseed = 1\ntime_s = 4\n"
SECTION = "5.1"

# Of twenty, so many are of each kind.
KINDS = {
    "right": 7,
    "right in another way": 3,
    "wrong in a known way": 4,
    "hostile": 1,
    "broken": 1,
    "empty": 1,
    "untouched": 1,
    "half done": 2,
}


@dataclass(frozen=True)
class Member:
    """One of the class.

    Attributes:
        outcomes: what each exercise may come out as; none where nothing can be read.
        mistake: what the mistake in an exercise is called.
    """

    name: str
    kind: str
    outcomes: dict[str, set[str]] | None
    mistake: tuple[str, str] | None = None


@dataclass
class Measured:
    """How long a grader took, and for how many."""

    minutes: float
    count: int

    @property
    def per_minute(self) -> float:
        return self.count / self.minutes


@dataclass
class Watched:
    """What was seen of the command while it ran: lines it said, and memory as time went on."""

    done: int = 0
    memory: list[tuple[int, float]] = field(default_factory=list)  # submissions done, megabytes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--sample", type=int, default=6, help="so many of them by the others")
    parser.add_argument("--nbgrader", metavar="PYTHON", type=Path)
    parser.add_argument("--otter", metavar="PYTHON", type=Path)
    parser.add_argument("--only-ours", action="store_true", help="measure no other grader")
    told = parser.parse_args()
    two = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, two)
    exercises = catalogue.load().find(SECTION)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        members = make(place / "subs", exercises, told.size)
        before = set(Path(tempfile.gettempdir()).iterdir())
        mine, seen = ours(place)
        wrong = compared(members, place / "out/record.sqlite")
        harm = harmed(before, place)
        kinds = dict(Counter(member.kind for member in members))
        print(f"{told.size} submissions of {len(exercises)} exercises on {len(two)} processors")
        print("  " + ", ".join(f"{count} {kind}" for kind, count in kinds.items()))
        print(f"{'':46}{'a minute':>9}{'seconds each':>14}")
        line("happyllm-grade class, isolated, all of them", mine)
        ratios = {}
        if not told.only_ours:
            sample = [place / "subs" / m.name for m in members if m.kind.startswith("right")]
            sample = sample[: told.sample]
            measure = {
                "pytest": lambda: by_pytest(place / "pytest", sample, exercises),
                "nbgrader": lambda: by_nbgrader(place / "nb", told.nbgrader, sample, exercises),
                "otter-grader": lambda: by_otter(place / "otter", told.otter, sample, exercises),
            }
            for name, how in measure.items():
                ratios[name] = mine.per_minute / how().per_minute
    memory = growth(seen)
    slow = {name: ratio for name, ratio in ratios.items() if ratio < AT_LEAST[name]}
    for name, ratio in ratios.items():
        print(f"{ratio:5.1f} times as fast as {name}, limit {AT_LEAST[name]:g}")
    print(f"verdicts that are not what they were made to be: {len(wrong)}")
    for said in [*wrong[:20], *harm]:
        print(f"  {said}")
    print(f"harm done by hostile submissions: {len(harm) or 'none'}")
    counts = told.size >= 100
    return int(bool(wrong or harm) or (counts and (bool(slow) or memory > GROWTH)))


def line(name: str, one: Measured) -> None:
    """One row of the table."""
    print(f"{name:46}{one.per_minute:9.1f}{60 / one.per_minute:14.2f}", flush=True)


# ---- the class


def make(subs: Path, exercises: Sequence[Exercise], size: int) -> list[Member]:
    """Make a class; no two hand in the same text."""
    sys.path.insert(0, str(ROOT))
    from tests.grader.classroom.other_ways import variants

    chance = random.Random(1)
    ways = [way for exercise in exercises for way in variants(exercise, marks.rights)]
    mistakes = [way for exercise in exercises for way in variants(exercise, marks.known_wrongs)]
    hostile = attacks({exercise.id for exercise in exercises})
    for some in (ways, mistakes, hostile):
        chance.shuffle(some)
    kinds = [kind for kind, count in KINDS.items() for _ in range(count)]
    chance.shuffle(kinds)
    members = []
    for number in range(size):
        kind, name = kinds[number % len(kinds)], f"s{number:04}"
        root = subs / name
        texts = {exercise.id: shelf.solution(exercise) for exercise in exercises}
        passed = {exercise.id: {"passed"} for exercise in exercises}
        outcomes: dict[str, set[str]] | None = passed
        mistake = None
        some = exercises[number % len(exercises)].id
        if kind == "right in another way":
            some, _, texts[some] = ways[number % len(ways)]
        elif kind == "wrong in a known way":
            some, what, texts[some] = mistakes[number % len(mistakes)]
            passed[some], mistake = {"failed", "error"}, (some, what)
        elif kind == "hostile":
            some, deserved, texts[some] = hostile[number // len(kinds) % len(hostile)]
            passed[some] = set(deserved.split())
        elif kind == "broken" and number % 3 == 0:
            subs.joinpath(f"{name}.zip").write_bytes(b"PK\x03\x04 and no more")
            members.append(Member(f"{name}.zip", kind, None))
            continue
        elif kind == "broken":
            texts[some] = f"def broken(:  # {name}\n"
            passed[some] = {"error"}
        elif kind in ("untouched", "half done"):
            for exercise in exercises[0 if kind == "untouched" else 5 :]:
                stub = ROOT / "exercises" / exercise.file
                texts[exercise.id], passed[exercise.id] = stub.read_text(), {"untouched"}
        if kind == "empty":
            texts, outcomes = {}, None
        root.mkdir(parents=True)
        for exercise_id, text in texts.items():
            place = root / f"{exercise_id}.py"
            place.parent.mkdir(exist_ok=True)
            place.write_text(f"{text}\n# {name}\n", encoding="utf-8")
        members.append(Member(name, kind, outcomes, mistake))
    return members


def attacks(exercises: set[str]) -> list[tuple[str, str, str]]:
    """The hostile hand-ins of the tests that a class can hold: exercise, outcomes, text."""
    from tests.attacks import hand_ins

    fit = [
        one
        for one in hand_ins.all_of_them()
        if one.exercise in exercises
        and "{{" not in one.text
        and not any(one.one(need) for need in ("link", "pipe", "many", "hole", "beside", "never"))
        and one.is_stopped_by(STRENGTHS[0])
    ]
    hanging = [one for one in fit if "timeout" in one.deserved]
    chosen = [one for one in fit if one not in hanging[HANGING:]]
    return [(one.exercise, " ".join(sorted(one.deserved)), one.text) for one in chosen]


# ---- ours


def ours(place: Path) -> tuple[Measured, Watched]:
    """Run the command on the whole class, and watch its memory."""
    rules = place / "rules.toml"
    rules.write_text(RULES)
    command = [sys.executable, "-m", "grader", "class", str(place / "subs"), "--chapter", SECTION]
    command += ["--policy", str(rules), "--out", str(place / "out"), "--jobs", "2", "--plain"]
    seen = Watched()
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        watcher = threading.Thread(target=watch, args=(process.pid, seen))
        watcher.start()
        assert process.stdout is not None
        said = []
        for text in process.stdout:
            said.append(text)
            seen.done += ": " in text and text.startswith("s0")
    minutes = (time.perf_counter() - started) / 60
    watcher.join()
    if process.returncode not in (0, 1):
        raise RuntimeError("".join(said[-20:]))
    return Measured(minutes, len(list((place / "subs").iterdir()))), seen


def watch(pid: int, seen: Watched) -> None:
    """Note the memory of the command, its fork server and its judges until it ends.

    What belongs to several of them is counted once, in shares.
    """
    try:
        command = psutil.Process(pid)
        while command.is_running() and command.status() != psutil.STATUS_ZOMBIE:
            total = 0.0
            for one in [command, *command.children(recursive=True)]:
                try:
                    total += one.memory_full_info().pss / (1 << 20)
                except (psutil.Error, FileNotFoundError):
                    continue
            seen.memory.append((seen.done, total))
            time.sleep(0.5)
    except psutil.Error:
        return


def growth(seen: Watched) -> float:
    """Memory at the end beside that at the 20th submission, told as well."""
    early = [mb for done, mb in seen.memory if 20 <= done < 60]
    late = [mb for done, mb in seen.memory if done >= max(60, seen.done - 40)]
    if not early or not late:
        print("memory: too few submissions to tell")
        return 1.0
    before, after = statistics.median(early), statistics.median(late)
    print(f"memory of all our processes: {before:.0f} MB from the 20th, {after:.0f} MB at the end")
    return after / before


def compared(members: Sequence[Member], record: Path) -> list[str]:
    """What did not come out as it was made to."""
    wrong = []
    with Record.read(record) as kept:
        by_name = {one.name: one for one in kept.submissions()}
        for member in members:
            found: dict[str, Graded] = {}
            if member.name in by_name:
                grades = kept.grades(by_name[member.name].id)
                found = {name: result.graded for name, result in grades.items()}
            said = f"{member.name} ({member.kind})"
            if member.outcomes is None:
                if found or by_name[member.name].problem is None:
                    wrong.append(f"{said}: graded, and there is nothing in it")
                continue
            for exercise, deserved in member.outcomes.items():
                came = found[exercise].outcome if exercise in found else "no verdict"
                if came not in deserved:
                    wrong.append(f"{said}: {exercise}: {came}, not {' or '.join(sorted(deserved))}")
            if member.mistake is not None and member.mistake[0] in found:
                named = found[member.mistake[0]].mistake
                names = (named.id, *named.rivals) if named is not None else ()
                if member.mistake[1] not in names:
                    wrong.append(f"{said}: {member.mistake[1]} is named {' or '.join(names)}")
    return wrong


def harmed(before: set[Path], place: Path) -> list[str]:
    """What hostile submissions left behind: files outside their rooms, and processes."""
    there = set(Path(tempfile.gettempdir()).iterdir()) - before
    left = [path for path in there if path.name.startswith(("PWNED", "happyllm-"))]
    left += [path for path in ROOT.iterdir() if path.name.startswith("PWNED")]
    alive = [
        one
        for one in psutil.process_iter(["cmdline"])
        if str(place) in " ".join(one.info["cmdline"] or ()) and one.pid != os.getpid()
    ]
    return [f"left behind: {path}" for path in left] + [f"still alive: {one}" for one in alive]


# ---- the others


def by_pytest(place: Path, sample: Sequence[Path], exercises: Sequence[Exercise]) -> Measured:
    """One pytest process a submission, two at a time: the same tests, in the tests' own process."""
    place.mkdir()
    place.joinpath("conftest.py").write_text(_CONFTEST)
    suites = []
    for exercise in exercises:
        suite = place / f"test_{exercise.name}.py"
        suite.write_text(exercise.suite.read_text(encoding="utf-8"), encoding="utf-8")
        suites.append(str(suite))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    command += ["--rootdir", str(place), "--import-mode=importlib", *suites]

    def grade(root: Path) -> None:
        env = dict(os.environ, SUBMISSION=str(root), OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT))
        called(command, env=env, fine=(0,))

    started = time.perf_counter()
    with ThreadPoolExecutor(2) as two:
        list(two.map(grade, sample))
    found = Measured((time.perf_counter() - started) / 60, len(sample))
    line(f"pytest, a process each, two at a time, of {len(sample)}", found)
    return found


# The suite's `student`, in the very process of the tests.
_CONFTEST = """
import importlib, os, sys
import pytest
from grader.judge import check

sys.path.insert(0, os.environ["SUBMISSION"])

def raises(error, action, *, match=""):
    with pytest.raises(error) as told:
        action()
    assert match.lower() in str(told.value).lower()

check.raises = raises

class Student:
    def __init__(self, module):
        self._module = module
    def __getattr__(self, name):
        return getattr(self._module, name)
    def run(self, probe, *args, **more):
        return probe(self._module, *args, **more)
    def lib(self, name):
        return importlib.import_module(name)

@pytest.fixture
def student(request):
    name = request.node.path.stem.removeprefix("test_")
    return Student(importlib.import_module(f"ch5.{name}"))
"""


def by_nbgrader(
    place: Path, python: Path | None, sample: Sequence[Path], exercises: Sequence[Exercise]
) -> Measured:
    """`nbgrader autograde` on the sample: it grades one after another."""
    python = python or made(place.parent / "nbgrader", "nbgrader", "ipykernel")
    lend_torch(python)
    command = [str(python), "-m", "nbgrader"]

    def course(where: Path, some: Sequence[Path]) -> None:
        source = where / "source/llama"
        source.mkdir(parents=True)
        write(source / "llama.ipynb", notebook(None, exercises, "nbgrader"))
        where.joinpath("nbgrader_config.py").write_text("c = get_config()\n")
        called([*command, "generate_assignment", "llama"], cwd=where)
        for root in some:
            handed = where / "submitted" / root.name / "llama"
            handed.mkdir(parents=True)
            write(handed / "llama.ipynb", notebook(root, exercises, "nbgrader"))

    def autograde(where: Path) -> None:
        called([*command, "autograde", "llama"], cwd=where)
        done = list(where.glob("autograded/*/llama/llama.ipynb"))
        for one in done:
            outputs = [cell.get("outputs", []) for cell in json.loads(one.read_text())["cells"]]
            if any(out.get("output_type") == "error" for cell in outputs for out in cell):
                raise RuntimeError(f"{one}: the asserts do not hold on what is right")

    return measured("nbgrader autograde", place, sample, course, autograde)


def by_otter(
    place: Path, python: Path | None, sample: Sequence[Path], exercises: Sequence[Exercise]
) -> Measured:
    """`otter run` on the sample: one command for each submission."""
    python = python or made(place.parent / "otter-grader", "otter-grader", "ipykernel")
    lend_torch(python)
    command = [str(python), "-m", "otter"]

    def course(where: Path, some: Sequence[Path]) -> None:
        tests = where / "tests"
        tests.mkdir(parents=True)
        for exercise in exercises:
            tests.joinpath(f"{exercise.name}.py").write_text(ok_test(exercise))
        called([*command, "generate", "-t", "tests", "-o", "autograder.zip"], cwd=where)
        for root in some:
            write(where / f"{root.name}.ipynb", notebook(root, exercises, "otter"))

    def run(where: Path) -> None:
        for one in sorted(where.glob("*.ipynb")):
            out = where / "results" / one.stem
            out.mkdir(parents=True)
            how = ["-a", "autograder.zip", "-o", str(out), "--no-logo"]
            called([*command, "run", one.name, *how], cwd=where)
            for test in json.loads((out / "results.json").read_text())["tests"]:
                if test.get("status") == "failed":
                    raise RuntimeError(f"{one}: {test['name']} does not hold on what is right")

    return measured("otter run", place, sample, course, run)


def measured(
    name: str,
    place: Path,
    sample: Sequence[Path],
    course: Callable[[Path, Sequence[Path]], None],
    grade: Callable[[Path], None],
) -> Measured:
    """One command after another; and two at a time, each on its half, which is told as well."""
    course(place / "all", sample)
    started = time.perf_counter()
    grade(place / "all")
    found = Measured((time.perf_counter() - started) / 60, len(sample))
    line(f"{name}, of {len(sample)}", found)
    halves = [place / "one", place / "other"]
    for number, half in enumerate(halves):
        course(half, sample[number::2])
    started = time.perf_counter()
    with ThreadPoolExecutor(2) as two:
        list(two.map(grade, halves))
    line("  two side by side", Measured((time.perf_counter() - started) / 60, len(sample)))
    return found


def made(place: Path, *packages: str) -> Path:
    """The Python of a new environment with packages in it."""
    venv.create(place, with_pip=True)
    python = place / "bin/python"
    called([str(python), "-m", "pip", "install", "-q", *packages])
    return python


def lend_torch(python: Path) -> None:
    """Let an environment find torch where ours is, behind all that it has itself."""
    said = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    ours = Path(torch.__file__).parents[1]
    Path(said.stdout.strip(), "lent_torch.pth").write_text(f"{ours}\n")


def called(
    command: Sequence[str],
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    fine: Sequence[int] = (0,),
) -> None:
    """Run a command, with one thread as ours has; what it says is shown where it fails."""
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    env = (env or dict(os.environ, OMP_NUM_THREADS="1")) | {"PATH": path}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode not in fine:
        raise RuntimeError(f"{' '.join(command[:5])}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


# ---- the same assignment as a notebook


def notebook(root: Path | None, exercises: Sequence[Exercise], kind: str) -> dict[str, object]:
    """A submission as a notebook, each exercise a cell; none is the instructor's own."""
    cells = []
    for exercise in exercises:
        text = shelf.solution(exercise)
        if root is not None:
            text = (root / exercise.file).read_text(encoding="utf-8")
        cells.append(cell("\n".join(flat(text)), exercise.name, solution=True, kind=kind))
        if kind == "nbgrader":
            checks = HEAD + CHECKS[exercise.name]
            cells.append(cell(checks, f"test_{exercise.name}", solution=False, kind=kind))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def cell(text: str, name: str, *, solution: bool, kind: str) -> dict[str, object]:
    metadata: dict[str, object] = {}
    if kind == "nbgrader":
        marks_of = {"grade": not solution, "solution": solution, "locked": not solution}
        more = {} if solution else {"points": 1}
        metadata["nbgrader"] = {"grade_id": name, "schema_version": 3, **marks_of, **more}
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name.replace("_", "-"),
        "metadata": metadata,
        "outputs": [],
        "source": text,
    }


def flat(text: str) -> Iterator[str]:
    """A file as a cell: what other exercises define stands in cells before it."""
    for one in text.splitlines():
        indented = one.startswith("    from ch5.")
        if one.startswith("from ch5.") or indented:
            yield "    pass" if indented else ""
        else:
            yield one


def ok_test(exercise: Exercise) -> str:
    """The checks of an exercise as otter-grader reads them."""
    code = "\n".join(f">>> {one}" for one in (HEAD + CHECKS[exercise.name]).strip().splitlines())
    case = {"code": code, "hidden": False, "locked": False}
    suite = {"cases": [case], "scored": True, "setup": "", "teardown": "", "type": "doctest"}
    test = {"name": exercise.name, "points": 1, "suites": [suite]}
    return f"OK_FORMAT = True\n\ntest = {test!r}\n"


def write(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


HEAD = """\
import torch, math
_ = torch.manual_seed(0)
close = torch.testing.assert_close
"""

# What an author would write for each exercise: a line is a statement.
CHECKS = {
    "config": """\
c = ModelConfig(dim=64, n_heads=8, n_kv_heads=4)
assert (c.head_dim, c.n_rep) == (8, 2)
assert ffn_hidden_dim(64, 64) == 192
assert ffn_hidden_dim(512, 256) == 1536
""",
    "rms_norm": """\
x = torch.randn(2, 5, 16)
close(RMSNorm(16)(x), x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5))
assert RMSNorm(16).weight.shape == (16,)
assert RMSNorm(16).half()(x.half()).dtype == torch.float16
""",
    "repeat_kv": """\
x = torch.randn(2, 5, 2, 8)
close(repeat_kv(x, 3), x.repeat_interleave(3, dim=2))
close(repeat_kv(x, 1), x)
""",
    "rotary": """\
cos, sin = precompute_freqs_cis(8, 20)
angles = torch.outer(torch.arange(20).float(), 10000.0 ** (-torch.arange(0, 8, 2).float() / 8))
close(cos, angles.cos())
close(sin, angles.sin())
q, k = torch.randn(2, 20, 4, 8), torch.randn(2, 20, 2, 8)
a, b = apply_rotary_emb(q, k, cos, sin)
turns = torch.polar(torch.ones_like(angles), angles)[None, :, None]
turned = torch.view_as_complex(q.reshape(2, 20, 4, 4, 2)) * turns
close(a, torch.view_as_real(turned).flatten(3))
close(b.norm(dim=-1), k.norm(dim=-1))
""",
    "attention": """\
c = ModelConfig(dim=32, n_heads=4, n_kv_heads=2)
layer = Attention(c).eval()
x = torch.randn(2, 6, 32)
cos, sin = precompute_freqs_cis(8, 6)
y = layer(x, cos, sin)
assert y.shape == (2, 6, 32)
close(layer(x[:, :3], cos[:3], sin[:3]), y[:, :3])
""",
    "mlp": """\
layer = MLP(16, 24, 8, 0.0)
x = torch.randn(2, 5, 16)
close(layer(x), layer.w2(torch.nn.functional.silu(layer.w1(x)) * layer.w3(x)))
assert layer.w1.bias is None
""",
    "decoder_layer": """\
c = ModelConfig(dim=32, n_heads=4, n_kv_heads=2)
layer = DecoderLayer(0, c).eval()
x = torch.randn(2, 6, 32)
cos, sin = precompute_freqs_cis(8, 6)
h = x + layer.attention(layer.attention_norm(x), cos, sin)
close(layer(x, cos, sin), h + layer.feed_forward(layer.ffn_norm(h)))
""",
    "model": """\
c = ModelConfig(dim=32, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=50, max_seq_len=16)
model = Transformer(c).eval()
tokens = torch.randint(50, (2, 9))
logits, loss = model(tokens, targets=tokens)
assert logits.shape == (2, 9, 50)
close(loss, torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten()))
loss.backward()
assert all(p.grad is not None for p in model.parameters())
""",
    "kv_cache": """\
c = ModelConfig(dim=32, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=50, max_seq_len=16)
model = Transformer(c).eval()
tokens = torch.randint(50, (2, 9))
caches = new_cache(c, 2)
first = model(tokens[:, :4], cache=caches)[0]
rest = model(tokens[:, 4:], cache=caches)[0]
close(rest[:, -1:], model(tokens)[0][:, -1:], atol=1e-4, rtol=1e-4)
""",
    "sampling": """\
logits = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
close(apply_temperature(logits, 2.0), logits / 2)
assert apply_top_k(logits, 2).isinf().tolist() == [[True, True, False, False]]
assert apply_top_p(logits, 0.5).argmax(-1).item() == 3
assert sample(logits, temperature=0.0).item() == 3
""",
    "generate": """\
c = ModelConfig(dim=32, n_layers=2, n_heads=4, n_kv_heads=2, vocab_size=50, max_seq_len=16)
model = Transformer(c).eval()
prompts = torch.randint(50, (2, 4))
text = generate(model, prompts, 6, temperature=0.0)
assert text.shape == (2, 10) and torch.equal(text[:, :4], prompts)
assert torch.equal(text, generate(model, prompts, 6, temperature=0.0, use_cache=False))
""",
}


if __name__ == "__main__":
    sys.exit(main())
