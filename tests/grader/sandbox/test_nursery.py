"""The fork server: whatever happens, nobody outlives whom they belong to, and nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from grader import catalogue, engine, shelf
from grader.judge.student import Died, Output, TimedOut, WorkerBackend
from grader.sandbox import wire
from grader.sandbox.jail import Limits
from grader.sandbox.nursery import Lease, Nursery, NurseryError, ScratchError

ROOT = Path(__file__).parents[3]
PATIENCE_S = 20.0  # how long to wait for what must come; nothing here waits for what must not


def family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=PATIENCE_S)[1]


def until(condition):
    """Wait for what must come."""
    end = time.monotonic() + PATIENCE_S
    while not (seen := condition()):
        assert time.monotonic() < end, "it has not come"
        time.sleep(0.02)
    return seen


@pytest.fixture
def alone():
    """A bare fork server of this test's own."""
    with Nursery(preload=()) as nursery:
        yield nursery


def worker(nursery: Nursery, time_s: float = 30.0, **limits) -> WorkerBackend:
    return WorkerBackend(Lease(nursery._connection), Limits(**limits), time_s, Output(9999))


def order(code: str) -> bytes:
    module = ["ch5.it", "ch5/it.py", code]
    rest = {"target": "ch5.it", "blanks": [], "names": [], "seed": 1}
    return wire.encode({"modules": [module], **rest})


# ---- how workers end


@pytest.mark.parametrize("isolation", ["namespaces+landlock", "landlock", "process"])
@pytest.mark.parametrize("status", [0, 3, 139, 255])
def test_an_exit_is_told_with_its_status(inside, isolation, status):
    with pytest.raises(Died) as caught:
        inside(f"import os; os._exit({status})", isolation=isolation)
    assert (caught.value.status, caught.value.signal) == (status, 0)


@pytest.mark.parametrize("isolation", ["namespaces+landlock", "landlock", "process"])
def test_a_crash_is_told_with_its_signal(inside, isolation):
    with pytest.raises(Died) as caught:
        inside("import ctypes; ctypes.string_at(0)", isolation=isolation)
    assert (caught.value.status, caught.value.signal) == (0, signal.SIGSEGV)


def test_an_abort_is_told_as_a_crash(inside):
    with pytest.raises(Died) as caught:
        inside("import os; os.abort()")
    assert caught.value.signal in (signal.SIGABRT, signal.SIGSEGV)


def test_a_worker_that_closes_its_line_is_ended(jailed, warm):
    with pytest.raises(Died):
        jailed("import os\ndef f():\n os.close(3)\n while True: pass").student.f()
    assert family(warm._process.pid) == []


@pytest.mark.parametrize("isolation", ["namespaces+landlock", "landlock", "process"])
def test_a_worker_that_is_out_of_time_is_gone_with_all_its_threads(jailed, warm, isolation):
    code = """
    import threading, time
    def f():
        threading.Thread(target=time.sleep, args=(600,)).start()
        while True:
            try:
                time.sleep(600)
            except BaseException:
                continue
    """
    with pytest.raises(TimedOut):
        jailed(code, isolation=isolation, time_s=0.5).student.f()
    assert family(warm._process.pid) == []


# ---- what is left behind


def status_of(pid: int) -> dict[str, str]:
    """What /proc tells of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def test_a_guardian_has_no_handler_that_could_come_before_its_wait(jailed, warm):
    jailed("x = 1")
    (guardian,) = psutil.Process(warm._process.pid).children()
    (room,) = guardian.children()
    assert not int(status_of(guardian.pid)["SigCgt"], 16) & 1 << (signal.SIGTERM - 1)
    assert int(status_of(room.pid)["SigBlk"], 16) == 0


OUTLAST = """
import os, signal
from grader.sandbox.nursery import _outlast
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
child = os.fork()
if child == 0:
    signal.pause()
os.kill(os.getpid(), signal.SIGTERM)  # it has come before anybody waits
assert os.waitstatus_to_exitcode(_outlast(child)) == -signal.SIGKILL
child = os.fork()
if child == 0:
    os._exit(3)
