"""The interactive figures as plain plotly data: one panel a variant; the page draws them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from hptransfer.quantify.result import Estimate, Law, Optimum, Prediction, SweepFit, VariantFit
from hptransfer.report import charts, palette, plotly_layout, sentences
from hptransfer.report import number_format as fmt

_CHARACTERS = 44.0  # that fit along a panel of the usual width
_STRIP = 0.13  # share of a panel's height for runs that have no place on the loss axis


def basins(fit: SweepFit, variants: Sequence[VariantFit]) -> list[plotly_layout.Panel]:
    """Loss against the hyperparameter at every scale, one panel a variant on shared axes."""
    scales = charts.scales_of(fit, variants)
    colours = dict(zip(scales, palette.sequence(len(scales)), strict=True))
    runs = [charts.runs_of(fit, v.name) for v in variants]
    box = charts.basin_limits(runs, variants, len(scales))
    strip = any(group.diverged.size or (group.loss > box.strip).any() for each in runs for group in each)
    panels = []
    for variant, groups in zip(variants, runs, strict=True):
        data = [_curve(o, colours[o.scale], box) for o in variant.optima if o.curve_hp is not None]
        for group in groups:
            row = len(scales) - 1 - scales.index(group.scale)
            data += _dots(fit, group, colours[group.scale], box, row)
        data += _path(fit, variant)
        layout = plotly_layout.layout((box.x_low, box.x_high), (box.y_low, box.strip))
        layout["xaxis"] |= {"title": plotly_layout.title(fit.sweep.columns.hp)} | plotly_layout.powers()
        layout["annotations"] = [plotly_layout.y_title(fit.sweep.columns.loss)]
        if strip:
            layout["yaxis"]["domain"] = [0, 1 - _STRIP - 0.03]
            layout["yaxis2"] = {
                "domain": [1 - _STRIP, 1],
                "range": [-0.7, len(scales) - 0.3],
                "visible": False,
                "fixedrange": True,
                "anchor": "x",
            }
        panels.append({"data": data, "layout": layout})
    return panels


def optimum_laws(fit: SweepFit, variants: Sequence[VariantFit]) -> list[plotly_layout.Panel]:
    """The optimum against scale with its law, the band out to the target, and the value to use there."""
    panels = _laws(fit, variants, "hp", f"optimal {fit.sweep.columns.hp}")
    for drawn, variant in zip(panels, variants, strict=True):
        drawn["layout"]["yaxis"] |= plotly_layout.powers()
        falls = charts.falls(variant)
        drawn["layout"]["annotations"] += [
            _value_to_use(p, falls) for p in variant.predictions if fmt.known(p.hp.value)
        ]
    return panels


def loss_laws(fit: SweepFit, variants: Sequence[VariantFit]) -> list[plotly_layout.Panel]:
    """The loss at the optimum against scale, with its law and band."""
    return _laws(fit, variants, "loss", f"{fit.sweep.columns.loss} at the optimum")


def _curve(optimum: Optimum, colour: str, box: charts.Limits) -> dict[str, Any]:
    assert optimum.curve_hp is not None
    assert optimum.curve_loss is not None
    shown = optimum.curve_loss <= box.strip + 0.5 * (box.strip - box.y_low)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plotly_layout.numbers(np.log2(optimum.curve_hp)[shown]),
        "y": plotly_layout.numbers(optimum.curve_loss[shown]),
        "line": {"color": colour, "width": 1.6},
        "hoverinfo": "skip",
    }


def _dots(
    fit: SweepFit, group: charts.Runs, colour: str, box: charts.Limits, row: int
) -> list[dict[str, Any]]:
    """Runs on the loss axis; those above it and those that diverged go to the strip, in their scale's row."""
    columns = fit.sweep.columns
    head = f"{escape(columns.scale, quote=False)} {fmt.scale(group.scale)}<br>"
    above = group.loss > box.strip
    style = {"type": "scatter", "mode": "markers", "hovertemplate": head + "%{text}<extra></extra>"}
    texts = [
        _hp_line(fit, x) + f"<br>{escape(columns.loss, quote=False)} {loss:.4f}{_seed(seed)}"
        for x, loss, seed in zip(group.x, group.loss, group.seed, strict=True)
    ]
    traces = [
        style
        | {
            "x": plotly_layout.numbers(group.x),
            "y": plotly_layout.numbers(group.loss),
            "text": texts,
            "marker": {"color": colour, "size": 5, "opacity": 0.8, "line": {"width": 0}},
        }
    ]
    if above.any():
        traces.append(
            style
            | {
                "x": plotly_layout.numbers(group.x[above]),
                "y": [row] * int(above.sum()),
                "yaxis": "y2",
                "text": [f"{text} (above the frame)" for text, up in zip(texts, above, strict=True) if up],
                "marker": {"color": colour, "size": 5, "symbol": "triangle-up-open", "line": {"width": 1}},
            }
        )
    if group.diverged.size:
        traces.append(
            style
            | {
                "x": plotly_layout.numbers(group.diverged),
                "y": [row] * len(group.diverged),
                "yaxis": "y2",
                "text": [_hp_line(fit, x) + "<br>diverged" for x in group.diverged],
                "marker": {
                    "color": colour,
                    "size": 5,
                    "symbol": "x-thin",
                    "line": {"width": 1.3, "color": colour},
                },
            }
        )
    return traces


