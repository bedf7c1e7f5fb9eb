"""The tables of a fit over several axes, as data; terminal and page render them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hptransfer.quantify.axes.answers import written
from hptransfer.quantify.axes.result import AxesFit, AxesLaws, AxesVariant, RuleCheck
from hptransfer.quantify.result import Estimate, finite
from hptransfer.report import flags, number_format
from hptransfer.report.table_data import Cell, Column, Row, Table
from hptransfer.words import plural

_HOLDS = {True: "yes", False: "NO", None: number_format.MISSING}
_FLAGS = Column("flags", "flags", "Why not to trust the row; each flag is explained below.")
_VARIANT = Column("variant", "text", "What is compared.")
MEANINGS = {
    **flags.FLAG_MEANINGS,
    "collinear": "axes that always grow together: the runs cannot tell them apart, and exponents are along "
    "the path "
    "they share",
    "collinear_without_them": "without these points the axes cannot be told apart, so they cannot be "
    "predicted",
    "off_path": "the target lies off the path that the axes of the runs share; nothing is known there",
    "long_extrapolation": "the target is more than 8 times beyond the runs along an axis, and the interval "
    "is right "
    "only if the law holds that far",
    "no_gain": "the loss does not fall along this axis, so it has no exponent",
    "no_laws": "too few points with an optimum inside the grid for a law over so many axes",
    "too_few_points": "too few points would be left for a law",
}


def in_words(found: Sequence[str]) -> str:
    """Flags by their meaning, with their details."""
    return "; ".join(f"{MEANINGS.get(flags.flag_name(f), f)}{flags.flag_detail(f)}" for f in found)


def headline(fit: AxesFit) -> str:
    """What is asked, and the answers in one line."""
    over = " and ".join(fit.axes)
    names = fit.sweep.columns
    if len(fit.variants) == 1:
        only = next(iter(fit.variants.values()))
        answers = f"keep {only.keep.value}, extrapolate {only.extrapolate.value}."
        return f"{names.hp} over {over}: {answers}{_use(only)}"
    return f"{names.hp} over {over}, {plural(len(fit.variants), 'variant')}."


def _use(variant: AxesVariant) -> str:
    """The value to use at the first target, in a sentence; empty without."""
    if not variant.predictions or variant.predictions[0].hp_recommended is None:
        return ""
    first = variant.predictions[0]
    return f" Use {number_format.decimal(Estimate(first.hp_recommended))} at {written(first.at)}."


def extent(fit: AxesFit) -> str:
    """How many runs there are, where, and the level of the intervals."""
    sweep = fit.sweep
    points = max((len(v.points) for v in fit.variants.values()), default=0)
    diverged = int(sweep.diverged.sum())
    lost = f", {number_format.count(diverged)} of them diverged" if diverged else ""
    runs = number_format.plural(len(sweep), "run")
    where = f"{number_format.plural(points, 'point')} of {', '.join(fit.axes)}"
    return f"{runs} at {where}{lost}. Intervals are {level(fit)} credible intervals."


def level(fit: AxesFit) -> str:
    """The level of the intervals as `95%`."""
    return number_format.percent(fit.settings["level"], 4)


def every_table(fit: AxesFit, variants: Sequence[AxesVariant]) -> tuple[Table, ...]:
    """All tables in reading order."""
    return (
        answers(variants),
        predictions(fit, variants),
        laws(fit, variants),
        tests(variants),
        *by_variant([(v.name, rules(fit.sweep.metric.unit, [(v.name, v.rules)])) for v in variants]),
        holdouts(fit, variants),
        suggestions(fit, variants),
        loss_laws(variants),
        metrics(variants),
        optima(fit, variants),
    )


def answers(variants: Iterable[AxesVariant]) -> Table:
    """The two answers, and why."""
    rows: list[Row] = []
    for v in variants:
        why = f"{_sentence(v.keep.reason)} {_sentence(v.extrapolate.reason)} {v.tied}".strip()
        rows.append((v.name, v.keep.value, v.extrapolate.value, why))
    columns = (
        _VARIANT,
        Column("keep?", "text", "May the optimum of the smallest point be kept, unchanged, at every other?"),
        Column(
            "extrapolate?", "text", "May the law be followed, judged by the points left out and the targets?"
        ),
        Column("because", "prose"),
    )
    return Table("The answer", columns, tuple(rows))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def predictions(fit: AxesFit, variants: Iterable[AxesVariant]) -> Table:
    """The value to use at each target."""
    names, unit = fit.sweep.columns, fit.sweep.metric.unit
    rows: list[Row] = [
        (v.name, written(p.at), Estimate(p.hp_recommended), p.hp, p.hp, width(p.hp), p.hp_straight,
         p.loss, Estimate(p.regret), tuple(dict.fromkeys((*p.flags, *p.hp.flags))))
        for v in variants for p in v.predictions
    ]  # fmt: skip
    columns = (
        _VARIANT,
        Column("at", "text", "The target."),
        Column(
            f"use {names.hp}", "hp_value", "The value that minimises the expected loss under the uncertainty."
        ),
        Column("optimum", "hp_value", "The predicted optimum."),
        Column("in", "hp_interval", f"{level(fit)} prediction interval of the optimum."),
        Column("octaves", "text", "Width of that interval, in octaves (factors of 2)."),
        Column(
            "if straight",
            "hp_interval",
            "The same interval if the law turned along no axis for certain, as a plane fitted alone has it.",
        ),
        Column(names.loss, "value", "Predicted loss at the optimum."),
        Column("expected cost", "cost", f"Loss given up on average by the value to use, in {unit}."),
        _FLAGS,
    )
    note = "" if rows else f"No target was asked for: name one, such as {_example(fit)}."
    return Table("Predictions", columns, tuple(rows), note)


def _example(fit: AxesFit) -> str:
    return ",".join(f"{axis}=..." for axis in fit.axes)


def width(item: Estimate) -> str:
    """Octaves between the limits; empty without both."""
    octaves = number_format.octaves(item)
    return (
        ""
        if octaves.low is None or octaves.high is None
        else number_format.rough(octaves.high - octaves.low, 2)
    )


def laws(fit: AxesFit, variants: Iterable[AxesVariant]) -> Table:
    """Exponents along every axis and path."""
    rows: list[Row] = [
        (v.name, a.name, a.drift, a.alpha, a.gamma, a.kappa, share(a.constant), a.drift.flags)
        for v in variants for a in v.axes
    ]  # fmt: skip
    columns = (
        _VARIANT,
        Column("along", "text", "The axis; or a path, as powers of the axes that change together."),
        Column("drift", "estimate", f"Exponent of the optimal {fit.sweep.columns.hp}, the other axes fixed."),
        Column(
            "alpha",
            "estimate",
            "Exponent of the loss; along a path, of its gap to L_inf at the farthest point.",
        ),
        Column("gamma", "estimate", "Exponent of the raw curvature d2L/d eta2."),
        Column("kappa", "estimate", "alpha - 2 beta + gamma: below 0 the penalty of a wrong value fades."),
        Column("P(0)", "text", "Probability that the optimum does not change along this axis."),
        _FLAGS,
    )
    return Table(
        "Exponents along each axis", columns, tuple(rows), "" if rows else "Too few points for a law."
    )


def share(value: float | None) -> str:
    """A probability as a percentage; empty where there is none."""
    if value is None:
        return ""
    return "<1%" if 0 < value < 0.01 else number_format.percent(value)


def tests(variants: Iterable[AxesLaws]) -> Table:
    """Bends and interactions."""
    rows: list[Row] = [
        (v.name, name, item, share(v.interactions.get(name)), _verdict(item))
        for v in variants for name, item in v.tests.items()
    ]  # fmt: skip
    columns = (
        _VARIANT,
        Column("term", "text", "A bend along an axis, or an interaction of two."),
        Column(
            "octaves per octave^2", "estimate", "Second derivative of log2 of the optimum, beside the plane."
        ),
        Column("P", "text", "Probability of the interaction in the predictions."),
        Column("clear of 0", "text", "Whether its interval leaves 0 out."),
    )
    return Table("Is the law a plane?", columns, tuple(rows), "" if rows else "Too few points to tell bends.")


def _verdict(item: Estimate) -> str:
    if item.low is None or item.high is None:
        return number_format.MISSING
    return "yes" if item.low * item.high > 0 else "no"


def rules(unit: str, checked: Iterable[tuple[str, Sequence[RuleCheck]]]) -> Table:
    """Named rules on the runs of one variant, by the hyperparameters, or combinations, that they are of."""
    every = [(of, r) for of, found in checked for r in found]
    uses = Counter(r.name for _, r in every)
    rows: list[Row] = []
    for of, r in every:
        powers = " ".join(f"{axis}^{number_format.rough(power)}" for axis, power in r.exponents.items())
        at: Cell = Estimate(finite(r.predictions[0])) if r.predictions else ""
        name = f"{of}: {r.name}" if uses[r.name] > 1 else r.name
        numbers = (at, Estimate(r.cost), Estimate(r.worst), _rejected(r.probability, r.rejected))
        rows.append((name, *numbers, powers, r.level, r.source, r.note))
    return Table("Named rules on these runs", _rule_columns(unit), tuple(rows))


def by_variant(tables: Sequence[tuple[str, Table]]) -> list[Table]:
    """One table a variant, those with rows, its name in the title where there are several."""
    several = len(tables) > 1
    return [
        replace(table, title=f"{table.title}: {name}" if several else table.title)
        for name, table in tables
        if table.rows
    ]


def _rule_columns(unit: str) -> tuple[Column, ...]:
    return (
        Column("rule", "text", "What is said, and of which hyperparameter."),
        Column("at target", "hp_value", "Its value at the first target."),
        Column("mean cost", "cost", f"Loss that it gives up on these runs, mean over the points, in {unit}."),
        Column("worst", "cost", "The largest of these."),
        Column(
            "rejected",
            "text",
            "Whether its exponents (and level) are outside what the runs allow; p in brackets.",
        ),
        Column("goes as", "text", "Its powers; of other axes it says nothing, and the law's are taken."),
        Column("level", "text", "Whether the rule gives values of its own, or its constant was fitted."),
        Column("source", "text", "Where it is from."),
        Column("takes", "text", "What it takes for granted, and what it is held against."),
    )


def _rejected(probability: float, rejected: bool) -> str:
    p = "<0.001" if probability < 0.001 else number_format.rough(probability, 2)
    return f"{'yes' if rejected else 'no'} ({p})"


def holdouts(fit: AxesFit, variants: Iterable[AxesVariant]) -> Table:
    """Points left out and predicted, by axis."""
    rows: list[Row] = [
        (v.name, h.left_out, written(h.at), h.predicted, h.predicted, h.found,
         number_format.signed(h.error_octaves), _HOLDS[h.covered], h.regret, h.flags)
        for v in variants for h in v.holdouts
    ]  # fmt: skip
    columns = (
        _VARIANT,
        Column("left out", "text", "The points that the law did not see."),
        Column("at", "text", "One of them."),
        Column("predicted", "hp_value", "The optimum that the other points predict."),
        Column("interval", "hp_interval", f"{level(fit)} interval of the prediction."),
        Column("found", "hp_value", "The optimum by all runs."),
        Column("error", "text", "log2(predicted / found), octaves."),
        Column("holds", "text", "Whether the interval holds what was found."),
        Column("cost", "cost", f"Loss given up there by the prediction, in {fit.sweep.metric.unit}."),
        _FLAGS,
    )
    return Table("Hold-out check", columns, tuple(rows), "" if rows else "Too few points to leave any out.")


def suggestions(fit: AxesFit, variants: Iterable[AxesVariant]) -> Table:
    """What to run next."""
    rows: list[Row] = []
    goal = ""
    for v in variants:
        for s in v.suggested:
            goal = written(s.goal)
            values = " ".join(number_format.rough(hp, 2) for hp in s.hps)
            widths = " to ".join(number_format.rough(octaves, 2) for octaves in s.width)
            rows.append((v.name, written(s.at), values, number_format.percent(s.cost_share), widths))
    columns = (
        _VARIANT,
        Column("run at", "text", "Where no runs are yet."),
        Column(f"{fit.sweep.columns.hp}s", "text", "A grid about the law's value there."),
        Column("price", "text", "As a share of what was spent, by the product of the axes."),
        Column("interval", "text", "Its width at the goal now, and after these runs, octaves."),
    )
    note = f"The goal is {goal}." if goal else "No runs that were tried narrow the interval for their price."
    return Table("Suggested runs", columns, tuple(rows), note)


def loss_laws(variants: Iterable[AxesVariant]) -> Table:
    """Parameters of the loss law."""
    rows: list[Row] = [(v.name, name, item, item.flags) for v in variants for name, item in v.loss.items()]
    columns = (
        _VARIANT,
        Column(
            "parameter", "text", "L* = L_inf + sum of A (n / n0)^-alpha over the axes, n0 its smallest value."
        ),
        Column("value", "estimate"),
        _FLAGS,
    )
    return Table("Loss law", columns, tuple(rows))


def metrics(variants: Iterable[AxesVariant]) -> Table:
    """E, E_hp, scatter and R."""
    chosen = list(variants)
    names = list(dict.fromkeys(name for v in chosen for name in v.metrics))
    meanings = {
        "E": "Mean squared residual of the joint surface over the cells near the best of their point.",
        "E_hp": "Rms distance of the optima from the plane, octaves.",
        "scatter": "Sd of single points about the law, octaves, beyond their errors and the law's turning.",
        "R_n": "Loss above the best of all variants at the farthest common point.",
        "R_inf": "L_inf above that of the best of all variants: an extrapolation.",
    }
    rows: list[Row] = [(v.name, *(v.metrics.get(name) for name in names)) for v in chosen if v.metrics]
    columns = (_VARIANT, *(Column(name, "estimate", meanings.get(name, "")) for name in names))
    return Table("Metrics", columns, tuple(rows), "" if rows else "Too few points for a law.")


def optima(fit: AxesFit, variants: Iterable[AxesVariant]) -> Table:
    """The optimum at every point."""
    rows: list[Row] = [
        (v.name, written(p.at), p.hp, p.hp, Estimate(p.law), Estimate(p.lowest), p.loss, float(p.runs),
         p.flags)
        for v in variants for p in v.points
    ]  # fmt: skip
    columns = (
        _VARIANT,
        Column("at", "text", "The point."),
        Column("optimum", "hp_value", "As its runs, and the shape shared by all points, have it."),
        Column("interval", "hp_interval", f"{level(fit)} interval."),
        Column("law", "hp_value", "What the plane says there."),
        Column("lowest run", "hp_value", "Of the run with the lowest loss."),
        Column(fit.sweep.columns.loss, "value", "At the optimum."),
        Column("runs", "number", "At this point."),
        _FLAGS,
    )
    return Table("Optimum at every point", columns, tuple(rows))


def flag_notes(variants: Iterable[AxesVariant], most: int = 3) -> list[tuple[str, str, str]]:
    """(flag, meaning, places) for every flag raised, in order of appearance."""
    places: dict[str, list[str]] = defaultdict(list)
    for v in variants:
        raised = [(v.name, v.flags)]
        raised += [(written(p.at), (*p.flags, *p.hp.flags)) for p in v.points]
        raised += [(f"predicted at {written(p.at)}", (*p.flags, *p.hp.flags)) for p in v.predictions]
        raised += [(f"hold-out at {written(h.at)}", (*h.flags, *h.regret.flags)) for h in v.holdouts]
        raised += [(a.name, (*a.drift.flags, *a.alpha.flags)) for a in v.axes]
        raised += [(name, item.flags) for name, item in v.loss.items()]
        for where, found in raised:
            for flag in dict.fromkeys(found):
                name, spot = flags.flag_name(flag), f"{where}{flags.flag_detail(flag)}"
                if spot not in places[name]:
                    places[name].append(spot)
    notes = []
    for flag, spots in places.items():
        rest = f" and {len(spots) - most} more" if len(spots) > most else ""
        notes.append((flag, MEANINGS.get(flag, flag), "; ".join(spots[:most]) + rest))
    return notes
