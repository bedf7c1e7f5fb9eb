"""Linear algebra on stacks of small matrices, in double precision."""

from __future__ import annotations

import numpy as np

from hptransfer.landscape import FloatArray


def inverse(matrices: FloatArray) -> FloatArray:
    """Inverse of each matrix, shape [..., N, N]."""
    return np.asarray(np.linalg.inv(matrices), dtype=np.float64)


def root(covariance: FloatArray) -> FloatArray:
    """A square root of each matrix; rounding may leave them barely indefinite."""
    try:
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    except np.linalg.LinAlgError:
        value, vector = np.linalg.eigh(covariance)
        return np.asarray(vector * np.sqrt(np.maximum(value, 0.0))[..., None, :])
