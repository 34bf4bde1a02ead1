"""Copies are found whatever was done to them; what people write by themselves is not."""

from __future__ import annotations

import ast
import json
import textwrap
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from grader import shelf
from grader.catalogue import Exercise
from grader.classroom import batch, roster, similarity
from grader.classroom.policy import Policy
from grader.classroom.record import Record
from grader.classroom.similarity import HandedIn, compare
from grader.resemblance import Resemblance

from .conftest import KNOWN, lay
from .copying import WAYS

CHAPTER = batch.assignment("ch5", KNOWN, Policy())
LONG = [
    one
    for one in CHAPTER.exercises
    if similarity._Room(one, frozenset()).own >= similarity.LEAST_TOKENS
]
ATTENTION = KNOWN["ch5/attention"]


def compared(exercise: Exercise, texts: Mapping[str, str], **more: float) -> Resemblance:
    what = batch.assignment(exercise.id, KNOWN, Policy())
    return compare(
        [HandedIn(who, {exercise.file: text}) for who, text in texts.items()], what, **more
    )


def named(found: Resemblance) -> set[tuple[str, str]]:
    return {(pair.left, pair.right) for pair in found.pairs}


CHANGED = [
    pytest.param(one, WAYS[way](shelf.solution(one)), id=f"{way}-{one.name}")
    for one in LONG
    for way in WAYS
    if way != "rename_attributes" or WAYS[way](shelf.solution(one)) != shelf.solution(one)
]


@pytest.mark.parametrize(("exercise", "changed"), CHANGED)
def test_a_copy_is_found_though_one_would(exercise: Exercise, changed: str) -> None:
    text = shelf.solution(exercise)
    assert changed != text
    compile(changed, exercise.file, "exec")
    assert named(compared(exercise, {"ann": text, "ben": changed})) == {("ann", "ben")}


