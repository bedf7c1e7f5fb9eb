"""The figures of the dynamics section: training curves, probes inside a run, their exponents, critical LR."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hptransfer.dynamics.study import RunDynamics, StudyDynamics
from hptransfer.dynamics.trends import Trend
from hptransfer.errors import DynamicsError
from hptransfer.quantify.result import Estimate
from hptransfer.report import charts, number_format, palette
from hptransfer.runs.probe_names import PROBES
from hptransfer.sweep.table import FloatArray

POINTS = 120  # of a curve that are drawn
LINES = 12  # curves in one panel
_FARTHEST = 4.0  # exponent beyond which an interval does not widen the axis


def curves(study: StudyDynamics, variant: str, scale: float) -> charts.Panel:
    """Training loss against step, one line for each learning rate of one seed, triangles at spikes."""
    runs = representative([run for run in study.of(variant) if run.scale == scale])
    colours = palette.sequence(len(runs))
    marks: list[charts.Mark] = [_curve(study, run, c) for run, c in zip(runs, colours, strict=True)]
    marks += [_spikes(run) for run in runs if run.spikes]
    last = max((max(run.steps, default=0) for run in runs), default=0)
    low, high = _loss_range([loss for run in runs for loss in run.curve])
    x, y = charts.Axis(0.0, last * 1.02 + 1, "step"), charts.Axis(low, high, "training loss, nats")
    return charts.Panel(variant, x, y, tuple(marks))


def heat(study: StudyDynamics, variant: str, scale: float, probe: str) -> charts.Panel:
    """A probe over layers and steps in the run with the lowest loss; log2 where it cannot be negative.

    Raises:
        DynamicsError: no such run has that probe.
    """
    run = best([run for run in study.of(variant) if run.scale == scale])
    layers, values = ([], np.zeros((0, 0))) if run is None else heat_rows(run, probe)
    if run is None or run.probes is None or not layers:
        raise DynamicsError(
            f"the heat map needs a run with {probe}, but {variant} at {number_format.scale(scale)} has none"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        shown = values if PROBES[probe].linear else np.log2(values)
    label = probe_label(probe) if PROBES[probe].linear else f"log2 {probe_label(probe)}"
    steps = tuple(str(step) for step in run.probes.steps)
    x = charts.Axis(-0.5, len(steps) - 0.5, "step", ticks=_some(steps))
    y = charts.Axis(len(layers) - 0.5, -0.5, "", ticks=tuple((float(i), n) for i, n in enumerate(layers)))
    return charts.Panel(variant, x, y, (charts.Heat(steps, tuple(layers), values, shown, label),))


def forest(found: Sequence[Trend], probe: str, variants: Sequence[str] | None = None) -> charts.Panel:
    """Exponents of one probe against scale with their intervals, one row for each role and variant.

    Raises:
        DynamicsError: there are none of that probe.
    """
    rows = _trend_rows(found, probe, variants)
    items = [Estimate(t.value, t.low, t.high) for t in rows]
    labels = [f"{t.place or 'run'}: {t.variant}" for t in rows]
    at = np.arange(len(rows), dtype=float)[::-1]
    points = charts.Points(
        np.array([t.value for t in rows]),
        at,
        palette.INK,
        "circle",
        7,
        fill=palette.ACCENT,
        edge=palette.ACCENT,
        x_error=charts.error_bars(items),
        error_width=1.4,
        texts=tuple(map(_trend_text, labels, rows)),
    )
    ends = [end for item in items for end in number_format.known_numbers(item)] or [0.0]
    low, high = max(min(ends), -_FARTHEST) - 0.1, min(max(ends), _FARTHEST) + 0.1
    x = charts.Axis(
        min(low, -0.1), max(high, 0.1), "exponent: d log probe / d log scale at fixed learning rate"
    )
    y = charts.Axis(-0.5, len(rows) - 0.5, "", ticks=tuple(zip(at.tolist(), labels, strict=True)))
    return charts.Panel("", x, y, (points,), zero="x")


def _trend_rows(found: Sequence[Trend], probe: str, variants: Sequence[str] | None) -> list[Trend]:
    """The exponents of a probe by role, then by variant."""
    order = list(variants) if variants is not None else list(dict.fromkeys(t.variant for t in found))
    rows = [t for t in found if t.name == probe and t.variant in order]
    if not rows:
        raise DynamicsError(f"the forest plot needs exponents of {probe}, but there are none")
    return sorted(rows, key=lambda t: (t.place, order.index(t.variant)))


def critical(study: StudyDynamics, variant: str) -> charts.Panel:
    """Critical learning rate (solid) beside the one in use (dashed) of each scale's best run."""
    scales = scales_of(study)
    lines: list[charts.Line] = []
    for scale, colour in zip(scales, palette.sequence(len(scales)), strict=True):
        probed = [r for r in study.of(variant) if r.scale == scale and r.series("", "critical_lr")[1].size]
        run = best(probed)
        if run is not None:
            place = f"{study.scale} {number_format.scale(scale)}"
            lines += [_learning_rate(run, place, name, colour) for name in ("critical_lr", "lr")]
    logs = np.concatenate([line.y for line in lines] or [np.zeros(0)])
    known = logs[np.isfinite(logs)] if np.isfinite(logs).any() else np.array([-3.0, -1.0])
    last = max((float(line.x.max(initial=1)) for line in lines), default=1.0)
    x = charts.Axis(0.0, last * 1.02, "step")
    low, high = float(known.min()) - 0.15, float(known.max()) + 0.15
    return charts.Panel(
        variant, x, charts.Axis(low, high, "learning rate, SP coordinates", base=10), tuple(lines)
    )


