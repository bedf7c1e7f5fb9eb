"""A fit over several axes as plain data: everything that is printed, drawn or written to JSON, held once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hptransfer.quantify.result import AnswerValue, Estimate
from hptransfer.sweep.table import FloatArray, SweepTable

Place = Mapping[str, float]  # values of the axes, by name


@dataclass(frozen=True)
class AxisLaw:
    """How the optimum goes along one axis, or along a path of several.

    Attributes:
        name: of the axis, or of the path: `params^1 tokens^1`.
        direction: octaves of each axis per octave of this path, by name.
        drift: d log eta* / d log n: the exponent of the optimum.
        alpha: exponent of the loss at the optimum; along a path, of its gap to L_inf at the farthest point.
        gamma: exponent of the raw curvature.
        kappa: alpha - 2 beta + gamma, with beta the drift with its sign changed.
        constant: probability that the optimum does not change along this axis; None along a path.
        wander: median sd of the law's turning along this axis, octaves per root of an octave; None likewise.
    """

    name: str
    direction: Place
    drift: Estimate
    alpha: Estimate
    gamma: Estimate
    kappa: Estimate
    constant: float | None = None
    wander: float | None = None


@dataclass(frozen=True)
class PointOptimum:
    """The basin at one point of the axes.

    Attributes:
        at: the values of the axes.
        hp: eta* as this point's own runs and the shared shape have it; one-sided on the edge of its grid.
        law: what the plane says there, without departures.
        loss: L*, in the table's unit.
        runs, diverged: rows of the table here, and those of them that diverged.
        lowest: hp of the lowest run.
        flags: warnings of this point.
    """

    at: Place
    hp: Estimate
    law: float | None
    loss: Estimate
    runs: int
    diverged: int
    lowest: float | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlacePrediction:
    """What the laws say of a place.

    Attributes:
        at: the values of the axes.
        hp: predicted optimum with its prediction interval; None where the place is off the shared path.
        hp_recommended: the value that minimises the expected loss.
        hp_straight: the optimum if the law turns along no axis: what a fit of a plane alone would say.
        loss: predicted loss at the optimum.
        regret: expected loss given up by using `hp_recommended`.
        beyond: octaves beyond the range of the runs, by axis.
        flags: `long_extrapolation`, `off_path`, `bend`, `no_laws` ...
    """

    at: Place
    hp: Estimate
    hp_recommended: float | None
    hp_straight: Estimate
    loss: Estimate
    regret: float | None
    beyond: Place
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlaceHoldOut:
    """One point that was left out and predicted.

    Attributes:
        left_out: what was: `largest params`, `largest tokens`, `corner`.
        at: the point.
        predicted, found: the optimum by the rest, and by all runs.
        error_octaves: log2(predicted / found).
        regret: loss given up there by the prediction.
        covered: whether the prediction interval holds what was found.
        flags: why it could not be done.
    """

    left_out: str
    at: Place
    predicted: Estimate
    found: Estimate
    error_octaves: float | None
    regret: Estimate
    covered: bool | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class RuleCheck:
    """A named rule beside the law.

    Attributes:
        name: what it is called, in a few words that say of which hyperparameter it is.
        source: the paper it is from.
        exponents: of the optimum, by axis.
        level: `its own` where the rule gives values, `fitted` where it gives exponents only.
        cost: mean loss given up on the user's own points by the rule's value there.
        worst: the largest of these.
        probability: of a law as far from the rule as that of these runs, were the rule true.
        rejected: whether the runs rule it out at the fit's level.
        predictions: the rule's value at each target.
        note: what was assumed to apply it.
    """

    name: str
    source: str
    exponents: Place
    level: str
    cost: float | None
    worst: float | None
    probability: float
    rejected: bool
    predictions: tuple[float, ...]
    note: str = ""


@dataclass(frozen=True)
class PlaceRuns:
    """Suggested runs: an LR grid at one place.

    Attributes:
        at: the place.
        hps: values of the hyperparameter to run there.
        cost_share: price as a share of what was spent: by the product of the axes, or FLOPs where known.
        width: width in octaves of the prediction interval at the goal now, and what it would be after.
        goal: the place whose interval narrows: the first target, else four times every axis.
    """

    at: Place
    hps: tuple[float, ...]
    cost_share: float
    width: tuple[float, float]
    goal: Place


@dataclass(frozen=True)
class PlaceAnswer:
    """One of the two questions, answered.

    Attributes:
        value: yes, no or not known; as for one axis, by the cost.
        cost: loss given up where it is largest.
        at: the point where; None where none could be judged.
        reason: one sentence with the numbers.
    """

    value: AnswerValue
    cost: Estimate
    at: Place | None
    reason: str


@dataclass(frozen=True)
class Surface:
    """The predicted optimum over a grid of two axes, the others at their largest value.

    Attributes:
        axes: the two axes.
        x, y: log2 of their values, [X], [Y].
        hp: log2 of the predicted optimum, [Y, X].
        width: width of its prediction interval, octaves, [Y, X].
        low, high: its limits, log2, [Y, X].
    """

    axes: tuple[str, str]
    x: FloatArray
    y: FloatArray
    hp: FloatArray
    width: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class AxisBand:
    """The predicted optimum along one axis, the others as at the farthest point.

    Attributes:
        axis: its name.
        at: log2 of its values, [P].
        hp, low, high: log2 of the optimum and its limits, [P].
        rest: the other axes' values.
    """

    axis: str
    at: FloatArray
    hp: FloatArray
    low: FloatArray
    high: FloatArray
    rest: Place


@dataclass(frozen=True)
class AxesLaws:
    """The law of one hyperparameter, or of a combination of several, over the axes.

    Attributes:
        name: of the variant; where several hyperparameters are fitted together, of one or of a combination.
        free: axes with an exponent of their own.
        tied: what the runs cannot tell apart, in words; empty where every axis is free.
        points: the optima.
        axes: the laws along each free axis and along the stated paths.
        tests: bends and interactions, octaves per octave^2, by name.
        interactions: probability of each interaction in the predictions, by name.
        predictions, rules: see their classes.
        surfaces, bands: what the figures show.
        flags: why something is missing or not to be trusted.
    """

    name: str
    free: tuple[str, ...]
    tied: str
    points: tuple[PointOptimum, ...]
    axes: tuple[AxisLaw, ...] = ()
    tests: Mapping[str, Estimate] = field(default_factory=dict)
    interactions: Mapping[str, float] = field(default_factory=dict)
    predictions: tuple[PlacePrediction, ...] = ()
    rules: tuple[RuleCheck, ...] = ()
    surfaces: tuple[Surface, ...] = ()
    bands: tuple[AxisBand, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AxesVariant(AxesLaws):
    """Everything measured of one variant.

    Attributes:
        loss: parameters of the loss law: L_inf, and A and alpha of each axis.
        metrics: E, E_hp, scatter, R_inf and R_n.
        holdouts, suggested: see their classes.
        keep, extrapolate: the two answers.
    """

    loss: Mapping[str, Estimate]
    metrics: Mapping[str, Estimate]
    holdouts: tuple[PlaceHoldOut, ...]
    suggested: tuple[PlaceRuns, ...]
    keep: PlaceAnswer
    extrapolate: PlaceAnswer


@dataclass(frozen=True, repr=False, eq=False)
class AxesFit:
    """Everything measured of one sweep table over several axes.

    Attributes:
        sweep: what was fitted, every row.
        axes: the user's names.
        variants: by name.
        settings: as used.
        version: of hptransfer.
        provenance: where the runs came from (spec hash, commit, hardware, seeds), for a study of ours.
    """

    sweep: SweepTable
    axes: tuple[str, ...]
    variants: Mapping[str, AxesVariant]
    settings: Mapping[str, Any]
    version: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
