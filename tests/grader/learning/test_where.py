"""Where a learner stands: what is next, and what waits on what."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader import shelf
from grader.catalogue import Catalogue, Text, load
from grader.learning import stubs
from grader.learning.progress import Progress
from grader.learning.where import standing
from grader.learning.workspace import Workspace
from grader.report import Graded, Outcome
from grader.standing import Standing


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return load()


@pytest.fixture
def place(tmp_path: Path, known: Catalogue) -> Workspace:
    stubs.create(tmp_path, known)
    return Workspace(tmp_path)


def grade(place: Workspace, known: Catalogue, outcome: Outcome, *names: str) -> None:
    """Write solutions, and remember an outcome for them."""
    for name in names:
        exercise = known[f"ch5/{name}"]
        (place.root / exercise.file).write_text(shelf.solution(exercise), encoding="utf-8")
        title, points = Text("t", "题"), exercise.points
        graded = Graded(
            *(exercise.id, exercise.section, title, exercise.file, outcome, points, points),
            duration_s=0.1,
            isolation="none",
        )
        Progress.of(place).record_graded([graded])


def told(found: Standing) -> tuple[str, str]:
    return found.next.why, found.next.command


def test_a_new_workspace_begins_with_the_first(place: Workspace, known: Catalogue) -> None:
    found = standing(place, known)
    assert told(found) == ("begin", "happyllm-grade ch5/config")
    points = sum(exercise.points for exercise in known)
    assert [(chapter.solved, chapter.points_possible) for chapter in found.chapters] == [
        (0, points)
    ]


def test_what_was_begun_is_graded_first(place: Workspace, known: Catalogue) -> None:
    (place.root / "ch5/config.py").write_text("x = 1\n", encoding="utf-8")
    assert told(standing(place, known)) == ("grade", "happyllm-grade ch5/config")


def test_what_was_tried_last_goes_on(place: Workspace, known: Catalogue) -> None:
    grade(place, known, "failed", "sampling")
    assert told(standing(place, known)) == ("mend", "happyllm-grade ch5/sampling")
    grade(place, known, "passed", "sampling")
    assert told(standing(place, known)) == ("begin", "happyllm-grade ch5/config")


def test_a_solved_exercise_waits_for_all_that_it_builds_on(
    place: Workspace, known: Catalogue
) -> None:
    grade(place, known, "passed", "decoder_layer", "config", "attention")
    waits = {row.exercise.name: row.waits_on for row in standing(place, known)}
    assert waits["attention"] == ("ch5/repeat_kv", "ch5/rotary")
    assert waits["decoder_layer"] == (*("ch5/rms_norm", "ch5/repeat_kv", "ch5/rotary", "ch5/mlp"),)
    assert waits["mlp"] == ()  # it is not solved, so it waits for nobody
    grade(place, known, "passed", "rms_norm", "repeat_kv", "rotary", "mlp")
    assert not any(row.waits_on for row in standing(place, known))


def test_the_points_of_what_is_solved_are_counted(place: Workspace, known: Catalogue) -> None:
    grade(place, known, "passed", "config", "attention")
    (chapter,) = standing(place, known).chapters
    assert (chapter.solved, chapter.points) == (2, 25)


def test_when_all_is_solved_the_milestone_is_next_and_then_nothing(
    place: Workspace, known: Catalogue
) -> None:
    grade(place, known, "passed", *(exercise.name for exercise in known))
    assert told(standing(place, known)) == ("milestone", "happyllm-grade milestone ch5")
    Progress.of(place).record_milestone("ch5/milestone", reached=True)
    assert told(standing(place, known)) == ("done", "")
