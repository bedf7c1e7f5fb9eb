"""The phase diagram: every variant by quality of fit E, robustness kappa and asymptotic penalty R(inf)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from hptransfer.quantify.result import Estimate, SweepFit, VariantFit
from hptransfer.report import number_format as fmt
from hptransfer.report import palette, plotly_layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DECAY = re.compile(r"^(?P<rule>.*) wd=(?P<decay>\S+)$")  # how a study names a variant with a weight decay
_LABELLED = 16  # variants whose names stand beside their points


def split(name: str) -> tuple[str, str]:
    """Rule and weight decay of a variant's name; no decay is empty."""
    found = _DECAY.match(name)
    return (found["rule"], found["decay"]) if found else (name, "")


def placed(variants: Sequence[VariantFit]) -> list[VariantFit]:
    """The variants that have both E and kappa."""
    return [v for v in variants if all(fmt.known(_metric(v, name).value) for name in ("E", "kappa"))]


def diagram(variants: Sequence[VariantFit]) -> list[plotly_layout.Panel]:
    """One panel: log10 E across, kappa upwards, the colour R(inf); one trace a variant, for the filters.

    Intervals are drawn as far as they are known; an interval of E is cut where it reaches zero.
    """
    shown = placed(variants)
    colours = _colours(shown)
    traces = [_trace(v, colour, len(shown)) for v, colour in zip(shown, colours, strict=True)]
    x, y = _range([_log(_metric(v, "E")) for v in shown]), _range([_metric(v, "kappa") for v in shown])
    layout = plotly_layout.layout(x, y)
    layout["xaxis"] |= {
        "title": plotly_layout.title("quality of fit E (smaller is better)"),
        "tickprefix": "10<sup>",
        "ticksuffix": "</sup>",
        "nticks": 7,
    }
    layout["annotations"] = [plotly_layout.y_title("robustness kappa (below 0: errors fade with scale)")]
    layout["shapes"] = [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": 0,
            "y1": 0,
            "line": {"color": palette.HAIR, "width": 1},
        }
    ]
    return [{"data": traces, "layout": layout}]


def section(variants: Sequence[VariantFit]) -> str:
    """The diagram's place on the page, with its filters; empty where fewer than two variants have one."""
    shown = placed(variants)
    if len(shown) < 2:
        return ""
    names = [split(v.name) for v in shown]
    filters = _filter("rule", "variant", [rule for rule, _ in names])
    filters += _filter("decay", "weight decay", [decay for _, decay in names])
    missing = len(variants) - len(shown)
    rest = f" {missing} without both numbers not drawn." if missing else ""
    label = escape("E, kappa and R(inf) of " + ", ".join(v.name for v in shown[:_LABELLED]), quote=True)
    return (
        '<section id="phase">\n<h2>Where each variant stands</h2>\n<p class="caption">Quality of the fit E '
        "against robustness κ, each with its interval; the darker, the larger the asymptotic penalty R(∞). "
        f"Good transfer is low and to the left. Hover for the numbers.{rest}</p>\n"
        f'<form class="controls" data-filters="phase">{filters}</form>\n'
        f'<figure class="panels one"><div class="panel"><div class="plot" role="img" data-figure="phase" '
        f'data-panel="0" aria-label="{label}"></div></div></figure>\n</section>'
    )


def _filter(key: str, label: str, values: Sequence[str]) -> str:
    """A choice of one value or all; nothing where there is no choice."""
    distinct = [value for value in dict.fromkeys(values) if value]
    if len(distinct) < 2:
        return ""
    options = "".join(f'<option value="{escape(v, quote=True)}">{escape(v)}</option>' for v in distinct)
    return f'<label>{label} <select name="{key}"><option value="">all</option>{options}</select></label>'


