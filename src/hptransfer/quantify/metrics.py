"""The metrics of a fit, each with its name, unit and definition beside what computes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from hptransfer.parametrization.coordinates import Coordinates, coordinate_exponent
from hptransfer.parametrization.optimizers import Family
from hptransfer.quantify import comparison_metrics
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.exponents import Exponents, Quantity, exponents
from hptransfer.quantify.fit_error import fit_error, hp_error, surface_residuals
from hptransfer.quantify.intervals import MetricDraws, measured, unknown
from hptransfer.quantify.law.laws import Laws
from hptransfer.quantify.reference import Reference, penalty_at_infinity, penalty_at_largest
from hptransfer.quantify.settings import Settings


@dataclass(frozen=True)
class MetricInputs:
    """What the metrics of one variant are computed from."""

    basins: Basins  # before pooling: what asks whether the laws hold uses these
    pooled: Basins  # after pooling: what asks for a variant's losses and optima uses these
    laws: Laws | None  # through the basins; None with too few scales
    reference: Reference | None  # what R is measured from; None where no variant has an optimum
    initial_loss: float | None  # at initialisation, nats; None where the sweep table does not say
    optimizer: Family  # family of the variant's optimizer, which decides how its coordinates differ
    settings: Settings  # of the fit
    rng: np.random.Generator  # source of draws; metrics use it in the order of `METRICS`

    @cached_property
    def exponents(self) -> Exponents | None:
        """Of the laws."""
        return exponents(self.laws) if self.laws else None

    @cached_property
    def bands(self) -> comparison_metrics.Bands:
        """The near-optimal bands."""
        return comparison_metrics.near_optimal_bands(self.pooled, self.settings.level)

    def measured(self, quantity: Quantity, *notes: str) -> MetricDraws:
        """A quantity with its interval at the fit's level."""
        return measured(quantity.value, quantity.draws, self.settings.level, *notes, *quantity.flags)

    def of_laws(self, quantity: Callable[[Exponents], Quantity], *notes: str) -> MetricDraws:
        """A quantity of the laws' exponents, which is unknown where there are no laws."""
        return self.measured(quantity(self.exponents), *notes) if self.exponents else unknown("no_laws")


@dataclass(frozen=True)
class Metric:
    """One metric: how it is called, what it means, and how it is computed."""

    name: str  # its key in a fit and in the JSON
    definition: str  # one or two sentences, with the formula
    # Of one variant; None where the metric does not apply and is left out.
    compute: Callable[[MetricInputs], MetricDraws | None]
    label: str = ""  # heading in plain characters; in `METRICS` its name where none is given
    unit: str = ""  # what the number counts; empty for pure numbers


def compute_metrics(inputs: MetricInputs) -> dict[str, MetricDraws]:
    """Every metric that applies, by name."""
    found = ((name, metric.compute(inputs)) for name, metric in METRICS.items())
    return {name: value for name, value in found if value is not None}


def _drift_in(coordinates: Coordinates, inputs: MetricInputs) -> MetricDraws | None:
    """The drift in the coordinates named; left out where those of the runs are not known."""
    known = inputs.settings.coordinates
    if inputs.exponents is None or known is None:
        return None
    drift, shift = inputs.exponents.drift, coordinate_exponent(known, coordinates, inputs.optimizer)
    return inputs.measured(Quantity(drift.value + shift, drift.draws + shift))


def _error(inputs: MetricInputs) -> MetricDraws:
    if inputs.laws is None:
        return unknown("no_laws")
    residuals = surface_residuals(inputs.basins, inputs.laws, inputs.settings.filter)
    return inputs.measured(fit_error(residuals, inputs.settings.draws, inputs.rng))


def _kappa_offset(inputs: MetricInputs) -> MetricDraws:
    found = inputs.exponents
    if found is None or found.beta_offset is None:
        return unknown("offset_needs_4_scales" if found else "no_laws")
    return inputs.measured(found.kappa(found.beta_offset), "beta of the offset family")


def _beta_offset(inputs: MetricInputs) -> MetricDraws | None:
    offset = inputs.exponents.beta_offset if inputs.exponents else None
    return inputs.measured(offset) if offset else None


