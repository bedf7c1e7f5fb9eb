"""The sentences of a report: what a verdict, a metric and a flag mean, and the answer itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from hptransfer.quantify.result import (
    Estimate,
    Prediction,
    SuggestedRun,
    TransferFit,
    VariantFit,
    VerdictValue,
)
from hptransfer.report import format as fmt

VERDICTS: dict[VerdictValue, str] = {
    "invariant": "the value found on the smallest models can be kept",
    "predictable": "the value moves, and its law says where to",
    "unpredictable": "neither keeping the value nor following its law is safe",
    "undecided": "these runs do not settle it",
}

FLAGS: dict[str, str] = {
    "all_diverged": "every run at this scale diverged, so it has no optimum; it only bounds the usable range",
    "at_bound": "a parameter stopped at the edge of its allowed range: read the interval, not the value",
    "at_edge": "the optimum lies at or beyond the edge of the grid: its interval is one-sided and it enters "
    "the laws as a bound; add runs on that side",
    "bend": "the optimum's law bends in log-log by more than the intervals allow: a straight extrapolation "
    "is not safe",
    "duplicates": "identical rows were found and kept once",
    "edge_censored": "an optimum beyond the edge of its grid entered the law as a bound, not as a point",
    "edge_contradicts_law": "an optimum beyond the edge of its grid does not fit the law of the others; "
    "the law ignores it",
    "no_laws": "too few scales with a usable optimum for a law",
    "no_optimum": "there is no optimum to compare with",
    "outside_grid": "the value lies outside the grid that was run there, so its loss is unknown",
    "too_few_scales": "too few scales to leave one out",
    "long_extrapolation": "more than 8 times the largest scale measured: the interval rests on the law "
    "holding that far",
    "one_seed": "one seed per cell: noise is estimated from the scatter about the curve, not from repeats",
    "thin": "too few finished runs near the optimum to fit a basin",
}

# What the estimator remarks on every kappa; its definition says the same, so it is no reason for caution.
REMARKS = frozenset({"beta of the power family", "beta of the offset family"})


@dataclass(frozen=True)
class Metric:
    """How a metric is named and explained.

    Attributes:
        label: heading in plain characters.
        unit: what the number counts; empty for pure numbers.
        definition: one or two sentences, with the formula.
    """

    label: str
    unit: str
    definition: str


METRICS: dict[str, Metric] = {
    "drift": Metric(
        "drift",
        "octaves per octave",
        "Octaves by which the optimum moves per octave of scale, d log2 eta* / d log2 n, in the coordinates "
        "of the runs. 0: the optimum stays put. -1: it halves when the scale doubles.",
    ),
    "drift_sp": Metric(
        "drift (SP)",
        "octaves per octave",
        "The drift in SP coordinates, where eta is the learning rate that a hidden weight gets. "
        "-1 here is 0 in muP coordinates.",
    ),
    "drift_mup": Metric(
        "drift (muP)",
        "octaves per octave",
        "The drift in muP coordinates, where a hidden weight gets eta / m. 0: the value carries unchanged. "
        "It is the SP drift plus 1.",
    ),
    "E": Metric(
        "E",
        "nats^2",
        "Quality of the fit: mean squared residual of the joint surface L*(n) + basin(x - x*(n)) over the "
        "points that pass the filter. Small: all scales follow one set of laws. "
        "(The paper's exact form is not published; this is our reading.)",
    ),
    "kappa_offset": Metric(
        "kappa (offset)",
        "",
        "alpha - 2 beta + gamma with beta of the offset family, eta*(n) = eta_inf + B n^-beta.",
    ),
    "beta_offset": Metric("beta (offset)", "", "beta of the offset family, eta*(n) = eta_inf + B n^-beta."),
    "E_hp": Metric(
        "E_hp",
        "octaves",
        "Root mean square distance of the per-scale optima from the optimum's law, in octaves.",
    ),
    "kappa": Metric(
        "kappa",
        "",
        "Robustness to extrapolation error, alpha - 2 beta + gamma, with beta of the power family. "
        "Below 0: the penalty of a wrong value "
        "fades as models grow; above 0: it comes to dominate what more scale can buy.",
    ),
    "R_inf": Metric(
        "R(inf)",
        "nats",
        "Asymptotic loss penalty: L_inf of this variant minus that of the reference (the lower envelope of "
        "all variants unless one is named). It is an extrapolation; read it next to R(n).",
    ),
    "R_n": Metric(
        "R(n)",
        "nats",
        "Loss penalty at the largest measured scale: optimum loss of this variant minus that of the "
        "reference. Needs no extrapolation.",
    ),
    "alpha": Metric("alpha", "", "Exponent of the loss law, L*(n) = L_inf + A n^-alpha."),
    "beta": Metric("beta", "", "Exponent of the optimum's law; positive where the optimum falls with scale."),
    "gamma": Metric("gamma", "", "Exponent of the curvature law, H(n) = H0 n^gamma, with H = d2L/d eta2."),
}

COLUMNS: dict[str, str] = {
    "optimum": "Fitted optimum of the basin, as a power of two and as a decimal.",
    "interval": "Confidence interval at the fit's level.",
    "loss": "Loss at the optimum, nats per token.",
    "runs": "Runs at this scale, the diverged ones included.",
    "diverged": "Runs that diverged. They bound the usable range and are never dropped.",
    "predicted": "Optimum predicted from the smaller scales alone.",
    "found": "Optimum found at the scale that was held out.",
    "error": "log2(predicted / found), in octaves.",
    "held": "Whether the prediction interval holds the optimum that was found.",
    "regret": "Loss given up, in nats, by using one value where another is the optimum.",
    "use": "Recommended value: it minimises the expected loss under the uncertainty. Because the cliff is on "
    "the right it lies a little below the predicted optimum.",
    "verdict": "invariant: keep the value. predictable: follow its law. unpredictable: neither is safe. "
    "undecided: the runs do not settle it.",
    "flags": "Why not to trust the row; each is explained on its own.",
}


def metric(name: str) -> Metric:
    """The words of a metric; one that is not in the glossary is named as it is."""
    return METRICS.get(name, Metric(name, "", ""))


def flag_name(flag: str) -> str:
    """The flag without its detail: `no_laws` of `no_laws: 2 usable scales, a law needs 3`."""
    return flag.partition(":")[0].strip()


def flag_sentence(flag: str) -> str:
    """What a flag means; `name: detail` keeps its detail; unknown flags stay as they are."""
    meaning, detail = FLAGS.get(flag_name(flag), ""), _detail(flag)
    return f"{meaning}{detail}" if meaning else flag


def no_law(variant: VariantFit) -> str:
    """Why a variant has no law, in a sentence without its full stop."""
    why = [flag for flag in variant.flags if flag_name(flag) == "no_laws"] or variant.flags
    return "; ".join(flag_sentence(flag) for flag in why) or FLAGS["no_laws"]


def flags_of(
    variant: VariantFit, scale_name: str, metrics: Collection[str] | None = None
) -> Iterator[tuple[str, str]]:
    """Every flag of a variant with the place where it was raised; of the named metrics only, if named."""
    yield from ((flag, variant.name) for flag in variant.flags)
    for optimum in variant.optima:
        where = f"{variant.name} at {scale_name} {fmt.scale(optimum.scale)}"
        own = dict.fromkeys((*optimum.flags, *optimum.hp.flags, *optimum.loss.flags))
        yield from ((flag, where) for flag in own)
    for name, law in variant.laws.items():
        yield from ((flag, f"{name} law of {variant.name}") for flag in law.flags)
    for name in variant.metrics if metrics is None else metrics:
        item = variant.metrics.get(name, Estimate())
        yield from ((flag, f"{metric(name).label} of {variant.name}") for flag in item.flags)
    for prediction in variant.predictions:
        where = f"{variant.name} at {scale_name} {fmt.scale(prediction.scale)}"
        own = dict.fromkeys((*prediction.flags, *prediction.hp.flags))
        yield from ((flag, f"{where}, predicted") for flag in own)
    for check in variant.holdouts:
        own = dict.fromkeys((*check.flags, *check.regret.flags))
        yield from ((flag, f"hold-out of {variant.name}") for flag in own)


def flag_notes(
    variants: Iterable[VariantFit],
    scale_name: str,
    metrics: Collection[str] | None = None,
    most: int = 3,
) -> list[tuple[str, str, str]]:
    """(flag, meaning, places) for every flag raised, in order of appearance, details with the places.

    Arguments:
        variants: whose flags.
        scale_name: the user's name of the scale.
        metrics: the metrics that are shown; None for all.
        most: places named for each flag; the rest is counted.
    """
    places: dict[str, list[str]] = defaultdict(list)
    for variant in variants:
        for flag, where in flags_of(variant, scale_name, metrics):
            name, place = flag_name(flag), f"{where}{_detail(flag)}"
            if name not in REMARKS and place not in places[name]:
                places[name].append(place)
    notes = []
    for flag, found in places.items():
        rest = f" and {len(found) - most:,} more" if len(found) > most else ""
        notes.append((flag, flag_sentence(flag), "; ".join(found[:most]) + rest))
    return notes


def headline(fit: TransferFit, most: int = 6) -> str:
    """The verdicts of the whole fit in one sentence: names where they are few, else counts."""
    if len(fit.variants) == 1:
        (only,) = fit.variants.values()
        return f"{only.verdict.value.capitalize()}: {VERDICTS[only.verdict.value]}."
    groups: dict[str, list[str]] = {verdict: [] for verdict in VERDICTS}
    for variant in fit.variants.values():
        groups[variant.verdict.value].append(variant.name)
    groups = {verdict: names for verdict, names in groups.items() if names}
    if len(fit.variants) > most:
        counts = [f"{fmt.count(len(names))} {verdict}" for verdict, names in groups.items()]
        return f"Of {fmt.count(len(fit.variants))} variants, {_listed(counts)}."
    parts = [f"{_listed(n)} {'is' if len(n) == 1 else 'are'} {verdict}" for verdict, n in groups.items()]
    return "; ".join(parts) + "."


def extent(fit: TransferFit) -> str:
    """`270 runs of 3 variants over width 32 to 128, 10 of them diverged; 95% intervals`."""
    land = fit.landscape
    diverged = sum(o.diverged for v in fit.variants.values() for o in v.optima)
    low, high = (fmt.scale(float(n)) for n in (land.scale.min(), land.scale.max()))
    span = f"{land.columns.scale} {low}" if low == high else f"{land.columns.scale} {low} to {high}"
    lost = f", {fmt.count(diverged)} of them diverged" if diverged else ""
    who = f"{fmt.plural(len(land.loss), 'run')} of {fmt.plural(len(fit.variants), 'variant')}"
    where = {"sp": "; learning rates in SP coordinates", "mup": "; learning rates in muP coordinates"}
    coordinates = where.get(str(fit.settings.get("coordinates")), "")
    return f"{who} over {span}{lost}; {level(fit)} intervals{coordinates}"


def level(fit: TransferFit) -> str:
    """The confidence level as `95%`."""
    return fmt.percent(float(fit.settings.get("level", 0.95)))


def advice(fit: TransferFit, prediction: Prediction) -> str:
    """What to use at a target: the recommended value, and where the optimum is expected."""
    columns = fit.landscape.columns
    where = f"At {columns.scale} {fmt.scale(prediction.scale)}"
    if not fmt.known(prediction.hp.value):
        why = "; ".join(
            flag_sentence(flag) for flag in dict.fromkeys((*prediction.flags, *prediction.hp.flags))
        )
        return f"{where}: no prediction" + (f" ({why})." if why else ".")
    expected = f"{fmt.decimal(prediction.hp)} {fmt.hp_interval(prediction.hp)}".rstrip()
    if prediction.hp_recommended is None:
        return f"{where} the optimum is expected at {columns.hp} = {expected}."
    use = fmt.hp(recommended(prediction))
    return f"{where} use {columns.hp} = {use}; the optimum is expected at {expected}."


def recommended(prediction: Prediction) -> Estimate:
    """The recommended value carrying the width of the prediction's interval, so that its digits follow it."""
    value, hp = prediction.hp_recommended, prediction.hp
    if value is None or hp.value is None or not hp.value:
        return Estimate(value)
    ratio = value / hp.value
    low, high = (None if end is None else end * ratio for end in (hp.low, hp.high))
    return Estimate(value, low, high)


