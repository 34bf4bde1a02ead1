"""Several processes that are started together are ended together."""

import signal
import subprocess
import sys
import time

import pytest

from happyllm.pipeline import launch as launching
from happyllm.pipeline.launch import LaunchError, launch


def python(code):
    return subprocess.Popen([sys.executable, "-c", code])


def test_the_status_of_one_that_failed_is_told_and_the_others_are_ended(monkeypatch):
    monkeypatch.setattr(launching, "GRACE", 0.1)
    waiting = python("import time; time.sleep(600)")
    began = time.monotonic()
    assert launching._wait([waiting, python("raise SystemExit(3)")]) == 3
    assert time.monotonic() - began < 60
    assert waiting.returncode == -signal.SIGKILL


def test_one_that_is_killed_is_told_by_its_number(monkeypatch):
    monkeypatch.setattr(launching, "GRACE", 0.1)
    killed = python("import time; time.sleep(600)")
    killed.kill()
    with pytest.raises(LaunchError, match="process 1 of 2 ended by signal 9"):
        launching._wait([python("pass"), killed])


def test_all_run_the_same_command_line(capfd):
    assert launch(2, ["--version"]) == 0
    assert capfd.readouterr().out.count("happyllm ") == 2
    assert launch(2, ["--nonsense"]) == 2
