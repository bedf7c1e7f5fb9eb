"""The shape of a basin: loss above its minimum against the distance from the optimum, in octaves.

excess(u) = u**2 / 2 * exp(log_curvature + features(u) @ shape). Never negative, zero only at u = 0. The first
feature tilts (a gentle left side and a cliff on the right are one number apart), the second bends both sides
(log-cosh, parabola and quartic lie on it), the others ("bumps") are local corrections, finest at the optimum.
"""

from __future__ import annotations

import numpy as np

from hptransfer.quantify.priors import SHAPE
from hptransfer.sweep.table import FloatArray

# Of the local corrections, in asinh(u / core): even there, so that they are finest at the optimum, shape [9].
CENTRES = np.linspace(-SHAPE.bump_reach, SHAPE.bump_reach, 9)
AT_ZERO = np.exp(-0.5 * (CENTRES / SHAPE.bump_width) ** 2)  # each correction at u = 0
FEATURES = 2 + len(CENTRES)
MOST_EXPONENT = 60.0  # of e; keeps squares of the loss finite far up a side
NUGGET = 1e-3  # of the variance; keeps the corrections' covariance invertible


def features(u: FloatArray) -> FloatArray:
    """Features of the log shape at distances u [...], octaves; all are zero at u = 0; [..., FEATURES]."""
    column = (-1, *[1] * u.ndim)  # features first while they are worked out: long rows are quicker
    out = np.empty((FEATURES, *u.shape))
    tilt = SHAPE.tilt_octaves
    out[0], out[1] = tilt * np.arcsinh(u / tilt), 0.5 * np.log1p(u * u)
    z = (np.arcsinh(u / SHAPE.core_octaves) - CENTRES.reshape(column)) / SHAPE.bump_width
    out[2:] = np.exp(-0.5 * z * z) - AT_ZERO.reshape(column)
    return np.moveaxis(out, 0, -1)


def feature_slopes(u: FloatArray) -> FloatArray:
    """Derivative of `features` in u, shape [..., FEATURES]."""
    core, width = SHAPE.core_octaves, SHAPE.bump_width
    z = (np.arcsinh(u / core)[..., None] - CENTRES) / width  # [..., 9]
    inner = 1.0 / np.sqrt(core**2 + u * u)[..., None]  # d asinh(u / core) / du
    smooth = np.stack([1.0 / np.sqrt(1.0 + (u / SHAPE.tilt_octaves) ** 2), u / (1.0 + u * u)], axis=-1)
    return np.concatenate([smooth, -z / width * inner * np.exp(-0.5 * z * z)], axis=-1)


def excess(u: FloatArray, log_curvature: FloatArray, shape: FloatArray) -> FloatArray:
    """Loss above the optimum's, nats.

    Args:
        u: distance from the optimum, octaves; right is positive.
        log_curvature: log of d2L/dx2, nats per octave squared; broadcasts with u.
        shape: coefficients of the features, [..., FEATURES]; its leading axes broadcast with u.
    """
    bend = np.einsum("...f,...f->...", features(u), shape)
    return np.asarray(0.5 * u * u * np.exp(np.minimum(log_curvature + bend, MOST_EXPONENT)))


def correction_covariance(sd: float, length: float) -> FloatArray:
    """Prior covariance [9, 9] of the local corrections that gives the log shape an sd of `sd` at the optimum.

    `length` is how far apart corrections still agree, in the unit of `CENTRES`.
    """
    gap = CENTRES[:, None] - CENTRES
    kernel = np.exp(-0.5 * (gap / length) ** 2) + NUGGET * np.eye(len(CENTRES))
    return np.asarray(kernel * sd**2 / float(AT_ZERO @ kernel @ AT_ZERO))
