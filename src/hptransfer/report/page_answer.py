"""The front of the page: the answer in words, then the figures with their captions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hptransfer.quantify.result import Prediction, SweepFit, VariantFit
from hptransfer.report import charts, glossary, html_elements, palette, sentences
from hptransfer.report import number_format as fmt


def opening(fit: SweepFit, heading: str, variants: Sequence[VariantFit], first: str = "") -> str:
    """The heading, what comes first, and the answer: verdict, value to use and reason of every variant."""
    items = "\n".join(_answer(fit, v) for v in variants)
    crowd = " crowd" if len(variants) > 6 else ""
    notes = "".join(f'<p class="extent user">{escape(note)}</p>' for note in fit.sweep.notes)
    return (
        f'<header>\n<h1 class="user">{escape(heading)}</h1>\n'
        f'<p class="lead user">{escape(sentences.headline(fit))}</p>\n'
        f'<p class="extent">{escape(sentences.extent(fit))}.</p>{notes}\n</header>\n{first}'
        f'<section aria-label="The answer">\n<ul class="answer{crowd}">\n{items}\n</ul>\n'
        f"{html_elements.left_out(fit, variants, 'listed')}</section>"
    )


def _answer(fit: SweepFit, variant: VariantFit) -> str:
    verdict = variant.verdict
    who = (
        f'<div><div class="who">{escape(variant.name)}</div>'
        f'<div class="verdict"><span class="mark {verdict.value}"></span>{verdict.value}</div></div>'
    )
    safe = verdict.value in ("invariant", "predictable")
    uses = (
        "".join(_use(fit, p, safe) for p in variant.predictions)
        or '<div class="use">No target asked for.</div>'
    )
    reason = html_elements.minus(escape(verdict.reason.rstrip(".")))
    why = [f"<p>{glossary.VERDICTS[verdict.value].capitalize()}: {reason}.</p>"]
    check = sentences.holdout_sentence(fit, variant)
    if check:
        why.append(f"<p>{escape(check)}</p>")
    if verdict.suggested:
        why.append(f"<p>Would settle it: {escape(sentences.suggestions(verdict.suggested, fit))}.</p>")
    return f'<li>{who}<div>{uses}</div><div class="why">{"".join(why)}</div></li>'


def _use(fit: SweepFit, prediction: Prediction, safe: bool) -> str:
    """The value to use at a target, large; where the optimum is expected, below; grey where it is a guess."""
    columns = fit.sweep.columns
    where = f"{escape(columns.hp)} at {escape(columns.scale)} {fmt.scale(prediction.scale)}"
    head = f"{where}<b>" if safe else f'Best guess of {where}<b class="guess">'
    if not fmt.known(prediction.hp.value):
        return f'<div class="use">{escape(sentences.advice(fit, prediction))}</div>'
    use = sentences.recommended(prediction) if prediction.hp_recommended is not None else prediction.hp
    span = html_elements.number(fmt.hp_interval(prediction.hp))
    return (
        f'<div class="use">{head}{html_elements.number(fmt.decimal(use))}</b>'
        f"{html_elements.number(fmt.power_of_two(use))}; optimum in {span}</div>"
    )


def figures(fit: SweepFit, variants: Sequence[VariantFit]) -> str:
    """The three figures with their captions and empty panels, which the script fills by index."""
    columns = fit.sweep.columns
    hp, scale = escape(columns.hp), escape(columns.scale)
    level = sentences.level(fit)
    omitted = html_elements.left_out(fit, variants, "drawn")
    many = len(variants) > 1
    together = "All panels share their axes. " if many else ""
    others = "Grey lines are the laws of the other variants. " if many else ""
    basins = (
        f"Each dot is a run, each curve the fitted basin of one {scale}. The orange path joins the optima, "
        f"with their {level} intervals: a vertical path means that {hp} carries over, a slanted one that it "
        "drifts. Runs with no place on the loss axis stand in the strip above it, one row a "
        f"{scale}. {together}Drag to zoom, double-click to return."
    )
    optimum = (
        f"The measured optima with their intervals, the law through them (dashed beyond the largest {scale} "
        f"measured) and its {level} prediction band. The number is the value to use at the target. "
        f"{others}See whether the dots leave the band."
    )
    loss = f"The loss at the optimum with its law; lower is better at the same {scale}. {others}"
    return "\n".join(
        (
            f'<section>\n<h2>Loss against {hp} at each {scale}</h2>\n<p class="caption">{basins}</p>\n'
            f"{_key(fit, variants)}{_panels('basins', variants, columns.hp)}{omitted}</section>",
            f'<section>\n<h2>Where the optimum goes</h2>\n<p class="caption">{optimum}</p>\n'
            f"{_panels('hp', variants, columns.hp)}{omitted}</section>",
            f'<section>\n<h2>What more {scale} buys</h2>\n<p class="caption">{loss}</p>\n'
            f"{_panels('loss', variants, columns.loss)}{omitted}</section>",
        )
    )


def _panels(figure: str, variants: Sequence[VariantFit], quantity: str) -> str:
    items = []
    for i, variant in enumerate(variants):
        why = ""
        if figure != "basins" and figure not in variant.laws:
            why = f'<p class="no-law">No law: {escape(sentences.no_law(variant))}.</p>'
        label = escape(f"{variant.name}: {_spoken(variant, quantity)}", quote=True)
        items.append(
            f'<div class="panel" data-variant="{escape(variant.name, quote=True)}">'
            f"<h3>{escape(variant.name)}</h3>{why}"
            f'<div class="plot" role="img" data-figure="{figure}" data-panel="{i}" aria-label="{label}">'
            "</div></div>"
        )
    few = {1: " one", 2: " two"}.get(len(variants), "")
    return f'<figure class="panels{few}">{"".join(items)}</figure>\n'


def _spoken(variant: VariantFit, quantity: str) -> str:
    """What a panel shows, for those who do not see it."""
    optima = [f"{fmt.decimal(o.hp)} at {fmt.scale(o.scale)}" for o in variant.optima if fmt.known(o.hp.value)]
    return f"{quantity}; optimum {', '.join(optima)}" if optima else f"{quantity}; no optimum found"


def _key(fit: SweepFit, variants: Sequence[VariantFit]) -> str:
    scales = charts.scales_of(fit, variants)
    items = [f"<li>{escape(fit.sweep.columns.scale)}</li>"]
    for n, colour in zip(scales, palette.sequence(len(scales)), strict=True):
        line = f'<path d="M0 5H18" stroke="{colour}" stroke-width="1.6"/>'
        mark = f'{line}<circle cx="9" cy="5" r="2.6" fill="{colour}"/>'
        items.append(f"<li>{_mark(mark)}{fmt.scale(n)}</li>")
    path = f'<path d="M0 5H18" stroke="{palette.ACCENT}" stroke-width="2.2"/>'
    items.append(f"<li>{_mark(path + _disc(palette.ACCENT))}optimum</li>")
    cross = f'<path d="M6 2l6 6M12 2l-6 6" stroke="{palette.GREY}" stroke-width="1.3"/>'
    items.append(f"<li>{_mark(cross)}diverged</li>")
    up = f'<path d="M9 2l3.5 6h-7z" stroke="{palette.GREY}" fill="none"/>'
    items.append(f"<li>{_mark(up)}loss above the frame</li>")
    return f'<ul class="key">{"".join(items)}</ul>\n'


def _mark(shape: str) -> str:
    return f'<svg width="18" height="10" viewBox="0 0 18 10" aria-hidden="true">{shape}</svg>'


def _disc(colour: str) -> str:
    return f'<circle cx="9" cy="5" r="3.4" fill="{colour}" stroke="#fff"/>'
