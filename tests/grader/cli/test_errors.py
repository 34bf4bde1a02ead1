"""Everything that can be wrong with a file, a folder or a command line, told in a sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader import catalogue, engine
from grader.catalogue import Exercise
from grader.render import plain
from grader.report import Graded, Report
from grader.sandbox.nursery import Nursery

Happyllm = Callable[..., Any]
COMMAND = Path(sys.executable).with_name("happyllm-grade")

# ---- files that cannot be loaded, one for each exercise, graded in one run

UNLOADABLE = {
    "config": "",
    "rms_norm": "import torch\n\ndef forward(x:\n    return x\n",
    "repeat_kv": "import sys\nsys.exit(0)\n",
    "rotary": "import torch\nimport nothing_here\n",
    "attention": "class Attention:\n    pass\n",
    "mlp": "import os\nprint('so far')\nos.abort()\n",
    "decoder_layer": "import ctypes\nctypes.string_at(0)\n",
    "model": "from ch5.my_helpers import thing\n",
    "kv_cache": "import happyllm.llama.cache\n",
    "sampling": "while True:\n    pass\n",
    "generate": "import os\nfor _ in range(1024):\n    os.write(1, b'x' * (1 << 20))\n",
}


@pytest.fixture(scope="module")
def unloadable(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Graded, str]]:
    """Each exercise as it was graded, and what the report says of it in plain lines."""
    root = tmp_path_factory.mktemp("unloadable")
    (root / "ch5").mkdir()
    for name, text in UNLOADABLE.items():
        (root / f"ch5/{name}.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [COMMAND, "--format", "json", "--timeout", "8"],
        cwd=root,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"")
    report = Report.from_json(done.stdout.decode("utf-8"))
    return {
        one.id.removeprefix("ch5/"): (one, plain.render(alone(report, one)))
        for one in report.exercises
    }


def alone(report: Report, one: Graded) -> Report:
    return replace(report, exercises=(one,), next=None)


@pytest.mark.parametrize(
    ("name", "outcome", "said"),
    [
        ("config", "error", "ch5/config.py no longer defines ffn_hidden_dim, ModelConfig; write"),
        ("rms_norm", "error", "ch5/rms_norm.py:3: SyntaxError: '(' was never closed"),
        ("repeat_kv", "error", "ch5/repeat_kv.py calls sys.exit() (line 2); a file that others"),
        ("rotary", "error", "ch5/rotary.py raised ModuleNotFoundError: No module named 'nothing_"),
        ("attention", "error", "ch5/attention.py no longer defines causal_mask; write it again"),
        ("mlp", "error", "ch5/mlp.py crashed the Python interpreter"),
        ("decoder_layer", "error", "ch5/decoder_layer.py crashed the Python interpreter"),
        ("model", "error", "there is no ch5/my_helpers.py in this submission (line 1)"),
        ("kv_cache", "blocked", "'happyllm' is not yours to import here: write it yourself"),
        ("sampling", "timeout", "ch5/sampling.py was still running after 8 s. Does a loop never"),
        ("generate", "error", "ch5/generate.py no longer defines generate"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_told_by_its_name_and_reason(
    unloadable: dict[str, tuple[Graded, str]], name: str, outcome: str, said: str
) -> None:
    one, text = unloadable[name]
    assert one.outcome == outcome
    assert said in text


@pytest.mark.parametrize("name", UNLOADABLE)
def test_nothing_of_the_grader_itself_is_shown(
    unloadable: dict[str, tuple[Graded, str]], name: str
) -> None:
    _, text = unloadable[name]
    for ours in ("grader/", "sandbox", "nursery", "worker.py", "Traceback", "<unknown>"):
        assert ours not in text


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("rms_norm", "ch5/rms_norm.py:3: def forward(x:"),
        ("repeat_kv", "ch5/repeat_kv.py:2: sys.exit(0)"),
        ("rotary", "ch5/rotary.py:2: import nothing_here"),
        ("model", "ch5/model.py:1: from ch5.my_helpers import thing"),
        ("kv_cache", "ch5/kv_cache.py:1: import happyllm.llama.cache"),
        ("mlp", 'File "ch5/mlp.py", line 3 in <module>'),
        ("decoder_layer", 'File "ch5/decoder_layer.py", line 2 in <module>'),
    ],
)
def test_the_learners_own_line_is_shown(
    unloadable: dict[str, tuple[Graded, str]], name: str, line: str
) -> None:
    assert f"  {line}\n" in unloadable[name][1]


def test_what_was_printed_before_a_crash_is_kept(
    unloadable: dict[str, tuple[Graded, str]],
) -> None:
    printed = unloadable["mlp"][0].printed
    assert printed is not None
    assert printed.text.startswith("so far\nFatal Python error: Aborted\n")


def test_of_a_gigabyte_of_output_a_little_is_kept_and_the_rest_counted(
    unloadable: dict[str, tuple[Graded, str]],
) -> None:
    printed = unloadable["generate"][0].printed
    assert printed is not None
    assert len(printed.text) + printed.dropped_bytes == 1 << 30
    assert len(printed.text) == engine.Policy().output_bytes


# ---- answers that are wrong in kind


@pytest.fixture(scope="module")
def exercise() -> Exercise:
    return catalogue.load()["ch5/repeat_kv"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def repeat_kv(x): return x", "repeat_kv() takes 1 positional argument but 2 were given"),
        (
            "def repeat_kv(x, n_rep): pass",
            "The answer is None; a Tensor is expected. Is a `return`",
        ),
        ("def repeat_kv(x, n_rep): return x.tolist()", "is of type list; Tensor is expected"),
        ("def repeat_kv(x, n_rep): return 'heads'", "is of type str; Tensor is expected"),
        ("def repeat_kv(x, n_rep): return object()", "is of type object; Tensor is expected"),
        ("def repeat_kv(x, n_rep): return x[0]", "The answer has shape [5, 2, 8]; [2, 5, 6, 8] is"),
        (
            "def repeat_kv(x, n_rep): return x.repeat_interleave(n_rep, 2).double()",
            "The answer is float64; float32 is expected",
        ),
        (
            "def repeat_kv(x, n_rep): return x.repeat_interleave(n_rep, 2) / 0 * 0",
            "The answer holds nan, first at [0, 0, 0, 0], where a finite number is expected",
        ),
        ("repeat_kv = 3", "'int' object is not callable"),
        ("repeat_kv = None", "'NoneType' object is not callable"),
        ("def repeat_kv(x, n_rep): raise KeyboardInterrupt", "raised KeyboardInterrupt (line 1)"),
        ("def repeat_kv(x, n_rep): return repeat_kv(x, n_rep)", "RecursionError"),
        ("def repeat_kv(x, n_rep): raise Exception", "ch5/repeat_kv.py raised Exception (line 1)"),
    ],
)
def test_an_answer_of_the_wrong_kind_is_told_as_what_it_is(
    exercise: Exercise, warm: Nursery, body: str, said: str
) -> None:
    report = engine.grade([exercise], {exercise.file: f"{body}\n"}, nursery=warm)
    failure = report.exercises[0].failure
    assert failure is not None
    assert said in failure.message.en


# ---- the same files with --debug, where nothing stands between


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def repeat_kv(x:\n", "ch5/repeat_kv.py:1: SyntaxError"),
        ("import nothing_here\n", "No module named 'nothing_here' (line 1)"),
        ("import sys\nsys.exit(0)\n", "calls sys.exit() (line 2)"),
    ],
)
def test_debug_tells_of_a_file_that_cannot_be_loaded_as_a_worker_does(
    happyllm: Happyllm, workspace: Path, text: str, said: str
) -> None:
    (workspace / "ch5/repeat_kv.py").write_text(text, encoding="utf-8")
    ran = happyllm("repeat_kv", "--debug")
    assert ran.status == 1
    assert said in ran.out


# ---- files that are no text, and files that are not there


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"x = 1\ny = '\xff'\n", "ch5/repeat_kv.py:2: byte 0xff is no UTF-8; save the file in"),
        (b"x = 1\n\0\n", "ch5/repeat_kv.py:2: a null byte; save the file as plain text"),
    ],
)
def test_a_file_that_is_no_text_is_named_with_its_line(
    happyllm: Happyllm, workspace: Path, data: bytes, said: str
) -> None:
    (workspace / "ch5/repeat_kv.py").write_bytes(data)
    ran = happyllm("repeat_kv")
    assert ran.status == 2
    assert said in ran.err


def test_a_file_with_the_marks_of_another_system_is_graded_like_any_other(
    happyllm: Happyllm, workspace: Path
) -> None:
    file = workspace / "ch5/repeat_kv.py"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert happyllm("repeat_kv").status == 0


def test_an_exercise_whose_file_is_gone_is_an_error_with_the_fix(
    happyllm: Happyllm, workspace: Path
) -> None:
    (workspace / "ch5/repeat_kv.py").unlink()
    ran = happyllm("repeat_kv")
    assert ran.status == 1
    assert "ch5/repeat_kv.py is not in the workspace; `happyllm-grade init .` puts" in ran.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ch5/nope.py"], "ch5/nope.py: there is no such file; `happyllm-grade list` shows"),
        (["ch5/repeat_kw"], "'ch5/repeat_kw'. Did you mean ch5/repeat_kv"),
        (["5.9"], "no exercise, section or chapter '5.9'"),
        ([""], "no exercise, section or chapter ''"),
        (["--workspace", "/no/where"], "`happyllm-grade init /no/where` makes it"),
        (["--workspace", "/etc"], "/etc is no workspace, and lies in none"),
        (["--timeout", "0"], "--timeout"),
        (["--timeout", "soon"], "--timeout"),
        (["--timeout", "nan"], "--timeout"),
        (["--seed", "-1"], "--seed"),
        (["--format", "xml"], "--format"),
        (["--lang", "fr"], "--lang"),
        (["--isolation", "none"], "--isolation"),
        (["--debug", "--isolation", "process"], "leave one of the two out"),
        (["--no-such-option"], "--no-such-option"),
        (["init"], "DIR"),
    ],
)
def test_a_wrong_command_line_is_refused_by_the_word_that_is_wrong(
    happyllm: Happyllm, words: list[str], said: str
) -> None:
    ran = happyllm(*words)
    assert ran.status == 2
    assert ran.out == ""
    assert said in ran.err


# ---- outputs that cannot be written


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/no/where/report.txt", "No such file or directory"),
        ("/dev/full", "No space left on device"),
    ],
)
def test_an_output_that_cannot_be_written_is_named_with_the_reason(
    happyllm: Happyllm, target: str, why: str
) -> None:
    ran = happyllm("mlp", "--output", target)
    assert ran.status == 2
    assert f"--output {target}: cannot be written: {why}" in ran.err


def shell(line: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=cwd,
        env=os.environ | {"GRADE": str(COMMAND)} | env,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert b"Traceback" not in done.stderr + done.stdout
    return done


@pytest.mark.parametrize("command", ["list", "mlp"])
def test_a_full_disk_behind_the_output_is_told(workspace: Path, command: str) -> None:
    done = shell(f'"$GRADE" {command} > /dev/full', workspace)
    assert done.returncode == 2
    assert done.stderr == (
        b"happyllm-grade: the output: No space left on device; make room there\n"
    )


@pytest.mark.parametrize("command", ["list", "mlp --format terminal"])
def test_a_reader_that_has_gone_is_no_news(workspace: Path, command: str) -> None:
    done = shell(f'"$GRADE" {command} | true; echo "${{PIPESTATUS[0]}}"', workspace)
    assert (done.stdout, done.stderr) == (b"1\n", b"")


def test_a_reader_of_the_first_line_gets_it(workspace: Path) -> None:
    done = shell('"$GRADE" list | head -1', workspace)
    assert done.stdout.startswith(b"ch5/config\t")
    assert done.stderr == b""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_grade(workspace: Path, closed: str) -> None:
    done = shell(f'"$GRADE" repeat_kv {closed}', workspace)
    assert done.returncode == 0
    assert done.stdout.startswith(b"ok ch5/repeat_kv") == (" >&-" not in f" {closed}")
    assert done.stderr == b""


# ---- disks that are full or cannot be written, in a mount namespace of their own


def in_namespace(lines: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    """Run shell lines where /mnt and more can be mounted over, seen by them alone."""
    allowed = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*allowed, "true"], check=False).returncode:
        pytest.skip("this machine allows no mount namespaces")
    done = subprocess.run(
        [*allowed, "bash", "-ec", lines],
        cwd=cwd,
        env=os.environ | {"GRADE": str(COMMAND), "WORKSPACE": str(cwd)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert b"Traceback" not in done.stderr + done.stdout
    return done


def test_init_on_a_disk_that_cannot_be_written_names_the_file(workspace: Path) -> None:
    done = in_namespace('mount -t tmpfs -o ro none /mnt; "$GRADE" init /mnt/ws', workspace)
    assert done.returncode == 2
    assert done.stderr.endswith(
        b"/mnt/ws/ch5/config.py: cannot be written: Read-only file system\n"
    )


def test_init_on_a_disk_that_fills_up_leaves_no_half_written_file(workspace: Path) -> None:
    done = in_namespace(
        'mount -t tmpfs -o size=16k none /mnt; "$GRADE" init /mnt/ws || status=$?;'
        "find /mnt -type f -size 0; exit $status",
        workspace,
    )
    assert done.returncode == 2
    assert done.stderr.endswith(b"cannot be written: No space left on device\n")
    assert done.stdout == b""


def test_a_report_that_does_not_fit_leaves_the_old_one_as_it_was(workspace: Path) -> None:
    done = in_namespace(
        "mount -t tmpfs -o size=8k none /mnt; echo old > /mnt/r; head -c 4096 /dev/zero > /mnt/f;"
        '"$GRADE" --format json --output /mnt/r repeat_kv || status=$?;'
        "cat /mnt/r; ls -A /mnt; exit $status",
        workspace,
    )
    assert done.returncode == 2
    assert b"--output /mnt/r: cannot be written: No space left on device" in done.stderr
    assert done.stdout == b"old\nf\nr\n"


def test_without_a_folder_for_scratch_the_fix_is_told(workspace: Path) -> None:
    done = in_namespace(
        'mount -t tmpfs none /mnt; cp -r "$WORKSPACE/ch5" /mnt; mount -o remount,ro /mnt;'
        "for place in /tmp /var/tmp; do"  # what lies there stays: perhaps this very checkout
        " mount --bind $place $place; mount -o remount,bind,ro $place; done;"
        'cd /mnt; "$GRADE" repeat_kv',
        workspace,
    )
    assert done.returncode == 2
    assert b"set TMPDIR to a folder that can be written" in done.stderr
