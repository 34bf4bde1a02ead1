"""`happyllm-grade [TARGET]…` and `demo`, as a learner runs them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import psutil
import pytest
from rich.cells import cell_len

from grader import catalogue, shelf
from grader.report import Report

TILED = "def repeat_kv(x, n_rep):\n    return x.repeat(1, 1, n_rep, 1)\n"
OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\]8;[^\x1b]*\x1b\\")  # colours, the cursor, links

Happyllm = Callable[..., Any]


def put(workspace: Path, text: str, name: str = "repeat_kv") -> None:
    (workspace / f"ch5/{name}.py").write_text(text, encoding="utf-8")


# ---- targets


@pytest.mark.parametrize("target", ["repeat_kv", "5.1.3.1"])
def test_one_exercise_has_many_names(happyllm: Happyllm, target: str) -> None:
    ran = happyllm(target)
    assert ran.status == 0
    assert ran.out.startswith("ok ch5/repeat_kv: passed, 5/5\n")


def test_a_file_is_graded_from_anywhere_by_its_path(
    happyllm: Happyllm, workspace: Path, tmp_path: Path
) -> None:
    ran = happyllm(workspace / "ch5/repeat_kv.py", cwd=tmp_path)
    assert ran.out.startswith("ok ch5/repeat_kv: passed")


@pytest.mark.parametrize("word", ["all", "grade"])
def test_all_and_grade_alone_grade_everything_here(happyllm: Happyllm, word: str) -> None:
    ran = happyllm(word)
    assert ran.status == 1
    assert f"1 of {len(list(catalogue.load()))} exercises passed" in ran.out


def test_a_workspace_can_be_named_from_elsewhere(
    happyllm: Happyllm, workspace: Path, tmp_path: Path
) -> None:
    ran = happyllm("ch5/repeat_kv.py", "--workspace", workspace, cwd=tmp_path)
    assert ran.out.startswith("ok ch5/repeat_kv: passed")


# ---- what is remembered


def test_a_grading_is_remembered_and_read_by_the_next_command(
    happyllm: Happyllm, workspace: Path
) -> None:
    put(workspace, TILED, "repeat_kv")
    happyllm("repeat_kv")
    (entry,) = json.loads(happyllm("list", "--failing", "--format", "json").out)
    assert (entry["id"], entry["state"]["mistake"]) == ("ch5/repeat_kv", "tiled")


def test_what_passes_before_what_it_builds_on_waits_for_it(
    happyllm: Happyllm, workspace: Path
) -> None:
    put(workspace, shelf.solution(catalogue.load()["ch5/mlp"]), "mlp")
    said = "ch5/mlp is right in isolation, waiting on ch5/config.\n"
    assert f"{said}Next: ch5/config" in happyllm("mlp").out
    assert "waits on config" in happyllm("list", "mlp").out


def test_what_cannot_be_remembered_costs_a_line_and_no_verdict(
    happyllm: Happyllm, workspace: Path
) -> None:
    (workspace / ".happyllm/progress.jsonl").mkdir()
    ran = happyllm("repeat_kv")
    assert ran.status == 0
    assert ran.out.startswith("ok ch5/repeat_kv")
    assert ran.err.count("\n") == 1
    assert "progress is not remembered" in ran.err


def test_a_folder_that_no_init_made_is_graded_and_nothing_is_written_there(
    happyllm: Happyllm, tmp_path: Path
) -> None:
    (tmp_path / "handed in/ch5").mkdir(parents=True)
    put(tmp_path / "handed in", "def repeat_kv(x, n_rep):\n    return x\n")
    ran = happyllm("repeat_kv", cwd=tmp_path / "handed in")
    assert ran.status == 1
    assert [path.name for path in (tmp_path / "handed in").iterdir()] == ["ch5"]


# ---- reports


def test_a_wrong_answer_ends_with_1_and_names_the_mistake(
    happyllm: Happyllm, workspace: Path
) -> None:
    put(workspace, TILED)
    ran = happyllm("repeat_kv")
    assert ran.status == 1
    assert "You tiled the heads" in ran.out


def test_the_report_is_told_in_chinese_on_request(happyllm: Happyllm, workspace: Path) -> None:
    put(workspace, TILED)
    ran = happyllm("repeat_kv", "--lang", "zh")
    assert "你把整组头平铺成了" in ran.out
    assert "You tiled" not in ran.out


def test_the_same_seed_gives_the_same_report(happyllm: Happyllm, workspace: Path) -> None:
    put(workspace, TILED)

    def graded() -> Any:
        table = json.loads(happyllm("repeat_kv", "--seed", "3", "--format", "json").out)
        return json.loads(json.dumps(table), object_hook=without_times)

    def without_times(node: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in node.items() if key != "duration_s"}

    assert graded() == graded()


def test_an_answer_that_stands_on_the_learners_own_file_is_graded_on_it_with_own(
    happyllm: Happyllm, workspace: Path
) -> None:
    put(workspace, "raise ValueError('my config is broken')\n", "config")
    put(workspace, "from ch5.config import ModelConfig\n\n\nclass MLP:\n    pass\n", "mlp")
    ran = happyllm("mlp", "--own")
    assert ran.status == 1
    assert "my config is broken" in ran.out
    assert "ch5/config.py:1" in ran.out


def test_without_own_another_exercises_file_is_not_to_blame(
    happyllm: Happyllm, workspace: Path
) -> None:
    put(workspace, "raise ValueError('my config is broken')\n", "config")
    put(workspace, "from ch5.config import ModelConfig\n\n\nclass MLP:\n    pass\n", "mlp")
    ran = happyllm("mlp")
    assert ran.status == 1
    assert "my config is broken" not in ran.out


def test_plain_at_a_terminal_is_what_a_pipe_gets(screen: Happyllm) -> None:
    ran = screen("repeat_kv", "--plain")
    assert ran.out.startswith("ok ch5/repeat_kv: passed, 5/5")
    assert "\x1b" not in ran.out


def test_code_may_print_anything_and_the_json_stays_json(
    happyllm: Happyllm, workspace: Path
) -> None:
    put(workspace, "print('{', '\\ud800', '\\x1b[31m')\nraise ValueError('\\ud800')\n")
    ran = happyllm("repeat_kv", "--format", "json")
    assert ran.status == 1
    failure = Report.from_json(ran.out).exercises[0].failure
    assert failure is not None
    assert "\ud800" in failure.message.en


# ---- where the report goes


def test_a_file_is_replaced_whole_and_nothing_else_is_left_beside_it(
    happyllm: Happyllm, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "report.json").write_text("old " * 10_000, encoding="utf-8")
    ran = happyllm("repeat_kv", "--format", "json", "--output", folder / "report.json")
    assert (ran.status, ran.out) == (0, "")
    assert Report.from_json((folder / "report.json").read_text(encoding="utf-8")).exit_code == 0
    assert os.listdir(folder) == ["report.json"]


def test_a_report_for_a_terminal_can_be_written_to_a_file(
    happyllm: Happyllm, tmp_path: Path
) -> None:
    happyllm("mlp", "--format", "terminal", "--output", tmp_path / "report.txt")
    text = (tmp_path / "report.txt").read_text(encoding="utf-8")
    assert text.startswith("· ch5/mlp")
    assert "\x1b" not in text


def test_a_report_can_be_written_to_a_pipe(happyllm: Happyllm) -> None:
    ran = happyllm("mlp", "--output", "/dev/stdout")
    assert ran.out.startswith("- ch5/mlp: untouched")


# ---- at a terminal


def test_a_terminal_gets_colour_and_the_heads_of_what_failed(
    screen: Happyllm, workspace: Path
) -> None:
    put(workspace, TILED)
    ran = screen("repeat_kv", "mlp")
    assert ran.status == 1
    assert re.search(r"\x1b\[[0-9;]*3[0-7]m", ran.out)
    assert "╭─ ch5/repeat_kv" in OURS.sub("", ran.out)


def test_no_color_takes_the_colour_away(screen: Happyllm, workspace: Path) -> None:
    put(workspace, TILED)
    ran = screen("repeat_kv", NO_COLOR="1")
    assert "You tiled the heads" in ran.out
    assert not re.search(r"\x1b\[([0-9]+;)*(3[0-7]|9[0-7])(;[0-9]+)*m", ran.out)


def test_a_dumb_terminal_gets_nothing_to_obey(screen: Happyllm, workspace: Path) -> None:
    put(workspace, TILED)
    ran = screen("repeat_kv", TERM="dumb")
    assert "You tiled the heads" in ran.out
    assert "\x1b" not in ran.out


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_forty_columns_are_enough(screen: Happyllm, workspace: Path, lang: str) -> None:
    put(workspace, TILED)
    text = OURS.sub("", screen("repeat_kv", "--lang", lang, width=40).out)
    assert "ch5/repeat_kv" in text
    assert max(cell_len(line) for line in re.split(r"[\r\n]+", text)) <= 40


def test_a_file_of_the_workspace_is_a_link_on_a_terminal(screen: Happyllm, workspace: Path) -> None:
    put(workspace, TILED)
    out = screen("repeat_kv").out
    assert f"{(workspace / 'ch5' / 'repeat_kv.py').as_uri()}\x1b\\" in out


def test_a_terminal_that_knows_nothing_gets_no_link(screen: Happyllm, workspace: Path) -> None:
    put(workspace, TILED)
    assert "\x1b]8" not in screen("repeat_kv", TERM="dumb").out


def test_a_breakpoint_stops_in_the_learners_own_line_with_debug(
    at_terminal: Callable[..., pexpect.spawn], workspace: Path
) -> None:
    put(
        workspace,
        "def repeat_kv(x, n_rep):\n    if n_rep == 8:\n        breakpoint()\n"
        "    return x.repeat_interleave(n_rep, 2)\n",
    )
    child = at_terminal("repeat_kv", "--debug")
    child.expect_exact("(Pdb) ")
    child.sendline("p n_rep * 111")
    child.expect_exact("888")
    child.expect_exact("(Pdb) ")
    child.sendline("c")
    rest = child.read()
    child.close()
    assert child.exitstatus == 0
    assert "without isolation" in rest


# ---- stopping it


def test_ctrl_c_ends_with_130_and_leaves_no_process_and_no_folder(
    at_terminal: Callable[..., pexpect.spawn], workspace: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    put(workspace, "def repeat_kv(x, n_rep):\n    while True:\n        pass\n")
    child = at_terminal("repeat_kv", "--timeout", "300", TMPDIR=str(scratch))
    family = _family_at_work(child.pid)
    assert os.listdir(scratch)
    child.sendintr()
    told = child.read()
    child.close()
    assert child.exitstatus == 130
    assert "Stopped." in told
    assert "Traceback" not in told
    gone, left = psutil.wait_procs(family, timeout=30)
    assert not left
    assert len(gone) >= 3  # the fork server, the judge and the worker
    assert os.listdir(scratch) == []


def _family_at_work(pid: int) -> list[psutil.Process]:
    """The processes of a grading, once one of them runs the learner's endless loop."""
    before = time.monotonic()
    while time.monotonic() - before < 60:
        family = psutil.Process(pid).children(recursive=True)
        with contextlib.suppress(psutil.NoSuchProcess):  # one may have ended by now
            if len(family) >= 4 and any(one.cpu_times().user > 0.3 for one in family[3:]):
                return family
        time.sleep(0.05)
    raise AssertionError("the learner's code has not begun to run")


# ---- demo


def test_the_demo_shows_a_right_answer_a_wrong_one_and_a_stub(
    happyllm: Happyllm, tmp_path: Path
) -> None:
    ran = happyllm("demo", cwd=tmp_path)
    assert ran.status == 0
    for line in ("ok ch5/repeat_kv", "FAIL ch5/rms_norm", "- ch5/mlp"):
        assert f"\n{line}" in f"\n{ran.out}"
    assert "happyllm-grade init my-llm" in ran.out
