"""What others read of ours is checked by what they read it with."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import junitparser
import pytest
import xmlschema
from jsonschema import Draft202012Validator

from grader.classroom.release import TEMPLATES
from grader.render import csvform, gradescope, junit

from .test_shown import HOSTILE, hostile
from .test_shown_in_class import book_of, sheets

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "tests" / "schemas"
TEXTS = {kind: HOSTILE[kind] for kind in ("html", "xml", "halves", "nul", "formula", "commands")}


@pytest.fixture(scope="module")
def junit_schema() -> Any:
    return xmlschema.XMLSchema10(str(SCHEMAS / "junit.xsd"))


# ---- CI services


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.github-workflows", TEMPLATES / "workflow.yml"),
        ("vendor.github-workflows", TEMPLATES / "grade.yml"),
        ("vendor.github-actions", TEMPLATES / "action.yml"),
        ("vendor.github-actions", ROOT / "action.yml"),
        ("vendor.gitlab-ci", TEMPLATES / "gitlab-ci.yml"),
    ],
    ids=["workflow", "workflow that grades", "action of the edition", "action", "gitlab"],
)
def test_what_ci_services_read_follows_their_schema(schema: str, file: Path) -> None:
    """The schemas of SchemaStore and GitLab, as the package check-jsonschema brings them along."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schemas_refuse_what_is_wrong(tmp_path: Path) -> None:
    wrong = (TEMPLATES / "workflow.yml").read_text().replace("runs-on:", "run-on:")
    (tmp_path / "wrong.yml").write_text(wrong)
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    check += ["vendor.github-workflows", str(tmp_path / "wrong.yml")]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 1


# ---- JUnit


@pytest.mark.parametrize("kind", TEXTS)
def test_junit_follows_its_schemas_and_is_read_back(kind: str, junit_schema: Any) -> None:
    report, book = hostile(TEXTS[kind]), book_of(TEXTS[kind])
    for text, cases in ((junit.render(report), 4), (junit.classroom(book), None)):
        junit_schema.validate(text)
        read = junitparser.JUnitXml.fromstring(text.encode())
        suites = list(read)
        for suite in suites:
            results = [result for case in suite for result in case.result]
            assert suite.tests == len(list(suite))
            assert suite.failures == sum(isinstance(r, junitparser.Failure) for r in results)
            assert suite.errors == sum(isinstance(r, junitparser.Error) for r in results)
            assert suite.skipped == sum(isinstance(r, junitparser.Skipped) for r in results)
        if cases is not None:
            assert sum(suite.tests for suite in suites) == cases


def test_the_schema_of_junit_refuses_what_is_wrong(junit_schema: Any) -> None:
    text = junit.render(hostile("x"))
    assert junit_schema.is_valid(text)
    assert not junit_schema.is_valid(text.replace(' hostname="localhost"', ""))
    assert not junit_schema.is_valid(text.replace("<properties></properties>", ""))


# ---- Gradescope


@pytest.mark.parametrize("kind", TEXTS)
def test_gradescope_results_follow_its_specification(kind: str) -> None:
    schema = Draft202012Validator(json.loads((SCHEMAS / "gradescope.schema.json").read_text()))
    schema.validate(json.loads(gradescope.render(hostile(TEXTS[kind]))))
    for sheet in sheets(book_of(TEXTS[kind])):
        schema.validate(json.loads(gradescope.render(sheet.report, "en", sheet)))


# ---- gradebooks


NEEDED = {
    # Canvas: "Student", "ID" and the rest of these, then assignments; a second row of points.
    "canvas": ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"],
    "moodle": ["ID number", "Full name", "Email address"],
    "blackboard": ["Last Name", "First Name", "Username", "Student ID"],
}


@pytest.mark.parametrize("columns", NEEDED)
def test_gradebooks_have_the_columns_that_are_imported(columns: str) -> None:
    text = csvform.gradebook(book_of("=cmd|' /C calc'!A0"), columns)  # type: ignore[arg-type]
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0][: len(NEEDED[columns])] == NEEDED[columns]
    assert {len(row) for row in rows} == {len(rows[0])}
    students = rows[2:] if columns == "canvas" else rows[1:]
    assert len(students) == 3
    if columns == "canvas":
        assert rows[1][0] == "    Points Possible"
        assert float(rows[1][-1]) == 10
    for row in students:
        for cell in row:
            assert not cell.startswith(("=", "+", "@", "\t")), cell
