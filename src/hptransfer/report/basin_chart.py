"""The figure of the basins: loss against the hyperparameter at every scale, one panel for each variant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.result import Estimate, Optimum, SweepFit, VariantFit
from hptransfer.report import charts, number_format, palette
from hptransfer.sweep.table import FloatArray

_REACH = 2.5  # octaves about an optimum that a panel must show
_MOST_POINTS = 400  # runs of one curve drawn one by one; beyond, the mean of each cell
_BEYOND = 0.5  # of the frame's height that curves go on above it, for a reader who zooms out


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of one variant at one scale."""

    scale: float  # n
    x: FloatArray  # log2 of the hyperparameter of each finished run, shape [finished]
    loss: FloatArray  # its loss, nats, shape [finished]
    labels: tuple[str, ...]  # its seed, or how many runs a mean stands for, shape [finished]
    diverged: FloatArray  # log2 of the hyperparameter of each diverged run, shape [diverged]


def basins(fit: SweepFit, variants: Sequence[VariantFit]) -> charts.Figure:
    """Runs, fitted curves and optima on axes that all variants share.

    The frame shows every basin out to 2.5 octaves of its optimum, and not the height of the cliffs. Runs
    above it and diverged ones stand in a strip above the frame, one row for each scale, the smallest on top
    as its basin is.
    """
    scales = scales_of(fit, variants)
    colours = dict(zip(scales, palette.sequence(len(scales)), strict=True))
    runs = [runs_of(fit, variant.name) for variant in variants]
    x, y = _axes(fit, runs, variants)
    every = [group for groups in runs for group in groups]
    diverged = any(group.diverged.size for group in every)
    above = any((group.loss > y.high).any() for group in every)
    rows = {n: len(scales) - 1 - i for i, n in enumerate(scales)}
    panels = []
    for variant, groups in zip(variants, runs, strict=True):
        marks: list[charts.Mark] = [
            _curve(o, colours[o.scale], y) for o in variant.optima if o.curve_hp is not None
        ]
        for group in groups:
            marks += _points(fit, group, colours[group.scale], y.high, rows[group.scale])
        marks += _optima(fit, variant)
        strip = len(scales) if diverged or above else 0
        panels.append(charts.Panel(variant.name, x, y, tuple(marks), strip_rows=strip))
    return charts.Figure(tuple(panels), _key(fit, colours, diverged, above))


def scales_of(fit: SweepFit, variants: Iterable[VariantFit]) -> list[float]:
    """Every scale with a run or an optimum of any of the variants, ascending."""
    chosen = list(variants)
    mine = np.isin(fit.sweep.variant, [v.name for v in chosen])
    fitted = {o.scale for v in chosen for o in v.optima}
    return sorted(fitted.union(fit.sweep.scale[mine].tolist()))


def runs_of(fit: SweepFit, variant: str) -> list[Runs]:
    """The runs of a variant by scale, ascending."""
    sweep = fit.sweep
    mine, diverged = sweep.variant == variant, sweep.diverged
    groups = []
    for n in np.unique(sweep.scale[mine]):
        here = mine & (sweep.scale == n)
        finished = here & ~diverged
        x, loss = np.log2(sweep.hp[finished]), sweep.loss[finished]
        labels = [f"{sweep.columns.seed} {seed}" if seed else "" for seed in sweep.seed[finished]]
        if len(x) > _MOST_POINTS:
            x, loss, labels = _means(x, loss)
        gone = np.unique(np.log2(sweep.hp[here & diverged]))
        groups.append(Runs(float(n), x, loss, tuple(labels), gone))
    return groups


def _means(x: FloatArray, loss: FloatArray) -> tuple[FloatArray, FloatArray, list[str]]:
    cells, index, counts = np.unique(x, return_inverse=True, return_counts=True)
    mean = np.bincount(index, weights=loss) / counts
    return cells, mean, [f"mean of {number_format.plural(count, 'run')}" for count in counts.tolist()]


def _axes(
    fit: SweepFit, runs: Sequence[Sequence[Runs]], variants: Sequence[VariantFit]
) -> tuple[charts.Axis, charts.Axis]:
    every = [r for group in runs for r in group]
    x = np.concatenate([np.concatenate([r.x, r.diverged]) for r in every] or [np.zeros(0)])
    loss = np.concatenate([r.loss for r in every] or [np.zeros(0)])
    rims = [rim for v in variants for o in v.optima if (rim := _rim(o)) is not None]
    low = float(loss.min()) if loss.size else 0.0
    high = max(rims) if rims else (float(np.quantile(loss, 0.75)) if loss.size else 1.0)
    height = max(high - low, 1e-3 * max(abs(low), 1e-3))
    left, right = (float(x.min()), float(x.max())) if x.size else (-1.0, 1.0)
    return (
        charts.Axis(left - 0.4, right + 0.4, fit.sweep.columns.hp, base=2, powers=True),
        charts.Axis(low - 0.06 * height, low + 1.08 * height, fit.sweep.columns.loss),
    )