def variants(exercise: Exercise) -> dict[str, dict[str, str]]:
    """What the suite knows as right, and the solution: by what it takes the place of, by name."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    source = exercise.suite.read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        for mark in getattr(node, "decorator_list", ()):
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "also_right":
                target = ast.literal_eval(mark.args[0])
                found[target][node.name] = ast.unparse(node)  # type: ignore[attr-defined]
    worked = shelf.solution(exercise)
    for node in ast.walk(ast.parse(worked)):
        for inner in (
            getattr(node, "body", ()) if isinstance(node, ast.Module | ast.ClassDef) else ()
        ):
            name = getattr(inner, "name", "")
            full = f"{node.name}.{name}" if isinstance(node, ast.ClassDef) else name
            if full in found:
                text = ast.get_source_segment(worked, inner, padded=True)
                found[full]["the solution"] = textwrap.dedent(text or "")
    return found


@pytest.mark.parametrize("exercise", LONG, ids=lambda one: one.name)
def test_right_answers_that_were_written_apart_are_not_listed(exercise: Exercise) -> None:
    assert variants(exercise)
    for target, texts in variants(exercise).items():
        assert not compared(exercise, texts).pairs, target


def test_it_says_where(tmp_path: Path) -> None:
    text = shelf.solution(ATTENTION)
    moved = "# mine\n\n\n" + text
    (pair,) = compared(ATTENTION, {"ann": text, "ben": moved}).pairs
    (match,) = pair.matches
    assert (match.score, match.left_share, match.right_share) == (1.0, 1.0, 1.0)
    assert match.as_solution == 1.0
    left, right = text.split("\n"), moved.split("\n")
    for span in match.spans:
        there = right[span.right_first - 1 : span.right_last]
        assert left[span.left_first - 1 : span.left_last] == there
        assert span.right_first == span.left_first + 3
    assert sum(span.tokens for span in match.spans) == match.tokens > 300


def test_what_is_padded_is_shown_by_the_share_of_the_other() -> None:
    text = shelf.solution(ATTENTION)
    (pair,) = compared(ATTENTION, {"ann": text, "ben": WAYS["pad"](text)}).pairs
    (match,) = pair.matches
    assert match.left_share == match.score == 1.0
    assert match.right_share < 0.5


def test_an_exercise_that_is_short_by_nature_accuses_nobody() -> None:
    for name in ("ch5/repeat_kv", "ch5/rms_norm"):
        text = shelf.solution(KNOWN[name])
        found = compared(KNOWN[name], {"ann": text, "ben": text})
        assert found.pairs == ()
        (one,) = found.exercises
        assert one.too_short
        assert one.own < similarity.LEAST_TOKENS


def test_stubs_are_nobodys_own() -> None:
    found = compare([HandedIn(who, _stubs()) for who in ("ann", "ben")], CHAPTER)
    assert found.pairs == ()


def _stubs() -> dict[str, str]:
    return {one.file: shelf.stub(one) for one in CHAPTER.exercises}


def test_what_the_book_shows_is_nobodys_own(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shelf.solution(ATTENTION)
    texts = {"ann": text, "ben": text}
    assert compared(ATTENTION, texts).pairs
    monkeypatch.setattr(shelf, "pages", lambda: iter([f"# A page\n\n```python\n{text}```\n"]))
    assert compared(ATTENTION, texts).pairs == ()


def test_what_much_of_the_class_has_is_left_out_and_it_says_so() -> None:
    text = shelf.solution(ATTENTION)
    many = {f"s{number:02}": text for number in range(12)}
    found = compared(ATTENTION, many)
    assert found.pairs == ()
    (one,) = found.exercises
    assert (one.hand_ins, one.shared) == (12, 12)
    few = compared(ATTENTION, dict(list(many.items())[:3]))
    assert len(few.pairs) == 3
    assert few.exercises[0].shared == 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x = " + "(" * 5000, "line 1: is nested deeper than 100 levels"),
        ("".join(f"{' ' * n}if x:\n" for n in range(300)), "nested deeper than 100 levels"),
        ("x = 1" + "+1" * 500_000, "has more than 10,000 tokens"),
        ("def f():\n    return 'abc\n", "line 2: cannot be read as Python"),
        ("def f():\n        x\n    y\n", "line 3: cannot be read as Python"),
        ('"""' + "a\n" * 400_000, "cannot be read as Python"),
        ("x = ?\n", "line 1: cannot be read as Python"),
    ],
    ids=["brackets", "blocks", "huge", "a string", "indents", "an open string", "a sign"],
)
def test_a_hostile_text_is_marked_and_the_others_are_compared(text: str, why: str) -> None:
    right = shelf.solution(ATTENTION)
    found = compared(ATTENTION, {"ann": right, "mallory": text, "ben": right})
    assert named(found) == {("ann", "ben")}
    (marked,) = found.not_compared
    assert (marked.student, marked.file) == ("mallory", ATTENTION.file)
    assert why in marked.why.en
    assert marked.why.zh != marked.why.en


def test_a_table_of_numbers_takes_no_time_to_speak_of() -> None:
    table = "x = [" + "0, " * 4000 + "]\n"
    found = compared(ATTENTION, {"ann": table, "ben": table + table})
    assert named(found) <= {("ann", "ben")}


def test_nothing_is_run(tmp_path: Path) -> None:
    trap = f"open({str(tmp_path / 'sprung')!r}, 'w')\n" + shelf.solution(ATTENTION)
    assert compared(ATTENTION, {"ann": trap, "ben": trap}).pairs
    assert not (tmp_path / "sprung").exists()


def test_a_folder_and_its_record_say_the_same(tmp_path: Path) -> None:
    subs, text = tmp_path / "subs", shelf.solution(ATTENTION)
    lay(subs / "ann", text, ATTENTION.file)
    lay(subs / "ben", "x = 1\n", ATTENTION.file)
    lay(subs / "ben-2", WAYS["rename"](text), ATTENTION.file)
    lay(subs / "eve", "", ATTENTION.file)
    (subs / "eve" / ATTENTION.file).write_bytes(b"\xff")
    (subs / "zed.zip").write_text("no archive")
    what = batch.assignment("ch5", KNOWN, Policy())
    matched = roster.match(roster.listed(subs), None)
    of_folder = compare(similarity.of_folder(matched, KNOWN), what)
    with Record.open(tmp_path / "record.sqlite") as record:
        list(batch.Run(record, what).collect(matched))
        of_record = compare(similarity.of_record(record), what)
    assert named(of_folder) == {("ann", "ben")}
    assert [one.student for one in of_folder.not_compared] == ["eve", "zed"]
    assert of_folder == of_record
    assert json.loads(of_folder.to_json())["pairs"][0]["left"] == "ann"
