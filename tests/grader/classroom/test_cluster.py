"""A class on a cluster: a scheduler and workers in processes of their own, as on many machines."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from distributed import Client

from grader import shelf
from grader.catalogue import Text
from grader.classroom import roster
from grader.classroom.batch import Event, Exercised, Run, essence
from grader.classroom.cluster import Cluster
from grader.classroom.problems import ClassroomError
from grader.classroom.record import Record

from .conftest import KNOWN, RIGHT, TILED, assignment, lay, outcomes

ROOT = Path(__file__).resolve().parents[3]
RULES = '[assignment]\nexercises = ["ch5/repeat_kv", "ch5/rms_norm"]\n[grading]\nseed = 7\n'
NORM = shelf.solution(KNOWN["ch5/rms_norm"])
_HERE = ("--host", "127.0.0.1", "--no-dashboard")
PATIENCE_S = 180  # for processes to start, on a machine that has much else to do
SLOW = "\n\nimport time\n\ntime.sleep(0.3)\n"


class Machines:
    """A scheduler, and the workers that were started."""

    def __init__(self, scratch: Path):
        self.scratch = scratch
        self.file = scratch / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start("scheduler", "--port", "0", "--scheduler-file", str(self.file))

    def _start(self, what: str, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        log = (self.scratch / f"{len(self.processes)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *words, *_HERE],
                cwd=self.scratch,
                env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def worker(self, name: str, **environment: str) -> subprocess.Popen[bytes]:
        words = ("--name", name, "--no-nanny", "--nthreads", "1")
        return self._start("worker", "--scheduler-file", str(self.file), *words, **environment)

    @property
    def address(self) -> str:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError, ValueError):
                return str(json.loads(self.file.read_text())["address"])
            time.sleep(0.05)
        raise AssertionError("no scheduler")

    def wait_for(self, count: int) -> None:
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=PATIENCE_S)

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in reversed(self.processes):
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=15)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    scratch = tmp_path / "machines"
    scratch.mkdir()
    found = Machines(scratch)
    yield found
    found.close()


@pytest.fixture
def subs(tmp_path: Path) -> Path:
    """Six who handed in, each another text; their code takes a while."""
    for number in range(6):
        root = lay(tmp_path / f"subs/s{number}", (RIGHT, TILED)[number % 2] + SLOW + "\n" * number)
        lay(root, NORM if number % 3 else "def f(:\n", "ch5/rms_norm.py")
    return tmp_path / "subs"


def run_on(
    subs: Path,
    place: Path,
    address: str | None,
    told: list[Text] | None = None,
    then: Callable[[Event], None] = lambda _: None,
    patience_s: float = 60.0,
) -> list[Event]:
    """Grade a folder into a record, on a cluster or here."""
    said: list[Text] = [] if told is None else told
    elsewhere = None
    if address is not None:
        elsewhere = functools.partial(Cluster, address, tell=said.append, patience_s=patience_s)
    events = []
    with Record.open(place) as record:
        run = Run(record, assignment(RULES), elsewhere=elsewhere)
        list(run.collect(roster.match(roster.listed(subs), None)))
        for event in run.grade():
            events.append(event)
            then(event)
    return events


def essences(place: Path) -> dict[str, dict[str, tuple[object, ...]]]:
    """All that two gradings have in common, by hand-in and exercise."""
    with Record.read(place) as record:
        return {
            one.name: {n: essence(r.graded) for n, r in record.grades(one.id).items()}
            for one in record.submissions()
        }


def other_suites(folder: Path) -> Path:
    """A copy of the project with another suite."""
    for part in ("happyllm", "grader", "exercises", "solutions"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    suite = folder / "grader/suites/ch5/test_repeat_kv.py"
    suite.write_text(suite.read_text() + "\n# another suite\n")
    return folder


def test_one_machine_dies_two_are_not_the_same_and_every_grade_is_there(
    machines: Machines, subs: Path, tmp_path: Path
) -> None:
    workers = {name: machines.worker(name) for name in ("one", "two")}
    machines.worker("outdated", PYTHONPATH=str(other_suites(tmp_path / "other")))
    machines.worker("open-plan", HAPPYLLM_BACKEND="spawn")
    machines.wait_for(4)
    killed: list[str] = []
    left_behind: list[psutil.Process] = []

    def kill(event: Event) -> None:
        """Once something is graded, end a machine that has work on its hands."""
        if killed or not isinstance(event, Exercised):
            return
        with Client(machines.address, set_as_default=False) as client:
            names = {a: w["name"] for a, w in client.scheduler_info()["workers"].items()}
            busy = [names[a] for a, tasks in client.processing().items() if tasks]
        killed.append(busy[0])
        left_behind.extend(psutil.Process(workers[busy[0]].pid).children(recursive=True))
        workers[busy[0]].send_signal(signal.SIGKILL)

    told: list[Text] = []
    events = run_on(subs, tmp_path / "far.sqlite", machines.address, told, kill)

    assert workers[killed[0]].wait(timeout=10) == -signal.SIGKILL
    graded = [(e.submission.name, e.graded.id) for e in events if isinstance(e, Exercised)]
    assert len(graded) == len(set(graded)) == 12
    run_on(subs, tmp_path / "near.sqlite", None)
    assert essences(tmp_path / "far.sqlite") == essences(tmp_path / "near.sqlite")
    found = {o["ch5/repeat_kv"] for o in outcomes(tmp_path / "far.sqlite").values()}
    assert found == {"passed", "failed"}
    with Record.read(tmp_path / "far.sqlite") as record:
        results = [r for s in record.submissions() for r in record.grades(s.id).values()]
    assert {r.isolation for r in results} - {"none"}
    assert all(r.is_whole for r in results)

    outdated, open_plan = sorted((text.en for text in told), key=lambda en: "open-plan" in en)
    assert "outdated" in outdated
    assert "has other suites" in outdated
    assert "isolates submissions by 'process' alone" in open_plan

    assert left_behind
    _, alive = psutil.wait_procs(left_behind, timeout=15)
    assert alive == []


@pytest.mark.slow
def test_where_nobody_is_left_the_run_ends_in_a_line_and_goes_on_later(
    machines: Machines, subs: Path, tmp_path: Path
) -> None:
    place = tmp_path / "far.sqlite"
    with pytest.raises(ClassroomError, match=r"can grade \(none is there"):
        run_on(subs, place, machines.address, patience_s=0.2)

    worker = machines.worker("only")
    machines.wait_for(1)
    with pytest.raises(ClassroomError, match="the same command goes on from here"):
        run_on(subs, place, machines.address, then=ends(worker), patience_s=2)
    kept = sum(len(grades) for grades in outcomes(place).values())
    assert 0 < kept < 12

    machines.worker("another")
    machines.wait_for(1)
    scheduler = machines.processes[0]
    with pytest.raises(ClassroomError, match="the scheduler has gone"):
        run_on(subs, place, machines.address, then=ends(scheduler))
    later = sum(len(grades) for grades in outcomes(place).values())
    assert kept < later < 12
    events = run_on(subs, place, None)
    assert sum(isinstance(event, Exercised) for event in events) == 12 - later


def ends(process: subprocess.Popen[bytes]) -> Callable[[Event], None]:
    """Kills a process as soon as something is graded."""

    def kill(event: Event) -> None:
        if isinstance(event, Exercised) and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=10)

    return kill


def test_an_address_that_nobody_answers_at_is_told_in_a_line(subs: Path, tmp_path: Path) -> None:
    for address in ("tcp://127.0.0.1:9", "not an address"):
        with pytest.raises(ClassroomError, match="no Dask scheduler answers"):
            Cluster(address, assignment(RULES).exercises)
