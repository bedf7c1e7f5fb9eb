"""The page's figures of a fit: phase diagram, basins and laws, with captions and empty panels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

from hptransfer.quantify.result import Optimum, SweepFit, VariantFit
from hptransfer.report import charts, html_elements, html_figures, number_format, phase_chart, sentences

_Told = tuple[str, Callable[[Optimum], str]]  # a quantity of every optimum, and how it is written


def phase_section(variants: Sequence[VariantFit]) -> str:
    """The phase diagram's place with its filters; empty where fewer than two variants have one."""
    shown = phase_chart.placed(variants)
    if len(shown) < 2:
        return ""
    named = {v.name: phase_chart.rule_and_decay(v.name) for v in variants}
    tags = {name: {"rule": rule, "decay": decay} for name, (rule, decay) in named.items()}
    choices = html_figures.filter_by("rule", "variant", [tag["rule"] for tag in tags.values()])
    choices += html_figures.filter_by("decay", "weight decay", [tag["decay"] for tag in tags.values()])
    scope = " The filters act on every figure and table of this page." if choices else ""
    missing = len(variants) - len(shown)
    rest = f" {number_format.plural(missing, 'variant')} without both numbers not drawn." if missing else ""
    label = "E, kappa and R(inf) of " + ", ".join(v.name for v in shown[: phase_chart.MOST_NAMED])
    caption = (
        "Quality of the fit E against robustness κ, each with its interval. The darker a point, the larger "
        "the asymptotic penalty R(∞). Good transfer is low and to the left. Point at a variant to see its "
        "numbers."
    )
    body = html_figures.filters("phase", choices, tags)
    body += html_figures.alone(html_figures.plot("phase", label, 0))
    return html_elements.section("Where each variant stands", caption + scope + rest, body, "phase")


def figures(fit: SweepFit, variants: Sequence[VariantFit], drawn: Mapping[str, charts.Figure]) -> str:
    """The figures `basins`, `hp` and `loss`, a panel for each variant, with their captions."""
    columns, level, many = fit.sweep.columns, sentences.level(fit), len(variants) > 1
    hp, scale = escape(columns.hp), escape(columns.scale)
    together = "All panels share their axes. " if many else ""
    number = " The number is the value to use at the target." if any(v.predictions for v in variants) else ""
    others = " Grey lines are the laws of the other variants." if many else ""
    basins = (
        f"Each dot is a run, and each curve the fitted basin of one {scale}. The orange path joins the "
        f"optima, with their {level} intervals: a vertical path means that {hp} carries over, a slanted one "
        "that it drifts. Diverged runs, and runs above the frame, stand in the strip above it, one row for "
        f"each {scale}. {together}Drag to zoom, and double-click to return."
    )
    optimum = (
        f"The measured optima with their intervals, the law through them (dashed beyond the largest {scale} "
        f"measured) and its {level} prediction band.{number}"
        f"{others} Optima outside the band speak against the law."
    )
    loss = f"The loss at the optimum with its law; lower is better at the same {scale}.{others}"
    best: _Told = (f"optimal {columns.hp}", lambda o: number_format.decimal(o.hp))
    lowest: _Told = (f"{columns.loss} at the optimum", lambda o: number_format.value(o.loss))
    key, omitted = html_figures.key(drawn["basins"].key), html_elements.omitted_note(fit, variants, "drawn")
    return "\n".join(
        html_elements.section(
            title, caption, f"{above}{_panels(name, drawn[name], variants, columns.scale, told)}{omitted}"
        )
        for name, title, caption, above, told in (
            ("basins", f"Loss against {hp} at each {scale}", basins, key, best),
            ("hp", f"Optimal {hp} against {scale}", optimum, "", best),
            ("loss", f"The {escape(columns.loss)} at the optimum against {scale}", loss, "", lowest),
        )
    )


def _panels(name: str, figure: charts.Figure, variants: Sequence[VariantFit], scale: str, told: _Told) -> str:
    labels = [f"{variant.name}: {_aria_label(variant, scale, told)}" for variant in variants]
    words = [panel.message for panel in figure.panels]
    notes = [f"{text[:1].upper()}{text[1:]}." if text else "" for text in words]
    return html_figures.variant_panels(name, [variant.name for variant in variants], labels, notes)


def _aria_label(variant: VariantFit, scale: str, told: _Told) -> str:
    """What a panel shows, for those who do not see it: `optimal lr by width: 0.0147 at 32, 0.0110 at 48`."""
    quantity, text = told
    found = [
        f"{text(o)} at {number_format.scale(o.scale)}"
        for o in variant.optima
        if number_format.known(o.hp.value)
    ]
    return f"{quantity} by {scale}: {', '.join(found)}" if found else f"{quantity}; no optimum found"
