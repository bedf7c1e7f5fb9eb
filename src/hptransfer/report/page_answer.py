"""The front of the page: the answer in words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hptransfer.quantify.result import SweepFit, VariantFit
from hptransfer.report import gain, html_elements, number_format, sentences, suggestions, table_data


def opening(fit: SweepFit, heading: str, variants: Sequence[VariantFit]) -> str:
    """The heading, then the answer: one table of what to do, and why, variant by variant."""
    notes = "".join(f'<p class="extent user">{escape(note)}</p>' for note in fit.sweep.notes)
    table = table_data.answers(fit, variants)
    rows = "\n".join(map(_answer, variants))
    heads = "".join(html_elements.column_head(column) for column in table.columns)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    reasons = "".join(_reason(fit, v) for v in variants)
    plain = "".join(f"<li>{escape(sentence)}</li>" for sentence in gain.plain_sentences(fit))
    found = f'<ul class="plain">{plain}</ul>' if plain else ""
    return (
        f'<header>\n<h1 class="user">{escape(heading)}</h1>\n'
        f'<p class="lead user">{escape(sentences.headline(fit))}</p>\n'
        f'<p class="extent">{escape(sentences.extent(fit))}</p>{notes}\n</header>\n'
        f"<section><h2>{escape(table.title)}</h2>\n"
        f'{html_elements.scrolled("The answer")}<table class="answer">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>{note}{found}"
        f'<dl class="why">{reasons}</dl>\n{html_elements.omitted_note(fit, variants, "listed")}</section>'
    )


def _answer(variant: VariantFit) -> str:
    """One row: the answers, the value to use (grey where it is a guess), and what an error costs."""
    verdict, use = variant.verdict, sentences.to_use(variant)
    value, _, own = sentences.use_text(variant).partition(" ")
    span = number_format.hp_interval(use.optimum) or number_format.MISSING
    error = table_data.cell_text(table_data.Column("", "cost"), verdict.error_cost)
    remark = f'<span class="i">{escape(own)}</span>' if own else ""
    sure = use.safe and value != number_format.MISSING
    cells = [
        *(_yes_or_no(answer.value) for answer in (verdict.keep, verdict.extrapolate)),
        f'<td class="use{"" if sure else " guess"}">{html_elements.number(value)}{remark}</td>',
        f"<td>{html_elements.number(span)}</td><td>{html_elements.number(error)}</td>",
    ]
    of = html_elements.data_variant(variant.name)
    return f'<tr{of}><th scope="row" class="l">{html_elements.name(variant.name)}</th>{"".join(cells)}</tr>'


def _yes_or_no(answer: str) -> str:
    return f'<td class="l"><span class="mark {answer.replace(" ", "-")}"></span>{answer}</td>'


def _reason(fit: SweepFit, variant: VariantFit) -> str:
    """Why, in sentences: the answers, the predictions that there are not, the hold-out check, what to run."""
    lost = [p for p in variant.predictions if not number_format.known(p.hp.value)]
    words = [
        html_elements.minus(escape(sentences.explanation(fit, variant))),
        *(escape(sentences.no_prediction(fit, p)) for p in lost),
        escape(sentences.holdout_sentence(fit, variant)),
        escape(suggestions.suggestion(fit, variant)),
    ]
    of = html_elements.data_variant(variant.name)
    return f"<div{of}><dt>{escape(variant.name)}</dt><dd>{' '.join(filter(None, words))}</dd></div>"
