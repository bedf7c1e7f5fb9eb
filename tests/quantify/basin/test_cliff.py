"""A cliff is not a basin's side: measured runs whose loss leaps by a nat within one octave."""

import numpy as np
import pytest

from hptransfer.fit import quantify
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.window import select_window
from hptransfer.sweep.table import SweepTable

# Validation losses of runs trained by this package (muP, one seed): width -> (log2 lr of the first, losses).
MEASURED = {
    32: (-9.0, [5.039, 4.660, 4.329, 4.134, 4.101, 4.103, 4.862, 5.260]),
    48: (-9.585, [4.870, 4.417, 4.121, 3.998, 3.995, 4.008, 4.914, 5.203]),
    64: (-10.0, [4.768, 4.321, 4.048, 3.956, 3.931, 3.988, 4.746, 5.186]),
    96: (-10.585, [4.605, 4.177, 3.952, 3.872, 3.884, 3.930, 3.977, 5.054]),
    128: (-11.0, [4.482, 4.102, 3.916, 3.841, 3.844, 3.906, 3.991, 5.069]),
}


def sweep_of(table: dict[int, tuple[float, list[float]]]) -> SweepTable:
    rows = [
        (width, 2.0 ** (start + i), loss)
        for width, (start, losses) in table.items()
        for i, loss in enumerate(losses)
    ]
    scale, hp, loss = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    names = np.array(["v"] * len(rows)), np.array(["0"] * len(rows))
    return SweepTable(names[0], scale, hp, names[1], loss)


def test_optima_lie_where_the_lowest_runs_are() -> None:
    fit = quantify(sweep_of(MEASURED), draws=200).variants["v"]
    for optimum in fit.optima:
        start, losses = MEASURED[int(optimum.scale)]
        y = losses[(b := int(np.argmin(losses))) - 1 : b + 2]
        parabola = start + b + 0.5 * (y[0] - y[2]) / (y[0] - 2 * y[1] + y[2])
        assert optimum.hp.value is not None
        assert np.log2(optimum.hp.value) == pytest.approx(parabola, abs=0.5)  # pooled over widths
        # Of one run each: the lowest lies within the interval of the mean and the noise of a run, 0.01 nats.
        assert optimum.loss.value == pytest.approx(min(losses), abs=0.03)
        assert optimum.loss.low - 0.01 < min(losses) < optimum.loss.high + 0.01


def slots_of(losses: list[float]) -> list[int]:
    (cells,) = cells_of(sweep_of({64: (-9.0, losses)}))
    return list(select_window(cells, 0).slots)


def test_a_cliff_is_cut_and_bounds_the_optimum() -> None:
    assert slots_of([4.4, 4.1, 4.0, 3.98, 4.02, 5.0, 5.3]) == [0, 1, 2, 3, 4]
    (cells,) = cells_of(sweep_of({64: (-9.0, [4.4, 4.1, 4.0, 3.98, 4.02, 5.0, 5.3])}))
    assert select_window(cells, 0).high >= -4.0


@pytest.mark.parametrize(
    "losses",
    [
        [3.0 + 0.1 * u**2 for u in range(-3, 4)],
        [3.0 + 0.02 * u**4 for u in range(-3, 4)],  # flat-bottomed
        [3.0 + 0.02 * (u - 0.5) ** 4 for u in range(-2, 4)],
    ],
)
def test_a_basins_own_side_is_kept(losses: list[float]) -> None:
    best = int(np.argmin(losses))
    assert {best + 1, best + 2} <= set(slots_of(losses))


def test_a_regret_outside_the_fit_is_what_runs_there_gave() -> None:
    fit = quantify(sweep_of(MEASURED), draws=200, coordinates="sp").variants["v"]
    kept = next(r.regret for r in fit.regret if (r.source, r.to) == (32, 128))
    eta = fit.optima[0].hp.value
    assert eta is not None
    start, losses = MEASURED[128]
    seen = float(np.interp(np.log2(eta), start + np.arange(len(losses)), losses)) - min(losses)
    assert kept.value == pytest.approx(seen, abs=0.05)
    assert "or in muP coordinates" in fit.verdict.reason
