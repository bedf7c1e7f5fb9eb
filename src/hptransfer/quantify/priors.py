"""Every tuned number of the estimator: what it is, its unit, where it comes from, what it does.

None of these is a fact of nature: another value gives another estimator, no wrong one. `docs/priors.md` has
what halving and doubling each does to the coverage, width and error of predictions
(`benchmarks/sensitivity.py`). Published definitions of metrics (three decades, 1.0025) stand with their
metric, tolerances of arithmetic and sizes of blocks where they are used.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

# Where a value comes from: chosen by hand for coverage on the families of benchmarks/calibration.py, or on
# these and on the measured sweeps of benchmarks/extrapolation.py together, or neither.
SIMULATED = "by hand, on the simulator"
MEASURED = "by hand, on the simulator and on measured sweeps"
JUDGED = "judgement, fitted to nothing"


@dataclass(frozen=True)
class Prior:
    """What is known of one tuned number.

    Attributes:
        group: name of the group it belongs to, e.g. `WINDOW`. name: in its group.
        value: a number, or several of one kind.
        unit: what it counts; empty for pure numbers.
        source: where it comes from.
        effect: what it does.
    """

    group: str
    name: str
    value: float | tuple[float, ...]
    unit: str
    source: str
    effect: str


def _prior(value: float | tuple[float, ...], unit: str, source: str, effect: str) -> Any:
    """A field with its default and what is known of it; arguments as in `Prior`."""
    return field(default=value, metadata={"unit": unit, "source": source, "effect": effect})


@dataclass(frozen=True)
class WindowPriors:
    """Which cells of a scale belong to its basin (`basin.window`)."""

    min_spare_runs: int = _prior(5, "runs", JUDGED, "More runs than cells, from which seeds tell the noise.")
    noise_cells: int = _prior(
        4,
        "cells",
        SIMULATED,
        "Either side of the lowest, whose third differences tell the noise without seeds.",
    )
    half_width: float = _prior(
        3.2, "octaves", SIMULATED, "A fit looks at cells this far either side of the lowest."
    )
    nearest_cells: int = _prior(
        2, "cells", SIMULATED, "Either side of the lowest that a fit looks at however far they are."
    )
    end_rise_sd: float = _prior(
        8.0,
        "sd of noise",
        SIMULATED,
        "The window is widened until its ends rise above the lowest cell so far.",
    )
    well_fraction: float = _prior(
        0.2, "of the climb", SIMULATED, "A fall by more than this after a climb is another minimum."
    )
    well_nats: float = _prior(0.01, "nats", SIMULATED, "And the fall must exceed this.")
    well_sd: float = _prior(2.5, "sd of noise", SIMULATED, "And this.")
    shoulder_fraction: float = _prior(
        0.6, "of the steepest slope", SIMULATED, "A side that climbs by less further out has left the basin."
    )
    shoulder_sd: float = _prior(2.0, "sd of noise", SIMULATED, "By which its slope must be less.")
    cliff_curvature_ratio: float = _prior(
        8.0, "", MEASURED, "Second differences of the loss above those further in by this factor are a cliff."
    )
    cliff_step_ratio: float = _prior(4.0, "", MEASURED, "Or above by this one, where the loss is also high.")
    cliff_height_ratio: float = _prior(
        2.0, "", MEASURED, "How high: above all that is seen nearer and on the other side by this factor."
    )
    cliff_min_curvature: float = _prior(
        0.1, "nats per octave^2", MEASURED, "Second differences of a cliff are at least this."
    )
    rival_nats: float = _prior(
        0.015, "nats", SIMULATED, "A second minimum this close to the lowest makes the choice uncertain."
    )
    rival_sd: float = _prior(3.0, "sd of noise", SIMULATED, "Added to that distance.")


@dataclass(frozen=True)
class NoisePriors:
    """What cells scatter by about a basin (`basin.noise_model`)."""

    sigma_ends: tuple[float, float] = _prior(
        (4e-4, 0.05), "nats", JUDGED, "Ends of the grid of one run's sd near the optimum."
    )
    sigma_median: float = _prior(0.004, "nats", SIMULATED, "Median of that sd.")
    sigma_log_sd: float = _prior(1.3, "", SIMULATED, "Sd of its logarithm.")
    misfits: tuple[float, ...] = _prior(
        (0.008, 0.03, 0.12, 0.45), "", SIMULATED, "Grid of the sd of the shared shape's relative error."
    )
    misfit_median: float = _prior(0.01, "", MEASURED, "Median of that sd.")
    misfit_log_sd: float = _prior(1.8, "", MEASURED, "Sd of its logarithm.")
    misfit_length: float = _prior(
        2.1, "octaves", SIMULATED, "Over which the shape's relative error is correlated."
    )
    rise_per_misfit: float = _prior(
        0.2, "", SIMULATED, "A run's sd grows with its excess loss by this times the misfit."
    )
    growths: tuple[float, ...] = _prior(
        (0.0, 0.5, 1.2),
        "of sigma per octave",
        SIMULATED,
        "Grid of how a run's sd grows right of the optimum.",
    )
    growth_octaves: float = _prior(4.0, "octaves", JUDGED, "Right of the optimum where growth ends.")


@dataclass(frozen=True)
class ShapePriors:
    """The shape of a basin that all scales of a variant share (`basin.shape`, `basin.model`)."""

    tilt_octaves: float = _prior(3.0, "octaves", SIMULATED, "Up to which the tilt is a straight line.")
    core_octaves: float = _prior(0.5, "octaves", SIMULATED, "Size of the finest local corrections.")
    bump_reach: float = _prior(2.4, "asinh(u / core)", SIMULATED, "Outermost local corrections.")
    bump_width: float = _prior(0.6, "asinh(u / core)", SIMULATED, "Width of a local correction.")
    log_curvature_mean: float = _prior(
        -2.5, "log(nats per octave^2)", SIMULATED, "Of the log curvature at the middle scale."
    )
    log_curvature_sd: float = _prior(2.5, "", JUDGED, "Sd of it: wide.")
    curvature_slope_sd: float = _prior(0.2, "per octave", SIMULATED, "Of the log curvature's slope.")
    curvature_scatter_sd: float = _prior(0.02, "", SIMULATED, "Of a scale's log curvature about its line.")
    tilt_mean: float = _prior(0.2, "per octave", SIMULATED, "Of the tilt: basins are steeper on the right.")
    tilt_sd: float = _prior(0.2, "per octave", SIMULATED, "Sd of the tilt.")
    bend_sd: float = _prior(0.5, "", SIMULATED, "Sd of the bend of both sides, from log-cosh to quartic.")
    local_sds: tuple[float, ...] = _prior(
        (0.04, 0.15, 0.9), "", SIMULATED, "Sd of the local corrections of the log shape: smooth to ragged."
    )
    local_lengths: tuple[float, ...] = _prior(
        (1.5, 1.0, 0.4), "asinh(u / core)", SIMULATED, "Over which neighbouring corrections agree, likewise."
    )
    local_weights: tuple[float, ...] = _prior(
        (0.8, 0.15, 0.05), "", MEASURED, "Prior probability of each: smooth shapes are likelier."
    )


@dataclass(frozen=True)
class SearchPriors:
    """The search for the joint fit, and what it makes of cells and scales that stand out."""

    pilot_sigma: float = _prior(0.004, "nats", SIMULATED, "Noise of the pilot fit where seeds tell none.")
    pilot_sigma_ends: tuple[float, float] = _prior(
        (5e-4, 0.03), "nats", SIMULATED, "Its ends where they do; noisier runs stretch the noise grid."
    )
    pilot_spare_runs: int = _prior(6, "runs", JUDGED, "More runs than cells, from which seeds tell it.")
    pilot_misfit: float = _prior(0.12, "", SIMULATED, "Misfit of the pilot fit.")
    pilot_growth: float = _prior(0.5, "of sigma per octave", SIMULATED, "Growth of the pilot fit's noise.")
    pilot_rescale_ends: tuple[float, float] = _prior(
        (0.4, 2.5), "", JUDGED, "Factor by which one step may change the pilot's noise."
    )
    settings_kept: int = _prior(12, "", SIMULATED, "Noise and shape settings that get a fit of their own.")
    t_freedom: float = _prior(
        3.0, "degrees of freedom", SIMULATED, "Of the t distribution that weighs outlying cells down."
    )
    cliff_min_sd: float = _prior(
        3.0, "sd of noise", MEASURED, "A cell this far above the model counts with the loss that was seen."
    )
    misfit_chi2: float = _prior(
        2.5, "per degree of freedom", SIMULATED, "Chi2 from which a scale's misfit is inflated."
    )
    misfit_inflation_most: float = _prior(10.0, "", JUDGED, "Largest inflation of a scale's misfit.")
    x_sd_spacings: float = _prior(
        2.0, "grid spacings", JUDGED, "Sd of the weak prior of an optimum about its start."
    )
    x_sd_octaves: float = _prior(0.5, "octaves", JUDGED, "Added to that sd.")
    pilot_step: float = _prior(0.5, "grid spacings", JUDGED, "An optimum moves by at most this in one step.")
    final_step: float = _prior(0.3, "grid spacings", JUDGED, "The same in the last two steps.")
    shared_noise_cells: float = _prior(
        12.0, "cells", SIMULATED, "Pseudo-cells without correlation: few cells claim little common noise."
    )
    shared_noise_clip: float = _prior(3.0, "sd", JUDGED, "Residuals count for no more in that correlation.")
    shared_noise_most: float = _prior(0.95, "", JUDGED, "Largest correlation of noise between variants.")


@dataclass(frozen=True)
class CheckPriors:
    """When a fitted basin is rejected or flagged (`basin.checks`)."""

    below_sd: float = _prior(
        4.0,
        "sd of noise",
        SIMULATED,
        "A minimum further below the lowest run is rejected: first of three terms.",
    )
    below_fraction: float = _prior(0.5, "of the rise to the next cell", SIMULATED, "The second term.")
    below_nats: float = _prior(0.01, "nats", JUDGED, "The third term.")
    own_shape_inflation: float = _prior(
        2.0, "", JUDGED, "Inflation of the misfit from which a scale is flagged `own_shape`."
    )
    outlier_variance: float = _prior(
        3.0, "", JUDGED, "Factor on a cell's variance from which `outliers` is flagged: 3 sd off all others."
    )
    flat_fraction: float = _prior(
        0.8, "of the grid", JUDGED, "Spanned by an optimum's interval from which a basin is called flat."
    )


@dataclass(frozen=True)
class LawPriors:
    """How far single scales lie off a law, and which law is chosen (`law`)."""

    scatter_octaves: float = _prior(0.03, "octaves", MEASURED, "Typical scatter of optima, for one shape.")
    scatter_per_misfit: float = _prior(0.35, "octaves", MEASURED, "Added to it, times the misfit.")
    curvature_scatter: float = _prior(0.006, "", SIMULATED, "Typical scatter of log curvatures, likewise.")
    curvature_scatter_per_misfit: float = _prior(0.1, "", SIMULATED, "Added to it, times the misfit.")
    zero_scatter_odds: float = _prior(
        33.0, "", MEASURED, "How much more weight no scatter gets than by the smooth prior, for one shape."
    )
    zero_scatter_misfit: float = _prior(0.04, "", MEASURED, "Misfit over which those odds fall by e.")
    slope_change_sd: float = _prior(
        0.085,
        "octaves per octave",
        "nine predictions of benchmarks/extrapolation.py, one octave ahead",
        "Sd of the change of the law's slope beyond the largest scale, where the misfit is large.",
    )
    slope_change_misfit: float = _prior(0.1, "", MEASURED, "Misfit at which it is half of that.")
    outlier_scale_sd: float = _prior(
        0.7, "octaves, or log curvature", SIMULATED, "Scatter of a scale that lies off the law altogether."
    )
    outlier_scale_probability: float = _prior(0.01, "", JUDGED, "Prior chance of each scale to do so.")
    least_pooling_scatter: float = _prior(
        1e-3, "octaves", JUDGED, "Optima are pooled towards the law as if they scattered by at least this."
    )
    constant_slope_sd: float = _prior(
        0.1, "octaves per octave", SIMULATED, "Sd of the drift below which the data may speak for none."
    )
    offset_aicc_margin: float = _prior(
        10.0, "AICc", SIMULATED, "By which the offset family must win before predictions follow it."
    )
    edge_sd: float = _prior(0.1, "octaves", JUDGED, "Sd with which an edge optimum's bounds hold.")
    edge_least_inside: float = _prior(
        0.2, "of the draws", JUDGED, "Draws within an edge's bounds for the law to be believed there."
    )
    edge_least_weight: float = _prior(
        8.0, "log weight", JUDGED, "An edge whose bounds cost every draw more contradicts the law: left out."
    )
    edge_least_effective: float = _prior(
        0.02, "of the draws", JUDGED, "And so do draws of which fewer are left, effectively."
    )
    loss_scatter: float = _prior(0.001, "nats", SIMULATED, "Typical scatter of losses about the loss law.")
    loss_scatter_weight: float = _prior(3.0, "scales", JUDGED, "That it counts for beside the residuals.")
    alpha_ends: tuple[float, float] = _prior((0.03, 4.0), "", JUDGED, "Ends of the grid of alpha.")
    alpha_median: float = _prior(0.5, "", JUDGED, "Median of alpha; weak: keeps thin data off the ends.")
    alpha_log_sd: float = _prior(1.2, "", JUDGED, "Sd of log alpha.")


@dataclass(frozen=True)
class AdvicePriors:
    """What a prediction recommends, and which runs a verdict suggests (`predict`, `verdict`)."""

    long_extrapolation: float = _prior(
        8.0, "times the largest scale", JUDGED, "Beyond it a prediction is flagged."
    )
    diverged_cost: float = _prior(
        1.0, "nats", JUDGED, "That a diverged run counts for when a value is recommended."
    )
    most_cost: float = _prior(10.0, "nats", JUDGED, "That any draw counts for: a shape's tail says little.")
    worse_sd: float = _prior(
        2.0, "standard errors", JUDGED, "By which a larger model's loss must rise to be called worse."
    )
    seeds_most: int = _prior(16, "seeds", JUDGED, "Suggested of one run, at most.")
    seed_cells: int = _prior(4, "cells", JUDGED, "Nearest the optimum that get them.")
    edge_runs: int = _prior(2, "runs", JUDGED, "Suggested past the edge of a grid.")
    least_distance: float = _prior(
        0.1, "of the tolerance", JUDGED, "A regret is taken to lie at least this far from the tolerance."
    )


WINDOW = WindowPriors()
NOISE = NoisePriors()
SHAPE = ShapePriors()
SEARCH = SearchPriors()
CHECKS = CheckPriors()
LAW = LawPriors()
ADVICE = AdvicePriors()
GROUPS: dict[str, Any] = {
    "WINDOW": WINDOW,
    "NOISE": NOISE,
    "SHAPE": SHAPE,
    "SEARCH": SEARCH,
    "CHECKS": CHECKS,
    "LAW": LAW,
    "ADVICE": ADVICE,
}


def all_priors() -> list[Prior]:
    """Every tuned number with what is known of it, in the order above."""
    return [
        Prior(group, f.name, getattr(values, f.name), **f.metadata)
        for group, values in GROUPS.items()
        for f in fields(values)
    ]
