"""`happyllm-grade similar`, for instructors: which hand-ins are alike."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from grader import catalogue
from grader.catalogue import Language
from grader.classroom import batch, policy, roster, similarity
from grader.classroom.batch import Assignment
from grader.classroom.record import Record
from grader.classroom.similarity import LEAST_TOKENS, THRESHOLD, HandedIn

from .classroom import (
    assignment_of,
    chapter_option,
    in_words,
    no_chapter,
    policy_option,
    record_in,
    roster_option,
)
from .command import language_option
from .options import plain_option, print_rich, wants_rich


@click.command()
@click.argument("place", metavar="SUBMISSIONS|RECORD", type=click.Path(path_type=Path))
@chapter_option
@policy_option
@roster_option
@click.option(
    "--above",
    metavar="PERCENT",
    type=click.IntRange(1, 100),
    default=round(100 * THRESHOLD),
    show_default=True,
    help="List pairs that have at least so much of their own code in common.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("similar"),
    show_default="similar",
    help="Where the page and the JSON are written.",
)
@plain_option
@language_option
@click.pass_context
def similar(
    ctx: click.Context,
    place: Path,
    chapter: str | None,
    policy_file: Path | None,
    roster_file: Path | None,
    above: int,
    out: Path,
    plain: bool,
    lang: Language,
) -> None:
    """List hand-ins that are alike, as evidence to look at: never a verdict.

    Everybody's newest hand-in is compared, exercise by exercise, without what the stub gives, the
    book shows, or much of the class has; other names, comments or order make no difference.
    Nothing of it is run. Exit status: 0 no pair is listed, 1 there are some.
    """
    from grader.render import likepage, liketable
    from grader.render.classlines import say

    from .gradebooks import save

    with in_words(lang):
        hand_ins, what = _read(place, chapter, policy_file, roster_file)
        found = similarity.compare(hand_ins, what, above / 100)
        if wants_rich(plain):
            print_rich(liketable.table(found, lang, LEAST_TOKENS))
        else:
            for line in liketable.lines(found, lang, LEAST_TOKENS):
                click.echo(line)
        sources = {one.student: one.files for one in hand_ins}
        files = {
            "similar.html": likepage.page_of(found, sources, lang, LEAST_TOKENS),
            "similar.json": found.to_json(),
        }
        for name, text in files.items():
            save(out / name, text)
            click.echo(say("written", lang, path=str(out / name)))
        ctx.exit(int(bool(found.pairs)))


def _read(
    place: Path, chapter: str | None, policy_file: Path | None, roster_file: Path | None
) -> tuple[list[HandedIn], Assignment]:
    """What was handed in, of a record or of a folder, and what was asked for.

    Raises:
        ClassroomError: it cannot be read, or nothing says what was asked for.
    """
    known = catalogue.load()
    rules = policy.load(policy_file, known) if policy_file is not None else None
    if record_in(place).is_file():
        with contextlib.closing(Record.read(record_in(place))) as record:
            return similarity.of_record(record), assignment_of(record, known, rules, chapter)
    if chapter is None:
        raise no_chapter(known)
    named = roster.load(roster_file) if roster_file is not None else None
    matched = roster.match(roster.listed(place), named)
    what = batch.assignment(chapter, known, rules if rules is not None else policy.Policy())
    return similarity.of_folder(matched, known), what
