"""`happyllm-grade watch` as a person sees it: the real command at a real terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import psutil
import pyte
import pytest

from .conftest import COMMAND, RIGHT, TILED, environment, run

PATIENCE_S = 60.0
ENDLESS = "def repeat_kv(x, n_rep):\n    while True:\n        pass\n"


class Terminal:
    """The command at a terminal, and the screen that it draws."""

    def __init__(self, root: Path, *words: str, width: int = 80, height: int = 30, **env: str):
        self.root = root
        self.file = root / "ch5/repeat_kv.py"
        self.screen = pyte.Screen(width, height)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.child = pexpect.spawn(
            COMMAND,
            ["watch", *words],
            cwd=str(root),
            env=environment(**env),
            dimensions=(height, width),
            timeout=PATIENCE_S,
        )
        self.modes = termios.tcgetattr(self.child.child_fd)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def words(self) -> str:
        """What is shown, without frames and without the breaks of lines."""
        return " ".join(re.sub("[│─╭╮╰╯]", " ", self.text).split())

    def until(self, *said: str, gone: tuple[str, ...] = (), patience_s: float = PATIENCE_S) -> str:
        """Wait until the screen shows some words, and no longer shows others."""
        end = time.monotonic() + patience_s
        while not all(s in self.words for s in said) or any(s in self.words for s in gone):
            assert time.monotonic() < end, f"{said} has not come:\n{self.text}"
            self.read(end - time.monotonic())
        assert "Traceback" not in self.text
        return self.words

    def read(self, seconds: float) -> None:
        try:
            data = self.child.read_nonblocking(1 << 16, timeout=max(0.01, seconds))
        except pexpect.TIMEOUT:
            return
        self.raw += data
        self.stream.feed(data)

    def save(self, text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        temporary = self.file.with_name("repeat_kv.py.tmp")
        temporary.write_bytes(data)
        os.replace(temporary, self.file)

    def read_on(self) -> None:
        """Read until the command has ended."""
        end = time.monotonic() + PATIENCE_S
        try:
            while True:
                assert time.monotonic() < end, f"it does not end:\n{self.text}"
                self.read(1.0)
        except pexpect.EOF:
            self.child.wait()

    def wait(self) -> int:
        """Read to the end; the exit status."""
        self.read_on()
        self.child.close()
        return self.child.exitstatus if self.child.exitstatus is not None else -1

    @property
    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.child.pid).children(recursive=True)

    def modes_now(self) -> list[object]:
        return termios.tcgetattr(self.child.child_fd)


Start = Callable[..., Terminal]


@pytest.fixture
def start(workspace: Path) -> Iterator[Start]:
    """Start `happyllm-grade watch` at a terminal, in a workspace with an answer to repeat_kv."""
    started: list[Terminal] = []

    def start_(*words: str, **more: Any) -> Terminal:
        started.append(Terminal(workspace, *words, **more))
        return started[-1]

    yield start_
    for terminal in started:
        terminal.child.close(force=True)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """One watch on one exercise, at which every bad file is thrown."""
    root = tmp_path_factory.mktemp("watch") / "我的 llm"
    assert run("init", root, cwd=root.parent).status == 0
    terminal = Terminal(root, "ch5/repeat_kv", "--timeout", "2", "--lang", "en")
    terminal.until("untouched", "open ch5/repeat_kv.py, fill it in")
    yield terminal
    terminal.child.send("q")
    assert terminal.wait() == 0


# ---- from a wrong answer to the next exercise


@pytest.mark.parametrize("width", [80, 120])
def test_a_wrong_answer_is_named_then_fixed_and_the_next_is_shown(start: Start, width: int) -> None:
    terminal = start("ch5/repeat_kv", "ch5/rotary", "--lang", "en", width=width, height=40)
    assert terminal.screen.columns == width
    shown = terminal.until("✔ ch5/repeat_kv", "· ch5/rotary", "open ch5/rotary.py")
    assert "1 of 2 passed" in shown
    terminal.save(TILED)
    shown = terminal.until("✘ ch5/repeat_kv", "You tiled the heads", "○")
    assert "0 of 2 passed" in shown
    assert "h hint n next l list a all o page r again m more ? help q quit" in shown
    terminal.child.send("h")
    terminal.until("ch5/repeat_kv · Hint 1 of 3", "You tiled the heads")
    terminal.save(RIGHT)
    terminal.until("✔ ch5/repeat_kv", "· ch5/rotary", "open ch5/rotary.py", gone=("Hint",))
    terminal.child.send("q")
    assert terminal.wait() == 0
    assert "1 of 2 passed. happyllm-grade watch goes on from here." in terminal.text


def test_it_speaks_chinese(start: Start) -> None:
    terminal = start("ch5/repeat_kv", "--lang", "zh")
    terminal.until("1 道全部通过", "h 提示")
    terminal.save(TILED)
    terminal.until("未通过", "你把整组头平铺成了", "即评测")
    terminal.child.send("h")
    terminal.until("提示 1/3")
    terminal.child.send("？")  # as an input method sends it
    terminal.until("转到下一道未通过的练习")
    terminal.child.send("q")
    assert terminal.wait() == 0


# ---- every bad file, and on it goes


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no longer defines repeat_kv"),
        (b"def repeat_kv(x:\n", "SyntaxError"),
        (b"import sys\nsys.exit(0)\n", "calls sys.exit()"),
        (b"import nothing_here\n", "ModuleNotFoundError"),
        (b"import os\nprint('so far')\nos.abort()\n", "crashed the Python interpreter"),
        (b"import ctypes\nctypes.string_at(0)\n", "crashed the Python interpreter"),
        (b"from ch5.my_helpers import thing\n", "ch5/my_helpers.py"),
        (b"import happyllm.llama.cache\n", "blocked"),
        (b"while True:\n    pass\n", "timeout"),
        (
            b"import os\nfor _ in range(64):\n    os.write(1, b'x' * (1 << 20))\n",
            "no longer defines",
        ),
        (b"print('\\x1b[2J\\x1b[31mgotcha')\n", "no longer defines"),
        (b"x = 1\ny = '\xff'\n", "byte 0xff is no UTF-8"),
        (b"x = 1\n\0\n", "a null byte"),
        (None, "is not in the workspace"),
    ],
    ids=[
        *("empty", "syntax", "exit", "import", "abort", "segfault", "helper", "blocked", "endless"),
        *("output", "escapes", "no UTF-8", "null byte", "deleted"),
    ],
)
def test_whatever_is_saved_the_watch_goes_on(
    shared: Terminal, data: bytes | None, said: str
) -> None:
    if data is None:
        shared.file.unlink()
    else:
        shared.save(data)
    shared.until(said, "○")
    assert "grader/" not in shared.text
    shared.save(RIGHT)
    shared.until("All 1 passed.", "○")


def test_keys_are_answered_while_something_is_graded(shared: Terminal) -> None:
    shared.save(ENDLESS)
    shared.until("grading ch5/repeat_kv")
    shared.child.send("?")
    shared.until("the next hint to the exercise in focus", "grading ch5/repeat_kv")
    shared.child.send("\x1b")
    shared.until("timeout", gone=("the next hint",))
    shared.save(RIGHT)
    shared.until("All 1 passed.")


def test_after_a_burst_of_saves_the_newest_is_shown(shared: Terminal) -> None:
    for number in range(20):
        shared.save(f"{TILED if number % 2 else RIGHT}print({number})\n")
    shared.until("You tiled the heads", "○", gone=("All 1 passed.",))
    shared.save(RIGHT)
    shared.until("All 1 passed.", gone=("You tiled",))


def test_the_page_is_opened_in_the_browser(start: Start, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > "{opened}"\n', encoding="utf-8")
    browser.chmod(0o755)
    terminal = start("ch5/repeat_kv", "--lang", "en", BROWSER=str(browser))
    terminal.until("All 1 passed.")
    terminal.child.send("o")
    shown = terminal.until("5.1.3.1: http://", patience_s=300.0)  # the book may have to be built
    address = re.search(r"http://\S+", shown)
    assert address is not None
    end = time.monotonic() + PATIENCE_S
    while not (opened.exists() and opened.read_text(encoding="utf-8").strip()):
        assert time.monotonic() < end, "no browser was opened"
        time.sleep(0.05)
    page = opened.read_text(encoding="utf-8").strip()
    assert page.startswith(address[0])
    with urllib.request.urlopen(page) as answer:
        assert "repeat_kv" in answer.read().decode("utf-8")
    family = terminal.family
    terminal.child.send("q")
    assert terminal.wait() == 0
    assert not psutil.wait_procs(family, timeout=PATIENCE_S)[1]


# ---- the size of the terminal


def test_what_does_not_fit_is_cut_and_shown_when_it_is_asked_for(start: Start) -> None:
    terminal = start("ch5/repeat_kv", "--lang", "en", height=20)
    terminal.until("All 1 passed.")
    terminal.save(TILED)
    shown = terminal.until("You tiled the heads", "more lines: m shows all", "○")
    assert "reread section" not in shown
    before = len(terminal.raw)
    terminal.child.send("m")
    terminal.until("q quit", gone=("m shows all",))
    assert "reread section" in terminal.raw[before:].decode()
    terminal.child.send("\x1b")
    terminal.until("m shows all")


def test_a_resize_draws_the_screen_anew(start: Start) -> None:
    terminal = start("ch5/repeat_kv", "--lang", "en", width=120, height=40)
    terminal.until("All 1 passed.")
    terminal.save(TILED)
    terminal.until("You tiled the heads", "○")
    for height, width in ((30, 60), (12, 40), (40, 100)):
        terminal.screen.resize(height, width)
        terminal.screen.reset()
        terminal.child.setwinsize(height, width)
        terminal.until("You tiled the heads", "○ ")
        assert terminal.text.startswith("happyllm-grade watch")
    terminal.child.send("q")
    assert terminal.wait() == 0


# ---- how it ends


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda terminal: terminal.child.send("\x03"), 130),
        (lambda terminal: terminal.child.send("q"), 0),
        (lambda terminal: terminal.child.kill(signal.SIGTERM), 143),
        (lambda terminal: terminal.child.kill(signal.SIGHUP), 129),
    ],
    ids=["Ctrl-C", "q", "SIGTERM", "SIGHUP"],
)
def test_however_it_ends_no_process_is_left_and_the_terminal_is_as_it_was(
    start: Start, end: Callable[[Terminal], object], status: int
) -> None:
    terminal = start("ch5/repeat_kv", "--lang", "en")
    terminal.until("All 1 passed.")
    assert terminal.modes_now() != terminal.modes
    terminal.save(ENDLESS)
    terminal.until("grading ch5/repeat_kv")
    family = terminal.family
    assert len(family) >= 2  # the fork server and the judge on the bench
    end(terminal)
    terminal.read_on()
    assert terminal.modes_now() == terminal.modes
    assert terminal.child.exitstatus == status
    assert terminal.raw.rindex(b"\x1b[?25h") > terminal.raw.rindex(b"\x1b[?25l")
    assert "Traceback" not in terminal.text
    assert not psutil.wait_procs(family, timeout=PATIENCE_S)[1]


def test_ctrl_c_while_it_warms_up_ends_it(start: Start) -> None:
    terminal = start("ch5/repeat_kv", "--lang", "en")
    terminal.until("warming up torch")
    family = terminal.family
    terminal.child.send("\x03")
    assert terminal.wait() == 130
    assert not psutil.wait_procs(family, timeout=PATIENCE_S)[1]


# ---- where there is no terminal


def test_without_a_terminal_it_writes_plain_lines_and_says_that_there_are_no_keys(
    workspace: Path,
) -> None:
    process = subprocess.Popen(
        [COMMAND, "watch", "ch5/repeat_kv", "--lang", "en"],
        cwd=workspace,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdout is not None
    lines: list[str] = []

    def until(said: str) -> None:
        assert process.stdout is not None
        while not lines or said not in lines[-1]:
            line = process.stdout.readline()
            assert line, lines
            lines.append(line)

    until("ok ch5/repeat_kv: passed")
    assert "The standard input is no terminal: no keys." in "".join(lines)
    until("All 1 passed.")
    (workspace / "ch5/repeat_kv.py").write_text(TILED, encoding="utf-8")
    until("The mistake: You tiled the heads")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert err.strip() == "Stopped."
    assert not re.search("\x1b|Traceback", "".join(lines) + out)


def test_in_the_background_of_a_terminal_it_has_no_keys(workspace: Path) -> None:
    child = pexpect.spawn("bash", ["-i"], cwd=str(workspace), env=environment(), encoding="utf-8")
    try:
        child.sendline(f"{COMMAND} watch ch5/repeat_kv --format plain --lang en & true")
        child.expect_exact("The standard input is no terminal: no keys.", timeout=PATIENCE_S)
        child.expect_exact("All 1 passed.", timeout=PATIENCE_S)
        child.sendline("kill %1; wait; echo en''ded")
        child.expect_exact("ended", timeout=PATIENCE_S)
    finally:
        child.close(force=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ch5/nope"], "no exercise, section or chapter 'ch5/nope'"),
        (["--workspace", "/no/where"], "`happyllm-grade init /no/where` makes it"),
        (["--timeout", "nan"], "--timeout"),
    ],
)
def test_a_wrong_command_line_is_refused(workspace: Path, words: list[str], said: str) -> None:
    ran = run("watch", *words, cwd=workspace)
    assert ran.status == 2
    assert said in ran.err
    assert sys.executable not in ran.err
