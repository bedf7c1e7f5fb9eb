"""The dynamics section of the page: what happened inside the runs."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hptransfer.dynamics.study import StudyDynamics
from hptransfer.dynamics.trends import Trend, trends
from hptransfer.errors import DynamicsError
from hptransfer.report import dynamics_charts, html_elements, html_figures, number_format, plotly_backend
from hptransfer.report.dynamics_charts import probe_label, scales_of
from hptransfer.report.dynamics_tables import edge_columns, edge_table, spike_table, stability_columns
from hptransfer.report.table_data import Column
from hptransfer.runs.probe_names import PROBES

MOST_VARIANTS = 12  # drawn; the tables have them all
_FIRST = ("relative_update", "relative_change")  # probe that a choice begins with, where it is there

Panels = dict[str, plotly_backend.Json]  # by the panel's number and the page's choices, joined by |


def section(study: StudyDynamics, targets: Sequence[float] = ()) -> tuple[str, dict[str, Panels]]:
    """The section's HTML and its figures, by name; curves alone where nothing was probed."""
    variants = list(study.variants)[:MOST_VARIANTS]
    figures = {"curves": curves(study, variants)}
    parts = [_curves_section(study, variants)]
    if any(run.probes is not None for run in study.runs):
        names = dynamics_charts.probes_with_layers(study, variants)
        figures["heat"] = heat_maps(study, variants, names)
        parts.append(_heat_section(study, variants, names) if names else "")
        found = _trends(study)
        trended = [name for name in PROBES if any(t.name == name for t in found)]
        figures["forest"] = forests(found, variants, trended)
        parts.append(_forest_section(study, trended, found) if found else "")
        if any(run.series("", "critical_lr")[1].size for run in study.runs):
            figures["critical"] = critical(study, variants)
            parts.append(_critical_section(study, variants))
        parts.append(_edges_section(study, targets))
    return "\n".join(part for part in parts if part), figures


def columns(study: StudyDynamics) -> tuple[Column, ...]:
    """Columns of the section's tables, for the glossary."""
    return (*stability_columns(study), *edge_columns(study))


def curves(study: StudyDynamics, variants: Sequence[str]) -> Panels:
    """Training curves; keys are `variant|scale` by index."""
    return {
        f"{i}|{j}": plotly_backend.panel(dynamics_charts.curves(study, variant, scale))
        for i, variant in enumerate(variants)
        for j, scale in enumerate(scales_of(study))
    }


def heat_maps(study: StudyDynamics, variants: Sequence[str], names: Sequence[str]) -> Panels:
    """Heat maps; keys are `variant|scale|probe` by index, and what has no map has no key."""
    panels = {}
    for i, variant in enumerate(variants):
        for j, scale in enumerate(scales_of(study)):
            for k, name in enumerate(names):
                try:
                    panel = dynamics_charts.heat(study, variant, scale, name)
                except DynamicsError:  # no run there has that probe
                    continue
                panels[f"{i}|{j}|{k}"] = plotly_backend.panel(panel)
    return panels


def forests(found: Sequence[Trend], variants: Sequence[str], names: Sequence[str]) -> Panels:
    """Forest plots; keys are probes by index."""
    panels = {}
    for k, name in enumerate(names):
        if any(t.name == name and t.variant in variants for t in found):
            panels[str(k)] = plotly_backend.panel(dynamics_charts.forest(found, name, variants))
    return panels


def critical(study: StudyDynamics, variants: Sequence[str]) -> Panels:
    """Critical learning rates; keys are variants by index."""
    return {
        str(i): plotly_backend.panel(dynamics_charts.critical(study, variant))
        for i, variant in enumerate(variants)
    }


def _curves_section(study: StudyDynamics, variants: Sequence[str]) -> str:
    caption = (
        f"One line for each {escape(study.hp)}, the darker the larger; a triangle marks a spike. A spike "
        "starts where the loss exceeds the median of the 20 calm values before it by more than six times "
        "their noise, and by at least 0.1 nats. The runs of one seed are drawn; the table counts all."
    )
    body = html_figures.controls("curves", _scale_choice(study)) + _variant_panels("curves", variants)
    return (
        f'<section id="dynamics">\n<h2>Training loss and its spikes</h2>\n<p class="caption">{caption}</p>\n'
        f"{body}{html_elements.table(spike_table(study))}</section>"
    )


