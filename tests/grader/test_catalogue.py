"""The catalogue: what a chapter.toml may say, and what answers to a name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from grader.catalogue import Catalogue, CatalogueError, UnknownTarget, load

IN_CH5 = sum(exercise.chapter == "ch5" for exercise in load())
HEAD = '[chapter]\nid = "ch5"\ntitle = { en = "By Hand", zh = "动手" }\n'

GOAL = 'section = "5.1"\ntitle = { en = "All", zh = "全部" }\nrequires = ["ch5/one"]\n'


def entry(name: str = "one", **changes: str | None) -> str:
    """One [[exercise]] as TOML; a keyword changes a line, None leaves it out."""
    lines: dict[str, str | None] = {
        "id": f'"{name}"',
        "section": '"5.1.1"',
        "title": '{ en = "One", zh = "一" }',
        "objects": f'["happyllm.x:{name}"]',
        "blanks": f'["{name}"]',
        "points": "5",
        "why": '{ en = "It matters.", zh = "很重要。" }',
        "hints": '[{ en = "Think.", zh = "想。" }]',
    }
    lines |= changes
    return "\n[[exercise]]\n" + "".join(f"{k} = {v}\n" for k, v in lines.items() if v is not None)


def suites(tmp_path: Path, text: str, chapter: str = "ch5") -> Path:
    folder = tmp_path / chapter
    folder.mkdir()
    (folder / "chapter.toml").write_text(text, encoding="utf-8")
    return tmp_path


def problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(CatalogueError) as caught:
        load(suites(tmp_path, text))
    assert str(caught.value) == "\n".join(caught.value.problems)
    for problem in caught.value.problems:
        assert problem.startswith(str(tmp_path / "ch5" / "chapter.toml"))
    return caught.value.problems


def test_a_chapter_is_read_into_frozen_exercises(tmp_path: Path) -> None:
    text = HEAD + entry(requires='["ch5/two"]', time_limit_s="2.5") + entry("two")
    one, two = load(suites(tmp_path, text))
    assert one.id == "ch5/one"
    assert one.chapter == "ch5"
    assert one.name == "one"
    assert one.file == "ch5/one.py"
    assert one.module == "ch5.one"
    assert one.suite.parts[-2:] == ("ch5", "test_one.py")
    assert one.title.in_("zh") == "一"
    assert one.title.in_("en") == "One"
    assert one.requires == ("ch5/two",)
    assert one.time_limit_s == 2.5
    assert two.time_limit_s == 10
    assert two.preload == ("torch",)
    with pytest.raises(AttributeError):
        one.points = 6  # type: ignore[misc]


def test_chapters_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9):
        head = HEAD.replace("ch5", f"ch{number}")
        objects = f'["happyllm.x{number}:one"]'
        text = head + entry(section=f'"{number}.1"', objects=objects)
        suites(tmp_path, text, f"ch{number}")
    assert [chapter.id for chapter in load(tmp_path).chapters] == ["ch9", "ch10"]


@pytest.mark.parametrize(
    ("text", "field", "fix"),
    [
        ("[chapter\n", "not valid TOML", "line 1"),
        (entry(), "[chapter]", "it holds id and title"),
        ("chapter = 3\n" + entry(), "[chapter]", "it holds id and title"),
        (HEAD, "exercise", "at least one [[exercise]]"),
        (HEAD + "[exercise]\n", "exercise", "write [[exercise]]"),
        ("top = 1\n" + HEAD + entry(), "top", "[chapter], [[exercise]] and [milestone]"),
        (HEAD + "page = 1\n" + entry(), "[chapter]: page", "[chapter] holds id and title"),
        (HEAD.replace("ch5", "ch6") + entry(), "[chapter]: id", "rename one"),
        (HEAD.replace('"ch5"', '"five"') + entry(), "[chapter]: id", "of the form ch"),
        (HEAD.replace('zh = "动手"', 'zh = " "') + entry(), "title.zh", "both languages"),
        (HEAD + entry(id=None), "id", "of the form"),
        (HEAD + entry(id='"One"'), "id", "of the form"),
        (HEAD + entry(id="3"), "id", "of the form"),
        (HEAD + entry("class"), "id", "needs another"),
        (HEAD + entry() + entry(objects='["happyllm.y:one"]'), "id", "rename one"),
        (HEAD + entry(section=None), "section", "of the form"),
        (HEAD + entry(section='"6.1"'), "section", "not a section of ch5"),
        (HEAD + entry(title=None), "title", "write { en = …, zh = … }"),
        (HEAD + entry(title='"One"'), "title", "write { en = …, zh = … }"),
        (HEAD + entry(title='{ en = "One" }'), "title.zh", "both languages"),
        (HEAD + entry(title='{ en = "a", zh = "b", fr = "c" }'), "title.fr", "only en and zh"),
        (HEAD + entry(objects=None), "objects", "a list of strings of the form"),
        (HEAD + entry(objects='"happyllm.x:one"'), "objects", "not a list of strings"),
        (HEAD + entry(objects='["happyllm.x"]'), "objects", "of the form"),
        (HEAD + entry(blanks="[]"), "blanks", "a list of strings of the form"),
        (HEAD + entry(blanks='["two"]'), "blanks", "not one of objects ['one']"),
        (HEAD + entry(blanks="[1]"), "blanks", "of the form"),
        (HEAD + entry(points=None), "points", "positive whole number"),
        (HEAD + entry(points="0"), "points", "positive whole number"),
        (HEAD + entry(points="true"), "points", "positive whole number"),
        (HEAD + entry(points="2.5"), "points", "positive whole number"),
        (HEAD + entry(requires='["repeat_kv"]'), "requires", "of the form"),
        (HEAD + entry(requires='["ch5/onne"]'), "requires", "did you mean 'ch5/one'?"),
        (HEAD + entry(requires='["ch9/zzz"]'), "requires", "take it out"),
        (HEAD + entry(requires='["ch5/one"]'), "requires", "take one link out"),
        (HEAD + entry(time_limit_s="0"), "time_limit_s", "above 0 and up to 600"),
        (HEAD + entry(time_limit_s="nan"), "time_limit_s", "above 0 and up to 600"),
        (HEAD + entry(time_limit_s="601"), "time_limit_s", "above 0 and up to 600"),
        (HEAD + entry(time_limit_s='"10"'), "time_limit_s", "above 0 and up to 600"),
        (HEAD + entry(preload='"numpy"'), "preload", "not a list of strings"),
        (HEAD + entry(hints=None), "hints", "{ en = …, zh = … }"),
        (HEAD + entry(hints="[]"), "hints", "{ en = …, zh = … }"),
        (HEAD + entry(hints='["Think."]'), "hints[1]", "{ en = …, zh = … }"),
        (HEAD + entry(hints='[{ en = "Think." }]'), "hints[1].zh", "both languages"),
        (HEAD + entry(why=None), "why", "write { en = …, zh = … }"),
        (HEAD + entry(why='{ en = "It does." }'), "why.zh", "both languages"),
        (HEAD + entry(hints='[{ en = "a", zh = "一", fits = "b" }]'), "fits", "list of strings"),
        (HEAD + entry(hints='[{ en = "a", zh = "一", fits = ["b c"] }]'), "fits", "of the form"),
        (HEAD + entry() + "[milestone]\n" + GOAL + "prize = 1\n", "prize", "[milestone] holds"),
        (HEAD + "milestone = 3\n" + entry(), "[chapter]: milestone", "[chapter] holds"),
        ("milestone = 3\n" + HEAD + entry(), "[milestone]", "must be a table"),
        (HEAD + entry() + "[milestone]\n" + GOAL.replace("one", "two"), "requires", "take it out"),
        (HEAD + entry() + "[milestone]\n" + GOAL.replace("5.1", "6.1"), "section", "of ch5"),
        (HEAD + entry(pionts="5"), "pionts", "did you mean 'points'?"),
    ],
)
def test_a_mistake_is_told_by_file_field_and_fix(
    tmp_path: Path, text: str, field: str, fix: str
) -> None:
    (problem,) = problems(tmp_path, text)
    assert field in problem
    assert fix in problem


def test_a_hint_may_say_what_it_fits(tmp_path: Path) -> None:
    hints = '[{ en = "a", zh = "一" }, { en = "b", zh = "二", fits = ["tiled", "test_it"] }]'
    (one,) = load(suites(tmp_path, HEAD + entry(hints=hints)))
    assert [hint.fits for hint in one.hints] == [(), ("tiled", "test_it")]
    assert one.hints[1].in_("zh") == "二"


def test_what_a_hint_fits_must_stand_in_the_suite(tmp_path: Path) -> None:
    hints = '[{ en = "a", zh = "一", fits = ["tild", "test_it", "Whole"] }]'
    folder = suites(tmp_path, HEAD + entry(hints=hints))
    suite = "def tiled(x): ...\ndef test_it(student): ...\nclass Whole: ...\n"
    (tmp_path / "ch5/test_one.py").write_text(suite, encoding="utf-8")
    with pytest.raises(CatalogueError) as caught:
        load(folder)
    (problem,) = caught.value.problems
    assert "hints: fits: 'tild' is not in test_one.py; did you mean 'tiled'?" in problem


def test_a_chapter_may_end_in_a_milestone(tmp_path: Path) -> None:
    (chapter,) = load(suites(tmp_path, HEAD + entry() + "[milestone]\n" + GOAL)).chapters
    assert chapter.milestone is not None
    assert chapter.milestone.id == "ch5/milestone"
    assert chapter.milestone.requires == ("ch5/one",)
    assert chapter.milestone.suite.parts[-2:] == ("ch5", "milestone.py")
    assert chapter.milestone.time_limit_s == 10


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    suites(tmp_path, "")
    (tmp_path / "ch5" / "chapter.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(CatalogueError, match=r"chapter\.toml: cannot be read"):
        load(tmp_path)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = (
        HEAD.replace("By Hand", "")
        + entry(points="0", hints="[]")
        + entry("two", section='"x"', requires='["ch5/three"]')
        + entry("four", requires='["ch5/one", "ch5/three"]')
    )
    told = problems(tmp_path, text)
    wanted = ("title.en", "points", "hints", "section", "'four': requires")
    assert [any(want in problem for problem in told) for want in wanted] == [True] * len(wanted)


def test_an_exercise_with_problems_is_not_called_missing(tmp_path: Path) -> None:
    told = problems(tmp_path, HEAD + entry(points="0") + entry("two", requires='["ch5/one"]'))
    assert len(told) == 1


def test_an_object_belongs_to_one_exercise(tmp_path: Path) -> None:
    text = HEAD + entry() + entry("two", objects='["happyllm.x:one", "happyllm.x:two"]')
    (problem,) = problems(tmp_path, text)
    assert "objects: 'happyllm.x:one' belongs to ch5/one; leave it to one of them" in problem


def test_a_circle_is_shown_once_with_all_its_links(tmp_path: Path) -> None:
    text = (
        HEAD
        + entry("a", requires='["ch5/b"]')
        + entry("b", requires='["ch5/c"]')
        + entry("c", requires='["ch5/a"]')
        + entry("outside", requires='["ch5/a"]')
    )
    (problem,) = problems(tmp_path, text)
    assert "ch5/a -> ch5/b -> ch5/c -> ch5/a" in problem


def test_many_paths_to_one_exercise_take_no_time(tmp_path: Path) -> None:
    names = [f"e{number}" for number in range(40)]
    text = HEAD
    for number, name in enumerate(names):
        text += entry(name, requires=str([f"ch5/{other}" for other in names[:number]]))
    assert len(list(load(suites(tmp_path, text)))) == 40


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load()


@pytest.mark.parametrize(
    ("target", "first", "count"),
    [
        ("ch5", "ch5/config", IN_CH5),
        ("ch5/", "ch5/config", IN_CH5),
        ("5", "ch5/config", IN_CH5),
        ("ch5/repeat_kv", "ch5/repeat_kv", 1),
        ("repeat_kv", "ch5/repeat_kv", 1),
        (" repeat_kv ", "ch5/repeat_kv", 1),
        ("5.1.3.1", "ch5/repeat_kv", 1),
        ("5.1.3", "ch5/repeat_kv", 3),
        ("5.1.6", "ch5/model", 4),
    ],
)
def test_a_target_is_a_chapter_an_id_a_section_or_a_name(
    catalogue: Catalogue, target: str, first: str, count: int
) -> None:
    found = catalogue.find(target)
    assert found[0].id == first
    assert len(found) == count


@pytest.mark.parametrize("target", ["", "5.9", "5.1.3.1.1", "5.", "ch6", "ch6/repeat_kv", "nope"])
def test_nothing_answers_to_an_unknown_target(catalogue: Catalogue, target: str) -> None:
    with pytest.raises(UnknownTarget, match="happyllm-grade list"):
        catalogue.find(target)


def test_a_section_is_no_prefix_of_a_longer_number(tmp_path: Path) -> None:
    text = HEAD + entry(section='"5.1"') + entry("two", section='"5.10"')
    assert [e.name for e in load(suites(tmp_path, text)).find("5.1")] == ["one"]


@pytest.mark.parametrize(
    ("target", "nearest"),
    [("ch5/repeatkv", "ch5/repeat_kv"), ("repaet_kv", "ch5/repeat_kv"), ("ch55", "ch5")],
)
def test_an_unknown_target_carries_the_nearest_names(
    catalogue: Catalogue, target: str, nearest: str
) -> None:
    with pytest.raises(UnknownTarget) as caught:
        catalogue.find(target)
    assert caught.value.near[0] == nearest
    assert f"Did you mean {nearest}" in str(caught.value)


def test_an_unknown_id_is_an_unknown_target_too(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownTarget, match="Did you mean ch5/mlp"):
        catalogue["ch5/mpl"]


def test_requirements_come_in_an_order_that_can_be_built(catalogue: Catalogue) -> None:
    ordered = [exercise.id for exercise in catalogue.requirements(catalogue["ch5/generate"])]
    assert len(ordered) == len(set(ordered))
    for position, exercise_id in enumerate(ordered):
        assert set(catalogue[exercise_id].requires) <= set(ordered[:position])


def test_reading_the_catalogue_imports_no_torch() -> None:
    code = (
        "import sys; from grader.catalogue import load; load(); assert 'torch' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
