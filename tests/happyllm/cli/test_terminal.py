"""At a terminal of 80 columns: the bar, a conversation, Ctrl-C and Ctrl-D."""

import sys
from pathlib import Path

import pexpect
import pyte
import pytest

from .conftest import SMALL

ROOT = Path(__file__).parents[3]


def terminal(*words, timeout=120):
    return pexpect.spawn(
        sys.executable,
        ["-m", "happyllm.cli", *map(str, words)],
        cwd=str(ROOT),
        dimensions=(24, 80),
        encoding="utf-8",
        timeout=timeout,
    )


def test_a_conversation_at_a_terminal(whole):
    child = terminal("chat", whole[0], "--max-tokens", 6)
    child.expect("Ctrl-D")
    child.expect("> ")
    child.sendline("Where is Tom?")
    child.expect("> ")
    child.sendline("/reset")
    child.expect("Forgotten")
    child.expect("> ")
    child.sendintr()
    child.expect("Ctrl-D ends")
    child.expect("> ")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@pytest.mark.parametrize("stage", ["pretrain"])
def test_a_run_at_a_terminal_fits_into_80_columns(tmp_path, stage):
    child = terminal(stage, *SMALL, "--out", tmp_path / "t")
    screen = pyte.Screen(80, 400)
    stream = pyte.Stream(screen)
    child.expect(pexpect.EOF)
    child.close()
    stream.feed(child.before)
    lines = [line.rstrip() for line in screen.display]
    bar = next(line for line in lines if "12/12" in line)
    assert bar.startswith("pretrain")
    assert "tokens/s" in bar
    assert "left" in bar
    assert any("held-out loss" in line for line in lines)
    assert child.exitstatus == 0
