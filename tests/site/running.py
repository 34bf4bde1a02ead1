"""Runs what a page of the book shows: its Python blocks, and its console blocks in a terminal.

    python tests/site/running.py docs/en/ch5/5-1.md            compare
    python tests/site/running.py --write docs/en/ch5/5-1.md    put in what really comes out

docs/README.md says what authors can rely on.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grader import catalogue
from grader.book.pages import Block, Page
from grader.learning import stubs

ROOT = Path(__file__).resolve().parents[2]
COLUMNS, ROWS = 80, 400
ANYTHING = "…"


@dataclass(frozen=True)
class Ran:
    """What came out of one block, and where the page says what should."""

    line: int
    came: str
    shown: str
    wrong: str = ""


def python_blocks(page: Page) -> Iterator[Ran]:
    """Run the Python blocks of a page in one namespace; yield what each of them printed."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    following = [*page.blocks[1:], None]
    for block, after in zip(page.blocks, following, strict=True):
        if block.language != "python":
            continue
        shown = after.text if after is not None and "output" in after.classes else ""
        where = f"{page.name}:{block.line}"
        try:
            code = compile("\n" * block.line + block.text, str(page.file), "exec")
        except SyntaxError as error:
            yield Ran(block.line, "", shown, f"{where}: {error}")
            continue
        if {"not-run", "file"} & {*block.classes}:
            continue
        printed, raised, wrong = io.StringIO(), "", ""
        with contextlib.redirect_stdout(printed):
            try:
                exec(code, namespace)
            except Exception as error:
                if "raises" in block.classes:
                    raised = traceback.format_exception_only(error)[-1]
                else:
                    wrong = f"{where}: {traceback.format_exc()}"
            else:
                if "raises" in block.classes:
                    wrong = f"{where}: raises nothing"
        yield Ran(block.line, printed.getvalue() + raised, shown, wrong)


def console_blocks(page: Page, language: str) -> Iterator[Ran]:
    """Run the `$ happyllm-grade …` lines of a page in a workspace of its own."""
    consoles = [b for b in page.blocks if b.language == "console" and "not-run" not in b.classes]
    if not consoles:
        return
    with tempfile.TemporaryDirectory(prefix="page-") as scratch:
        folder = Path(scratch)
        if not any("happyllm-grade init" in block.text for block in consoles):
            folder /= "my-llm"
            stubs.create(folder, catalogue.load())
        for block in page.blocks:
            if "file" in block.classes:
                file = folder / block.attributes.get("title", "")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
            elif block in consoles:
                for command, shown, line in _commands(block):
                    words = shlex.split(command)
                    if words[0] == "cd":
                        folder /= words[1]
                    elif words[0] != "happyllm-grade":
                        yield Ran(line, "", shown, f"{page.name}:{line}: cannot run '{words[0]}'")
                    else:
                        came = in_a_terminal(words[1:], folder, language, Path(scratch, "home"))
                        yield Ran(line, came, shown)


def _commands(block: Block) -> Iterator[tuple[str, str, int]]:
    """The commands of a console block: what is typed, what is shown below it, its line."""
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)
    line = block.line + 1 + parts[0].count("\n")
    for command, shown in zip(parts[1::2], parts[2::2], strict=True):
        yield command, shown, line
        line += 1 + shown.count("\n")


