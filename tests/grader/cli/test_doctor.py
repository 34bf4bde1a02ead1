"""`happyllm-grade doctor`: what this machine gives, and why not more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from grader.sandbox.isolation import STRENGTHS

from .conftest import run


def test_doctor_names_every_isolation_and_the_one_in_force(tmp_path: Path) -> None:
    ran = run("doctor", cwd=tmp_path)
    assert ran.status == 0
    lines = ran.out.splitlines()
    given = [line.split()[1] for line in lines if line.startswith("  yes ")]
    not_given = [line.split()[1] for line in lines if line.startswith("  no  ")]
    assert sorted([*given, *not_given]) == sorted(STRENGTHS)
    assert f"Code is graded under {given[0]};" in ran.out
    assert "system calls are" in ran.out


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
@pytest.mark.parametrize(
    ("machine", "said"), [("", ""), ("riscv64", "no system call table for linux on riscv64")]
)
def test_where_there_is_no_filter_the_reason_is_told(machine: str, said: str) -> None:
    pretend = f"import platform; platform.machine = lambda: {machine!r}\n" if machine else ""
    code = f"{pretend}from grader.sandbox import seccomp\nprint(seccomp.refused())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert said in done.stdout
    assert bool(done.stdout.strip()) == bool(said)


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
def test_trying_the_filter_leaves_this_process_as_it_was() -> None:
    code = (
        "from grader.sandbox import seccomp; import subprocess, sys\n"
        "assert seccomp.refused() == ''\n"
        "subprocess.run([sys.executable, '-c', ''], check=True)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
