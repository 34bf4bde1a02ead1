"""Every code block of the book runs, and what the book shows is what comes out."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from grader.book import pages

from . import running
from .conftest import DOCS, ROOT

PAGES = [
    f"{language}/{page.name}"
    for language in ("en", "zh")
    for page in pages.read(DOCS / language)
    if any(block.language in ("python", "console") for block in page.blocks)
]


@pytest.mark.parametrize("name", PAGES)
def test_what_the_page_shows_is_what_comes_out(name):
    done = subprocess.run(
        [sys.executable, running.__file__, str(DOCS / name)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def page(tmp_path, text):
    file = tmp_path / "page.md"
    file.write_text(text, encoding="utf-8")
    return pages.Page("page.md", file, text)


def python(tmp_path, text):
    return list(running.problems(page(tmp_path, text), "en"))


def test_blocks_share_a_namespace_and_print_what_is_shown(tmp_path):
    text = "```python\nx = 2\n```\n\n```python\nprint(x)\n```\n\n```{ .text .output }\n2\n```\n"
    assert python(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```python\nprint(2)\n```\n\n```{ .text .output }\n3\n```\n", "shows\n3"),
        ("```python\nprint(2)\n```\n\nNothing is shown.\n", "printed\n2"),
        ("```python\nx = 1\n```\n\n```{ .text .output }\n1\n```\n", "shows\n1"),
        ("```python\nx = undefined\n```\n", "NameError"),
        ("```{ .python .raises }\nx = 1\n```\n", "raises nothing"),
        ('```{ .python .not-run title="Not run here" }\nx = (\n```\n', "never closed"),
    ],
    ids=["wrong", "not shown", "not printed", "raises", "raises nothing", "does not compile"],
)
def test_a_planted_fault_in_a_block_is_found(tmp_path, text, told):
    assert any(told in problem for problem in python(tmp_path, text))


def test_what_is_raised_is_compared_with_its_last_line(tmp_path):
    text = (
        "```{ .python .raises }\nraise ValueError('no')\n```\n\n"
        "```{ .text .output }\nValueError: no\n```\n"
    )
    assert python(tmp_path, text) == []


def test_seconds_seeds_and_isolation_differ_and_other_words_do_not():
    shown = "1 of 5 passed\n…\nseed 1 · landlock · 0.2 s\n"
    assert running.same_screen(shown, "1 of 5 passed\na\nb\nseed 7 · process · 12 s\n")
    assert not running.same_screen(shown, "2 of 5 passed\na\nb\nseed 7 · process · 12 s\n")


def test_a_console_block_is_run_in_a_workspace_of_its_own(tmp_path):
    command = "$ happyllm-grade ch5/repeat_kv --format plain"
    text = f"```console\n{command}\n- ch5/repeat_kv: {{}}, 0/5\n…\n```\n"
    assert python(tmp_path, text.format("untouched")) == []
    assert any("untouched" in problem for problem in python(tmp_path, text.format("passed")))
