"""The tables of a report as data: defined columns, rows of estimates; terminal and page render them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from hptransfer.quantify.compare import compare
from hptransfer.quantify.metrics import METRICS
from hptransfer.quantify.result import Estimate, SweepFit, VariantFit
from hptransfer.report import glossary, number_format, sentences

Kind = Literal[
    "prose", "text", "estimate", "value", "hp", "hp_interval", "hp_value", "scale", "count", "number", "flags"
]
Cell = str | float | Estimate | tuple[str, ...] | None

_COMPARED = ("drift", "E_hp", "kappa", "R_inf", "R_n")


@dataclass(frozen=True)
class Column:
    """One column: its head, how its cells are written, and what it means.

    Attributes:
        title: the head.
        kind: how a cell is written (see `cell_text`).
        definition: a sentence or two; shown as a tooltip and in the glossary.
    """

    title: str
    kind: Kind = "text"
    definition: str = ""


@dataclass(frozen=True)
class Table:
    """A table before it is drawn.

    Attributes:
        title: what it shows.
        columns: left to right.
        rows: one tuple of cells a row, as long as `columns`.
        note: what is left out or missing, in a sentence.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def cell_text(column: Column, cell: Cell) -> str:
    """A cell in plain characters, as its column's kind asks."""
    if cell is None or cell == ():
        return "" if column.kind == "flags" else number_format.MISSING
    if isinstance(cell, str):
        return cell
    if isinstance(cell, tuple):
        return ", ".join(cell)
    if isinstance(cell, Estimate):
        return _WRITERS[column.kind](cell)
    return number_format.scale(cell) if column.kind == "scale" else number_format.count(cell)


_WRITERS: dict[str, Callable[[Estimate], str]] = {
    "estimate": number_format.estimate,
    "value": number_format.value,
    "hp": number_format.hp,
    "hp_value": number_format.decimal,
    "hp_interval": lambda item: number_format.hp_interval(item) or number_format.MISSING,
}


def verdicts(fit: SweepFit, variants: Iterable[VariantFit]) -> Table:
    """Verdict of each variant with the sentence that decided it, and the runs that would settle it."""
    rows = []
    for v in variants:
        reason = v.verdict.reason
        if v.verdict.suggested:
            settle = sentences.suggestions(v.verdict.suggested, fit)
            reason = f"{reason.rstrip('.')}. Would settle it: {settle}"
        rows.append((v.name, v.verdict.value, reason))
    columns = (
        _variant(fit),
        Column("verdict", "text", glossary.COLUMNS["verdict"]),
        Column("because", "prose"),
    )
    return Table("Verdict", columns, tuple(rows))


def metrics(fit: SweepFit, variants: Iterable[VariantFit], names: tuple[str, ...], title: str) -> Table:
    """Chosen metrics, one row a variant, with the flags of those metrics and of the optimum's law."""
    columns = [_variant(fit)]
    for name in names:
        words_of = METRICS[name]
        unit = f" Unit: {words_of.unit}." if words_of.unit else ""
        columns.append(Column(words_of.label, "estimate", words_of.definition + unit))
    rows = []
    for v in variants:
        cells = tuple(v.metrics.get(name) for name in names)
        law = v.laws["hp"].flags if "hp" in v.laws and any(n.startswith("drift") for n in names) else ()
        rows.append((v.name, *cells, _joined(*(c.flags for c in cells if c is not None), law)))
    return Table(title, (*columns, _flags()), tuple(rows))


def main_metrics(fit: SweepFit) -> tuple[str, ...]:
    """The headline metrics present, in reading order; plain drift gives way where coordinates are known."""
    present = {name for v in fit.variants.values() for name in v.metrics}
    named = {"drift_sp", "drift_mup"} <= present
    shown = (name for name, metric in METRICS.items() if metric.main and name in present)
    return tuple(name for name in shown if not (named and name == "drift"))


def other_metrics(fit: SweepFit) -> tuple[str, ...]:
    """All metrics present that are not headlines, in reading order: exponents and comparison metrics."""
    present = {name for v in fit.variants.values() for name in v.metrics}
    return tuple(name for name, metric in METRICS.items() if not metric.main and name in present)


def largest(fit: SweepFit, variants: Iterable[VariantFit]) -> Table:
    """Where each variant stands at its largest scale: the loss at its optimum, and what it gives up there."""
    rows = []
    for v in variants:
        last = v.optima[-1] if v.optima else None
        cells: tuple[Cell, ...] = (last.scale, last.loss) if last else (None, None)
        rows.append((v.name, *cells, v.metrics.get("R_n")))
    columns = (
        _variant(fit),
        _scale(fit),
        Column("loss", "estimate", glossary.COLUMNS["loss"]),
        Column("R(n)", "estimate", METRICS["R_n"].definition),
    )
    return Table(f"At the largest {fit.sweep.columns.scale}", columns, tuple(rows))


