"""What must not matter does not, and what must shift shifts as it should."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_sweeps import join, make

from hptransfer.errors import RuleError
from hptransfer.fit import quantify
from hptransfer.sweep.table import SweepTable

COLUMNS = ("variant", "scale", "hp", "seed", "loss")
NOISY = {"noise": 0.003, "seeds": 2}


def changed(sweep: SweepTable, **columns) -> SweepTable:
    return SweepTable(*(columns.get(c, getattr(sweep, c)) for c in COLUMNS))


def fitted(sweep: SweepTable, **options):
    return quantify(sweep, targets=(2048.0,), **options).variants["v"]


@pytest.fixture(scope="module")
def base():
    sweep = make(**NOISY)
    return sweep, fitted(sweep)


@settings(max_examples=6, deadline=None)
@given(st.floats(-12, 12))
def test_hp_axis_scaled(octaves):
    sweep = make(**NOISY)
    one, other = fitted(sweep), fitted(changed(sweep, hp=sweep.hp * 2.0**octaves))
    for a, b in zip(one.optima, other.optima, strict=True):
        assert np.log2(b.hp.value / a.hp.value) == pytest.approx(octaves, abs=1e-6)
        assert np.log2(b.hp.low / a.hp.low) == pytest.approx(octaves, abs=1e-6)
        assert b.log_curvature.value == pytest.approx(a.log_curvature.value, rel=1e-6)
    for name in ("drift", "alpha", "gamma", "kappa", "E", "E_hp", "R_n", "band"):
        assert other.metrics[name].value == pytest.approx(one.metrics[name].value, rel=1e-5, abs=1e-7)
    moved = np.log2(other.predictions[0].hp.value / one.predictions[0].hp.value)
    assert moved == pytest.approx(octaves, abs=1e-6)


def test_rows_permuted(base):
    sweep, one = base
    order = np.random.default_rng(1).permutation(len(sweep.loss))
    other = fitted(changed(sweep, **{c: getattr(sweep, c)[order] for c in COLUMNS}))
    assert other.optima[0].hp == one.optima[0].hp
    assert other.metrics == one.metrics
    assert other.predictions == one.predictions


def test_scale_relabelled(base):
    sweep, one = base
    other = quantify(changed(sweep, scale=sweep.scale * 1000), targets=(2_048_000.0,)).variants["v"]
    assert other.metrics["drift"].value == pytest.approx(one.metrics["drift"].value, abs=1e-9)
    assert other.predictions[0].hp.value == pytest.approx(one.predictions[0].hp.value, rel=1e-9)


def test_constant_added_to_the_loss(base):
    sweep, one = base
    other = fitted(changed(sweep, loss=sweep.loss + 0.5))
    for a, b in zip(one.optima, other.optima, strict=True):
        assert np.log2(b.hp.value / a.hp.value) == pytest.approx(0.0, abs=1e-6)
        assert b.loss.value - a.loss.value == pytest.approx(0.5, abs=1e-6)
    for name in ("drift", "gamma", "E_hp", "alpha", "kappa"):
        assert other.metrics[name].value == pytest.approx(one.metrics[name].value, abs=1e-5)
    shift = other.laws["loss"].parameters["L_inf"].value - one.laws["loss"].parameters["L_inf"].value
    assert shift == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize(("known", "other"), [("sp", "mup"), ("mup", "sp")])
def test_coordinates_differ_by_exactly_one(known, other):
    metrics = quantify(make(**NOISY), coordinates=known).variants["v"].metrics
    assert metrics[f"drift_{known}"] == metrics["drift"]
    assert metrics["drift_mup"].value - metrics["drift_sp"].value == pytest.approx(1.0, abs=1e-12)
    assert metrics["drift_mup"].low - metrics["drift_sp"].low == pytest.approx(1.0, abs=1e-12)


def test_relabelling_to_mup_coordinates_adds_one_to_the_drift():
    sweep = make(noise=0.001, grid=np.arange(-13.0, -2.0, 0.5))
    sp = quantify(sweep, coordinates="sp").variants["v"]
    mup = quantify(changed(sweep, hp=sweep.hp * sweep.scale / 64), coordinates="mup").variants["v"]
    assert mup.metrics["drift"].value - sp.metrics["drift"].value == pytest.approx(1.0, abs=1e-5)
    assert mup.metrics["drift_sp"].value == pytest.approx(sp.metrics["drift_sp"].value, abs=1e-5)
    assert mup.metrics["kappa"].value == pytest.approx(sp.metrics["kappa"].value, abs=1e-4)


@pytest.mark.parametrize("known", ["sp", "mup"])
def test_the_coordinates_of_sgd_are_one(known):
    sweep = replace(make(**NOISY), optimizers={"v": "sgd"})
    found = quantify(sweep, coordinates=known).variants["v"]
    assert found.metrics["drift_sp"] == found.metrics["drift_mup"] == found.metrics["drift"]
    assert found.verdict.other_cost is None


def test_each_variant_goes_by_its_own_optimizer():
    sweep = replace(join(make(), make(variant="w")), optimizers={"w": "sgd"})
    found = {name: v.metrics for name, v in quantify(sweep, coordinates="sp").variants.items()}
    assert found["v"]["drift_mup"].value - found["v"]["drift"].value == pytest.approx(1.0, abs=1e-12)
    assert found["w"]["drift_mup"] == found["w"]["drift"]


def test_an_unknown_optimizer_is_refused_before_anything_is_fitted():
    with pytest.raises(RuleError, match="one of adamw, adam, sgd, lion, muon, but got 'SGD'"):
        quantify(replace(make(), optimizers={"v": "SGD"}))


def test_same_seed_same_answer(base):
    sweep, one = base
    assert fitted(sweep).metrics == one.metrics
    assert fitted(sweep, seed=1).metrics["drift"].low != one.metrics["drift"].low


def test_other_variants_do_not_move_an_optimum(base):
    sweep, one = base
    both = quantify(join(sweep, make(variant="w", drift=0.0, **NOISY)), targets=(2048.0,)).variants["v"]
    for a, b in zip(one.optima, both.optima, strict=True):
        assert b.hp.value == pytest.approx(
            a.hp.value, rel=1e-3
        )  # pooling weighs by the draws, which pairing redraws


def test_more_seeds_do_not_widen_intervals():
    widths = {seeds: [] for seeds in (1, 4)}
    for seeds, found in widths.items():
        for seed in range(6):
            fit = quantify(make(noise=0.01, seeds=seeds, seed=seed), holdout=0, draws=400).variants["v"]
            found += [np.log2(o.hp.high / o.hp.low) for o in fit.optima if o.hp.low and o.hp.high]
    assert np.median(widths[4]) < 0.8 * np.median(widths[1])
