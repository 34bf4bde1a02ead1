"""Where you are, hints, the solution, beginning anew, upgrades and the shell's completion."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pyte
import pytest
from rich.cells import cell_len

from grader import catalogue, shelf

COUNT = len(list(catalogue.load()))

Happyllm = Callable[..., Any]
OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
KNOWN = catalogue.load()


def remember(workspace: Path, exercise: str, kind: str = "graded", **more: Any) -> None:
    """Add to the progress as a grading does, without the time of one."""
    from grader.learning.progress import fingerprint

    file = workspace / f"{exercise}.py"
    event = {"v": 1, "at": "2025-01-01T00:00:00+00:00", "exercise": exercise, "kind": kind}
    if kind == "graded":
        event["hash"] = fingerprint(file.read_text(encoding="utf-8"))
    with (workspace / ".happyllm/progress.jsonl").open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(event | more) + "\n")


def solve(workspace: Path, *exercises: str) -> None:
    for exercise in exercises:
        text = shelf.solution(KNOWN[exercise])
        (workspace / f"{exercise}.py").write_text(text, encoding="utf-8")
        remember(workspace, exercise, outcome="passed")


def shown(ran: Any, width: int, height: int = 60) -> str:
    """What stands on the screen of a terminal after a command has ended."""
    screen = pyte.Screen(width, height)
    pyte.Stream(screen).feed(ran.out)
    return "\n".join(line.rstrip() for line in screen.display).strip("\n")


# ---- where you are


def test_alone_it_says_the_one_next_step(happyllm: Happyllm, workspace: Path) -> None:
    solve(workspace, "ch5/config", "ch5/rms_norm")
    ran = happyllm()
    assert ran.status == 0
    assert f"2 of {COUNT}" in ran.out
    assert ran.out.endswith("\nhappyllm-grade ch5/repeat_kv\n")


def test_what_was_last_worked_on_comes_before_the_order_of_the_book(
    happyllm: Happyllm, workspace: Path
) -> None:
    (workspace / "ch5/sampling.py").write_text("no = 1\n", encoding="utf-8")
    remember(workspace, "ch5/sampling", outcome="failed")
    out = happyllm().out
    assert "Not right yet, after one try. Mend ch5/sampling.py, then:\n" in out
    assert out.endswith("happyllm-grade ch5/sampling\n")


def test_what_was_changed_after_it_passed_is_to_be_graded_again(
    happyllm: Happyllm, workspace: Path
) -> None:
    solve(workspace, *(e.id for e in KNOWN))
    assert happyllm().out.endswith("happyllm-grade milestone ch5\n")
    with (workspace / "ch5/mlp.py").open("a", encoding="utf-8") as file:
        file.write("# and more\n")
    out = happyllm().out
    assert "It passed, and was changed since:\nhappyllm-grade ch5/mlp\n" in out


def test_when_all_is_done_nothing_is_left_to_do(happyllm: Happyllm, workspace: Path) -> None:
    solve(workspace, *(e.id for e in KNOWN))
    remember(workspace, "ch5/milestone", "milestone", reached=True)
    assert "All done" in happyllm().out
    assert "全部完成" in happyllm("--lang", "zh").out


def test_from_a_folder_inside_it_is_the_same(happyllm: Happyllm, workspace: Path) -> None:
    assert happyllm(cwd=workspace / "ch5").out == happyllm("--workspace", workspace).out


def test_outside_a_workspace_it_says_how_to_begin(happyllm: Happyllm, tmp_path: Path) -> None:
    ran = happyllm(cwd=tmp_path)
    assert ran.status == 0
    assert "happyllm-grade init my-llm" in ran.out
    assert "先看看效果" in happyllm("--lang=zh", cwd=tmp_path).out


def test_a_workspace_of_another_version_is_told_to_update(
    happyllm: Happyllm, workspace: Path
) -> None:
    file = workspace / ".happyllm/workspace.json"
    table = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(table | {"happyllm": "0.0.1"}), encoding="utf-8")
    assert "0.0.1" in happyllm().out
    assert "happyllm-grade update" in happyllm().out
    happyllm("update")
    assert "0.0.1" not in happyllm().out


@pytest.mark.parametrize("words", [[], ["list"], ["hint", "attention", "--all"]])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_forty_columns_are_enough(
    screen: Happyllm, workspace: Path, words: list[str], lang: str
) -> None:
    solve(workspace, "ch5/attention")
    text = OURS.sub("", screen(*words, "--lang", lang, width=40).out)
    assert "ch5" in text
    assert max(cell_len(line) for line in re.split(r"[\r\n]+", text)) <= 40


@pytest.mark.parametrize("words", [["status"], ["list"], ["hint", "mlp"]])
def test_plain_at_a_terminal_has_nothing_to_obey(screen: Happyllm, words: list[str]) -> None:
    assert "\x1b" not in screen(*words, "--plain").out


@pytest.mark.parametrize("words", [["status"], ["list"], ["hint", "mlp"]])
def test_no_color_takes_the_colour_away(screen: Happyllm, words: list[str]) -> None:
    out = screen(*words, NO_COLOR="1").out
    assert not re.search(r"\x1b\[([0-9]+;)*(3[0-7]|9[0-7])(;[0-9]+)*m", out)


# ---- list


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ("--solved", ["ch5/config"]),
        ("--failing", ["ch5/mlp"]),
        ("--todo", [e.id for e in KNOWN if e.id != "ch5/config"]),
    ],
)
def test_a_list_can_be_of_what_is_solved_or_not(
    happyllm: Happyllm, workspace: Path, option: str, names: list[str]
) -> None:
    solve(workspace, "ch5/config")
    remember(workspace, "ch5/mlp", outcome="failed")
    lines = happyllm("list", option).out.splitlines()
    assert [line.split("\t")[0] for line in lines] == names


def test_a_list_of_what_is_solved_needs_a_workspace(happyllm: Happyllm, tmp_path: Path) -> None:
    ran = happyllm("list", "--solved", cwd=tmp_path)
    assert ran.status == 2
    assert "is no workspace" in ran.err


def test_the_list_tells_help_from_none(happyllm: Happyllm, workspace: Path) -> None:
    remember(workspace, "ch5/mlp", "hint", hint=0)
    remember(workspace, "ch5/rms_norm", "solution")
    solve(workspace, "ch5/config", "ch5/mlp", "ch5/rms_norm")
    rows = {line.split("\t")[0]: line.split("\t")[4:] for line in happyllm("list").out.splitlines()}
    assert rows["ch5/config"] == ["solved"]
    assert rows["ch5/mlp"] == ["solved_with_help", "1 hint"]
    assert rows["ch5/rms_norm"] == ["solved_with_help", "solution read"]


# ---- hints


def test_each_call_climbs_a_rung_and_the_last_leads_to_the_solution(happyllm: Happyllm) -> None:
    hints = [hint.en for hint in KNOWN["ch5/mlp"].hints]
    for number, hint in enumerate(hints, start=1):
        ran = happyllm("hint", "mlp")
        assert f"hint {number} of {len(hints)}" in ran.out
        assert hint in ran.out
    assert "happyllm-grade solution ch5/mlp --give-up" in ran.out
    assert hints[-1] in happyllm("hint", "mlp").out


def test_again_shows_what_was_had_and_climbs_no_further(happyllm: Happyllm) -> None:
    hints = [hint.zh for hint in KNOWN["ch5/mlp"].hints]
    happyllm("hint", "mlp")
    for _ in range(2):
        out = happyllm("hint", "mlp", "--again", "--lang", "zh").out
        assert hints[0] in out
        assert hints[1] not in out
    assert hints[1] in happyllm("hint", "mlp", "--lang", "zh").out


def test_all_shows_every_rung(happyllm: Happyllm) -> None:
    out = happyllm("hint", "mlp", "--all").out
    assert all(hint.en in out for hint in KNOWN["ch5/mlp"].hints)


def test_a_hint_that_fits_the_last_failure_comes_first(happyllm: Happyllm, workspace: Path) -> None:
    remember(workspace, "ch5/repeat_kv", outcome="failed", mistake="tiled", failed=[])
    out = happyllm("hint").out
    assert KNOWN["ch5/repeat_kv"].hints[1].en in out
    assert "hint 1 of 3 (It fits what your last grading found.)" in out
    assert KNOWN["ch5/repeat_kv"].hints[0].en in happyllm("hint").out


def test_a_test_that_failed_finds_its_hint_too(happyllm: Happyllm, workspace: Path) -> None:
    failed = ["test_it_takes_keys_that_are_not_contiguous"]
    remember(workspace, "ch5/repeat_kv", outcome="failed", mistake=None, failed=failed)
    assert KNOWN["ch5/repeat_kv"].hints[2].en in happyllm("hint", "repeat_kv").out


def test_without_a_name_it_is_the_next_exercise(happyllm: Happyllm, workspace: Path) -> None:
    solve(workspace, "ch5/config")
    assert happyllm("hint").out.startswith("ch5/rms_norm: hint 1 of 3")


def test_a_hint_can_be_had_without_a_workspace(happyllm: Happyllm, tmp_path: Path) -> None:
    ran = happyllm("hint", "ch5/mlp", cwd=tmp_path)
    assert (ran.status, ran.out.splitlines()[0]) == (0, "ch5/mlp: hint 1 of 3")
    assert "happyllm-grade init ." in ran.err


@pytest.mark.parametrize(
    ("target", "said"), [("ch5", f"{COUNT} exercises"), ("mpl", "Did you mean")]
)
def test_a_hint_is_for_one_exercise(happyllm: Happyllm, target: str, said: str) -> None:
    ran = happyllm("hint", target)
    assert ran.status == 2
    assert said in ran.err


# ---- the solution


def test_the_solution_stays_shut_until_it_is_solved_or_given_up(
    happyllm: Happyllm, workspace: Path
) -> None:
    ran = happyllm("solution", "mlp")
    assert ran.status == 1
    assert "silu" not in ran.out
    assert "happyllm-grade hint ch5/mlp" in ran.out
    ran = happyllm("solution", "mlp", "--give-up")
    assert ran.status == 0
    assert "F.silu" in ran.out
    assert KNOWN["ch5/mlp"].why.en in ran.out
    (entry,) = json.loads(happyllm("list", "mlp", "--format", "json").out)
    assert entry["state"]["gave_up"] is True


def test_after_a_pass_the_solution_is_compared_with_what_was_written(
    happyllm: Happyllm, workspace: Path
) -> None:
    remember(workspace, "ch5/repeat_kv", outcome="passed")
    out = happyllm("solution", "repeat_kv").out
    assert "-    return x.repeat_interleave(n_rep, 2)" in out
    assert "+    return x.reshape(B, T, K * n_rep, d)" in out
    assert '"""' not in out
    (entry,) = json.loads(happyllm("list", "repeat_kv", "--format", "json").out)
    assert entry["state"]["name"] == "solved"


