"""The rules of the house: how code is formatted and typed, who may import whom, what is public."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "command",
    [
        ("-m", "ruff", "check", "--no-cache", "."),
        ("-m", "ruff", "format", "--check", "--no-cache", "."),
        ("-m", "mypy", "--cache-dir=/dev/null"),
        ("-c", "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"),
    ],
    ids=["ruff check", "ruff format", "mypy", "import-linter"],
)
def test_the_tree_satisfies(command):
    done = run(*command)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]


def test_every_dependency_has_its_tested_version_in_constraints():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = {re.split(r"[^\w.-]", one)[0].lower() for group in groups for one in group}
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if "==" in line}
    wanted.discard(project["name"])  # its own extras
    assert wanted <= pinned, f"not in constraints.txt: {sorted(wanted - pinned)}"


def test_the_readme_has_the_two_commands_that_it_promises():
    text = (ROOT / "README.md").read_text()
    found = dict(re.findall(r"<!-- (\w+) -->\n```bash\n(.*?)\n```", text, flags=re.DOTALL))
    assert found["demo"].endswith("happyllm-grade demo")
    assert "-m pytest" in found["tests"]


def test_the_project_speaks_of_itself_alone():
    """No path of a machine that it was made on, and nothing left for later in the code."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    odd = re.compile(r"/work/|/root/|\.\./shared|\b(TODO|FIXME)\b")
    here = Path(__file__).relative_to(ROOT).as_posix()
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if name == here or path.suffix not in {".py", ".md", ".toml", ".txt", ".json"}:
            continue
        if path.is_file() and (match := odd.search(path.read_text(encoding="utf-8"))):
            found.append(f"{name}: {match.group()}")
    assert not found, found
