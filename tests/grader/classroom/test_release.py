"""The student edition: what it holds, what it must not, and that it runs by itself."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import happyllm
from grader import catalogue, shelf
from grader.book import leaves
from grader.classroom import release
from grader.classroom.release import Edition, ReleaseError
from grader.judge import marks

from . import secrets_of
from .conftest import TILED
from .other_ways import variants

KNOWN = catalogue.load()
CHAPTER = next(one for one in KNOWN.chapters if one.id == "ch5")
ALONE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("happyllm", "grader"):
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)
sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture(scope="module")
def made() -> Edition:
    return release.edition("ch5", KNOWN, pages=leaves.leaves(CHAPTER, KNOWN, "en"))


@pytest.fixture
def folder(made: Edition, tmp_path: Path) -> Path:
    release.write(made.files, tmp_path / "edition")
    return tmp_path / "edition"


def alone(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, on a machine that has this project nowhere."""
    place = folder.parent / "alone"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(ALONE)
    environment = {**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def solve(folder: Path) -> None:
    for exercise in CHAPTER.exercises:
        (folder / exercise.file).write_text(shelf.solution(exercise), encoding="utf-8")


def texts(files: dict[str, bytes]) -> dict[str, str]:
    return {name: data.decode() for name, data in files.items()}


def unpacked(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# ---- what it must not hold


@pytest.mark.parametrize("form", ["folder", "wheel"])
def test_nothing_that_is_secret_is_in_it(made: Edition, form: str) -> None:
    """No name or line of a hidden test, of a known mistake, of a solution or of the reference."""
    files = texts(dict(made.files) if form == "folder" else unpacked(release.wheel(made)[1]))
    stubs = "\n".join(shelf.stub(exercise) for exercise in KNOWN)
    secret: set[str] = set()
    for exercise in KNOWN:
        secret |= secrets_of.hidden_lines(exercise) | secrets_of.solution_lines(exercise)
        secret |= {f"def {name}(" for name in secrets_of.hidden_tests(exercise)}
    secret |= secrets_of.reference_lines(Path(happyllm.__file__).parent)
    secret = {line for line in secret - secrets_of.COMMON if line not in stubs}
    assert len(secret) > 5000
    book = "\n".join(text for name, text in files.items() if "book/" in name)
    whole = "\n".join(text for name, text in files.items() if "book/" not in name)
    assert [line for line in sorted(secret) if line in whole] == []
    assert {line for line in secret if line in book} == secrets_of.IN_THE_BOOK
    assert "known_wrong" not in whole + book
    assert "grader.judge" not in whole + book


def test_the_search_would_find_a_line_of_each_kind(made: Edition) -> None:
    exercise = KNOWN["ch5/repeat_kv"]
    assert "return x.repeat(1, 1, n_rep, 1)" in secrets_of.hidden_lines(exercise)
    assert "x = x.clone().requires_grad_()" in secrets_of.hidden_lines(exercise)
    assert "test_the_dtype_is_that_of_the_input" in secrets_of.hidden_tests(exercise)
    assert any(line in shelf.solution(exercise) for line in secrets_of.solution_lines(exercise))


def test_every_file_is_a_stub_or_stands_beside_them(made: Edition) -> None:
    for exercise in CHAPTER.exercises:
        text = made.files[exercise.file].decode()
        assert "raise NotImplementedError" in text
        assert "import happyllm" not in text
        assert "from happyllm" not in text


# ---- that it runs


def test_the_stubs_fail_every_public_test_and_say_what_is_not_written(folder: Path) -> None:
    ran = alone(folder, "-m", "pytest", "-q")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    found = json.loads((folder / "public-tests.json").read_text())
    assert {one["outcome"] for one in found} == {"failed"}
    assert "ch5/repeat_kv.py" in ran.stdout
    assert "not written yet" in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) < 300
    assert "Traceback" not in ran.stdout


def test_the_solutions_pass_and_the_project_is_nowhere(folder: Path) -> None:
    solve(folder)
    assert "is not installed here" in alone(folder, "-c", "import happyllm").stderr
    ran = alone(folder, "-m", "pytest", "-q")
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr
    found = json.loads((folder / "public-tests.json").read_text())
    assert {one["exercise"] for one in found} == {exercise.id for exercise in CHAPTER.exercises}


def test_right_answers_pass_however_they_are_written(folder: Path) -> None:
    left = {exercise: variants(exercise, marks.rights) for exercise in CHAPTER.exercises}
    assert sum(map(len, left.values())) > 70
    while any(left.values()):  # as many at once as do not build on each other
        solve(folder)
        chosen: dict[str, str] = {}
        for exercise, ways in left.items():
            needed = {one.id for one in KNOWN.requirements(exercise)}
            if ways and not needed & chosen.keys():
                _, chosen[exercise.id], text = ways.pop()
                (folder / exercise.file).write_text(text, encoding="utf-8")
        tests = [f"tests/test_{exercise.partition('/')[2]}.py" for exercise in chosen]
        ran = alone(folder, "-m", "pytest", "-q", *tests)
        assert ran.returncode == 0, f"{chosen}\n{ran.stdout[-4000:]}"


def test_known_mistakes_fail_at_the_exercise_of_the_learner(folder: Path) -> None:
    solve(folder)
    norm = folder / "ch5/rms_norm.py"
    right = norm.read_text()
    norm.write_text(right.replace("self.weight = ", "self.weight = 2 * "))
    assert norm.read_text() != right
    (folder / "ch5/repeat_kv.py").write_text(TILED)
    ran = alone(folder, "-m", "pytest", "-q", "tests/test_repeat_kv.py", "tests/test_rms_norm.py")
    assert ran.returncode == 1
    found = json.loads((folder / "public-tests.json").read_text())
    failed = {one["test"]: one for one in found if one["outcome"] == "failed"}
    tiled = failed["test_each_kv_head_serves_a_run_of_query_heads__2_3"]
    assert tiled["file"] == "ch5/repeat_kv.py"
    assert tiled["claim"].startswith("Each key/value head stands n_rep times in a row")
    assert "values are off" in tiled["message"]
    assert "test_with_one_repetition_the_heads_stay_as_they_are" not in failed
    assert {one["exercise"] for one in failed.values()} == {"ch5/repeat_kv", "ch5/rms_norm"}


def test_a_syntax_error_is_told_of_its_own_file_alone(folder: Path) -> None:
    solve(folder)
    (folder / "ch5/repeat_kv.py").write_text("def repeat_kv(x, n_rep:\n    return x\n")
    ran = alone(folder, "-m", "pytest", "-q", "tests/test_repeat_kv.py", "tests/test_rms_norm.py")
    found = json.loads((folder / "public-tests.json").read_text())
    broken = [one for one in found if one["outcome"] == "failed"]
    assert {(one["exercise"], one["file"], one["line"]) for one in broken} == {
        ("ch5/repeat_kv", "ch5/repeat_kv.py", 1)
    }, ran.stdout
    assert "SyntaxError" in broken[0]["message"]


def test_half_a_character_in_an_error_spoils_no_other_line(folder: Path) -> None:
    wrong = 'def repeat_kv(x, n_rep):\n    raise ValueError("半个 \\ud800")\n'
    (folder / "ch5/repeat_kv.py").write_text(wrong, encoding="utf-8")
    ran = alone(folder, "-m", "pytest", "-q", "tests/test_repeat_kv.py")
    assert "  ch5/repeat_kv.py:2: ValueError: 半个 \\ud800" in ran.stdout.splitlines(), ran.stdout
    found = json.loads((folder / "public-tests.json").read_text())
    assert {one["message"] for one in found} == {"ValueError: 半个 \\ud800"}


# ---- the forms it comes in


def test_the_same_release_is_the_same_bytes(made: Edition) -> None:
    again = release.edition("ch5", KNOWN, pages=leaves.leaves(CHAPTER, KNOWN, "en"))
    assert dict(again.files) == dict(made.files)
    assert release.wheel(again) == release.wheel(made)


def test_pip_installs_the_wheel_which_places_the_same_folder(made: Edition, tmp_path: Path) -> None:
    name, data = release.wheel(made)
    (tmp_path / name).write_bytes(data)
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*pip, "--target", "site", name], cwd=tmp_path, check=True)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    place = [sys.executable, "-m", "happyllm_ch5", "mine"]
    subprocess.run(place, cwd=tmp_path, env=environment, check=True)
    found = {
        path.relative_to(tmp_path / "mine").as_posix(): path.read_bytes()
        for path in (tmp_path / "mine").rglob("*")
        if path.is_file()
    }
    assert found == dict(made.files)
    (tmp_path / "mine/ch5/repeat_kv.py").write_text("mine")
    ran = subprocess.run(place, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert b"0 files written" in ran.stdout
    assert (tmp_path / "mine/ch5/repeat_kv.py").read_text() == "mine"


def test_what_is_there_is_not_overwritten(made: Edition, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    release.write(made.files, tmp_path)  # git's own folder is none of it
    assert (tmp_path / "README.md").exists()
    with pytest.raises(ReleaseError, match="is not empty"):
        release.write(made.files, tmp_path)


def test_a_chapter_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ReleaseError, match="no chapter 'ch55'; there are ch5"):
        release.edition("ch55", KNOWN)


def test_every_exercise_has_a_public_test(made: Edition) -> None:
    assert made.bare == ()


def test_the_chapters_pages_are_beside_its_exercises(made: Edition) -> None:
    readme = made.files["README.md"].decode()
    assert "To read: [5.1 Implementing LLaMA2](book/5-1.md), " in readme
    for exercise in CHAPTER.exercises:
        anchor = f"s{exercise.section.replace('.', '-')}"
        part = exercise.section.split(".")[1]
        assert f"| [{exercise.section}](book/5-{part}.md#{anchor}) |" in readme
        assert f'<a id="{anchor}"></a>' in made.files[f"book/5-{part}.md"].decode()
    assert "book/figures/5-1-2-rmsnorm.svg" in made.files


def test_sections_are_links_where_the_book_is_named() -> None:
    def row(book: str) -> str:
        lines = release._readme(CHAPTER, CHAPTER.exercises, "en", book, {}).splitlines()
        return next(line for line in lines if "`ch5/repeat_kv.py`" in line)

    assert "| 5.1.3.1 |" in row("")
    page = "https://book.example/ch5/5-1.html#s5-1-3-1"
    assert f"| [5.1.3.1]({page}) |" in row("https://book.example/")
    assert "To read" not in row("")
