"""The command as a person runs it: in a process of its own, or at a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pytest

COMMAND = str(Path(sys.executable).with_name("happyllm-grade"))
RIGHT = "import torch\n\n\ndef repeat_kv(x, n_rep):\n    return x.repeat_interleave(n_rep, 2)\n"
TILED = "def repeat_kv(x, n_rep):\n    return x.repeat(1, 1, n_rep, 1)\n"
_TAKEN = ("HAPPYLLM_LANG", "LC_ALL", "LC_MESSAGES", "NO_COLOR", "COLUMNS", "PYTHONPATH")


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _TAKEN}
    return kept | {"LANG": "C.UTF-8", "TERM": "xterm-256color"} | more


def run(
    *words: str | Path, cwd: Path, env: dict[str, str] | None = None, command: Any = (COMMAND,)
) -> Ran:
    """Run a command; whatever happens, no traceback of ours is shown."""
    done = subprocess.run(
        [*command, *map(str, words)],
        cwd=cwd,
        env=environment(**(env or {})),
        capture_output=True,
        timeout=120,
        check=False,
    )
    ran = Ran(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))
    assert "Traceback" not in ran.out + ran.err
    return ran


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace as `init` makes it, with a right answer to repeat_kv; its name is not plain."""
    root = tmp_path / "我的 llm"
    assert run("init", root, cwd=tmp_path).status == 0
    (root / "ch5/repeat_kv.py").write_text(RIGHT, encoding="utf-8")
    return root


@pytest.fixture
def happyllm(workspace: Path) -> Callable[..., Ran]:
    """Run `happyllm-grade` in the workspace, or elsewhere with cwd=."""

    def run_(*words: str | Path, cwd: Path = workspace, **env: str) -> Ran:
        return run(*words, cwd=cwd, env=env)

    return run_


@pytest.fixture
def at_terminal(workspace: Path) -> Callable[..., pexpect.spawn]:
    """Start `happyllm-grade` at a terminal of some width, in the workspace."""

    def start(*words: str, width: int = 80, **env: str) -> pexpect.spawn:
        return pexpect.spawn(
            COMMAND,
            list(words),
            cwd=str(workspace),
            env=environment(**env),
            dimensions=(50, width),
            encoding="utf-8",
            timeout=120,
        )

    return start


@pytest.fixture
def screen(at_terminal: Callable[..., pexpect.spawn]) -> Callable[..., Ran]:
    """Run `happyllm-grade` at a terminal to its end; what it wrote there comes back."""

    def read(*words: str, width: int = 80, **env: str) -> Ran:
        child = at_terminal(*words, width=width, **env)
        out = str(child.read())
        child.close()
        assert child.exitstatus is not None
        assert "Traceback" not in out
        return Ran(child.exitstatus, out, "")

    return read
