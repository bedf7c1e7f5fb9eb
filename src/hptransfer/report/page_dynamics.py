"""The dynamics section of the page: what happened inside the runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from hptransfer.dynamics.instability import EDGES, Edge, predict_edge
from hptransfer.dynamics.study import StudyDynamics
from hptransfer.dynamics.trends import Trend, trends
from hptransfer.errors import DynamicsError
from hptransfer.quantify.result import Estimate
from hptransfer.report import dynamics_plotly, html_elements, table_data
from hptransfer.report import number_format as fmt
from hptransfer.report.dynamics_charts import scales_of
from hptransfer.runs.probe_names import PROBES

MOST_VARIANTS = 12  # drawn; the tables have them all
_FIRST = ("relative_update", "relative_change")  # probe that a choice begins with, where it is there


def section(
    study: StudyDynamics, targets: Sequence[float] = ()
) -> tuple[str, dict[str, dynamics_plotly.Panels]]:
    """The section's HTML and its figures, by name; curves alone where nothing was probed.

    Arguments:
        study: with the curves and probes of its runs.
        targets: scales at which instability is predicted, beside the largest measured.
    """
    variants, scales = list(study.variants)[:MOST_VARIANTS], scales_of(study)
    figures = {"curves": dynamics_plotly.curves(study, variants, scales)}
    parts = [_curves(study, variants, scales)]
    if any(run.probes is not None for run in study.runs):
        figures["heat"], heat_names = dynamics_plotly.heat(study, variants, scales)
        parts.append(_heat(study, variants, scales, heat_names) if figures["heat"] else "")
        found = _trends(study)
        figures["forest"], forest_names = dynamics_plotly.forest(found, variants)
        parts.append(_forest(study, forest_names, found) if found else "")
        if any(run.series("", "critical_lr")[1].size for run in study.runs):
            figures["critical"] = dynamics_plotly.critical(study, variants, scales)
            parts.append(_critical(study, variants))
        parts.append(_edges(study, targets))
    return "\n".join(part for part in parts if part), figures


def _curves(study: StudyDynamics, variants: Sequence[str], scales: Sequence[float]) -> str:
    caption = (
        f"A line a {escape(study.hp)}, the darker the larger; a triangle marks a spike. A spike starts where "
        "the loss exceeds the median of the 20 calm values before it by more than six times their noise, and "
        "by 0.1 nats at the least. One seed is drawn; the table counts all."
    )
    choice = _choice("scale", study.scale, [fmt.scale(n) for n in scales], len(scales) - 1)
    return (
        f'<section id="dynamics">\n<h2>Training loss and its spikes</h2>\n<p class="caption">{caption}</p>\n'
        f"{_controls('curves', choice)}{_panels('curves', variants)}"
        f"{html_elements.table(spike_table(study))}</section>"
    )


def _heat(
    study: StudyDynamics, variants: Sequence[str], scales: Sequence[float], names: Sequence[str]
) -> str:
    choices = _choice("variant", "variant", variants, 0)
    choices += _choice("scale", study.scale, [fmt.scale(n) for n in scales], len(scales) - 1)
    choices += _choice("probe", "probe", [_spoken(name) for name in names], _first(names))
    return (
        '<section>\n<h2>Inside a run</h2>\n<p class="caption">A probe over layers and steps, in the run with '
        "the lowest loss of a variant and "
        f"{escape(study.scale)}; log₂ where it cannot be negative. Hover for the value.</p>\n"
        f"{_controls('heat', choices)}{_one('heat', 'Heat map of a probe over layers and steps')}</section>"
    )


def _forest(study: StudyDynamics, names: Sequence[str], found: Sequence[Trend]) -> str:
    choice = _choice("probe", "probe", [_spoken(name) for name in names], _first(names))
    definitions = "".join(
        f"<div><dt>{escape(_spoken(name))}</dt><dd>{html_elements.typeset(PROBES[name].definition)}</dd></div>"
        for name in names
    )
    return (
        f'<section>\n<h2>How it changes with {escape(study.scale)}</h2>\n<p class="caption">Exponent of each '
        f"probe against {escape(study.scale)} at fixed {escape(study.hp)}, with its 95% interval: at zero "
        f"it does not change. Mean over the layers of a role and over training; from {len(found[0].scales)} "
        f"{escape(study.scale)}s, so the interval has {max(len(found[0].scales) - 2, 0)} degrees of freedom."
        f"</p>\n{_controls('forest', choice)}"
        f"{_one('forest', 'Exponents of a probe with intervals', tall=True)}"
        f'<details><summary>What each probe is</summary><dl class="glossary">{definitions}</dl></details>\n'
        "</section>"
    )


def _critical(study: StudyDynamics, variants: Sequence[str]) -> str:
    return (
        '<section>\n<h2>Critical learning rate</h2>\n<p class="caption">Solid: the smallest learning rate at '
        "which the step would have raised the loss of its own batch (arXiv:2601.16979). Dashed: the one in "
        f"use. The darker, the larger the {escape(study.scale)}; each one's run with the lowest loss. A "
        "solid line that touches its dashed one is at the edge of stability.</p>\n"
        f"{_panels('critical', variants)}"
        "</section>"
    )


def _edges(study: StudyDynamics, targets: Sequence[float]) -> str:
    table = edge_table(study, targets)
    if not table.rows:
        return ""
    return (
        '<section>\n<h2>Where instability begins</h2>\n<p class="caption">The learning rate at which the '
        "largest attention logit (or the learning rate over the critical one) crosses its edge, from a "
        "surface fitted to every run; and the same from all but the largest "
        f"{escape(study.scale)}, held against what was measured there.</p>\n"
        f"{html_elements.table(table, group=True)}</section>"
    )


def spike_table(study: StudyDynamics) -> table_data.Table:
    """Stability of every variant: spikes, divergence, raggedness."""
    rows = []
    for variant in study.variants:
        runs = study.of(variant)
        spikes = [spike for run in runs for spike in run.spikes]
        heights = [s.height for s in spikes if math.isfinite(s.height)]
        back = [s.recovery for s in spikes if s.recovery is not None]
        ragged = [v for v in study.raggedness(variant).values() if math.isfinite(v)]
        rows.append(
            (
                variant,
                float(len(runs)),
                f"{sum(run.status == 'diverged' for run in runs)}",
                f"{sum(bool(run.spikes) for run in runs)}",
                f"{len(spikes)}",
                f"{sum(len(run.gradient_spikes) for run in runs)}",
                f"{np.median(heights):.2f}" if heights else fmt.MISSING,
                f"{np.median(back):.0f}" if back else fmt.MISSING,
                mean_interval(ragged),
            )
        )
    columns = (
        table_data.Column("variant", "text", "The curve family."),
        table_data.Column("runs", "number", "Finished runs, diverged ones included."),
        table_data.Column("diverged", "number", "Runs that diverged."),
        table_data.Column("with spikes", "number", "Runs with at least one loss spike."),
        table_data.Column("spikes", "number", "Loss spikes in all."),
        table_data.Column("gradient spikes", "number", "Spikes of the gradient's norm, at the probed steps."),
        table_data.Column("height", "number", "Median height of a spike above its baseline, nats."),
        table_data.Column("recovery", "number", "Median steps from a spike's start until it is over."),
        table_data.Column(
            "raggedness",
            "estimate",
            f"Mean over {study.scale}s and seeds of how much the loss-{study.hp} curve goes up and down "
            "beyond one basin, nats; 0 for any curve with one minimum. Interval: of that mean.",
        ),
    )
    return table_data.Table("Stability", columns, tuple(rows))


def mean_interval(values: Sequence[float]) -> Estimate:
    """Mean with its 95% interval by Student's t; no limits for fewer than two values."""
    from scipy.special import stdtrit

    if not values:
        return Estimate(None)
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean)
    half = float(stdtrit(len(values) - 1, 0.975)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def edge_table(study: StudyDynamics, targets: Sequence[float]) -> table_data.Table:
    """Predicted crossings of both measures, and their hold-out check, one row a variant and measure."""
    largest = max(scales_of(study), default=0.0)
    rows: list[tuple[table_data.Cell, ...]] = []
    for variant in study.variants:
        for measure in EDGES:
            try:
                edge = predict_edge(study, variant, measure, [largest, *targets])
            except DynamicsError:
                continue
            rows += _edge_rows(edge)
    columns = (
        table_data.Column("variant", "text", "The curve family."),
        table_data.Column("measure", "text", "What must not cross its edge, and the edge."),
        table_data.Column(study.scale, "scale", "The scale n."),
        table_data.Column(
            f"{study.hp} at the edge", "text", "Where it is expected to cross, with its interval."
        ),
        table_data.Column("held out", "text", "The same from all but the largest scale."),
        table_data.Column("error", "number", "Rms error there, octaves of the measure."),
        table_data.Column("inside", "number", "Share of the measured values inside their 95% intervals."),
    )
    return table_data.Table("Edges", columns, tuple(rows))


def _edge_rows(edge: Edge) -> list[tuple[table_data.Cell, ...]]:
    label = f"{_spoken(edge.measure)} = {edge.edge:g}"
    rows: list[tuple[table_data.Cell, ...]] = []
    for crossing in edge.crossings:
        check = edge.holdout if edge.holdout and math.isclose(edge.holdout.scale, crossing.scale) else None
        rows.append(
            (
                edge.variant,
                label,
                crossing.scale,
                _crossed(crossing.hp, crossing.low, crossing.high),
                ""
                if check is None
                else _crossed(check.predicted.hp, check.predicted.low, check.predicted.high)
                + (f"; found {check.found:.3g}" if check.found else "; not crossed there"),
                "" if check is None else f"{check.error:.2f}",
                "" if check is None else f"{check.covered * check.count:.0f} of {check.count}",
            )
        )
    return rows


def _crossed(value: float, low: float, high: float) -> str:
    def one(x: float) -> str:
        return "never" if x == math.inf else "always" if x == 0 else f"{x:.3g}"

    return f"{one(value)} [{one(low)}, {one(high)}]"


def _trends(study: StudyDynamics) -> list[Trend]:
    try:
        return trends(study)
    except DynamicsError:
        return []


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _first(names: Sequence[str]) -> int:
    return next((names.index(name) for name in _FIRST if name in names), 0)


def _choice(key: str, label: str, values: Sequence[str], chosen: int) -> str:
    """A choice by index; what is chosen is a part of the figure's key."""
    options = "".join(
        f'<option value="{i}"{" selected" if i == chosen else ""}>{escape(str(value))}</option>'
        for i, value in enumerate(values)
    )
    return f'<label>{escape(label)} <select name="{key}">{options}</select></label>'


def _controls(figure: str, choices: str) -> str:
    return f'<form class="controls" data-for="{figure}">{choices}</form>\n'


def _one(figure: str, label: str, *, tall: bool = False) -> str:
    size = " tall" if tall else ""
    return (
        f'<figure class="panels one"><div class="panel"><div class="plot{size}" role="img" '
        f'data-figure="{figure}" aria-label="{escape(label, quote=True)}"></div></div></figure>\n'
    )


def _panels(figure: str, variants: Sequence[str]) -> str:
    items = "".join(
        f'<div class="panel" data-variant="{escape(name, quote=True)}"><h3>{escape(name)}</h3>'
        f'<div class="plot" role="img" data-figure="{figure}" data-panel="{i}" '
        f'aria-label="{escape(name, quote=True)}"></div></div>'
        for i, name in enumerate(variants)
    )
    few = {1: " one", 2: " two"}.get(len(variants), "")
    return f'<figure class="panels{few}">{items}</figure>\n'
