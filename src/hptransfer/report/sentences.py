"""The sentences of a report: verdicts, the extent of the data, predictions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hptransfer.quantify.result import (
    Answer,
    AnswerValue,
    Estimate,
    Prediction,
    SweepFit,
    VariantFit,
)
from hptransfer.report import number_format
from hptransfer.report.flags import FLAG_MEANINGS, flag_name, flag_sentence
from hptransfer.sweep.values import number


def no_law(variant: VariantFit) -> str:
    """Why a variant has no law, in a sentence without its full stop."""
    why = [flag for flag in variant.flags if flag_name(flag) == "no_laws"] or variant.flags
    return "; ".join(flag_sentence(flag) for flag in why) or FLAG_MEANINGS["no_laws"]


def headline(fit: SweepFit, most: int = 6) -> str:
    """What to do, in a few words: variants by name where they are few, else counted."""
    if len(fit.variants) == 1:
        (only,) = fit.variants.values()
        return f"{_advice(only)}."
    groups: dict[str, list[str]] = defaultdict(list)
    for variant in fit.variants.values():
        groups[_advice(variant)].append(variant.name)
    order = sorted(groups, key=list(_ADVICE.values()).index)
    many = len(fit.variants) > most
    said = (number_format.count(len(groups[a])) if many else listed(groups[a]) for a in order)
    return ". ".join(f"{advice}: {names}" for advice, names in zip(order, said, strict=True)) + "."


# What to do, by whether the value may be kept and whether its law may be followed.
_ADVICE: dict[tuple[AnswerValue, AnswerValue | None], str] = {
    ("yes", None): "Keep the small models' value",
    ("no", "yes"): "Do not keep the value; follow its law",
    ("not known", "yes"): "Follow the law",
    ("no", "no"): "Neither keep the value nor follow its law; tune again",
    ("no", "not known"): "Do not keep the value; whether its law holds is not known",
    ("not known", None): "Not known yet",
}


def _advice(variant: VariantFit) -> str:
    keep, law = variant.verdict.keep.value, variant.verdict.extrapolate.value
    return _ADVICE.get((keep, law)) or _ADVICE[keep, None]


def explanation(fit: SweepFit, variant: VariantFit) -> str:
    """Both answers with what they rest on, in sentences."""
    verdict = variant.verdict
    keep, law = verdict.keep, verdict.extrapolate
    scale = fit.sweep.columns.scale
    smallest = f"{scale} {number_format.scale(variant.optima[0].scale)}" if variant.optima else "the smallest"
    kept = _costs(fit, keep, f"the optimum of {smallest}", FLAG_MEANINGS)
    if verdict.other_cost is not None and verdict.other_cost.value is not None:
        other = "SP" if verdict.coordinates == "mup" else "muP"
        kept += f" (in {other} coordinates {amount(fit, verdict.other_cost)})"
    followed = _costs(fit, law, "what the law predicts", _OF_LAW)
    return f"Keep? {keep.value.capitalize()}: {kept}. Extrapolate? {law.value.capitalize()}: {followed}."


def _costs(fit: SweepFit, answer: Answer, what: str, meanings: Mapping[str, str]) -> str:
    """`the optimum of width 32 costs 0.33 nats [0.20, 0.49] at width 128, 8% of the loss`, and why so."""
    text = f"the cost of {what} is not known"
    if answer.cost.value is not None and answer.scale is not None:
        scale = fit.sweep.columns.scale
        text = f"{what} costs {amount(fit, answer.cost)} at {scale} {number_format.scale(answer.scale)}"
        text += _in_proportion(answer, scale)
    unknown = "" if answer.cost.value is None else "not known "
    why = in_words(answer.why, f"{unknown}at {fit.sweep.columns.scale}", meanings)
    return f"{text} ({'; '.join(why)})" if why else text


# What the hold-out check lacks, which is not what the law of all scales lacks.
_OF_LAW = {**FLAG_MEANINGS, "no_laws": "without it, too few scales are left for a law to check"}
_UNKNOWN, _RAISED = re.compile(r"no cost at (\S+): (.+)"), re.compile(r"(\w+) at (\S+)")


def in_words(why: Sequence[str], at_scale: str, meanings: Mapping[str, str]) -> list[str]:
    """What forbids an answer, flags by their meaning, scales with the same one together.

    `at_scale` begins what is said of scales at which no cost is known.
    """
    places: dict[str, list[str]] = defaultdict(list)
    plain = []
    for reason in why:
        unknown, raised = _UNKNOWN.fullmatch(reason), _RAISED.fullmatch(reason)
        at, flags = unknown.groups() if unknown else raised.groups()[::-1] if raised else ("", reason)
        if all(flag in meanings for flag in flags.split(", ")):
            said = "; ".join(meanings[flag] for flag in flags.split(", "))
            head = at_scale if unknown else at_scale.removeprefix("not known ")
            places[f"{head} {{}}: {said}"].append(at)
        else:
            plain.append(reason)
    for said, scales in places.items():
        plain.append(said.format(listed(sorted(dict.fromkeys(scales), key=lambda at: number(at) or 0.0))))
    return plain


def _in_proportion(answer: Answer, scale: str) -> str:
    """A cost as a share of the loss and as a factor of scale, where they are worth a word."""
    share, factor = answer.share.value, answer.factor.value
    if answer.value == "yes" or _nearly_nothing(answer.cost) or share is None or share < _LEAST_SHARE:
        return ""
    times = (
        f", like {number_format.rough(factor, 2)} times less {scale}"
        if factor and _LEAST_FACTOR <= factor < _MOST_FACTOR
        else ""
    )
    part = f"{number_format.percent(share)} of" if share < 1 else f"{number_format.rough(share, 2)} times"
    return f", {part} the loss{times}"


_NEARLY_NOTHING = 0.1  # of its upper limit
_LEAST_SHARE, _LEAST_FACTOR, _MOST_FACTOR = 0.0005, 1.05, 100.0


def amount(fit: SweepFit, cost: Estimate) -> str:
    """`0.33 nats [0.20, 0.49]`, or `at most 0.02 nats` where it may be nothing."""
    if cost.high is not None and _nearly_nothing(cost):
        return f"at most {_limit(cost.high, fit.settings.get('tolerance'))} {fit.sweep.metric.unit}"
    value, _, span = number_format.estimate(cost).partition(" ")
    return f"{value} {fit.sweep.metric.unit} {span}".rstrip()


def _limit(high: float, tolerance: object) -> str:
    """An upper limit in two digits, in three where two would put it on the other side of the tolerance."""
    short = number_format.rough(high, 2)
    if isinstance(tolerance, float) and (high <= tolerance) != (float(short) <= tolerance):
        return number_format.rough(high)
    return short


def _nearly_nothing(cost: Estimate) -> bool:
    """Whether a cost may be nothing, so that only its upper limit says something."""
    return cost.value is not None and cost.high is not None and cost.value <= _NEARLY_NOTHING * cost.high


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
    coordinates = f" Learning rates are in {name} coordinates" if name else ""
    if any(v.verdict.exponent for v in fit.variants.values()):
        coordinates += ", but for the answer, which has each variant's as its user sets it"
    coordinates += "." if coordinates else ""
    return f"{who} over {span}{lost}. Intervals are {level(fit)} credible intervals.{coordinates}"


def level(fit: SweepFit) -> str:
    """The level of the intervals as `95%`."""
    return number_format.percent(float(fit.settings.get("level", 0.95)), 4)


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
    """The recommended value, or the expected optimum where there is none, as the table has its values."""
    return prediction.hp if prediction.hp_recommended is None else recommended(prediction)


@dataclass(frozen=True)
class Use:
    """The value to set, as its user sets it."""

    hp: Estimate  # the value
    optimum: Estimate  # the optimum there, with its interval
    scale: float | None  # where; None where no target was asked for
    safe: bool  # whether an answer is yes; else it is a guess


def to_use(variant: VariantFit) -> Use:
    """The small models' value where it may be kept, else the value recommended at the largest target."""
    verdict = variant.verdict
    target = max(variant.predictions, key=lambda p: p.scale, default=None)
    scale = None if target is None else target.scale
    if verdict.keep.value == "yes":
        return Use(verdict.kept_hp, verdict.kept_hp, scale, True)
    safe = verdict.extrapolate.value == "yes"
    if target is None:
        return Use(Estimate(), Estimate(), None, safe)
    use, optimum = (verdict.own(hp, target.scale) for hp in (value_to_use(target), target.hp))
    return Use(use, optimum, scale, safe)


def use_text(variant: VariantFit) -> str:
    """`0.0039`, `0.0039?` where it is a guess, `0.0039 (muP)` where the table has other coordinates."""
    use = to_use(variant)
    text = number_format.decimal(use.hp)
    if text == number_format.MISSING:
        return text
    own = {"sp": " (SP)", "mup": " (muP)"}.get(variant.verdict.coordinates or "", "")
    return f"{text}{'' if use.safe else '?'}{own if variant.verdict.exponent else ''}"


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
    miss = f"{number_format.fixed(abs(check.error_octaves))} octaves too {side}"
    return f"Fitted without {where}, the law predicts the optimum there {miss}{ends}."


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
