"""The front of the page: the answer in words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hptransfer.quantify.result import Prediction, SweepFit, VariantFit
from hptransfer.report import html_elements, number_format, sentences


def opening(fit: SweepFit, heading: str, variants: Sequence[VariantFit], first: str = "") -> str:
    """The heading, then the answer: verdict, value to use and reason of every variant."""
    items = "\n".join(_answer(fit, v) for v in variants)
    crowd = " crowd" if len(variants) > 6 else ""
    notes = "".join(f'<p class="extent user">{escape(note)}</p>' for note in fit.sweep.notes)
    return (
        f'<header>\n<h1 class="user">{escape(heading)}</h1>\n'
        f'<p class="lead user">{escape(sentences.headline(fit))}</p>\n'
        f'<p class="extent">{escape(sentences.extent(fit))}</p>{notes}\n</header>\n{first}'
        f'<section aria-label="The answer">\n<ul class="answer{crowd}">\n{items}\n</ul>\n'
        f"{html_elements.omitted_note(fit, variants, 'listed')}</section>"
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
        or '<div class="use">No target was asked for.</div>'
    )
    reason = html_elements.minus(escape(verdict.reason.rstrip(".")))
    why = [f"<p>{sentences.VERDICT_MEANINGS[verdict.value].capitalize()}: {reason}.</p>"]
    check = sentences.holdout_sentence(fit, variant)
    if check:
        why.append(f"<p>{escape(check)}</p>")
    if verdict.suggested:
        why.append(f"<p>Suggested runs: {escape(sentences.suggestions(verdict.suggested, fit))}.</p>")
    return f'<li>{who}<div>{uses}</div><div class="why">{"".join(why)}</div></li>'


def _use(fit: SweepFit, prediction: Prediction, safe: bool) -> str:
    """The value to use at a target, large; where the optimum is expected, below; grey where it is a guess."""
    columns = fit.sweep.columns
    where = f"{escape(columns.hp)} at {escape(columns.scale)} {number_format.scale(prediction.scale)}"
    head = f"{where}<b>" if safe else f'Best guess of {where}<b class="guess">'
    if not number_format.known(prediction.hp.value):
        return f'<div class="use">{escape(sentences.no_prediction(fit, prediction))}</div>'
    use = sentences.value_to_use(prediction)
    span = html_elements.number(number_format.hp_interval(prediction.hp))
    return (
        f'<div class="use">{head}{html_elements.number(number_format.decimal(use))}</b>'
        f"{html_elements.number(number_format.power_of_two(use))}; optimum in {span}</div>"
    )