def _path(fit: SweepFit, variant: VariantFit) -> list[dict[str, Any]]:
    """The optima with their intervals, joined: a vertical path transfers, a slanted one drifts."""
    found = [o for o in variant.optima if fmt.known(o.hp.value) and fmt.known(o.loss.value)]
    if not found:
        return []
    sides = [charts.bars(o.hp) for o in found]
    scale = escape(fit.sweep.columns.scale, quote=False)
    texts = [
        f"<b>optimum at {scale} {fmt.scale(o.scale)}</b><br>{plotly_layout.power(fmt.hp(o.hp))}"
        f"<br>{fmt.hp_interval(o.hp)}<br>loss {fmt.estimate(o.loss)}"
        for o in found
    ]
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": [fmt.octaves(o.hp).value for o in found],
            "y": [o.loss.value for o in found],
            "error_x": plotly_layout.error(
                [high for _, high in sides], [low for low, _ in sides], palette.ACCENT, 2.2
            ),
            "line": {"color": palette.ACCENT, "width": 1},
            "marker": {"color": palette.ACCENT, "size": 7, "line": {"color": "#fff", "width": 1}},
            "text": texts,
            "hovertemplate": "%{text}<extra></extra>",
        }
    ]


def _laws(
    fit: SweepFit, variants: Sequence[VariantFit], quantity: str, label: str
) -> list[plotly_layout.Panel]:
    box = charts.law_limits(variants, quantity)
    panels = []
    for variant in variants:
        others = [v for v in variants if v is not variant]
        measured, predicted = _items(variant, quantity)
        data: list[dict[str, Any]] = [_context(others, quantity)]
        law = variant.laws.get(quantity)
        if law is not None:
            largest = max((scale for scale, item in measured if fmt.known(item.value)), default=0.0)
            data += _law(fit, law, quantity, largest)
        data.append(_points(fit, measured, quantity, palette.INK, palette.INK, "circle"))
        data.append(_points(fit, predicted, quantity, palette.ACCENT, "#fff", "diamond"))
        limits = box or charts.Limits(0, 1, 0, 1, 1)
        layout = plotly_layout.layout((limits.x_low, limits.x_high), (limits.y_low, limits.y_high))
        every = [scale for scale, _ in (*measured, *predicted)]
        places = charts.ticks(every, limits.x_low, limits.x_high, _CHARACTERS)
        layout["xaxis"] |= {
            "title": plotly_layout.title(fit.sweep.columns.scale),
            "tickvals": plotly_layout.numbers(np.log2(places) if places else np.zeros(0)),
            "ticktext": [fmt.scale(n) for n in places],
        }
        layout["annotations"] = [plotly_layout.y_title(label)]
        panels.append({"data": data, "layout": layout})
    return panels


def _items(
    variant: VariantFit, quantity: str
) -> tuple[list[tuple[float, Estimate]], list[tuple[float, Estimate]]]:
    if quantity == "hp":
        return [(o.scale, o.own or o.hp) for o in variant.optima], [
            (p.scale, p.hp) for p in variant.predictions
        ]
    return [(o.scale, o.loss) for o in variant.optima], [(p.scale, p.loss) for p in variant.predictions]


