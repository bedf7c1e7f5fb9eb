"""The dynamics section of the page: what happened inside the runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from html import escape
from itertools import product
from typing import Any

from hptransfer.dynamics.study import StudyDynamics
from hptransfer.dynamics.trends import Trend, trends
from hptransfer.errors import DynamicsError
from hptransfer.report import charts, dynamics_charts, html_elements, number_format, plotly_backend
from hptransfer.report.dynamics_charts import probe_label, scales_of
from hptransfer.report.dynamics_tables import edge_columns, edge_table, spike_table, stability_columns
from hptransfer.report.html_figures import alone, choice, controls, plot, variant_panels
from hptransfer.report.table_data import Column
from hptransfer.runs.probe_names import PROBES

MOST_VARIANTS = 12  # drawn; the tables have them all
_FIRST = ("relative_update", "relative_change")  # probe that a choice begins with, where it is there

Panels = dict[str, plotly_backend.Json]  # by the indices of the page's choices, joined by |


def section(study: StudyDynamics, targets: Sequence[float] = ()) -> tuple[str, dict[str, Panels]]:
    """The section's HTML and its figures, by name; curves alone where nothing was probed.

    Instability is predicted at the targets, beside the largest scale measured.
    """
    variants, scales = list(study.variants)[:MOST_VARIANTS], scales_of(study)
    figures = {"curves": _panels(partial(dynamics_charts.curves, study), variants, scales)}
    parts = [_curves_section(study, variants)]
    if any(run.probes is not None for run in study.runs):
        names = dynamics_charts.probes_with_layers(study, variants)
        figures["heat"] = _panels(partial(dynamics_charts.heat, study), variants, scales, names)
        parts.append(_heat_section(study, variants, names) if names else "")
        found = _trends(study)
        trended = [name for name in PROBES if any(t.name == name for t in found)]
        figures["forest"] = _panels(lambda name: dynamics_charts.forest(found, name, variants), trended)
        parts.append(_forest_section(study, trended, found) if found else "")
        if any(run.series("", "critical_lr")[1].size for run in study.runs):
            figures["critical"] = _panels(partial(dynamics_charts.critical, study), variants)
            parts.append(_critical_section(study, variants))
        parts.append(_edges_section(study, targets))
    return "\n".join(part for part in parts if part), figures


def columns(study: StudyDynamics) -> tuple[Column, ...]:
    """Columns of the section's tables, for the glossary."""
    return (*stability_columns(study), *edge_columns(study))


def _panels(draw: Callable[..., charts.Panel], *choices: Sequence[Any]) -> Panels:
    """The panel of every combination of the choices that has one."""
    panels = {}
    for places in product(*map(enumerate, choices)):
        with suppress(DynamicsError):  # no run there has that probe
            panel = draw(*(value for _, value in places))
            panels["|".join(str(i) for i, _ in places)] = plotly_backend.panel(panel)
    return panels


def _curves_section(study: StudyDynamics, variants: Sequence[str]) -> str:
    caption = (
        f"One line for each {escape(study.hp)}, the darker the larger; a triangle marks a spike. A spike "
        "starts where the loss exceeds the median of the 20 calm values before it by more than six times "
        "their noise, and by at least 0.1 nats. The runs of one seed are drawn; the table counts all."
    )
    body = controls("curves", _scale_choice(study)) + variant_panels("curves", variants)
    body += html_elements.table(spike_table(study))
    return html_elements.section("Training loss and its spikes", caption, body, "dynamics")


def _heat_section(study: StudyDynamics, variants: Sequence[str], names: Sequence[str]) -> str:
    choices = choice("variant", "variant", variants, 0) + _scale_choice(study) + _probe_choice(names)
    caption = (
        "A probe over layers and steps, in the run with the lowest loss of a variant and "
        f"{escape(study.scale)}; log₂ of it where it cannot be negative. Point at a cell to see its value."
    )
    panel = alone(plot("heat", "Heat map of a probe over layers and steps"))
    return html_elements.section("Inside a run", caption, controls("heat", choices) + panel)


def _forest_section(study: StudyDynamics, names: Sequence[str], found: Sequence[Trend]) -> str:
    scale, scales = escape(study.scale), len(found[0].scales)
    freedom = number_format.plural(max(scales - 2, 0), "degree", "degrees")
    caption = (
        f"Exponent of a probe against {scale} at fixed {escape(study.hp)}, with its 95% interval; at zero "
        "the probe does not change. It is the mean over the layers of a role and over training. From "
        f"{number_format.plural(scales, scale)}, the interval has {freedom} of freedom."
    )
    definitions = "".join(
        html_elements.definition(escape(probe_label(name)), html_elements.typeset(PROBES[name].definition))
        for name in names
    )
    panel = alone(plot("forest", "Exponents of a probe with intervals", tall=True))
    body = (
        f"{controls('forest', _probe_choice(names))}{panel}<details><summary>What each probe is</summary>"
        f'<dl class="glossary">{definitions}</dl></details>\n'
    )
    return html_elements.section(f"How probes change with {scale}", caption, body)


def _critical_section(study: StudyDynamics, variants: Sequence[str]) -> str:
    caption = (
        "Solid: the smallest learning rate at which the step would have raised the loss of its own batch "
        "(arXiv:2601.16979). Dashed: the learning rate in use. The darker a line, the larger the "
        f"{escape(study.scale)}, of which the run with the lowest loss is shown. Where a solid line touches "
        "its dashed one, the run is at the edge of stability."
    )
    return html_elements.section("Critical learning rate", caption, variant_panels("critical", variants))


def _edges_section(study: StudyDynamics, targets: Sequence[float]) -> str:
    table = edge_table(study, targets)
    if not table.rows:
        return ""
    caption = (
        "The learning rate at which the largest attention logit (or the ratio of the learning rate to the "
        "critical one) crosses its edge, by a surface fitted to every run; and the same by a surface fitted "
        f"without the largest {escape(study.scale)}, compared with what was measured there."
    )
    body = html_elements.table(table, group=True)
    return html_elements.section("Where instability begins", caption, body)


def _trends(study: StudyDynamics) -> list[Trend]:
    try:
        return trends(study)
    except DynamicsError:  # no probed run has finished
        return []


def _probe_choice(names: Sequence[str]) -> str:
    first = next((names.index(name) for name in _FIRST if name in names), 0)
    return choice("probe", "probe", [probe_label(name) for name in names], first)


def _scale_choice(study: StudyDynamics) -> str:
    scales = [number_format.scale(n) for n in scales_of(study)]
    return choice("scale", study.scale, scales, len(scales) - 1)
