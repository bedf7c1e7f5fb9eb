from __future__ import annotations

import json
import math
from pathlib import Path

import fake_trainer
import pandas as pd
import pytest
from small_study import study

import hptransfer as hpt
from hptransfer.errors import HPTransferError, StoreError
from hptransfer.study.export import combined_sweep, export, studies
from hptransfer.study.run import StudyResult, run_study


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
    with pytest.raises(HPTransferError, match=r"\.csv, \.json or \.parquet"):
        export([other.folder], tmp_path / "runs.xlsx")


def test_studies_side_by_side_keep_their_names(undisturbed: StudyResult, other: StudyResult) -> None:
    sweep = combined_sweep([undisturbed.folder, other.folder])
    assert f"{other.folder.name}: sp" in sweep.variants
    assert len(sweep.variants) == 4
    with pytest.raises(StoreError, match="different names"):
        combined_sweep([other.folder, other.folder])


def test_json_holds_the_rows_of_the_csv(undisturbed: StudyResult, tmp_path: Path) -> None:
    assert export([undisturbed.folder], tmp_path / "runs.json") == len(undisturbed.rows)
    rows = json.loads((tmp_path / "runs.json").read_text())
    assert [row["run_id"] for row in rows] == [row["run_id"] for row in undisturbed.rows]
    assert all(row["loss"] is None or row["status"] == "done" for row in rows)
    sweep = hpt.read(str(tmp_path / "runs.json"))
    assert len(sweep.loss) == len(undisturbed.sweep.loss)