def _heat_section(study: StudyDynamics, variants: Sequence[str], names: Sequence[str]) -> str:
    choices = html_figures.choice("variant", "variant", variants, 0) + _scale_choice(study)
    choices += html_figures.choice("probe", "probe", [probe_label(name) for name in names], _first(names))
    plot = html_figures.plot("heat", "Heat map of a probe over layers and steps")
    return (
        '<section>\n<h2>Inside a run</h2>\n<p class="caption">A probe over layers and steps, in the run with '
        f"the lowest loss of a variant and {escape(study.scale)}; log₂ of it where it cannot be negative. "
        f"Point at a cell to see its value.</p>\n"
        f"{html_figures.controls('heat', choices)}{html_figures.alone(plot)}</section>"
    )


def _forest_section(study: StudyDynamics, names: Sequence[str], found: Sequence[Trend]) -> str:
    scale, scales = escape(study.scale), len(found[0].scales)
    choice = html_figures.choice("probe", "probe", [probe_label(name) for name in names], _first(names))
    definitions = "".join(
        f"<div><dt>{escape(probe_label(name))}</dt>"
        f"<dd>{html_elements.typeset(PROBES[name].definition)}</dd></div>"
        for name in names
    )
    plot = html_figures.plot("forest", "Exponents of a probe with intervals", tall=True)
    return (
        f'<section>\n<h2>How probes change with {scale}</h2>\n<p class="caption">Exponent of a probe against '
        f"{scale} at fixed {escape(study.hp)}, with its 95% interval; at zero the probe does not change. It "
        f"is the mean over the layers of a role and over training. From {scales} {scale}s, the interval has "
        f"{max(scales - 2, 0)} degrees of freedom.</p>\n"
        f"{html_figures.controls('forest', choice)}{html_figures.alone(plot)}"
        f'<details><summary>What each probe is</summary><dl class="glossary">{definitions}</dl></details>\n'
        "</section>"
    )


def _critical_section(study: StudyDynamics, variants: Sequence[str]) -> str:
    return (
        '<section>\n<h2>Critical learning rate</h2>\n<p class="caption">Solid: the smallest learning rate at '
        "which the step would have raised the loss of its own batch (arXiv:2601.16979). Dashed: the learning "
        f"rate in use. The darker a line, the larger the {escape(study.scale)}, of which the run with the "
        "lowest loss is shown. Where a solid line touches its dashed one, the run is at the edge of "
        "stability.</p>\n"
        f"{_variant_panels('critical', variants)}</section>"
    )


def _edges_section(study: StudyDynamics, targets: Sequence[float]) -> str:
    table = edge_table(study, targets)
    if not table.rows:
        return ""
    return (
        '<section>\n<h2>Where instability begins</h2>\n<p class="caption">The learning rate at which the '
        "largest attention logit (or the ratio of the learning rate to the critical one) crosses its edge, "
        "by a surface fitted to every run; and the same by a surface fitted without the largest "
        f"{escape(study.scale)}, compared with what was measured there.</p>\n"
        f"{html_elements.table(table, group=True)}</section>"
    )


def _trends(study: StudyDynamics) -> list[Trend]:
    try:
        return trends(study)
    except DynamicsError:  # no probed run has finished
        return []


def _first(names: Sequence[str]) -> int:
    return next((names.index(name) for name in _FIRST if name in names), 0)


def _scale_choice(study: StudyDynamics) -> str:
    scales = [number_format.scale(n) for n in scales_of(study)]
    return html_figures.choice("scale", study.scale, scales, len(scales) - 1)


def _variant_panels(figure: str, variants: Sequence[str]) -> str:
    return html_figures.small_multiples(
        [
            html_figures.variant_panel(name, html_figures.plot(figure, name, i))
            for i, name in enumerate(variants)
        ]
    )
