"""A roster, and whose each hand-in is."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from grader.classroom import roster
from grader.classroom.problems import ClassroomError, RosterError
from grader.classroom.roster import Roster
from grader.gradebook import Student


def problems(data: bytes) -> list[str]:
    with pytest.raises(RosterError) as caught:
        roster.parse(data)
    assert all(re.search("[\u4e00-\u9fff]", one.zh) for one in caught.value.problems)
    return [one.en for one in caught.value.problems]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_roster_is_read_whatever_wrote_it(separator: str, encoding: str, newline: str) -> None:
    lines = [["Name", "Student ID", "E-mail"], ["李 雷", "li.lei", "l@x.cn"], ["Ada", "ada", ""]]
    text = newline.join(separator.join(line) for line in lines) + newline
    found = roster.parse(text.encode(encoding))
    assert found.students == (Student("li.lei", "李 雷", "l@x.cn"), Student("ada", "Ada"))


def test_chinese_names_of_columns_are_known() -> None:
    found = roster.parse("学号,姓名,班级,延期\n7,李雷,二班,2d\n".encode())
    assert found.students == (Student("7", "李雷", "", "二班"),)
    assert found.extensions == {"7": timedelta(days=2)}


def test_a_quoted_cell_may_hold_the_separator() -> None:
    found = roster.parse(b'id,name\na,"Li, Lei"\n')
    assert found.students == (Student("a", "Li, Lei"),)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"", ("line 1", "empty")),
        (b"name,mail\nx,y\n", ("line 1", "no column is called id", "name, mail")),
        (b"id\nada\nbob\nADA\n", ("line 4", "ADA", "line 2")),
        (b"id,name\n,Ada\n", ("line 2", "id is empty")),
        (b"id\na/b\n", ("line 2", "a/b", "slash")),
        ("id\na\u202eb\n".encode(), ("line 2", "cannot be seen")),
        (b"id,name\na,\xe9\n", ("line 2", "0xe9", "CSV UTF-8")),
        (b"id,extension\na,soon\n", ("line 2", "'soon'", "2d")),
        (b"id\n", ("line 1", "no student")),
    ],
)
def test_what_is_wrong_is_told_by_line(data: bytes, names: tuple[str, ...]) -> None:
    (said,) = problems(data)
    for name in names:
        assert name in said


def test_all_problems_are_told_at_once() -> None:
    assert len(problems(b"id,extension\na,x\na,2d\n,\nb,y\n")) == 3


# ---- whose is it


def matched(names: list[str], named: Roster | None = None) -> dict[str, list[str]]:
    """By student, the names of the hand-ins in their order."""
    found = roster.match([Path(name) for name in names], named)
    by_student: dict[str, list[roster.Found]] = {}
    for one in found.found:
        by_student.setdefault(one.student, []).append(one)
    told = {who: [one.name for one in roster.in_order(all_)] for who, all_ in by_student.items()}
    return told | {"?": list(found.strangers)} if found.strangers else told


def test_without_a_roster_a_name_is_a_student_and_what_is_added_to_it_an_attempt() -> None:
    names = ["alice.zip", "alice-2.zip", "alice-10.tar.gz", "team-2", "bob.bundle"]
    assert matched(names) == {
        "alice": ["alice.zip", "alice-2.zip", "alice-10.tar.gz"],
        "team-2": ["team-2"],
        "bob": ["bob.bundle"],
    }


def test_attempts_with_times_are_ordered_by_them() -> None:
    names = ["a@2026-11-02T08-00.zip", "a@2026-11-01T23:59:59Z.zip", "a@2026-11-02T08-00+08-00"]
    assert matched(names) == {"a": [names[1], names[2], names[0]]}


def test_the_time_in_a_name_is_utc_unless_it_says_otherwise() -> None:
    noon = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
    for said in ("2026-11-01T12:00", "2026-11-01T12-00-00Z", "2026-11-01T20:00+08:00"):
        assert roster.when_of(said) == noon
    for said in ("2026-13-01", "yesterday", "2026-11-01T25:00"):
        assert roster.when_of(said) is None


def test_times_of_the_files_are_taken_where_the_policy_says_so(tmp_path: Path) -> None:
    (tmp_path / "alice").mkdir()
    os.utime(tmp_path / "alice", (1e9, 1e9))
    (found,) = roster.match([tmp_path / "alice"], None, "mtime").found
    assert found.submitted_at == datetime.fromtimestamp(1e9, UTC)


ROSTER = Roster(
    (
        Student("s1", "Ada Lovelace", "ada@x.org"),
        Student("s2", "Bo-2", "bo@x.org"),
        Student("s2-2", "李雷", "li@x.org"),
        Student("4711", "Same Name", "d@x.org"),
        Student("4712", "Same Name", "e@x.org"),
    )
)


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("s1", "s1"),
        ("S1.zip", "s1"),
        ("ada@x.org", "s1"),
        ("ada", "s1"),
        ("Ada Lovelace", "s1"),
        ("AdaLovelace", "s1"),
        ("李雷.zip", "s2-2"),
        ("s2-2", "s2-2"),
        ("s2-3", "s2"),
        ("s1@2026-11-01T10-00-00", "s1"),
        ("Ada Lovelace_99_assignsubmission_file_", "s1"),
        ("lovelaceada_4711_88_work", "4711"),
    ],
)
def test_a_hand_in_is_known_by_id_email_name_and_what_a_course_system_makes(
    name: str, student: str
) -> None:
    assert matched([name], ROSTER) == {student: [name]}


@pytest.mark.parametrize("name", ["Same Name", "stranger", "4711_4712_x_4712x", "s3-2"])
def test_what_is_nobodys_or_more_than_ones_is_a_stranger(name: str) -> None:
    found = matched([name], ROSTER)
    assert found == ({"?": [name]} if not name.startswith("4711") else {"4711": [name]})


def test_everybody_on_the_roster_is_there_whoever_handed_in() -> None:
    assert roster.match([], ROSTER).students == ROSTER.students


def test_names_that_are_no_utf_8_are_shown_as_escapes(tmp_path: Path) -> None:
    os.makedirs(os.fsencode(tmp_path) + b"/caf\xe9/ch5")
    (path,) = roster.listed(tmp_path)
    (found,) = roster.match([path], None).found
    assert found.student == r"caf\xe9"


def test_what_is_no_hand_in_is_not_listed(tmp_path: Path) -> None:
    for name in ("readme.txt", ".hidden.zip", "a.zip"):
        (tmp_path / name).write_text("x")
    for name in ("__MACOSX", "b", ".git"):
        (tmp_path / name).mkdir()
    assert [path.name for path in roster.listed(tmp_path)] == ["a.zip", "b"]


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ClassroomError, match="cannot be read as a folder"):
        list(roster.listed(tmp_path / "missing"))
