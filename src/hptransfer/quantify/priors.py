"""Every tuned number of the estimator: what it is, its unit, where it comes from, what it does.

None of these is a fact of nature: another value gives another estimator, no wrong one.
`docs/explanation/priors.md` has what halving and doubling each does to the coverage, width and error of
predictions (`benchmarks/sensitivity.py`). Published definitions of metrics (three decades, 1.0025) stand with
their metric, tolerances of arithmetic and sizes of blocks where they are used.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any


@dataclass(frozen=True)
class Prior:
    """What is known of one tuned number."""

    group: str  # e.g. `WINDOW`
    name: str  # in its group
    value: float | tuple[float, ...]
    unit: str  # what it counts; empty for pure numbers
    source: str  # where it comes from
    effect: str  # what it does


def _prior(source: str, value: float | tuple[float, ...], effect: str, unit: str = "") -> Any:
    """A field with its default and what is known of it; arguments as in `Prior`."""
    return field(default=value, metadata={"unit": unit, "source": source, "effect": effect})


# Where a value comes from: chosen by hand for coverage on the families of benchmarks/calibration.py, or on
# these and on a few public sweeps together, or neither.
_simulated = partial(_prior, "by hand, on the simulator")
_measured = partial(_prior, "by hand, on the simulator and on measured sweeps")
_judged = partial(_prior, "judgement, fitted to nothing")
# Learned from real projects, each left out in turn where it is judged (benchmarks/learn.py).
_learned = partial(_prior, "likelihood of what real sweeps did next")


@dataclass(frozen=True)
class WindowPriors:
    """Which cells of a scale belong to its basin (`basin.window`)."""

    min_spare_runs: int = _judged(5, "More runs than cells, from which seeds tell the noise.", "runs")
    noise_cells: int = _simulated(
        4, "Either side of the lowest, whose third differences tell the noise without seeds.", "cells"
    )
    half_width: float = _simulated(3.2, "A fit looks at cells this far either side of the lowest.", "octaves")
    nearest_cells: int = _simulated(2, "Either side of the lowest that a fit always looks at.", "cells")
    end_rise_sd: float = _simulated(
        8.0, "The window is widened until its ends rise above the lowest cell so far.", "sd of noise"
    )
    well_fraction: float = _simulated(0.2, "A fall by more after a climb is another minimum.", "of the climb")
    well_nats: float = _simulated(0.01, "And the fall must exceed this.", "nats")
    well_sd: float = _simulated(2.5, "And this.", "sd of noise")
    shoulder_fraction: float = _simulated(
        0.6, "A side that climbs by less further out has left the basin.", "of the steepest slope"
    )
    shoulder_sd: float = _simulated(2.0, "By which its slope must be less.", "sd of noise")
    cliff_curvature_ratio: float = _measured(
        8.0, "Second differences of the loss above those further in by this factor are a cliff."
    )
    cliff_step_ratio: float = _measured(4.0, "Or above by this one, where the loss is also high.")
    cliff_height_ratio: float = _measured(
        2.0, "How high: above all that is seen nearer and on the other side by this factor."
    )
    cliff_min_curvature: float = _measured(
        0.1, "Second differences of a cliff are at least this.", "nats per octave^2"
    )
    rival_nats: float = _simulated(0.015, "A second minimum this close makes the choice uncertain.", "nats")
    rival_sd: float = _simulated(3.0, "Added to that distance.", "sd of noise")


@dataclass(frozen=True)
class NoisePriors:
    """What cells scatter by about a basin (`basin.noise_model`)."""

    sigma_ends: tuple[float, float] = _judged(
        (4e-4, 0.05), "Ends of the grid of one run's sd near the optimum.", "nats"
    )
    sigma_median: float = _simulated(0.004, "Median of that sd.", "nats")
    sigma_log_sd: float = _simulated(1.3, "Sd of its logarithm.")
    misfits: tuple[float, ...] = _simulated(
        (0.008, 0.03, 0.12, 0.45), "Grid of the sd of the shared shape's relative error."
    )
    misfit_median: float = _measured(0.01, "Median of that sd.")
    misfit_log_sd: float = _measured(1.8, "Sd of its logarithm.")
    misfit_length: float = _simulated(2.1, "Over which the shape's relative error is correlated.", "octaves")
    rise_per_misfit: float = _simulated(0.2, "A run's sd grows with excess loss by this times the misfit.")
    growths: tuple[float, ...] = _simulated(
        (0.0, 0.5, 1.2), "Grid of how a run's sd grows right of the optimum.", "of sigma per octave"
    )
    growth_octaves: float = _judged(4.0, "Right of the optimum where growth ends.", "octaves")


@dataclass(frozen=True)
class ShapePriors:
    """The shape of a basin that all scales of a variant share (`basin.shape`, `basin.model`)."""

    tilt_octaves: float = _simulated(3.0, "Up to which the tilt is a straight line.", "octaves")
    core_octaves: float = _simulated(0.5, "Size of the finest local corrections.", "octaves")
    bump_reach: float = _simulated(2.4, "Outermost local corrections.", "asinh(u / core)")
    bump_width: float = _simulated(0.6, "Width of a local correction.", "asinh(u / core)")
    log_curvature_mean: float = _simulated(-2.5, "Of it at the middle scale.", "log(nats per octave^2)")
    log_curvature_sd: float = _judged(2.5, "Sd of it: wide.")
    curvature_slope_sd: float = _simulated(0.2, "Of the log curvature's slope.", "per octave")
    curvature_scatter_sd: float = _simulated(0.02, "Of a scale's log curvature about its line.")
    tilt_mean: float = _simulated(0.2, "Of the tilt: basins are steeper on the right.", "per octave")
    tilt_sd: float = _simulated(0.2, "Sd of the tilt.", "per octave")
    bend_sd: float = _simulated(0.5, "Sd of the bend of both sides, from log-cosh to quartic.")
    local_sds: tuple[float, ...] = _simulated(
        (0.04, 0.15, 0.9), "Sd of the local corrections of the log shape: smooth to ragged."
    )
    local_lengths: tuple[float, ...] = _simulated(
        (1.5, 1.0, 0.4), "Over which neighbouring corrections agree, likewise.", "asinh(u / core)"
    )
    local_weights: tuple[float, ...] = _measured((0.8, 0.15, 0.05), "Prior of each: smooth is likelier.")


@dataclass(frozen=True)
class SearchPriors:
    """The search for the joint fit, and what it makes of cells and scales that stand out."""

    pilot_sigma: float = _simulated(0.004, "Noise of the pilot fit where seeds tell none.", "nats")
    pilot_sigma_ends: tuple[float, float] = _simulated(
        (5e-4, 0.03), "Its ends where they do; noisier runs stretch the noise grid.", "nats"
    )
    pilot_spare_runs: int = _judged(6, "More runs than cells, from which seeds tell it.", "runs")
    pilot_misfit: float = _simulated(0.12, "Misfit of the pilot fit.")
    pilot_growth: float = _simulated(0.5, "Growth of the pilot fit's noise.", "of sigma per octave")
    pilot_rescale_ends: tuple[float, float] = _judged(
        (0.4, 2.5), "Factor by which one step may change the pilot's noise."
    )
    settings_kept: int = _simulated(12, "Noise and shape settings that get a fit of their own.")
    t_freedom: float = _simulated(3.0, "Of the t that weighs outlying cells down.", "degrees of freedom")
    cliff_min_sd: float = _measured(
        3.0, "A cell this far above the model counts with the loss that was seen.", "sd of noise"
    )
    misfit_chi2: float = _simulated(2.5, "Chi2 that inflates a scale's misfit.", "per degree of freedom")
    misfit_inflation_most: float = _judged(10.0, "Largest inflation of a scale's misfit.")
    x_sd_spacings: float = _judged(2.0, "Sd of an optimum's weak prior about its start.", "grid spacings")
    x_sd_octaves: float = _judged(0.5, "Added to that sd.", "octaves")
    pilot_step: float = _judged(0.5, "An optimum moves by at most this in one step.", "grid spacings")
    final_step: float = _judged(0.3, "The same in the last two steps.", "grid spacings")
    shared_noise_cells: float = _simulated(
        12.0, "Pseudo-cells without correlation: few cells claim little common noise.", "cells"
    )
    shared_noise_clip: float = _judged(3.0, "Residuals count for no more in that correlation.", "sd")
    shared_noise_most: float = _judged(0.95, "Largest correlation of noise between variants.")


@dataclass(frozen=True)
class CheckPriors:
    """When a fitted basin is rejected or flagged (`basin.checks`)."""

    below_sd: float = _simulated(
        4.0, "A minimum further below the lowest run is rejected: first of three terms.", "sd of noise"
    )
    below_fraction: float = _simulated(0.5, "The second term.", "of the rise to the next cell")
    below_nats: float = _judged(0.01, "The third term.", "nats")
    own_shape_inflation: float = _judged(2.0, "Inflation of the misfit that flags a scale `own_shape`.")
    outlier_variance: float = _judged(
        3.0, "Factor on a cell's variance from which `outliers` is flagged: 3 sd off all others."
    )
    flat_fraction: float = _judged(0.8, "Span of an optimum's interval that is called flat.", "of the grid")
    own_differs_sd: float = _judged(
        2.5, "By which a scale's own optimum must differ to be flagged `own_runs_differ`.", "sd of both"
    )
    own_differs_octaves: float = _judged(0.1, "Added to that distance.", "octaves")


@dataclass(frozen=True)
class OwnRunsPriors:
    """How far a scale's own runs are believed beside the shared shape (`basin.own_runs`)."""

    reach: float = _judged(0.75, "Cells this near the lowest make a scale's own parabola.", "octaves")
    share: float = _learned(0.57, "Of the way to its own runs' vertex that an optimum is moved.")
    noise: float = _learned(0.24, "Sd of that vertex by noise at which the share is halved.", "octaves")
    error: float = _learned(0.38, "Sd added to the optimum, per distance between the two.")


