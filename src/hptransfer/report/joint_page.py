"""The page of a joint fit: the answer, contours with the ellipse, laws, profiles and slices, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import combinations, islice

from hptransfer.quantify.joint.result import JointSweepFit, JointVariant
from hptransfer.report import charts, html_figures, joint_charts, joint_tables, number_format, plotly_backend
from hptransfer.report.axes_page import caption
from hptransfer.report.html_elements import definition, section, table
from hptransfer.report.page import document

_MOST_VARIANTS = 12  # drawn; more would make a page nobody reads
Panels = dict[str, object]  # figures of the page, by name


def joint_page(fit: JointSweepFit, *, title: str | None = None) -> str:
    """The report as a string of HTML; the default title is the question that it answers."""
    heading = title or joint_tables.heading(fit)
    variants = tuple(islice(fit.variants.values(), _MOST_VARIANTS))
    panels: Panels = {}
    sections = [_opening(fit, heading, variants)]
    for place, variant in enumerate(variants):
        name = f" of {escape(variant.name)}" if len(variants) > 1 else ""
        sections += [
            contours_section(fit, variant, place, name, panels),
            _laws(fit, variant, place, name, panels),
            profiles_section(fit, variant, place, name, panels),
        ]
    found = joint_tables.tables(fit, variants)
    sections += [
        section(escape(item.title), caption(item.title), table(item, group=True)) for item in found[2:]
    ]
    sections += [flags_section(joint_tables.flag_lines(fit)), _facts(fit)]
    return document(fit.version, heading, "\n".join(sections), panels)


def _opening(fit: JointSweepFit, heading: str, variants: Sequence[JointVariant]) -> str:
    notes = "".join(
        f'<p class="extent user">{escape(note)}</p>'
        for note in (*fit.sweep.notes, *joint_tables.left_out(fit.left_out))
    )
    answer, why = joint_tables.answers(fit, variants), joint_tables.reasons(fit, variants)
    reasons = "".join(
        f"<div><dt>{escape(str(row[0]))}</dt><dd>{escape(str(row[1]))}</dd></div>" for row in why.rows
    )
    return (
        f'<header>\n<h1 class="user">{escape(heading)}</h1>\n'
        f'<p class="lead user">{escape(joint_tables.headline(fit))}</p>\n'
        f'<p class="extent">{escape(joint_tables.extent(fit))}</p>{notes}\n</header>\n'
        + section(escape(answer.title), "", f'{table(answer)}<dl class="why">{reasons}</dl>')
    )


def contours_section(
    fit: JointSweepFit, variant: joint_charts.Optima, place: int, name: str, panels: Panels
) -> str:
    """Where the optimum lies at every scale, for every pair of hyperparameters."""
    body = ""
    for i, j in combinations(range(len(fit.hp)), 2):
        figure = joint_charts.contours(fit, variant, (i, j))
        key = f"contours{place}-{i}{j}"
        panels[key] = plotly_backend.panels(figure)
        body += html_figures.key(figure.key) + _multiples(key, figure, f"{fit.hp[i]} by {fit.hp[j]}")
    rises = " and ".join(
        number_format.rough(c.rise) for c in next((o.contours[:3] for o in variant.optima if o.contours), ())
    )
    caption = (
        f"Each dot is a run, the darker the lower its loss. Blue lines are where the fit lies above its "
        f"optimum by {rises} {escape(fit.sweep.metric.unit)}"
        + (", the remaining hyperparameter at its best. " if len(fit.hp) > 2 else ". ")
        + "The orange ellipse holds the optimum with 95% probability: a long one says which changes of both "
        "cancel."
    )
    return section(f"Where the optimum lies{name}", caption, body)


def _multiples(key: str, figure: charts.Figure, label: str) -> str:
    names = [panel.name for panel in figure.panels]
    notes = [f"{p.message[:1].upper()}{p.message[1:]}." if p.message else "" for p in figure.panels]
    return html_figures.variant_panels(key, names, [f"{label}, {name}" for name in names], notes)


def _laws(fit: JointSweepFit, variant: JointVariant, place: int, name: str, panels: Panels) -> str:
    drawn = {q: joint_charts.law(fit, variant, q) for q in (*fit.hp, *fit.combinations)}
    caption = (
        "The optima with their intervals, the law through them (dashed beyond what was measured) and its "
        "prediction band; a diamond is the prediction at a target. Every combination has a law of its own."
    )
    return section(
        f"Laws over {escape(fit.sweep.columns.scale)}{name}", caption, _row("law", place, drawn, panels)
    )


def profiles_section(
    fit: JointSweepFit, variant: joint_charts.Optima, place: int, name: str, panels: Panels
) -> str:
    """The loss along each hyperparameter, the others tuned to it and fixed."""
    drawn = {hp: joint_charts.profiles(fit, variant, j) for j, hp in enumerate(fit.hp)}
    caption = (
        "What a value costs where the others are tuned to it (solid: the profile, with its band at the "
        "largest scale), and where they stay at the optimum (dashed: the slice). Where the two differ, "
        "hyperparameters must be changed together."
    )
    key = html_figures.key(next(iter(drawn.values())).key)
    return section(
        f"One hyperparameter at a time{name}", caption, key + _row("profile", place, drawn, panels)
    )


def _row(kind: str, place: int, drawn: dict[str, charts.Figure], panels: Panels) -> str:
    """Panels side by side, each a figure by itself: zooming one must not move the others."""
    cells = []
    for i, (title, figure) in enumerate(drawn.items()):
        panels[f"{kind}{place}-{i}"] = plotly_backend.panels(figure)
        message = figure.panels[0].message
        note = f'<p class="no-law">{escape(message[:1].upper() + message[1:])}.</p>' if message else ""
        cells.append(
            f'<div class="panel"><h3>{escape(title)}</h3>{note}'
            f"{html_figures.plot(f'{kind}{place}-{i}', title, 0)}</div>"
        )
    few = {1: " one", 2: " two"}.get(len(cells), "")
    return f'<figure class="panels{few}">{"".join(cells)}</figure>\n'


def flags_section(lines: Mapping[str, str]) -> str:
    """Every flag with its meaning."""
    items = "".join(definition(escape(f), escape(meaning), f"flag {f}") for f, meaning in lines.items())
    return section("Flags", "", f'<dl class="glossary">{items}</dl>') if items else ""


def _facts(fit: JointSweepFit) -> str:
    facts = {
        "hptransfer": fit.version,
        "source": fit.sweep.source.path,
        "sha256 of source": fit.sweep.source.sha256,
    }
    known = {**facts, **fit.settings}
    items = "".join(
        definition(escape(name), f"<code>{escape(_plain(value))}</code>")
        for name, value in known.items()
        if value is not None and value != ()
    )
    return section("Where this came from", "", f'<dl class="facts">{items}</dl>')


def _plain(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(_plain, value))
    return number_format.precise(value) if isinstance(value, float) else str(value)
