"""On GitHub a student's text is shown in annotations and summaries, and is no command there."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from grader.classroom.release import TEMPLATES
from grader.render import github

from .runner import commands
from .test_shown import COMMANDS, HOSTILE, hostile

KINDS = [kind for kind in HOSTILE if not kind.startswith("a command broken")]
SHARP = {
    "escapes": "100%0A::add-mask::x %25 %3A%2C",
    "ends the properties": "a,line=9::add-mask::failed",
    "a name with colons": "x::y:z,w",
    "returns": "a\r::add-mask::failed\r\n::set-output name=grade::100",
}


# ---- the grader's own annotations


@pytest.mark.parametrize("text", [*(HOSTILE[kind] for kind in KINDS), *SHARP.values()])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_annotation_is_one_command_whatever_a_student_says(text: str, language: str) -> None:
    report = hostile(text)
    shown = github.workflow_commands(report, language, "work")  # type: ignore[arg-type]
    found = commands(shown)
    assert [one.name for one in found] == ["error"] * len(report.exercises)
    assert [one.properties["file"] for one in found] == [f"work/{g.file}" for g in report.exercises]
    assert {tuple(sorted(one.properties)) for one in found} == {("file", "line", "title")}
    assert len(shown.splitlines()) == len(found)
    assert {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} <= {"\n"}


def test_what_was_said_is_read_back_as_it_was_said() -> None:
    made = github.command("error", "50%: a, b", {"file": "a:b,c%.py", "line": "3"})
    (found,) = commands(made)
    assert found.data == "50%: a, b"
    assert found.properties == {"file": "a:b,c%.py", "line": "3"}
    assert made == "::error file=a%3Ab%2Cc%25.py,line=3::50%25: a, b"


def test_the_runner_would_find_the_commands_of_a_student() -> None:
    for one in COMMANDS[:4]:
        assert len(commands(f"a\n  {one}\n")) == 1
    assert [one.name for one in commands("x ##[add-mask]failed")] == ["add-mask"]
    assert commands("::stop-commands::w\n::error::x\n::w::\n::notice::y")[-1].data == "y"


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_our_own_words_alone(kind: str) -> None:
    lines = github.outputs(hostile(HOSTILE[kind])).splitlines()
    assert all(re.fullmatch(r"[a-z-]+=(\d+|true|false)", line) for line in lines)
    summary = github.summary(hostile(HOSTILE[kind]))
    assert commands(summary) == []
    fenced = re.sub(r"^(`{3,})text\n.*?^\1$", "", summary, flags=re.MULTILINE | re.DOTALL)
    assert "<" not in fenced  # in a fence it is text


# ---- those of the student edition


@pytest.fixture(scope="module")
def telling() -> ModuleType:
    spec = importlib.util.spec_from_file_location("edition_report", TEMPLATES / "tests/report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("text", [*(HOSTILE[kind] for kind in KINDS), *SHARP.values()])
def test_the_edition_tells_as_carefully(
    telling: ModuleType, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"exercise": text, "test": text, "claim": text, "outcome": "failed"}
    found = [{**one, "message": text, "file": text, "line": 3}]
    shown = telling.annotation(found[0])
    assert [c.name for c in commands(shown)] == ["error"]
    assert commands(shown)[0].properties["line"] == "3"
    assert "\n" not in shown
    row = list(telling.summary(found, 0))[4]
    assert row.count("|") == 4
    assert "<" not in row
    monkeypatch.setattr(telling, "ROOT", tmp_path)
    telling.gitlab(found)
    (entry,) = json.loads((tmp_path / "public-tests.codequality.json").read_text("utf-8"))
    assert set(entry) == {"description", "check_name", "fingerprint", "severity", "location"}


NASTY = """
import os, sys
sys.stdout.write("::add-mask::failed\\n::set-output name=passed::99\\n##[add-mask]failed\\n")
os.write(1, b"::error file=judge.py::x\\n::stop-commands::mine\\n")
def repeat_kv(x, n_rep):
    print("::set-env name=PATH::/evil")
    raise ValueError("::add-mask::failed\\n::set-output name=passed::99")
"""


def test_the_step_of_the_edition_obeys_nothing_that_code_prints(tmp_path: Path) -> None:
    """The very script of the action, in bash, on code that prints commands everywhere."""
    steps = yaml.safe_load((TEMPLATES / "action.yml").read_text())["runs"]["steps"]
    (script,) = [step["run"] for step in steps if step.get("id") == "tests"]
    (tmp_path / "ch5").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "ch5/repeat_kv.py").write_text(NASTY)
    for name in ("comparing.py", "conftest.py", "report.py"):
        (tmp_path / "tests" / name).write_text((TEMPLATES / "tests" / name).read_text())
    (tmp_path / "tests/test_repeat_kv.py").write_text(
        'EXERCISE = "ch5/repeat_kv"\n\n\ndef test_a(exercise):\n    """A claim."""\n'
        "    exercise.repeat_kv(1, 2)\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = . tests\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for file in files.values():
        file.touch()
    environment = {
        **os.environ,
        **{name: str(file) for name, file in files.items()},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_ACTIONS": "true",
        "PYTHONPATH": "",
    }
    ran = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    assert "::set-env" in ran.stdout  # it was printed, and stands between the stop and its word
    found = commands(ran.stdout)
    assert [one.name for one in found] == ["stop-commands", "error"], ran.stdout
    assert found[1].properties == {
        "file": "ch5/repeat_kv.py",
        "line": "7",
        "title": "ch5/repeat_kv",
    }
    assert files["GITHUB_OUTPUT"].read_text() == "passed=0\ntotal=1\n"
    summary = files["GITHUB_STEP_SUMMARY"].read_text()
    assert "0 of 1 pass" in summary
    assert commands(summary) == []
