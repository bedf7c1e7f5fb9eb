"""Figures with matplotlib, for papers and notebooks; no global state, so any number can live at once.

Every `draw_*` puts one variant on axes of the caller's; every `plot_*` makes a Figure of small multiples,
one panel a variant on shared axes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hptransfer.errors import QuantifyError
from hptransfer.quantify.result import Estimate, Law, Prediction, SweepFit, VariantFit
from hptransfer.report import charts, glossary, palette, sentences, table_data
from hptransfer.report import number_format as fmt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL = (2.9, 2.5)  # inches
_SMALL = 8.0  # points, for ticks and labels
_CHARACTERS = 38.0  # of the small size that fit along a panel


def plot_basins(fit: SweepFit, variants: Sequence[str] | None = None) -> Figure:
    """Loss against the hyperparameter at every scale: runs, fitted basins, optima with their intervals.

    Arguments:
        fit: the result of `quantify`.
        variants: names of those to draw, in this order; None draws all.

    Raises:
        QuantifyError: a name is not in the fit.
    """
    chosen = _chosen(fit, variants)
    scales = charts.scales_of(fit, chosen)
    limits = charts.basin_limits([charts.runs_of(fit, v.name) for v in chosen], chosen, len(scales))
    figure, panels = _grid(chosen)
    for axes, variant in zip(panels, chosen, strict=True):
        draw_basins(axes, fit, variant.name, scales=scales, limits=limits)
    _label(figure, panels, fit.sweep.columns.hp, fit.sweep.columns.loss)
    _key(figure, fit, scales)
    return figure


def draw_basins(
    axes: Axes,
    fit: SweepFit,
    variant: str,
    *,
    scales: Sequence[float] | None = None,
    limits: charts.Limits | None = None,
) -> Axes:
    """One variant's basins on `axes`: log2 hyperparameter against loss.

    Arguments:
        axes: where to draw; returned.
        fit: the result of `quantify`.
        variant: its name.
        scales: all scales that share the colours; None takes the variant's own.
        limits: shared limits; None takes the variant's own.
    """
    (chosen,) = _chosen(fit, (variant,))
    runs = charts.runs_of(fit, variant)
    every = list(scales or charts.scales_of(fit, [chosen]))
    box = limits or charts.basin_limits([runs], [chosen], len(every))
    colours = _colours(every)
    for group in runs:
        colour, shown = colours[group.scale], group.loss <= box.strip
        axes.plot(2.0 ** group.x[shown], group.loss[shown], "o", ms=2.6, mew=0, color=colour, alpha=0.75)
        row = np.full(len(group.diverged), box.row(every.index(group.scale), len(every)))
        axes.plot(2.0**group.diverged, row, "x", ms=3, mew=0.8, color=colour)
    for optimum in chosen.optima:
        if optimum.curve_hp is not None and optimum.curve_loss is not None:
            loss = np.where(optimum.curve_loss <= box.strip, optimum.curve_loss, np.nan)
            axes.plot(optimum.curve_hp, loss, "-", lw=1.2, color=colours[optimum.scale])
    _optimum_path(axes, chosen)
    axes.set_xscale("log", base=2)
    axes.set_xlim(2.0**box.x_low, 2.0**box.x_high)
    axes.set_ylim(box.y_low, box.y_high)
    _quiet(axes)
    # The strip of diverged runs has no scale of losses, so neither axis line nor ticks run along it.
    axes.set_yticks([tick for tick in axes.get_yticks() if box.y_low <= tick <= box.strip])
    axes.spines["left"].set_bounds(box.y_low, box.strip)
    return axes


def plot_optimum(fit: SweepFit, variants: Sequence[str] | None = None) -> Figure:
    """The optimum against scale, its law, and the prediction band out to the targets; arguments as above."""
    return _laws(fit, variants, "hp", draw_optimum, f"optimal {fit.sweep.columns.hp}")


def draw_optimum(axes: Axes, fit: SweepFit, variant: str, *, limits: charts.Limits | None = None) -> Axes:
    """One variant's optimum against scale on `axes`, with law, band and predictions."""
    (chosen,) = _chosen(fit, (variant,))
    items = [(o.scale, o.own or o.hp) for o in chosen.optima]
    guesses = [(p.scale, p.hp) for p in chosen.predictions]
    _draw_law(axes, chosen, "hp", items, guesses, limits)
    box = limits or charts.law_limits([chosen], "hp")
    if box is None:
        axes.set_yticks([])
        return axes
    axes.set_yscale("log", base=2)
    axes.set_ylim(2.0**box.y_low, 2.0**box.y_high)
    for prediction in chosen.predictions:
        if fmt.known(prediction.hp.value):
            use = sentences.recommended(prediction) if prediction.hp_recommended else prediction.hp
            _write_value(axes, prediction, fmt.decimal(use), falls=charts.falls(chosen))
    return axes


