"""Every suite accepts the solution, leaves the stub untouched, and names each mistake it knows."""

import pytest

from grader import catalogue, engine, shelf
from grader.judge import desk
from grader.judge.diagnosis import known_wrongs, wrong_room
from grader.judge.job import Job
from grader.judge.session import grade_room
from grader.sandbox.jail import Limits
from grader.sandbox.nursery import Nursery

from .loading import suite_of

KNOWN = catalogue.load()
IDS = [exercise.id for exercise in KNOWN]
SEEDS = (1, 2)

MISTAKES = [
    pytest.param(exercise.id, wrong.id, id=f"{exercise.id}-{wrong.id}")
    for exercise in KNOWN
    for wrong in known_wrongs(suite_of(exercise))
]


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="module")
def solved(nursery):
    sources = {exercise.file: shelf.solution(exercise) for exercise in KNOWN}
    report = engine.grade(list(KNOWN), sources, engine.Policy(seed=1), nursery=nursery)
    return {graded.id: graded for graded in report.exercises}


@pytest.fixture(scope="module")
def stubs(nursery):
    sources = {exercise.file: shelf.stub(exercise) for exercise in KNOWN}
    report = engine.grade(list(KNOWN), sources, nursery=nursery)
    return {graded.id: graded for graded in report.exercises}


@pytest.mark.parametrize("exercise_id", IDS)
def test_the_solution_passes_in_the_jail(solved, exercise_id):
    graded = solved[exercise_id]
    assert graded.outcome == "passed", graded.failure
    assert graded.tests
    assert graded.points == graded.points_possible


@pytest.mark.parametrize("exercise_id", IDS)
def test_the_solution_passes_on_the_learners_own_files(nursery, exercise_id):
    exercise = KNOWN[exercise_id]
    sources = {e.file: shelf.solution(e) for e in KNOWN}
    report = engine.grade([exercise], sources, engine.Policy(seed=2, own=True), nursery=nursery)
    assert report.exercises[0].outcome == "passed", report.exercises[0].failure


@pytest.mark.parametrize("exercise_id", IDS)
def test_the_stub_is_untouched_and_nothing_else(stubs, exercise_id):
    assert stubs[exercise_id].outcome == "untouched"


@pytest.mark.parametrize("exercise_id", IDS)
def test_three_mistakes_or_more_are_known(exercise_id):
    assert len(known_wrongs(suite_of(KNOWN[exercise_id]))) >= 3


@pytest.mark.parametrize("exercise_id", IDS)
def test_every_claim_and_every_mistake_is_told_in_both_languages(solved, exercise_id):
    texts = [test.claim for test in solved[exercise_id].tests]
    texts += [wrong.message for wrong in known_wrongs(suite_of(KNOWN[exercise_id]))]
    chinese = [any("\u4e00" <= c <= "\u9fff" for c in text.zh) for text in texts]
    english = [not any("\u4e00" <= c <= "\u9fff" for c in text.en) for text in texts]
    assert all(chinese)
    assert all(english)


@pytest.mark.parametrize(("exercise_id", "wrong_id"), MISTAKES)
def test_a_known_mistake_is_rejected_and_named_as_itself(exercise_id, wrong_id):
    exercise = KNOWN[exercise_id]
    wrong = next(w for w in known_wrongs(suite_of(exercise)) if w.id == wrong_id)
    solutions = tuple(map(desk.solution, [*KNOWN.requirements(exercise), exercise]))
    for seed in SEEDS:
        job = Job(
            exercise=exercise,
            files={exercise.file: ""},
            solutions=solutions,
            own=False,
            seed=seed,
            time_s=exercise.time_limit_s,
            limits=Limits(),
            output_bytes=1000,
        )
        graded = grade_room(job, wrong_room(solutions, exercise.module, wrong))
        assert graded.outcome in ("failed", "error")
        assert graded.mistake is not None
        assert graded.mistake.id == wrong_id
