"""The learner's loop as plain lines: for pipes, logs and screen readers."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from grader.achievement import Achievement
from grader.catalogue import Exercise, Language
from grader.render.words import clean
from grader.standing import Row, Rung, Standing
from happyllm import __version__

from .compare import parts
from .words import after_hints, remarks, said, say, subject, waiting, ways_to_begin


def overview(standing: Standing, language: Language) -> str:
    """The overview as plain lines."""
    lines = [str(standing.root)]
    for chapter in standing.chapters:
        count = say("of", language, n=chapter.solved, of=len(chapter.rows))
        points = say("points", language, n=chapter.points, of=chapter.points_possible)
        title = chapter.chapter.title.in_(language)
        lines.append(f"{chapter.chapter.id}\t{count}\t{points}\t{title}")
    lines += waiting(standing.waits, language)
    step = standing.next
    if step.why == "done":
        lines.append(said(step, language))
    else:
        lines.append(f"{say('next', language)}: {subject(step, language)}")
        lines += [said(step, language), step.command]
    if standing.made_with:
        lines.append(say("outdated", language, was=standing.made_with, now=__version__))
    if standing.note is not None:
        lines.append(standing.note.in_(language))
    return "\n".join(lines) + "\n"


def welcome(language: Language) -> str:
    """The same as plain lines."""
    lines = [say("welcome", language), *(f"  {c:28}{what}" for c, what in ways_to_begin(language))]
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Row], language: Language, *, in_workspace: bool) -> str:
    """The exercises, one a line, with tabs between what there is to say."""
    lines = []
    for row in rows:
        exercise = row.exercise
        cells = [exercise.id, exercise.section, str(exercise.points), exercise.title.in_(language)]
        if in_workspace:
            cells += [row.state.name, say("and", language).join(remarks(row, language))]
        lines.append("\t".join(cells).rstrip())
    return "".join(f"{line}\n" for line in lines)


def hints(exercise: Exercise, rungs: tuple[Rung, ...], language: Language, *, solved: bool) -> str:
    """The same as plain lines."""
    return "\n".join(_hint_lines(exercise, rungs, language, solved)) + "\n"


def _hint_lines(
    exercise: Exercise, rungs: tuple[Rung, ...], language: Language, solved: bool
) -> Iterator[str]:
    for rung in rungs:
        fits = f" ({say('fits', language)})" if rung.fits else ""
        yield f"{exercise.id}: {say('hint', language, n=rung.number, of=rung.of)}{fits}"
        yield rung.hint.in_(language)
    yield from after_hints(exercise, rungs, language, solved=solved)


def solution(exercise: Exercise, mine: str, worked: str, language: Language) -> str:
    """A unified diff, and why it matters."""
    compared = parts(exercise, mine, worked)
    lines = [f"{exercise.id}: {exercise.title.in_(language)}"]
    if compared is None:
        lines.append(say("unreadable", language))
        compared = parts(exercise, "", worked) or ()
    for part in compared:
        if part.mine == part.solution:
            lines.append(f"{part.name}: {say('same', language)}")
            continue
        ours = say("yours", language), say("solution", language)
        diff = difflib.unified_diff(part.mine, part.solution, *ours, n=99, lineterm="")
        lines += ["", part.name, *(clean(line) for line in diff if not line.startswith("@@"))]
    lines += ["", f"{say('why', language)}: {exercise.why.in_(language)}"]
    return "\n".join(lines) + "\n"


def milestone(achievement: Achievement, title: str, language: Language) -> str:
    """What a milestone showed, as plain lines."""
    lines = [title]
    losses = achievement.losses
    for step in sorted({*range(0, len(losses), 20), len(losses) - 1} - {-1}):
        lines.append(f"{say('steps', language)} {step}: {say('loss', language)} {losses[step]:.3f}")
    if achievement.expected:
        lines.append(f"{say('given', language)}: {achievement.given}")
        lines.append(f"{say('written', language)}: {clean(achievement.written)}")
    for claim in achievement.claims:
        mark = "ok" if claim.holds else "FAIL"
        lines.append(f"{mark} {claim.text.in_(language)} ({clean(claim.found)})")
    if achievement.failure is not None:
        lines.append(clean(achievement.failure.message.in_(language)))
        lines += [clean(f"{f.file}:{f.line}: {f.text}") for f in achievement.failure.frames]
    if achievement.reached:
        lines.append(say("reached", language, parameters=f"{achievement.parameters:,}"))
    else:
        lines.append(say("missed", language))
    lines.append(f"{say('seed', language, seed=achievement.seed)}, {achievement.isolation}")
    return "\n".join(lines) + "\n"