def plot_loss(fit: SweepFit, variants: Sequence[str] | None = None) -> Figure:
    """The loss at the optimum against scale, its law and band; arguments as above."""
    return _laws(fit, variants, "loss", draw_loss, f"{fit.sweep.columns.loss} at the optimum")


def draw_loss(axes: Axes, fit: SweepFit, variant: str, *, limits: charts.Limits | None = None) -> Axes:
    """One variant's loss at the optimum against scale on `axes`, with law, band and predictions."""
    (chosen,) = _chosen(fit, (variant,))
    items = [(o.scale, o.loss) for o in chosen.optima]
    guesses = [(p.scale, p.loss) for p in chosen.predictions]
    _draw_law(axes, chosen, "loss", items, guesses, limits)
    box = limits or charts.law_limits([chosen], "loss")
    if box is not None:
        axes.set_ylim(box.y_low, box.y_high)
    return axes


def plot_metrics(
    fit: SweepFit, names: Sequence[str] | None = None, variants: Sequence[str] | None = None
) -> Figure:
    """Metrics with their intervals: one panel a metric, one row a variant.

    Arguments:
        fit: the result of `quantify`.
        names: metrics to show; None shows the headline metrics.
        variants: names of those to draw; None draws all.
    """
    from matplotlib.figure import Figure

    chosen = _chosen(fit, variants)
    shown = tuple(names) if names is not None else table_data.main_metrics(fit)
    size = (1.1 + 1.55 * max(len(shown), 1), 0.75 + 0.22 * len(chosen))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, max(len(shown), 1), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, shown, strict=False):
        draw_metric(axes, fit, name, variants)
    return figure


