"""Every attack ends in the outcome that it deserves, harms nobody, and the next one is graded.

An attack is a file under submissions/, written as somebody could hand it in; hand_ins.py says how
it tells what it deserves. Each runs under every isolation that the machine gives and that is said
to stop it.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grader import catalogue, engine, shelf
from grader.learning.workspace import Workspace, WorkspaceError
from grader.report import Graded, Report
from grader.sandbox import jail
from grader.sandbox.jail import STRENGTHS, Limits

from .conftest import SECRET, Watch, World
from .hand_ins import KINDS, HandIn, all_of_them, filled

KNOWN = catalogue.load()
HONEST = KNOWN["ch5/repeat_kv"]
HAND_INS = all_of_them()
LIMITS = {"memory_bytes": 256 << 20, "cpu_s": 20, "processes": 64}
SUITE = HONEST.suite.read_text()
# What no report may hold: lines of the suite and of the solution, and the secret of the class.
SECRETS = ("def test_the_gradients_of_the_copies", "# Step 2: add an axis of n_rep", SECRET)


@pytest.mark.parametrize("hand_in", HAND_INS, ids=lambda one: one.name)
def test_an_attack_gets_what_it_deserves(
    hand_in: HandIn,
    isolation: str,
    world: World,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if hand_in.one("hole"):  # a weaker isolation may stop what the strongest does not
        strict = isolation == STRENGTHS[0]
        request.applymarker(pytest.mark.xfail(reason=hand_in.one("hole"), strict=strict))
    if not hand_in.is_stopped_by(isolation):
        pytest.skip(f"stopped only by {hand_in.one('needs')}")
    root = tmp_path / "mallory"
    hand_in.lay(root, world.facts | {"class": _class_beside(tmp_path, world)})
    world.clean()
    started = time.monotonic()
    with Watch(world, bool(hand_in.one("ceiling") or hand_in.one("processes"))) as watch:
        graded = _graded(hand_in, root, world, isolation)
    took = time.monotonic() - started
    try:
        _judge(hand_in, graded, watch, took, world)
    finally:
        world.clean()


def _judge(hand_in: HandIn, graded: Graded | str, watch: Watch, took: float, world: World) -> None:
    said = graded if isinstance(graded, str) else json.dumps(graded, default=vars)
    outcome = "error" if isinstance(graded, str) else graded.outcome
    assert outcome in hand_in.deserved, said[:3000]
    for secret in SECRETS:
        assert secret not in said
    for word in hand_in.said.get("never", ()):
        assert word not in _messages(graded)
    assert took < float(hand_in.one("patience", "30")), f"the verdict took {took:.1f} s"
    assert not world.marks()
    assert not world.listen()
    assert world.is_kept()
    assert world.bystander.poll() is None
    assert world.bystander_as_it_was()
    assert world.is_quiet(), f"left behind: {world.workers()}"
    if hand_in.one("ceiling"):
        assert watch.most_mb < float(hand_in.one("ceiling"))
    if hand_in.one("processes"):
        assert watch.most_processes < int(hand_in.one("processes"))
    after = _next(world)
    assert after.exercises[0].outcome == "passed", "the next submission has been harmed"


def _messages(graded: Graded | str) -> str:
    """What it said itself, without the lines of its code that a traceback shows."""
    if isinstance(graded, str):
        return graded
    failures = [graded.failure, *(test.failure for test in graded.tests)]
    return "\n".join(failure.message.en for failure in failures if failure is not None)


def _next(world: World) -> Report:
    """What the honest solution gets, on the same server."""
    return engine.grade([HONEST], {HONEST.file: shelf.solution(HONEST)}, nursery=world.nursery)


def _graded(hand_in: HandIn, root: Path, world: World, isolation: str) -> Graded | str:
    """The verdict, or the words with which the submission is refused."""
    exercise = KNOWN[hand_in.exercise]
    if hand_in.one("link") or hand_in.one("pipe"):
        refused = _read_apart(root, hand_in.exercise)
        if refused:
            return refused
    try:
        sources = Workspace(root).sources([exercise])
    except WorkspaceError as error:
        return str(error)
    limits = Limits(isolation=isolation, **LIMITS)  # type: ignore[arg-type]
    time_s = 2.0 if "timeout" in hand_in.deserved else 8.0  # a busy machine is slow
    policy = engine.Policy(timeout_s=time_s, limits=limits)
    report = engine.grade([exercise], sources, policy, nursery=world.nursery)
    text = report.to_json().encode("utf-8").decode("utf-8")
    assert Report.from_json(text).exercises[0].outcome == report.exercises[0].outcome
    return report.exercises[0]


_READ = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from pathlib import Path
from grader import catalogue
from grader.learning.workspace import Workspace, WorkspaceError
try:
    Workspace(Path(sys.argv[1])).sources([catalogue.load()[sys.argv[2]]])
except WorkspaceError as error:
    print("refused:", error)
"""


