"""The public tests' side of pytest: `exercise` is your file, `given` holds recorded values.

A failure is told in a line or two; what ended how is written to public-tests.json, from which
`report.py` makes annotations for GitHub and GitLab.
"""

import json
import traceback
from pathlib import Path

import comparing
import pytest

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "public-tests.json"


@pytest.fixture
def exercise(request):
    return comparing.load(request.module.EXERCISE)


@pytest.fixture
def given(request):
    path = Path(request.module.__file__)
    table = comparing.read(path.with_name(path.stem.removeprefix("test_") + ".json"))
    return lambda name: comparing.unpack(table[request.node.name][name])


class Results:
    """Collects how each test ended, and what to say of it."""

    def __init__(self):
        self.found = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        name = getattr(item.module, "EXERCISE", "")
        entry = self.found.setdefault(
            item.nodeid,
            {"exercise": name, "test": item.name, "claim": _claim(item), "outcome": "passed"},
        )
        if call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception):
            file, line = _place(call.excinfo, f"{name}.py")
            message = _writable(_message(call.excinfo, file))
            entry |= {"outcome": "failed", "message": message, "file": file, "line": line}
            report.longrepr = f"{item.name}\n  {entry['claim']}\n  {file}:{line}: {message}"
        return report

    def pytest_sessionfinish(self, session):
        if session.config.option.collectonly or hasattr(session.config, "workerinput"):
            return
        text = json.dumps(list(self.found.values()), ensure_ascii=True, indent=1)
        try:
            RESULTS.write_text(text + "\n", encoding="utf-8")
        except OSError:
            return  # in a folder that cannot be written to, the tests still run


def pytest_configure(config):
    config.pluginmanager.register(Results(), "public-results")


def _claim(item):
    return " ".join((item.function.__doc__ or item.name).split())


def _place(excinfo, own):
    """The innermost line of the learner's that an error came through, else the exercise itself."""
    error = excinfo.value
    if isinstance(error, SyntaxError) and error.filename:
        path = Path(error.filename)
        if path.is_relative_to(ROOT):
            return path.relative_to(ROOT).as_posix(), error.lineno or 1
    found = own, 1
    for frame, line in traceback.walk_tb(excinfo.tb):
        path = Path(frame.f_code.co_filename)
        if path.parent.parent == ROOT and path.parent.name != "tests":
            found = path.relative_to(ROOT).as_posix(), line
    return found


def _writable(text):
    """A text without halves of characters, which no file or terminal can take."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _message(excinfo, file):
    error = excinfo.value
    if isinstance(error, comparing.Wrong):
        return str(error)
    if isinstance(error, NotImplementedError):
        return comparing.say("not written yet", "还没有写")
    said = str(error).strip().split("\n")[0]
    return f"{excinfo.typename}: {said}" if said else excinfo.typename
