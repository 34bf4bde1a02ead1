"""`happyllm-grade list`, `init` and `--help`: quick, and careful with what is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from grader import catalogue

Happyllm = Callable[..., Any]
OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CHAPTER = [exercise.id for exercise in catalogue.load()]


def modules(*words: str, run: Happyllm) -> set[str]:
    """The top-level modules that a command imports."""
    code = (
        "import sys, atexit\n"
        "from grader.cli import main\n"
        "atexit.register(lambda: print(*{name.split('.')[0] for name in sys.modules},"
        " file=sys.stderr))\n"
        f"sys.argv[1:] = {list(words)!r}\n"
        "main()\n"
    )
    ran = run(code)
    assert ran.status == 0
    return set(ran.err.split())


@pytest.fixture
def python(tmp_path: Path) -> Happyllm:
    def run_(code: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False
        )
        return type("Ran", (), {"status": done.returncode, "err": done.stderr.decode()})

    return run_


@pytest.mark.parametrize(
    "words",
    [
        *([], ["--help"], ["--version"], ["list"], ["list", "--help"], ["init", "ws"]),
        *(["hint", "mlp"], ["solution", "mlp", "--give-up"], ["completion", "zsh"]),
    ],
)
def test_what_grades_nothing_loads_neither_torch_nor_rich(
    python: Happyllm, words: list[str]
) -> None:
    heavy = {"torch", "rich", "pytest", "libcst"}
    if words != ["--help"]:  # which loads every command, and those for a class know the wire
        heavy.add("msgpack")
    assert not modules(*words, run=python) & heavy


# ---- list


def test_list_shows_every_exercise_in_the_order_of_the_book(happyllm: Happyllm) -> None:
    ran = happyllm("list")
    assert ran.status == 0
    assert [line.split("\t")[0] for line in ran.out.splitlines()] == CHAPTER


def test_list_shows_what_a_target_names(happyllm: Happyllm) -> None:
    ran = happyllm("list", "5.1.3")
    assert [line.split("\t")[1] for line in ran.out.splitlines()] == [
        "5.1.3.1",
        "5.1.3.2",
        "5.1.3.3",
    ]


def test_list_as_json_is_the_catalogue(happyllm: Happyllm) -> None:
    table = json.loads(happyllm("list", "--format", "json").out)
    assert [entry["id"] for entry in table] == CHAPTER
    assert set(table[0]["title"]) == {"en", "zh"}


@pytest.mark.parametrize("width", [40, 80, 120])
def test_list_at_a_terminal_is_a_table_that_fits(screen: Happyllm, width: int) -> None:
    text = OURS.sub("", screen("list", "--lang", "zh", width=width).out)
    assert "练习" in text
    assert max(cell_len(line) for line in text.splitlines()) <= width


def test_list_of_an_unknown_name_is_refused(happyllm: Happyllm) -> None:
    ran = happyllm("list", "nope")
    assert ran.status == 2
    assert "'nope'" in ran.err


# ---- the language


@pytest.mark.parametrize(
    ("words", "env", "chinese"),
    [
        ([], {}, False),
        ([], {"LANG": "zh_CN.UTF-8"}, True),
        ([], {"LC_ALL": "en_US.UTF-8", "LANG": "zh_CN.UTF-8"}, False),
        ([], {"HAPPYLLM_LANG": "zh"}, True),
        ([], {"HAPPYLLM_LANG": "en", "LANG": "zh_CN.UTF-8"}, False),
        (["--lang", "en"], {"HAPPYLLM_LANG": "zh"}, False),
        (["--lang", "zh"], {"HAPPYLLM_LANG": "en"}, True),
    ],
)
def test_the_option_comes_before_the_variable_and_that_before_the_locale(
    happyllm: Happyllm, words: list[str], env: dict[str, str], chinese: bool
) -> None:
    assert ("共享键值头" in happyllm("list", *words, **env).out) == chinese


def test_a_language_that_there_is_not_is_refused(happyllm: Happyllm) -> None:
    ran = happyllm("list", "--lang", "fr")
    assert ran.status == 2
    assert "'en', 'zh'" in ran.err


def test_an_output_that_knows_no_chinese_gets_escapes(happyllm: Happyllm) -> None:
    ran = happyllm("list", "--lang", "zh", PYTHONIOENCODING="latin-1")
    assert ran.status == 0
    assert r"\u5171\u4eab" in ran.out


# ---- init


def test_init_writes_the_stubs_and_says_what_is_next(happyllm: Happyllm, tmp_path: Path) -> None:
    ran = happyllm("init", "my llm", cwd=tmp_path)
    assert ran.status == 0
    assert f"{len(CHAPTER)} exercises written" in ran.out
    assert "happyllm-grade ch5/config" in ran.out
    assert all((tmp_path / "my llm" / f"{name}.py").is_file() for name in CHAPTER)


def test_init_never_overwrites(happyllm: Happyllm, workspace: Path) -> None:
    mine = (workspace / "ch5/repeat_kv.py").read_text(encoding="utf-8")
    (workspace / "ch5/mlp.py").unlink()
    ran = happyllm("init", ".")
    assert f"1 exercises written, {len(CHAPTER) - 1} files of yours kept" in ran.out
    assert (workspace / "ch5/repeat_kv.py").read_text(encoding="utf-8") == mine
    assert (workspace / "ch5/mlp.py").is_file()


def test_init_makes_the_chapters_that_are_named(happyllm: Happyllm, tmp_path: Path) -> None:
    assert happyllm("init", "ws", "--chapters", " ch5 ,", cwd=tmp_path).status == 0
    assert (tmp_path / "ws/ch5/mlp.py").is_file()


def test_init_of_an_unknown_chapter_is_refused_and_writes_nothing(
    happyllm: Happyllm, tmp_path: Path
) -> None:
    ran = happyllm("init", "ws", "--chapters", "ch9", cwd=tmp_path)
    assert ran.status == 2
    assert "'ch9'. Did you mean ch5?" in ran.err
    assert not (tmp_path / "ws").exists()


def test_init_speaks_chinese(happyllm: Happyllm, tmp_path: Path) -> None:
    said = f"写入 {len(CHAPTER)} 个题目文件"
    assert said in happyllm("init", "ws", "--lang", "zh", cwd=tmp_path).out


def test_init_on_a_file_says_what_is_in_the_way(happyllm: Happyllm, tmp_path: Path) -> None:
    (tmp_path / "ws").write_text("", encoding="utf-8")
    ran = happyllm("init", "ws", cwd=tmp_path)
    assert ran.status == 2
    assert ran.err.startswith("happyllm-grade: ws/ch5")


def test_init_in_a_folder_that_cannot_be_written_names_the_file(happyllm: Happyllm) -> None:
    ran = happyllm("init", "/proc/ws")
    assert ran.status == 2
    assert ran.err.startswith("happyllm-grade: /proc/ws/ch5/config.py: cannot be written: ")


# ---- help


def test_help_says_how_to_begin_one_command_a_line(happyllm: Happyllm) -> None:
    lines = [" ".join(line.split()) for line in happyllm("--help").out.splitlines()]
    assert "happyllm-grade demo see what it does" in lines
    assert "happyllm-grade ch5/repeat_kv grade one exercise" in lines


def test_help_says_what_every_exit_status_means(happyllm: Happyllm) -> None:
    told = " ".join(happyllm("--help").out.split())
    assert "0 all passed, 1 something did not, 2 a wrong command line" in told


def test_version_is_that_of_the_package(happyllm: Happyllm) -> None:
    assert happyllm("--version").out == f"happyllm-grade {version('happyllm')}\n"
