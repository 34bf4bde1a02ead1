"""`happyllm-grade new`: the skeleton of an exercise, and how check walks its author through it."""

from __future__ import annotations

import ast

import pytest

from grader.authoring import skeleton, soundness
from grader.catalogue import load

FILES = {
    "suites/ch9/chapter.toml",
    "suites/ch9/test_triple.py",
    "tests/oracles/sums/test_triple.py",
    "docs/en/ch9/triple.md",
    "docs/zh/ch9/triple.md",
}


def begin(small, exercise="ch9/triple", **given):
    return skeleton.begin(exercise, small.root, small.tree.suites, **given)


def steps(small, exercise="ch9/triple"):
    """The rules that the new exercise breaks, in order."""
    known = load(small.tree.suites)
    chosen = list(known.find(exercise))
    found = soundness.check(chosen, known, small.tree, provers=small.provers)
    return [problem.rule for problem in found.all_problems]


def test_every_file_that_an_exercise_touches_is_begun(small):
    begun = begin(small)
    assert set(begun.written) == FILES
    assert begun.kept == ()
    for name in FILES:
        text = small.path(name).read_text(encoding="utf-8")
        assert soundness.UNWRITTEN in text
        if name.endswith(".py"):
            ast.parse(text)


def test_the_catalogue_can_be_read_with_the_new_exercise_in_it(small):
    begin(small, section="9.1.1", objects=("happyllm.sums.tripling:triple",))
    exercise = load(small.tree.suites)["ch9/triple"]
    assert exercise.section == "9.1.1"
    assert exercise.objects == ("happyllm.sums.tripling:triple",)
    assert exercise.blanks == ("triple",)
    assert len(exercise.hints) == 3


def test_check_then_names_step_by_step_what_is_left(small):
    begin(small)
    assert steps(small) == ["reference", *["written"] * 5, "section"]

    module = "happyllm/sums/triple.py"
    small.path(module).write_text(
        'def triple(x):\n    """Give it thrice."""\n    return x + x + x\n', encoding="utf-8"
    )
    left = steps(small)
    assert left[:2] == ["views up to date", "views up to date"]

    toml = small.path("suites/ch9/chapter.toml").read_text(encoding="utf-8")
    toml = toml.replace('"9.0"', '"9.1.1"').replace(f" {soundness.UNWRITTEN}", "")
    toml = toml.replace(soundness.UNWRITTEN, "")
    small.path("suites/ch9/chapter.toml").write_text(toml, encoding="utf-8")
    small.build()
    assert set(steps(small)) <= {"written", "mistakes", "suite runs", "other right ways"}


def test_a_section_that_stands_in_the_book_gets_no_stub(small):
    small.path("docs/zh/sums.md").unlink()
    begun = begin(small, section="9.1.1")
    assert "docs/en/ch9/triple.md" not in begun.written
    assert "docs/zh/ch9/triple.md" in begun.written


def test_a_first_exercise_begins_its_chapter(small):
    begin(small, "ch8/first")
    chapter = next(one for one in load(small.tree.suites).chapters if one.id == "ch8")
    assert [exercise.id for exercise in chapter.exercises] == ["ch8/first"]


def test_nothing_that_is_there_is_overwritten(small):
    oracle = small.path("tests/oracles/sums/test_triple.py")
    oracle.write_text("# mine\n", encoding="utf-8")
    begun = begin(small)
    assert begun.kept == ("tests/oracles/sums/test_triple.py",)
    assert oracle.read_text(encoding="utf-8") == "# mine\n"


@pytest.mark.parametrize(
    ("exercise", "given", "said"),
    [
        ("ch9/double", {}, "already"),
        ("triple", {}, "form ch5/name"),
        ("ch9/Triple", {}, "form ch5/name"),
        ("ch9/triple", {"section": "8.1"}, "not a section of ch9"),
        ("ch9/triple", {"objects": ("sums:triple",)}, "form happyllm"),
    ],
)
def test_what_cannot_be_begun_is_refused_and_nothing_written(small, exercise, given, said):
    before = sorted(small.root.rglob("*"))
    with pytest.raises(skeleton.SkeletonError, match=said):
        begin(small, exercise, **given)
    assert sorted(small.root.rglob("*")) == before
