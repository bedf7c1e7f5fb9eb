"""A joint fit over several axes as plain data: what tables, figures, pages and JSON read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hptransfer.quantify.axes.result import AxesLaws, Place, PlaceAnswer, RuleCheck
from hptransfer.quantify.joint.result import JointMeasured, JointOptimum, JointRuns
from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import FloatArray


@dataclass(frozen=True)
class JointPlacePrediction:
    """What the laws say of a place.

    Attributes:
        at: the values of the axes.
        hp: predicted optimum, by hyperparameter.
        combinations: predicted value of every combination, each by its own law.
        recommended: the point with the least expected loss; None where a hyperparameter has no law.
        loss: predicted loss at the optimum.
        regret: expected loss given up by using the recommended point.
        covariance: of the prediction in octaves, shape [d, d]: its ellipse.
        beyond: octaves beyond the range of the runs, by axis.
        flags: warnings.
    """

    at: Place
    hp: Mapping[str, Estimate]
    combinations: Mapping[str, Estimate]
    recommended: Mapping[str, float] | None
    loss: Estimate
    regret: float | None
    covariance: FloatArray | None
    beyond: Place
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class JointPlaceHoldOut:
    """One point that was left out and predicted.

    Attributes:
        left_out: what was: `largest params`, `largest tokens`, `corner`.
        at: the point.
        predicted, found: the optimum by the rest, and by all runs, by hyperparameter.
        error_octaves: predicted less found, by hyperparameter.
        covered: whether the prediction's limits hold what was found, by hyperparameter.
        regret: loss that the predicted point gives up there.
        flags: why it could not be done.
    """

    left_out: str
    at: Place
    predicted: Mapping[str, Estimate]
    found: Mapping[str, Estimate]
    error_octaves: Mapping[str, float | None]
    covered: Mapping[str, bool | None]
    regret: Estimate
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class JointAxesVariant:
    """Everything measured of one variant.

    Attributes:
        name: the variant.
        tied: what the runs cannot tell apart, in words; empty where every axis is free.
        optima: one a point; `at` of each has the values of the axes, `scale` its number.
        laws: of each hyperparameter, at its best over the others, then of each combination.
        loss: parameters of the loss law: L_inf, and A and alpha of each axis.
        predictions: at the targets, all hyperparameters together.
        holdouts: the checks.
        ridges: octaves by which the best value of one hyperparameter moves per octave of another where
            all else is kept, mean over the points: `lr per batch_size`.
        relations: rules that tie hyperparameters to each other, such as the square root of batch.
        suggested: what to run next.
        keep, extrapolate: may all values of the smallest point be kept, may the laws be followed?
        kept: what is kept: the optimum of the smallest point, by hyperparameter.
        noise: sd of one run near the optimum, in the unit of the loss.
        flags: why something is missing or not to be trusted.
    """

    name: str
    tied: str
    optima: tuple[JointOptimum, ...]
    laws: Mapping[str, AxesLaws]
    loss: Mapping[str, Estimate]
    predictions: tuple[JointPlacePrediction, ...]
    holdouts: tuple[JointPlaceHoldOut, ...]
    ridges: Mapping[str, Estimate]
    relations: tuple[RuleCheck, ...]
    suggested: tuple[JointRuns, ...]
    keep: PlaceAnswer
    extrapolate: PlaceAnswer
    kept: Mapping[str, float]
    noise: float
    flags: tuple[str, ...] = field(default=())


@dataclass(frozen=True, repr=False, eq=False)
class JointAxesFit(JointMeasured):
    """Everything measured of several hyperparameters over several axes, as plain data.

    Attributes:
        axes: names of the axes of scale.
        variants: by name.
    """

    axes: tuple[str, ...]
    variants: Mapping[str, JointAxesVariant]
