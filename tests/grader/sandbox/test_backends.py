"""Forked or spawned: which is chosen, and that a system without fork can do all that there is."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from grader import catalogue, engine, shelf
from grader.judge.student import Output, SpawnedBackend, TimedOut
from grader.sandbox import wire
from grader.sandbox.backends import chosen, open_nursery
from grader.sandbox.bench import SpawnedBench
from grader.sandbox.jail import Limits
from grader.sandbox.nursery import Nursery, NurseryError
from grader.sandbox.spawned import Spawner, SpawnLease

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0
EXERCISE = catalogue.load()["ch5/repeat_kv"]
RIGHT = shelf.solution(EXERCISE)

# What Windows has not. Only what the grader itself imports is held back, not what torch does.
HIDDEN = """
import builtins, os, select, signal, socket, sys, types
import torch, pytest, msgpack, rich.console, watchfiles

GONE = {"resource", "fcntl", "termios", "tty", "pwd", "grp", "landlock"}
real = builtins.__import__

def restricted(name, globals=None, *rest, **more):
    ours = str((globals or {}).get("__name__", "")).startswith(("grader", "happyllm"))
    if ours and name.partition(".")[0] in GONE:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return real(name, globals, *rest, **more)

builtins.__import__ = restricted
sys.modules.setdefault("msvcrt", types.ModuleType("msvcrt"))
for module, names in (
    (os, "fork setsid getuid getgid setresuid setresgid setgroups O_NOFOLLOW O_NONBLOCK"),
    (os, "getpgrp tcgetpgrp"),
    (signal, "SIGHUP SIGCONT SIGWINCH SIGALRM setitimer pthread_sigmask"),
    (socket, "AF_UNIX socketpair send_fds recv_fds"),
    (select, "poll epoll"),
):
    for one in names.split():
        delattr(module, one)