def in_a_terminal(arguments: list[str], folder: Path, language: str, home: Path) -> str:
    """What a learner would see: the last state of a screen of 80 columns."""
    import pexpect
    import pyte

    home.mkdir(exist_ok=True)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST")
    }
    environment |= {"HAPPYLLM_LANG": language, "TERM": "xterm-256color", "HOME": str(home)}
    environment |= {"COLUMNS": str(COLUMNS), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment |= {"XDG_CACHE_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    script = Path(sys.executable).with_name("happyllm-grade")
    program = [str(script)] if script.exists() else [sys.executable, "-m", "grader"]
    child = pexpect.spawn(
        program[0],
        [*program[1:], *arguments],
        cwd=str(folder),
        env=environment,
        dimensions=(ROWS, COLUMNS),
        timeout=120,
        encoding="utf-8",
        codec_errors="replace",
    )
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.Stream(screen)
    with contextlib.suppress(pexpect.EOF):
        while True:
            stream.feed(child.read_nonblocking(65536, timeout=120))
    child.close()
    lines = [line.rstrip() for line in screen.display]
    return "\n".join(lines).rstrip() + "\n"


def plain(text: str) -> str:
    """A screen without what differs from run to run: seconds, seeds, isolation, and widths."""
    text = re.sub(r"\b(namespaces\+landlock|landlock\+uid|landlock|process)\b", "ISOLATION", text)
    text = re.sub(r"\d+(\.\d+)? ?(ms|s|秒|毫秒)\b", "SECONDS", text)
    text = re.sub(r"(seed|种子) ?\d+", r"\1 N", text)
    text = re.sub(r"─+", "─", text)
    lines = [" ".join(line.split()) for line in text.strip("\n").split("\n")]
    return "\n".join(lines)


def same_screen(shown: str, came: str) -> bool:
    """Whether a screen is what the page shows; a line `…` stands for any lines."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == ANYTHING else re.escape(line) + "\n"
        for line in plain(shown).split("\n")
    )
    return re.fullmatch(pattern, plain(came) + "\n") is not None


def load(file: Path) -> tuple[Page, str]:
    """A page of the book, and its language."""
    relative = file.resolve().relative_to(ROOT / "docs")
    language = relative.parts[0]
    name = Path(*relative.parts[1:]).as_posix()
    return Page(name, file, file.read_text(encoding="utf-8")), language


def problems(page: Page, language: str) -> Iterator[str]:
    """What differs between a page and what really comes out."""
    for ran in python_blocks(page):
        if ran.wrong:
            yield ran.wrong
        elif ran.came != ran.shown:
            yield f"{page.name}:{ran.line}: printed\n{ran.came}\nbut the page shows\n{ran.shown}"
    for ran in console_blocks(page, language):
        if ran.wrong:
            yield ran.wrong
        elif not same_screen(ran.shown, ran.came):
            yield f"{page.name}:{ran.line}: came\n{ran.came}\nbut the page shows\n{ran.shown}"


def write(page: Page, language: str) -> None:
    """Put what really comes out into the page, where it shows something else."""
    lines = page.text.split("\n")
    edits: list[tuple[int, int, list[str]]] = []
    for ran in python_blocks(page):
        if ran.wrong or ran.came == ran.shown:
            sys.stderr.write(f"{ran.wrong}\n" if ran.wrong else "")
            continue
        block = next(b for b in page.blocks if b.line == ran.line)
        end = block.line + 1 + block.text.count("\n")  # the line of its closing fence
        after = next((b for b in page.blocks if b.line > ran.line), None)
        if after is not None and "output" in after.classes:
            begin = after.line
            edits.append((begin, begin + after.text.count("\n"), ran.came.rstrip("\n").split("\n")))
        else:
            fenced = ["", "```{ .text .output }", *ran.came.rstrip("\n").split("\n"), "```"]
            edits.append((end, end, fenced))
    for ran in console_blocks(page, language):
        if not ran.wrong and not same_screen(ran.shown, ran.came):
            came = ran.came.rstrip("\n").split("\n")
            edits.append((ran.line, ran.line + ran.shown.count("\n"), came))
    for begin, end, new in sorted(edits, reverse=True):
        lines[begin:end] = new
    page.file.write_text("\n".join(lines), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Compare pages with what they print, or write it into them."""
    import torch

    torch.set_num_threads(1)
    found = 0
    for name in arguments:
        if name == "--write":
            continue
        page, language = load(Path(name))
        if "--write" in arguments:
            write(page, language)
            continue
        for problem in problems(page, language):
            found += 1
            sys.stdout.write(f"{problem}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
