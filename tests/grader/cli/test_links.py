"""Addresses of a learner's files: of those alone, and as the terminal at hand opens them."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.cli import links


def test_a_file_of_the_workspace_has_an_address(tmp_path: Path) -> None:
    address = links.to_files(tmp_path, ["ch5/it.py"], {})
    assert address("ch5/it.py", 3) == (tmp_path / "ch5" / "it.py").as_uri()


@pytest.mark.parametrize("name", ["ch5/other.py", "/etc/passwd", "../ch5/it.py", "http://x", ""])
def test_what_is_no_file_of_the_workspace_has_none(tmp_path: Path, name: str) -> None:
    assert links.to_files(tmp_path, ["ch5/it.py"], {})(name, 3) is None


@pytest.mark.parametrize("environment", [{"TERM_PROGRAM": "vscode"}, {"KITTY_WINDOW_ID": "1"}])
def test_the_line_is_named_to_terminals_that_open_one(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    address = links.to_files(tmp_path, ["ch5/it.py"], environment)
    assert str(address("ch5/it.py", 3)).endswith("/ch5/it.py#3")
    assert str(address("ch5/it.py", 0)).endswith("/ch5/it.py")
