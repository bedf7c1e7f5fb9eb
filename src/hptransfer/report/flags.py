"""Flags: what each means, and where a fit raised it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from hptransfer.quantify.metrics import METRICS
from hptransfer.quantify.result import Estimate, VariantFit
from hptransfer.report import number_format

FLAG_MEANINGS: dict[str, str] = {
    "all_diverged": "every run at this scale diverged, so it has no optimum; it only bounds the usable range",
    "at_bound": "a parameter stopped at the edge of its allowed range: read the interval, not the value",
    "at_edge": "the optimum lies at or beyond the edge of the grid, so its interval is one-sided and it "
    "enters the laws as a bound; add runs on that side",
    "below_observed": "the fitted minimum lies below every run by more than the noise allows: it is rejected",
    "bend": "the optimum departs from a line in log-log by more than its intervals allow, so a straight "
    "extrapolation is not safe",
    "by_law": "the value is what the law of the other scales predicts, within the bounds found at this scale",
    "const": "the law is a constant, so its exponent is 0 by choice of the family",
    "diverged": "the value lies where runs diverged",
    "duplicates": "identical rows were found and kept once",
    "edge_censored": "an optimum beyond the edge of its grid entered the law as a bound, not as a point",
    "edge_contradicts_law": "an optimum beyond the edge of its grid does not fit the law of the others; "
    "the law ignores it",
    "flat": "the basin is so flat for its noise that the optimum could lie almost anywhere on the grid",
    "initial_loss_unknown": "the loss at initialisation is not known, so the highest loss is used instead",
    "laws_cross": "the loss laws of the variants cross, so the limit of the best of all lies below that of "
    "every variant: read R(n), or name a reference",
    "long_extrapolation": "the target is more than 8 times the largest scale measured, and the interval is "
    "right only if the law holds that far",
    "narrow_grid": "the grid covers less than the three decades that this measure needs",
    "no_common_cells": "no hyperparameter was run at two neighbouring scales",
    "no_holdout": "no hold-out check was asked for",
    "no_laws": "too few scales with a usable optimum for a law",
    "no_optimum": "there is no optimum to compare with",
    "no_optimum_at_smallest": "the smallest scale has no optimum within what was run",
    "not_at_largest_scale": "the value is measured at the largest scale where this variant has an optimum, "
    "which is not the largest of all",
    "offset_needs_4_scales": "the offset family needs four scales",
    "one_seed": "there is one seed per cell, so noise is estimated from the scatter about the curve and not "
    "from repeats",
    "outliers": "some runs lie far from the fitted basin and get a lower weight",
    "outside_grid": "the value lies outside the grid that was run there, so its loss is unknown",
    "own_runs_differ": "the runs near the lowest one put the optimum elsewhere than the shape shared by all "
    "scales does",
    "own_shape": "the basin at this scale does not have the shape of the others, so it is fitted by itself",
    "thin": "too few finished runs near the optimum to fit a basin",
    "tolerance_large": "the tolerance is more than a tenth of the losses' range at the largest scale: what "
    "it calls no cost may be one; name the metric, or a smaller tolerance",
    "too_few_scales": "too few scales to leave one out",
    "two_minima": "the loss has two minima; the one nearer to the other scales' law is taken, or the deeper "
    "one where there is no law",
    "wider_than_grid": "the near-optimal band reaches beyond the range that was searched",
}

# Raised on every kappa to name the family of its beta, which its definition says too. Reports leave them out.
SILENT_FLAGS = frozenset({"beta of the power family", "beta of the offset family"})


def flag_name(flag: str) -> str:
    """The flag without its detail: `no_laws` of `no_laws: 2 usable scales, a law needs 3`."""
    return flag.partition(":")[0].strip()


def flag_detail(flag: str) -> str:
    """The detail of a flag in brackets, after a space; empty where there is none."""
    detail = flag.partition(":")[2].strip()
    return f" ({detail})" if detail else ""


def flag_sentence(flag: str) -> str:
    """What a flag means; `name: detail` keeps its detail; unknown flags stay as they are."""
    meaning = FLAG_MEANINGS.get(flag_name(flag), "")
    return f"{meaning}{flag_detail(flag)}" if meaning else flag


def flags_of(
    variant: VariantFit, scale_name: str, metrics: Collection[str] | None = None
) -> list[tuple[str, str]]:
    """Every flag of a variant with the place where it was raised."""
    name, at = variant.name, f"{variant.name} at {scale_name}"
    found = [(name, variant.flags)]
    raised = [(o.scale, (*o.flags, *o.hp.flags, *o.loss.flags)) for o in variant.optima]
    found += [(f"{at} {number_format.scale(scale)}", flags) for scale, flags in raised]
    found += [(f"{quantity} law of {name}", law.flags) for quantity, law in variant.laws.items()]
    shown = variant.metrics if metrics is None else metrics
    found += [(f"{METRICS[m].label} of {name}", variant.metrics.get(m, Estimate()).flags) for m in shown]
    raised = [(p.scale, (*p.flags, *p.hp.flags)) for p in variant.predictions]
    found += [(f"{at} {number_format.scale(scale)}, predicted", flags) for scale, flags in raised]
    found += [(f"hold-out of {name}", (*h.flags, *h.regret.flags)) for h in variant.holdouts]
    return [(flag, where) for where, flags in found for flag in dict.fromkeys(flags)]


def flag_notes(
    variants: Iterable[VariantFit],
    scale_name: str,
    metrics: Collection[str] | None = None,
    most: int = 3,
) -> list[tuple[str, str, str]]:
    """(flag, meaning, places) for every flag raised, in order of appearance, details with the places."""
    places: dict[str, list[str]] = defaultdict(list)
    for variant in variants:
        for flag, where in flags_of(variant, scale_name, metrics):
            name, place = flag_name(flag), f"{where}{flag_detail(flag)}"
            if name not in SILENT_FLAGS and place not in places[name]:
                places[name].append(place)
    notes = []
    for flag, found in places.items():
        rest = f" and {number_format.count(len(found) - most)} more" if len(found) > most else ""
        notes.append((flag, flag_sentence(flag), "; ".join(found[:most]) + rest))
    return notes
