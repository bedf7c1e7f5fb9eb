"""The dynamics section's interactive figures as plain plotly data; the page draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from hptransfer.dynamics.study import RunDynamics, StudyDynamics
from hptransfer.dynamics.trends import Trend
from hptransfer.report import number_format as fmt
from hptransfer.report import palette, plotly_layout
from hptransfer.report.dynamics_charts import best, curve, heat_rows, representative
from hptransfer.runs.probe_names import PROBES

Panels = dict[str, plotly_layout.Panel]  # by the values of the page's choices, joined by |

_HEAT = [[0.0, "#f4f1ea"], [0.33, "#8fbfae"], [0.66, "#2f6f97"], [1.0, "#2a2560"]]


def curves(study: StudyDynamics, variants: Sequence[str], scales: Sequence[float]) -> Panels:
    """Training loss at one scale, a line a learning rate, spikes marked; keys `variant|scale` by index."""
    panels = {}
    for i, variant in enumerate(variants):
        for j, scale in enumerate(scales):
            runs = representative([run for run in study.of(variant) if run.scale == scale])
            colours = palette.sequence(len(runs))
            data = [_line(study, run, colour) for run, colour in zip(runs, colours, strict=True)]
            data += [_spikes(run) for run in runs if run.spikes]
            layout = plotly_layout.layout(_span_x(runs), _span_y(runs))
            layout["xaxis"] |= {"title": plotly_layout.title("step")}
            layout["annotations"] = [plotly_layout.y_title("training loss, nats")]
            panels[f"{i}|{j}"] = {"data": data, "layout": layout}
    return panels


def _line(study: StudyDynamics, run: RunDynamics, colour: str) -> dict[str, Any]:
    steps, losses = curve(run)
    head = f"{escape(study.hp, quote=False)} {run.hp:.3g}"
    when = "" if run.diverged_step is None else f" from step {run.diverged_step}"
    tail = f"diverged{when}" if run.status == "diverged" else f"final loss {run.loss:.4f}"
    return {
        "type": "scatter",
        "mode": "lines",
        "x": steps,
        "y": plotly_layout.numbers(losses),
        "line": {"color": colour, "width": 1.3},
        "hovertemplate": f"{head}<br>step %{{x}}<br>loss %{{y:.3f}}<br>{tail}<extra></extra>",
    }


def _spikes(run: RunDynamics) -> dict[str, Any]:
    steps, losses = (np.asarray(part, dtype=float) for part in (run.steps, run.curve))
    at = [spike.peak for spike in run.spikes]
    texts = []
    for spike in run.spikes:
        back = "never back" if spike.recovery is None else f"back after {spike.recovery} steps"
        texts.append(f"spike at step {spike.start}<br>height {spike.height:.2f} nats<br>{back}")
    return {
        "type": "scatter",
        "mode": "markers",
        "x": at,
        "y": plotly_layout.numbers(np.interp(at, steps, losses) if steps.size else np.full(len(at), np.nan)),
        "marker": {"color": palette.ACCENT, "size": 7, "symbol": "triangle-down"},
        "text": texts,
        "hovertemplate": "%{text}<extra></extra>",
    }


def _span_x(runs: Sequence[RunDynamics]) -> tuple[float, float]:
    return 0.0, max((max(run.steps, default=0) for run in runs), default=0) * 1.02 + 1


def _span_y(runs: Sequence[RunDynamics]) -> tuple[float, float]:
    """From the lowest loss to a little above where runs begin; a diverged run leaves the frame."""
    finite = [v for run in runs for v in run.curve if math.isfinite(v)]
    if not finite:
        return 0.0, 1.0
    low = min(finite)
    high = float(np.quantile(finite, 0.995))
    return low - 0.05 * (high - low), high + 0.1 * (high - low) + 1e-6


def heat(study: StudyDynamics, variants: Sequence[str], scales: Sequence[float]) -> tuple[Panels, list[str]]:
    """log2 of a probe over layer and step, of each variant's and scale's best run.

    Keys are `variant|scale|probe` by index.

    Returns:
        The panels, and the probes that have one.
    """
    chosen = {
        (i, j): run
        for i, variant in enumerate(variants)
        for j, scale in enumerate(scales)
        if (run := best([r for r in study.of(variant) if r.scale == scale])) is not None
    }
    names = [
        name
        for name in PROBES
        if PROBES[name].of != "run" and any(len(heat_rows(run, name)[0]) for run in chosen.values())
    ]
    panels = {
        f"{i}|{j}|{k}": _heat(run, name) for (i, j), run in chosen.items() for k, name in enumerate(names)
    }
    return panels, names


def _heat(run: RunDynamics, name: str) -> plotly_layout.Panel:
    layers, values = heat_rows(run, name)
    linear = PROBES[name].linear
    with np.errstate(divide="ignore", invalid="ignore"):
        z = values if linear else np.log2(values)
    steps = list(run.probes.steps) if run.probes is not None else []
    unit = "" if linear else "log<sub>2</sub>"
    layout = plotly_layout.layout((-0.5, 1), (0, 1))
    layout["xaxis"] |= {
        "title": plotly_layout.title("step"),
        "type": "category",
        "autorange": True,
        "nticks": 12,
    }
    layout["yaxis"] = layout["yaxis"] | {"type": "category", "autorange": "reversed", "automargin": True}
    layout["yaxis"].pop("nticks", None)
    data = {
        "type": "heatmap",
        "x": [str(step) for step in steps],
        "y": [escape(layer, quote=False) for layer in layers],
        "z": [plotly_layout.numbers(row) for row in z],
        "colorscale": _HEAT,
        "xgap": 1,
        "ygap": 1,
        "colorbar": {
            "title": {"text": unit, "font": {"size": 11}},
            "thickness": 10,
            "outlinewidth": 0,
            "tickfont": {"size": 10},
        },
        "customdata": [plotly_layout.numbers(row) for row in values],
        "hovertemplate": "%{y}<br>step %{x}<br>%{customdata:.4g}<extra></extra>",
    }
    for axis in ("xaxis", "yaxis"):
        layout[axis].pop("range", None)
    return {"data": [data], "layout": layout}


def forest(found: Sequence[Trend], variants: Sequence[str]) -> tuple[Panels, list[str]]:
    """Exponents against scale with their intervals, a row a variant and role; keys are probes by index.

    Returns:
        The panels, and the probes that have one.
    """
    names = [name for name in PROBES if any(t.name == name for t in found)]
    panels = {}
    for k, name in enumerate(names):
        rows = [t for t in found if t.name == name and t.variant in variants]
        rows.sort(key=lambda t: (t.place, variants.index(t.variant)))
        panels[str(k)] = _forest(rows)
    return panels, names


def _forest(rows: Sequence[Trend]) -> plotly_layout.Panel:
    labels = [escape(f"{t.place or 'run'}: {t.variant}", quote=False) for t in rows]
    ends = [e for t in rows for e in (t.value, t.low, t.high) if math.isfinite(e)] or [0.0]
    reach = (max(min(ends), -4.0) - 0.1, min(max(ends), 4.0) + 0.1)
    layout = plotly_layout.layout((min(reach[0], -0.1), max(reach[1], 0.1)), (-0.5, len(rows) - 0.5))
    layout["xaxis"] |= {
        "title": plotly_layout.title("exponent: d log probe / d log scale at fixed learning rate")
    }
    layout["yaxis"] |= {"tickvals": list(range(len(rows))), "ticktext": labels[::-1], "automargin": True}
    layout["yaxis"].pop("nticks", None)
    at = list(range(len(rows)))[::-1]
    up = [t.high - t.value if math.isfinite(t.high) else 0.0 for t in rows]
    down = [t.value - t.low if math.isfinite(t.low) else 0.0 for t in rows]
    data = {
        "type": "scatter",
        "mode": "markers",
        "x": plotly_layout.numbers(np.array([t.value for t in rows])),
        "y": at,
        "error_x": plotly_layout.error(up, down, palette.INK, 1.4),
        "marker": {"color": palette.ACCENT, "size": 7},
        "text": [
            f"{label}<br>{t.value:+.2f} [{t.low:+.2f}, {t.high:+.2f}]<br>{len(t.scales)} scales, "
            f"{t.hps} learning rates, {t.runs} runs"
            for label, t in zip(labels, rows, strict=True)
        ],
        "hovertemplate": "%{text}<extra></extra>",
    }
    zero = {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1}
    layout["shapes"] = [zero | {"line": {"color": palette.HAIR, "width": 1}}]
    return {"data": [data], "layout": layout}


def critical(study: StudyDynamics, variants: Sequence[str], scales: Sequence[float]) -> Panels:
    """Critical LR (solid) against the scheduled LR (dashed) of each scale's best run; keys are variants."""
    colours = dict(zip(scales, palette.sequence(len(scales)), strict=True))
    panels = {}
    for i, variant in enumerate(variants):
        data, logs, last = [], [0.0], 1
        for scale in scales:
            run = best(
                [r for r in study.of(variant) if r.scale == scale and r.series("", "critical_lr")[1].size]
            )
            if run is None:
                continue
            for name, dash in (("critical_lr", "solid"), ("lr", "dash")):
                steps, values = run.series("", name)
                data.append(_track(study, run, name, dash, colours[scale]))
                logs += np.log10(values[values > 0]).tolist()
                last = max(last, int(steps.max(initial=1)))
        known = logs[1:] or [-3.0, -1.0]
        layout = plotly_layout.layout((0, last * 1.02), (min(known) - 0.15, max(known) + 0.15))
        layout["yaxis"] |= {"type": "log"}
        layout["xaxis"] |= {"title": plotly_layout.title("step")}
        layout["annotations"] = [plotly_layout.y_title("learning rate, SP coordinates")]
        panels[str(i)] = {"data": data, "layout": layout}
    return panels


def _track(study: StudyDynamics, run: RunDynamics, name: str, dash: str, colour: str) -> dict[str, Any]:
    steps, values = run.series("", name)
    label = "critical LR" if name == "critical_lr" else "LR in use"
    place = f"{escape(study.scale, quote=False)} {fmt.scale(run.scale)}"
    return {
        "type": "scatter",
        "mode": "lines+markers" if name == "critical_lr" else "lines",
        "x": steps.tolist(),
        "y": plotly_layout.numbers(values),
        "line": {"color": colour, "width": 1.4, "dash": dash},
        "marker": {"size": 4},
        "hovertemplate": f"{place}<br>step %{{x}}<br>{label} %{{y:.3g}}<extra></extra>",
    }