"""

IMPORT_ALL = """
import importlib, pkgutil
import grader, happyllm
names = [
    module.name
    for package in (grader, happyllm)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    if not module.name.startswith(("grader.demo", "grader.suites", "grader.__main__"))
]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def run(code: str, *words: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=cwd,
        env={k: v for k, v in os.environ.items() if k != "HAPPYLLM_BACKEND"}
        | {"PYTHONPATH": str(ROOT)}
        | env,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_every_module_can_be_imported_where_there_is_neither_fork_nor_unix() -> None:
    done = run(HIDDEN + IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


def test_where_there_is_no_fork_the_command_grades_by_spawning(tmp_path: Path) -> None:
    (tmp_path / "ch5").mkdir()
    (tmp_path / "ch5/repeat_kv.py").write_text(RIGHT, encoding="utf-8")
    command = "\nfrom grader.cli import main\nmain()\n"
    done = run(HIDDEN + command, "repeat_kv", "--format", "plain", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ok ch5/repeat_kv: passed" in done.stdout
    assert ", process\n" in done.stdout


# ---- which one


@pytest.mark.parametrize(
    ("wanted", "told", "platform", "is_chosen"),
    [
        (None, "", "linux", "fork"),
        (None, "", "darwin", "spawn"),
        (None, "spawn", "linux", "spawn"),
        (None, "fork", "darwin", "fork"),
        ("fork", "spawn", "linux", "fork"),
        ("spawn", "fork", "linux", "spawn"),
    ],
)
def test_the_option_comes_before_the_variable_and_that_before_the_system(
    monkeypatch: pytest.MonkeyPatch, wanted: str, told: str, platform: str, is_chosen: str
) -> None:
    monkeypatch.setenv("HAPPYLLM_BACKEND", told)
    monkeypatch.setattr(sys, "platform", platform)
    assert chosen(wanted) == is_chosen  # type: ignore[arg-type]


def test_where_there_is_no_fork_spawning_is_chosen_and_forking_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HAPPYLLM_BACKEND", raising=False)
    monkeypatch.delattr(os, "fork")
    assert chosen() == "spawn"
    with pytest.raises(NurseryError, match="cannot fork"):
        chosen("fork")


def test_a_backend_that_there_is_not_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HAPPYLLM_BACKEND", "thread")
    with pytest.raises(NurseryError, match="HAPPYLLM_BACKEND=thread"):
        chosen()


def test_each_backend_has_its_own_source_of_judges() -> None:
    with open_nursery((), "fork") as forks, open_nursery((), "spawn") as spawns:
        assert isinstance(forks, Nursery)
        assert isinstance(spawns, Spawner)


# ---- what a spawned worker is, and how it ends


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[SpawnLease]:
    one = SpawnLease(str(tmp_path), ())
    yield one
    one.close()


def load(backend: SpawnedBackend, code: str) -> bytes:
    module = ["ch5.it", "ch5/it.py", code]
    rest = {"target": "ch5.it", "blanks": [], "names": [], "seed": 1}
    return backend.ask(wire.encode({"modules": [module], **rest}))


def test_a_worker_in_reserve_is_taken_and_the_next_one_gets_ready(lease: SpawnLease) -> None:
    lease.expect(2)
    reserve = lease.reserve
    assert lease.take() is reserve
    assert lease.reserve is not None
    assert lease.reserve is not reserve
    last = lease.take()
    assert lease.reserve is None
    for one in (reserve, last):
        assert one is not None
        one.kill()


def test_a_reserve_that_has_died_is_not_handed_out(lease: SpawnLease) -> None:
    lease.expect(1)
    assert lease.reserve is not None
    process = psutil.Process(lease.reserve._process.pid)
    process.kill()
    psutil.wait_procs([process], timeout=PATIENCE_S)
    backend = SpawnedBackend(lease, Limits(), 20.0, Output(1000))
    assert backend.isolation == "process"
    backend.close()


@pytest.mark.parametrize(
    "loop", ["while True: pass", "sum(1 for _ in iter(int, 1))", "import time; time.sleep(600)"]
)
def test_a_worker_that_is_out_of_time_is_gone_with_its_files(lease: SpawnLease, loop: str) -> None:
    backend = SpawnedBackend(lease, Limits(), 0.5, Output(1000))
    process = psutil.Process(backend.worker._process.pid)
    with pytest.raises(TimedOut):
        load(backend, loop)
    assert not process.is_running()
    assert os.listdir(lease.scratch) == []


def test_a_worker_ends_in_the_middle_of_a_call_when_its_judge_hangs_up(lease: SpawnLease) -> None:
    worker = lease.take()
    worker.begin(Limits(), lambda _: None)
    assert worker.receive(PATIENCE_S)
    module = ["ch5.it", "ch5/it.py", "while True: pass"]
    order = {"modules": [module], "target": "ch5.it", "blanks": [], "names": [], "seed": 1}
    worker.send(wire.frame(wire.encode(order)))
    process = psutil.Process(worker._process.pid)
    end = time.monotonic() + PATIENCE_S
    before = process.cpu_times().user
    while process.cpu_times().user < before + 0.1:  # until it is surely in the loop
        assert time.monotonic() < end
        time.sleep(0.02)
    worker._process.stdin.close()
    assert not psutil.wait_procs([process], timeout=PATIENCE_S)[1]
    worker.kill()


def test_output_without_end_is_counted_and_not_kept(lease: SpawnLease) -> None:
    output = Output(100)
    backend = SpawnedBackend(lease, Limits(), 20.0, output)
    load(backend, "import os\nfor _ in range(300):\n    os.write(1, b'x' * 10000)\n")
    backend.close()
    assert (len(output.kept), len(output.kept) + output.dropped) == (100, 3_000_000)


def test_a_worker_has_no_secret_and_a_home_of_its_own(
    lease: SpawnLease, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_TOKEN", "a-secret")
    output = Output(9999)
    backend = SpawnedBackend(lease, Limits(), 20.0, output)
    load(backend, "import os\nprint(dict(os.environ), os.getcwd())")
    backend.close()
    assert "a-secret" not in output.text()
    assert f"'HOME': '{lease.scratch}" in output.text()


# ---- judges


def test_a_spawner_that_is_closed_leaves_nothing() -> None:
    with Spawner(()) as spawner:
        line = spawner.fork_judge("grader.judge.desk:main")
        judge = psutil.Process(spawner._judges[0].pid)
        end = time.monotonic() + PATIENCE_S
        while not (family := judge.children()):
            assert time.monotonic() < end, "no worker stands in reserve"
            time.sleep(0.02)
    assert not psutil.wait_procs([judge, *family], timeout=PATIENCE_S)[1]
    assert line.recv(1) == b""
    assert not os.path.exists(spawner._scratch)


def test_a_judge_and_its_workers_die_with_their_owner() -> None:
    code = (
        "import time\nfrom grader.sandbox.spawned import Spawner\n"
        "spawner = Spawner(())\nline = spawner.fork_judge('grader.judge.desk:main')\n"
        "print(spawner._scratch, flush=True)\ntime.sleep(600)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    with owner:
        assert owner.stdout is not None
        scratch = owner.stdout.readline().decode().strip()
        end = time.monotonic() + PATIENCE_S
        while len(family := psutil.Process(owner.pid).children(recursive=True)) < 2:
            assert time.monotonic() < end, "no worker stands in reserve"
            time.sleep(0.02)
        owner.kill()
    assert not psutil.wait_procs(family, timeout=PATIENCE_S)[1]
    assert not os.path.exists(scratch)


def test_a_judge_that_cannot_start_is_a_fault_with_its_last_words() -> None:
    with Spawner(()) as spawner:
        with spawner.fork_judge("no_such_module:main") as judge:
            assert wire.receive(judge) is None
        assert "No module named 'no_such_module'" in spawner.last_words()


def test_a_judge_on_the_bench_grades_again_and_again_and_is_replaced_when_killed() -> None:
    with Spawner(("torch",)) as spawner:
        bench = SpawnedBench(spawner)
        first = bench._judge
        seeds = set()
        for text, outcome in ((RIGHT, "passed"), ("def repeat_kv(x, n_rep): pass\n", "failed")):
            report = engine.grade([EXERCISE], {EXERCISE.file: text}, nursery=bench)
            assert report.exercises[0].outcome == outcome
            assert report.isolation == "process"
            seeds.add(report.seed)
        assert len(seeds) == 2
        assert bench._judge is first
        with bench.fork_judge("grader.judge.desk:main") as line:
            line.shutdown()
        assert not bench.alive
        report = engine.grade([EXERCISE], {EXERCISE.file: RIGHT}, nursery=bench)
        assert report.exercises[0].outcome == "passed"
        bench.close()
