"""`happyllm-grade build` on a copy of the tree, and a catalogue that an author has broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PARTS = ("grader", "happyllm", "exercises", "solutions")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the source tree, to build in and to break."""
    root = tmp_path / "tree"
    for part in PARTS:
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def happyllm(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "grader", *words],
        cwd=tree,
        env=os.environ | {"LANG": "C.UTF-8", "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture
def built(tree: Path) -> Path:
    assert happyllm(tree, "build").returncode == 0
    return tree


# ---- build


def test_what_was_just_built_is_up_to_date(built: Path) -> None:
    done = happyllm(built, "build", "--check")
    assert done.returncode == 0
    assert done.stdout == "exercises/ and solutions/ are up to date.\n"


def test_check_names_a_stale_view_and_changes_nothing(built: Path) -> None:
    stub = built / "exercises/ch5/mlp.py"
    stub.write_text("# mine\n", encoding="utf-8")
    done = happyllm(built, "build", "--check")
    assert done.returncode == 1
    assert done.stdout.startswith("exercises/ch5/mlp.py: ")
    assert "1 files are stale; run `happyllm-grade build`" in done.stderr
    assert stub.read_text(encoding="utf-8") == "# mine\n"


def test_build_makes_a_stale_view_anew(built: Path) -> None:
    stub = built / "exercises/ch5/mlp.py"
    before = stub.read_bytes()
    stub.write_text("# mine\n", encoding="utf-8")
    done = happyllm(built, "build")
    assert done.returncode == 0
    assert done.stdout.startswith("exercises/ch5/mlp.py: ")
    assert stub.read_bytes() == before


def test_a_reference_that_is_no_python_is_named(tree: Path) -> None:
    (tree / "happyllm/llama/mlp.py").write_text("def (\n", encoding="utf-8")
    done = happyllm(tree, "build")
    assert done.returncode == 2
    assert "happyllm/llama/mlp.py" in done.stderr


def test_a_reference_that_lacks_an_object_is_named_with_it(tree: Path) -> None:
    (tree / "happyllm/llama/mlp.py").write_text("", encoding="utf-8")
    done = happyllm(tree, "build", "--check")
    assert done.returncode == 2
    assert "happyllm/llama/mlp.py" in done.stderr
    assert "MLP" in done.stderr


def test_a_view_that_cannot_be_written_is_named(tree: Path) -> None:
    shutil.rmtree(tree / "exercises/ch5")
    (tree / "exercises/ch5").write_text("", encoding="utf-8")
    done = happyllm(tree, "build")
    assert done.returncode == 2
    assert "exercises/ch5" in done.stderr


def test_an_installed_package_refuses_to_build(tree: Path) -> None:
    (tree / "pyproject.toml").unlink()
    done = happyllm(tree, "build")
    assert done.returncode == 2
    assert "build works in a checkout" in done.stderr


# ---- a catalogue that an author has broken


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[chapter]", "[chapter", "chapter.toml: not valid TOML: "),
        ("points = 5", "points = -5", "exercise 1 ('config'): points: -5 is not a positive"),
        ('id = "mlp"', 'id = "my mlp"', "id: 'my mlp' is not a string of the form"),
        ("blanks =", "blank =", "blank: no such field; did you mean 'blanks'?"),
    ],
)
def test_a_broken_chapter_is_told_by_its_file_and_field(
    tree: Path, old: str, new: str, said: str
) -> None:
    file = tree / "grader/suites/ch5/chapter.toml"
    file.write_text(file.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    done = happyllm(tree, "list")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"happyllm-grade: {file}: ")
    assert said in done.stderr


@pytest.mark.parametrize("words", [["grade"], ["demo"], ["init", "ws"], ["build"]])
def test_nothing_begins_on_a_broken_chapter(tree: Path, words: list[str]) -> None:
    (tree / "grader/suites/ch5/chapter.toml").write_text("", encoding="utf-8")
    done = happyllm(tree, *words)
    assert done.returncode == 2
    assert "chapter.toml: [chapter]: missing" in done.stderr
    assert not (tree / "ws").exists()


def test_a_stub_that_is_missing_is_told_with_the_fix(tree: Path) -> None:
    (tree / "exercises/ch5/mlp.py").unlink()
    done = happyllm(tree, "init", "ws")
    assert done.returncode == 2
    assert "exercises/ch5/mlp.py: there is no such file; run `happyllm-grade build`" in done.stderr
    assert not (tree / "ws").exists()
