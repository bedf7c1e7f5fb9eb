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
    caption = (
        "Quality of the fit E against robustness κ, each with its interval. The darker a point, the larger "
        "the asymptotic penalty R(∞). Good transfer is low and to the left. Point at a variant to see its "
        "numbers."
    )
    body = html_figures.controls("phase", filters, filters=True)
    body += html_figures.alone(html_figures.plot("phase", label, 0))
    return html_elements.section("Where each variant stands", caption + rest, body, "phase")


def figures(fit: SweepFit, variants: Sequence[VariantFit], drawn: Mapping[str, charts.Figure]) -> str:
    """The figures `basins`, `hp` and `loss`, a panel for each variant, with their captions."""
    columns, level, many = fit.sweep.columns, sentences.level(fit), len(variants) > 1
    hp, scale = escape(columns.hp), escape(columns.scale)
    together = "All panels share their axes. " if many else ""
    others = " Grey lines are the laws of the other variants." if many else ""
    basins = (
        f"Each dot is a run, and each curve the fitted basin of one {scale}. The orange path joins the "
        f"optima, with their {level} intervals: a vertical path means that {hp} carries over, a slanted one "
        "that it drifts. Diverged runs, and runs above the frame, stand in the strip above it, one row for "
        f"each {scale}. {together}Drag to zoom, and double-click to return."
    )
    optimum = (
        f"The measured optima with their intervals, the law through them (dashed beyond the largest {scale} "
        f"measured) and its {level} prediction band. The number is the value to use at the target."
        f"{others} Optima outside the band speak against the law."
    )
    loss = f"The loss at the optimum with its law; lower is better at the same {scale}.{others}"
    key, omitted = html_figures.key(drawn["basins"].key), html_elements.omitted_note(fit, variants, "drawn")
    return "\n".join(
        html_elements.section(
            title, caption, f"{above}{_panels(name, drawn[name], variants, shown)}{omitted}"
        )
        for name, title, caption, above, shown in (
            ("basins", f"Loss against {hp} at each {scale}", basins, key, columns.hp),
            ("hp", f"Optimal {hp} against {scale}", optimum, "", columns.hp),
            ("loss", f"The {escape(columns.loss)} at the optimum against {scale}", loss, "", columns.loss),
        )
    )


def _panels(name: str, figure: charts.Figure, variants: Sequence[VariantFit], quantity: str) -> str:
    labels = [f"{variant.name}: {_aria_label(variant, quantity)}" for variant in variants]
    words = [panel.message for panel in figure.panels]
    notes = [f"{text[:1].upper()}{text[1:]}." if text else "" for text in words]
    return html_figures.variant_panels(name, [variant.name for variant in variants], labels, notes)


def _aria_label(variant: VariantFit, quantity: str) -> str:
    """What a panel shows, for those who do not see it."""
    optima = [
        f"{number_format.decimal(o.hp)} at {number_format.scale(o.scale)}"
        for o in variant.optima
        if number_format.known(o.hp.value)
    ]
    return f"{quantity}; optimum {', '.join(optima)}" if optima else f"{quantity}; no optimum found"