def optima(fit: SweepFit, variants: Iterable[VariantFit]) -> Table:
    """The fitted optimum of every variant and scale."""
    columns = (
        _variant(fit),
        _scale(fit),
        *_optimum(fit),
        Column("diverged", "number", glossary.COLUMNS["diverged"]),
        _flags(),
    )
    rows = tuple(
        (
            v.name,
            o.scale,
            o.hp,
            o.hp,
            o.loss,
            f"{o.diverged} of {o.runs}",
            _joined(o.flags, o.hp.flags, o.loss.flags),
        )
        for v in variants
        for o in v.optima
    )
    return Table(f"Optimum at each {fit.sweep.columns.scale}", columns, rows)


def predictions(fit: SweepFit, variants: Iterable[VariantFit]) -> Table:
    """Predicted optimum at each target, its interval, and the value to use."""
    level = sentences.level(fit)
    columns = (
        _variant(fit),
        _scale(fit),
        Column(f"use {fit.sweep.columns.hp}", "hp", glossary.COLUMNS["use"]),
        Column("optimum", "hp_value", "Predicted optimum."),
        Column(
            f"{level} interval",
            "hp_interval",
            f"The optimum of a model trained there lies in it {level} of the time.",
        ),
        Column("loss", "value", "Predicted loss at the optimum, nats per token."),
        _flags(),
    )
    rows = tuple(
        (v.name, p.scale, sentences.recommended(p), p.hp, p.hp, p.loss, _joined(p.flags, p.hp.flags))
        for v in variants
        for p in v.predictions
    )
    note = "" if rows else "No target was asked for, so nothing is predicted."
    return Table("Prediction", columns, rows, note)


def holdouts(fit: SweepFit, variants: Iterable[VariantFit]) -> Table:
    """The hold-out check: what the smaller scales predict for the largest, against what was found there."""
    columns = (
        _variant(fit),
        _scale(fit),
        Column("predicted", "hp_value", glossary.COLUMNS["predicted"]),
        Column("interval", "hp_interval", glossary.COLUMNS["interval"]),
        Column("found", "hp_value", glossary.COLUMNS["found"]),
        Column("error", "number", glossary.COLUMNS["error"]),
        Column("held", "text", glossary.COLUMNS["held"]),
        Column("regret", "value", glossary.COLUMNS["regret"]),
        _flags(),
    )
    rows = tuple(
        (
            v.name,
            h.scale,
            h.predicted,
            h.predicted,
            h.found,
            number_format.signed(h.error_octaves),
            {True: "yes", False: "NO", None: number_format.MISSING}[h.covered],
            h.regret,
            _joined(h.flags, h.regret.flags),
        )
        for v in variants
        for h in v.holdouts
    )
    note = "" if rows else "Not done: it needs a law that stands without the largest scale."
    return Table("Hold-out check, error in octaves", columns, rows, note)


def differences(
    fit: SweepFit, variants: Iterable[VariantFit], reference: str, names: tuple[str, ...] = _COMPARED
) -> Table:
    """Metrics of each variant minus those of `reference`, from paired draws.

    Raises:
        QuantifyError: `reference` is not in the fit, or the fit does not hold its draws.
    """
    each = [METRICS[name] for name in names]
    columns = (_variant(fit), *(Column(metric.label, "estimate", metric.definition) for metric in each))
    rows = []
    for v in variants:
        if v.name != reference and v.draws:
            found = compare(fit, v.name, reference)
            rows.append((v.name, *(found.get(name) for name in names)))
    note = "" if rows else "Needs two variants with laws."
    return Table(f"Difference from {reference}", columns, tuple(rows), note)


def regrets(fit: SweepFit, variants: Iterable[VariantFit]) -> Table:
    """Loss given up by carrying the optimum of one scale to a larger one unchanged."""
    columns = (
        _variant(fit),
        Column("from", "scale", "The scale whose optimum is used."),
        Column("at", "scale", "The larger scale where it is used."),
        Column("regret", "estimate", glossary.COLUMNS["regret"]),
    )
    rows = tuple((v.name, r.source, r.to, r.regret) for v in variants for r in v.regret)
    return Table("Transfer regret, nats", columns, rows, "" if rows else "Needs optima at two scales.")


def _variant(fit: SweepFit) -> Column:
    return Column(fit.sweep.columns.variant, "text", "The curve family: a parametrization, an optimizer ...")


def _scale(fit: SweepFit) -> Column:
    return Column(fit.sweep.columns.scale, "scale", "The scale n along which the hyperparameter is carried.")


def _optimum(fit: SweepFit) -> tuple[Column, ...]:
    return (
        Column(f"optimal {fit.sweep.columns.hp}", "hp", glossary.COLUMNS["optimum"]),
        Column(f"{sentences.level(fit)} interval", "hp_interval", glossary.COLUMNS["interval"]),
        Column("loss", "value", glossary.COLUMNS["loss"]),
    )


def _flags() -> Column:
    return Column("flags", "flags", glossary.COLUMNS["flags"])


def _joined(*groups: tuple[str, ...]) -> tuple[str, ...]:
    flags = dict.fromkeys(glossary.flag_name(flag) for group in groups for flag in group)
    return tuple(flag for flag in flags if flag not in glossary.REMARKS)
