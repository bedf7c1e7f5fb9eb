"""QUANTIFY section 7: what the estimator must survive, each with its defined answer."""

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import from_rows, join, make

from hptransfer import quantify
from hptransfer.errors import SweepError
from hptransfer.sweep.table import SweepTable

GRID = np.arange(-13.0, -3.0)


def only(sweep, **options):
    return quantify(sweep, **options).variants["v"]


def test_one_seed_is_said():
    assert "one_seed" in only(make(noise=0.003)).flags
    assert "one_seed" not in only(make(noise=0.003, seeds=2)).flags


def test_unequal_grids():
    parts = [
        make(widths=(64.0,), grid=np.arange(-12.0, -4.0, 0.5), noise=0.002),
        make(widths=(128.0,), x0=-8.8, grid=np.arange(-11.3, -6.0), noise=0.002, loss=(3.0, 0.7, 0.5)),
        make(widths=(256.0,), x0=-9.3, grid=np.array([-12.1, -10.2, -9.0, -7.7]), noise=0.002),
    ]
    fit = only(join(*parts))
    found = [np.log2(o.hp.value) for o in fit.optima]
    assert found == pytest.approx([-8.3, -8.8, -9.3], abs=0.15)


def test_two_points_at_a_scale():
    two = make(widths=(1024.0,), x0=-10.3, grid=np.array([-11.0, -9.0]), noise=0.001)
    fit = only(join(make(noise=0.001), two))
    assert "at_edge" in fit.optima[-1].flags
    assert fit.laws


def test_one_scale_still_has_its_basin():
    fit = only(make(widths=(64.0,), noise=0.002), targets=(128.0,))
    assert np.log2(fit.optima[0].hp.value) == pytest.approx(-8.3, abs=0.15)
    assert fit.metrics["drift"].value is None
    assert "no_laws" in fit.metrics["drift"].flags
    assert fit.regret == ()
    assert fit.verdict.value == "undecided"


def test_a_scale_with_every_run_diverged():
    sweep = make(noise=0.002)
    loss = np.where(sweep.scale == 512.0, np.inf, sweep.loss)
    fit = only(SweepTable(sweep.variant, sweep.scale, sweep.hp, sweep.seed, loss))
    assert fit.optima[-1].flags == ("all_diverged",)
    assert fit.optima[-1].diverged == 10
    assert fit.laws
    assert fit.verdict.value == "undecided"
    assert fit.verdict.keep.value != "yes"


def test_everything_diverged():
    rows = [("v", n, 2.0**x, "0", np.nan) for n in (64, 128, 256) for x in range(-9, -4)]
    fit = only(from_rows(rows), targets=(512.0,))
    assert all("all_diverged" in o.flags for o in fit.optima)
    assert fit.predictions[0].hp.value is None


@pytest.mark.parametrize(("grid", "side"), [(np.arange(-8.0, -3.0), -1), (np.arange(-15.0, -10.0), 1)])
def test_optimum_on_an_edge(grid, side):
    edge = make(widths=(512.0,), x0=-9.8, grid=grid, noise=0.001)
    fit = only(join(make(widths=(64.0, 128.0, 256.0), noise=0.001), edge))
    last = fit.optima[-1]
    assert "at_edge" in last.flags
    limits = (last.hp.low, last.hp.high)
    assert (limits[0] is None) == (side < 0)
    assert (limits[1] is None) == (side > 0)
    assert fit.holdouts[0].covered is None
    assert fit.verdict.keep.value != "yes"


def test_divergence_bounds_an_edge_optimum():
    def wall(u):
        return np.where(u < 0.4, 0.04 * u**2 - 0.05 * u, np.nan)

    sweep = make(noise=0.0005, shape=wall)
    for optimum in only(sweep).optima:
        assert optimum.hp.high is not None
        assert "at_edge" in optimum.flags


def test_an_edge_optimum_bounds_the_law():
    few = make(widths=(64.0, 128.0, 256.0), drift=-0.3, noise=0.008, seed=3)
    edge = make(widths=(2048.0,), x0=-12.0, grid=np.arange(-11.4, -5.0), noise=0.001, loss=(3.0, 0.18, 0.5))
    alone, bounded = only(few, targets=(2048.0,)), only(join(few, edge), targets=(2048.0,))
    limit = bounded.optima[-1].hp.high
    assert alone.predictions[0].hp.high > limit
    assert {"edge_censored", "edge_contradicts_law"} & set(bounded.flags)


@pytest.mark.parametrize(("deep", "rival"), [(0.25, False), (0.306, True)])
def test_two_minima(deep, rival):
    def double(u):
        return 0.05 * u**2 - deep * np.exp(-0.5 * ((u - 2.5) / 0.5) ** 2)

    fit = only(make(noise=0.0005, shape=double, grid=np.arange(-13.3, -3.0, 0.5), drift=0.0))
    for optimum in fit.optima:
        assert np.log2(optimum.hp.value) == pytest.approx(-8.3, abs=0.1)
        assert ("two_minima" in optimum.flags) == rival


