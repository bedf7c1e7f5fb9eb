"""Two finished studies, which the tests of several commands read."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.study_commands import finished_study


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished study, its spec beside it."""
    return finished_study(tmp_path_factory.mktemp("studies"), name="first")


@pytest.fixture(scope="session")
def second(first: Path) -> Path:
    """The same with another seed."""
    return finished_study(first.parent, name="second", seeds=[1])
