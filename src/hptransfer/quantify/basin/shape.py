"""The shape of a basin: loss above its minimum against the distance from the optimum, in octaves.

excess(u) = u**2 / 2 * exp(log_h + features(u) @ shape). Never negative, zero only at u = 0. The first
feature tilts (a gentle left side and a cliff on the right are one number apart), the second bends both sides
(log-cosh, parabola and quartic lie on it), the others are local corrections, finest near the optimum.
"""

from __future__ import annotations

import numpy as np

from hptransfer.sweep.table import FloatArray

TILT = 3.0  # octaves up to which the tilt is a straight line, as in linear-exponential basins
CORE = 0.5  # octaves; local corrections are even in asinh(u / CORE): finest at the optimum
CENTRES = np.linspace(-2.4, 2.4, 9)  # of the local corrections, in asinh(u / CORE)
BUMP = 0.6  # their width, likewise
FEATURES = 2 + len(CENTRES)


def features(u: FloatArray) -> FloatArray:
    """Features of the log shape at distances u, all zero at u = 0 but the bumps; shape [..., FEATURES]."""
    column = (-1, *[1] * u.ndim)  # features first while they are worked out: long rows are quicker
    out = np.empty((FEATURES, *u.shape))
    out[0], out[1] = TILT * np.arcsinh(u / TILT), 0.5 * np.log1p(u * u)
    z = (np.arcsinh(u / CORE) - CENTRES.reshape(column)) / BUMP
    out[2:] = np.exp(-0.5 * z * z) - AT_ZERO.reshape(column)
    return np.moveaxis(out, 0, -1)


def feature_slopes(u: FloatArray) -> FloatArray:
    """Derivative of `features` in u, shape [..., FEATURES]."""
    z = (np.arcsinh(u / CORE)[..., None] - CENTRES) / BUMP
    inner = 1.0 / np.sqrt(CORE**2 + u * u)[..., None]
    root = 1.0 + u * u
    smooth = np.stack([1.0 / np.sqrt(1.0 + (u / TILT) ** 2), u / root], axis=-1)
    return np.concatenate([smooth, -z / BUMP * inner * np.exp(-0.5 * z * z)], axis=-1)


AT_ZERO = np.exp(-0.5 * (CENTRES / BUMP) ** 2)


def excess(u: FloatArray, log_h: FloatArray, shape: FloatArray) -> FloatArray:
    """Loss above the optimum's, nats.

    Arguments:
        u: distance from the optimum, octaves; right is positive.
        log_h: log of the curvature d2L/dx2, nats per octave squared; broadcasts with u.
        shape: coefficients of the features, [..., FEATURES]; its leading axes broadcast with u.
    """
    bend = np.einsum("...f,...f->...", features(u), shape)
    return np.asarray(0.5 * u * u * np.exp(np.minimum(log_h + bend, 60.0)))


# Priors on the local corrections: (sd of the log shape, octaves over which neighbours agree).
SHAPE_PRIORS = ((0.04, 1.5), (0.15, 1.0), (0.9, 0.4))


def correction_covariance(sd: float, length: float) -> FloatArray:
    """Prior covariance of the bumps' coefficients that gives the log shape an sd of `sd` near the middle."""
    gap = CENTRES[:, None] - CENTRES
    kernel = np.exp(-0.5 * (gap / length) ** 2) + 1e-3 * np.eye(len(CENTRES))
    return np.asarray(kernel * sd**2 / float(AT_ZERO @ kernel @ AT_ZERO))