@dataclass(frozen=True)
class SeedPriors:
    """How far one seed's optimum lies from that of all (`basin.seeds`)."""

    optimum_sd: float = _prior(
        "learned as 0.12, made larger until optima of the corpus lay in 92% of their intervals",
        0.2,
        "Usual sd of it.",
        "octaves",
    )
    curvature: float = _judged(0.1, "Curvature of the basin at which it is that.", "nats per octave^2")
    by_curvature: float = _learned(0.26, "Power of the curvature with which it falls.")
    freedom: float = _learned(7.0, "Seeds less one that the usual sd counts for.")
    most_scatter: float = _judged(
        5.0, "That sd is at most so many times what scales scatter by about their law."
    )
    most: float = _judged(4.0, "Seeds of one scale count for no more than so many of it.")


@dataclass(frozen=True)
class LawPriors:
    """How far single scales lie off a law, and which law is chosen (`law`)."""

    curvature_scatter: float = _simulated(0.006, "Typical scatter of log curvatures, likewise.")
    curvature_scatter_per_misfit: float = _simulated(0.1, "Added to it, times the misfit.")
    zero_scatter_odds: float = _measured(
        33.0, "How much more weight no scatter gets than by the smooth prior, for one shape."
    )
    curvature_scatter_log_sd: float = _judged(1.3, "Sd of the log of the scatter of log curvatures.")
    scatter_odds: float = _judged(6.0, "Weight of some scatter beside those odds.")
    zero_scatter_misfit: float = _measured(0.04, "Misfit over which those odds fall by e.")
    outlier_scale_sd: float = _simulated(
        0.7, "Scatter of a scale that lies off the law altogether.", "octaves, or log curvature"
    )
    outlier_scale_probability: float = _judged(0.01, "Prior chance of each scale to do so.")
    least_pooling_scatter: float = _judged(
        1e-3, "Optima are pooled towards the law as if they scattered by at least this.", "octaves"
    )
    constant_slope_sd: float = _simulated(
        0.1, "Sd of the drift below which the data may speak for none.", "octaves per octave"
    )
    offset_aicc_margin: float = _simulated(
        10.0, "By which the offset family must win before predictions follow it.", "AICc"
    )
    slope_sd: float = _judged(
        1.0, "Range of drifts against which no drift at all is weighed.", "octaves per octave"
    )
    edge_sd: float = _judged(0.1, "Sd with which an edge optimum's bounds hold.", "octaves")
    edge_least_inside: float = _judged(
        0.2, "Draws within an edge's bounds for the law to be believed there.", "of the draws"
    )
    edge_least_weight: float = _judged(
        8.0, "An edge whose bounds cost every draw more contradicts the law: left out.", "log weight"
    )
    edge_least_effective: float = _judged(
        0.02, "And so do draws of which fewer are left, effectively.", "of the draws"
    )
    loss_scatter: float = _simulated(0.001, "Typical scatter of losses about the loss law.", "nats")
    loss_scatter_weight: float = _judged(3.0, "That it counts for beside the residuals.", "scales")
    alpha_ends: tuple[float, float] = _judged((0.03, 4.0), "Ends of the grid of alpha.")
    alpha_median: float = _judged(0.5, "Median of alpha; weak: keeps thin data off the ends.")
    alpha_log_sd: float = _judged(1.2, "Sd of log alpha.")


