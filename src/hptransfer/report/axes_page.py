"""The page of a fit over several axes: the answer, the figures, the tables, where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import islice

from hptransfer.quantify.axes.result import AxesFit, AxesLaws, AxesVariant
from hptransfer.report import (
    axes_charts,
    axes_tables,
    html_elements,
    html_figures,
    number_format,
    plotly_backend,
)
from hptransfer.report.page import document
from hptransfer.report.page_tables import facts

_MOST = 12  # variants drawn
_MOST_ROWS = 100  # in the tables


def axes_page(fit: AxesFit, *, title: str | None = None) -> str:
    """The report as a string of HTML; the default title is the question that it answers."""
    heading = title or f"Which {fit.sweep.columns.hp} at which {' and '.join(fit.axes)}?"
    drawn, listed = (
        list(islice(fit.variants.values(), _MOST)),
        list(islice(fit.variants.values(), _MOST_ROWS)),
    )
    panels: dict[str, object] = {}
    sections = []
    for i, variant in enumerate(drawn):
        of = f" of {variant.name}" if len(drawn) > 1 else ""
        sections += law_figures(fit.sweep.columns.hp, variant, (str(i), of, axes_tables.level(fit)), panels)
    answers, *tables = axes_tables.every_table(fit, listed)
    body = "\n".join(
        (
            _opening(fit, heading),
            html_elements.section(escape(answers.title), "", html_elements.table(answers)),
            *sections,
            *(
                html_elements.section(escape(t.title), caption(t.title), html_elements.table(t, group=True))
                for t in tables
            ),
            _flags(listed),
            facts(fit.version, fit.sweep.source, {**fit.provenance, **fit.settings}),
        )
    )
    return document(fit.version, heading, body, panels)


def _opening(fit: AxesFit, heading: str) -> str:
    notes = "".join(f'<p class="extent user">{escape(note)}</p>' for note in fit.sweep.notes)
    return (
        f'<header>\n<h1 class="user">{escape(heading)}</h1>\n'
        f'<p class="lead user">{escape(axes_tables.headline(fit))}</p>\n'
        f'<p class="extent">{escape(axes_tables.extent(fit))}</p>{notes}\n</header>\n'
    )


def law_figures(hp: str, law: AxesLaws, words: tuple[str, str, str], panels: dict[str, object]) -> list[str]:
    """The figures of one law: the optimum along each axis, then its contours; their panels go to `panels`.

    Args:
        hp: name of the hyperparameter.
        law: of it.
        words: a key that no other law has, what the titles end with, and the level of the intervals.
        panels: of the page, by name.
    """
    key, of, level = words
    hp, of = escape(hp), escape(of)
    if not law.bands:
        return [html_elements.section(f"No law{of}", "", f"<p>{escape(axes_tables.in_words(law.flags))}</p>")]
    lines, maps = axes_charts.along_axes(hp, law), axes_charts.contours(hp, law)
    panels[f"along{key}"], panels[f"map{key}"] = plotly_backend.panels(lines), plotly_backend.panels(maps)
    held = "; ".join(f"along {band.axis}, {axes_charts.held(band)}" for band in law.bands if band.rest)
    along = (
        f"The line is the predicted optimum along one axis, the others held ({escape(held)}), solid where "
        f"runs were made and dashed beyond, with its {level} prediction band. Each dot is the optimum at one "
        "point, with its interval, carried to the line's place along the other axes by the law; open "
        "diamonds are targets."
    )
    names = [band.axis for band in law.bands]
    drawn = html_figures.variant_panels(f"along{key}", names, names)
    out = [html_elements.section(f"Optimal {hp} along each axis{of}", along, drawn)]
    if law.surfaces:
        first, second = law.surfaces[0].axes
        plotted = html_figures.plot(f"map{key}", f"contours of the optimal {hp}", 0, tall=True)
        caption = (
            f"Contours of the predicted optimum over {escape(first)} and {escape(second)}. Dots are the "
            "points where runs were made, and the diamond is the target. In the shaded region the interval "
            f"is at most {number_format.precise(axes_charts.TRUSTED)} octave (a factor of 2) wide: "
            "further out, read the interval before the value."
        )
        body = html_figures.key(maps.key) + html_figures.alone(plotted)
        out.append(html_elements.section(f"Contours of the optimal {hp}{of}", caption, body))
    return out


CAPTIONS = {
    "Exponents along each axis": "Powers of the axes, each with the others held; then along paths on which "
    "several "
    "change together.",
    "Is the law a plane?": "Bends and interactions, tested beside the plane. The intervals of predictions "
    "allow for "
    "the law's turning along each axis in any case.",
    "Named rules on these runs": "What published rules would have cost here. A rule that gives exponents "
    "only gets its "
    "constant from these runs.",
    "Hold-out check": "The largest of each axis, and a corner, are left out; the law of the other points "
    "predicts them.",
}


def caption(title: str) -> str:
    """What a table shows, by its title without the variant."""
    return CAPTIONS.get(title.partition(":")[0], "")


def _flags(variants: Sequence[AxesVariant]) -> str:
    items = [
        html_elements.definition(
            escape(flag), f'{escape(meaning)}. <span class="note user">{escape(where)}</span>', f"flag {flag}"
        )
        for flag, meaning, where in axes_tables.flag_notes(variants)
    ]  # fmt: skip
    return (
        html_elements.section("Flags", "", f'<dl class="glossary">{"".join(items)}</dl>\n') if items else ""
    )
