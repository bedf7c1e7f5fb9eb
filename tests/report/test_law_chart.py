"""What the figures of the laws hold, before a back end draws them."""

from dataclasses import replace

import numpy as np
import pytest

from hptransfer.fit import TransferFit
from hptransfer.quantify.result import Estimate, VariantFit
from hptransfer.report import charts, law_chart, number_format, sentences


def _marks(panel: charts.Panel, kind: type) -> list:
    return [mark for mark in panel.marks if isinstance(mark, kind)]


def test_the_law_is_solid_where_it_was_measured_and_dashed_beyond(fit: TransferFit) -> None:
    (panel,) = law_chart.optimum_laws(fit, [fit.variants["sp"]]).panels
    _, inside, beyond = _marks(panel, charts.Line)  # the first holds the other variants' laws
    assert (inside.dashed, beyond.dashed) == (False, True)
    assert inside.x.max() <= np.log2(128) + 1e-9
    assert beyond.x[0] == inside.x[-1]  # nothing is left out between them
    assert beyond.x[-1] == pytest.approx(10)
    assert inside.texts[0].startswith("law at width 32\n2^-6.10 = ")
    (band,) = _marks(panel, charts.Band)
    assert (band.low < band.high).all()


def test_split_at_the_largest_scale() -> None:
    scale = np.array([32.0, 64.0, 128.0, 256.0])
    inside, beyond = law_chart.split_at(scale, 128.0)
    assert inside.tolist() == [True, True, True, False]
    assert beyond.tolist() == [False, False, True, True]
    assert law_chart.split_at(scale, 0.0)[1].all()


def test_measured_and_predicted_points_stand_with_their_intervals(fit: TransferFit) -> None:
    (panel,) = law_chart.optimum_laws(fit, [fit.variants["sp"]]).panels
    measured, predicted = _marks(panel, charts.Points)
    assert measured.symbol == ("circle",) * 5
    assert measured.y_error == pytest.approx(np.full((2, 5), 0.09))
    assert predicted.symbol == ("diamond",)
    assert predicted.x.tolist() == [10.0]
    assert predicted.texts[0].startswith("predicted at width 1,024\n2^-12.10 = ")


def test_an_optimum_before_pooling_is_what_is_drawn(fit: TransferFit) -> None:
    variant = fit.variants["sp"]
    own = replace(variant.optima[0], unpooled_hp=Estimate(0.5, 0.4, 0.6))
    pooled = replace(variant, optima=(own, *variant.optima[1:]))
    assert law_chart.measured(pooled, "hp")[0].item.value == 0.5
    assert law_chart.measured(pooled, "loss")[0].item == own.loss


@pytest.mark.parametrize(
    ("item", "symbol"),
    [
        (Estimate(0.002, None, 0.003), "down"),
        (Estimate(0.002, 0.001, None), "up"),
        (Estimate(0.002, 0.001, np.inf), "up"),
        (Estimate(0.002, 0.001, 0.003), "circle"),
        (Estimate(0.002), "circle"),
    ],
)
def test_a_one_sided_optimum_is_an_arrow(fit: TransferFit, item: Estimate, symbol: str) -> None:
    variant = fit.variants["sp"]
    changed = replace(variant, optima=(*variant.optima[:-1], replace(variant.optima[-1], hp=item)))
    (panel,) = law_chart.optimum_laws(fit, [changed]).panels
    assert _marks(panel, charts.Points)[0].symbol[-1] == symbol


def _with_exponent(variant: VariantFit, exponent: float) -> VariantFit:
    law = replace(variant.laws["hp"], exponent=Estimate(exponent))
    return replace(variant, laws={**variant.laws, "hp": law})


@pytest.mark.parametrize(("exponent", "above"), [(-1.0, False), (0.0, True), (1.0, True)])
def test_the_value_to_use_stands_on_the_side_where_the_law_does_not_run(
    fit: TransferFit, exponent: float, above: bool
) -> None:
    variant = _with_exponent(fit.variants["sp"], exponent)
    ((note,),) = [p.notes for p in law_chart.optimum_laws(fit, [variant]).panels]
    (prediction,) = variant.predictions
    assert note.above == above
    assert note.y == np.log2(prediction.hp.high if above else prediction.hp.low)
    assert note.text == number_format.decimal(sentences.recommended(prediction))


def test_the_axes_hold_points_laws_and_targets_but_not_a_wild_band(fit: TransferFit) -> None:
    law = replace(fit.variants["sp"].laws["loss"])
    wild = replace(law, low=np.full(len(law.low), -1e9), high=np.full(len(law.high), 1e9))
    variant = replace(fit.variants["sp"], laws={**fit.variants["sp"].laws, "loss": wild})
    x, y = law_chart.law_axes([variant], "loss", ("width", "loss"))
    values = [o.loss.value for o in variant.optima]
    assert y.low < min(values) < max(values) < y.high
    assert y.high - y.low < 4 * (max(values) - law.value.min())
    assert x.low < 5 < 10 < x.high
    assert {label for _, label in x.ticks} >= {"32", "1,024"}


def test_nothing_known_gives_bare_axes_and_says_why(thin_fit: TransferFit) -> None:
    nothing = replace(thin_fit.variants["sp"], optima=(), predictions=())
    (panel,) = law_chart.loss_laws(thin_fit, [nothing]).panels
    assert panel.x.ticks == panel.y.ticks == ()
    assert panel.message.startswith("no law: too few scales with a usable optimum for a law")


def test_the_other_variants_laws_are_one_broken_line(fit: TransferFit) -> None:
    panels = law_chart.optimum_laws(fit, list(fit.variants.values())).panels
    context = _marks(panels[0], charts.Line)[0]
    assert np.isnan(context.x).sum() == 2  # ends the law of each of the two others
    assert np.nanmax(context.x) == pytest.approx(10)
