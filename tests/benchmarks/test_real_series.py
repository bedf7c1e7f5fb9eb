"""What was found at a scale, what an estimator gets to see of a series, and how it is cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

WIDTHS = (8, 16, 32, 64, 128)
GRID = np.arange(-11.0, -4.9, 0.5)


@pytest.fixture(scope="module")
def real_series(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("real_series")


def runs(
    *,
    x: float = -8.1,
    seeds: int = 8,
    noise: float = 0.0,
    grid: np.ndarray = GRID,
    seed: int = 0,
    height: float = 0.05,  # nats an octave off
) -> pd.DataFrame:
    """Parabolas of one scale; every seed raises its whole curve, and each run has noise of its own."""
    rng = np.random.default_rng(seed)
    parts = []
    for name in range(seeds):
        own = 0.1 * rng.standard_normal() + noise * rng.standard_normal(len(grid))
        loss = 3 + height * (grid - x) ** 2 + own
        parts.append(pd.DataFrame({"scale": 64.0, "x": grid, "seed": str(name), "loss": loss}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("x", [-8.1, -7.75, -8.5])
@pytest.mark.parametrize("seeds", [1, 3, 8])
def test_the_truth_of_a_made_basin_is_its_vertex(real_series: ModuleType, x: float, seeds: int) -> None:
    truth = real_series.truth_at(runs(x=x, seeds=seeds), 64.0)
    assert truth.scale == 64.0
    assert truth.x == pytest.approx(x, abs=0.006)  # a grid of 0.005 octaves where there are many seeds
    assert truth.sd < 0.03
    for value in GRID:  # above the best that was run
        assert truth.cost_at(value) == pytest.approx(0.05 * ((value - x) ** 2 - np.abs(GRID - x).min() ** 2))
    assert np.isnan(truth.cost_at(GRID[-1] + 0.1))


@pytest.mark.parametrize(("seeds", "noise"), [(1, 0.002), (8, 0.006), (12, 0.01)])
def test_its_sd_is_that_of_what_is_found_again(real_series: ModuleType, seeds: int, noise: float) -> None:
    found = [real_series.truth_at(runs(seeds=seeds, noise=noise, seed=seed), 64.0) for seed in range(40)]
    error = np.sqrt(np.mean([(t.x + 8.1) ** 2 for t in found]))
    assert 0.6 < error / np.sqrt(np.mean([t.sd**2 for t in found])) < 1.6


def test_a_seeds_own_height_does_not_count(real_series: ModuleType) -> None:
    """Runs of one seed go up together: what that does to no optimum is not in its sd."""
    truth = real_series.truth_at(runs(seeds=8, noise=0.0), 64.0)
    assert truth.sd == pytest.approx(0.01)  # the least that is claimed


def test_an_optimum_at_an_edge_or_hardly_known_is_no_truth(real_series: ModuleType) -> None:
    assert real_series.truth_at(runs(x=-4.0), 64.0) is None
    assert real_series.truth_at(runs(x=-13.0), 64.0) is None
    assert real_series.truth_at(runs(grid=GRID[:2]), 64.0) is None
    assert real_series.truth_at(runs(seeds=1, height=1e-4), 64.0) is None  # for the least noise of a run
    assert real_series.truth_at(runs(), 128.0) is None


def test_a_cell_with_a_diverged_run_is_no_optimum(real_series: ModuleType) -> None:
    table = runs(x=-6.1, seeds=3)
    table.loc[(table["x"] > -6.4) & (table["seed"] == "1"), "loss"] = np.nan
    assert real_series.truth_at(table, 64.0) is None  # what is left falls to its end


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of one set-up with two variants, five widths and four seeds."""
    path = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    rows = []
    for variant, drift in (("sp", -1.0), ("mup", 0.0)):
        for k, width in enumerate(WIDTHS):
            part = runs(
                x=-7.6 + drift * k / 2, seeds=4, noise=0.002, seed=k, grid=np.arange(-13.0, -4.9, 0.5)
            )
            lr = 2.0 ** part["x"]
            rows.append(part.assign(variant=variant, width=width, lr=lr, lr_mup=2 * lr, initial_loss=6.0))
    table = pd.concat(rows, ignore_index=True)
    worst = table["x"] > -5.4
    table.loc[worst, "loss"] = np.where(rng.random(worst.sum()) < 0.5, np.nan, 7.0)  # worse than untrained
    table.drop(columns=["scale", "x"]).to_csv(path / "made.csv.gz", index=False)
    return path


def test_series_of_the_corpus_are_in_mup_coordinates_and_say_what_their_users_set(
    real_series: ModuleType, folder: Path
) -> None:
    found = {s.name: s for s in real_series.corpus_series(folder)}
    assert sorted(found) == sorted(f"{v} view {i}" for v in ("sp", "mup") for i in range(real_series.VIEWS))
    assert {s.project for s in found.values()} == {"made"}
    assert found["mup view 0"].every["x"].min() == found["sp view 0"].every["x"].min()
    assert (found["mup view 0"].own, found["sp view 0"].own) == (0, -1)
    assert found["sp view 0"].every.query("x > -4.4")["loss"].isna().all()


def test_a_view_is_the_same_every_time_and_part_of_all_runs(real_series: ModuleType, folder: Path) -> None:
    twice = [list(real_series.corpus_series(folder)) for _ in range(2)]
    for one, other in zip(*twice, strict=True):
        pd.testing.assert_frame_equal(one.runs, other.runs)
        assert 1 <= one.runs["seed"].nunique() <= 3
        assert len(one.runs) < len(one.every)
        assert set(map(tuple, one.runs.fillna(-1.0).to_numpy().tolist())) <= set(
            map(tuple, one.every.fillna(-1.0).to_numpy().tolist())
        )
        for _, cells in one.runs.groupby("scale"):
            assert set(np.round(np.diff(np.unique(cells["x"])), 6)) <= {0.5, 1.0}
            assert cells["x"].nunique() >= 3
    views = [s.runs for s in twice[0]]
    assert len({(v["seed"].nunique(), len(v), v["x"].min()) for v in views}) > 2  # they differ


def test_cuts_leave_three_scales_and_ask_for_every_larger_one(real_series: ModuleType, folder: Path) -> None:
    for series in real_series.corpus_series(folder):
        found = list(real_series.cases(series))
        asked = [(case.runs["scale"].max(), case.truth.scale) for case in found]
        assert asked == [(32.0, 64.0), (32.0, 128.0), (64.0, 128.0)]
        assert [case.ahead for case in found] == [1.0, 2.0, 1.0]
        for case in found:
            assert case.runs["scale"].nunique() >= 3
            drift = -1.0 if series.name.startswith("sp") else 0.0
            place = -6.6 + drift * np.log2(case.truth.scale / 8) / 2
            assert case.truth.x == pytest.approx(place, abs=0.1)


PUBLIC = Path(__file__).parents[3] / "shared" / "data" / "sweeps"


@pytest.mark.skipif(not PUBLIC.exists(), reason="public sweeps not at hand")
def test_public_series_have_three_scales_and_one_run_a_cell_and_seed(real_series: ModuleType) -> None:
    found = list(real_series.public_series(PUBLIC))
    assert len({s.project for s in found}) >= 8
    assert len({(s.project, s.name) for s in found}) == len(found)
    for series in found:
        assert series.runs["scale"].nunique() >= 3
        assert np.isfinite(series.runs["x"]).all()
        assert series.every is series.runs
