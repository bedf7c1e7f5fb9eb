"""What the tests of several commands use: a command's run, a table, two finished studies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.study_commands import finished_study

from hptransfer.cli import main


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command: its exit code, and what it prints to both streams."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def csv(tmp_path: Path) -> Callable[..., Path]:
    """Writes a text into a file."""

    def csv(text: str, name: str = "runs.csv") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return csv


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished study, its spec beside it."""
    return finished_study(tmp_path_factory.mktemp("studies"), name="first")


@pytest.fixture(scope="session")
def second(first: Path) -> Path:
    """The same with another seed."""
    return finished_study(first.parent, name="second", seeds=[1])
