import pytest

from hptransfer.fit import TransferFit
from hptransfer.report import charts, metric_chart


def test_a_row_a_variant_the_first_on_top(fit: TransferFit) -> None:
    (panel,) = metric_chart.metrics(list(fit.variants.values()), ["kappa"]).panels
    (points,) = panel.marks
    assert isinstance(points, charts.Points)
    values = dict(zip(points.y.tolist(), points.x.tolist(), strict=True))
    names = dict(panel.y.ticks)
    assert {names[row]: x for row, x in values.items()} == {
        name: variant.metrics["kappa"].value for name, variant in fit.variants.items()
    }
    assert names[2.0] == "sp"
    assert points.x_error == pytest.approx(0.33)
    assert panel.x.label.startswith("kappa")


def test_a_missing_metric_leaves_its_row_empty_and_zero_in_sight(thin_fit: TransferFit) -> None:
    (panel,) = metric_chart.metrics(list(thin_fit.variants.values()), ["R_n"]).panels
    assert len(panel.marks[0].x) == 0
    assert len(panel.y.ticks) == 3
    assert panel.x.low < 0 < panel.x.high
    assert panel.zero == "x"
