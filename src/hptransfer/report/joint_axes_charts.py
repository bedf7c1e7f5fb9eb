"""The predicted joint optimum at every target, with the ellipse of its prediction."""

from __future__ import annotations

import numpy as np

from hptransfer.quantify.axes.answers import written
from hptransfer.quantify.joint_axes.result import JointAxesFit, JointAxesVariant, JointPlacePrediction
from hptransfer.report import charts, number_format, palette
from hptransfer.report.joint_charts import ellipse, ticks

_MARGIN = 0.4  # octaves about the ellipse


def predicted(fit: JointAxesFit, variant: JointAxesVariant, pair: tuple[int, int]) -> charts.Figure:
    """A panel a target: what the laws predict of two hyperparameters, its ellipse, and the point to use."""
    level = 100 * float(fit.settings["level"])
    panels = [_panel(fit, p, pair) for p in variant.predictions if p.covariance is not None]
    key = (
        charts.KeyItem("predicted optimum and its 95% ellipse", palette.ACCENT, "circle", 1.6),
        charts.KeyItem(f"its {number_format.precise(level)}% intervals", palette.GREY, None, 1.0),
        charts.KeyItem("the point to use", palette.INK, "circle"),
    )
    return charts.Figure(tuple(panels), key)


def _panel(fit: JointAxesFit, p: JointPlacePrediction, pair: tuple[int, int]) -> charts.Panel:
    names = [fit.hp[k] for k in pair]
    assert p.covariance is not None
    centre = np.log2([p.hp[name].value or np.nan for name in names])
    ring = centre[:, None] + ellipse(p.covariance[np.ix_(pair, pair)])
    limits = [number_format.octaves(p.hp[name]) for name in names]
    text = "\n".join([f"predicted at {written(p.at)}", *(f"{n} {number_format.hp(p.hp[n])}" for n in names)])
    use = np.log2([(p.recommended or {}).get(name, np.nan) for name in names])
    marks: list[charts.Mark] = [charts.Line(ring[0], ring[1], palette.ACCENT, 1.6)]
    marks += [
        charts.Line(np.array(x, float), np.array(y, float), palette.GREY, 1.0)
        for x, y in (
            ((limits[0].low, limits[0].high), (centre[1],) * 2),
            ((centre[0],) * 2, (limits[1].low, limits[1].high)),
        )
    ]
    marks += [
        charts.Points(centre[:1], centre[1:], palette.ACCENT, "circle", 7, texts=(text,)),
        charts.Points(use[:1], use[1:], palette.INK, "circle", 7, texts=("use",)),
    ]
    axes = []
    for values, name in zip(ring, names, strict=True):
        low, high = float(values.min()) - _MARGIN, float(values.max()) + _MARGIN
        axes.append(charts.Axis(low, high, name, base=2, ticks=ticks(low, high)))
    return charts.Panel(written(p.at), axes[0], axes[1], tuple(marks))
