"""A worker holds the learner's code and nothing else worth stealing.

Looked at twice: from inside, by a submission that searches all it can reach, and from outside, by
reading the whole memory of a worker while it runs.
"""

import contextlib
import os
import re
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from grader import catalogue, engine, shelf
from grader.sandbox.nursery import Nursery

KNOWN = catalogue.load()
EXERCISE = KNOWN["ch5/repeat_kv"]
SECRET = "a-token-that-only-the-judge-may-know-4711"

# A submission that reports what it finds, by raising it.
SEARCH = """
import gc
import os
import sys
import types


def reachable_files():
    seen = []
    for folder in SUSPECTS:
        try:
            seen += [os.path.join(folder, name) for name in os.listdir(folder)]
        except OSError:
            pass
        try:
            with open(folder) as file:
                seen.append(file.read(20))
        except OSError:
            pass
    return seen


def repeat_kv(x, n_rep):
    secret = ("happyllm", "pytest", "_pytest", "grader.judge", "grader.suites", "grader.shelf")
    found = [name for name in sys.modules if name.startswith(secret)]
    for thing in gc.get_objects():
        if isinstance(thing, types.ModuleType) and "suite" in thing.__name__:
            found.append(thing.__name__)
        if isinstance(thing, types.FunctionType):
            if thing.__name__.startswith("test_each_kv_head"):
                found.append(thing.__name__)
    found += [f"{name}={value}" for name, value in os.environ.items() if "TOKEN" in name]
    found += reachable_files()
    for fd in range(4, 64):  # 3 is the wire itself
        try:
            path = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        found.append(path)
    for name in ("happyllm", "happyllm.llama.attention", "grader.judge.session", "solutions.ch5"):
        try:
            __import__(name)
            found.append("imported " + name)
        except ImportError:
            pass
    raise LookupError("found: " + repr(found))
"""

WAIT = """
import time


def repeat_kv(x, n_rep):
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def nursery():
    before = dict(os.environ)
    os.environ["CI_TOKEN"] = SECRET
    try:
        with Nursery() as nursery:
            yield nursery
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_a_submission_that_searches_everything_finds_nothing(nursery):
    suspects = [
        *(str(catalogue.SUITES), str(catalogue.SUITES / "ch5"), str(EXERCISE.suite)),
        *(str(Path(shelf.__file__).parents[1] / name) for name in ("solutions", "happyllm", "")),
        *("/", "/etc/passwd", "/proc", "/proc/1/environ", "/tmp", os.path.expanduser("~")),
    ]
    code = f"SUSPECTS = {suspects!r}\n{SEARCH}"
    report = engine.grade([EXERCISE], {EXERCISE.file: code}, nursery=nursery)
    (graded,) = report.exercises
    if graded.isolation == "process":
        pytest.skip("this machine gives no isolation of files")
    assert graded.outcome == "error"
    assert graded.failure is not None
    found = re.search(r"found: (\[.*?\])", graded.failure.message.en)
    assert found is not None, graded.failure.message.en
    assert found.group(1) == "[]"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/PID/mem")
def test_the_memory_of_a_worker_holds_neither_suite_nor_reference_nor_secret(nursery):
    policy = engine.Policy(timeout_s=60)
    thread = threading.Thread(
        target=engine.grade,
        args=([EXERCISE], {EXERCISE.file: WAIT}, policy),
        kwargs={"nursery": nursery},
    )
    thread.start()
    try:
        memory = memory_of(sleeping_worker(nursery).pid)
    except PermissionError:
        pytest.skip("reading the memory of another process needs more rights than we have")
    finally:
        for child in psutil.Process(nursery._process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # one goes when the other is gone
                child.kill()
        thread.join(timeout=60)
    assert not thread.is_alive()
    assert b"time.sleep(60)" in memory, "the scan does not see what is surely there"
    suite, solution = EXERCISE.suite.read_text(), shelf.solution(EXERCISE)
    needles = {
        "a claim of the suite": "before the next one begins",
        "a name in the suite": "test_each_kv_head_serves_a_run_of_query_heads",
        "a known mistake": "You tiled the heads",
        "the reference": "expand(B, T, K, n_rep, d)",
        "the environment of the grader": SECRET,
    }
    assert needles["a claim of the suite"] in suite
    assert needles["the reference"] in solution
    for what, needle in needles.items():
        assert needle.encode() not in memory, what
        assert needle.encode("utf-16-le") not in memory, what


def sleeping_worker(nursery, patience_s=30.0):
    """The process that has been handed the submission: the child of a guardian, asleep in it."""
    server = psutil.Process(nursery._process.pid)
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        for process in server.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                if process.ppid() != server.pid and b"time.sleep(60)" in memory_of(process.pid):
                    return process
        time.sleep(0.1)
    raise AssertionError("no worker has appeared")


def memory_of(pid):
    parts = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            span, rights, *rest = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            file_backed = len(rest) > 3 and rest[3].startswith("/") and "w" not in rights
            if "r" not in rights or file_backed or end - start > 1 << 30:
                continue
            try:
                memory.seek(start)
                parts.append(memory.read(end - start))
            except (OSError, OverflowError, ValueError):
                continue
    return b"".join(parts)