def test_a_file_that_python_cannot_read_leaves_the_solution_alone(
    happyllm: Happyllm, workspace: Path
) -> None:
    (workspace / "ch5/mlp.py").write_text("class MLP(\n", encoding="utf-8")
    ran = happyllm("solution", "mlp", "--give-up")
    assert ran.status == 0
    assert "Python cannot read your file" in ran.out
    assert "F.silu" in ran.out


@pytest.mark.parametrize("width", [80, 120])
def test_the_two_stand_side_by_side_where_there_is_room(
    screen: Happyllm, workspace: Path, width: int
) -> None:
    remember(workspace, "ch5/repeat_kv", outcome="passed")
    lines = shown(screen("solution", "repeat_kv", width=width), width).splitlines()
    heads = [line for line in lines if "yours" in line or "the solution" in line]
    assert len(heads) == (1 if width == 120 else 2)
    assert max(cell_len(line) for line in lines) <= width


def test_what_a_terminal_would_obey_is_shown_as_an_escape(
    screen: Happyllm, workspace: Path
) -> None:
    text = "def repeat_kv(x, n_rep):\n    return '\x1b[2J\x1b]0;owned\x07'\n"
    (workspace / "ch5/repeat_kv.py").write_text(text, encoding="utf-8")
    ran = screen("solution", "repeat_kv", "--give-up")
    assert "\x1b[2J" not in ran.out
    assert "\x1b]0" not in ran.out
    assert "owned" in ran.out


