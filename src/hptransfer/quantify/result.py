"""A fit and its parts as plain data: everything that is printed, plotted or written to JSON, held once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

from hptransfer.sweep.table import FloatArray, SweepTable

VerdictValue = Literal["invariant", "predictable", "unpredictable", "undecided"]
AnswerValue = Literal["yes", "no", "not known"]


def finite(value: float | None) -> float | None:
    """A number, or None for what is none: neither JSON nor SQLite has infinities or NaN."""
    return None if value is None or not math.isfinite(value) else float(value)


@dataclass(frozen=True)
class Estimate:
    """A value with its credible limits; None where it cannot be estimated (the flags say why).

    Attributes:
        value: point estimate.
        low: lower limit at the fit's level.
        high: upper limit; may be None on its own for a one-sided interval.
        flags: why not to trust it, a word or two each (`at_edge`, `at_bound`, `thin` ...).
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    flags: tuple[str, ...] = ()

    def times(self, factor: float) -> Estimate:
        """The estimate of a positive multiple of the same quantity."""
        value, low, high = (None if p is None else p * factor for p in (self.value, self.low, self.high))
        return Estimate(value, low, high, self.flags)


@dataclass(frozen=True)
class Optimum:
    """The basin at one scale.

    Attributes:
        scale: n.
        hp: eta*, the fitted optimum in the hyperparameter's own units.
        loss: L*, the fitted loss there, nats.
        curvature: raw curvature H = d2L/d eta2 at eta*.
        log_curvature: h = d2L/dx2 with x = log2 eta, nats per octave squared.
        runs: rows of the sweep table at this scale, diverged and identical ones included.
        diverged: those of them that diverged (`SweepTable.diverged`).
        flags: per-scale warnings.
        curve_hp: hp grid over the fitted window, shape [points]; empty where there is no fit.
        curve_loss: fitted loss on that grid, shape [points].
        unpooled_hp: eta* before it was pooled with the other scales' towards their law; None where it was
            not. What figures show beside a law: pooled optima would seem to follow any.
    """

    scale: float
    hp: Estimate
    loss: Estimate
    curvature: Estimate
    log_curvature: Estimate
    runs: int
    diverged: int
    flags: tuple[str, ...] = ()
    curve_hp: FloatArray | None = None
    curve_loss: FloatArray | None = None
    unpooled_hp: Estimate | None = None


@dataclass(frozen=True)
class Law:
    """A fitted law of one quantity against scale.

    Attributes:
        family: `power`, `offset`, `const` (optimum); `power_offset` (loss); `power` (curvature).
        exponent: d log quantity / d log n (so -beta for the optimum's power family).
        parameters: the family's named parameters (e.g. L_inf, A, alpha).
        aicc: AICc of each family tried, by name.
        scatter: rms between-scale scatter beyond the estimation error, in octaves (optimum) or nats (loss).
        flags: e.g. `at_bound`, `bend`.
        scale: grid from the smallest scale to the largest target, shape [points].
        value: the law on that grid; low, high: its prediction band there.
    """

    family: str
    exponent: Estimate
    parameters: Mapping[str, Estimate] = field(default_factory=dict)
    aicc: Mapping[str, float] = field(default_factory=dict)
    scatter: float | None = None
    flags: tuple[str, ...] = ()
    scale: FloatArray | None = None
    value: FloatArray | None = None
    low: FloatArray | None = None
    high: FloatArray | None = None


@dataclass(frozen=True)
class Regret:
    """Loss given up by using, at scale `to`, the optimum found at scale `source`.

    Attributes:
        source, to: the scales, the smaller first.
        regret: nats.
        factor: the factor of scale it costs: the loss law reaches the loss got at `to / factor` already.
    """

    source: float
    to: float
    regret: Estimate
    factor: Estimate = Estimate()


@dataclass(frozen=True)
class Prediction:
    """What the laws say of a scale.

    Attributes:
        scale: n.
        hp: predicted optimum with its prediction interval.
        hp_recommended: the value that minimises expected loss under the uncertainty.
        loss: predicted loss at the optimum.
        regret: expected loss given up by using `hp_recommended`, nats.
        flags: e.g. `long_extrapolation`.
    """

    scale: float
    hp: Estimate
    hp_recommended: float | None
    loss: Estimate
    regret: float | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class HoldOut:
    """The check every report shows: refit without a largest scale, predict it, compare.

    Attributes:
        scale: the scale held out.
        predicted: optimum predicted from the smaller scales, with interval.
        found: optimum found there, with interval.
        error_octaves: log2(predicted / found).
        regret: loss at that scale given up by the prediction, nats, with interval.
        covered: whether the prediction interval holds the optimum that was found.
        flags: why it could not be done, or not be trusted.
    """

    scale: float
    predicted: Estimate
    found: Estimate
    error_octaves: float | None
    regret: Estimate
    covered: bool | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class SuggestedRun:
    """A run, or seeds of one, suggested to settle a question; its FLOPs where they are known."""

    scale: float
    hp: float
    seeds: int
    flops: float | None = None


