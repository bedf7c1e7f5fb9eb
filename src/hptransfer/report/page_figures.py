"""The page's figures of a fit: phase diagram, basins and laws, with captions and empty panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from hptransfer.quantify.result import SweepFit, VariantFit
from hptransfer.report import charts, html_elements, html_figures, number_format, phase_chart, sentences


def phase_section(variants: Sequence[VariantFit]) -> str:
    """The phase diagram's place with its filters; empty where fewer than two variants have one."""
    shown = phase_chart.placed(variants)
    if len(shown) < 2:
        return ""
    names = [phase_chart.rule_and_decay(v.name) for v in shown]
    filters = html_figures.filter_by("rule", "variant", [rule for rule, _ in names])
    filters += html_figures.filter_by("decay", "weight decay", [decay for _, decay in names])
    missing = len(variants) - len(shown)
    rest = f" {number_format.plural(missing, 'variant')} without both numbers not drawn." if missing else ""
    label = "E, kappa and R(inf) of " + ", ".join(v.name for v in shown[: phase_chart.MOST_NAMED])
    return (
        '<section id="phase">\n<h2>Where each variant stands</h2>\n<p class="caption">Quality of the fit E '
        "against robustness κ, each with its interval. The darker a point, the larger the asymptotic penalty "
        f"R(∞). Good transfer is low and to the left. Point at a variant to see its numbers.{rest}</p>\n"
        f"{html_figures.controls('phase', filters, filters=True)}"
        f"{html_figures.alone(html_figures.plot('phase', label, 0))}</section>"
    )


def figures(fit: SweepFit, variants: Sequence[VariantFit], drawn: Mapping[str, charts.Figure]) -> str:
    """The three figures with their captions."""
    columns = fit.sweep.columns
    hp, scale = escape(columns.hp), escape(columns.scale)
    omitted = html_elements.omitted_note(fit, variants, "drawn")
    sections = (
        (
            f"Loss against {hp} at each {scale}",
            _basins_caption(fit, many=len(variants) > 1),
            html_figures.key(drawn["basins"].key) + _panels("basins", drawn["basins"], variants, columns.hp),
        ),
        (
            f"Optimal {hp} against {scale}",
            _optimum_caption(fit, many=len(variants) > 1),
            _panels("hp", drawn["hp"], variants, columns.hp),
        ),
        (
            f"The {escape(columns.loss)} at the optimum against {scale}",
            f"The loss at the optimum with its law; lower is better at the same {scale}."
            f"{_others(many=len(variants) > 1)}",
            _panels("loss", drawn["loss"], variants, columns.loss),
        ),
    )
    return "\n".join(
        f'<section>\n<h2>{title}</h2>\n<p class="caption">{caption}</p>\n{body}{omitted}</section>'
        for title, caption, body in sections
    )


def _basins_caption(fit: SweepFit, *, many: bool) -> str:
    hp, scale, level = escape(fit.sweep.columns.hp), escape(fit.sweep.columns.scale), sentences.level(fit)
    together = "All panels share their axes. " if many else ""
    return (
        f"Each dot is a run, and each curve the fitted basin of one {scale}. The orange path joins the "
        f"optima, with their {level} intervals: a vertical path means that {hp} carries over, a slanted one "
        "that it drifts. Diverged runs, and runs above the frame, stand in the strip above it, one row for "
        f"each {scale}. {together}Drag to zoom, and double-click to return."
    )


def _optimum_caption(fit: SweepFit, *, many: bool) -> str:
    scale, level = escape(fit.sweep.columns.scale), sentences.level(fit)
    return (
        f"The measured optima with their intervals, the law through them (dashed beyond the largest {scale} "
        f"measured) and its {level} prediction band. The number is the value to use at the target."
        f"{_others(many=many)} Optima outside the band speak against the law."
    )


def _others(*, many: bool) -> str:
    return " Grey lines are the laws of the other variants." if many else ""


def _panels(name: str, figure: charts.Figure, variants: Sequence[VariantFit], quantity: str) -> str:
    panels = []
    for i, (variant, panel) in enumerate(zip(variants, figure.panels, strict=True)):
        note = f"{panel.message[:1].upper()}{panel.message[1:]}." if panel.message else ""
        plot = html_figures.plot(name, f"{variant.name}: {_aria_label(variant, quantity)}", i)
        panels.append(html_figures.variant_panel(variant.name, plot, note))
    return html_figures.small_multiples(panels)


def _aria_label(variant: VariantFit, quantity: str) -> str:
    """What a panel shows, for those who do not see it."""
    optima = [
        f"{number_format.decimal(o.hp)} at {number_format.scale(o.scale)}"
        for o in variant.optima
        if number_format.known(o.hp.value)
    ]
    return f"{quantity}; optimum {', '.join(optima)}" if optima else f"{quantity}; no optimum found"