@dataclass(frozen=True)
class DeparturePriors:
    """How optima of real sweeps depart from a power law (`law.departure`), by what can be seen of a series.

    The traits, in this order: log of the optima's own sd, of the basin's width, of the misfit, and of the
    distance between shared shape and own runs; each less its centre.
    """

    trait_centres: tuple[float, ...] = _judged((-2.53, 1.2, -3.0, -2.3), "Centres of the traits.")
    scatter: float = _learned(0.063, "Median scatter of single scales about the law.", "octaves")
    scatter_log_sd: float = _learned(0.875, "Sd of its log.")
    scatter_by_trait: tuple[float, ...] = _learned(
        (0.037, 0.012, 0.059, 0.026), "Change of its log by trait."
    )
    scatter_none: float = _learned(0.158, "Prior probability that there is no scatter.")
    wander: float = _learned(
        0.229, "Median sd of the change of log2 eta* off the law.", "octaves per root of an octave"
    )
    wander_log_sd: float = _learned(0.59, "Sd of its log.")
    wander_by_trait: tuple[float, ...] = _learned((0.24, 0.08, 0.19, 0.168), "Change of its log by trait.")
    wander_none: float = _learned(0.119, "Prior probability that the law does not turn.")
    constant: float = _learned(0.151, "Prior probability that the optimum stays where it is.")
    steady: float = _learned(0.066, "Prior probability that there is neither scatter nor turning.")
    steady_by_trait: tuple[float, ...] = _learned(
        (-0.052, 0.005, -0.015, -0.027), "Change of its logit by trait."
    )
    slope_shared: float = _learned(0.9, "Prior probability that a slope is like the other variants'.")
    sizes_shared: float = _learned(
        0.804, "Variants that the others of a table count for where the sizes of departures are judged."
    )
    slope_tau: float = _learned(0.167, "Median sd of slopes within one sweep table.", "octaves per octave")
    slope_tau_log_sd: float = _learned(0.548, "Sd of its log.")
    slope_mup_sd: float = _learned(
        0.231, "Sd of a table's slope in muP coordinates about 0.", "octaves per octave"
    )


