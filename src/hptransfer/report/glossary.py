"""What the words of a report mean: verdicts, flags, metrics, column heads."""

from __future__ import annotations

from hptransfer.quantify.result import VerdictValue

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
    "below_observed": "the fitted minimum lies below every run by more than the noise allows: rejected",
    "bend": "the optimum's law bends in log-log by more than the intervals allow: a straight extrapolation "
    "is not safe",
    "by_law": "the value shown is what the other scales' law says within the bounds found here",
    "const": "the law is a constant, so its exponent is 0 by choice of the family",
    "diverged": "the value lies where runs diverged",
    "duplicates": "identical rows were found and kept once",
    "edge_censored": "an optimum beyond the edge of its grid entered the law as a bound, not as a point",
    "edge_contradicts_law": "an optimum beyond the edge of its grid does not fit the law of the others; "
    "the law ignores it",
    "flat": "the basin is so flat for its noise that the optimum could lie almost anywhere on the grid",
    "initial_loss_unknown": "the loss at initialisation is not known, so the highest loss stands in for it",
    "long_extrapolation": "more than 8 times the largest scale measured: the interval rests on the law "
    "holding that far",
    "narrow_grid": "the grid covers less than the three decades this measure asks for",
    "no_common_cells": "no hyperparameter was run at two neighbouring scales",
    "no_holdout": "no hold-out check was asked for",
    "no_laws": "too few scales with a usable optimum for a law",
    "no_optimum": "there is no optimum to compare with",
    "not_at_largest_scale": "measured at this variant's own largest scale with an optimum, "
    "not at the largest of all",
    "offset_needs_4_scales": "the offset family needs four scales",
    "one_seed": "one seed per cell: noise is estimated from the scatter about the curve, not from repeats",
    "outliers": "some runs lie far off the basin and count for less",
    "outside_grid": "the value lies outside the grid that was run there, so its loss is unknown",
    "own_shape": "the basin at this scale does not have the shape of the others and is fitted more freely",
    "thin": "too few finished runs near the optimum to fit a basin",
    "too_few_scales": "too few scales to leave one out",
    "two_minima": "the loss has two minima; the one by the other scales' law is taken, else the deeper",
    "wider_than_grid": "the near-optimal band reaches beyond what was looked at",
}

# What the estimator remarks on every kappa; its definition says the same, so it is no reason for caution.
REMARKS = frozenset({"beta of the power family", "beta of the offset family"})


COLUMNS: dict[str, str] = {
    "optimum": "Fitted optimum of the basin, as a power of two and as a decimal.",
    "interval": "Credible interval at the fit's level.",
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


def flag_name(flag: str) -> str:
    """The flag without its detail: `no_laws` of `no_laws: 2 usable scales, a law needs 3`."""
    return flag.partition(":")[0].strip()


def flag_detail(flag: str) -> str:
    """The detail of a flag in brackets, after a space; empty where there is none."""
    detail = flag.partition(":")[2].strip()
    return f" ({detail})" if detail else ""


def flag_sentence(flag: str) -> str:
    """What a flag means; `name: detail` keeps its detail; unknown flags stay as they are."""
    meaning = FLAGS.get(flag_name(flag), "")
    return f"{meaning}{flag_detail(flag)}" if meaning else flag
