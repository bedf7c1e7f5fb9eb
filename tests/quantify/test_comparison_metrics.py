"""Published metrics for comparison, against their definitions written out."""

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import from_rows, make

from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.comparison_metrics import (
    argmin_equality,
    fast_transfer,
    near_optimal_bands,
    sensitivity,
    wider_is_worse,
)
from hptransfer.quantify.law.laws import fit_laws


@pytest.fixture(scope="module")
def basins():
    sweep = make(widths=(64.0, 128.0, 256.0, 512.0, 1024.0), noise=0.002)
    return fit_basins(list(cells_of(sweep)), 200, 0)[0]


def test_the_band_is_where_the_loss_is_within_a_quarter_per_cent(basins):
    width = near_optimal_bands(basins, 0.95).width.estimate.value
    k, half = len(basins.fitted) - 1, np.linspace(-3, 3, 6001)
    inside = half[basins.excess_at(k, basins.x[k] + half) <= 0.0025 * basins.loss[k]]
    assert width == pytest.approx(inside[-1] - inside[0], rel=0.02)


def test_the_sensitivity_counts_no_more_than_the_initial_loss(basins):
    low = sensitivity(basins, float(basins.loss[-1]) + 0.01, 0.95).estimate
    assert 0.0 < low.value < 0.01
    assert "initial_loss_unknown" in sensitivity(basins, None, 0.95).estimate.flags


def test_the_sensitivity_is_the_mean_over_three_decades_about_the_optimum(basins):
    k, half = 4, 1.5 * np.log2(10.0)
    cells = basins.cells
    x = np.linspace(basins.x[k] - half, basins.x[k] + half, 101)
    for initial in (3.6, 1e9):
        expected = np.interp(x, cells.x[k], np.minimum(cells.loss[k], initial)).mean() - basins.loss[k]
        wide = replace(basins, cells=replace(cells, x=cells.x + np.where(cells.x < -10, -9.0, 9.0)))
        inside = np.interp(x, wide.cells.x[k], np.minimum(cells.loss[k], initial)).mean() - basins.loss[k]
        found, far = (sensitivity(b, initial, 0.95).estimate for b in (basins, wide))
        assert far.value == pytest.approx(inside)
        assert far.flags == ()
        assert found.flags == (("narrow_grid",) if x[0] < cells.x[k, 0] else ())
        if not found.flags:
            assert found.value == pytest.approx(expected)


def test_an_unknown_initial_loss_is_the_highest_seen_and_diverged_cells_count_so_much(basins):
    loss = basins.cells.loss.copy()
    loss[4, -1] = np.nan
    diverged = replace(basins, cells=replace(basins.cells, loss=loss))
    highest = float(np.nanmax(loss[4]))
    unknown, known = (sensitivity(diverged, initial, 0.95).estimate for initial in (None, highest))
    assert unknown.value == pytest.approx(known.value)
    assert "initial_loss_unknown" not in known.flags
    nothing = replace(basins, fitted=np.zeros(5, dtype=bool))
    assert sensitivity(nothing, None, 0.95).estimate.flags == ("no_optimum",)
    assert near_optimal_bands(nothing, 0.95).overlap.estimate.flags == ("no_optimum",)


def test_bands_overlap_by_what_they_share(basins):
    found = near_optimal_bands(basins, 0.95)
    half = np.linspace(-3, 3, 6001)
    ends = []
    for k in range(5):
        inside = half[basins.excess_at(k, basins.x[k] + half) <= 0.0025 * basins.loss[k]]
        ends.append(basins.x[k] + inside[[0, -1]])
    low, high = np.array(ends).T
    shared = max(high.min() - low.max(), 0.0) / (high.max() - low.min())
    assert found.overlap.estimate.value == pytest.approx(shared, abs=0.01)
    still = replace(basins, x=np.array([-9.0, -8.9, -8.8, -8.9, -8.7]))
    assert near_optimal_bands(still, 0.95).overlap.estimate.value > 0.5
    one = replace(basins, fitted=np.arange(5) == 2)
    assert near_optimal_bands(one, 0.95).overlap.estimate.flags == ("too_few_scales",)


