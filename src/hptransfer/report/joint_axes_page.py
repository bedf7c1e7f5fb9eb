"""The page of a joint fit over several axes: answer, laws, contours with the ellipse, profiles, tables."""

from __future__ import annotations

from html import escape
from itertools import combinations, islice

from hptransfer.quantify.joint_axes.result import JointAxesFit, JointAxesVariant
from hptransfer.report import (
    html_figures,
    joint_axes_charts,
    joint_axes_tables,
    joint_page,
    number_format,
    plotly_backend,
)
from hptransfer.report.axes_page import caption, law_figures
from hptransfer.report.html_elements import section, table
from hptransfer.report.joint_axes_view import numbered_view
from hptransfer.report.joint_tables import left_out
from hptransfer.report.page import document
from hptransfer.report.page_tables import facts

_MOST_VARIANTS = 6  # drawn; each has a panel for every point


def joint_axes_page(fit: JointAxesFit, *, title: str | None = None) -> str:
    """The report as a string of HTML; the default title is the question that it answers."""
    heading = title or joint_axes_tables.heading(fit)
    variants = tuple(islice(fit.variants.values(), _MOST_VARIANTS))
    panels: joint_page.Panels = {}
    answers, *tables = joint_axes_tables.tables(fit, tuple(fit.variants.values()))
    body = [_opening(fit, heading), section(escape(answers.title), "", table(answers))]
    for place, variant in enumerate(variants):
        body += _figures(fit, variant, place, panels)
    body += [section(escape(t.title), caption(t.title), table(t, group=True)) for t in tables]
    body += [joint_page.flags_section(joint_axes_tables.flag_lines(fit))]
    body += [facts(fit.version, fit.sweep.source, fit.settings)]
    return document(fit.version, heading, "\n".join(body), panels)


def _opening(fit: JointAxesFit, heading: str) -> str:
    notes = "".join(
        f'<p class="extent user">{escape(note)}</p>' for note in (*fit.sweep.notes, *left_out(fit.left_out))
    )
    return (
        f'<header>\n<h1 class="user">{escape(heading)}</h1>\n'
        f'<p class="lead user">{escape(joint_axes_tables.headline(fit))}</p>\n'
        f'<p class="extent">{escape(joint_axes_tables.extent(fit))}</p>{notes}\n</header>\n'
    )


def _figures(
    fit: JointAxesFit, variant: JointAxesVariant, place: int, panels: joint_page.Panels
) -> list[str]:
    """The laws of every quantity, then the joint optimum at every point, then profiles and slices."""
    of = f" of {variant.name}" if len(fit.variants) > 1 else ""
    level, out = number_format.percent(fit.settings["level"], 4), []
    for j, (name, law) in enumerate(variant.laws.items()):
        out += law_figures(name, law, (f"{place}-{j}", of, level), panels)
    out.append(_predicted(fit, variant, place, of, panels))
    view = numbered_view(fit)
    drawn = (joint_page.contours_section, joint_page.profiles_section)
    return [*out, *(part(view, variant, place, escape(of), panels) for part in drawn)]


def _predicted(
    fit: JointAxesFit, variant: JointAxesVariant, place: int, of: str, panels: joint_page.Panels
) -> str:
    """The optimum at every target with its ellipse, for every pair of hyperparameters; empty without any."""
    body = ""
    for i, j in combinations(range(len(fit.hp)), 2):
        figure = joint_axes_charts.predicted(fit, variant, (i, j))
        names = [panel.name for panel in figure.panels]
        if not names:
            return ""
        key = f"ahead{place}-{i}{j}"
        panels[key] = plotly_backend.panels(figure)
        labels = [f"{fit.hp[i]} by {fit.hp[j]}, {name}" for name in names]
        body += html_figures.key(figure.key) + html_figures.variant_panels(key, names, labels)
    caption = (
        "What the laws predict at each target. Changes of both along a long ellipse are the uncertain ones. "
        "The point to use is the one with the least expected loss."
    )
    return section(f"Predicted optimum{escape(of)}", caption, body)
