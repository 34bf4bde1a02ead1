"""Stubs over time: making a workspace, upgrading it, and beginning an exercise anew."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader import shelf
from grader.catalogue import Catalogue, UnknownTarget, load
from grader.learning import stubs
from grader.learning.progress import Progress
from grader.learning.stubs import Origin
from grader.learning.workspace import Workspace, WorkspaceError

MINE = "def repeat_kv(x, n_rep):\n    return x\n"


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return load()


@pytest.fixture
def root(tmp_path: Path, known: Catalogue) -> Path:
    folder = tmp_path / "我的 llm"
    stubs.create(folder, known)
    return folder


# ---- making


def test_create_writes_every_stub_with_plain_line_ends(root: Path, known: Catalogue) -> None:
    for exercise in known:
        assert b"\r" not in (root / exercise.file).read_bytes()


def test_create_keeps_whatever_it_finds(root: Path, known: Catalogue) -> None:
    (root / "ch5/mlp.py").write_bytes(b"mine\r\n")
    (root / "ch5/rotary.py").unlink()
    created = stubs.create(root, known)
    assert created.written == ("ch5/rotary.py",)
    assert "ch5/mlp.py" in created.kept
    assert (root / "ch5/mlp.py").read_bytes() == b"mine\r\n"


def test_create_keeps_even_a_link_that_leads_nowhere(root: Path, known: Catalogue) -> None:
    (root / "ch5/mlp.py").unlink()
    (root / "ch5/mlp.py").symlink_to(root / "elsewhere.py")
    with pytest.raises(WorkspaceError, match="in the way"):
        stubs.create(root, known)
    assert not (root / "elsewhere.py").exists()


def test_create_of_an_unknown_chapter_writes_nothing(known: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(UnknownTarget, match="Did you mean ch5"):
        stubs.create(tmp_path / "ws", known, ["ch5", "ch9"])
    assert os.listdir(tmp_path) == []


def test_create_names_the_file_that_it_cannot_write(known: Catalogue) -> None:
    with pytest.raises(WorkspaceError, match=r"^/proc/ws/ch5/config.py: cannot be written: "):
        stubs.create(Path("/proc/ws"), known)


def test_create_says_what_is_in_the_way_of_a_folder(known: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "ch5").write_text("", encoding="utf-8")
    with pytest.raises(WorkspaceError, match=f"^{tmp_path}/ch5: is in the way of a folder"):
        stubs.create(tmp_path, known)


def test_create_puts_what_git_and_editors_need_beside_the_stubs(root: Path) -> None:
    settings = json.loads((root / ".vscode/settings.json").read_text(encoding="utf-8"))
    assert settings["python.analysis.extraPaths"] == ["."]
    pyright = json.loads((root / "pyrightconfig.json").read_text(encoding="utf-8"))
    assert pyright["include"] == ["ch5"]
    assert ".happyllm/backups/" in (root / ".gitignore").read_text(encoding="utf-8")


def test_create_keeps_a_readme_and_settings_of_the_learners_own(
    tmp_path: Path, known: Catalogue
) -> None:
    (tmp_path / ".vscode").mkdir()
    for name in ("README.md", ".gitignore", ".vscode/settings.json"):
        (tmp_path / name).write_text("mine\n", encoding="utf-8")
    created = stubs.create(tmp_path, known)
    assert set(created.kept) == {"README.md", ".gitignore", ".vscode/settings.json"}
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine\n"


@pytest.mark.parametrize(("language", "said"), [("en", "what is next?"), ("zh", "下一步做什么")])
def test_the_readme_speaks_the_learners_language_and_names_the_first_exercise(
    tmp_path: Path, known: Catalogue, language: str, said: str
) -> None:
    stubs.create(tmp_path, known, language=language)  # type: ignore[arg-type]
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert said in text
    assert "happyllm-grade ch5/config" in text


def test_the_files_import_each_other_as_the_readme_says(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ch5.attention"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_what_was_made_is_remembered(root: Path, known: Catalogue) -> None:
    origin = Origin.of(Workspace(root))
    assert set(origin.stubs) == {exercise.file for exercise in known}
    assert origin.chapters == ()


def test_a_choice_of_chapters_is_remembered(tmp_path: Path, known: Catalogue) -> None:
    stubs.create(tmp_path, known, ["ch5"])
    assert Origin.of(Workspace(tmp_path)).stubs["ch5/mlp.py"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"stubs": 3, "chapters": 4, "happyllm": 5}', "\0"]
)
def test_a_record_that_cannot_be_read_remembers_nothing(root: Path, text: str) -> None:
    (root / ".happyllm/workspace.json").write_text(text, encoding="utf-8")
    assert Origin.of(Workspace(root)) == Origin("", (), {})


# ---- an upgrade


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A later version's tree of stubs, from which the shelf reads; change it as you like."""
    source = shelf.checkout()
    assert source is not None
    tree = tmp_path / "later"
    shutil.copytree(source / "exercises", tree / "exercises")
    (tree / "happyllm").mkdir()
    (tree / "pyproject.toml").write_text('[project]\nname = "happyllm"\n', encoding="utf-8")
    monkeypatch.setattr(shelf, "GRADER", tree / "grader")
    return tree / "exercises"


