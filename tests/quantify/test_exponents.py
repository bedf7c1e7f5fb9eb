"""Exponents of the laws, and kappa of them."""

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import make

from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.exponents import exponents
from hptransfer.quantify.law.laws import fit_laws


@pytest.fixture(scope="module")
def laws():
    sweep = make(widths=(64.0, 128.0, 256.0, 512.0, 1024.0), noise=0.002)
    return fit_laws(fit_basins(list(cells_of(sweep)), 200, 0)[0], None, np.random.default_rng(0))


def test_kappa_is_alpha_less_twice_beta_plus_gamma(laws):
    found = exponents(laws)
    kappa = found.kappa(found.beta)
    assert kappa.value == pytest.approx(found.alpha.value - 2 * found.beta.value + found.gamma.value)
    assert kappa.draws == pytest.approx(found.alpha.draws - 2 * found.beta.draws + found.gamma.draws)
    assert found.beta.value == -found.drift.value
    # With beta of the power family, 2 beta cancels but for the exponent of the log curvature.
    slope = laws.log_curvature.parameters[1] / np.log(2)
    assert kappa.value == pytest.approx(found.alpha.value + slope)


def test_exponents_are_those_of_the_laws(laws):
    found, power, h = exponents(laws), laws.families["power"], laws.log_curvature
    assert found.drift.value == power.parameters[1] == pytest.approx(-0.5, abs=0.02)
    assert np.array_equal(found.drift.draws, power.draws[:, 1])
    assert np.array_equal(found.beta.draws, -power.draws[:, 1])
    assert found.alpha.value == laws.loss.alpha == pytest.approx(0.5, abs=0.05)
    assert found.gamma.value == pytest.approx(h.parameters[1] / np.log(2) - 2 * power.parameters[1])
    assert found.gamma.draws == pytest.approx(h.draws[:, 1] / np.log(2) - 2 * power.draws[:, 1])
    assert found.beta_offset.value == laws.families["offset"].parameters[1]


def test_bounds_are_told_once(laws):
    loss = replace(laws.loss, point_at_bound=("A at 0", "alpha at an end"))
    offset = replace(laws.families["offset"], at_bound=True)
    found = exponents(replace(laws, loss=loss, families={**laws.families, "offset": offset}))
    assert found.alpha.flags == found.beta_offset.flags == ("at_bound",)
    assert found.kappa(found.beta_offset).flags == found.kappa(found.beta).flags == ("at_bound",)
    assert found.beta.flags == found.gamma.flags == ()
    few = {name: law for name, law in laws.families.items() if name != "offset"}
    assert exponents(replace(laws, families=few)).beta_offset is None
