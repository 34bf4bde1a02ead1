"""A workspace: where it is found, what a command line aims at in it, what is read and written."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.catalogue import Catalogue, UnknownTarget, load
from grader.learning import stubs, workspace
from grader.learning.workspace import MAX_FILE_BYTES, Workspace, WorkspaceError

RIGHT = "def repeat_kv(x, n_rep):\n    return x\n"


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return load()


@pytest.fixture
def root(tmp_path: Path, known: Catalogue) -> Path:
    folder = tmp_path / "我的 llm"
    stubs.create(folder, known)
    return folder


@pytest.fixture
def here(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workspace, which is the current folder."""
    monkeypatch.chdir(root)
    return root


# ---- aiming


def aimed(known: Catalogue, *targets: str, at: Path | None = None) -> tuple[Path, list[str]]:
    place, exercises = workspace.aim(targets, known, at)
    return place.root, [exercise.name for exercise in exercises]


@pytest.mark.parametrize(
    "target",
    ["ch5/repeat_kv", "repeat_kv", "5.1.3.1", "ch5/repeat_kv.py", "./ch5/repeat_kv.py"],
)
def test_one_exercise_has_many_names(here: Path, known: Catalogue, target: str) -> None:
    assert aimed(known, target) == (here, ["repeat_kv"])


@pytest.mark.parametrize("target", ["ch5", "ch5/", "./ch5", "./ch5/", "5", "."])
def test_a_chapter_has_many_names(here: Path, known: Catalogue, target: str) -> None:
    assert aimed(known, target) == (here, [exercise.name for exercise in known])


def test_no_target_means_all_that_is_here(here: Path, known: Catalogue) -> None:
    assert aimed(known) == (here, [exercise.name for exercise in known])


def test_a_section_means_all_that_lies_under_it(here: Path, known: Catalogue) -> None:
    assert aimed(known, "5.1.3")[1] == ["repeat_kv", "rotary", "attention"]


def test_exercises_come_in_the_order_of_the_book_and_once(here: Path, known: Catalogue) -> None:
    assert aimed(known, "mlp", "5.1.2", "rms_norm", "ch5/mlp.py")[1] == ["rms_norm", "mlp"]


