"""The basins of many variants: chunks of them together give what each gives alone."""

import numpy as np
import pytest
from known_sweeps import from_rows, join, make

from hptransfer.quantify.basin import fit as module
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import _batch, _parabola, fit_basins
from hptransfer.quantify.basin.window import select_windows

GRID = np.arange(-11.0, -6.0)


def few(count: int, widths=(64.0, 128.0, 256.0)):
    """Variants whose noise is their own."""
    parts = (make(variant=f"v{i}", widths=widths, grid=GRID, noise=0.004, seed=i) for i in range(count))
    return list(cells_of(join(*parts)))


@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_of_a_known_basin_is_found(seed):
    found = fit_basins(list(cells_of(make(noise=0.003, seed=seed))), 200, 0)[0]
    truth = np.array([-8.3, -8.8, -9.3, -9.8])
    assert found.x == pytest.approx(truth, abs=0.15)
    assert found.loss == pytest.approx(3 + 2.0 ** (-0.5 * np.arange(4)), abs=0.006)
    assert np.exp(found.log_curvature) == pytest.approx(np.full(4, 0.08), rel=0.2)
    away = np.abs(found.x_draws.mean(axis=0) - found.x) / found.x_draws.std(axis=0)
    assert away.max() < 0.5
    assert (np.abs(found.x - truth) / found.x_draws.std(axis=0)).max() < 4


def test_neighbours_do_not_change_a_fit(monkeypatch):
    cells = few(6)
    alone = [fit_basins([c], 100, 0)[0] for c in cells]
    monkeypatch.setattr(module, "THREADS", 1)
    together = fit_basins(cells, 100, 0)
    for one, other in zip(alone, together, strict=True):
        assert other.x == pytest.approx(one.x, abs=1e-9)
        assert other.noise == pytest.approx(one.noise, rel=1e-9)


def test_many_variants_are_drawn_alone_and_in_single_precision(monkeypatch):
    cells = few(5)
    monkeypatch.setattr(module, "PAIRED_MOST", 4)
    many = fit_basins(cells, 100, 0)
    assert {b.x_draws.dtype for b in many} == {np.dtype(np.float32)}
    split = [*fit_basins(cells[:2], 100, 0, total=5), *fit_basins(cells[2:], 100, 0, first=2, total=5)]
    for one, other in zip(many, split, strict=True):
        assert np.array_equal(one.x_draws, other.x_draws, equal_nan=True)
    moved = fit_basins(cells[2:], 100, 0, first=3, total=5)
    assert not np.array_equal(moved[0].x_draws, many[2].x_draws)


def test_of_variants_with_the_same_noise_draws_go_together():
    twins = join(make(variant="a", noise=0.01), make(variant="b", noise=0.01, loss=(3.1, 1.0, 0.5)))
    strangers = join(
        make(variant="a", noise=0.01), make(variant="b", noise=0.01, loss=(3.1, 1.0, 0.5), seed=1)
    )
    together = []
    for sweep in (twins, strangers):
        a, b = fit_basins(list(cells_of(sweep)), 2000, 0)
        together.append(np.corrcoef(a.loss_draws[:, 1], b.loss_draws[:, 1])[0, 1])
    assert together[0] > 0.6 > 0.3 > abs(together[1])


def test_variants_without_any_basin_stay_empty():
    edge = from_rows([("v", n, 2.0**x, "0", 3.0 + 0.1 * x) for n in (64.0, 128.0) for x in range(-9, -4)])
    (alone,) = fit_basins(list(cells_of(edge)), 100, 0)
    assert not alone.fitted.any()
    both = fit_basins([*cells_of(edge), *few(1)], 100, 0)
    assert [b.fitted.any() for b in both] == [False, True]


def test_the_search_starts_at_the_parabola_through_the_lowest_three_cells():
    x = np.array([-3.0, -2.0, -0.5])  # not evenly spaced
    (loss, vertex), log_curvature = _parabola(x, 1.0 + 0.5 * 0.3 * (x + 1.9) ** 2)
    assert loss == pytest.approx(1.0 + 0.15 * 0.01)
    assert vertex == pytest.approx(-1.9)
    assert log_curvature == pytest.approx(np.log(0.3))
    (_, held), _ = _parabola(x, np.array([3.0, 1.0, 1.0 - 1e-9]))
    assert held == pytest.approx(-2.0 + 0.75)  # half way to the next cell, at most
    (_, held), _ = _parabola(x, np.array([1.0 - 1e-9, 1.0, 3.0]))
    assert held == pytest.approx(-2.5)
    assert _parabola(x, np.ones(3))[1] == pytest.approx(np.log(1e-3))  # a flat basin bends by a little


def test_a_batch_is_padded_and_centred():
    small, large = few(1)[0], few(1, widths=(64.0, 128.0, 256.0, 512.0))[0]
    windows = [select_windows(c) for c in (small, large)]
    batch, start = _batch([small, large], windows)
    scales = [sum(len(w.slots) > 0 for w in found) for found in windows]
    assert batch.real.sum(axis=1).tolist() == scales
    for v in (0, 1):
        assert batch.t[v, batch.real[v]].mean() == pytest.approx(0.0)
        assert np.diff(batch.t[v, batch.real[v]]) == pytest.approx(1.0)
    assert batch.count[0, scales[0] :].sum() == 0
    assert (batch.spacing == 1.0).all()
    assert start.local[:, 0, :, 1] == pytest.approx(batch.x_prior_mean)
    assert start.shared[:, 0, 0] == pytest.approx(np.log(0.08), abs=0.3)
