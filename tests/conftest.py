"""For every test: one thread. Tests run side by side, and waiting threads spin."""

from __future__ import annotations

import os

import pytest

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Put into the log what tests have recorded for it, as `record_property("shown", text)`."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, text in getattr(report, "user_properties", ()):
                if name == "shown" and getattr(report, "when", "") == "call":
                    terminalreporter.section(report.nodeid)
                    terminalreporter.write(text)
