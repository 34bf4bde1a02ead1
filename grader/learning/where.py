"""Where a learner stands in a workspace, chapter by chapter, and the one thing to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from grader.catalogue import Catalogue, Exercise
from grader.standing import ChapterStanding, Row, Standing, State, Step
from happyllm import __version__

from .progress import Progress
from .stubs import Origin
from .workspace import Workspace


def standing(place: Workspace, catalogue: Catalogue) -> Standing:
    """Look where the learner stands. Nothing is graded."""
    progress = Progress.of(place)
    here = {exercise.id for exercise in place.exercises(catalogue)}
    states = {e.id: progress.state(e) for e in catalogue if e.id in here}
    chapters = []
    for chapter in catalogue.chapters:
        rows = tuple(
            Row(e, states[e.id], waits_on(e, states, catalogue))
            for e in chapter.exercises
            if e.id in states
        )
        reached = chapter.milestone is not None and progress.reached(chapter.milestone.id)
        if rows:
            chapters.append(ChapterStanding(chapter, rows, reached))
    made_with = Origin.of(place).happyllm
    return Standing(
        place.root,
        tuple(chapters),
        _next(chapters, progress.last),
        made_with if made_with != __version__ else "",
        progress.note,
    )


def waits_on(
    exercise: Exercise, states: Mapping[str, State], catalogue: Catalogue
) -> tuple[str, ...]:
    """What a solved exercise builds on that is not solved yet, in the order of the book."""
    state = states.get(exercise.id)
    if state is None or not state.solved:
        return ()
    needed = {required.id for required in catalogue.requirements(exercise)}
    return tuple(
        e.id for e in catalogue if e.id in needed and e.id in states and not states[e.id].solved
    )


def _next(chapters: Iterable[ChapterStanding], last: str | None) -> Step:
    """The one that was last worked on, else the first that is not solved, chapter by chapter."""
    all_of_them = tuple(chapters)
    for chapter in all_of_them:
        for row in chapter.rows:
            if row.exercise.id == last and not row.state.solved:
                return Step(_why(row.state), row)
    for chapter in all_of_them:
        for row in chapter.rows:
            if not row.state.solved:
                return Step(_why(row.state), row)
        for row in chapter.rows:
            if row.state.changed:
                return Step("again", row)
        if chapter.chapter.milestone is not None and not chapter.reached:
            return Step("milestone", milestone=chapter.chapter.milestone)
    return Step("done")


def _why(state: State) -> Literal["begin", "grade", "mend"]:
    if state.changed:
        return "grade"
    return "begin" if state.name == "untouched" else "mend"
