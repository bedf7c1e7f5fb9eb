"""The tables of a joint fit over several axes as data; terminal and page render them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hptransfer.quantify.axes.answers import written
from hptransfer.quantify.axes.result import AxesLaws
from hptransfer.quantify.joint_axes.result import JointAxesFit, JointAxesVariant
from hptransfer.quantify.result import Estimate
from hptransfer.report import axes_tables, joint_tables, number_format
from hptransfer.report.table_data import Column, Row, Table

Variants = Sequence[JointAxesVariant]
_HOLDS = {True: "yes", False: "NO", None: number_format.MISSING}
_VARIANT = Column("variant", "text", "What is compared.")
_OF = Column("of", "text", "A hyperparameter at its best over the others, or a combination by its own law.")
_FLAGS = Column("flags", "flags", "Why not to trust the row; each flag is explained below.")


def heading(fit: JointAxesFit) -> str:
    """The question that the fit answers."""
    return f"Which {' and '.join(fit.hp)} at which {' and '.join(fit.axes)}?"


def headline(fit: JointAxesFit) -> str:
    """Both answers of every variant, and what to use at the first target, in a line."""
    return " ".join(
        f"{v.name}: keep all values, {v.keep.value}; follow their laws, {v.extrapolate.value}.{_use(v)}"
        for v in fit.variants.values()
    )


def _use(v: JointAxesVariant) -> str:
    if not v.predictions or v.predictions[0].recommended is None:
        return ""
    first = v.predictions[0]
    values = ", ".join(f"{name} {_plain(value)}" for name, value in (first.recommended or {}).items())
    return f" Use {values} at {written(first.at)}."


def extent(fit: JointAxesFit) -> str:
    """What was fitted."""
    zero = "".join(
        f" {name} = 0 stands at the place of {number_format.rough(value)}, two octaves below the smallest "
        "positive value."
        for name, value in fit.zero_places.items()
    )
    points = max(len(v.optima) for v in fit.variants.values())
    diverged = number_format.count(int(fit.sweep.diverged.sum()))
    return (
        f"{number_format.plural(len(fit.sweep), 'run')}, {diverged} diverged; "
        f"{number_format.plural(points, 'point')} of "
        f"{', '.join(fit.axes)}. Intervals are {number_format.percent(fit.settings['level'], 4)}.{zero}"
    )


def tables(fit: JointAxesFit, variants: Variants) -> tuple[Table, ...]:
    """All tables in reading order."""
    return (
        answers(variants),
        predictions(fit, variants),
        laws(variants),
        _by_quantity(axes_tables.tests(replace(law, name=of) for of, law in _laws(variants))),
        *joint_tables.rules(fit.sweep.metric.unit, variants),
        joint_tables.ridges(variants),
        holdouts(fit, variants),
        joint_tables.suggestions([(v.name, v.suggested) for v in variants]),
        loss_laws(variants),
        optima(fit, variants),
        skews(fit, variants),
    )


def _of(variants: Variants, v: JointAxesVariant, name: str) -> str:
    """A hyperparameter or combination, with its variant where there are several."""
    return name if len(variants) == 1 else f"{v.name}: {name}"


def _laws(variants: Variants) -> list[tuple[str, AxesLaws]]:
    return [(_of(variants, v, name), law) for v in variants for name, law in v.laws.items()]


def _by_quantity(table: Table) -> Table:
    """The table with hyperparameters instead of variants in its first column."""
    return replace(table, columns=(_OF, *table.columns[1:]))


def answers(variants: Variants) -> Table:
    """The two answers, and why."""
    rows: list[Row] = []
    for v in variants:
        why = f"{_sentence(v.keep.reason)} {_sentence(v.extrapolate.reason)} {v.tied}".strip()
        rows.append((v.name, v.keep.value, v.extrapolate.value, why))
    columns = (
        _VARIANT,
        Column("keep?", "text", "May the optimum of the smallest point be kept, all values together?"),
        Column("extrapolate?", "text", "May the laws be followed, by the points left out and the targets?"),
        Column("because", "prose"),
    )
    return Table("The answer", columns, tuple(rows))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _plain(value: float | None) -> str:
    return number_format.decimal(Estimate(value))


def predictions(fit: JointAxesFit, variants: Variants) -> Table:
    """Every quantity at every target."""
    rows: list[Row] = [
        (_of(variants, v, name), written(p.at), Estimate((p.recommended or {}).get(name)), item, item,
         axes_tables.width(item), tuple(dict.fromkeys((*p.flags, *item.flags))))
        for v in variants for p in v.predictions for name, item in {**p.hp, **p.combinations}.items()
    ]  # fmt: skip
    columns = (
        _OF,
        Column("at", "text", "The target."),
        Column("use", "hp_value", "Of the point with the least expected loss under the uncertainty of all."),
        Column("optimum", "hp_value", "What its law says."),
        Column(
            "in", "hp_interval", f"{number_format.percent(fit.settings['level'], 4)} prediction interval."
        ),
        Column("octaves", "text", "Width of that interval, in octaves (factors of 2)."),
        _FLAGS,
    )
    example = ",".join(f"{axis}=..." for axis in fit.axes)
    costs = [(p.regret, p.at) for v in variants for p in v.predictions if p.regret is not None]
    note = "" if rows else f"No target was asked for: name one, such as {example}."
    if costs:
        unit = fit.sweep.metric.unit
        note = "Expected cost of the values to use: " + "; ".join(
            f"{number_format.rough(cost, 2)} {unit} at {written(at)}" for cost, at in costs
        )
        note += "."
    return Table("Predictions", columns, tuple(rows), note)


def laws(variants: Variants) -> Table:
    """Exponents of every quantity along every axis and path."""
    rows: list[Row] = [
        (of, a.name, a.drift, joint_tables.compatible(a.drift), axes_tables.share(a.constant), a.drift.flags)
        for of, law in _laws(variants) for a in law.axes
    ]  # fmt: skip
    columns = (
        _OF,
        Column("along", "text", "The axis, the others held; or a path of several that change together."),
        Column("exponent", "estimate", "d log / d log of the axis, with its interval."),
        Column("may be", "text", "Which of 0, 1/2 and 1 (or their negatives) the interval holds."),
        Column("P(0)", "text", "Probability that it does not change along this axis."),
        _FLAGS,
    )
    missing = [f"{of}: {axes_tables.in_words(law.flags)}." for of, law in _laws(variants) if not law.axes]
    return Table("Exponents along each axis", columns, tuple(rows), " ".join(missing))


def holdouts(fit: JointAxesFit, variants: Variants) -> Table:
    """Points left out and predicted, by axis."""
    rows: list[Row] = [
        (_of(variants, v, name), h.left_out, written(h.at), h.predicted[name], h.predicted[name],
         h.found[name], number_format.signed(h.error_octaves[name]), _HOLDS[h.covered[name]],
         h.regret, h.flags)
        for v in variants for h in v.holdouts for name in fit.hp
    ]  # fmt: skip
    columns = (
        _OF,
        Column("left out", "text", "The points that the laws did not see."),
        Column("at", "text", "One of them."),
        Column("predicted", "hp_value", "The optimum that the other points predict."),
        Column("interval", "hp_interval"),
        Column("found", "hp_value", "The optimum by all runs."),
        Column("error", "text", "log2(predicted / found), octaves."),
        Column("holds", "text", "Whether the interval holds what was found."),
        Column("cost", "cost", f"Loss given up there by all predictions, in {fit.sweep.metric.unit}."),
        _FLAGS,
    )
    return Table("Hold-out check", columns, tuple(rows), "" if rows else "Too few points to leave any out.")


def loss_laws(variants: Variants) -> Table:
    """Parameters of the loss law."""
    rows: list[Row] = [(v.name, name, item, item.flags) for v in variants for name, item in v.loss.items()]
    form = "L* = L_inf + sum of A (n / n0)^-alpha over the axes, n0 its smallest value."
    columns = (_VARIANT, Column("parameter", "text", form), Column("value", "estimate"), _FLAGS)
    return Table("Loss law", columns, tuple(rows))


def optima(fit: JointAxesFit, variants: Variants) -> Table:
    """The optimum at every point, one row each."""
    rows: list[Row] = []
    for v in variants:
        for o in v.optima:
            cells = [cell for name in fit.hp for cell in (o.hp[name], o.hp[name])]
            pair = None if o.correlation is None else number_format.signed(o.correlation[0, 1])
            loss, kept = Estimate(o.loss.value), f"{o.counted} of {o.runs}"
            rows.append((v.name, written(o.at), *cells, pair, loss, kept, joint_tables.flag_names(o.flags)))
    each = [c for name in fit.hp for c in (Column(name, "hp_value"), Column("interval", "hp_interval"))]
    columns = (
        _VARIANT,
        Column("at", "text", "The point."),
        *each,
        Column("corr", "text", "Between the first two: errors of both that go along cancel in part."),
        Column("loss", "value", "Loss at the optimum."),
        Column("counted", "text", "Points that the fit rests on, of all runs."),
        _FLAGS,
    )
    return Table("Optimum at every point", columns, tuple(rows))


def skews(fit: JointAxesFit, variants: Variants) -> Table:
    """What half and twice the optimum cost at the last point with one."""
    rows: list[Row] = []
    for v in variants:
        fitted = [o for o in v.optima if o.octave]
        for name, (half, twice) in fitted[-1].octave.items() if fitted else ():
            where = written(fitted[-1].at)
            rows.append((_of(variants, v, name), where, Estimate(half), Estimate(twice)))
    unit = fit.sweep.metric.unit
    columns = (
        _OF,
        Column("at", "text", "The point."),
        Column("half costs", "cost", f"Of half the optimum, the others at their best for it, {unit}."),
        Column("twice costs", "cost", f"Of twice the optimum, likewise, {unit}."),
    )
    return Table("What an error of a factor 2 costs, the others tuned to it", columns, tuple(rows))


def flag_lines(fit: JointAxesFit) -> dict[str, str]:
    """Every flag that was raised, by its name, with its meaning."""
    found: list[str] = []
    for v in fit.variants.values():
        found += v.flags
        for o in v.optima:
            found += o.flags
        for law in v.laws.values():
            found += [flag for a in law.axes for flag in (*a.drift.flags, *law.flags)]
        for p in v.predictions:
            found += p.flags
        for h in v.holdouts:
            found += h.flags
        found += [flag for item in v.loss.values() for flag in item.flags]
    known = joint_tables.meanings(found)
    return {flag: axes_tables.MEANINGS.get(flag, meaning) for flag, meaning in known.items()}