def _rim(optimum: Optimum) -> float | None:
    """The loss a panel must reach to show this basin: its gentle side, and a cliff at most twice as high."""
    if optimum.curve_hp is None or optimum.curve_loss is None or optimum.hp.value is None:
        return optimum.loss.value if number_format.known(optimum.loss.value) else None
    d = np.log2(optimum.curve_hp) - np.log2(optimum.hp.value)
    best = float(np.min(optimum.curve_loss))
    left, right = (optimum.curve_loss[(side * d >= 0) & (side * d <= _REACH)] - best for side in (-1, 1))
    sides = [float(rise.max()) for rise in (left, right) if rise.size > 1]
    if not sides:
        return best
    return best + min(max(sides), 2 * min(sides) if len(sides) > 1 else max(sides))


def _curve(optimum: Optimum, colour: str, y: charts.Axis) -> charts.Line:
    assert optimum.curve_hp is not None
    assert optimum.curve_loss is not None
    shown = optimum.curve_loss <= y.high + _BEYOND * (y.high - y.low)
    return charts.Line(np.log2(optimum.curve_hp)[shown], optimum.curve_loss[shown], colour, 1.6)


def _points(fit: SweepFit, group: Runs, colour: str, top: float, row: int) -> list[charts.Points]:
    """Every finished run on the loss axis; those above it, and those that diverged, in the strip as well."""
    columns = fit.sweep.columns
    place = f"{columns.scale} {number_format.scale(group.scale)}"
    texts = [
        f"{place}\n{_hp_text(fit, x)}\n{columns.loss} {number_format.loss_text(loss)}\n{label}".rstrip()
        for x, loss, label in zip(group.x, group.loss, group.labels, strict=True)
    ]
    found = [charts.Points(group.x, group.loss, colour, "circle", 5, opacity=0.8, texts=tuple(texts))]
    above = np.flatnonzero(group.loss > top)
    high = [f"{texts[i]} (above the frame)" for i in above]
    gone = [f"{place}\n{_hp_text(fit, x)}\ndiverged" for x in group.diverged]
    strip: tuple[tuple[charts.Symbol, FloatArray, list[str], float], ...] = (
        ("open_up", group.x[above], high, 1.0),
        ("cross", group.diverged, gone, 1.3),
    )
    for symbol, x, words, width in strip:
        if x.size:
            y, told = np.full(len(x), float(row)), tuple(words)
            found.append(charts.Points(x, y, colour, symbol, 5, edge_width=width, texts=told, in_strip=True))
    return found


def _hp_text(fit: SweepFit, x: float) -> str:
    return f"{fit.sweep.columns.hp} {number_format.hp(Estimate(float(2.0**x)))}"


def _optima(fit: SweepFit, variant: VariantFit) -> list[charts.Mark]:
    """The optima with their intervals, joined: a vertical path transfers, a slanted one drifts."""
    known = number_format.known
    found = [o for o in variant.optima if known(o.hp.value) and known(o.loss.value)]
    if not found:
        return []
    hps = [number_format.octaves(o.hp) for o in found]
    x = np.array([hp.value for hp in hps], dtype=float)
    y = np.array([o.loss.value for o in found], dtype=float)
    texts = tuple(
        f"optimum at {fit.sweep.columns.scale} {number_format.scale(o.scale)}\n{number_format.hp(o.hp)}\n"
        f"{number_format.hp_interval(o.hp)}\n{fit.sweep.columns.loss} {number_format.estimate(o.loss)}"
        for o in found
    )
    dots = charts.Points(x, y, palette.ACCENT, "circle", 7, edge=palette.PAPER, edge_width=1.0, texts=texts)
    bars = replace(dots, x_error=charts.error_bars(hps), error_width=2.2)
    return [charts.Line(x, y, palette.ACCENT, 1.0), bars]


def _key(fit: SweepFit, colours: dict[float, str], diverged: bool, above: bool) -> tuple[charts.KeyItem, ...]:
    items = [charts.KeyItem(fit.sweep.columns.scale)]
    items += [charts.KeyItem(number_format.scale(n), c, "circle", 1.6) for n, c in colours.items()]
    items.append(charts.KeyItem("optimum", palette.ACCENT, "circle", 2.2))
    if diverged:
        items.append(charts.KeyItem("diverged", palette.GREY, "cross"))
    if above:
        items.append(charts.KeyItem("above the frame", palette.GREY, "open_up"))
    return tuple(items)