# ---- beginning anew


def test_a_reset_asks_first_and_keeps_what_was_written(
    at_terminal: Callable[..., pexpect.spawn], workspace: Path
) -> None:
    before = (workspace / "ch5/repeat_kv.py").read_text(encoding="utf-8")
    child = at_terminal("reset", "repeat_kv")
    child.expect_exact("Begin ch5/repeat_kv anew?")
    child.sendline("n")
    child.read()
    assert (workspace / "ch5/repeat_kv.py").read_text(encoding="utf-8") == before
    child = at_terminal("reset", "repeat_kv")
    child.expect_exact("[y/N]")
    child.sendline("y")
    said = child.read()
    assert "is a stub again" in said
    (backup,) = (workspace / ".happyllm/backups/ch5").iterdir()
    assert backup.name in said
    assert backup.read_text(encoding="utf-8") == before
    assert (workspace / "ch5/repeat_kv.py").read_text(encoding="utf-8") == shelf.stub(
        KNOWN["ch5/repeat_kv"]
    )


def test_a_reset_that_can_ask_nobody_does_nothing(happyllm: Happyllm, workspace: Path) -> None:
    before = (workspace / "ch5/repeat_kv.py").read_text(encoding="utf-8")
    ran = happyllm("reset", "repeat_kv")
    assert ran.status == 2
    assert "--yes" in ran.err
    assert (workspace / "ch5/repeat_kv.py").read_text(encoding="utf-8") == before
    assert happyllm("reset", "repeat_kv", "--yes").status == 0
    assert "is a stub already" in happyllm("reset", "repeat_kv").out


