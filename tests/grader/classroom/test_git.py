"""Bundles and bare clones: read by git, and nothing of theirs takes effect."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from grader import catalogue
from grader.classroom import batch, git
from grader.handin import Bounds, HandInError

from .conftest import RIGHT, TILED, lay

if shutil.which("git") is None:
    pytest.skip("git is not installed", allow_module_level=True)
KNOWN = catalogue.load()
PLACE = "ch5/repeat_kv.py"


def run(*words: str | Path, cwd: Path) -> str:
    names = ("AUTHOR", "COMMITTER")
    who = {f"GIT_{n}_{k}": v for n in names for k, v in (("NAME", "x"), ("EMAIL", "x@y"))}
    env = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *map(str, words)], cwd=cwd, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository with two commits, the newer one right."""
    root = tmp_path / "work"
    root.mkdir()
    run("init", "-q", "-b", "main", cwd=root)
    for text in (TILED, RIGHT):
        lay(root, text)
        run("add", "-A", cwd=root)
        run("commit", "-qm", "x", cwd=root)
    return root


@pytest.fixture
def bundle(work: Path, tmp_path: Path) -> Path:
    run("bundle", "create", "-q", tmp_path / "a.bundle", "HEAD", "main", cwd=work)
    return tmp_path / "a.bundle"


@pytest.fixture
def bare(work: Path, tmp_path: Path) -> Path:
    run("clone", "-q", "--bare", work, tmp_path / "a.git", cwd=tmp_path)
    return tmp_path / "a.git"


def refused(path: Path, **bounds: int) -> str:
    with pytest.raises(HandInError) as caught:
        batch.read(path, KNOWN, Bounds(**bounds))
    assert caught.value.text.zh
    return str(caught.value)


def test_the_newest_commit_of_a_bundle_is_read(bundle: Path) -> None:
    assert batch.read(bundle, KNOWN).files == {PLACE: RIGHT}


def test_the_newest_commit_of_a_bare_clone_is_read_packed_or_not(bare: Path) -> None:
    assert batch.read(bare, KNOWN).files == {PLACE: RIGHT}
    run("pack-refs", "--all", cwd=bare)
    run("repack", "-adq", cwd=bare)
    assert batch.read(bare, KNOWN).files == {PLACE: RIGHT}


def test_a_bundle_of_one_branch_needs_no_head(work: Path, tmp_path: Path) -> None:
    run("branch", "-m", "mine", cwd=work)
    run("bundle", "create", "-q", tmp_path / "b.bundle", "mine", cwd=work)
    assert batch.read(tmp_path / "b.bundle", KNOWN).files == {PLACE: RIGHT}


def test_several_branches_and_no_head_are_refused(work: Path, tmp_path: Path) -> None:
    run("branch", "-m", "mine", cwd=work)
    run("branch", "old", "HEAD~1", cwd=work)
    run("bundle", "create", "-q", tmp_path / "b.bundle", "mine", "old", cwd=work)
    assert "2 branches and no HEAD" in refused(tmp_path / "b.bundle")


def test_nothing_of_a_clones_configuration_takes_effect(bare: Path, tmp_path: Path) -> None:
    """Each of these makes git run a program, or read elsewhere, where it is believed."""
    marker = tmp_path / "PWNED"
    program = tmp_path / "evil"
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    with (bare / "config").open("a") as config:
        config.write(
            f"[core]\n\tfsmonitor = {program}\n\thooksPath = {tmp_path}\n\tpager = {program}\n"
            f"\tsshCommand = {program}\n[uploadpack]\n\tpackObjectsHook = {program}\n"
            f"[alias]\n\tls-tree = !{program}\n\tcat-file = !{program}\n"
            f'[filter "evil"]\n\tsmudge = {program}\n[include]\n\tpath = {program}\n'
        )
    (bare / "hooks").mkdir(exist_ok=True)
    for hook in ("post-checkout", "pre-receive", "reference-transaction", "fsmonitor-watchman"):
        shutil.copy(program, bare / "hooks" / hook)
    assert batch.read(bare, KNOWN).files == {PLACE: RIGHT}
    assert not marker.exists()


