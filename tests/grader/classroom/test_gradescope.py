"""Gradescope's autograder: the zip, unpacked and run as there, on hand-ins of each kind."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from grader import catalogue
from grader.classroom import gradescope
from grader.classroom.policy import PolicyError
from grader.classroom.release import ReleaseError

from .conftest import RIGHT, TILED

KNOWN = catalogue.load()
SCHEMAS = Path(__file__).parents[2] / "schemas"
RULES = '[assignment]\nexercises = ["ch5/repeat_kv"]\ntotal = 20\n[grading]\nseed = 7\n'
SPECIFICATION = Draft202012Validator(json.loads((SCHEMAS / "gradescope.schema.json").read_text()))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    rules = tmp_path_factory.mktemp("rules") / "policy.toml"
    rules.write_text(RULES)
    return gradescope.autograder("ch5", KNOWN, rules=rules)


@pytest.fixture
def machine(archive: bytes, tmp_path: Path) -> Path:
    """/autograder, as Gradescope lays it out; its setup.sh has this environment for its own."""
    root = tmp_path / "autograder"
    (root / "submission").mkdir(parents=True)
    (root / "results").mkdir()
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        found.extractall(root / "source")
        mode = found.getinfo("run_autograder").external_attr >> 16
    (root / "run_autograder").write_bytes((root / "source/run_autograder").read_bytes())
    (root / "run_autograder").chmod(stat.S_IMODE(mode))
    (wheel,) = (root / "source/wheels").glob("happyllm-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(root / "installed")
    return root


def autograde(root: Path) -> subprocess.CompletedProcess[str]:
    """Run the script; the grader comes from the wheel in the zip, and from nowhere else."""
    environment = {
        **os.environ,
        "AUTOGRADER_ROOT": str(root),
        "AUTOGRADER_PYTHON": sys.executable,
        "PYTHONPATH": str(root / "installed"),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [root / "run_autograder"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def results(root: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((root / "results/results.json").read_text())
    SPECIFICATION.validate(found)
    return found


@pytest.mark.parametrize(
    ("file", "text", "score", "said"),
    [
        ("ch5/repeat_kv.py", RIGHT, 20, "passed"),
        ("repeat_kv.py", RIGHT, 20, "passed"),  # students upload files, and not folders
        ("ch5/repeat_kv.py", TILED, 0, "You tiled the heads"),
        ("notes.txt", "I was ill.", 0, "no file of an exercise"),
    ],
    ids=["right", "a loose file", "wrong", "nothing of use"],
)
def test_a_hand_in_gets_what_it_is_worth(
    machine: Path, file: str, text: str, score: float, said: str
) -> None:
    path = machine / "submission" / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    ran = autograde(machine)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = results(machine)
    assert found["score"] == score
    assert said in json.dumps(found)
    assert found["stdout_visibility"] == "hidden"


def test_an_empty_hand_in_gets_nothing_and_is_told_why(machine: Path) -> None:
    ran = autograde(machine)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = results(machine)
    assert found["score"] == 0
    assert found["output"]


def test_where_the_grader_fails_nobody_gets_a_zero(machine: Path) -> None:
    """Nothing is written then, and Gradescope says that the autograder did not work."""
    (machine / "source/policy.toml").write_text("[assignment]\nattempt = 3\n")
    ran = autograde(machine)
    assert ran.returncode == 3
    assert "attempt" in ran.stderr
    assert not (machine / "results/results.json").exists()


def test_the_zip_is_what_gradescope_asks_for(archive: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        names = set(found.namelist())
        modes = {name: found.getinfo(name).external_attr >> 16 for name in names}
    assert {"setup.sh", "run_autograder", "grade.py", "policy.toml"} <= names  # at its root
    assert all(modes[name] & 0o111 for name in ("setup.sh", "run_autograder"))
    assert not [name for name in names if ".pyc" in name or "__pycache__" in name]


def test_the_scripts_are_bash() -> None:
    for script in ("setup.sh", "run_autograder"):
        path = gradescope.release.TEMPLATES / script
        assert path.read_text().startswith("#!/usr/bin/env bash\n")
        subprocess.run(["bash", "-n", path], check=True)


def test_it_names_the_versions_that_it_was_made_with(archive: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        lines = found.read("constraints.txt").decode().splitlines()
    names = {line.split("==")[0] for line in lines}
    assert {"torch", "pytest", "click", "msgpack", "pluggy"} <= names
    assert "mkdocs" not in names  # of an extra
    assert not [line for line in lines if "+" in line]


def test_the_same_autograder_is_the_same_bytes(archive: bytes, tmp_path: Path) -> None:
    rules = tmp_path / "policy.toml"
    rules.write_text(RULES)
    assert gradescope.autograder("ch5", KNOWN, rules=rules) == archive


def test_wheels_come_along_so_that_no_network_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="holds no wheel of torch"):
        gradescope.autograder("ch5", KNOWN, wheels=tmp_path)
    (tmp_path / "torch-2.13.0-cp312-cp312-linux_x86_64.whl").write_bytes(b"x")
    with zipfile.ZipFile(io.BytesIO(gradescope.autograder("ch5", KNOWN, wheels=tmp_path))) as made:
        assert "wheels/torch-2.13.0-cp312-cp312-linux_x86_64.whl" in made.namelist()


def test_a_policy_that_cannot_be_makes_no_autograder(tmp_path: Path) -> None:
    rules = tmp_path / "policy.toml"
    rules.write_text('[points]\n"ch5/repeat_kw" = 3\n')
    with pytest.raises(PolicyError, match="ch5/repeat_kv"):
        gradescope.autograder("ch5", KNOWN, rules=rules)
