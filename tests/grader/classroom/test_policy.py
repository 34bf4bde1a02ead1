"""A policy: what it says is meant, and what cannot be is told with field, value and fix."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from grader import catalogue
from grader.classroom import policy
from grader.classroom.policy import Late, Policy
from grader.classroom.problems import PolicyError

KNOWN = catalogue.load()
WHOLE = """
[assignment]
title = "Week 3"
title_zh = "第三周"
exercises = ["ch5/repeat_kv", "5.1.2"]
attempt = "best"
total = 100
[points]
"ch5/repeat_kv" = 30
[due]
at = 2026-11-01T23:59:00+08:00
grace = "10m"
times = "mtime"
[late]
per_day = 0.1
most = 0.5
until = "1d 12h"
[extensions]
alice = "2d"
bob = 2026-11-09T12:00:00Z
[grading]
dependencies = "own"
seed = 2026
time_s = 20
memory_mb = 1024
isolation = "landlock"
[feedback]
level = "hints"
public = ["ch5/repeat_kv"]
hidden = ["ch5/repeat_kv::test_the_gradients_of_the_copies_add_up"]
"""
DUE = datetime(2026, 11, 1, 15, 59, tzinfo=UTC)


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        policy.parse(text, KNOWN, "rules.toml")
    assert all(re.search("[\u4e00-\u9fff]", one.zh) for one in caught.value.problems)
    return [one.en for one in caught.value.problems]


def test_every_field_is_read() -> None:
    rules = policy.parse(WHOLE, KNOWN)
    assert rules == Policy(
        title=catalogue.Text("Week 3", "第三周"),
        exercises=("ch5/repeat_kv", "5.1.2"),
        attempt="best",
        total=100,
        points={"ch5/repeat_kv": 30},
        due=DUE,
        grace=timedelta(minutes=10),
        times="mtime",
        late=Late(0.1, 0.5, timedelta(hours=36)),
        extensions={
            "alice": timedelta(days=2),
            "bob": datetime(2026, 11, 9, 12, tzinfo=UTC),
        },
        own=True,
        seed=2026,
        time_s=20,
        memory_mb=1024,
        isolation="landlock",
        feedback="hints",
        public=("ch5/repeat_kv",),
        hidden=("ch5/repeat_kv::test_the_gradients_of_the_copies_add_up",),
        text=WHOLE,
    )


def test_without_a_policy_all_has_a_default_and_the_plain_process_is_refused() -> None:
    rules = policy.parse("", KNOWN)
    assert rules == Policy()
    assert not rules.engine(1).limits.allows("process")


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ('[assignment]\nattempt = "first"', ("[assignment] attempt", '"first"', "'best'")),
        ("[assignment]\ntotal = 0", ("[assignment] total", "0", "above 0")),
        ('[assignment]\nexercises = "ch5"', ("[assignment] exercises", '"ch5"', "a list")),
        ('[assignment]\nexercises = ["mpl"]', ("exercises", '"mpl"', "ch5/mlp")),
        ("[assignment]\ntitle = 3", ("[assignment] title", "3", "a text")),
        ('[points]\n"ch5/mpl" = 3', ('[points] "ch5/mpl"', "3", '"ch5/mlp"')),
        ('[points]\n"ch5/mlp" = -1', ("[points]", "-1", "from 0")),
        ('[points]\n"ch5/mlp" = true', ("[points]", "true", "a number")),
        ('[points]\n"ch5/mlp" = nan', ("[points]", "NaN", "a number")),
        ("[due]\nat = 2026-11-01T23:59:00", ("[due] at", "2026-11-01T23:59:00", "+08:00")),
        ("[due]\nat = 2026-11-01", ("[due] at", "2026-11-01", "+08:00")),
        ('[due]\nat = "tomorrow"', ("[due] at", '"tomorrow"', "offset from UTC")),
        ('[due]\ngrace = "soon"', ("[due] grace", '"soon"', '"36h"')),
        ("[late]\nper_day = 0.1", ("[late]", "0.1", "[due] at")),
        ("[due]\nat = 2026-11-01T00:00:00Z\n[late]\nper_day = 10", ("per_day", "10", "up to 1")),
        ('[extensions]\nalice = "2 weeks"', ("[extensions] alice", "2 weeks", '"2d"')),
        ('[grading]\ndependencies = "mine"', ("dependencies", '"mine"', "'own'")),
        ("[grading]\nseed = -1", ("[grading] seed", "-1", "whole number from 0")),
        ("[grading]\nmemory_mb = 1.5", ("[grading] memory_mb", "1.5", "whole number")),
        ('[grading]\nisolation = "jail"', ("[grading] isolation", '"jail"', "'landlock'")),
        ('[feedback]\nlevel = "all"', ("[feedback] level", '"all"', "'verdict'")),
        ('[feedback]\nhidden = ["ch5/mlp::test_x"]', ("hidden", "test_x", "no such test")),
        ("[feedbak]\nlevel = 1", ("[feedbak]", "level", "'feedback'")),
        ("[late]\nperday = 1\n[due]\nat = 2026-11-01T00:00:00Z", ("perday", "1", "'per_day'")),
        ("assignment = 3", ("assignment", "3", "[assignment]")),
    ],
)
def test_what_cannot_be_is_told_with_field_value_and_fix(line: str, names: tuple[str, ...]) -> None:
    (said,) = problems(line)
    assert said.startswith("rules.toml: ")
    for name in names:
        assert name in said


def test_all_problems_are_told_at_once() -> None:
    text = '[grading]\nseed = "x"\ntime_s = 0\n[feedback]\nlevel = "none"\n'
    assert len(problems(text)) == 3


def test_what_is_no_toml_is_told_with_its_line() -> None:
    (said,) = problems("[late\n")
    assert "line 1" in said


def test_a_file_that_cannot_be_read_is_named(tmp_path) -> None:
    with pytest.raises(PolicyError, match=r"missing\.toml: cannot be read"):
        policy.load(tmp_path / "missing.toml", KNOWN)
    (tmp_path / "latin.toml").write_bytes(b"title = '\xe9'")
    with pytest.raises(PolicyError, match="no UTF-8"):
        policy.load(tmp_path / "latin.toml", KNOWN)


def test_a_total_spreads_over_the_weights() -> None:
    rules = policy.parse('[assignment]\ntotal = 100\n[points]\n"ch5/repeat_kv" = 15\n', KNOWN)
    worth = rules.worth([KNOWN["ch5/repeat_kv"], KNOWN["ch5/rms_norm"]])
    assert worth == {"ch5/repeat_kv": 75, "ch5/rms_norm": 25}


@pytest.mark.parametrize(
    ("hours", "penalty"),
    [(-1, 0), (0, 0), (0.16, 0), (0.17, 0.1), (24, 0.1), (24.01, 0.2), (36, 0.2), (36.01, 1)],
)
def test_each_day_begun_costs_its_share_and_the_end_is_the_end(
    hours: float, penalty: float
) -> None:
    rules = policy.parse(WHOLE, KNOWN)
    assert rules.lateness(DUE + timedelta(hours=hours), DUE)[1] == pytest.approx(penalty)


def test_no_more_is_taken_away_than_the_most() -> None:
    rules = Policy(late=Late(per_day=0.2, most=0.5))
    assert rules.lateness(DUE + timedelta(days=30), DUE)[1] == 0.5


def test_an_extension_of_the_policy_goes_before_the_rosters() -> None:
    rules = policy.parse(WHOLE, KNOWN)
    assert rules.due_for("alice", timedelta(days=9)) == DUE + timedelta(days=2)
    assert rules.due_for("bob") == datetime(2026, 11, 9, 12, tzinfo=UTC)
    assert rules.due_for("carol", timedelta(days=9)) == DUE + timedelta(days=9)
    assert rules.due_for("dave") == DUE


def test_only_what_changes_a_verdict_changes_its_key() -> None:
    base = policy.parse("", KNOWN).what_matters()
    same = '[feedback]\nlevel = "verdict"\n[points]\n"ch5/mlp" = 1\n[grading]\nseed = 3\n'
    assert policy.parse(same, KNOWN).what_matters() == base  # the seed has a place of its own
    for other in ('dependencies = "own"', "time_s = 1", "memory_mb = 100"):
        assert policy.parse(f"[grading]\n{other}\n", KNOWN).what_matters() != base


def test_hidden_goes_before_public() -> None:
    rules = policy.parse(WHOLE, KNOWN)
    assert rules.shows("ch5/repeat_kv", "test_anything[case]")
    assert not rules.shows("ch5/repeat_kv", "test_the_gradients_of_the_copies_add_up[2]")
    assert not rules.shows("ch5/mlp", "test_anything")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2d", 172800), ("1d 12h", 129600), ("90m", 5400), ("1h30m5s", 5405), (" 3 h ", 10800)],
)
def test_a_span_of_time_is_read(text: str, seconds: int) -> None:
    assert policy.duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", " ", "2", "d", "2w", "-1d", "1.5h", "9999999d"])
def test_what_is_no_span_of_time_is_none(text: str) -> None:
    assert policy.duration(text) is None