@pytest.mark.parametrize(("octaves", "flags"), [(-6.0, ()), (-12.0, ("wider_than_grid",))])
def test_a_band_as_wide_as_can_be_looked_for_is_flagged(basins, octaves, flags):
    """A parabola h u^2 / 2 is 0.0025 L at u = sqrt(0.005 L / h): about 2.7 and 21 octaves here."""
    flat = replace(basins, shape=np.zeros(11), log_curvature=np.full(5, octaves))
    width = near_optimal_bands(flat, 0.95).width.estimate
    assert width.flags == flags
    expected = min(2 * np.sqrt(0.005 * basins.loss[4] / np.exp(octaves)), 12.0)
    assert width.value == pytest.approx(expected, rel=0.02)


def test_the_same_argmin_is_that_of_the_smallest_scale(basins):
    rng = np.random.default_rng(0)
    rows = [("v", n, 2.0**x, "0", (x + 8 + shift) ** 2) for n, shift in ((64.0, 0), (128.0, 0), (256.0, 1))
            for x in range(-12, -4)]  # fmt: skip
    exact = fit_basins(list(cells_of(from_rows(rows))), 100, 0)[0]
    found = argmin_equality(exact, 0.95, rng).estimate
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)
    noisy = argmin_equality(replace(exact, noise=0.8), 0.95, rng)
    assert 0.2 < noisy.draws.mean() < 0.5
    assert set(np.unique(noisy.draws)) == {0.0, 0.5, 1.0}
    one = fit_basins(list(cells_of(make(widths=(64.0,)))), 100, 0)[0]
    assert argmin_equality(one, 0.95, rng).estimate.flags == ("too_few_scales",)


def test_noise_decides_the_argmin_by_the_sd_of_cell_means():
    """Two cells 1 sd of one run apart, of 4 runs each: the lower wins where its mean's noise is 2 sd less."""
    rows = [("v", n, 2.0**x, str(s), y) for n in (64.0, 128.0) for s in range(4)
            for x, y in ((-3, 4.0), (-2, 3.0), (-1, 3.1), (0, 9.0))]  # fmt: skip
    basins = replace(fit_basins(list(cells_of(from_rows(rows))), 4000, 0)[0], noise=0.1)
    draws = argmin_equality(basins, 0.95, np.random.default_rng(0)).draws
    swap = 0.0786  # P(N(0.1, 2 x 0.05^2) < 0)
    assert draws.mean() == pytest.approx(swap**2 + (1 - swap) ** 2, abs=0.02)


@pytest.mark.parametrize(("rise", "worse"), [(1.9, 0.0), (2.1, 0.5)])
def test_a_larger_model_is_worse_where_its_loss_rises_by_two_standard_errors(rise, worse):
    noise, runs = 0.01, 2
    error = noise * np.sqrt(1 / runs + 1 / runs)
    table = {64.0: (3.0, 2.9, 3.0, 3.2), 128.0: (3.0 + rise * error, 2.8, 3.0 + rise * error, 3.2)}
    rows = [
        ("v", n, 2.0**x, str(s), y)
        for s in range(runs)
        for n, losses in table.items()
        for x, y in enumerate(losses)
    ]
    basins = replace(fit_basins(list(cells_of(from_rows(rows))), 100, 0)[0], noise=noise)
    assert wider_is_worse(basins).estimate.value == worse
    near = replace(basins.cells, x=basins.cells.x + np.array([[0.0], [4e-7]]))  # another spelling of a value
    assert wider_is_worse(replace(basins, cells=near)).estimate.value == worse
    apart = make(widths=(64.0,)).hp[0]
    other = from_rows([("v", 64.0, apart, "0", 3.0), ("v", 128.0, 1.5 * apart, "0", 2.0)])
    assert wider_is_worse(fit_basins(list(cells_of(other)), 100, 0)[0]).estimate.flags == ("no_common_cells",)


def test_fast_transfer_is_beta_of_the_offset_less_half_of_alpha(basins):
    laws = fit_laws(basins, None, np.random.default_rng(0))
    found = fast_transfer(laws, 0.95)
    offset = laws.families["offset"]
    assert found.estimate.value == pytest.approx(offset.parameters[1] - 0.5 * laws.loss.parameters[2])
    assert found.draws == pytest.approx(offset.draws[:, 1] - 0.5 * laws.loss.draws[:, 2])
    assert found.estimate.flags == (("at_bound",) if offset.at_bound else ())
    assert fast_transfer(None, 0.95).estimate.flags == ("no_laws",)
    few = replace(laws, families={"power": laws.families["power"]})
    assert fast_transfer(few, 0.95).estimate.flags == ("offset_needs_4_scales",)
