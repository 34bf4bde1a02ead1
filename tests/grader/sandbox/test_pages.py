"""Memory in large pages: nothing in it changes, and a fork server that has it serves as any."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from grader.sandbox import pages
from grader.sandbox.backends import open_nursery

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone joins pages")

FILLED = """
import re, sys
from grader.sandbox import pages
kept = [bytearray(bytes([i % 251])) * (8 << 20) for i in range(3)] + list(range(200_000))
joined = pages.join()
assert all(kept[i] == bytes([i % 251]) * (8 << 20) for i in range(3))
assert kept[3:] == list(range(200_000))
large = re.search(r"AnonHugePages: +(\\d+)", open("/proc/self/smaps_rollup").read())
print(joined, int(large[1]) << 10)
"""


def test_what_is_in_memory_stays_as_it_was():
    done = subprocess.run(
        [sys.executable, "-c", FILLED], capture_output=True, text=True, check=True
    )
    joined, large = map(int, done.stdout.split())
    assert (joined > 0) == (large > 0)  # a kernel from before 6.1 joins nothing


def test_where_the_kernel_refuses_nothing_is_said(monkeypatch):
    monkeypatch.setattr(pages, "_COLLAPSE", 9999)
    assert pages.join() == 0


def test_only_memory_of_its_own_is_touched():
    lines = Path("/proc/self/maps").read_text().splitlines()
    own = [line for line in lines if pages._OWN.match(line)]
    assert own
    assert not [line for line in own if re.search(r"\.so|r-xp|rw-s|\[stack\]|\[v", line)]


def test_a_server_for_many_forks_workers_that_work():
    with open_nursery(("json",), "fork", many=True) as nursery:
        assert nursery.offers()["process"] == ""
