import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from hptransfer.fit import TransferFit
from hptransfer.quantify.result import Estimate
from hptransfer.report import palette, phase_chart

NAMES = ("sp wd=0", "sp wd=0.01", "mup wd=0", "mup wd=0.01")


def test_a_mark_a_variant_with_what_the_filters_choose_by(make_fit: Callable[..., TransferFit]) -> None:
    variants = list(make_fit(NAMES).variants.values())
    panel = phase_chart.phase(variants)
    assert [m.tags["rule"] for m in panel.marks] == ["sp", "sp", "mup", "mup"]
    assert [m.tags["decay"] for m in panel.marks] == ["0", "0.01", "0", "0.01"]
    first, kappa = panel.marks[0], variants[0].metrics["kappa"]
    assert first.x.tolist() == [pytest.approx(math.log10(variants[0].metrics["E"].value))]
    assert first.y_error[1][0] == pytest.approx(kappa.high - kappa.value)
    assert first.texts[0].startswith(
        "sp wd=0\nkeep: no, extrapolate: no\nE 2.2e-5 [1.9e-5, 3.0e-5]\nkappa 0.5"
    )


def test_the_darkest_has_the_largest_penalty_and_grey_none(fit: TransferFit) -> None:
    variants = list(fit.variants.values())
    unknown = replace(variants[1], metrics={**variants[1].metrics, "R_inf": Estimate()})
    marks = phase_chart.phase([variants[0], unknown, variants[2]]).marks
    lightest, darkest = palette.sequence(2)
    assert [m.colour for m in marks] == [darkest, palette.GREY, lightest]


def test_who_has_no_kappa_is_left_out_and_a_limit_of_zero_is_open(fit: TransferFit) -> None:
    variant = fit.variants["sp"]
    metrics = {**variant.metrics, "E": Estimate(1e-5, 0.0, 1e-4)}
    panel = phase_chart.phase(
        [replace(variant, metrics=metrics), replace(variant, metrics={"E": Estimate(1.0)})]
    )
    (mark,) = panel.marks
    assert mark.x_error.tolist() == [[0.0], [pytest.approx(1.0)]]


def test_many_variants_are_not_named_beside_their_points(fit: TransferFit) -> None:
    many = [replace(fit.variants["sp"], name=f"v{i}") for i in range(phase_chart.MOST_NAMED + 1)]
    assert not any(m.names for m in phase_chart.phase(many).marks)
    assert all(m.names for m in phase_chart.phase(many[:-1]).marks)


def test_a_wild_interval_does_not_set_the_axis(fit: TransferFit) -> None:
    variants = list(fit.variants.values())
    wild = replace(variants[0], metrics={**variants[0].metrics, "kappa": Estimate(0.5, -1e6, 1e6)})
    y = phase_chart.phase([wild, *variants[1:]]).y
    assert -2 < y.low < 0.5
    assert 0.92 < y.high < 3


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (-1.9, -0.6, ("0.02", "0.05", "0.1", "0.2")),
        (-5.5, -4.6, ("5e-6", "1e-5", "2e-5")),
        (-5.5, -1.0, None),
        (-1.28, -1.22, None),
    ],
)
def test_ticks_of_quality_are_plain_numbers_where_powers_are_too_few(low, high, labels) -> None:
    axis = phase_chart._quality_axis(low, high)
    assert (None if axis.ticks is None else tuple(text for _, text in axis.ticks)) == labels
    assert axis.powers == (labels is None)


def test_no_variant_is_still_a_panel() -> None:
    assert phase_chart.phase([]).marks == ()