@pytest.mark.parametrize("how", ["alternates", "link"])
def test_a_clone_that_borrows_anothers_objects_is_refused(
    bare: Path, tmp_path: Path, how: str
) -> None:
    other = shutil.copytree(bare, tmp_path / "mallory.git")
    shutil.rmtree(other / "objects")
    (other / "objects/info").mkdir(parents=True)
    if how == "alternates":
        (other / "objects/info/alternates").write_text(f"{bare / 'objects'}\n")
    else:
        (other / "objects").joinpath("pack").symlink_to(bare / "objects/pack")
    assert "borrows objects from elsewhere" in refused(other)


def test_a_link_in_a_commit_is_not_followed(work: Path, tmp_path: Path) -> None:
    (work / PLACE).unlink()
    (work / PLACE).symlink_to("/etc/passwd")
    lay(work, "x = 1\n", "ch5/mlp.py")
    run("add", "-A", cwd=work)
    run("commit", "-qm", "x", cwd=work)
    run("bundle", "create", "-q", tmp_path / "b.bundle", "HEAD", cwd=work)
    found = batch.read(tmp_path / "b.bundle", KNOWN)
    assert found.files == {"ch5/mlp.py": "x = 1\n"}
    assert PLACE in found.notes[0].en


def test_a_tree_without_end_is_read_no_further_than_there_may_be_files(
    work: Path, tmp_path: Path
) -> None:
    """Ten folders that are the same, in ten that are the same, and so on: 10^12 files."""
    blob = run("hash-object", "-w", PLACE, cwd=work).strip()
    mode, kind, name = "100644", "blob", blob
    for _ in range(12):
        entries = "".join(f"{mode} {kind} {name}\tf{n}\n" for n in range(10))
        made = subprocess.run(
            ["git", "mktree"], input=entries.encode(), cwd=work, capture_output=True, check=True
        )
        mode, kind, name = "040000", "tree", made.stdout.decode().strip()
    commit = run("commit-tree", "-m", "bomb", name, cwd=work).strip()
    run("branch", "-f", "bomb", commit, cwd=work)
    run("bundle", "create", "-q", tmp_path / "b.bundle", "bomb", cwd=work)
    assert (tmp_path / "b.bundle").stat().st_size < 100_000
    assert "more than 500 files" in refused(tmp_path / "b.bundle", entries=500)


def test_a_large_file_in_a_commit_is_not_read(work: Path, tmp_path: Path) -> None:
    lay(work, "#" * (3 << 20))
    run("add", "-A", cwd=work)
    run("commit", "-qm", "x", cwd=work)
    run("bundle", "create", "-q", tmp_path / "b.bundle", "HEAD", cwd=work)
    assert "larger than 1 MiB" in batch.read(tmp_path / "b.bundle", KNOWN).unread[PLACE].en


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_half_a_bundle_is_refused_in_words(bundle: Path, share: float) -> None:
    data = bundle.read_bytes()
    bundle.write_bytes(data[: int(len(data) * share)])
    assert "git bundle create" in refused(bundle)


def test_a_bundle_that_needs_what_it_does_not_hold_is_refused(work: Path, tmp_path: Path) -> None:
    run("bundle", "create", "-q", tmp_path / "b.bundle", "HEAD~1..HEAD", "main", cwd=work)
    assert "cannot be read by git" in refused(tmp_path / "b.bundle")


def test_without_git_it_is_told(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git.shutil, "which", lambda _: None)
    assert "git is not installed" in refused(bundle)


def test_nothing_is_left_behind(bundle: Path, bare: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    batch.read(bundle, KNOWN)
    batch.read(bare, KNOWN)
    assert sorted(tmp_path.rglob("*")) == before