def change(file: Path, was: str, becomes: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert was in text
    file.write_text(text.replace(was, becomes, 1), encoding="utf-8")


def test_without_an_upgrade_there_is_nothing_to_do(root: Path, known: Catalogue) -> None:
    (root / "ch5/repeat_kv.py").write_text(MINE, encoding="utf-8")
    done = stubs.update(Workspace(root), known)
    assert (done.added, done.renewed, done.changed) == ((), (), ())
    assert done.same == len(list(known))


def test_a_stub_without_work_in_it_is_replaced(root: Path, known: Catalogue, later: Path) -> None:
    change(later / "ch5/mlp.py", "SwiGLU", "SwiGLU, explained better,")
    done = stubs.update(Workspace(root), known)
    assert done.renewed == ("ch5/mlp",)
    assert (root / "ch5/mlp.py").read_bytes() == (later / "ch5/mlp.py").read_bytes()
    assert stubs.update(Workspace(root), known).renewed == ()


def test_a_file_that_was_begun_is_kept_and_the_new_stub_is_put_beside(
    root: Path, known: Catalogue, later: Path
) -> None:
    mine = (root / "ch5/repeat_kv.py").read_text(encoding="utf-8")
    mine = mine.replace("raise NotImplementedError", "return x")
    (root / "ch5/repeat_kv.py").write_text(mine, encoding="utf-8")
    change(later / "ch5/repeat_kv.py", "n_rep: int", "n_rep: int = 1")
    done = stubs.update(Workspace(root), known)
    (news,) = done.changed
    assert (news.exercise, news.parts) == ("ch5/repeat_kv", ("repeat_kv",))
    assert any(line.startswith("+") and "n_rep: int=1" in line for line in news.lines)
    assert (root / "ch5/repeat_kv.py").read_text(encoding="utf-8") == mine
    assert (root / news.put).read_bytes() == (later / "ch5/repeat_kv.py").read_bytes()
    assert stubs.update(Workspace(root), known).changed == ()  # told once


def test_a_new_stub_that_asks_the_same_is_no_news(
    root: Path, known: Catalogue, later: Path
) -> None:
    mine = (root / "ch5/repeat_kv.py").read_text(encoding="utf-8")
    mine = mine.replace("raise NotImplementedError", "return x")
    (root / "ch5/repeat_kv.py").write_text(mine, encoding="utf-8")
    change(later / "ch5/repeat_kv.py", "# Step 1", "# Step 1, which is easy")
    assert stubs.update(Workspace(root), known).changed == ()


def test_an_exercise_that_was_not_there_is_added(root: Path, known: Catalogue, later: Path) -> None:
    (root / "ch5/mlp.py").unlink()
    assert stubs.update(Workspace(root), known).added == ("ch5/mlp",)
    assert (root / "ch5/mlp.py").is_file()


def test_a_file_that_python_cannot_read_is_kept_too(
    root: Path, known: Catalogue, later: Path
) -> None:
    (root / "ch5/mlp.py").write_text("class MLP(\n", encoding="utf-8")
    change(later / "ch5/mlp.py", "SwiGLU", "SwiGLU, explained better,")
    (news,) = stubs.update(Workspace(root), known).changed
    assert news.exercise == "ch5/mlp"
    assert (root / "ch5/mlp.py").read_text(encoding="utf-8") == "class MLP(\n"


def test_a_workspace_without_a_record_keeps_all_that_differs(
    root: Path, known: Catalogue, later: Path
) -> None:
    shutil.rmtree(root / ".happyllm")
    change(later / "ch5/mlp.py", "Transform each token", "Change each token")
    before = (root / "ch5/mlp.py").read_bytes()
    done = stubs.update(Workspace(root), known)
    assert [news.exercise for news in done.changed] == ["ch5/mlp"]
    assert (root / "ch5/mlp.py").read_bytes() == before


# ---- beginning anew


def test_a_reset_puts_the_stub_back_and_keeps_the_work(root: Path, known: Catalogue) -> None:
    place, exercise = Workspace(root), known["ch5/repeat_kv"]
    (root / exercise.file).write_text(MINE, encoding="utf-8")
    done = stubs.reset(place, exercise)
    assert done.backup is not None
    assert (root / done.backup).read_text(encoding="utf-8") == MINE
    assert place.text(exercise.file) == shelf.stub(exercise)
    assert [event["kind"] for event in Progress.of(place).events()] == ["reset"]


def test_two_resets_in_a_second_keep_both(root: Path, known: Catalogue) -> None:
    place, exercise = Workspace(root), known["ch5/repeat_kv"]
    kept = []
    for text in ("one\n", "two\n", "three\n"):
        (root / exercise.file).write_text(text, encoding="utf-8")
        backup = stubs.reset(place, exercise).backup
        assert backup is not None
        kept.append((root / backup).read_text(encoding="utf-8"))
    assert kept == ["one\n", "two\n", "three\n"]


def test_a_file_that_nobody_can_read_is_kept_byte_by_byte(root: Path, known: Catalogue) -> None:
    exercise = known["ch5/repeat_kv"]
    (root / exercise.file).write_bytes(b"\xff\0\r")
    backup = stubs.reset(Workspace(root), exercise).backup
    assert backup is not None
    assert (root / backup).read_bytes() == b"\xff\0\r"


def test_a_reset_of_a_file_that_is_gone_puts_it_back(root: Path, known: Catalogue) -> None:
    exercise = known["ch5/repeat_kv"]
    (root / exercise.file).unlink()
    assert stubs.reset(Workspace(root), exercise).backup is None
    assert stubs.is_stub(Workspace(root), exercise)


def test_a_folder_in_the_place_of_a_file_is_left_alone(root: Path, known: Catalogue) -> None:
    exercise = known["ch5/repeat_kv"]
    (root / exercise.file).unlink()
    (root / exercise.file).mkdir()
    with pytest.raises(WorkspaceError, match="is a folder"):
        stubs.reset(Workspace(root), exercise)