def test_noise_larger_than_the_basin():
    held = []
    for seed in range(4):
        fit = only(make(noise=0.5, seeds=2, seed=seed), targets=(2048.0,))
        assert fit.verdict.value == "undecided"
        for optimum, truth in zip(fit.optima, (-8.3, -8.8, -9.3, -9.8), strict=True):
            if optimum.hp.low is not None and optimum.hp.high is not None:
                low, high = np.log2(optimum.hp.low), np.log2(optimum.hp.high)
                assert high - low > 1.0
                held.append(low <= truth <= high)
    assert np.mean(held) > 0.7


def test_scales_over_five_decades():
    scales = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
    fit = only(make(widths=scales, drift=-0.2, noise=0.001, grid=np.arange(-16.0, -4.0)), targets=(1e9,))
    assert fit.metrics["drift"].value == pytest.approx(-0.2, abs=0.03)


def test_losses_of_zero():
    sweep = make(noise=0.0)
    zero = SweepTable(sweep.variant, sweep.scale, sweep.hp, sweep.seed, np.zeros_like(sweep.loss))
    fit = only(zero, targets=(1024.0,))
    assert fit.metrics["E"].value is None or fit.metrics["E"].value >= 0
    exact = SweepTable(
        sweep.variant,
        sweep.scale,
        sweep.hp,
        sweep.seed,
        np.maximum(sweep.loss - 4.0, 0.0),
    )
    assert only(exact).optima[0].loss.value is not None


def test_duplicated_rows_are_dropped_and_said():
    sweep = make(noise=0.003)
    twice = join(sweep, sweep)
    one, two = only(sweep), only(twice)
    assert two.optima[0].hp == one.optima[0].hp
    assert any(flag.startswith("duplicates: 40") for flag in two.flags)


def test_a_loss_column_of_strings():
    sweep = make()
    with pytest.raises(SweepError):
        quantify(SweepTable(sweep.variant, sweep.scale, sweep.hp, sweep.seed,
                           np.array(["fine"] * len(sweep.loss))))  # fmt: skip


@pytest.mark.parametrize(("column", "value"), [("hp", -1.0), ("hp", 0.0), ("scale", np.nan), ("hp", np.inf)])
def test_columns_that_must_be_positive(column, value):
    sweep = make()
    columns = {c: getattr(sweep, c).copy() for c in ("variant", "scale", "hp", "seed", "loss")}
    columns[column][3] = value
    with pytest.raises(SweepError, match="must be positive"):
        quantify(SweepTable(**columns))


def test_an_empty_sweep():
    empty = np.zeros(0)
    with pytest.raises(SweepError, match="at least one run"):
        quantify(SweepTable(empty.astype(str), empty, empty, empty.astype(str), empty))


def test_a_run_above_its_initial_loss_diverged():
    sweep = make(noise=0.001)
    rising = SweepTable(
        sweep.variant, sweep.scale, sweep.hp, sweep.seed, sweep.loss,
        extra={"initial_loss": np.full(len(sweep.loss), 4.3)},
    )  # fmt: skip
    assert sum(o.diverged for o in only(rising).optima) == int((sweep.loss > 4.3).sum())


def test_partly_diverged_cell_is_not_averaged_over_its_survivors():
    sweep = make(noise=0.001, seeds=2)
    loss = sweep.loss.copy()
    top = (sweep.hp == sweep.hp.max()) & (sweep.seed == "0")
    loss[top] = np.nan
    fit = only(SweepTable(sweep.variant, sweep.scale, sweep.hp, sweep.seed, loss))
    assert [o.diverged for o in fit.optima] == [1, 1, 1, 1]


def test_many_variants():
    rows = []
    rng = np.random.default_rng(0)
    for i in range(150):
        for n in (64.0, 128.0, 256.0):
            for x in range(-12, -5):
                loss = 3 + 0.04 * (x + 8.3 + 0.5 * np.log2(n / 64)) ** 2 + 0.002 * rng.standard_normal()
                rows.append((f"v{i}", n, 2.0**x, "0", loss))
    fit = quantify(from_rows(rows), draws=200, holdout=0)
    drifts = np.array([v.metrics["drift"].value for v in fit.variants.values()])
    assert np.median(drifts) == pytest.approx(-0.5, abs=0.02)


@pytest.mark.parametrize("size", [1e-30, 1e6, 1e14, 1e22, 3e37])
@pytest.mark.parametrize("offset", [0.0, -5.0])
def test_losses_of_absurd_size(size, offset):
    sweep = make(noise=0.003, seeds=2)
    fit = only(replace(sweep, loss=(sweep.loss + offset) * size), targets=(1024.0,), draws=100)
    assert all(o.hp.value is not None for o in fit.optima) == (size < 1e15)
    assert fit.verdict.keep.value == "not known" or 1 < size < 1e15
