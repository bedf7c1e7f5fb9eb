"""The tables of a report as data: defined columns, rows of estimates; terminal and page render them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from hptransfer.quantify.compare import compare
from hptransfer.quantify.metrics import MAIN, METRICS
from hptransfer.quantify.result import Estimate, SweepFit, VariantFit
from hptransfer.report import flags, number_format, sentences, suggestions

Kind = Literal[
    "prose", "text", "estimate", "value", "cost", "hp", "hp_interval", "hp_value", "scale", "number", "flags"
]
Cell = str | float | Estimate | tuple[str, ...] | None
Row = tuple[Cell, ...]

_COMPARED = ("drift", "E_hp", "kappa", "R_inf", "R_n")


@dataclass(frozen=True)
class Column:
    """One column: its head, how its cells are written, and what it means."""

    title: str  # the head
    kind: Kind = "text"  # how a cell is written (see `cell_text`)
    definition: str = ""  # a sentence or two; shown as a tooltip and in the glossary


@dataclass(frozen=True)
class Table:
    """A table before it is drawn."""

    title: str  # what it shows
    columns: tuple[Column, ...]  # left to right
    rows: tuple[tuple[Cell, ...], ...]  # one tuple of cells a row, as long as `columns`
    note: str = ""  # what is left out or missing, in a sentence


VARIANT_MEANING = "What is compared: a parametrization, an optimizer, a weight decay."
_INTERVAL = "Credible interval at the fit's level."
_LOSS = Column("loss", "value", "Loss at the optimum.")
_COVERED = {True: "yes", False: "NO", None: number_format.MISSING}
_FLAGS = Column("flags", "flags", "Why not to trust the row; each flag is explained on its own.")


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
    "cost": lambda item: number_format.MISSING if item.value is None else number_format.rough(item.value, 2),
    "hp": number_format.hp,
    "hp_value": number_format.decimal,
    "hp_interval": lambda item: number_format.hp_interval(item) or number_format.MISSING,
}


def answers(fit: SweepFit, variants: Iterable[VariantFit]) -> Table:
    """The two answers of each variant, the value to use, and what an error costs: what a person acts on."""
    names, unit = fit.sweep.columns, fit.sweep.metric.unit
    rows: list[Row] = []
    target = None
    for v in variants:
        use, verdict = sentences.to_use(v), v.verdict
        target = use.scale or target
        both = (verdict.keep.value, verdict.extrapolate.value)
        rows.append((v.name, *both, sentences.use_text(v), use.optimum, Estimate(verdict.error_cost.value)))
    columns = (
        _variant(fit),
        Column("keep?", "text", "May the optimum of the smallest models be kept, unchanged?"),
        Column("extrapolate?", "text", "May its law be followed to larger models?"),
        Column(
            f"use {names.hp}",
            "number",
            "The value to set: the small models' where it may be kept, else the one recommended at the "
            "largest target. With a question mark it is a guess: neither answer is yes.",
        ),
        Column("optimum in", "hp_interval", f"{sentences.level(fit)} interval of the optimum."),
        Column(
            "2x off", "cost", f"What a value twice too large or small costs, in {unit}: the worse of the two."
        ),
    )
    where = "" if target is None else f" for {names.scale} {number_format.scale(target)}"
    note = "" if where or not rows else "No target was asked for: name one to get the value to use there."
    return Table(f"The answer{where}", columns, tuple(rows), note)


def reasons(fit: SweepFit, variants: Iterable[VariantFit]) -> Table:
    """Why: what each answer rests on, and what to run next."""
    rows = tuple(
        (v.name, f"{sentences.explanation(fit, v)} {suggestions.suggestion(fit, v)}".strip())
        for v in variants
    )
    return Table("Why", (_variant(fit), Column("because", "prose")), rows)


def metrics(fit: SweepFit, variants: Iterable[VariantFit], names: tuple[str, ...], title: str) -> Table:
    """Chosen metrics, one row for each variant, with the flags of those metrics and of the optimum's law."""
    columns = [
        Column(m.label, "estimate", m.definition + (f" Unit: {_unit(fit, m.unit)}." if m.unit else ""))
        for m in (METRICS[name] for name in names)
    ]
    rows = []
    for v in variants:
        cells = tuple(v.metrics.get(name) for name in names)
        law = v.laws["hp"].flags if "hp" in v.laws and any(n.startswith("drift") for n in names) else ()
        rows.append((v.name, *cells, _joined(*(c.flags for c in cells if c is not None), law)))
    return Table(title, (_variant(fit), *columns, _FLAGS), tuple(rows))


def main_metrics(fit: SweepFit) -> tuple[str, ...]:
    """The headline metrics present, in reading order; plain drift gives way where coordinates are known."""
    shown = _present(fit, MAIN)
    return tuple(name for name in shown if name != "drift" or not {"drift_sp", "drift_mup"} <= set(shown))


def other_metrics(fit: SweepFit) -> tuple[str, ...]:
    """All metrics present that are not headlines, in reading order: exponents and comparison metrics."""
    return tuple(name for name in _present(fit, METRICS) if name not in MAIN)