def draw_metric(axes: Axes, fit: SweepFit, name: str, variants: Sequence[str] | None = None) -> Axes:
    """One metric of every variant on `axes`, the first variant on top; a hairline marks zero."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    chosen = _chosen(fit, variants)
    for row, variant in enumerate(chosen):
        item = variant.metrics.get(name, Estimate())
        if item.value is None or not fmt.known(item.value):
            continue
        low, high = (item.value if end is None else end for end in (item.low, item.high))
        axes.plot([low, high], [row, row], "-", lw=1.4, color=palette.GREY, solid_capstyle="butt")
        axes.plot([item.value], [row], "o", ms=4, mew=0, color=palette.ACCENT)
    axes.axvline(0, lw=0.8, color=palette.HAIR, zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.3g}"))
    axes.set_yticks(range(len(chosen)), [v.name for v in chosen], parse_math=False)
    axes.set_ylim(len(chosen) - 0.5, -0.5)
    _quiet(axes)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    words_of = glossary.metric(name)
    unit = f"\n{words_of.unit}" if words_of.unit else "\n "
    axes.set_title(f"{words_of.label}{unit}", fontsize=_SMALL, loc="left", color=palette.INK)
    return axes


def _laws(
    fit: SweepFit,
    variants: Sequence[str] | None,
    quantity: str,
    draw: Callable[..., Axes],
    label: str,
) -> Figure:
    chosen = _chosen(fit, variants)
    limits = charts.law_limits(chosen, quantity)
    figure, panels = _grid(chosen)
    for axes, variant in zip(panels, chosen, strict=True):
        context = charts.law_lines([other for other in chosen if other is not variant], quantity)
        axes.plot(*context, "-", lw=0.6, color=palette.HAIR, zorder=0)
        draw(axes, fit, variant.name, limits=limits)
    _label(figure, panels, fit.sweep.columns.scale, label)
    return figure


def _draw_law(
    axes: Axes,
    variant: VariantFit,
    quantity: str,
    items: list[tuple[float, Estimate]],
    guesses: list[tuple[float, Estimate]],
    limits: charts.Limits | None,
) -> None:
    measured = [scale for scale, item in items if fmt.known(item.value)]
    law = variant.laws.get(quantity)
    if law is not None:
        _law_line(axes, law, max(measured, default=0.0))
    else:
        _say(axes, f"no law: {sentences.no_law(variant)}")
    for scale, item in items:
        _interval(axes, scale, item, "o", palette.INK, palette.INK)
    for scale, item in guesses:
        _interval(axes, scale, item, "D", palette.ACCENT, "white")
    box = limits or charts.law_limits([variant], quantity)
    if box is None:
        axes.set_xticks([])
    else:
        axes.set_xscale("log", base=2)
        axes.set_xlim(2.0**box.x_low, 2.0**box.x_high)
        every = [scale for scale, _ in (*items, *guesses)]
        places = charts.ticks(every, box.x_low, box.x_high, _CHARACTERS)
        axes.set_xticks(places, [fmt.scale(n) for n in places])
    axes.minorticks_off()
    _quiet(axes)


def _law_line(axes: Axes, law: Law, largest: float) -> None:
    """Solid where scales were measured, dashed beyond; the band behind it."""
    if law.scale is None or law.value is None:
        return
    if law.low is not None and law.high is not None:
        axes.fill_between(law.scale, law.low, law.high, color=palette.ACCENT, alpha=0.13, lw=0)
    inside = law.scale <= largest * (1 + 1e-9)
    beyond = ~inside
    beyond[max(int(inside.sum()) - 1, 0)] = True
    axes.plot(law.scale[inside], law.value[inside], "-", lw=1.3, color=palette.ACCENT)
    axes.plot(law.scale[beyond], law.value[beyond], "--", lw=1.1, color=palette.ACCENT)


def _interval(axes: Axes, scale: float, item: Estimate, marker: str, colour: str, fill: str) -> None:
    if item.value is None or not fmt.known(item.value):
        return
    low, high = (None if end is None or not fmt.known(end) else end for end in (item.low, item.high))
    ends = [item.value if low is None else low, item.value if high is None else high]
    axes.plot([scale, scale], ends, "-", lw=1.0, color=colour, solid_capstyle="butt")
    if low is not None and high is None:
        marker = "^"  # open upwards: the optimum lies at or above this point
    elif high is not None and low is None:
        marker = "v"
    axes.plot([scale], [item.value], marker, ms=3.6, mew=0.9, mec=colour, mfc=fill, zorder=3)


def _optimum_path(axes: Axes, variant: VariantFit) -> None:
    """The optima with their intervals, joined: a vertical path transfers, a slanted one drifts."""
    path: list[tuple[float, float]] = []
    for o in variant.optima:
        if (
            o.hp.value is None
            or o.loss.value is None
            or not (fmt.known(o.hp.value) and fmt.known(o.loss.value))
        ):
            continue
        ends = [o.hp.value if end is None or not fmt.known(end) else end for end in (o.hp.low, o.hp.high)]
        axes.plot(ends, [o.loss.value] * 2, "-", lw=1.6, color=palette.ACCENT, zorder=3)
        path.append((o.hp.value, o.loss.value))
    x, y = [at[0] for at in path], [at[1] for at in path]
    axes.plot(x, y, "-", lw=0.8, color=palette.ACCENT, zorder=3)
    axes.plot(x, y, "o", ms=4, mew=0.7, mec="white", mfc=palette.ACCENT, ls="none", zorder=4)


def _write_value(axes: Axes, prediction: Prediction, text: str, falls: bool) -> None:
    """The value to use, on the side of the interval where the law does not run."""
    item = prediction.hp
    end = item.low if falls else item.high
    at = end if end is not None and fmt.known(end) else item.value
    assert at is not None
    offset, side = ((3, -3), "top") if falls else ((3, 3), "bottom")
    axes.annotate(
        text,
        (prediction.scale, at),
        xytext=offset,
        textcoords="offset points",
        ha="right",
        va=side,
        fontsize=_SMALL,
        color=palette.ACCENT,
    )


def _say(axes: Axes, text: str) -> None:
    folded = textwrap.fill(text, 34)
    axes.text(
        0.5,
        0.97,
        folded,
        ha="center",
        va="top",
        transform=axes.transAxes,
        fontsize=_SMALL,
        color=palette.GREY,
        parse_math=False,
    )


def _chosen(fit: SweepFit, names: Sequence[str] | None) -> list[VariantFit]:
    if names is None:
        return list(fit.variants.values())
    unknown = [name for name in names if name not in fit.variants]
    if unknown:
        valid = ", ".join(list(fit.variants)[:8])
        raise QuantifyError(f"variants to draw must be in the fit, but got {unknown[0]!r}; valid: {valid}")
    return [fit.variants[name] for name in names]


def _grid(chosen: Sequence[VariantFit]) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    columns = min(max(len(chosen), 1), 4 if len(chosen) > 6 else 3)
    rows = -(-max(len(chosen), 1) // columns)
    figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows + 0.3), layout="constrained")
    every = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
    for axes in every[len(chosen) :]:
        axes.set_visible(False)
    for axes, variant in zip(every, chosen, strict=False):
        axes.set_title(variant.name, fontsize=_SMALL + 1, loc="left", color=palette.INK, parse_math=False)
    return figure, every[: len(chosen)]


def _label(figure: Figure, panels: Sequence[Axes], x: str, y: str) -> None:
    """One label an axis for the whole figure, and tick labels under every column's last panel."""
    figure.supxlabel(x, fontsize=_SMALL + 1, color=palette.INK, parse_math=False)
    figure.supylabel(y, fontsize=_SMALL + 1, color=palette.INK, parse_math=False)
    columns = {axes.get_subplotspec().colspan.start: axes for axes in panels}  # type: ignore[union-attr]
    for axes in columns.values():
        axes.tick_params(labelbottom=True)