@dataclass(frozen=True)
class AxesPriors:
    """Laws over several axes (`axes`): what differs there from the departures of one axis."""

    wander: float = _measured(
        0.5,
        "Median of the turning along each axis, as a share of that of one axis over the root of "
        "their number.",
    )
    wander_log_sd: float = _judged(
        1.2,
        "Sd of the log of the turning along each axis: wider than of one, for none of several was learned.",
    )
    wander_none: float = _judged(0.3, "Prior probability that the law does not turn along an axis.")
    shape_shift: float = _simulated(
        0.008,
        "Sd of an error that all optima share, since the true shape is none of those fitted.",
        "widths of the basin (where the loss has risen by half a nat)",
    )


@dataclass(frozen=True)
class AdvicePriors:
    """What a prediction recommends, and which runs a verdict suggests (`predict`, `verdict`)."""

    long_extrapolation: float = _judged(8.0, "Beyond it a prediction is flagged.", "times the largest scale")
    diverged_cost: float = _judged(1.0, "That a diverged run counts for when a value is recommended.", "nats")
    most_cost: float = _judged(10.0, "That any draw counts for: a shape's tail says little.", "nats")
    worse_sd: float = _judged(2.0, "By which a larger model's loss must rise to be worse.", "standard errors")
    seed_cells: int = _judged(4, "Nearest the optimum that get them.", "cells")
    edge_runs: int = _judged(2, "Suggested past the edge of a grid.", "runs")
    more_seeds: tuple[int, ...] = _judged((2, 6), "Suggested near every optimum, fewest first.", "seeds")
    simulations: int = _judged(8, "Of each candidate before it is offered.")
    simulation_draws: int = _judged(200, "Posterior draws of a simulated fit.")
    simulated_scatter: float = _judged(
        0.1, "Sd of a simulated optimum off the line of the others.", "octaves per root of an octave"
    )
    settles_enough: float = _judged(0.85, "Of the simulations: the cheapest candidate that does is offered.")
    settles_least: float = _judged(0.5, "Below it no runs are offered.", "of the simulations")
    most_price: float = _judged(1.0, "Above it runs are called not worth it.", "of what was spent")
    advised_variants: int = _judged(6, "That runs are looked for.", "undecided variants")
    least_whole_scale: float = _judged(16.0, "No smaller one is suggested where scales are whole numbers.")
    spare_runs: int = _judged(4, "More runs than cells, from which repeats tell the noise.", "runs")
    least_noise: float = _judged(5e-4, "Sd of a simulated run, at least.", "nats")


WINDOW = WindowPriors()
NOISE = NoisePriors()
SHAPE = ShapePriors()
SEARCH = SearchPriors()
CHECKS = CheckPriors()
OWN_RUNS = OwnRunsPriors()
SEEDS = SeedPriors()
LAW = LawPriors()
DEPARTURE = DeparturePriors()
AXES = AxesPriors()
ADVICE = AdvicePriors()
GROUPS: dict[str, Any] = {"WINDOW": WINDOW, "NOISE": NOISE, "SHAPE": SHAPE, "SEARCH": SEARCH}
GROUPS |= {
    "CHECKS": CHECKS,
    "OWN_RUNS": OWN_RUNS,
    "SEEDS": SEEDS,
    "LAW": LAW,
    "DEPARTURE": DEPARTURE,
    "AXES": AXES,
    "ADVICE": ADVICE,
}


def all_priors() -> list[Prior]:
    """Every tuned number with what is known of it, in the order above."""
    return [
        Prior(group, f.name, getattr(values, f.name), **f.metadata)
        for group, values in GROUPS.items()
        for f in fields(values)
    ]