def suggestions(runs: Iterable[SuggestedRun], fit: TransferFit) -> str:
    """`width 128 at lr = 0.0110, 0.0221 (3 seeds each, 2.4e12 FLOPs)`, runs of one scale together."""
    columns = fit.landscape.columns
    groups: dict[tuple[float, int], list[SuggestedRun]] = defaultdict(list)
    for run in runs:
        groups[run.scale, run.seeds].append(run)
    parts = []
    for (scale, seeds), group in groups.items():
        values = ", ".join(fmt.decimal(Estimate(run.hp)) for run in group)
        flops = sum(run.flops or 0.0 for run in group)
        cost = f", {flops:.2g} FLOPs".replace("e+", "e") if flops else ""
        each = f"{fmt.plural(seeds, 'seed')}{' each' if len(group) > 1 else ''}{cost}"
        parts.append(f"{columns.scale} {fmt.scale(scale)} at {columns.hp} = {values} ({each})")
    return "; ".join(parts)


def holdout_sentence(fit: TransferFit, variant: VariantFit) -> str:
    """How the law did on the largest scale it had not seen; empty where there was no such check."""
    check = next((h for h in variant.holdouts if h.error_octaves is not None), None)
    if check is None or check.error_octaves is None:
        return ""
    side = "high" if check.error_octaves > 0 else "low"
    ends = {True: "; its interval holds it", False: "; its interval does not hold it", None: ""}[
        check.covered
    ]
    where = f"{fit.landscape.columns.scale} {fmt.scale(check.scale)}"
    miss = f"{abs(check.error_octaves):.2f} octaves too {side}"
    return f"Fitted without {where}, the law predicts the optimum there {miss}{ends}."


def _detail(flag: str) -> str:
    detail = flag.partition(":")[2].strip()
    return f" ({detail})" if detail else ""


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
