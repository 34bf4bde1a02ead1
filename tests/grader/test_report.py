"""The report: its JSON form and the schema that publishes it, its exit status and its points."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator, ValidationError

from grader import catalogue, engine, report, shelf
from grader.catalogue import Exercise, Text
from grader.report import WORST_FIRST, Failure, Graded, Outcome, Printed, Report, worst
from grader.sandbox.nursery import Nursery

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

RIGHT = "def repeat_kv(x, n_rep):\n    return x.repeat_interleave(n_rep, 2)\n"
ANSWERS = {
    "passed": RIGHT,
    "failed": "def repeat_kv(x, n_rep):\n    return x.repeat(1, 1, n_rep, 1)\n",
    "error": "def repeat_kv(x, n_rep):\n    print('here')\n    raise ValueError('no')\n",
    "timeout": "def repeat_kv(x, n_rep):\n    while True: pass\n",
    "memory": "def repeat_kv(x, n_rep):\n    return bytearray(64 << 30)\n",
    "blocked": "import happyllm\n" + RIGHT,
    "untouched": None,  # the stub
    "fault": RIGHT,  # of an exercise whose suite is not there
}


@pytest.fixture(scope="module")
def exercise() -> Exercise:
    return catalogue.load()["ch5/repeat_kv"]


@pytest.fixture(scope="module")
def reports(exercise: Exercise, warm: Nursery) -> dict[str, Report]:
    """A real report of every outcome."""
    found = {}
    for outcome, answer in ANSWERS.items():
        asked = exercise if outcome != "fault" else replace(exercise, id="ch5/gone")
        sources = {asked.file: answer if answer is not None else shelf.stub(exercise)}
        limit = 0.3 if outcome == "timeout" else None
        policy = engine.Policy(seed=7, timeout_s=limit)
        found[outcome] = engine.grade([asked], sources, policy, nursery=warm)
    return found


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    table = json.loads(report.SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(table)
    return Draft202012Validator(table)


def graded(outcome: Outcome, points: int = 5) -> Graded:
    failure = None
    if outcome not in ("passed", "untouched"):
        failure = Failure("fault", Text("It failed.", "出错了。"))
    return Graded(
        id="ch5/repeat_kv",
        section="5.1.3.1",
        title=Text("Heads", "头"),
        file="ch5/repeat_kv.py",
        outcome=outcome,
        points=points if outcome == "passed" else 0,
        points_possible=points,
        duration_s=0.1,
        isolation="process",
        failure=failure,
    )


def report_of(*exercises: Graded) -> Report:
    return Report(1, "0.1", "3.11", "2.6", 1, "process", 0.1, exercises)


# ---- outcomes


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_real_report_of_every_outcome_can_be_had(
    reports: dict[str, Report], outcome: Outcome
) -> None:
    assert [one.outcome for one in reports[outcome].exercises] == [outcome]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_only_a_pass_earns_points(reports: dict[str, Report], outcome: Outcome) -> None:
    assert reports[outcome].points == (5 if outcome == "passed" else 0)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_did_not_pass_says_why(reports: dict[str, Report], outcome: Outcome) -> None:
    failure = reports[outcome].exercises[0].failure
    assert (failure is None) == (outcome in ("passed", "untouched"))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_next_is_what_is_not_passed_yet(reports: dict[str, Report], outcome: Outcome) -> None:
    one = reports[outcome].exercises[0]
    assert reports[outcome].next == (None if outcome == "passed" else one.id)


# ---- the published form


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_is_written_is_what_the_schema_publishes(
    reports: dict[str, Report], schema: Draft202012Validator, outcome: Outcome
) -> None:
    schema.validate(json.loads(reports[outcome].to_json()))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_reading_gives_back_what_was_written(reports: dict[str, Report], outcome: Outcome) -> None:
    assert Report.from_json(reports[outcome].to_json()) == reports[outcome]


@pytest.mark.parametrize("text", ["\x00\x1b[31m\r", "\ud800", "\u202e", '"\\', "头", "\U0001f600"])
def test_any_text_of_a_learner_survives_the_trip_through_a_file(text: str) -> None:
    one = report_of(replace(graded("error"), printed=Printed(text)))
    assert Report.from_json(one.to_json().encode("utf-8").decode("utf-8")) == one


def test_chinese_stays_readable_in_the_json() -> None:
    assert '"zh": "头"' in report_of(graded("passed")).to_json()


def test_a_number_that_json_has_no_word_for_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        replace(report_of(), duration_s=float("nan")).to_json()


def test_a_field_that_a_later_version_adds_is_passed_over() -> None:
    one = report_of(graded("passed"))
    table = json.loads(one.to_json())
    table["mood"] = table["exercises"][0]["mood"] = "good"
    assert Report.from_json(json.dumps(table)) == one


def every_table(node: Any, path: str = "$") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from every_table(value, f"{path}.{key}")
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from every_table(value, f"{path}[{number}]")


@pytest.mark.parametrize("outcome", ["failed", "error"])
def test_the_schema_lets_no_table_hold_a_field_more(
    reports: dict[str, Report], schema: Draft202012Validator, outcome: str
) -> None:
    written = reports[outcome].to_json()
    for path, _ in every_table(json.loads(written)):
        table = json.loads(written)
        dict(every_table(table))[path]["mood"] = "good"
        assert not schema.is_valid(table), path


@pytest.mark.parametrize("outcome", ["failed", "error"])
def test_the_schema_lets_no_table_lack_a_field(
    reports: dict[str, Report], schema: Draft202012Validator, outcome: str
) -> None:
    written = reports[outcome].to_json()
    for path, found in every_table(json.loads(written)):
        for field in found:
            table = json.loads(written)
            del dict(every_table(table))[path][field]
            assert not schema.is_valid(table), f"{path}.{field}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("outcome", "excellent"),
        ("points", -1),
        ("points", 5),  # for what failed
        ("id", "repeat_kv"),
        ("file", "../repeat_kv.py"),
        ("section", "five"),
        ("duration_s", "long"),
        ("failure", None),
        ("title", {"en": "Only English"}),
    ],
)
def test_the_schema_refuses_what_no_run_finds(
    reports: dict[str, Report], schema: Draft202012Validator, path: str, value: object
) -> None:
    table = json.loads(reports["failed"].to_json())
    table["exercises"][0][path] = value
    with pytest.raises(ValidationError):
        schema.validate(table)


def test_the_schema_knows_every_outcome_and_no_other(schema: Draft202012Validator) -> None:
    assert schema.schema["$defs"]["outcome"]["enum"] == list(OUTCOMES)


def test_every_part_of_the_schema_is_the_dataclass_of_its_title(
    schema: Draft202012Validator,
) -> None:
    total = {"points", "points_possible"}
    for table in (schema.schema, *schema.schema["$defs"].values()):
        if table.get("type") != "object":
            continue
        kind = getattr(report, table["title"])
        fields = {field.name for field in dataclasses.fields(kind)}
        assert set(table["properties"]) == fields | (total if kind is Report else set())


def test_every_field_of_the_schema_is_described(schema: Draft202012Validator) -> None:
    defined = schema.schema["$defs"]
    for table in (schema.schema, *defined.values()):
        for name, field in table.get("properties", {}).items():
            one = defined[field["$ref"].rpartition("/")[2]] if "$ref" in field else field
            assert one.get("description"), f"{table['title']}.{name}"


# ---- what a report adds up to


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        (["passed"], 0),
        (["passed", "passed"], 0),
        (["passed", "failed"], 1),
        (["untouched"], 1),
        (["error"], 1),
        (["timeout"], 1),
        (["memory"], 1),
        (["blocked"], 1),
        (["fault"], 3),
        (["passed", "fault"], 3),
        (["failed", "fault"], 3),
        ([], 1),
    ],
)
def test_the_exit_status_tells_a_pass_from_a_failure_from_a_fault(
    outcomes: list[Outcome], status: int
) -> None:
    assert report_of(*map(graded, outcomes)).exit_code == status


def test_points_are_the_sum_over_the_exercises() -> None:
    one = report_of(graded("passed", 5), graded("failed", 15), graded("passed", 10))
    assert (one.points, one.points_possible) == (15, 30)


def test_a_pass_needs_proof_so_nothing_at_all_is_a_fault() -> None:
    assert worst([]) == "fault"


def test_every_outcome_has_its_place_among_the_worst() -> None:
    assert sorted(WORST_FIRST) == sorted(OUTCOMES)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_worst_of_one_is_itself(outcome: Outcome) -> None:
    assert worst([outcome]) == outcome


@pytest.mark.parametrize("pair", [*itertools.combinations(WORST_FIRST, 2)])
def test_the_worse_of_two_speaks_in_whatever_order_they_come(
    pair: tuple[Outcome, Outcome],
) -> None:
    assert worst(pair) == worst(reversed(pair)) == pair[0]


def test_one_failed_test_among_many_passed_is_a_failure() -> None:
    assert worst(["passed", "failed", "passed"]) == "failed"


def test_a_fault_outweighs_everything_the_learner_did() -> None:
    assert all(worst([outcome, "fault"]) == "fault" for outcome in OUTCOMES)