@pytest.mark.parametrize("inside", ["ch5/repeat_kv.py", "ch5", ""])
def test_a_path_names_its_workspace_from_anywhere(
    root: Path, known: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for target in (root / inside, (root / inside).relative_to(tmp_path)):
        assert aimed(known, str(target))[0] == root


def test_a_file_in_the_current_folder_is_a_target(
    here: Path, known: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here / "ch5")
    assert aimed(known, "repeat_kv.py") == (here, ["repeat_kv"])


def test_a_workspace_is_found_from_a_folder_inside_it(
    here: Path, known: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here / "ch5")
    assert aimed(known, "mlp") == (here, ["mlp"])


@pytest.mark.parametrize("target", ["ch5/repeat_kv.py", "ch5", "ch5/", "./ch5", "."])
def test_paths_are_looked_for_in_the_workspace_that_is_named(
    root: Path, known: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert aimed(known, target, at=root)[0] == root


def test_a_name_is_a_name_even_where_a_folder_is_called_so(here: Path, known: Catalogue) -> None:
    (here / "mlp").mkdir()
    assert aimed(known, "mlp")[1] == ["mlp"]


def test_a_link_to_a_workspace_is_that_workspace(
    root: Path, known: Catalogue, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(root)
    assert aimed(known, "mlp", at=tmp_path / "link")[0] == root


def test_two_workspaces_at_once_are_refused_by_the_name_of_the_second(
    here: Path, known: Catalogue, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    stubs.create(other, known)
    with pytest.raises(WorkspaceError) as caught:
        aimed(known, "ch5/mlp.py", str(other / "ch5/mlp.py"))
    assert str(caught.value).startswith(f"{other}/ch5/mlp.py lies outside the workspace {here};")


def test_a_file_outside_the_workspace_that_is_named_is_refused(
    root: Path, known: Catalogue, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    stubs.create(other, known)
    with pytest.raises(WorkspaceError, match="lies outside the workspace"):
        aimed(known, str(other / "ch5/mlp.py"), at=root)


@pytest.mark.parametrize(
    ("target", "near"),
    [("ch5/repeat_kw", "ch5/repeat_kv"), ("atention", "ch5/attention"), ("5.1.3.9", "5.1.3.1")],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    here: Path, known: Catalogue, target: str, near: str
) -> None:
    with pytest.raises(UnknownTarget, match=f"'{target}'. Did you mean .*{near}"):
        aimed(known, target)


@pytest.mark.parametrize("target", ["", "/", "..", "ch5/../..", "\x00", "中文", "a" * 5000])
def test_an_odd_name_is_refused_like_any_other(here: Path, known: Catalogue, target: str) -> None:
    with pytest.raises(UnknownTarget):
        aimed(known, target)


def test_a_file_that_is_not_there_is_named_with_what_puts_it_back(
    here: Path, known: Catalogue
) -> None:
    (here / "ch5/mlp.py").unlink()
    with pytest.raises(WorkspaceError, match=r"^ch5/mlp.py: there is no such file; .* init \."):
        aimed(known, "ch5/mlp.py")


@pytest.mark.parametrize("target", ["\x00.py", "a" * 5000 + ".py", "/x.py"])
def test_an_odd_path_is_refused_like_any_other(here: Path, known: Catalogue, target: str) -> None:
    with pytest.raises(WorkspaceError, match="there is no such file"):
        aimed(known, target)


def test_a_file_that_is_no_exercise_is_named_with_the_nearest(here: Path, known: Catalogue) -> None:
    (here / "ch5/repeat.py").write_text("", encoding="utf-8")
    with pytest.raises(WorkspaceError, match=r"^ch5/repeat.py is no exercise: .*ch5/repeat_kv.py"):
        aimed(known, "ch5/repeat.py")


def test_a_folder_that_is_not_there_is_named_with_what_makes_it(known: Catalogue) -> None:
    with pytest.raises(WorkspaceError, match=r"^/no/where: .*`happyllm-grade init /no/where`"):
        aimed(known, at=Path("/no/where"))


def test_a_folder_that_is_no_workspace_is_named_in_full(
    known: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkspaceError, match=f"^{tmp_path} is no workspace, and lies in none"):
        aimed(known)


def test_a_chapter_folder_without_exercises_makes_no_workspace(
    known: Catalogue, tmp_path: Path
) -> None:
    (tmp_path / "ch5").mkdir()
    with pytest.raises(WorkspaceError, match="no workspace"):
        workspace.find(tmp_path, known)


# ---- reading


def read(root: Path, known: Catalogue, data: bytes, name: str = "repeat_kv") -> str:
    (root / f"ch5/{name}.py").write_bytes(data)
    return Workspace(root).sources([known["ch5/repeat_kv"]])[f"ch5/{name}.py"]


@pytest.mark.parametrize(
    "data",
    [
        RIGHT.encode(),
        b"\xef\xbb\xbf" + RIGHT.encode(),
        RIGHT.replace("\n", "\r\n").encode(),
        RIGHT.replace("\n", "\r").encode(),
        b"\xef\xbb\xbf" + RIGHT.replace("\n", "\r\n").encode(),
    ],
)
def test_marks_and_line_ends_of_other_systems_make_no_difference(
    root: Path, known: Catalogue, data: bytes
) -> None:
    assert read(root, known, data) == RIGHT


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        (b"x = 1\ny = '\xff'\n", 2, "byte 0xff is no UTF-8"),
        ("x = '中'\n".encode("gbk"), 1, "byte 0xd6 is no UTF-8"),
        (b"\xef\xbb\xbfx\n\n\xe4\xb8\n", 3, "byte 0xe4 is no UTF-8"),
        (RIGHT.encode("utf-16"), 1, "byte 0xff is no UTF-8"),
        (RIGHT.encode("utf-16-le"), 1, "a null byte"),
        (b"x = 1\n\ny\0 = 2\n", 3, "a null byte"),
    ],
)
def test_bytes_that_are_no_text_are_named_by_file_and_line_with_the_fix(
    root: Path, known: Catalogue, data: bytes, line: int, said: str
) -> None:
    with pytest.raises(WorkspaceError) as caught:
        read(root, known, data)
    assert str(caught.value).startswith(f"{root}/ch5/repeat_kv.py:{line}: {said}")
    assert "grade again" in str(caught.value)


def test_a_file_too_large_to_be_an_exercise_is_refused(root: Path, known: Catalogue) -> None:
    assert len(read(root, known, b"#" * MAX_FILE_BYTES)) == MAX_FILE_BYTES
    with pytest.raises(WorkspaceError, match=r"repeat_kv.py: is larger than 1 MiB"):
        read(root, known, b"#" * (MAX_FILE_BYTES + 1))


def test_a_folder_in_place_of_a_file_cannot_be_read(root: Path, known: Catalogue) -> None:
    (root / "ch5/repeat_kv.py").unlink()
    (root / "ch5/repeat_kv.py").mkdir()
    with pytest.raises(WorkspaceError, match=r"repeat_kv.py: cannot be read: Is a directory"):
        Workspace(root).sources([known["ch5/repeat_kv"]])


def test_helpers_beside_the_exercises_are_read_too(root: Path, known: Catalogue) -> None:
    assert read(root, known, b"x = 1\n", "my_helper") == "x = 1\n"


def test_a_missing_file_is_left_out_for_the_report_to_tell(root: Path, known: Catalogue) -> None:
    (root / "ch5/repeat_kv.py").unlink()
    assert "ch5/repeat_kv.py" not in Workspace(root).sources([known["ch5/repeat_kv"]])
