"""A pytest plugin: writes a CSV row for each test as it ends, so that an interrupted run keeps its rows."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

COLUMNS = ("test", "outcome", "seconds", "message")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The table's name."""
    parser.addoption("--rows", type=Path, required=True, help="CSV table of tests and outcomes")


def pytest_configure(config: pytest.Config) -> None:
    """Begin a table."""
    config.pluginmanager.register(Rows(config.getoption("--rows")))


class Rows:
    """Writes the table."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(COLUMNS)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called thrice a test: before, at and after it; what fails or is skipped before it counts, too."""
        if report.when != "call" and report.passed:
            return
        text = "" if report.passed else " ".join(str(report.longrepr).split())[-500:]
        row = (report.nodeid.partition("::")[2], report.outcome, f"{report.duration:.2f}", text)
        with self._path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)
