"""The page's tables, what their words mean, and the provenance of the fit."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from hptransfer.quantify.result import Estimate, HoldOut, Regret, SweepFit, VariantFit
from hptransfer.report import flags, html_intervals, number_format, sentences, table_data
from hptransfer.report.html_elements import (
    Draw,
    data_variant,
    definition,
    number,
    omitted_note,
    scrolled,
    section,
    table,
    typeset,
    with_interval_below,
)
from hptransfer.sweep.table import Source

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
        ("Predictions", "", table(table_data.predictions(fit, variants), group=True)),
        (
            "Cost of keeping the optimum",
            f"Loss given up, in {escape(fit.sweep.metric.unit)}, by using the optimum of the row's {scale}, "
            "unchanged, at the column's. "
            f"Below it, how many times smaller the {scale} of a well-tuned model with the same loss is.",
            _costs(variants),
        ),
        (f"Optimum at each {scale}", "", table(table_data.optima(fit, variants), group=True)),
        (
            "Exponents of the laws and further metrics",
            "",
            _metrics(fit, variants, table_data.other_metrics(fit)),
        ),
    )
    omitted = omitted_note(fit, variants, "listed")
    return "\n".join(section(title, caption, f"{body}\n{omitted}") for title, caption, body in parts if body)


def _metrics(fit: SweepFit, variants: Sequence[VariantFit], names: tuple[str, ...]) -> str:
    parts = (names[start : start + _COLUMNS] for start in range(0, len(names), _COLUMNS))
    titled = ((f"Metrics: {', '.join(part)}", part) for part in parts)
    return "\n".join(_striped(table_data.metrics(fit, variants, part, title)) for title, part in titled)


def _striped(item: table_data.Table) -> str:
    """A table whose estimates are drawn too, each column to its own scale."""
    drawn: dict[str, Draw] = {}
    for i, column in enumerate(item.columns):
        if column.kind == "estimate":
            cells = [row[i] for row in item.rows]
            drawn[column.title] = html_intervals.interval_strip([c for c in cells if isinstance(c, Estimate)])
    return table(item, drawn)


def _differences(fit: SweepFit, variants: Sequence[VariantFit]) -> tuple[str, str, str]:
    reference = sentences.reference(fit)
    if reference is None:
        return "", "", ""
    caption = (
        "Each variant minus this one, from paired posterior draws: noise that both share cancels, so these "
        "intervals are narrower than those above suggest. An interval clear of the grey line is a difference."
    )
    body = _striped(table_data.differences(fit, variants, reference))
    return f"Differences from {escape(reference)}", caption, body


def _holdouts(fit: SweepFit, variants: Sequence[VariantFit]) -> str:
    checks = [h for v in variants for h in v.holdouts]
    reach = max(map(_reach, checks), default=0.0)
    strips = {id(h.predicted): html_intervals.holdout_strip(h.predicted, h.found, reach) for h in checks}
    return table(table_data.holdouts(fit, variants), {"interval": lambda item: strips.get(id(item), "")})


def _reach(check: HoldOut) -> float:
    """Octaves from the value found that a hold-out strip must show; at most three."""
    items = (number_format.octaves(check.predicted), number_format.octaves(check.found))
    centre = items[1].value
    if centre is None:
        return 0.0
    return min(max(abs(end - centre) for item in items for end in number_format.known_numbers(item)), 3.0)


def _costs(variants: Iterable[VariantFit]) -> str:
    """A triangle for each variant: row, the scale whose optimum is used; column, the scale where."""
    triangles = []
    for variant in (v for v in variants if v.regret):
        pairs = {(r.source, r.to): r for r in variant.regret}
        sources, targets = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
        heads = "".join(f'<th scope="col">at {number_format.scale(n)}</th>' for n in targets)
        lines = []
        for source in sources:
            cells = "".join(f"<td>{_pair(pairs.get((source, n)))}</td>" for n in targets)
            lines.append(f'<tr><th scope="row" class="l">from {number_format.scale(source)}</th>{cells}</tr>')
        triangles.append(
            f"<div{data_variant(variant.name)}><h3>{escape(variant.name)}</h3>"
            f"{scrolled(f'Cost of keeping the optimum: {variant.name}')}"
            f"<table><thead><tr><td></td>{heads}</tr>"
            f"</thead><tbody>{''.join(lines)}</tbody></table></div></div>"
        )
    if not triangles:
        return '<p class="note">It needs optima at two scales of a variant.</p>'
    return f'<div class="triangles">{"".join(triangles)}</div>'


def _pair(pair: Regret | None) -> str:
    if pair is None:
        return ""
    value, _, span = number_format.estimate(pair.regret).partition(" ")
    factor = number_format.value(pair.factor)
    times = "" if factor == number_format.MISSING else f'<span class="i">{number(factor)}×</span>'
    return f"{with_interval_below(value, span)}{times}"


def flag_list(fit: SweepFit, variants: Sequence[VariantFit]) -> str:
    """What every flag means and where it was raised; nothing where none was."""
    items = []
    for flag, meaning, places in flags.flag_notes(variants, fit.sweep.columns.scale):
        words = f"{typeset(meaning)}. " if meaning != flag else ""
        where = f'<span class="note user">{escape(places)}</span>'
        items.append(definition(escape(flag), words + where, f"flag {flag}"))
    return _listed("Flags", "glossary", items) if items else ""


def definitions(fit: SweepFit, further: Iterable[table_data.Column] = ()) -> str:
    """The definition of every column head on the page, those of `further` columns included."""
    names = (*table_data.main_metrics(fit), *table_data.other_metrics(fit))
    every = (
        table_data.answers(fit, ()),
        table_data.metrics(fit, (), names, ""),
        table_data.holdouts(fit, ()),
        table_data.predictions(fit, ()),
        table_data.optima(fit, ()),
    )
    entries: dict[str, str] = {}
    for column in (*(column for item in every for column in item.columns), *further):
        if column.definition:
            entries.setdefault(column.title, column.definition)
    items = [definition(typeset(title), typeset(text), title) for title, text in entries.items()]
    return _listed("Glossary", "glossary", items)


def provenance(fit: SweepFit) -> str:
    """Command, date, version, source, what the study recorded of itself, and every setting of the fit."""
    return facts(fit.version, fit.sweep.source, {**fit.provenance, **fit.settings})


def facts(version: str, source: Source, further: Mapping[str, Any]) -> str:
    """Command, date, version, source and further facts, those that are known."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    every: list[tuple[str, Any]] = [("command", _command()), ("written", now), ("hptransfer", version)]
    every += [("source", source.path), ("sha256 of source", source.sha256), *_flat("", further)]
    known = [(name, value) for name, value in every if value is not None]
    items = [definition(escape(name), f"<code>{escape(_plain(value))}</code>") for name, value in known]
    return _listed("Where this came from", "facts", items)


def _command() -> str | None:
    """The command line that makes this page, without passwords of addresses; None outside of ours."""
    program, *arguments = sys.argv or [""]
    if "hptransfer" not in (Path(program).name, Path(program).parent.name):
        return None
    return re.sub(r"//[^/@\s]*@", "//***@", shlex.join(["hptransfer", *arguments]))


def _listed(title: str, kind: str, items: Iterable[str]) -> str:
    return section(title, "", f'<dl class="{kind}">{"".join(items)}</dl>\n')


def _flat(head: str, value: Any) -> list[tuple[str, Any]]:
    """Nested settings as dotted names."""
    if not isinstance(value, Mapping):
        return [(head, value)]
    named = ((f"{head}.{key}" if head else str(key), item) for key, item in value.items())
    return [pair for name, item in named for pair in _flat(name, item)]


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value)) or "none"
    return number_format.precise(value) if isinstance(value, float) else str(value)