_ALL = (
    Metric(
        "drift",
        "Octaves by which the optimum moves per octave of scale, d log2 eta* / d log2 n, in the coordinates "
        "of the runs. 0: the optimum stays put. -1: it halves when the scale doubles.",
        lambda i: i.of_laws(lambda e: e.drift),
        unit="octaves per octave",
    ),
    Metric(
        "drift_sp",
        "The drift in SP coordinates, where eta is the learning rate that a hidden weight gets. -1 "
        "here is 0 in muP coordinates.",
        partial(_drift_in, "sp"),
        label="drift (SP)",
        unit="octaves per octave",
    ),
    Metric(
        "drift_mup",
        "The drift in muP coordinates, where a hidden weight gets eta / m. 0: the value carries unchanged. "
        "It is the SP drift plus 1; under SGD, whose two coordinates are one, it is the SP drift.",
        partial(_drift_in, "mup"),
        label="drift (muP)",
        unit="octaves per octave",
    ),
    Metric(
        "E",
        "Quality of the fit: mean squared residual of the joint surface L*(n) + basin(x - x*(n)) over the "
        "points that pass the filter. Small: all scales follow one set of laws. "
        "(The paper does not publish its exact form; this is how we read it.)",
        _error,
        unit="nats^2",
    ),
    Metric(
        "E_hp",
        "Root mean square distance of the per-scale optima from the optimum's law, in octaves.",
        lambda i: i.measured(hp_error(i.basins, i.laws)) if i.laws else unknown("no_laws"),
        unit="octaves",
    ),
    Metric(
        "kappa",
        "Robustness to extrapolation error, alpha - 2 beta + gamma, with beta of the power family. "
        "Below 0: the penalty of a wrong value fades as models grow; above 0: it comes to exceed what more "
        "scale gains.",
        lambda i: i.of_laws(lambda e: e.kappa(e.beta), "beta of the power family"),
    ),
    Metric(
        "R_inf",
        "Asymptotic loss penalty: L_inf of this variant minus that of the reference (the lower envelope of "
        "all variants unless one is named). It is an extrapolation; read it next to R(n).",
        lambda i: penalty_at_infinity(i.laws, i.reference, i.settings.level),
        label="R(inf)",
        unit="nats",
    ),
    Metric(
        "R_n",
        "Loss penalty at the largest measured scale: optimum loss of this variant minus that of the "
        "reference. Needs no extrapolation.",
        lambda i: penalty_at_largest(i.pooled, i.reference, i.settings.level),
        label="R(n)",
        unit="nats",
    ),
    Metric(
        "alpha",
        "Exponent of the loss law, L*(n) = L_inf + A n^-alpha.",
        lambda i: i.of_laws(lambda e: e.alpha),
    ),
    Metric(
        "beta",
        "Exponent of the optimum's law; positive where the optimum decreases with scale.",
        lambda i: i.of_laws(lambda e: e.beta),
    ),
    Metric(
        "gamma",
        "Exponent of the curvature law, H(n) = H0 n^gamma, with H = d2L/d eta2.",
        lambda i: i.of_laws(lambda e: e.gamma),
    ),
    Metric(
        "beta_offset",
        "beta of the offset family, eta*(n) = eta_inf + B n^-beta.",
        _beta_offset,
        label="beta (offset)",
    ),
    Metric(
        "kappa_offset",
        "alpha - 2 beta + gamma with beta of the offset family, eta*(n) = eta_inf + B n^-beta.",
        _kappa_offset,
        label="kappa (offset)",
    ),
    Metric(
        "bend",
        "Second derivative of log2 eta* in log2 n: how fast the drift itself changes. "
        "An interval that holds 0 allows a straight law.",
        lambda i: measured(*i.laws.bend, i.settings.level) if i.laws and i.laws.bend else None,
        unit="octaves per octave^2",
    ),
    Metric(
        "sensitivity",
        "Mean of min(L, L_init) - L* over three decades of the hyperparameter about the optimum, at the "
        "largest scale (arXiv:2309.14322). Small: a wrong value costs little.",
        lambda i: comparison_metrics.sensitivity(i.pooled, i.initial_loss, i.settings.level),
        unit="nats",
    ),
    Metric(
        "argmin_equality",
        "Fraction of the larger scales whose best grid value is that of the smallest (arXiv:2404.05728).",
        lambda i: comparison_metrics.argmin_equality(i.pooled, i.settings.level, i.rng),
        label="same argmin",
        unit="fraction",
    ),
    Metric(
        "band",
        "Width of the near-optimal band {L <= 1.0025 L*} at the largest scale, in octaves.",
        lambda i: i.bands.width,
        unit="octaves",
    ),
    Metric(
        "band_overlap",
        "What the near-optimal bands of all scales have in common, as a fraction of what they cover "
        "together. Above 0: one value is near-optimal at every scale.",
        lambda i: i.bands.overlap,
        label="band overlap",
        unit="fraction",
    ),
    Metric(
        "wider_is_worse",
        "Fraction of cells whose loss rises to the next scale at the same hyperparameter, noise apart.",
        lambda i: comparison_metrics.wider_is_worse(i.pooled),
        label="larger is worse",
        unit="fraction",
    ),
    Metric(
        "fast_transfer",
        "beta - alpha / 2 with beta of the offset family; above 0, the optimum converges faster than the "
        "loss decreases (arXiv:2512.22768).",
        lambda i: comparison_metrics.fast_transfer(i.laws, i.settings.level),
        label="fast transfer",
    ),
)
METRICS: dict[str, Metric] = {m.name: replace(m, label=m.label or m.name) for m in _ALL}
MAIN = ("drift", "drift_sp", "drift_mup", "E", "E_hp", "kappa", "R_inf", "R_n")  # what a report shows first
