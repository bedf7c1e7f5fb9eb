"""A scale's own parabola: where it is, how well it is known, and how far an optimum follows it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_sweeps import make

from hptransfer.quantify.basin import own_runs
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.basin.own_runs import own_optima, vertex, with_own_runs

HALF = np.arange(-11.0, -4.9, 0.5)


def wiggly(x: np.ndarray, at: float = -8.1, seed: int = 0) -> np.ndarray:
    return 3.0 + 0.05 * (x - at) ** 2 + 0.001 * np.random.default_rng(seed).standard_normal(len(x))


@pytest.mark.parametrize("spacing", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("at", [-8.1, -7.97, -8.4])
def test_a_parabola_has_its_vertex(spacing: float, at: float) -> None:
    x = np.arange(-12.0, -3.9, spacing)
    found, _ = vertex(x, 3.0 + 0.05 * (x - at) ** 2, np.full(len(x), 0.001))
    assert found == pytest.approx(at, abs=1e-9)


def test_golden_vertices() -> None:
    x = np.array([-9.0, -8.0, -7.0, -6.0])
    # y0 - 2 y1 + y2 = 0.3; vertex (0.2 - 0.1) / (2 x 0.3) right of -8.
    at, sd = vertex(x, np.array([3.2, 3.0, 3.1, 3.5]), np.full(4, 0.01))
    assert at == pytest.approx(-8 + 1 / 6)
    # Derivatives (y2 - y1, y0 - y2, y1 - y0) / bend^2, and half of them to each side: by hand.
    by_hand = np.array([0.1, 0.1, -0.2]) / 0.09
    assert sd == pytest.approx(0.01 * np.sqrt(by_hand @ by_hand), rel=1e-6)


@given(seed=st.integers(0, 10_000), spacing=st.sampled_from([0.25, 0.5, 1.0]))
def test_its_sd_is_what_the_noise_of_cells_does_to_it(seed: int, spacing: float) -> None:
    x = np.arange(-11.0, -4.9, spacing)
    loss, noise = wiggly(x, seed=seed), np.linspace(0.5e-3, 2e-3, len(x))
    at, sd = vertex(x, loss, noise)
    moved = [vertex(x, loss + 1e-7 * one, noise)[0] - at for one in np.eye(len(x))]
    assert sd == pytest.approx(np.sqrt(np.sum((np.array(moved) / 1e-7 * noise) ** 2)), rel=1e-3)


@given(level=st.floats(-2, 2), shift=st.floats(-5, 5), size=st.floats(0.1, 10))
def test_it_moves_with_the_grid_and_not_with_the_level_or_unit_of_the_loss(
    level: float, shift: float, size: float
) -> None:
    loss, noise = wiggly(HALF), np.full(len(HALF), 0.001)
    at, sd = vertex(HALF, loss, noise)
    other = vertex(HALF + shift, size * loss + level, size * noise)
    assert other == pytest.approx((at + shift, sd), abs=1e-7)
    mirrored = vertex(-HALF[::-1], loss[::-1], noise)
    assert mirrored == pytest.approx((-at, sd), abs=1e-9)


def test_only_cells_near_the_lowest_count() -> None:
    x = np.arange(-11.0, -4.9, 0.25)
    loss, noise = 3.0 + 0.05 * (x + 8.1) ** 2, np.full(25, 0.001)
    at, _ = vertex(x, loss, noise)
    best = x[np.argmin(loss)]
    for distance, counts in ((0.5, True), (1.0, False)):
        other = loss + 0.004 * (np.abs(x - best - distance) < 0.01)
        assert (abs(vertex(x, other, noise)[0] - at) > 1e-6) == counts
    # On an octave grid the neighbours of the lowest cell are as near as any.
    assert np.isfinite(vertex(x[::4], loss[::4], noise[::4])).all()


def test_where_nothing_bends_up_or_an_end_is_lowest_there_is_none() -> None:
    noise = np.full(5, 0.001)
    for loss in ([1.0, 2, 3, 4, 5], [5.0, 4, 3, 2, 1]):
        assert np.isnan(vertex(np.arange(5.0), np.array(loss), noise)).all()
    # Of seven near cells those further off lie lower than the neighbours: the three around the lowest count.
    x, crown = np.arange(-0.75, 0.8, 0.25), np.array([0.1, 0.9, 1.0, 0.0, 1.0, 0.9, 0.1])
    assert vertex(x, crown, np.full(7, 0.001))[0] == pytest.approx(0.0, abs=1e-9)


def test_a_vertex_that_is_hardly_known_is_known_to_four_octaves() -> None:
    loss = np.array([3.001, 3.0, 3.0005])
    assert vertex(np.array([-9.0, -8.0, -7.0]), loss, np.full(3, 0.1))[1] == own_runs.LARGEST_SD == 4.0


@pytest.fixture(scope="module")
def basins() -> Basins:
    return fit_basins(list(cells_of(make(noise=0.0005, grid=HALF - 1.0))), 4000, 0)[0]


def apart(basins: Basins, away: float, *, spread: float = 1e-6, own_sd: float | None = None) -> Basins:
    """All optima `away` octaves left of their own runs' vertices, which are known to `own_sd`."""
    own = own_optima(basins)
    x = own.x - away
    draws = x + spread * np.random.default_rng(1).standard_normal(basins.x_draws.shape)
    noise = basins.noise if own_sd is None else basins.noise * own_sd / float(np.median(own.sd))
    return replace(basins, x=x, x_draws=draws, noise=noise)


