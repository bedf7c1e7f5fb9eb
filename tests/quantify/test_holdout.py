"""Scales held out and predicted: by how much, with what interval, and where it cannot be done."""

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import make

from hptransfer.fit import quantify
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.holdout import Known, check, without_largest
from hptransfer.quantify.settings import Settings

SETTINGS = Settings((), 0.9, 0.01, 200, 0, None, None, 2, 1.35, None)


@pytest.fixture(scope="module")
def basins() -> Basins:
    return fit_basins(list(cells_of(make(noise=0.002, widths=(64.0, 128.0, 256.0, 512.0, 1024.0)))), 200, 0)[
        0
    ]


def refitted(basins: Basins, k: int) -> Basins | None:
    return without_largest([basins], k, SETTINGS, 0, 1)[0]


def known(basins: Basins, k: int) -> Known | None:
    cut = refitted(basins, k)
    return Known(cut, None) if cut else None


def test_a_refit_knows_nothing_of_the_scales_left_out(basins):
    cut = refitted(basins, 2)
    alone = fit_basins(list(cells_of(make(noise=0.002, widths=(64.0, 128.0, 256.0)))), 200, 0)[0]
    assert cut.cells.scale.tolist() == [64.0, 128.0, 256.0]
    assert {a.shape[0] for a in (cut.cells.x, cut.cells.count, cut.cells.runs, cut.cells.censored)} == {3}
    assert cut.x.shape == alone.x.shape
    assert cut.x == pytest.approx([-8.3, -8.8, -9.3], abs=0.1)
    assert refitted(basins, 5) is None
    few = without_largest(
        [basins, fit_basins(list(cells_of(make(widths=(64.0,)))), 200, 0)[0]], 1, SETTINGS, 0, 2
    )
    assert [b is None for b in few] == [False, True]


def test_the_smallest_of_the_scales_left_out_is_predicted(basins):
    found = check(basins, known(basins, 2), 2, SETTINGS, np.random.default_rng(0))
    assert found.scale == 512.0
    assert found.found.value == pytest.approx(2.0 ** basins.x[3])
    assert found.error_octaves == pytest.approx(np.log2(found.predicted.value) - basins.x[3])
    assert found.error_octaves == pytest.approx(0.0, abs=0.1)
    assert found.covered is True
    at = np.array([basins.x[3] + found.error_octaves])
    assert found.regret.value == pytest.approx(basins.regret_at(3, at)[0])
    for away in (-4.0, 4.0):
        moved = replace(basins, x=basins.x + away)
        assert check(moved, known(basins, 2), 2, SETTINGS, np.random.default_rng(0)).covered is False


def test_what_cannot_be_held_out_says_why(basins):
    nothing = check(basins, None, 5, SETTINGS, np.random.default_rng(0))
    assert (nothing.scale, nothing.flags, nothing.predicted.value) == (64.0, ("too_few_scales",), None)
    two = check(basins, known(basins, 3), 3, SETTINGS, np.random.default_rng(0))
    assert (two.scale, two.flags, two.predicted.flags) == (256.0, ("no_laws",), ("no_laws",))
    assert two.found.value == pytest.approx(2.0 ** basins.x[2])
    gone = replace(basins, fitted=np.arange(5) < 4, flags=(*basins.flags[:4], ("all_diverged",)))
    last = check(gone, known(basins, 1), 1, SETTINGS, np.random.default_rng(0))
    assert (last.covered, last.error_octaves, last.flags) == (None, None, ("all_diverged",))
    assert last.predicted.value is not None


def test_holdout_of_several_scales():
    fit = quantify(make(widths=(32.0, 64.0, 128.0, 256.0, 512.0), noise=0.002), holdout=2).variants["v"]
    assert [h.scale for h in fit.holdouts] == [256.0, 512.0]
    assert fit.holdouts[0].error_octaves == pytest.approx(0.0, abs=0.2)
    assert quantify(make(noise=0.002), holdout=0).variants["v"].holdouts == ()
