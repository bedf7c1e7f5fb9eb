"""Tuned numbers of the joint basin; what it has in common with a basin of one stands in `quantify.priors`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JointPriors:
    """Chosen by judgement, and checked on the simulated surfaces of `benchmarks/joint.py`."""

    # Shape of the surface.
    skew_sd: float = 0.2  # of the tilt of a hyperparameter by itself, per octave
    tilt_mean: float = 0.1  # of the tilt of one given those after it: steeper on the right
    tilt_sd: float = 0.2  # sd of it
    bend_sd: float = 0.5  # of the bend of both sides of a direction, from log-cosh to quartic
    bump_sd: float = 0.02  # of the coefficients of the corrections that all scales share
    bump_per_misfit: float = 2.0  # added to it, times the sd of a scale's own relative error
    coupling_sd: float = 0.8  # of how many octaves the best value of one moves per octave of another
    curvature_scatter: float = 0.1  # sd of a scale's log curvatures about their line
    coupling_scatter: float = 0.1  # sd of a scale's couplings about those of all
    # Which runs count.
    window_nats: float = 0.12  # runs this far above a scale's lowest always count
    window_sd: float = 30.0  # and those within this many sd of the noise
    window_cells: float = 2.0  # and the lowest, this many times the parameters of a scale
    most_cells: int = 220  # of a scale; the lowest are kept
    # Where the optimum may lie.
    x_sd: float = (
        1.0  # octaves, added to half of the range that was run: sd of the weak prior about its start
    )
    edge_share: float = 0.25  # of the draws beyond the outermost value that make an optimum `at_edge`
    # Weight decay (or another) of zero.
    zero_octaves: float = 2.0  # its place, left of the smallest positive value of the table
    zero_sd: float = 1.0  # octaves, sd of that place
    # Search.
    outlier_sd: float = 2.2  # distance from all other points from which one is weighed down, sd of noise
    settings_kept: int = 10  # noise settings that get a fit of their own
    misfits: tuple[float, ...] = (0.01, 0.05, 0.15, 0.45)  # grid of the sd of the shape's relative error
    misfit_length: float = 1.5  # octaves over which that error is correlated


JOINT = JointPriors()
