"""The tables of a joint fit as data; terminal and page render them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hptransfer.quantify.axes.answers import written
from hptransfer.quantify.joint.result import JointRuns, JointSweepFit, JointVariant
from hptransfer.quantify.joint.summarize import half_steps
from hptransfer.quantify.joint_axes.result import JointAxesVariant
from hptransfer.quantify.result import Answer, Estimate
from hptransfer.report import axes_tables, number_format, sentences
from hptransfer.report.flags import FLAG_MEANINGS, flag_name, flag_sentence
from hptransfer.report.table_data import Column, Row, Table

WithRules = JointVariant | JointAxesVariant  # over one axis of scale or several
_COVERED = {True: "yes", False: "NO", None: number_format.MISSING}
_VARIANT = Column("variant", "text", "What is compared: a parametrization, an optimizer, a model.")


def heading(fit: JointSweepFit) -> str:
    """The question that the fit answers."""
    *first, last = fit.hp
    return f"Do {', '.join(first)} and {last} carry over {fit.sweep.columns.scale}?"


def headline(fit: JointSweepFit) -> str:
    """Both answers of every variant, in a line."""
    said = (
        f"{v.name}: keep all values, {v.verdict.keep.value}; follow their laws, {v.verdict.extrapolate.value}"
        for v in fit.variants.values()
    )
    return ". ".join(said) + "."


def extent(fit: JointSweepFit) -> str:
    """What was fitted."""
    s = fit.sweep
    zero = "".join(
        f" {name} = 0 stands at the place of {number_format.rough(value)}, two octaves below the smallest "
        "positive value."
        for name, value in fit.zero_places.items()
    )
    diverged = int(s.diverged.sum())
    return (
        f"{number_format.plural(len(s), 'run')}, {number_format.count(diverged)} diverged; "
        f"{number_format.plural(len(s.scales), 'value')} of {s.columns.scale}. Intervals are "
        f"{number_format.percent(fit.settings['level'], 4)}.{zero}"
    )


def left_out(why: Mapping[str, str]) -> tuple[str, ...]:
    """A line for each variant that could not be fitted, by why."""
    return tuple(f"{name} is left out: {reason}" for name, reason in why.items())


def tables(fit: JointSweepFit, variants: Sequence[JointVariant]) -> tuple[Table, ...]:
    """All tables in reading order."""
    return (
        answers(fit, variants),
        reasons(fit, variants),
        predictions(fit, variants),
        laws(fit, variants),
        *rules(fit.sweep.metric.unit, variants),
        ridges(variants),
        holdouts(fit, variants),
        suggestions([(v.name, v.suggested) for v in variants]),
        optima(fit, variants),
        skews(fit, variants),
    )


def answers(fit: JointSweepFit, variants: Sequence[JointVariant]) -> Table:
    """The two answers, and the values to use."""
    rows: list[Row] = []
    target = max((p.scale for v in variants for p in v.predictions), default=None)
    for v in variants:
        answer = (v.verdict.keep.value, v.verdict.extrapolate.value)
        rows.append((v.name, *answer, *(to_use(v, name) for name in fit.hp)))
    columns = (
        _VARIANT,
        Column("keep?", "text", "May the optimum of the smallest models be kept, all values together?"),
        Column("extrapolate?", "text", "May the laws be followed to larger models?"),
        *(
            Column(
                f"use {name}",
                "number",
                "The value to set at the largest target: the small models' where all may be kept, else "
                "the one with the least expected loss. With a question mark it is a guess: neither answer "
                "is yes.",
            )
            for name in fit.hp
        ),
    )
    where = "" if target is None else f" for {fit.sweep.columns.scale} {number_format.scale(target)}"
    note = "" if target is not None else "No target was asked for: name one to get the values to use there."
    return Table(f"The answer{where}", columns, tuple(rows), note)


def to_use(v: JointVariant, name: str) -> str:
    """A value to set, with a question mark where neither answer is yes."""
    if v.verdict.keep.value == "yes":
        return _plain(v.verdict.kept.get(name))
    if not v.predictions or v.predictions[-1].recommended is None:
        return number_format.MISSING
    last = max(v.predictions, key=lambda p: p.scale)
    sure = v.verdict.extrapolate.value == "yes"
    return _plain((last.recommended or {}).get(name)) + ("" if sure else "?")


def _plain(value: float | None) -> str:
    return number_format.decimal(Estimate(value))


def reasons(fit: JointSweepFit, variants: Sequence[JointVariant]) -> Table:
    """What each answer rests on."""
    rows = tuple(
        (
            v.name,
            f"Keep all values: {_reason(fit, v.verdict.keep)}. "
            f"Follow the laws: {_reason(fit, v.verdict.extrapolate)}.",
        )
        for v in variants
    )
    return Table("Why", (_VARIANT, Column("because", "prose")), rows)


def _reason(fit: JointSweepFit, answer: Answer) -> str:
    """What an answer rests on, flags by their meaning."""
    said, _, _ = answer.reason.partition("; ")
    why = sentences.in_words(answer.why, f"not known at {fit.sweep.columns.scale}", FLAG_MEANINGS)
    return "; ".join([said, *why])


_OF = Column("of", "text", "A hyperparameter, or a combination by its own law.")


def _what(variants: Sequence[WithRules], v: WithRules, name: str) -> str:
    """A hyperparameter or combination, with its variant where there are several: it names the row."""
    return name if len(variants) == 1 else f"{v.name}: {name}"


def predictions(fit: JointSweepFit, variants: Sequence[JointVariant]) -> Table:
    """Every quantity at every target."""
    rows = tuple(
        (_what(variants, v, name), p.scale, item, item, _plain((p.recommended or {}).get(name)))
        for v in variants
        for p in v.predictions
        for name, item in {**p.hp, **p.combinations}.items()
    )
    columns = (
        _OF,
        Column(fit.sweep.columns.scale, "scale"),
        Column("predicted", "hp_value", "What its law says."),
        Column("interval", "hp_interval", "With scatter and turning of the law as real sweeps showed them."),
        Column("use", "number", "The point with the least expected loss under the uncertainty of all."),
    )
    return Table("Predictions", columns, rows, "" if rows else "No target was asked for.")


def laws(fit: JointSweepFit, variants: Sequence[JointVariant]) -> Table:
    """The exponents, beside those of theories."""
    rows: list[Row] = []
    for v in variants:
        for name in (*fit.hp, *fit.combinations):
            law = v.laws.get(name)
            if law is not None:
                what, flags = _what(variants, v, name), flag_names(law.flags)
                rows.append((what, law.exponent, compatible(law.exponent), Estimate(law.scatter), flags))
    scale = fit.sweep.columns.scale
    columns = (
        _OF,
        Column("exponent", "estimate", f"d log / d log {scale} of the power law, with its interval."),
        Column("may be", "text", "Which of 0, 1/2 and 1 (or their negatives) the interval holds."),
        Column("scatter", "cost", "rms scatter of single scales about the law, octaves."),
        Column("flags", "flags"),
    )
    why = "" if rows else "A law takes three scales or more with an optimum inside what was run."
    return Table(f"Laws over {scale}", columns, tuple(rows), why)


def compatible(exponent: Estimate) -> str:
    """Which of the exponents 0, 1/2 and 1, or their negatives, an interval holds."""
    sign = "-" if (exponent.value or 0.0) < 0 else ""
    words = {0.0: "0", 0.5: "1/2", 1.0: "1"}
    said = [f"{sign if step else ''}{words[step]}" for step in half_steps(exponent)]
    return ", ".join(said) or "none of 0, 1/2, 1"


def rules(unit: str, variants: Sequence[WithRules]) -> list[Table]:
    """Named rules of each variant: of each quantity, then those that tie hyperparameters to each other."""
    checked = [
        (v.name, [*((name, law.rules) for name, law in v.laws.items()), ("together", v.relations)])
        for v in variants
    ]
    return axes_tables.by_variant([(name, axes_tables.rules(unit, found)) for name, found in checked])


def ridges(variants: Sequence[WithRules]) -> Table:
    """How the best value of one hyperparameter moves with another."""
    rows: list[Row] = [
        (_what(variants, v, name), item, compatible(item))
        for v in variants for name, item in v.ridges.items()
    ]  # fmt: skip
    columns = (
        Column("of", "text", "The one whose best value moves, per the one that is changed."),
        Column("exponent", "estimate", "Octaves per octave, mean over the scales or points."),
        Column("may be", "text", "Which of 0, 1/2 and 1 (or their negatives) the interval holds."),
    )
    note = "" if rows else "No scale has an optimum of every one within what was run."
    return Table("How the best value of one moves with another", columns, tuple(rows), note)


def holdouts(fit: JointSweepFit, variants: Sequence[JointVariant]) -> Table:
    """What earlier scales predicted of the largest."""
    rows: list[Row] = [
        (
            _what(variants, v, name), h.scale, h.predicted[name], h.predicted[name], h.found[name],
            number_format.signed(h.error_octaves[name]), _COVERED[h.covered[name]],
        )
        for v in variants for h in v.holdouts for name in fit.hp
    ]  # fmt: skip
    columns = (
        _OF,
        Column(fit.sweep.columns.scale, "scale"),
        Column("predicted", "hp_value", "Without this scale and those above it."),
        Column("interval", "hp_interval"),
        Column("found", "hp_value", "With all runs."),
        Column("off", "text", "Predicted less found, octaves."),
        Column("held", "text", "Whether the interval holds what was found."),
    )
    return Table("Hold-out check", columns, tuple(rows), "" if rows else "It takes four scales or more.")


def suggestions(found: Iterable[tuple[str, Sequence[JointRuns]]]) -> Table:
    """What to run next, by variant."""
    rows: list[Row] = []
    for of, suggested in found:
        for s in suggested:
            grids = "; ".join(f"{n} {' '.join(map(_plain, values))}" for n, values in s.hps.items())
            widths = "; ".join(
                f"{n} {number_format.rough(now, 2)} to {number_format.rough(then, 2)}"
                for n, (now, then) in s.width.items()
            )
            rows.append((of, written(s.at), grids, number_format.percent(s.cost_share), widths, s.why))
    columns = (
        _VARIANT,
        Column("run at", "text", "The scale, or the place of several axes."),
        Column("all combinations of", "text", "Past the edge, or a grid about the laws' values there."),
        Column("price", "text", "As a share of what was spent, by the product of the axes."),
        Column("intervals", "text", "Their widths at the goal now, and after these runs, octaves."),
        Column("because", "text"),
    )
    note = "" if rows else "No runs that were tried narrow the intervals for their price."
    return Table("Suggested runs", columns, tuple(rows), note)


def optima(fit: JointSweepFit, variants: Sequence[JointVariant]) -> Table:
    """The optimum at every scale, one row each."""
    rows: list[Row] = []
    for v in variants:
        for o in v.optima:
            cells = [cell for name in fit.hp for cell in (o.hp[name], o.hp[name])]
            pair = None if o.correlation is None else number_format.signed(o.correlation[0, 1])
            kept = f"{o.counted} of {o.runs}"
            rows.append((v.name, o.scale, *cells, pair, Estimate(o.loss.value), kept, flag_names(o.flags)))
    each = [c for name in fit.hp for c in (Column(name, "hp_value"), Column("interval", "hp_interval"))]
    columns = (
        _VARIANT,
        Column(fit.sweep.columns.scale, "scale"),
        *each,
        Column(
            "corr",
            "text",
            "Between the first two: errors of both that go along cancel in part where it is not 0.",
        ),
        Column("loss", "value", "Loss at the optimum."),
        Column("counted", "text", "Points that the fit rests on, of all runs."),
        Column("flags", "flags"),
    )
    return Table("Optima", columns, tuple(rows))


def skews(fit: JointSweepFit, variants: Sequence[JointVariant]) -> Table:
    """What half and twice the optimum cost at the largest scale with one."""
    rows: list[Row] = []
    for v in variants:
        fitted = [o for o in v.optima if o.octave]
        for name, (half, twice) in fitted[-1].octave.items() if fitted else ():
            rows.append((_what(variants, v, name), fitted[-1].scale, Estimate(half), Estimate(twice)))
    unit = fit.sweep.metric.unit
    columns = (
        _OF,
        Column(fit.sweep.columns.scale, "scale"),
        Column("half costs", "cost", f"Of half the optimum, the others at their best for it, {unit}."),
        Column("twice costs", "cost", f"Of twice the optimum, likewise, {unit}."),
    )
    return Table("What an error of a factor 2 costs, the others tuned to it", columns, tuple(rows))


def flag_names(flags: Sequence[str]) -> tuple[str, ...]:
    """Flags without details, but for those that name a hyperparameter."""
    return tuple(dict.fromkeys(flag if ":" in flag else flag_name(flag) for flag in flags))


def flag_lines(fit: JointSweepFit) -> dict[str, str]:
    """Every flag that was raised, by its name, with its meaning."""
    found: list[str] = []
    for v in fit.variants.values():
        found += v.flags
        for o in v.optima:
            found += o.flags
        for law in v.laws.values():
            found += law.flags
        for p in v.predictions:
            found += p.flags
    return meanings(found)


def meanings(found: Iterable[str]) -> dict[str, str]:
    """Flags by their name, with what each means."""
    return {flag_name(flag): _meaning(flag) for flag in found}


def _meaning(flag: str) -> str:
    if flag_name(flag) == "near_zero":
        return "the optimum is nearer to 0 than to the smallest positive value that was run; it enters no law"
    if flag_name(flag) == "two_minima":
        return "the runs have two minima, with higher runs all around each; the one with the lowest is taken"
    return flag_sentence(flag_name(flag) if flag_name(flag) in ("at_edge", "near_zero") else flag)
