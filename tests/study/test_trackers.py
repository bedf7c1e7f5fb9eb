from __future__ import annotations

from pathlib import Path

import fake_trainer
import pytest
from small_study import study

from hptransfer.errors import HPTransferError
from hptransfer.study.run import StudyResult, run_study
from hptransfer.study.trackers import log_curves


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """The small study at another width and with a second seed."""
    spec = study(name="other", widths=[32, 128], seeds=[0, 1], base_width=32)
    return run_study(spec, tmp_path_factory.mktemp("runs") / "other", train=fake_trainer.NAME)


def test_curves_go_to_tensorboard_once(other: StudyResult, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert log_curves(other.folder, "tensorboard", tmp_path) == len(other.rows)
    assert log_curves(other.folder, "tensorboard", tmp_path) == 0
    folders = sorted(tmp_path.iterdir())
    assert len(folders) == len(other.rows)
    events = EventAccumulator(str(folders[0]))
    events.Reload()
    assert [e.step for e in events.Scalars("train/loss")] == [1, 10]
    assert events.Scalars("final/initial_loss")[0].value == 7.0


@pytest.mark.slow
def test_curves_go_to_mlflow(other: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the client's own dependencies
        assert log_curves(other.folder, "mlflow", tmp_path / "ml.db") == len(other.rows)
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'ml.db'}")
        experiment = client.get_experiment_by_name("other")
        found = client.search_runs([experiment.experiment_id])
    assert len(found) == len(other.rows)
    assert {run.data.params["model.width"] for run in found} == {"32", "128"}


def test_an_unknown_place_for_curves_is_refused(other: StudyResult) -> None:
    with pytest.raises(HPTransferError, match="tensorboard, wandb, mlflow"):
        log_curves(other.folder, "paper")
