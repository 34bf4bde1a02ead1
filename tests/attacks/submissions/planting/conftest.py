# outcome: failed
# beside: conftest.py
# beside: ch5/conftest.py
# beside: ch5/test_repeat_kv.py
"""Plants a conftest.py that calls every test a success."""

PLANTED = """
import pathlib
import pytest

pathlib.Path(r"{{marker}}/PWNED").write_text("ran")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    outcome.get_result().outcome = "passed"
"""


def repeat_kv(x, n_rep):
    return x.repeat(1, 1, n_rep, 1)
