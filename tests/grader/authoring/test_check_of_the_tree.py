"""`happyllm-grade check` as an author runs it, over the exercises that there are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

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
