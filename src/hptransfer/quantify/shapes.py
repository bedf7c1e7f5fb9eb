"""The shape of a basin: loss above its minimum against the distance from the optimum, in octaves."""

from __future__ import annotations

import numpy as np

from hptransfer.landscape import FloatArray


def excess(u: FloatArray, log_h: FloatArray, skew: FloatArray, tail: FloatArray) -> FloatArray:
    """Loss above the optimum's, nats: h u**2 / 2 * exp(skew * asinh(u) + tail * log(1 + u**2) / 2).

    Never negative, zero only at u = 0, where its second derivative is h. Far out it grows like
    |u|**(2 + tail + skew) on the right and |u|**(2 + tail - skew) on the left, so a gentle left side
    and a cliff on the right are one number apart; log-cosh is near tail = -1.

    Arguments:
        u: distance from the optimum, octaves; right is positive. All arguments broadcast.
        log_h: log of the curvature d2L/dx2, nats per octave squared.
        skew: positive where the right side is steeper.
        tail: positive where the sides grow faster than a parabola.
    """
    with np.errstate(over="ignore"):
        return 0.5 * u * u * np.exp(log_h + skew * np.arcsinh(u) + 0.5 * tail * np.log1p(u * u))


def excess_slope(u: FloatArray, log_h: FloatArray, skew: FloatArray, tail: FloatArray) -> FloatArray:
    """Derivative of `excess` in u, nats per octave."""
    root = 1.0 + u * u
    value_over_u = 0.5 * u * np.exp(log_h + skew * np.arcsinh(u) + 0.5 * tail * np.log1p(u * u))
    return value_over_u * (2.0 + skew * u / np.sqrt(root) + tail * u * u / root)
