"""What is thought of a series' departures from its law before its optima are looked at."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_sweeps import make

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.law import departure as module
from hptransfer.quantify.law.departure import departure, traits
from hptransfer.quantify.priors import DEPARTURE

FITTED = fit_basins(list(cells_of(make(noise=0.002))), 4000, 0)[0]


def series(sd: float = 0.07, width: float = 3.3, misfit: float = 0.05, apart: float = 0.08) -> Basins:
    """A series with these traits: octaves, root of nats per octave^2 to the -1, relative, octaves."""
    draws = np.random.default_rng(0).standard_normal(FITTED.x_draws.shape)
    draws = (draws - draws.mean(axis=0)) / draws.std(axis=0)
    return replace(
        FITTED,
        x_draws=FITTED.x + sd * draws,
        log_curvature=np.full(4, -2 * np.log(width)),
        misfit=misfit,
        apart=apart * np.array([1.0, -1.0, 1.0, -1.0]),
    )


def test_golden_traits() -> None:
    assert traits(series()) == pytest.approx(np.zeros(4), abs=0.02)  # a usual series
    more = np.array([np.log(0.31 / 0.08), np.log(2), np.log(3), np.log(0.42 / 0.1)])
    assert traits(series(0.3, 6.6, 0.15, 0.4)) - traits(series()) == pytest.approx(more, abs=1e-9)
    assert np.isfinite(traits(series(sd=0.0, apart=0.0))).all()
    none = replace(series(), apart=np.full(4, np.nan))  # optima of their own are not known
    assert traits(none) - traits(series()) == pytest.approx([0, 0, 0, np.log(0.12 / 0.1)], abs=1e-9)


@given(shift=st.floats(-5, 5), level=st.floats(-3, 3))
def test_traits_depend_on_no_level_and_no_unit(shift: float, level: float) -> None:
    basins = series()
    moved = replace(
        basins, x=basins.x + shift, x_draws=basins.x_draws + shift, loss=basins.loss + level,
        loss_draws=basins.loss_draws + level,
    )  # fmt: skip
    assert traits(moved) == pytest.approx(traits(basins), abs=1e-9)
    order = [2, 0, 3, 1]
    mixed = replace(basins, x=basins.x[order], x_draws=basins.x_draws[:, order], apart=basins.apart[order])
    assert traits(mixed) == pytest.approx(traits(basins), abs=1e-9)


def test_scales_without_a_fit_do_not_count() -> None:
    basins = series()
    off = np.array([5.0, 0.0, 0.0, 0.0])
    other = replace(
        basins, fitted=np.arange(4) > 0, x_draws=basins.x_draws * (1 + off), apart=basins.apart + off,
        log_curvature=basins.log_curvature + off,
    )  # fmt: skip
    assert traits(other) == pytest.approx(traits(basins), abs=0.01)


def test_a_usual_series_scatters_by_some_hundredths_and_turns_by_a_tenth() -> None:
    """Loosely: the numbers are learned, and learned again."""
    usual = departure(series())
    assert 0.02 < usual.scatter.median < 0.12
    assert 0.06 < usual.wander.median < 0.35
    for size in (usual.scatter, usual.wander):
        assert 0.35 < size.log_sd < 1.8
        assert 0.05 < size.none < 0.45
    assert 0.05 < usual.constant < 0.45
    assert 0.03 < usual.steady < 0.3


def test_no_series_is_so_unlike_others_that_its_law_holds_or_fails_by_its_traits_alone() -> None:
    usual = departure(series())
    for unlike in (series(0.01, 2.0, 0.01, 0.01), series(0.6, 15.0, 0.4, 0.6)):
        found = departure(unlike)
        for one, other in ((found.scatter, usual.scatter), (found.wander, usual.wander)):
            assert 0.2 < one.median / other.median < 5.0
            assert (one.log_sd, one.none) == (other.log_sd, other.none)
        assert 0.01 < found.steady < 0.6


@pytest.mark.parametrize("trait", range(4))
@pytest.mark.parametrize("name", ["scatter", "wander", "steady"])
def test_traits_change_what_is_thought_by_what_was_learned(
    trait: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each only its own: sizes by their logarithm, the probability by its logit."""
    flat = {f.name: (0.0,) * 4 for f in fields(DEPARTURE) if f.name.endswith("_by_trait")}
    alone = replace(DEPARTURE, **flat)
    effect = replace(alone, **{f"{name}_by_trait": tuple(0.5 * (np.arange(4) == trait))})
    unlike = series(0.2, 6.0, 0.15, 0.3)
    found = []
    for numbers in (alone, effect):
        monkeypatch.setattr(module, "DEPARTURE", numbers)
        d = departure(unlike)
        found.append([np.log(d.scatter.median), np.log(d.wander.median), np.log(d.steady / (1 - d.steady))])
    change = 0.5 * traits(unlike)[trait] * np.array([name == n for n in ("scatter", "wander", "steady")])
    assert np.subtract(found[1], found[0]) == pytest.approx(change, abs=1e-9)
    assert abs(change).max() > 0.2
