"""`happyllm-grade check` as an author runs it, over the exercises that there are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grader import shelf

COMMAND = str(Path(sys.executable).with_name("happyllm-grade"))


def check(*words: str, cache: Path) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "check", *words, "--cache", str(cache)]
    env = dict(os.environ, LANG="C.UTF-8")
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


def test_one_exercise_is_checked_and_its_proof_is_kept(tmp_path):
    done = check("ch5/repeat_kv", "--format", "json", cache=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    table = json.loads(done.stdout)
    assert table["sound"]
    assert table["exercises"][0]["seeds"] == 20
    assert "ch5/repeat_kv: sound" in done.stderr
    again = json.loads(check("ch5/repeat_kv", "--format", "json", cache=tmp_path).stdout)
    assert again["exercises"][0]["cached"]


def test_an_exercise_that_there_is_not_is_refused(tmp_path):
    done = check("ch5/repeat_kw", cache=tmp_path)
    assert done.returncode == 2
    assert "ch5/repeat_kv" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shelf.checkout() is None, reason="works in a source checkout")
def test_every_exercise_in_the_tree_is_sound(tmp_path, record_property):
    done = check("--all", "--format", "plain", cache=tmp_path)
    record_property("shown", done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    started = time.monotonic()
    again = check("--format", "json", cache=tmp_path)
    assert again.returncode == 0
    assert all(checked["cached"] for checked in json.loads(again.stdout)["exercises"])
    assert time.monotonic() - started < 30