@dataclass(frozen=True)
class Answer:
    """One of the two questions, answered for one variant.

    Attributes:
        value: `yes`: the upper limit of the cost is below the tolerance at every scale judged, and nothing
            speaks against it; `no`: the lower limit is above it at one; else `not known`.
        cost: loss given up at the scale where it is largest, in the metric's unit.
        share: that cost as a share of the lowest loss there.
        factor: that cost as the factor of scale that it wastes on the loss law.
        scale: where the cost is largest; None where no scale could be judged.
        reason: one sentence with the numbers that decided it.
        why: what is missing, or forbids a yes though the cost is small, where it is `not known`.
    """

    value: AnswerValue
    cost: Estimate
    share: Estimate
    factor: Estimate
    scale: float | None
    reason: str
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Suggestion:
    """Runs that would settle what is not known, tried in simulation before they are offered.

    Attributes:
        runs: the suggested runs; empty where none that was tried is likely to settle it.
        settles: the share of simulations in which the question was settled after them.
        cost_share: their cost as a share of what was spent on this variant; by FLOPs where they are known,
            else by scale squared.
        worth: False where they cost more than was spent, or seldom settle it: live with the uncertainty.
        text: what they are, in a few words; or why there are none.
    """

    runs: tuple[SuggestedRun, ...]
    settles: float | None
    cost_share: float | None
    worth: bool
    text: str


@dataclass(frozen=True)
class Verdict:
    """Can this variant's hyperparameter be carried up? Two questions, and one word for both.

    Attributes:
        value: `invariant`: keep is yes; `predictable`: keep is not, extrapolate is yes; `unpredictable`: both
            are no; `undecided`: else.
        reason: the sentences of both answers.
        tolerance: cost that counts as none, in the metric's unit.
        keep: may the value of the smallest models be kept?
        extrapolate: may its law be followed to larger ones?
        coordinates: of the learning rate that is judged, its user's own; None where they are not known.
        exponent: e of eta_own = eta x (n / base)**e, eta being the table's; 0 where they are the same.
        base: n at which both coordinates are the same.
        other_cost: of keeping the value in the other coordinates; None where there are none.
        kept_hp: the smallest models' optimum in the user's own coordinates.
        error_cost: loss that a value twice too large or too small costs at the largest scale with an optimum.
        suggested: what to run next, where something is not known.
    """

    value: VerdictValue
    reason: str
    tolerance: float
    keep: Answer
    extrapolate: Answer
    coordinates: str | None = None
    exponent: int = 0
    base: float = 1.0
    other_cost: Estimate | None = None
    kept_hp: Estimate = Estimate()
    error_cost: Estimate = Estimate()
    suggested: Suggestion | None = None

    def _repr_html_(self) -> str:
        """Both answers with their reasons, in a notebook."""
        asked = {
            "May the small models' value be kept?": self.keep,
            "May its law be followed?": self.extrapolate,
        }
        rows = "".join(
            f"<tr><td>{question}</td><td><b>{answer.value}</b></td>"
            f"<td>{escape(answer.reason.removeprefix(f'{answer.value}, '))}</td></tr>"
            for question, answer in asked.items()
        )
        run = f"<p>To run next: {escape(self.suggested.text)}</p>" if self.suggested else ""
        return f"<p><b>{self.value}</b></p><table><tbody>{rows}</tbody></table>{run}"

    def own(self, hp: Estimate, scale: float) -> Estimate:
        """A hyperparameter of the table at a scale, in the user's own coordinates."""
        return hp.times((scale / self.base) ** self.exponent)


@dataclass(frozen=True)
class VariantFit:
    """Everything measured of one variant.

    Attributes:
        name: the variant.
        optima: one a scale, ascending.
        laws: `hp`, `loss`, `curvature`; a law that cannot be fitted is absent and `flags` say why.
        metrics: by name: E, E_hp, kappa, R_inf, R_n, alpha, beta, gamma, drift (octaves of eta* per octave
            of n), and the comparison metrics.
        regret: for every pair of scales, smaller to larger.
        predictions: at the targets asked for.
        holdouts: the hold-out checks, largest scale first.
        verdict: see `Verdict`.
        flags: why something is missing or not to be trusted.
        draws: posterior draws of the metrics, by name, each of shape [draws]; draw b of one variant belongs
            to draw b of every other. Empty where a fit was read back from JSON or has too many variants.
    """

    name: str
    optima: tuple[Optimum, ...]
    laws: Mapping[str, Law]
    metrics: Mapping[str, Estimate]
    regret: tuple[Regret, ...]
    predictions: tuple[Prediction, ...]
    holdouts: tuple[HoldOut, ...]
    verdict: Verdict
    flags: tuple[str, ...] = ()
    draws: Mapping[str, FloatArray] = field(default_factory=dict, repr=False)

    def _repr_html_(self) -> str:
        """Its verdict, in a notebook."""
        return f"<p>{escape(self.name)}</p>{self.verdict._repr_html_()}"


@dataclass(frozen=True, repr=False, eq=False)
class SweepFit:
    """Everything measured of one sweep table, as plain data: what tables, figures, pages and JSON read.

    `hptransfer.TransferFit` is the same with the methods that show it.

    Attributes:
        sweep: what was fitted, every row.
        variants: by name, in the order of the sweep table.
        settings: level, tolerance, seed, draws, family, coordinates, base scale ... as used.
        version: of hptransfer.
        provenance: where the runs came from (spec hash, commit, hardware, seeds), for a study of ours.
    """

    sweep: SweepTable
    variants: Mapping[str, VariantFit]
    settings: Mapping[str, Any]
    version: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
