"""What a variant's fit says of its data as a whole, and the draws it keeps."""

import numpy as np
import pytest
from known_sweeps import join, make

from hptransfer.fit import quantify
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.holdout import Known
from hptransfer.quantify.law.siblings import TablePrior
from hptransfer.quantify.result import VariantFit
from hptransfer.quantify.settings import Settings
from hptransfer.quantify.variant_fit import FitContext, measure

SETTINGS = Settings((1024.0,), 0.95, 0.01, 200, 0, None, None, 0, 1.35, None)


def measured(sweep, kept: int = 150) -> VariantFit:
    basins = fit_basins(list(cells_of(sweep)), 200, 0)[0]
    return measure(Known(basins, None), [], 0, FitContext(sweep, SETTINGS, None, {}, kept))


@pytest.mark.parametrize(
    ("widths", "flag"),
    [
        ((64.0,), "no_laws: 1 usable scale, a law needs 3"),
        ((64.0, 128.0), "no_laws: 2 usable scales, a law needs 3"),
    ],
)
def test_without_laws_the_number_of_scales_is_said(widths, flag):
    fit = measured(make(widths=widths, noise=0.002))
    assert fit.flags == (flag, "one_seed")
    assert fit.laws == {}
    assert fit.predictions[0].flags == ("no_laws",)
    assert fit.optima[0].unpooled_hp is None


def test_seeds_and_duplicates_are_said():
    sweep = make(noise=0.002, seeds=2)
    assert measured(sweep).flags == ()
    assert measured(join(sweep, sweep)).flags == ("duplicates: 80 identical rows dropped",)


def test_draws_are_kept_in_single_precision_where_they_are_enough_to_use():
    sweep = make(noise=0.002)
    for kept, length in ((150, 150), (1000, 200), (100, 100)):
        draws = measured(sweep, kept).draws
        assert {d.shape for d in draws.values()} == {(length,)}
        assert {d.dtype for d in draws.values()} == {np.dtype(np.float32)}
    assert measured(sweep, 99).draws == {}
    assert "wider_is_worse" not in measured(sweep).draws  # it has none


def test_a_variants_draws_depend_on_its_place_among_all():
    sweep = make(noise=0.002)
    basins = fit_basins(list(cells_of(sweep)), 200, 0)[0]
    context = FitContext(sweep, SETTINGS, None, {}, 150)
    first, again, second = (measure(Known(basins, None), [], place, context) for place in (0, 0, 1))
    assert first.metrics == again.metrics
    assert first.metrics["drift"].low != second.metrics["drift"].low
    assert first.metrics["drift"].value == second.metrics["drift"].value


def test_optima_of_laws_are_pooled_and_keep_what_they_were():
    fit = quantify(make(noise=0.01), draws=200, holdout=0).variants["v"]
    moved = [np.log2(o.hp.value / o.unpooled_hp.value) for o in fit.optima]
    assert max(map(abs, moved)) > 1e-3


def test_the_other_variants_slopes_move_predictions_and_nothing_that_is_measured():
    sweep = make(noise=0.002, drift=-0.5)
    basins = fit_basins(list(cells_of(sweep)), 200, 0)[0]
    context = FitContext(sweep, SETTINGS, None, {}, 150)
    alone, beside = (
        measure(Known(basins, others), [], 0, context) for others in (None, TablePrior(-0.5, 0.02, 0.95))
    )
    assert beside.metrics == alone.metrics
    assert [(o.hp, o.loss) for o in beside.optima] == [(o.hp, o.loss) for o in alone.optima]
    assert beside.laws["hp"].exponent == alone.laws["hp"].exponent

    def octaves(fit: VariantFit) -> float:
        found = fit.predictions[0].hp
        return float(np.log2(found.high / found.low))

    assert octaves(beside) < octaves(alone)
    assert beside.laws["hp"].high[-1] < alone.laws["hp"].high[-1]