def test_an_optimum_is_moved_towards_its_own_runs_and_less_certain_the_further_off(basins: Basins) -> None:
    for away in (0.1, -0.3):
        before = apart(basins, away)
        after = with_own_runs(before, np.random.default_rng(2))
        assert after.apart == pytest.approx(np.full(4, away))
        share = (after.x - before.x) / away
        assert ((share > 0.3) & (share < 0.8)).all()
        added = after.x_draws.std(axis=0) / abs(away)
        assert ((added > 0.25) & (added < 0.9)).all()
        assert after.x_draws.mean(axis=0) == pytest.approx(after.x, abs=0.03 * abs(away))
    same = apart(basins, 0.0)
    still = with_own_runs(same, np.random.default_rng(2))
    assert np.array_equal(still.x, same.x)
    assert np.array_equal(still.x_draws, same.x_draws)


def test_noise_that_hides_the_vertex_keeps_the_optimum_where_it_is(basins: Basins) -> None:
    def moved(own_sd: float) -> tuple[float, float]:
        before = apart(basins, 0.2, own_sd=own_sd)
        after = with_own_runs(before, np.random.default_rng(2))
        return float(np.median(after.x - before.x)), float(np.median(after.x_draws.std(axis=0)))

    known, half, unknown = moved(0.002), moved(0.2), moved(2.0)
    assert 0.25 < half[0] / known[0] < 0.75
    assert unknown[0] / known[0] < 0.05
    assert unknown[1] < half[1] < known[1]


@pytest.mark.parametrize(
    ("away", "spread", "own_sd", "differs"),
    [
        (0.08, 1e-6, 1e-6, False),
        (0.13, 1e-6, 1e-6, True),
        (0.33, 0.1, 1e-6, False),
        (0.38, 0.1, 1e-6, True),
        (-0.38, 0.1, 1e-6, True),
        (0.33, 1e-6, 0.1, False),
        (0.43, 1e-6, 0.1, True),
    ],
)
def test_a_distance_that_neither_error_allows_is_flagged(
    basins: Basins, away: float, spread: float, own_sd: float, differs: bool
) -> None:
    found = with_own_runs(apart(basins, away, spread=spread, own_sd=own_sd), np.random.default_rng(2))
    assert ["own_runs_differ" in flags for flags in found.flags] == [differs] * 4


def test_a_scale_without_a_vertex_of_its_own_keeps_its_optimum(basins: Basins) -> None:
    """Its lowest cell is the outermost that is left."""
    before = apart(basins, 0.2)
    loss = before.cells.loss.copy()
    loss[0, np.flatnonzero(before.cells.usable[0])[0]] = 0.0
    before = replace(before, cells=replace(before.cells, loss=loss))
    after = with_own_runs(before, np.random.default_rng(2))
    assert np.isnan(after.apart).tolist() == [True, False, False, False]
    assert after.x[0] == before.x[0]
    assert np.array_equal(after.x_draws[:, 0], before.x_draws[:, 0])
    assert "own_runs_differ" not in after.flags[0]


def test_the_optimum_stays_between_the_cells_that_bound_it(basins: Basins) -> None:
    before = apart(basins, 0.4)
    near = replace(before, high=before.x + 0.05, low=before.x - 0.05)
    after = with_own_runs(near, np.random.default_rng(2))
    assert after.x == pytest.approx(near.high)
    assert (after.x_draws <= near.high).all()
    assert (after.x_draws >= near.low).all()