def test_an_update_without_an_upgrade_says_so(happyllm: Happyllm) -> None:
    assert f"Up to date: {COUNT} exercises" in happyllm("update").out


# ---- the shell


def completed(line: str, workspace: Path, at: int) -> list[str]:
    """What bash would be offered for the word `at` of a line."""
    from .conftest import COMMAND, environment

    more = {"COMP_WORDS": line, "COMP_CWORD": str(at)}
    done = subprocess.run(
        [COMMAND],
        cwd=workspace,
        env=environment(_HAPPYLLM_GRADE_COMPLETE="bash_complete", **more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return [entry.partition(",")[2] for entry in done.stdout.splitlines()]


def test_the_first_word_is_completed_to_commands_and_targets(workspace: Path) -> None:
    found = completed("happyllm-grade ", workspace, 1)
    assert {"hint", "list", "ch5", "ch5/mlp"} <= set(found)
    assert completed("happyllm-grade ch5/ro", workspace, 1) == ["ch5/rotary"]
    assert completed("happyllm-grade 5.1.3", workspace, 1) == ["5.1.3.1", "5.1.3.2", "5.1.3.3"]


def test_a_target_is_completed_after_a_command_and_after_another_target(workspace: Path) -> None:
    assert completed("happyllm-grade hint ch5/ml", workspace, 2) == ["ch5/mlp"]
    assert completed("happyllm-grade ch5/mlp rep", workspace, 2) == ["repeat_kv"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_it_can_read(
    happyllm: Happyllm, tmp_path: Path, shell: str
) -> None:
    ran = happyllm("completion", shell)
    assert "_HAPPYLLM_GRADE_COMPLETE" in ran.out
    if shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(ran.out, encoding="utf-8")
        subprocess.run([shell, "-n", str(script)], check=True)


def test_every_command_says_what_it_does(happyllm: Happyllm) -> None:
    told = happyllm("--help").out
    for name in ("status", "hint", "solution", "milestone", "reset", "update", "completion"):
        assert re.search(rf"^  {name} +\w", told, flags=re.MULTILINE)


def test_init_in_another_language_and_place_names_the_folder_as_a_shell_takes_it(
    happyllm: Happyllm, tmp_path: Path
) -> None:
    out = happyllm("init", "my llm", "--lang", "zh", cwd=tmp_path).out
    assert "cd 'my llm'" in out
    assert "下一步做什么" in (tmp_path / "my llm/README.md").read_text(encoding="utf-8")
    assert os.listdir(tmp_path / "my llm/.happyllm") == ["workspace.json"]