assert os.waitstatus_to_exitcode(_outlast(child)) == 3
"""


def test_an_order_to_end_that_came_before_the_wait_is_heard():
    subprocess.run([sys.executable, "-c", OUTLAST], cwd=ROOT, check=True, timeout=PATIENCE_S)


def test_a_worker_that_has_ended_leaves_no_process(jailed, warm):
    jail = jailed("x = 1")
    assert len(family(warm._process.pid)) == 2  # the guardian and the worker
    jail.backend.close()
    assert family(warm._process.pid) == []


@pytest.mark.parametrize("isolation", ["namespaces+landlock", "landlock"])
def test_fifty_workers_leave_no_descriptor_and_no_file(alone, isolation):
    descriptors = Path(f"/proc/{alone._process.pid}/fd")
    worker(alone, isolation=isolation).close()
    server, ours = len(list(descriptors.iterdir())), len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        one = worker(alone, isolation=isolation)
        one.ask(order("open('left', 'w').write('x')"))
        one.close()
    assert len(list(descriptors.iterdir())) == server
    assert len(os.listdir("/proc/self/fd")) == ours
    assert os.listdir(alone._scratch) == []


def test_a_nursery_that_is_closed_leaves_nothing():
    with Nursery(preload=()) as nursery:
        one = worker(nursery)
        processes = [psutil.Process(nursery._process.pid), *family(nursery._process.pid)]
    assert gone(processes)
    with pytest.raises(NurseryError):
        one.close()
    assert not os.path.exists(nursery._scratch)


# ---- who dies with whom

OWNER = """
from grader.sandbox.nursery import Nursery
nursery = Nursery(preload=())
nursery.fork_judge("time:sleep")  # it fails, but then the server is surely there
from grader.judge.student import Output, WorkerBackend
from grader.sandbox.jail import Limits
from grader.sandbox.nursery import Lease
backend = WorkerBackend(Lease(nursery._connection), Limits(), 60.0, Output(9999))
print(nursery._scratch, flush=True)
input()
"""


def test_a_nursery_and_all_its_workers_die_with_their_owner():
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        assert owner.stdout is not None
        scratch = owner.stdout.readline().strip()
        processes = family(owner.pid)
        owner.kill()
    assert len(processes) >= 3  # the server, a guardian, a worker
    assert gone(processes)
    assert not os.path.exists(scratch)


@pytest.mark.parametrize("isolation", ["namespaces+landlock", "landlock", "process"])
def test_a_worker_dies_with_its_nursery(alone, isolation):
    one = worker(alone, isolation=isolation)
    if not one.isolation:
        pytest.skip(one.refused)
    processes = family(alone._process.pid)
    alone._process.kill()
    assert len(processes) == 2
    assert gone(processes)
    with pytest.raises(NurseryError):
        one.close()


def judged(nursery: Nursery, code: str):
    """Have a judge grade code, and give back its connection."""
    exercise = catalogue.load()["ch5/repeat_kv"]
    order = {
        "suites": str(catalogue.SUITES),
        "exercises": [exercise.id],
        "files": {exercise.file: code},
        "own": False,
        "seed": 1,
        "timeout_s": 60.0,
        "limits": asdict(Limits()),
        "output_bytes": 1000,
    }
    judge = nursery.fork_judge("grader.judge.desk:main")
    judge.sendall(wire.frame(wire.encode(order)))
    return judge


def test_a_judge_that_crashes_leaves_no_worker_and_no_trouble(warm):
    with judged(warm, "while True: pass") as judge:
        until(lambda: len(family(warm._process.pid)) == 3)  # a judge, a guardian, a worker
        processes = family(warm._process.pid)
        (desk,) = [
            one for one in psutil.Process(warm._process.pid).children() if not one.children()
        ]
        desk.kill()
        assert wire.receive(judge) is None
    assert gone(processes)
    exercise = catalogue.load()["ch5/repeat_kv"]
    report = engine.grade([exercise], {exercise.file: shelf.solution(exercise)}, nursery=warm)
    assert report.exercises[0].outcome == "passed"


def test_a_judge_whose_order_is_dropped_ends(warm):
    judged(warm, "x = 1").close()
    until(lambda: family(warm._process.pid) == [])


# ---- what it knows


def test_the_server_knows_no_secret_of_its_owner(monkeypatch):
    monkeypatch.setenv("CI_TOKEN", "a-secret")
    with Nursery(preload=()) as nursery:
        worker(nursery).close()
        environment = Path(f"/proc/{nursery._process.pid}/environ").read_bytes()
    assert b"PYTHONDONTWRITEBYTECODE" in environment
    assert b"a-secret" not in environment


def test_a_worker_is_warm_and_has_one_thread(inside):
    body = "import sys; return 'torch' in sys.modules, sys.modules['torch'].get_num_threads()"
    assert inside(body) == (True, 1)


def test_what_a_worker_changes_is_not_seen_by_the_next(jailed):
    code = "import torch\ndef spoil(): torch.add = None\ndef see(): return torch.add is None"
    one = jailed(code)
    one.student.spoil()
    assert one.student.see() is True
    assert jailed(code).student.see() is False


def test_two_workers_answer_at_the_same_time(jailed):
    one, other = jailed("def f(): return 1"), jailed("def f(): return 2")
    assert [one.student.f(), other.student.f(), one.student.f()] == [1, 2, 1]


# ---- what goes wrong


def test_a_library_that_cannot_be_imported_is_told():
    with (
        Nursery(preload=("no_such_library",)) as nursery,
        pytest.raises(NurseryError, match="No module named 'no_such_library'"),
    ):
        nursery.fork_judge("grader.judge.desk:main")


def test_a_judge_that_cannot_start_leaves_its_last_words(alone):
    with alone.fork_judge("no_such_module:main") as judge:
        assert wire.receive(judge) is None
    until(lambda: "No module named 'no_such_module'" in alone.last_words())


def test_a_server_that_does_not_answer_is_told_and_given_up(alone):
    worker(alone).close()
    alone._connection.settimeout(0.2)
    alone._process.send_signal(signal.SIGSTOP)
    with pytest.raises(NurseryError, match="does not answer: timed out"):
        alone.fork_judge("grader.judge.desk:main")
    assert not alone.alive
    with pytest.raises(NurseryError, match="does not answer"):
        alone.offers()


def test_a_scratch_folder_that_cannot_be_made_is_told_with_the_fix(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/no/such/folder")
    with pytest.raises(ScratchError, match="TMPDIR"):
        Nursery()


def test_a_nursery_can_be_closed_twice():
    nursery = Nursery(preload=())
    nursery.close()
    with contextlib.suppress(NurseryError):
        nursery.close()
    assert not os.path.exists(nursery._scratch)
