from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # workers, too, must find the fake trainer

import fake_trainer
from small_study import study

from hptransfer.sweep.run import StudyResult, run_study


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where faults of the fake trainer are armed and its calls counted."""
    folder = tmp_path / "faults"
    folder.mkdir()
    monkeypatch.setenv("FAKE_FAULTS", str(folder))
    return folder


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """The small study, run in one go."""
    return run_study(study(), tmp_path_factory.mktemp("undisturbed"), train=fake_trainer.NAME)
