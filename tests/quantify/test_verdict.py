"""The two answers: what is yes, no or not known, what forbids a yes, and in whose coordinates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_sweeps import from_rows, join, make

import hptransfer as hpt
from hptransfer.quantify.result import Estimate, VariantFit
from hptransfer.quantify.verdict import word
from hptransfer.sweep.metric import as_metric
from hptransfer.sweep.table import SweepTable

FAULTS = Path(__file__).parents[3] / "shared" / "faults"


def fitted(sweep: SweepTable, **settings: object) -> VariantFit:
    return next(iter(hpt.quantify(sweep, **settings).variants.values()))


def basin(u: np.ndarray) -> np.ndarray:
    return 0.08 * u**2 * np.exp(0.15 * u)


def widths_at(optima: dict[float, float], noise: float = 0.002) -> SweepTable:
    """A width with its optimum wherever it is put, log2; half-octave grids about all of them."""
    low, high = min(optima.values()) - 3, max(optima.values()) + 3
    grid = np.arange(low, high + 0.1, 0.5)
    return join(
        *(
            make(widths=(n,), x0=x, drift=0.0, noise=noise, grid=grid, shape=basin, seed=int(n))
            for n, x in optima.items()
        )
    )


@pytest.mark.parametrize(
    ("keep", "law", "value"),
    [
        ("yes", "yes", "invariant"),
        ("yes", "no", "invariant"),
        ("no", "yes", "predictable"),
        ("not known", "yes", "predictable"),
        ("no", "no", "unpredictable"),
        ("no", "not known", "undecided"),
        ("not known", "no", "undecided"),
        ("not known", "not known", "undecided"),
    ],
)
def test_one_word_follows_from_both_answers(keep: str, law: str, value: str) -> None:
    assert word(keep, law) == value  # type: ignore[arg-type]


def test_a_settled_no_stands_though_the_law_is_not_known() -> None:
    """Three widths whose optimum falls like 1/width: no hold-out is possible, keeping is out."""
    found = fitted(widths_at({64.0: -6.0, 128.0: -7.0, 256.0: -8.0})).verdict
    assert (found.keep.value, found.extrapolate.value, found.value) == ("no", "not known", "undecided")
    assert found.keep.cost.low > found.tolerance
    assert found.keep.scale == 256.0
    assert found.keep.share.value == pytest.approx(found.keep.cost.value / 4.0, rel=0.1)
    assert found.extrapolate.why


@pytest.mark.parametrize("middle", [128.0, 256.0])
def test_every_measured_scale_is_judged_not_the_largest_alone(middle: float) -> None:
    optima = {64.0: -6.0, 128.0: -6.0, 256.0: -6.0, 512.0: -6.0} | {middle: -8.0}
    found = fitted(widths_at(optima)).verdict
    assert found.keep.value == "no"
    assert found.keep.scale == middle


def test_an_optimum_that_stays_may_be_kept_at_the_target_too() -> None:
    found = fitted(widths_at({64.0: -6.0, 128.0: -6.0, 256.0: -6.0, 512.0: -6.0}), targets=(1024.0,)).verdict
    assert (found.keep.value, found.value) == ("yes", "invariant")
    assert np.log2(found.kept_hp.value) == pytest.approx(-6.0, abs=0.15)
    assert found.error_cost.value == pytest.approx(0.08, rel=0.3)


def test_a_value_where_runs_diverge_is_not_kept() -> None:
    rows = [("v", 64.0, 2.0**x, "0", 3 + 0.08 * (x + 5.4) ** 2) for x in range(-10, -2)]
    rows += [
        ("v", 128.0, 2.0**x, "0", 2.8 + 0.08 * (x + 8) ** 2 if x < -6.5 else np.nan) for x in range(-12, -4)
    ]
    found = fitted(from_rows(rows)).verdict
    assert found.keep.value == "no"
    assert "diverged" in found.keep.cost.flags
    assert found.keep.cost.value >= 1.0  # what a diverged run counts for


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_same_study_in_tiny_units_is_never_a_silent_yes(shift: float) -> None:
    sweep = make(drift=-1.0, noise=0.002, grid=np.arange(-14.0, -4.0, 0.5))
    small = replace(sweep, loss=1e-3 * sweep.loss + shift)
    fit = fitted(small)
    assert "yes" not in (fit.verdict.keep.value, fit.verdict.extrapolate.value)
    assert any("tolerance" in why for why in fit.verdict.keep.why)
    assert "tolerance_large" in fit.flags
    called = fitted(as_metric(replace(small, loss=small.loss - shift), "mse"))
    assert called.verdict.keep.value == "no"
    assert called.verdict.tolerance == pytest.approx(
        0.05 * small.loss[small.scale == 512].min() - 0.05 * shift
    )


def test_the_answer_is_in_the_coordinates_of_the_user() -> None:
    """A LR that falls like 1/width in SP coordinates stays where it is for the user of muP."""
    sweep = make(drift=-1.0, noise=0.001, grid=np.arange(-14.0, -4.0, 0.5))
    alone = fitted(sweep, coordinates="sp").verdict
    assert (alone.keep.value, alone.exponent) == ("no", 0)
    assert alone.other_cost.high < 0.01
    mup = replace(sweep, own_coordinates={"v": "mup"}, base_scale=32.0)
    found = fitted(mup, coordinates="sp", targets=(1024.0,)).verdict
    assert (found.keep.value, found.coordinates, found.exponent) == ("yes", "mup", 1)
    assert found.kept_hp.value == pytest.approx(2 * alone.kept_hp.value, rel=1e-6)  # 64 is twice the base
    assert found.own(Estimate(0.5), 64.0).value == 1.0
    assert found.other_cost.low > 0.01
    sgd = replace(mup, optimizers={"v": "sgd"})
    assert fitted(sgd, coordinates="sp").verdict.exponent == 0


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("input/invariant_middle.csv", {"targets": (2048.0,)}),
        ("input/invariant_small_unit.csv", {"targets": (2048.0,)}),
        ("sweeps/small_mse_invariant.csv", {}),
    ],
)
def test_tables_that_were_wrongly_called_invariant(name: str, settings: dict[str, object]) -> None:
    if not (FAULTS / name).exists():
        pytest.skip("no such table here")
    for fit in hpt.quantify(hpt.read(FAULTS / name), **settings).variants.values():
        assert fit.verdict.keep.value != "yes"


def test_loss_laws_that_cross_flag_the_penalty_at_infinity() -> None:
    """One is best at small widths and the other at large ones: the envelope falls faster than either."""
    steep = make(variant="steep", loss=(2.0, 2.0, 0.6), noise=0.001)
    shallow = make(variant="shallow", loss=(2.4, 0.9, 0.25), noise=0.001, seed=1)
    fit = hpt.quantify(join(steep, shallow))
    values = [v.metrics["R_inf"] for v in fit.variants.values()]
    crossed = min(found.value for found in values) > 0
    assert all(("laws_cross" in found.flags) == crossed for found in values)
    named = hpt.quantify(join(steep, shallow), reference="steep").variants["shallow"]
    assert "laws_cross" not in named.metrics["R_inf"].flags
