"""The sentences of a report: verdicts, the extent of the data, predictions, suggested runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from hptransfer.quantify.result import Estimate, Prediction, SuggestedRun, SweepFit, VariantFit, VerdictValue
from hptransfer.report import number_format
from hptransfer.report.flags import FLAG_MEANINGS, flag_name, flag_sentence

VERDICT_MEANINGS: dict[VerdictValue, str] = {
    "invariant": "the value found on the smallest models can be kept",
    "predictable": "the value moves, and its law says where to",
    "unpredictable": "neither keeping the value nor following its law is safe",
    "undecided": "these runs are not enough to decide",
}


def no_law(variant: VariantFit) -> str:
    """Why a variant has no law, in a sentence without its full stop."""
    why = [flag for flag in variant.flags if flag_name(flag) == "no_laws"] or variant.flags
    return "; ".join(flag_sentence(flag) for flag in why) or FLAG_MEANINGS["no_laws"]


def headline(fit: SweepFit, most: int = 6) -> str:
    """The verdicts of the whole fit in one sentence: names where they are few, else counts."""
    if len(fit.variants) == 1:
        (only,) = fit.variants.values()
        return f"{only.verdict.value.capitalize()}: {VERDICT_MEANINGS[only.verdict.value]}."
    every = fit.variants.values()
    named = {verdict: [v.name for v in every if v.verdict.value == verdict] for verdict in VERDICT_MEANINGS}
    groups = {verdict: names for verdict, names in named.items() if names}
    if len(fit.variants) > most:
        counts = [_are(number_format.count(len(names)), names, verdict) for verdict, names in groups.items()]
        return f"Of {number_format.count(len(fit.variants))} variants, {_listed(counts)}."
    return "; ".join(_are(_listed(names), names, verdict) for verdict, names in groups.items()) + "."


def _are(subject: str, names: list[str], verdict: str) -> str:
    return f"{subject} {'is' if len(names) == 1 else 'are'} {verdict}"


def extent(fit: SweepFit) -> str:
    """How many runs there are and how many diverged, the level of the intervals, and the coordinates."""
    sweep = fit.sweep
    diverged = int(sweep.diverged.sum())
    low, high = (number_format.scale(float(n)) for n in (sweep.scale.min(), sweep.scale.max()))
    span = f"{sweep.columns.scale} {low}" if low == high else f"{sweep.columns.scale} {low} to {high}"
    lost = f", {number_format.count(diverged)} of them diverged" if diverged else ""
    runs = number_format.plural(len(sweep), "run")
    who = f"{runs} of {number_format.plural(len(fit.variants), 'variant')}"
    name = {"sp": "SP", "mup": "muP"}.get(str(fit.settings.get("coordinates")))
    coordinates = f" Learning rates are in {name} coordinates." if name else ""
    return f"{who} over {span}{lost}. Intervals are {level(fit)} credible intervals.{coordinates}"


def level(fit: SweepFit) -> str:
    """The level of the intervals as `95%`."""
    return f"{100 * float(fit.settings.get('level', 0.95)):.4g}%"


def no_prediction(fit: SweepFit, prediction: Prediction) -> str:
    """That nothing can be predicted at a target, and why."""
    where = f"{fit.sweep.columns.scale} {number_format.scale(prediction.scale)}"
    flags = dict.fromkeys((*prediction.flags, *prediction.hp.flags))
    why = "; ".join(map(flag_sentence, flags))
    return f"There is no prediction at {where}" + (f": {why}." if why else ".")


def omitted(fit: SweepFit, shown: int, how: str) -> str:
    """How many variants there are beyond the first; empty where all are shown."""
    if shown >= len(fit.variants):
        return ""
    first, total = number_format.count(shown), number_format.count(len(fit.variants))
    return f"The first {first} of {total} variants are {how}; the JSON holds all."


def reference(fit: SweepFit) -> str | None:
    """The variant that differences are taken from: the user's, else the best at the largest scale.

    None where there is nothing to compare, or the fit does not hold the draws that pair the variants.
    """
    paired = [name for name, v in fit.variants.items() if v.draws]
    named = fit.settings.get("reference")
    if len(paired) < 2 or named in paired:
        return named if len(paired) > 1 else None
    penalty = {name: fit.variants[name].metrics.get("R_n", Estimate()).value for name in paired}
    known = {name: value for name, value in penalty.items() if value is not None}
    return min(known, key=lambda name: known[name]) if known else paired[0]


def recommended(prediction: Prediction) -> Estimate:
    """The recommended value carrying the width of the prediction's interval, so that its digits follow it."""
    value, hp = prediction.hp_recommended, prediction.hp
    if value is None or hp.value is None or not hp.value:
        return Estimate(value)
    ratio = value / hp.value
    low, high = (None if end is None else end * ratio for end in (hp.low, hp.high))
    return Estimate(value, low, high)


def value_to_use(prediction: Prediction) -> Estimate:
    """The recommended value, or the expected optimum where there is none."""
    return prediction.hp if prediction.hp_recommended is None else recommended(prediction)


def suggestions(runs: Iterable[SuggestedRun], fit: SweepFit) -> str:
    """`width 128 at lr = 0.0110, 0.0221 (3 seeds each, 2.4e12 FLOPs)`, runs of one scale together."""
    columns = fit.sweep.columns
    groups: dict[tuple[float, int], list[SuggestedRun]] = defaultdict(list)
    for run in runs:
        groups[run.scale, run.seeds].append(run)
    parts = []
    for (scale, seeds), group in groups.items():
        values = ", ".join(number_format.decimal(Estimate(run.hp)) for run in group)
        flops = sum(run.flops or 0.0 for run in group)
        cost = f", {flops:.2g} FLOPs".replace("e+", "e") if flops else ""
        each = f"{number_format.plural(seeds, 'seed')}{' each' if len(group) > 1 else ''}{cost}"
        parts.append(f"{columns.scale} {number_format.scale(scale)} at {columns.hp} = {values} ({each})")
    return "; ".join(parts)


def holdout_sentence(fit: SweepFit, variant: VariantFit) -> str:
    """How the law did on the largest scale it had not seen; empty where there was no such check."""
    check = next((h for h in variant.holdouts if h.error_octaves is not None), None)
    if check is None or check.error_octaves is None:
        return ""
    side = "high" if check.error_octaves > 0 else "low"
    ends = (
        "" if check.covered is None else f"; its interval {'holds' if check.covered else 'does not hold'} it"
    )
    where = f"{fit.sweep.columns.scale} {number_format.scale(check.scale)}"
    miss = f"{abs(check.error_octaves):.2f} octaves too {side}"
    return f"Fitted without {where}, the law predicts the optimum there {miss}{ends}."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
