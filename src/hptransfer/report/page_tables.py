"""The page's tables, what their words mean, and the provenance of the fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from hptransfer.quantify.result import Estimate, HoldOut, Regret, SweepFit, VariantFit
from hptransfer.report import flags, html_elements, html_intervals, number_format, sentences, table_data

_COLUMNS = 7  # of numbers in one table, so that it fits a page of paper


def tables(fit: SweepFit, variants: Sequence[VariantFit]) -> str:
    """Metrics, hold-out check, differences, predictions, costs, optima and further metrics."""
    scale = escape(fit.sweep.columns.scale)
    parts = (
        (
            "Metrics",
            "Each number with its credible interval, drawn to the same scale in a column; the grey line is "
            "zero. Every column is explained in the glossary.",
            _metrics(fit, variants, table_data.main_metrics(fit)),
        ),
        (
            "Hold-out check",
            f"The law is refitted without the largest {scale}, and its prediction there is compared with "
            "what was found. Orange is predicted and black is found, in octaves about the value found. A law "
            "that fails here should not be trusted further out.",
            _holdouts(fit, variants),
        ),
        _differences(fit, variants),
        ("Predictions", "", html_elements.table(table_data.predictions(fit, variants), group=True)),
        (
            "Cost of keeping the optimum",
            f"Loss given up, in nats, by using the optimum of the row's {scale}, unchanged, at the column's. "
            f"Below it, how many times smaller the {scale} of a well-tuned model with the same loss is.",
            _costs(variants),
        ),
        (f"Optimum at each {scale}", "", html_elements.table(table_data.optima(fit, variants), group=True)),
        (
            "Exponents of the laws and further metrics",
            "",
            _metrics(fit, variants, table_data.other_metrics(fit)),
        ),
    )
    omitted = html_elements.omitted_note(fit, variants, "listed")
    return "\n".join(_section(title, caption, body, omitted) for title, caption, body in parts if body)


def _section(title: str, caption: str, body: str, omitted: str) -> str:
    lead = f'<p class="caption">{caption}</p>\n' if caption else ""
    return f"<section>\n<h2>{title}</h2>\n{lead}{body}\n{omitted}</section>"


def _metrics(fit: SweepFit, variants: Sequence[VariantFit], names: tuple[str, ...]) -> str:
    pieces = []
    for start in range(0, len(names), _COLUMNS):
        part = names[start : start + _COLUMNS]
        pieces.append(_striped(table_data.metrics(fit, variants, part, "Metrics")))
    return "\n".join(pieces)


def _striped(table: table_data.Table) -> str:
    """A table whose estimates are drawn too, each column to its own scale."""
    drawn = {}
    for i, column in enumerate(table.columns):
        cells = [row[i] for row in table.rows]
        if column.kind == "estimate":
            drawn[column.title] = html_intervals.interval_strip([c for c in cells if isinstance(c, Estimate)])
    return html_elements.table(table, drawn)


def _differences(fit: SweepFit, variants: Sequence[VariantFit]) -> tuple[str, str, str]:
    reference = sentences.reference(fit)
    if reference is None:
        return "", "", ""
    table = table_data.differences(fit, variants, reference)
    caption = (
        "Each variant minus this one, from paired posterior draws: noise that both share cancels, so these "
        "intervals are narrower than those above suggest. An interval clear of the grey line is a difference."
    )
    return f"Differences from {escape(reference)}", caption, _striped(table)


def _holdouts(fit: SweepFit, variants: Sequence[VariantFit]) -> str:
    checks = [h for v in variants for h in v.holdouts]
    reach = max((_reach(h) for h in checks), default=0.0)
    strips = {id(h.predicted): html_intervals.holdout_strip(h.predicted, h.found, reach) for h in checks}
    draw = lambda item: strips.get(id(item), "")  # noqa: E731
    return html_elements.table(table_data.holdouts(fit, variants), {"interval": draw})


def _reach(check: HoldOut) -> float:
    """Octaves from the value found that a hold-out strip must show; at most three."""
    centre = number_format.octaves(check.found).value
    if centre is None:
        return 0.0
    items = (number_format.octaves(check.predicted), number_format.octaves(check.found))
    ends = [end for item in items for end in number_format.known_numbers(item)]
    return min(max(abs(end - centre) for end in ends), 3.0)


def _costs(variants: Iterable[VariantFit]) -> str:
    """A triangle for each variant: row, the scale whose optimum is used; column, the scale where."""
    triangles = []
    for variant in variants:
        pairs = {(r.source, r.to): r for r in variant.regret}
        sources, targets = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
        heads = "".join(f'<th scope="col">at {number_format.scale(n)}</th>' for n in targets)
        lines = []
        for source in sources:
            cells = "".join(f"<td>{_pair(pairs.get((source, n)))}</td>" for n in targets)
            lines.append(f'<tr><th scope="row" class="l">from {number_format.scale(source)}</th>{cells}</tr>')
        if lines:
            top = f"<thead><tr><td></td>{heads}</tr></thead>"
            triangles.append(
                f'<div><h3>{escape(variant.name)}</h3><div class="scroll"><table>{top}'
                f"<tbody>{''.join(lines)}</tbody></table></div></div>"
            )
    if not triangles:
        return '<p class="note">It needs optima at two scales of a variant.</p>'
    return f'<div class="triangles">{"".join(triangles)}</div>'


def _pair(pair: Regret | None) -> str:
    if pair is None:
        return ""
    value, _, span = number_format.estimate(pair.regret).partition(" ")
    factor = number_format.value(pair.factor)
    if factor == number_format.MISSING:
        return html_elements.with_interval_below(value, span)
    times = f'<span class="i">{html_elements.number(factor)}×</span>'
    return f"{html_elements.with_interval_below(value, span)}{times}"


def flag_list(fit: SweepFit, variants: Sequence[VariantFit]) -> str:
    """What every flag means and where it was raised; nothing where none was."""
    notes = flags.flag_notes(variants, fit.sweep.columns.scale)
    if not notes:
        return ""
    items = "".join(
        f'<div id="{html_elements.anchor("flag " + flag)}"><dt>{escape(flag)}</dt>'
        f"<dd>{html_elements.typeset(meaning) + '. ' if meaning != flag else ''}"
        f'<span class="note user">{escape(places)}</span></dd></div>'
        for flag, meaning, places in notes
    )
    return f'<section>\n<h2>Flags</h2>\n<dl class="glossary">{items}</dl>\n</section>'


def definitions(fit: SweepFit, further: Iterable[table_data.Column] = ()) -> str:
    """The definition of every column head on the page, those of `further` columns included."""
    tables = (
        table_data.metrics(fit, (), (*table_data.main_metrics(fit), *table_data.other_metrics(fit)), ""),
        table_data.holdouts(fit, ()),
        table_data.predictions(fit, ()),
        table_data.optima(fit, ()),
    )
    entries: dict[str, str] = {}
    for column in (*(column for table in tables for column in table.columns), *further):
        if column.definition:
            entries.setdefault(column.title, column.definition)
    items = "".join(
        f'<div id="{html_elements.anchor(title)}"><dt>{html_elements.typeset(title)}</dt>'
        f"<dd>{html_elements.typeset(text)}</dd></div>"
        for title, text in entries.items()
    )
    return f'<section>\n<h2>Glossary</h2>\n<dl class="glossary">{items}</dl>\n</section>'


def provenance(fit: SweepFit) -> str:
    """Version, source, whatever the study recorded of itself, and every setting of the fit."""
    source = fit.sweep.source
    facts: list[tuple[str, Any]] = [("hptransfer", fit.version)]
    facts += [("source", source.path), ("sha256 of source", source.sha256)]
    facts += [*_flat("", fit.provenance), *_flat("", fit.settings)]
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd><code>{escape(_plain(value))}</code></dd></div>"
        for name, value in facts
        if value is not None
    )
    return f'<section>\n<h2>Where this came from</h2>\n<dl class="facts">{items}</dl>\n</section>'


def _flat(head: str, value: Any) -> list[tuple[str, Any]]:
    """Nested settings as dotted names."""
    if not isinstance(value, Mapping):
        return [(head, value)]
    return [
        pair for key, item in value.items() for pair in _flat(f"{head}.{key}" if head else str(key), item)
    ]


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value) or "none"
    return number_format.significant(value) if isinstance(value, float) else str(value)
