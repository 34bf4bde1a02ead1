"""The shelf: stubs and solutions from a checkout and from a wheel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from grader import shelf
from grader.catalogue import Exercise, load

ROOT = Path(__file__).parents[2]
PROJECT = '[project]\nname = "happyllm"\n'


@pytest.fixture(scope="module")
def exercise() -> Exercise:
    return load()["ch5/repeat_kv"]


def place(monkeypatch: pytest.MonkeyPatch, root: Path, project: str | None) -> Path:
    """A grader package under `root`; with a project file it is a checkout, without one a wheel."""
    (root / "grader").mkdir()
    (root / "happyllm").mkdir()
    if project is not None:
        (root / "pyproject.toml").write_text(project, encoding="utf-8")
    monkeypatch.setattr(shelf, "GRADER", root / "grader")
    return root


def put(folder: Path, exercise: Exercise, text: str) -> None:
    file = folder / exercise.file
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")


def test_this_repository_is_a_checkout() -> None:
    assert shelf.checkout() == ROOT


def test_a_checkout_is_known_before_its_first_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert shelf.checkout() == ROOT
    root = place(monkeypatch, tmp_path, PROJECT)
    assert not (root / "exercises").exists()
    assert shelf.checkout() == root


@pytest.mark.parametrize(
    "project", [None, "[project\n", '[project]\nname = "other"\n', "[tool.ruff]\n"]
)
def test_elsewhere_there_is_no_checkout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, project: str | None
) -> None:
    place(monkeypatch, tmp_path, project)
    assert shelf.checkout() is None


def test_a_checkout_keeps_the_views_beside_the_reference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, exercise: Exercise
) -> None:
    root = place(monkeypatch, tmp_path, PROJECT)
    put(root / "exercises", exercise, "# 存根\n")
    put(root / "solutions", exercise, "# 答案\n")
    assert shelf.stub(exercise) == "# 存根\n"
    assert shelf.solution(exercise) == "# 答案\n"


def test_a_wheel_keeps_the_views_in_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, exercise: Exercise
) -> None:
    root = place(monkeypatch, tmp_path, None)
    put(root / "grader/views/exercises", exercise, "stub\n")
    put(root / "grader/views/solutions", exercise, "solution\n")
    assert shelf.stub(exercise) == "stub\n"
    assert shelf.solution(exercise) == "solution\n"


@pytest.mark.parametrize(
    ("project", "fix"),
    [(PROJECT, "run `happyllm-grade build`"), (None, "install happyllm again")],
)
def test_a_missing_view_is_told_with_its_file_and_the_fix(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    exercise: Exercise,
    project: str | None,
    fix: str,
) -> None:
    place(monkeypatch, tmp_path, project)
    for read, view in ((shelf.stub, "exercises"), (shelf.solution, "solutions")):
        with pytest.raises(shelf.ShelfError) as caught:
            read(exercise)
        assert str(Path(view, "ch5", "repeat_kv.py")) in str(caught.value)
        assert str(caught.value).startswith(str(caught.value.file))
        assert fix in str(caught.value)


def test_a_view_that_is_not_text_is_a_typed_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, exercise: Exercise
) -> None:
    root = place(monkeypatch, tmp_path, PROJECT)
    put(root / "exercises", exercise, "")
    (root / "exercises" / exercise.file).write_bytes(b"\xff")
    with pytest.raises(shelf.ShelfError, match="cannot be read"):
        shelf.stub(exercise)


def test_the_shelf_is_read_without_torch_libcst_and_click() -> None:
    code = "import sys, grader.shelf; assert not {'torch', 'libcst', 'click'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
