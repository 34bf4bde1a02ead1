"""`happyllm-grade release`, and what a step of a workflow on GitHub is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader import catalogue

from .conftest import RIGHT, TILED, run


def test_a_release_says_what_it_wrote_and_what_is_next(tmp_path: Path) -> None:
    ran = run("release", "--chapter", "ch5", "out", "--wheel", "--lang", "zh", cwd=tmp_path)
    assert ran.status == 0, ran.out + ran.err
    assert f"{len(list(catalogue.load()))} 道练习" in ran.out
    assert (tmp_path / "out/tests/test_repeat_kv.py").read_text("utf-8").startswith('"""ch5/repeat')
    assert "每个键值头" in (tmp_path / "out/tests/test_repeat_kv.py").read_text("utf-8")
    assert 'LANGUAGE = "zh"' in (tmp_path / "out/tests/comparing.py").read_text("utf-8")
    assert len(list(tmp_path.glob("happyllm_ch5-*.whl"))) == 1
    again = run("release", "--chapter", "ch5", "out", cwd=tmp_path)
    assert again.status == 2
    assert "is not empty" in again.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--chapter", "ch5"), "name a folder OUT"),
        (("--chapter", "ch55", "out"), "no chapter 'ch55'; there are ch5"),
        (("--chapter", "ch5", "--wheel", "--gradescope", "a.zip"), "belong to a student edition"),
        (("--chapter", "ch5", "out", "--policy", "p.toml"), "--gradescope or --grading"),
        (("--chapter", "ch5", "out", "--wheels", "w"), "belongs to --gradescope"),
        (("--chapter", "ch5", "--gradescope", "a.zip", "--policy", "p.toml"), "cannot be read"),
        (("--chapter", "ch5", "--gradescope", "/dev/null/a.zip"), "cannot be written"),
        (("out",), "Missing option '--chapter'"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    ran = run("release", *words, cwd=tmp_path)
    assert ran.status == 2
    assert said in " ".join(ran.err.split())
    assert not (tmp_path / "out").exists()


def test_the_instructors_repository_is_made_with_its_policy(tmp_path: Path) -> None:
    rules = '[assignment]\nexercises = ["ch5/mlp"]\n'
    (tmp_path / "p.toml").write_text(rules)
    ran = run(
        *("release", "--chapter", "ch5", "--grading", "mine", "--policy", "p.toml"), cwd=tmp_path
    )
    assert ran.status == 0, ran.err
    assert (tmp_path / "mine/policy.toml").read_text() == rules
    assert "--chapter ch5" in (tmp_path / "mine/.github/workflows/grade.yml").read_text()


# ---- on GitHub


@pytest.mark.parametrize(("text", "status"), [(RIGHT, 0), (TILED, 1)])
def test_a_step_on_github_is_annotated_and_summed_up(
    text: str, status: int, tmp_path: Path
) -> None:
    (tmp_path / "work/ch5").mkdir(parents=True)
    (tmp_path / "work/ch5/repeat_kv.py").write_text(text)
    env = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(tmp_path)}
    env |= {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    ran = run("ch5/repeat_kv", "--workspace", "work", cwd=tmp_path, env=env)
    assert ran.status == status, ran.err
    lines = [line for line in ran.out.splitlines() if line.startswith("::")]
    assert len(lines) == status
    if status:
        assert lines[0].startswith("::error file=work/ch5/repeat_kv.py,line=1,title=ch5/repeat_kv")
        assert "You tiled the heads" in lines[0]
    outputs = (tmp_path / "GITHUB_OUTPUT").read_text().splitlines()
    assert f"all-passed={'false' if status else 'true'}" in outputs
    assert f"points={0 if status else 5}" in outputs
    assert ("tiled" in (tmp_path / "GITHUB_STEP_SUMMARY").read_text()) == bool(status)
