"""What `happyllm-grade check` catches, on a small tree that is sound until it is spoilt."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from grader.authoring import soundness
from grader.authoring.outline import read
from grader.authoring.proof import Killed, Named, Proof, Run
from grader.authoring.soundness import Case
from grader.catalogue import load
from grader.render import soundness as shown

SUITE = "suites/ch9/test_double.py"
TOML = "suites/ch9/chapter.toml"


def test_a_sound_exercise_is_sound(small):
    findings = small.check()
    assert findings.all_problems == ()
    checked = findings.exercises[0]
    assert checked.sound
    assert (checked.tests, checked.mistakes, checked.named) == (2, 3, 3)
    assert (checked.rights, checked.accepted, checked.seeds) == (1, 1, 3)
    assert checked.killed == checked.mutants > 2
    assert findings.exit_code == 0


def test_an_unchanged_exercise_is_not_proven_again(small):
    small.check()
    again = small.check()
    assert again.exercises[0].cached
    assert again.exercises[0].sound
    assert again.duration_s < 2


# ---- a suite that is too weak, or too strict


def test_a_suite_without_its_gradient_test_lets_a_mutant_live(small):
    small.change(SUITE, "def test_a_gradient", "def no_test_of_a_gradient")
    checked = small.checked()
    assert {problem.rule for problem in checked.problems} == {"mutants"}
    assert not checked.sound
    (survivor,) = checked.survivors
    assert "+    return (x + x).detach()" in survivor.diff
    assert survivor.diff.count("\n-") == 1
    assert '"double"' in survivor.note


def test_a_suite_that_looks_at_shapes_only_accepts_mistakes(small):
    small.change(
        SUITE, "check.close(student.double(x), 2 * x)", "check.shape(student.double(x), (3,))"
    )
    small.change(
        SUITE,
        "check.equal(student.run(gradient, torch.ones(3)), torch.full((3,), 2.0))",
        "student.run(gradient, torch.ones(3))",
    )
    problems = small.check().all_problems
    assert {problem.rule for problem in problems} == {"mistakes", "mutants"}
    accepted = [problem.what for problem in problems if problem.rule == "mistakes"]
    assert len(accepted) == 3
    assert "accepts the mistake squared" in accepted[0]


def test_two_mistakes_that_give_the_same_answers_are_told(small):
    halved = small.path(SUITE).read_text(encoding="utf-8").partition("@known_wrong")[2]
    twin = halved.rpartition("@known_wrong")[2].replace("halved", "shrunk")
    with small.path(SUITE).open("a", encoding="utf-8") as suite:
        suite.write(f"\n\n@known_wrong{twin}")
    problems = small.check().all_problems
    assert [problem.what for problem in problems] == ["cannot tell halved from shrunk"]


def test_a_right_answer_that_is_rejected_is_told(small):
    small.change(SUITE, "return x * 2", "return x * 2.001")
    (problem,) = small.check().all_problems
    assert problem.rule == "other right ways"
    assert "rejects multiplied" in problem.what
    assert "3 of 3 seeds" in problem.what


def test_a_suite_that_chance_can_break_is_told(small):
    small.change(
        SUITE, "    x = torch.randn(3)\n", "    x = torch.randn(3)\n    assert x[0] < 0.5\n"
    )
    assert small.broken() & {"seeds", "solution passes"}


def test_a_suite_that_cannot_be_loaded_is_told(small):
    small.change(SUITE, "import torch\n", "import torch\nimport nowhere_to_be_found\n")
    (problem,) = small.check().all_problems
    assert problem.rule == "suite runs"
    assert "nowhere_to_be_found" in problem.what


# ---- what the tree lacks


def test_a_stale_view_is_told(small):
    small.change("happyllm/sums/doubling.py", "Give twice a tensor.", "Give a tensor twice.")
    problems = small.check().all_problems
    assert {problem.rule for problem in problems} == {"views up to date"}
    assert [problem.where for problem in problems] == [
        "exercises/ch9/double.py",
        "solutions/ch9/double.py",
    ]


def test_a_file_that_no_exercise_has_any_more_is_told(small):
    text = small.path("exercises/ch9/double.py").read_text(encoding="utf-8")
    small.path("exercises/ch9/dabble.py").write_text(text, encoding="utf-8")
    (problem,) = small.check().all_problems
    assert problem.where == "exercises/ch9/dabble.py"


def test_a_hint_without_chinese_is_told(small):
    small.change(TOML, ', zh = "与自身相加。"', "")
    (problem,) = small.check().all_problems
    assert problem.rule == "catalogue"
    assert "hints[1].zh" in problem.what


def test_a_chinese_hint_in_english_is_told(small):
    small.change(TOML, 'zh = "与自身相加。"', 'zh = "Add it."')
    (problem,) = small.check().all_problems
    assert problem.rule == "languages"
    assert "hints[1] is not in Chinese" in problem.what


def test_a_section_that_does_not_exist_is_told(small):
    small.change(TOML, 'section = "9.1.1"', 'section = "9.1.2"')
    small.build()
    (problem,) = small.check().all_problems
    assert problem.rule == "section"
    assert "no section 9.1.2" in problem.what
    assert "9.1.1" in problem.fix


def test_a_section_must_stand_in_the_book_in_both_languages(small):
    small.path("docs/zh/sums.md").write_text("# 求和 { #s9-1 }\n", encoding="utf-8")
    (problem,) = small.check().all_problems
    assert problem.rule == "section"
    assert problem.where == "docs/zh/sums.md"
    assert "{ #s9-1-1 }" in problem.fix


def test_a_book_without_the_page_is_told_by_its_folder(small):
    small.path("docs/en/sums.md").unlink()
    (problem,) = small.check().all_problems
    assert (problem.rule, problem.where) == ("section", "docs/en")


def test_a_missing_oracle_test_is_told(small):
    small.path("tests/oracles/sums/test_double.py").unlink()
    (problem,) = small.check().all_problems
    assert problem.rule == "oracle"
    assert problem.where == "tests/oracles/sums/test_double.py"


def test_an_outline_that_cannot_be_read_is_told(small):
    small.path("docs/outline.toml").unlink()
    (problem,) = small.check().all_problems
    assert problem.rule == "outline"


def test_every_problem_is_told_at_once(small):
    small.path("tests/oracles/sums/test_double.py").unlink()
    small.change(TOML, 'zh = "与自身相加。"', 'zh = "Add it."')
    small.path("exercises/ch9/double.py").unlink()
    assert small.broken() == {"oracle", "languages", "views up to date"}


# ---- the rules alone, on proofs made up


PASSED = Run(1, "passed", duration_s=0.1)


@pytest.fixture
def judged(small):
    """The problems that a rule finds in a proof."""
    known = load(small.tree.suites)
    case = Case(small.tree, known, next(iter(known)), read(small.root), ())

    def judge(rule, **facts):
        given = {"solution": PASSED, "stub": Run(1, "untouched"), "again": (PASSED,)}
        return [what for _, what, _ in rule(replace(case, proof=Proof(**(given | facts))))]

    return judge


def test_a_stub_that_is_graded_is_told(judged):
    (said,) = judged(soundness.stub_is_untouched, stub=Run(1, "failed"))
    assert "graded as failed" in said


def test_a_solution_that_takes_more_than_half_its_time_is_told(judged):
    (said,) = judged(soundness.in_time, solution=replace(PASSED, duration_s=6.0))
    assert "6.0 s of 10 s" in said


def test_a_seed_that_breaks_the_suite_is_told(judged):
    again = (PASSED, Run(7, "failed", failed="test_one"))
    (said,) = judged(soundness.seeds, again=again)
    assert "1 of 2 seeds" in said
    assert "seed 7: failed in test_one" in said


def mutant(outcome, number=1):
    was, becomes = "return x + x", "return x - x"
    return Killed(f"double:{number}", "double", was, becomes, "what", "diff", Run(1, outcome))


def test_a_mutant_that_breaks_the_suite_is_told_and_not_counted_as_killed(judged):
    said = judged(soundness.mutants, mutants=(mutant("fault"),))
    assert "breaks on the mutant" in said[0]
    assert "kills 0 of 1" in said[1]


@pytest.mark.parametrize("outcome", ["failed", "error", "timeout", "memory", "blocked"])
def test_whatever_ends_a_mutant_kills_it(judged, outcome):
    assert judged(soundness.mutants, mutants=(mutant(outcome),)) == []


NOTE = Named("double", "return x  +  x", "return x - x", "no reason at all")


def test_an_equivalent_mutant_may_be_named_with_its_reason(judged):
    facts = {"mutants": (mutant("passed"),), "equivalents": (NOTE,)}
    assert judged(soundness.mutants, **facts) == []
    assert judged(soundness.equivalent_mutants, **facts) == []


@pytest.mark.parametrize(
    ("note", "outcome", "said"),
    [
        (replace(NOTE, becomes="return x"), "passed", "there is no such mutant"),
        (NOTE, "failed", "a test kills it"),
        (replace(NOTE, because=" "), "passed", "without a reason"),
    ],
)
def test_a_note_that_is_not_true_is_told(judged, note, outcome, said):
    found = judged(soundness.equivalent_mutants, mutants=(mutant(outcome),), equivalents=(note,))
    assert len(found) == 1
    assert said in found[0]


# ---- how it is shown


def test_the_table_and_the_problems_are_shown_as_plain_lines(small):
    small.path("tests/oracles/sums/test_double.py").unlink()
    text = shown.plain(small.check())
    assert text.startswith("exercise")
    assert "ch9/double: oracle: tests/oracles/sums/test_double.py: there is no oracle test" in text
    assert text.endswith("s\n")
    assert "0 of 1 exercises are sound, 1 problem;" in text


def test_the_findings_have_a_json_form(small):
    table = json.loads(small.check().to_json())
    assert table["sound"] is True
    assert table["exercises"][0]["kill_rate"] == 1.0
