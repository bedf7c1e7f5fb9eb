"""The phase diagram: every variant by quality of fit E, robustness kappa and asymptotic penalty R(inf)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from hptransfer.quantify.result import Estimate, VariantFit
from hptransfer.report import charts, number_format, palette

MOST_NAMED = 16  # variants whose names stand beside their points
_DECAY = re.compile(r"^(?P<rule>.*) wd=(?P<decay>\S+)$")  # how a study names a variant with a weight decay
_TOLD = {"E": "E", "kappa": "kappa", "R_inf": "R(inf)", "R_n": "R(n)"}  # metrics that pointing at it shows


def phase(variants: Sequence[VariantFit]) -> charts.Panel:
    """log10 E across, kappa upwards, the colour R(inf); one mark for each variant, for the page's filters.

    Intervals are drawn as far as they are known; an interval of E is cut where it reaches zero.
    """
    shown = placed(variants)
    quality = [_log10(metric_of(v, "E")) for v in shown]
    kappa = [metric_of(v, "kappa") for v in shown]
    marks = tuple(
        _point(variant, e, k, colour, named=len(shown) <= MOST_NAMED)
        for variant, e, k, colour in zip(shown, quality, kappa, _colours(shown), strict=True)
    )
    return charts.Panel(
        "",
        _quality_axis(*_range(quality)),
        charts.Axis(*_range(kappa), "robustness kappa (below 0: errors fade with scale)"),
        marks,
        zero="y",
    )


def placed(variants: Sequence[VariantFit]) -> list[VariantFit]:
    """The variants that have both E and kappa."""
    return [v for v in variants if all(number_format.known(metric_of(v, m).value) for m in ("E", "kappa"))]


def rule_and_decay(name: str) -> tuple[str, str]:
    """Rule and weight decay of a variant's name; no decay is empty."""
    found = _DECAY.match(name)
    return (found["rule"], found["decay"]) if found else (name, "")


def metric_of(variant: VariantFit, name: str) -> Estimate:
    """A metric of a variant; without a value where it has none of that name."""
    return variant.metrics.get(name, Estimate())


def _point(
    variant: VariantFit, quality: Estimate, kappa: Estimate, colour: str, *, named: bool
) -> charts.Points:
    rule, decay = rule_and_decay(variant.name)
    lines = [
        variant.name,
        f"keep: {variant.verdict.keep.value}, extrapolate: {variant.verdict.extrapolate.value}",
    ]
    lines += [
        f"{label} {number_format.estimate(variant.metrics[key])}"
        for key, label in _TOLD.items()
        if key in variant.metrics
    ]
    return charts.Points(
        np.array([quality.value], dtype=float),
        np.array([kappa.value], dtype=float),
        colour,
        "circle",
        10,
        edge=palette.PAPER,
        edge_width=1.0,
        x_error=charts.error_bars([quality]),
        y_error=charts.error_bars([kappa]),
        error_width=1.2,
        names=(variant.name,) if named else (),
        texts=("\n".join(lines),),
        tags={"rule": rule, "decay": decay, "name": variant.name},
    )


def _log10(item: Estimate) -> Estimate:
    """log10 of an estimate that cannot be negative; a limit of zero is open."""
    value, low, high = (
        math.log10(end) if end is not None and end > 0 else None for end in (item.value, item.low, item.high)
    )
    return Estimate(value, low, high, item.flags)


def _range(items: Sequence[Estimate]) -> tuple[float, float]:
    """Ends of an axis that hold every point and, within three times their span, every interval."""
    values = [item.value for item in items if item.value is not None]
    if not values:
        return -1.0, 1.0
    low, high = min(values), max(values)
    room = max(1.5 * (high - low), 0.5)
    ends = [end for item in items for end in number_format.known_numbers(item)]
    low, high = max(min(ends), low - room), min(max(ends), high + room)
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def _quality_axis(low: float, high: float) -> charts.Axis:
    """The axis of log10 E: its ticks are powers of ten, plain numbers where few of those would fit."""
    label = "quality of fit E (smaller is better)"
    places = [
        (decade + math.log10(digit), number_format.rough(digit * 10.0**decade))
        for decade in range(math.floor(low), math.ceil(high))
        for digit in (1, 2, 5)
        if low <= decade + math.log10(digit) <= high
    ]
    plain = high - low < 2 and len(places) > 1
    return charts.Axis(low, high, label, base=10, powers=not plain, ticks=tuple(places) if plain else None)


def _colours(variants: Sequence[VariantFit]) -> list[str]:
    """By rank of R(inf): the larger, the darker; grey where it is not known."""
    values = [metric_of(v, "R_inf").value for v in variants]
    known = sorted({v for v in values if number_format.known(v)})
    shades = dict(zip(known, palette.sequence(len(known)), strict=True)) if known else {}
    return [palette.GREY if v is None else shades.get(v, palette.GREY) for v in values]
