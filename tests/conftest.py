"""Hypothesis: the same examples every time and no clock, so that a busy machine fails no test.

`pytest --hypothesis-profile explore` looks for new ones. Besides, what the tests of several packages need
of the fake trainer.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from hptransfer.study.run import StudyResult

CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("repeatable", derandomize=True, **CALM)
settings.register_profile("explore", max_examples=1000, **CALM)
settings.load_profile("repeatable")


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
    import fake_trainer
    from small_study import study

    from hptransfer.study.run import run_study

    return run_study(study(), tmp_path_factory.mktemp("undisturbed"), train=fake_trainer.NAME)
