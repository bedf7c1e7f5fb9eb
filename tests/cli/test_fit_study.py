from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.study_commands import finished_study, invoke

from hptransfer.cli.fit_study import read_or_study
from hptransfer.errors import SweepError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_study(tmp_path_factory.mktemp("fit"))


def test_a_study_s_folder_is_fitted_as_its_report_fits_it(folder: Path, tmp_path: Path) -> None:
    assert invoke("report", folder, "--target", "512")[0] == 0
    code, output = invoke("fit", folder, "--target", 512, "--json", tmp_path / "fit.json")
    assert code == 0
    assert "width 512" in output
    mine, reported = (json.loads(p.read_text()) for p in (tmp_path / "fit.json", folder / "fit.json"))
    assert mine["variants"] == reported["variants"]


def test_what_is_asked_of_the_reading_is_heeded(folder: Path) -> None:
    sweep, of_study = read_or_study([str(folder)], where="variant == sp")
    assert not of_study
    assert sweep.variants == ("sp",)


def test_several_studies_are_one_table_but_not_with_other_sources(folder: Path, tmp_path: Path) -> None:
    other = finished_study(tmp_path, name="other")
    sweep, of_study = read_or_study([str(folder), str(other)])
    assert of_study
    assert set(sweep.variants) == {"small: sp", "small: mup", "other: sp", "other: mup"}
    with pytest.raises(SweepError, match="without other sources"):
        read_or_study([str(folder), str(tmp_path / "x.csv")])