def _trace(variant: VariantFit, colour: str, count: int) -> dict[str, Any]:
    quality, kappa = _log(_metric(variant, "E")), _metric(variant, "kappa")
    rule, decay = split(variant.name)
    lines = [f"<b>{escape(variant.name, quote=False)}</b>", f"verdict {variant.verdict.value}"]
    for key, label in (("E", "E"), ("kappa", "κ"), ("R_inf", "R(∞)"), ("R_n", "R(n)")):
        if key in variant.metrics:
            lines.append(f"{label} {escape(fmt.estimate(variant.metrics[key]), quote=False)}")
    return {
        "type": "scatter",
        "mode": "markers+text" if count <= _LABELLED else "markers",
        "x": [quality.value],
        "y": [kappa.value],
        "error_x": plotly_layout.error(*_arms(quality), colour, 1.2),
        "error_y": plotly_layout.error(*_arms(kappa), colour, 1.2),
        "marker": {"color": colour, "size": 10, "line": {"color": "#fff", "width": 1}},
        "text": [escape(variant.name, quote=False)],
        "textposition": "top right",
        "textfont": {"size": 10},
        "hovertext": ["<br>".join(lines)],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "meta": {"rule": rule, "decay": decay, "name": variant.name},
    }


def _metric(variant: VariantFit, name: str) -> Estimate:
    return variant.metrics.get(name, Estimate(None))


def _log(item: Estimate) -> Estimate:
    """log10 of an estimate that cannot be negative; a limit of zero is open."""

    def log(value: float | None) -> float | None:
        return None if value is None or not value > 0 else math.log10(value)

    return Estimate(log(item.value), log(item.low), log(item.high), item.flags)


def _arms(item: Estimate) -> tuple[list[float], list[float]]:
    if item.value is None:
        return [0.0], [0.0]
    up = 0.0 if item.high is None or not fmt.known(item.high) else item.high - item.value
    down = 0.0 if item.low is None or not fmt.known(item.low) else item.value - item.low
    return [max(up, 0.0)], [max(down, 0.0)]


def _range(items: Sequence[Estimate]) -> tuple[float, float]:
    """Every point and, within three times their span, every interval."""
    values = [item.value for item in items if item.value is not None]
    if not values:
        return -1.0, 1.0
    low, high = min(values), max(values)
    room = max(1.5 * (high - low), 0.5)
    ends = [e for i in items for e in (i.low, i.high) if e is not None and fmt.known(e)]
    low = max(min([low, *ends]), low - room)
    high = min(max([high, *ends]), high + room)
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def _colours(variants: Sequence[VariantFit]) -> list[str]:
    """By rank of R(inf): the larger, the darker; grey where it is not known."""
    values = [_metric(v, "R_inf").value for v in variants]
    known = sorted({v for v in values if v is not None and fmt.known(v)})
    shades = dict(zip(known, palette.sequence(len(known)), strict=True)) if known else {}
    return [palette.GREY if v is None else shades.get(v, palette.GREY) for v in values]


def draw_phase(axes: Axes, fit: SweepFit) -> Axes:
    """The diagram on matplotlib axes, for papers; log10 E across, kappa upwards."""
    shown = placed(list(fit.variants.values()))
    for variant, colour in zip(shown, _colours(shown), strict=True):
        quality, kappa = _metric(variant, "E"), _metric(variant, "kappa")
        assert quality.value is not None
        assert kappa.value is not None
        across = np.array([_plain(quality.low, quality.value), _plain(quality.high, quality.value)])
        (up,), (down,) = _arms(kappa)
        axes.errorbar(
            quality.value,
            kappa.value,
            xerr=np.abs(across - quality.value)[:, None],
            yerr=[[down], [up]],
            fmt="o",
            ms=4,
            lw=0.9,
            color=colour,
        )
        axes.annotate(variant.name, (quality.value, kappa.value), (3, 3), textcoords="offset points", size=7)
    axes.set_xscale("log")
    axes.axhline(0, color=palette.HAIR, lw=0.8, zorder=0)
    axes.set_xlabel("quality of fit E")
    axes.set_ylabel(r"robustness $\kappa$")
    return axes


def _plain(limit: float | None, value: float) -> float:
    return value if limit is None or not limit > 0 or not fmt.known(limit) else limit
