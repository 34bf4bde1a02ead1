"""From an empty folder to a finished chapter, typed into a shell at a real terminal.

Each screen is kept as text under screens/; `HAPPYLLM_SCREENS=write` keeps new ones, to be looked at
before they are committed.
"""

from __future__ import annotations

import difflib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

from grader import catalogue, shelf

from .conftest import COMMAND, RIGHT, TILED, environment

SCREENS = Path(__file__).with_name("screens")
PATIENCE_S = 120.0
PROMPT = "learner$ "
# What is another from run to run, or from machine to machine.
VARIES = (
    (re.compile(r"\d+(\.\d+)? s\b"), "N s"),
    (re.compile(r"[⠀-⣿]*[⠁-⣿][⠀-⣿]*"), "⣿"),  # blanks alone stay, and are seen
    (re.compile(r"(seed|种子) \d{4,}"), r"\1 N"),
    (re.compile(r"namespaces\+landlock|landlock\+uid|landlock|process\b"), "ISOLATION"),
    (re.compile(r"/\S+/my-llm"), "…/my-llm"),
    (re.compile(r"(ch\d+  )[░▓█]+"), r"\1▓▓▓"),
)


class Shell:
    """A shell at a terminal, with `happyllm-grade` on its path, and all that it has shown."""

    def __init__(self, folder: Path, width: int, lang: str):
        self.folder = folder
        self.screen = pyte.HistoryScreen(width, 60, history=2000)
        self.stream = pyte.ByteStream(self.screen)
        path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
        self.child = pexpect.spawn(
            "/bin/bash",
            ["--norc", "--noprofile", "--noediting"],
            cwd=str(folder),
            env=environment(PATH=path, PS1=PROMPT, HAPPYLLM_LANG=lang),
            dimensions=(60, width),
            timeout=PATIENCE_S,
        )
        self.wait_for_prompt()

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip()

    @property
    def words(self) -> str:
        return " ".join(re.sub("[│─╭╮╰╯]", " ", self.text).split())

    def read(self, seconds: float = 0.2) -> None:
        try:
            self.stream.feed(self.child.read_nonblocking(1 << 16, timeout=seconds))
        except pexpect.TIMEOUT:
            return

    def until(self, *said: str) -> str:
        """Wait until all this is on the screen."""
        end = time.monotonic() + PATIENCE_S
        while not all(one in self.words for one in said):
            assert time.monotonic() < end, f"{said} has not come:\n{self.text}"
            self.read()
        assert "Traceback" not in self.text
        return self.text

    def wait_for_prompt(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while True:
            row = self.screen.display[self.screen.cursor.y].rstrip()
            if row == PROMPT.rstrip() and self.screen.cursor.x == len(PROMPT):
                return
            assert time.monotonic() < end, f"the command does not end:\n{self.text}"
            self.read()

    def type(self, command: str) -> str:
        """Clear the screen, run a command to its end; what is on the screen comes back."""
        self.start(command)
        self.wait_for_prompt()
        assert "Traceback" not in self.text
        return self.text.removesuffix(PROMPT.rstrip()).rstrip()

    def start(self, command: str) -> None:
        self.screen.reset()
        self.child.send(f"{command}\n")
        self.until(command.split()[-1])

    def save(self, exercise_file: str, text: str) -> None:
        """Save a file as an editor does."""
        path = self.folder / "my-llm" / exercise_file
        draft = path.with_name(f".{path.name}.swp")
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)


def counts() -> Iterator[tuple[re.Pattern[str], str]]:
    """How many exercises and points there are: more with every section that is written."""
    known = list(catalogue.load())
    n, points = len(known), sum(exercise.points for exercise in known)
    for total, stand_in in ((n, "N"), (points, "P")):
        yield re.compile(rf"\b{total}( of |/){total}\b"), rf"{stand_in}\1{stand_in}"
        yield re.compile(rf"( of |/){total}\b"), rf"\1{stand_in}"
    yield re.compile(rf"\b{n}( exercises written| 个题目文件)"), r"N\1"


def kept(name: str, text: str) -> None:
    """Compare a screen with the one that was agreed."""
    for pattern, stand_in in (*VARIES, *counts()):
        text = pattern.sub(stand_in, text)
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    path = SCREENS / f"{name}.txt"
    if os.environ.get("HAPPYLLM_SCREENS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    agreed = path.read_text(encoding="utf-8") if path.is_file() else ""
    told = "\n".join(difflib.unified_diff(agreed.splitlines(), text.splitlines(), lineterm=""))
    assert text == agreed, f"HAPPYLLM_SCREENS=write keeps the new screen, if it is right:\n{told}"


def falls(screen: str) -> bool:
    """Whether the curve begins at the upper left and comes to each row later than to the last.

    Just where its dots are depends on the last digits of the losses.
    """
    rows = re.findall("│([⠀-⣿]+)$", screen, re.MULTILINE)
    first = [re.search("[⠁-⣿]", row) for row in rows]
    columns = [found.start() for found in first if found]
    falling = columns == sorted(columns) and len(columns) == len(rows) > 1
    return falling and columns[0] == 0 < columns[-1]


@pytest.fixture
def shell(tmp_path: Path, width: int, lang: str) -> Iterator[Shell]:
    opened = Shell(tmp_path, width, lang)
    yield opened
    opened.child.close(force=True)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [80, 120])
def test_from_an_empty_folder_to_a_finished_chapter(shell: Shell, width: int, lang: str) -> None:
    def agreed(step: str, text: str) -> None:
        kept(f"{step}-{lang}-{width}", text)

    # An empty folder, and where to begin.
    agreed("1-welcome", shell.type("happyllm-grade"))
    agreed("2-init", shell.type("happyllm-grade init my-llm"))
    shell.type("cd my-llm")
    agreed("3-where-you-are", shell.type("happyllm-grade"))

    # A wrong answer is named; a hint; the answer put right.
    shell.save("ch5/repeat_kv.py", TILED)
    agreed("4-a-mistake", shell.type("happyllm-grade ch5/repeat_kv --seed 1"))
    agreed("5-a-hint", shell.type("happyllm-grade hint ch5/repeat_kv"))
    shell.save("ch5/repeat_kv.py", RIGHT)
    agreed("6-right", shell.type("happyllm-grade ch5/repeat_kv --seed 1"))
    agreed("7-why", shell.type("happyllm-grade solution ch5/repeat_kv"))

    # The rest of the chapter, saved while watch looks on.
    known = catalogue.load()
    shell.start("happyllm-grade watch ch5")
    for exercise in known:
        if exercise.name != "repeat_kv":  # it moves on from what is right
            shell.until(f"save {exercise.file}" if lang == "en" else f"保存 {exercise.file}")
            shell.save(exercise.file, shelf.solution(exercise))
    n = len(list(known))
    shell.until(f"{n} of {n}" if lang == "en" else f"{n} 道中 {n} 道")
    shell.child.send("q")
    shell.wait_for_prompt()
    agreed("8-solved", shell.type("happyllm-grade list 5.1"))
    agreed("9-what-is-left", shell.type("happyllm-grade"))

    # The milestone, and the end.
    learnt = shell.type("happyllm-grade milestone ch5 --seed 1")
    assert falls(learnt)
    agreed("10-milestone", re.sub(r"\d[\d.,]*(e[-+]\d+)?", "N", learnt))
    agreed("11-done", shell.type("happyllm-grade"))
