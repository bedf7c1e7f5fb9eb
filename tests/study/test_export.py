from __future__ import annotations

import math
from pathlib import Path

import fake_trainer
import pandas as pd
import pytest
from small_study import study

from hptransfer.errors import HPTransferError, StoreError
from hptransfer.study.export import combined_sweep, export, studies
from hptransfer.study.run import StudyResult, run_study
from hptransfer.study.trackers import log_curves


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    """The small study at another width and with a second seed."""
    spec = study(name="other", widths=[32, 128], seeds=[0, 1], base_width=32)
    return run_study(spec, tmp_path_factory.mktemp("runs") / "other", train=fake_trainer.NAME)


def test_studies_are_listed_with_what_became_of_their_runs(
    undisturbed: StudyResult, other: StudyResult, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "study.sqlite").write_text("no database")
    (listed,) = studies(other.folder.parent)
    assert (listed.name, listed.folder) == ("other", other.folder)
    assert listed.done + listed.diverged == len(other.rows)
    assert listed.diverged == sum(row["status"] == "diverged" for row in other.rows)
    (broken,) = studies(tmp_path)
    assert broken.trouble is not None
    with pytest.raises(StoreError, match="is not a folder"):
        studies(tmp_path / "nowhere")


def test_tables_hold_every_run_and_every_digit(
    undisturbed: StudyResult, other: StudyResult, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    assert export([other.folder], tmp_path / "one.csv") == len(other.rows)
    assert (tmp_path / "one.csv").read_bytes() == other.csv.read_bytes()
    both = [undisturbed.folder, other.folder]
    count = export(both, tmp_path / "both.parquet")
    frame = pd.read_parquet(tmp_path / "both.parquet")
    assert count == len(frame) == len(undisturbed.rows) + len(other.rows)
    assert set(frame["study"]) == {folder.name for folder in both}
    losses = [row["loss"] for row in (*undisturbed.rows, *other.rows)]
    assert [v for v in frame["loss"] if not math.isnan(v)] == [v for v in losses if not math.isnan(v)]
    with pytest.raises(HPTransferError, match=r"\.csv or \.parquet"):
        export([other.folder], tmp_path / "runs.xlsx")


def test_studies_side_by_side_keep_their_names(undisturbed: StudyResult, other: StudyResult) -> None:
    sweep = combined_sweep([undisturbed.folder, other.folder])
    assert f"{other.folder.name}: sp" in sweep.variants
    assert len(sweep.variants) == 4
    with pytest.raises(StoreError, match="different names"):
        combined_sweep([other.folder, other.folder])


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
