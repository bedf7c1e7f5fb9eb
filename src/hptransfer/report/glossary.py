"""What the words of a report mean: verdicts, flags, metrics."""

from __future__ import annotations

from dataclasses import dataclass

from hptransfer.quantify.result import VerdictValue

VERDICTS: dict[VerdictValue, str] = {
    "invariant": "the value found on the smallest models can be kept",
    "predictable": "the value moves, and its law says where to",
    "unpredictable": "neither keeping the value nor following its law is safe",
    "undecided": "these runs are not enough to decide",
}

FLAG_MEANINGS: dict[str, str] = {
    "all_diverged": "every run at this scale diverged, so it has no optimum; it only bounds the usable range",
    "at_bound": "a parameter stopped at the edge of its allowed range: read the interval, not the value",
    "at_edge": "the optimum lies at or beyond the edge of the grid, so its interval is one-sided and it "
    "enters the laws as a bound; add runs on that side",
    "below_observed": "the fitted minimum lies below every run by more than the noise allows: it is rejected",
    "bend": "the optimum leaves a straight line in log-log by more than its intervals allow, so a straight "
    "extrapolation is not safe",
    "by_law": "the value is what the law of the other scales predicts, within the bounds found at this scale",
    "const": "the law is a constant, so its exponent is 0 by choice of the family",
    "diverged": "the value lies where runs diverged",
    "duplicates": "identical rows were found and kept once",
    "edge_censored": "an optimum beyond the edge of its grid entered the law as a bound, not as a point",
    "edge_contradicts_law": "an optimum beyond the edge of its grid does not fit the law of the others; "
    "the law ignores it",
    "flat": "the basin is so flat for its noise that the optimum could lie almost anywhere on the grid",
    "initial_loss_unknown": "the loss at initialisation is not known, so the highest loss stands in for it",
    "long_extrapolation": "the target is more than 8 times the largest scale measured, and the interval is "
    "right only if the law holds that far",
    "narrow_grid": "the grid covers less than the three decades this measure asks for",
    "no_common_cells": "no hyperparameter was run at two neighbouring scales",
    "no_holdout": "no hold-out check was asked for",
    "no_laws": "too few scales with a usable optimum for a law",
    "no_optimum": "there is no optimum to compare with",
    "not_at_largest_scale": "the value is measured at the largest scale where this variant has an optimum, "
    "which is not the largest of all",
    "offset_needs_4_scales": "the offset family needs four scales",
    "one_seed": "there is one seed per cell, so noise is estimated from the scatter about the curve and not "
    "from repeats",
    "outliers": "some runs lie far from the fitted basin and get a lower weight",
    "outside_grid": "the value lies outside the grid that was run there, so its loss is unknown",
    "own_shape": "the basin at this scale does not have the shape of the others, so it is fitted by itself",
    "thin": "too few finished runs near the optimum to fit a basin",
    "too_few_scales": "too few scales to leave one out",
    "two_minima": "the loss has two minima; the one nearer to the other scales' law is taken, or the deeper "
    "one where there is no law",
    "wider_than_grid": "the near-optimal band reaches beyond the range that was searched",
}

# Raised on every kappa to name the family of its beta, which its definition says too. Reports leave them out.
SILENT_FLAGS = frozenset({"beta of the power family", "beta of the offset family"})


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
        "The drift in muP coordinates, where a hidden weight gets eta / m. 0: the value carries over "
        "unchanged. "
        "It is the SP drift plus 1; under SGD, whose two coordinates are one, it is the SP drift.",
    ),
    "E": Metric(
        "E",
        "nats^2",
        "Quality of the fit: mean squared residual of the joint surface L*(n) + basin(x - x*(n)) over the "
        "points that pass the filter. Small: all scales follow one set of laws. "
        "(The paper does not publish its exact form; this is how we read it.)",
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
        "fades as models grow; above 0: it comes to exceed what more scale gains.",
    ),
    "R_inf": Metric(
        "R(inf)",
        "nats",
        "Asymptotic loss penalty: L_inf of this variant minus that of the reference (the lower envelope of "
        "all variants unless one is named). It is an extrapolation, so compare it with R(n).",
    ),
    "R_n": Metric(
        "R(n)",
        "nats",
        "Loss penalty at the largest measured scale: optimum loss of this variant minus that of the "
        "reference. It needs no extrapolation.",
    ),
    "alpha": Metric("alpha", "", "Exponent of the loss law, L*(n) = L_inf + A n^-alpha."),
    "beta": Metric(
        "beta", "", "Exponent of the optimum's law; positive where the optimum decreases with scale."
    ),
    "bend": Metric(
        "bend",
        "octaves per octave^2",
        "Second derivative of log2 eta* in log2 n: how fast the drift itself changes. "
        "An interval that holds 0 allows a straight law.",
    ),
    "sensitivity": Metric(
        "sensitivity",
        "nats",
        "Mean of min(L, L_init) - L* over three decades of the hyperparameter about the optimum, at the "
        "largest scale (arXiv:2309.14322). Small: a wrong value costs little.",
    ),
    "argmin_equality": Metric(
        "same argmin",
        "fraction",
        "Fraction of the larger scales whose best grid value is that of the smallest (arXiv:2404.05728).",
    ),
    "band": Metric(
        "band", "octaves", "Width of the near-optimal band {L <= 1.0025 L*} at the largest scale, in octaves."
    ),
    "band_overlap": Metric(
        "band overlap",
        "fraction",
        "The interval that the near-optimal bands of all scales have in common, as a fraction of what they "
        "cover together. "
        "Above 0: one value is near-optimal at every scale.",
    ),
    "wider_is_worse": Metric(
        "larger is worse",
        "fraction",
        "Fraction of cells whose loss rises by more than noise to the next scale at the same hyperparameter.",
    ),
    "fast_transfer": Metric(
        "fast transfer",
        "",
        "beta - alpha / 2 with beta of the offset family; above 0, the optimum converges faster than the "
        "loss decreases (arXiv:2512.22768).",
    ),
    "gamma": Metric("gamma", "", "Exponent of the curvature law, H(n) = H0 n^gamma, with H = d2L/d eta2."),
}


def metric(name: str) -> Metric:
    """The words of a metric; one that is not in the glossary is named as it is."""
    return METRICS.get(name, Metric(name, "", ""))


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
