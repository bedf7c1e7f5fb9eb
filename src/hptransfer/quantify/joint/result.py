"""A joint fit as plain data: what tables, figures, pages and JSON read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hptransfer.quantify.axes.result import RuleCheck
from hptransfer.quantify.result import Answer, Estimate, VerdictValue
from hptransfer.sweep.table import FloatArray, SweepTable


@dataclass(frozen=True)
class Curve:
    """Loss along one hyperparameter at one scale, on a grid.

    Attributes:
        x: log2 of the hyperparameter, shape [points].
        profile: loss where the others are at their best for it, shape [points].
        slice: loss where the others stay at the optimum, shape [points].
        low, high: credible limits of the profile, shape [points].
    """

    x: FloatArray
    profile: FloatArray
    slice: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class Contour:
    """Where the loss is a certain height above the optimum's, in two hyperparameters, the rest at their best.

    Attributes:
        pair: indices of the two.
        rise: the height, in the unit of the loss.
        x, y: log2 of the two around the contour, shape [points].
    """

    pair: tuple[int, int]
    rise: float
    x: FloatArray
    y: FloatArray


@dataclass(frozen=True)
class JointOptimum:
    """The joint basin at one scale.

    Attributes:
        scale: n.
        hp: the optimum, by hyperparameter; one beyond the values that were run has one limit only.
        combinations: the same of every combination that was named.
        loss: loss at the optimum.
        covariance: of the posterior of log2 of the optimum, octaves^2, shape [d, d]: its ellipse.
        curvature: d2L/dx dx' with x = log2 of the hyperparameters, shape [d, d].
        correlation: of the inverse curvature between hyperparameters, shape [d, d]: how errors of two that
            cancel go together.
        octave: loss that a value half and twice the optimum costs, the others at their best for it, by
            hyperparameter: the skew of the basin.
        runs: rows of the table at this scale.
        diverged: those of them that diverged.
        counted: points (runs that differ in hyperparameters) that the fit rests on.
        flags: per-scale warnings.
        curves: by hyperparameter, empty where there is no fit.
        contours: likewise.
        best_run: hyperparameters of the run with the lowest loss; None where all diverged.
        at: over several axes, their values; empty with one. `scale` is then the number of the point.
    """

    scale: float
    hp: Mapping[str, Estimate]
    combinations: Mapping[str, Estimate]
    loss: Estimate
    covariance: FloatArray | None
    curvature: FloatArray | None
    correlation: FloatArray | None
    octave: Mapping[str, tuple[float, float]]
    runs: int
    diverged: int
    counted: int
    flags: tuple[str, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)
    contours: tuple[Contour, ...] = ()
    best_run: Mapping[str, float] | None = None
    at: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class JointLaw:
    """How the optimum of one hyperparameter, or of a combination, goes with scale.

    Attributes:
        family: `power`, `offset` or `const`.
        exponent: d log / d log n of the power law.
        half_steps: which of the exponents 0, 1/2 and 1 (or their negatives) lie within its limits.
        at_one: the power law at n = 1 (value = at_one * n^exponent).
        scatter: rms scatter of single scales about the law, octaves.
        flags: warnings.
        scale, value, low, high: the law on a grid of scales with its prediction band, shape [points] each.
        rules: named rules beside it.
    """

    family: str
    exponent: Estimate
    half_steps: tuple[float, ...]
    at_one: float
    scatter: float
    flags: tuple[str, ...]
    scale: FloatArray
    value: FloatArray
    low: FloatArray
    high: FloatArray
    rules: tuple[RuleCheck, ...] = ()


@dataclass(frozen=True)
class JointPrediction:
    """What the laws say of a scale nobody ran.

    Attributes:
        scale: n.
        hp: predicted optimum, by hyperparameter.
        combinations: predicted value of every combination, each by its own law.
        recommended: the point with the least expected loss; None where a hyperparameter has no law.
        loss: predicted loss at the optimum.
        regret: expected loss given up by using the recommended point.
        covariance: of the prediction in octaves, shape [d, d].
        flags: warnings.
    """

    scale: float
    hp: Mapping[str, Estimate]
    combinations: Mapping[str, Estimate]
    recommended: Mapping[str, float] | None
    loss: Estimate
    regret: float | None
    covariance: FloatArray | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class JointHoldOut:
    """Predicted without the largest scales, and found with them.

    Attributes:
        scale: the smallest of those left out.
        predicted, found: the optimum, by hyperparameter.
        error_octaves: predicted less found, by hyperparameter.
        covered: whether the prediction's limits hold what was found, by hyperparameter.
        regret: loss that the predicted point gives up there.
        flags: warnings.
    """

    scale: float
    predicted: Mapping[str, Estimate]
    found: Mapping[str, Estimate]
    error_octaves: Mapping[str, float | None]
    covered: Mapping[str, bool | None]
    regret: Estimate
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class JointRuns:
    """Suggested runs: a grid of the hyperparameters at one scale, or place of several axes.

    Attributes:
        at: the scale, or the axes' values, by name.
        hps: values of each hyperparameter; the runs are all their combinations.
        cost_share: price as a share of what was spent, by the product of the axes.
        width: octaves of each hyperparameter's interval at the goal now, and what it would be after; empty
            where the runs are past an edge.
        goal: where the intervals narrow, likewise.
        why: in words.
    """

    at: Mapping[str, float]
    hps: Mapping[str, tuple[float, ...]]
    cost_share: float
    width: Mapping[str, tuple[float, float]]
    goal: Mapping[str, float]
    why: str


@dataclass(frozen=True)
class JointVerdict:
    """May all values of the smallest models be kept together, may their laws be followed?

    Attributes:
        value: one word for both answers, as for one hyperparameter.
        keep: of keeping all values.
        extrapolate: of following the laws.
        tolerance: cost that counts as none.
        kept: what is kept: the optimum of the smallest scale, by hyperparameter.
    """

    value: VerdictValue
    keep: Answer
    extrapolate: Answer
    tolerance: float
    kept: Mapping[str, float]


@dataclass(frozen=True)
class JointVariant:
    """Everything measured of one variant.

    Attributes:
        name: the variant.
        optima: one a scale, ascending.
        laws: by hyperparameter and combination; one that cannot be fitted is absent.
        loss_exponent: alpha of the loss law.
        predictions: at the targets.
        holdouts: the checks, largest scale left out first.
        verdict: both answers.
        noise: sd of one run near the optimum, in the unit of the loss.
        flags: why something is missing or not to be trusted.
        draws: posterior draws of log2 of the optimum, shape [draws, scales, d].
        suggested: what to run next.
        ridges: octaves by which the best value of one hyperparameter moves per octave of another where all
            else is kept, mean over the scales: `lr per batch_size`.
        relations: rules that tie hyperparameters to each other, such as the square root of batch.
    """

    name: str
    optima: tuple[JointOptimum, ...]
    laws: Mapping[str, JointLaw]
    loss_exponent: Estimate
    predictions: tuple[JointPrediction, ...]
    holdouts: tuple[JointHoldOut, ...]
    verdict: JointVerdict
    noise: float
    flags: tuple[str, ...]
    draws: FloatArray
    suggested: tuple[JointRuns, ...] = ()
    ridges: Mapping[str, Estimate] = field(default_factory=dict)
    relations: tuple[RuleCheck, ...] = ()


@dataclass(frozen=True, repr=False, eq=False)
class JointMeasured:
    """What a fit of several hyperparameters holds beside its variants, over one axis of scale or several.

    Attributes:
        sweep: every run.
        hp: names of the hyperparameters, in the user's order.
        combinations: texts of the combinations.
        values: of the hyperparameters of every run, shape [runs, d].
        zero_places: by hyperparameter that has runs at zero, the value whose place they take.
        left_out: why a variant has no fit, by name.
        settings: as used.
        version: of hptransfer.
    """

    sweep: SweepTable
    hp: tuple[str, ...]
    combinations: tuple[str, ...]
    values: FloatArray
    zero_places: Mapping[str, float]
    left_out: Mapping[str, str]
    settings: Mapping[str, Any]
    version: str


@dataclass(frozen=True, repr=False, eq=False)
class JointSweepFit(JointMeasured):
    """Everything measured of several hyperparameters of one sweep table, as plain data.

    Attributes:
        variants: by name.
    """

    variants: Mapping[str, JointVariant]