def _present(fit: SweepFit, names: Iterable[str]) -> tuple[str, ...]:
    present = {name for v in fit.variants.values() for name in v.metrics}
    return tuple(name for name in names if name in present)


def largest(fit: SweepFit, variants: Iterable[VariantFit]) -> Table:
    """The loss at each variant's optimum at its largest scale, and its penalty there."""
    rows = []
    for v in variants:
        cells: Row = (v.optima[-1].scale, v.optima[-1].loss) if v.optima else (None, None)
        rows.append((v.name, *cells, v.metrics.get("R_n")))
    penalty = Column("R(n)", "estimate", METRICS["R_n"].definition)
    columns = (_variant(fit), _scale(fit), replace(_LOSS, kind="estimate"), penalty)
    return Table(f"At the largest {fit.sweep.columns.scale}", columns, tuple(rows))


def optima(fit: SweepFit, variants: Iterable[VariantFit]) -> Table:
    """The fitted optimum of every variant and scale."""
    fitted = "Fitted optimum of the basin, as a power of two and as a decimal."
    lost = "Diverged runs, of all runs at this scale. They bound the usable range and are never dropped."
    columns = (
        _variant(fit),
        _scale(fit),
        Column(f"optimal {fit.sweep.columns.hp}", "hp", fitted),
        Column(f"{sentences.level(fit)} interval", "hp_interval", _INTERVAL),
        _LOSS,
        Column("diverged", "number", lost),
        _FLAGS,
    )
    rows: list[Row] = []
    for v in variants:
        for o in v.optima:
            diverged = f"{number_format.count(o.diverged)} of {number_format.count(o.runs)}"
            raised = _joined(o.flags, o.hp.flags, o.loss.flags)
            rows.append((v.name, o.scale, o.hp, o.hp, o.loss, diverged, raised))
    return Table(f"Optimum at each {fit.sweep.columns.scale}", columns, tuple(rows))


def predictions(fit: SweepFit, variants: Iterable[VariantFit]) -> Table:
    """Predicted optimum at each target, its interval, and the value to use."""
    level = sentences.level(fit)
    use = (
        "Recommended value: it minimises the expected loss under the uncertainty. It lies a little below "
        "the predicted optimum, because losses rise faster above an optimum than below it."
    )
    interval = f"With a probability of {level}, the optimum of a model trained there lies in it."
    columns = (
        _variant(fit),
        _scale(fit),
        Column(f"use {fit.sweep.columns.hp}", "hp", use),
        Column("optimum", "hp_value", "Predicted optimum."),
        Column(f"{level} interval", "hp_interval", interval),
        Column("loss", "value", "Predicted loss at the optimum."),
        _FLAGS,
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
        Column("predicted", "hp_value", "Optimum predicted from the smaller scales alone."),
        Column("interval", "hp_interval", _INTERVAL),
        Column("found", "hp_value", "Optimum found at the scale that was held out."),
        Column("error", "number", "log2(predicted / found), in octaves."),
        Column("covered", "text", "Whether the prediction interval holds the optimum that was found."),
        Column("cost", "value", f"Loss given up, in {fit.sweep.metric.unit}, by using the prediction there."),
        _FLAGS,
    )
    rows: list[Row] = []
    for v in variants:
        for h in v.holdouts:
            error, covered = number_format.signed(h.error_octaves), _COVERED[h.covered]
            raised = _joined(h.flags, h.regret.flags)
            rows.append(
                (v.name, h.scale, h.predicted, h.predicted, h.found, error, covered, h.regret, raised)
            )
    note = "" if rows else "Not done: it needs a law that stands without the largest scale."
    return Table("Hold-out check, error in octaves", columns, tuple(rows), note)


def differences(fit: SweepFit, variants: Iterable[VariantFit], reference: str) -> Table:
    """Metrics of each variant minus those of `reference`, from paired draws.

    Raises:
        QuantifyError: `reference` is not in the fit, or the fit does not hold its draws.
    """
    each = [METRICS[name] for name in _COMPARED]
    columns = (_variant(fit), *(Column(metric.label, "estimate", metric.definition) for metric in each))
    rows = []
    for v in variants:
        if v.name != reference and v.draws:
            found = compare(fit, v.name, reference)
            rows.append((v.name, *(found.get(name) for name in _COMPARED)))
    note = "" if rows else "It needs two variants with laws."
    return Table(f"Difference from {reference}", columns, tuple(rows), note)


def _unit(fit: SweepFit, unit: str) -> str:
    """A metric's unit, with the table's own in place of nats."""
    return unit.replace("nats", fit.sweep.metric.unit)


def _variant(fit: SweepFit) -> Column:
    return Column(fit.sweep.columns.variant, "text", VARIANT_MEANING)


def _scale(fit: SweepFit) -> Column:
    return Column(fit.sweep.columns.scale, "scale", "The scale n along which the hyperparameter is carried.")


def _joined(*groups: tuple[str, ...]) -> tuple[str, ...]:
    names = dict.fromkeys(flags.flag_name(flag) for group in groups for flag in group)
    return tuple(name for name in names if name not in flags.SILENT_FLAGS)