def probes_with_layers(study: StudyDynamics, variants: Sequence[str]) -> list[str]:
    """The probes that some variant's best run, at some scale, has of some layer: those with a heat map."""
    runs = [
        best([r for r in study.of(variant) if r.scale == scale])
        for variant in variants
        for scale in scales_of(study)
    ]
    return [
        name
        for name, probe in PROBES.items()
        if probe.of != "run" and any(run is not None and heat_rows(run, name)[0] for run in runs)
    ]


def probe_label(name: str) -> str:
    """A probe's name as it is written on axes and in choices."""
    return name.replace("_", " ")


def scales_of(study: StudyDynamics) -> list[float]:
    """Every scale, ascending."""
    return sorted({run.scale for run in study.runs})


def representative(runs: Sequence[RunDynamics]) -> list[RunDynamics]:
    """One seed's runs, by learning rate; at most `LINES`, evenly taken."""
    seeds = sorted({run.seed for run in runs})
    first = sorted((run for run in runs if run.seed == seeds[0]), key=lambda run: run.hp) if seeds else []
    if len(first) <= LINES:
        return first
    return [first[i] for i in np.linspace(0, len(first) - 1, LINES).round().astype(int)]


def best(runs: Sequence[RunDynamics]) -> RunDynamics | None:
    """The finished, probed run with the lowest loss; None where there is none."""
    found = [r for r in runs if r.status == "done" and r.probes is not None and math.isfinite(r.loss)]
    return min(found, key=lambda run: run.loss, default=None)


def thinned(run: RunDynamics) -> tuple[FloatArray, FloatArray]:
    """Steps and losses, thinned to `POINTS`; the highest value of each stretch is kept, so spikes stay."""
    steps, losses = np.array(run.steps, dtype=float), np.array(run.curve, dtype=float)
    if len(steps) <= POINTS:
        return steps, losses
    parts = np.array_split(np.arange(len(steps)), POINTS)
    kept = [int(part[np.argmax(np.where(np.isnan(losses[part]), -np.inf, losses[part]))]) for part in parts]
    return steps[kept], losses[kept]


def heat_rows(run: RunDynamics, name: str) -> tuple[list[str], FloatArray]:
    """Layers that have a probe, in the model's order, and its values, [layers, steps]."""
    if run.probes is None:
        return [], np.zeros((0, 0))
    columns = [i for i, row in enumerate(run.probes.rows) if row[2] == name and row[0]]
    return [run.probes.rows[i][0] for i in columns], run.probes.values[:, columns].T


def _curve(study: StudyDynamics, run: RunDynamics, colour: str) -> charts.Line:
    tail = "diverged" if run.status == "diverged" else f"final loss {number_format.loss_text(run.loss)}"
    hp = number_format.decimal(Estimate(run.hp))
    template = f"{study.hp} {hp}\nstep %{{x}}\nloss %{{y:.3f}}\n{tail}"
    return charts.Line(*thinned(run), colour, 1.3, template=template, name=hp)


def _spikes(run: RunDynamics) -> charts.Points:
    at = np.array([spike.peak for spike in run.spikes], dtype=float)
    heights = np.interp(at, run.steps, run.curve) if run.steps else np.full(len(at), np.nan)
    texts = []
    for spike in run.spikes:
        back = (
            "never back"
            if spike.recovery is None
            else f"back after {number_format.plural(spike.recovery, 'step')}"
        )
        texts.append(f"spike at step {spike.start}\nheight {number_format.fixed(spike.height)} nats\n{back}")
    return charts.Points(at, heights, palette.ACCENT, "down", 7, texts=tuple(texts))


def _loss_range(losses: Sequence[float]) -> tuple[float, float]:
    """From the lowest loss to a little above where runs begin; a diverged run leaves the frame."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), float(np.quantile(finite, 0.995))
    return low - 0.05 * (high - low), high + 0.1 * (high - low) + 1e-6


def _some(steps: Sequence[str], most: int = 6) -> tuple[tuple[float, str], ...]:
    """Ticks at a few of the steps, evenly taken."""
    places = np.unique(np.linspace(0, len(steps) - 1, most).round().astype(int))
    return tuple((float(i), steps[i]) for i in places)


def _trend_text(label: str, trend: Trend) -> str:
    value, low, high = map(number_format.signed, (trend.value, trend.low, trend.high))
    return (
        f"{label}\n{value} [{low}, {high}]\n{number_format.plural(len(trend.scales), 'scale')}, "
        f"{number_format.plural(trend.hps, 'learning rate')}, {number_format.plural(trend.runs, 'run')}"
    )


def _learning_rate(run: RunDynamics, place: str, name: str, colour: str) -> charts.Line:
    steps, values = run.series("", name)
    is_critical = name == "critical_lr"
    label = "critical LR" if is_critical else "LR in use"
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(values > 0, np.log10(values), np.nan)
    return charts.Line(
        steps.astype(float),
        logs,
        colour,
        1.4,
        dashed=not is_critical,
        marker=4.0 if is_critical else 0.0,
        template=f"{place}\nstep %{{x}}\n{label} %{{y:.3g}}",
        name=place if is_critical else "",
    )