def _read_apart(root: Path, exercise: str) -> str:
    """Read a submission in a process of its own, which may hang or grow; what it says."""
    command = [sys.executable, "-c", _READ, str(root), exercise]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert ended.returncode == 0, ended.stderr[-500:]
    return ended.stdout


def _class_beside(tmp_path: Path, world: World) -> Path:
    """The other students' folder, next to this one's."""
    place = tmp_path / "class"
    place.symlink_to(world.folder / "class")
    return place


PLANTS = [one for one in HAND_INS if one.one("beside")]


@pytest.mark.parametrize("hand_in", PLANTS, ids=lambda one: one.name.partition("/")[2])
@pytest.mark.parametrize("way", ["script", "module"])
def test_what_is_planted_is_run_by_no_command(
    hand_in: HandIn, way: str, world: World, tmp_path: Path
) -> None:
    """The command line, started in the submission's own folder, runs nothing that lies there."""
    hand_in.lay(tmp_path / "mallory", world.facts)
    world.clean()
    start = {
        "script": [str(Path(sys.executable).parent / "happyllm-grade")],
        "module": [sys.executable, "-P", "-m", "grader"],  # else a planted `grader` would be it
    }[way]
    command = [*start, hand_in.exercise, "--format", "json"]
    ended = subprocess.run(
        command, cwd=tmp_path / "mallory", capture_output=True, text=True, timeout=60
    )
    assert not world.marks(), "planted code has run"
    assert json.loads(ended.stdout)["exercises"][0]["outcome"] in hand_in.deserved, ended.stderr


@pytest.mark.parametrize(
    "place", ["/usr/local/lib/python3.12/site-packages", "/usr/lib/python3/dist-packages"]
)
def test_no_installation_lies_where_all_may_be_read(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Python is the system's, as in a container, the answers lie among what is allowed."""
    monkeypatch.setattr(jail.sysconfig, "get_path", lambda *_: place)
    monkeypatch.setattr(jail.site, "getsitepackages", lambda: [place])
    above = {str(folder) for folder in Path(place, "happyllm").parents}
    assert not above & set(jail.libraries.__wrapped__())


# ---- the suite of attacks itself


def test_there_are_attacks_of_every_kind() -> None:
    assert len(HAND_INS) >= 45
    assert {one.name.partition("/")[0] for one in HAND_INS} == set(KINDS)


@pytest.mark.parametrize("hand_in", HAND_INS, ids=lambda one: one.name)
def test_an_attack_says_what_it_tries_and_what_it_deserves(hand_in: HandIn, world: World) -> None:
    deserved = {"passed", "failed", "error", "timeout", "memory", "blocked"}
    assert hand_in.deserved <= deserved
    text = filled(hand_in.text, world.facts)
    assert ast.get_docstring(ast.parse(text))


def test_the_suite_would_notice(world: World) -> None:
    """A solution that lies where it may be read passes: the attacks on files are no straw men."""
    code = "from ch5.helper import repeat_kv"
    helper = shelf.solution(HONEST)
    files = {HONEST.file: code, "ch5/helper.py": helper}
    report = engine.grade([HONEST], files, nursery=world.nursery)
    assert report.exercises[0].outcome == "passed"
