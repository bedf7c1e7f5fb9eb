"""The page of a joint fit over several axes: answer, laws, contours with the ellipse, profiles, tables."""

from __future__ import annotations

from html import escape
from itertools import islice

from hptransfer.quantify.joint_axes.result import JointAxesFit, JointAxesVariant
from hptransfer.report import axes_tables, joint_axes_tables, joint_page
from hptransfer.report.axes_page import CAPTIONS, law_figures
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
    body += [section(escape(t.title), CAPTIONS.get(t.title, ""), table(t, group=True)) for t in tables]
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
    level, out = axes_tables.percent(fit.settings["level"]), []
    for j, (name, law) in enumerate(variant.laws.items()):
        out += law_figures(name, law, (f"{place}-{j}", of, level), panels)
    view = numbered_view(fit)
    drawn = (joint_page.contours_section, joint_page.profiles_section)
    return [*out, *(part(view, variant, place, escape(of), panels) for part in drawn)]