def _key(figure: Figure, fit: SweepFit, scales: Sequence[float]) -> None:
    """The colours of the scales, in a line above the panels."""
    from matplotlib.lines import Line2D

    colours = _colours(scales)
    marks = [Line2D([], [], lw=0)]
    marks += [Line2D([], [], color=colours[n], lw=1.2, marker="o", ms=2.6) for n in scales]
    texts = [fit.sweep.columns.scale, *(fmt.scale(n) for n in scales), "diverged"]
    marks.append(Line2D([], [], color=palette.GREY, lw=0, marker="x", ms=4, mew=0.9))
    legend = figure.legend(
        marks,
        texts,
        loc="outside upper left",
        ncols=len(marks),
        frameon=False,
        fontsize=_SMALL,
        handlelength=1.0,
        columnspacing=1.1,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _colours(scales: Sequence[float]) -> dict[float, str]:
    return dict(zip(scales, palette.sequence(len(scales)), strict=True))


def _quiet(axes: Axes) -> None:
    """Two thin spines, small ticks, nothing else."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_linewidth(0.6)
        axes.spines[side].set_color(palette.GREY)
    axes.tick_params(labelsize=_SMALL, width=0.6, length=3, color=palette.GREY, labelcolor=palette.INK)
    axes.tick_params(which="minor", width=0.4, length=1.8, color=palette.GREY)