def _law(fit: SweepFit, law: Law, quantity: str, largest: float) -> list[dict[str, Any]]:
    """Band, then the law: solid where scales were measured, dashed beyond."""
    if law.scale is None or law.value is None:
        return []
    x, y = np.log2(law.scale), charts.axis(law.value, quantity)
    traces = []
    if law.low is not None and law.high is not None:
        low, high = charts.axis(law.low, quantity), charts.axis(law.high, quantity)
        ok = np.isfinite(low) & np.isfinite(high)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": plotly_layout.numbers(np.concatenate([x[ok], x[ok][::-1]])),
                "y": plotly_layout.numbers(np.concatenate([low[ok], high[ok][::-1]])),
                "fill": "toself",
                "fillcolor": palette.faded(palette.ACCENT, 0.13),
                "line": {"width": 0},
                "hoverinfo": "skip",
            }
        )
    inside = law.scale <= largest * (1 + 1e-9)
    beyond = ~inside
    beyond[max(int(inside.sum()) - 1, 0)] = True
    texts = _law_texts(fit, law, quantity)
    for part, dash in ((inside, "solid"), (beyond, "5px,4px")):
        if part.sum() > 1:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": plotly_layout.numbers(x[part]),
                    "y": plotly_layout.numbers(y[part]),
                    "line": {"color": palette.ACCENT, "width": 1.6, "dash": dash},
                    "text": [text for text, here in zip(texts, part, strict=True) if here],
                    "hovertemplate": "%{text}<extra></extra>",
                }
            )
    return traces


def _law_texts(fit: SweepFit, law: Law, quantity: str) -> list[str]:
    assert law.scale is not None
    assert law.value is not None
    name = escape(fit.sweep.columns.scale, quote=False)
    texts = []
    for i, n in enumerate(law.scale):
        low, high = (None if side is None else float(side[i]) for side in (law.low, law.high))
        item = Estimate(float(law.value[i]), low, high)
        size = float(f"{n:.3g}")
        value = (
            f"{plotly_layout.power(fmt.hp(item))} {fmt.hp_interval(item)}"
            if quantity == "hp"
            else fmt.estimate(item)
        )
        texts.append(f"law at {name} {fmt.scale(size)}<br>{value}")
    return texts


def _points(
    fit: SweepFit,
    items: list[tuple[float, Estimate]],
    quantity: str,
    colour: str,
    fill: str,
    symbol: str,
) -> dict[str, Any]:
    known = [(n, item) for n, item in items if fmt.known(item.value)]
    values = [fmt.octaves(item) if quantity == "hp" else item for _, item in known]
    up = [0.0 if v.high is None or v.value is None else v.high - v.value for v in values]
    down = [0.0 if v.low is None or v.value is None else v.value - v.low for v in values]
    name = escape(fit.sweep.columns.scale, quote=False)
    head = "predicted" if symbol == "diamond" else "measured"
    texts = [
        f"<b>{head} at {name} {fmt.scale(n)}</b><br>"
        + (
            f"{plotly_layout.power(fmt.hp(item))}<br>{fmt.hp_interval(item)}"
            if quantity == "hp"
            else fmt.estimate(item)
        )
        for n, item in known
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [float(np.log2(n)) for n, _ in known],
        "y": [v.value for v in values],
        "error_y": plotly_layout.error(up, down, colour, 1.3),
        "marker": {
            "color": fill,
            "size": 7,
            "symbol": [plotly_layout.symbol(item, symbol) for _, item in known],
            "line": {"color": colour, "width": 1.4},
        },
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _context(others: Iterable[VariantFit], quantity: str) -> dict[str, Any]:
    """The laws of the other variants, in grey hairlines."""
    scale, value = charts.law_lines(others, quantity)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": plotly_layout.numbers(np.log2(scale)),
        "y": plotly_layout.numbers(charts.axis(value, quantity)),
        "line": {"color": palette.HAIR, "width": 1},
        "hoverinfo": "skip",
    }


def _value_to_use(prediction: Prediction, falls: bool) -> dict[str, Any]:
    """The value to use at a target, on the side of the interval where the law does not run."""
    item = fmt.octaves(prediction.hp)
    end = item.low if falls else item.high
    use = sentences.recommended(prediction) if prediction.hp_recommended is not None else prediction.hp
    return {
        "x": float(np.log2(prediction.scale)),
        "y": item.value if end is None else end,
        "text": fmt.decimal(use),
        "showarrow": False,
        "xanchor": "right",
        "xshift": 6,
        "yanchor": "top" if falls else "bottom",
        "font": {"color": palette.ACCENT, "size": 12},
    }


def _hp_line(fit: SweepFit, x: float) -> str:
    item = Estimate(float(2.0**x))
    return f"{escape(fit.sweep.columns.hp, quote=False)} {plotly_layout.power(fmt.hp(item))}"


def _seed(seed: str) -> str:
    if not seed:
        return ""
    text = escape(str(seed), quote=False)
    return f"<br>{text}" if text.startswith("mean of") else f"<br>seed {text}"
