"""Linear algebra on stacks of small matrices, in double precision."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hptransfer.sweep.table import FloatArray

BLOCK = 150_000  # numbers worked on at once: enough to amortise the calls, little enough for the cache
EPSILON = float(np.finfo(np.float64).eps)


def inverse(matrices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inverse [..., N, N] and log determinant [...] of each positive definite matrix.

    Gauss and Jordan's steps on a whole block at once. On thousands of matrices LAPACK, one by one, takes
    twice as long at N = 13 and nine times at N = 3.
    Positive definite matrices need no pivoting, nor do those that rounding leaves barely indefinite.
    """
    size = matrices.shape[-1]
    flat = matrices.reshape(-1, size * size)
    out, log_det = np.empty(flat.shape), np.zeros(len(flat))
    for here, work in _blocks(flat, size):
        least = _least_pivots(work, size)
        for k in range(size):
            work[k, k] = np.where(work[k, k] == 0.0, least[k], work[k, k])
            pivot, row, column = work[k, k].copy(), work[k] / work[k, k], work[:, k].copy()
            log_det[here] += np.log(np.abs(pivot))
            work -= column[:, None] * row
            work[k], work[:, k] = row, column / -pivot
            work[k, k] = 1.0 / pivot
        out[here] = work.reshape(size * size, -1).T
    return out.reshape(matrices.shape), log_det.reshape(matrices.shape[:-2])


def eliminated(matrices: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    """What is left of each symmetric matrix without its first `count` unknowns: the Schur complement.

    Returns it, [..., N - count, N - count], and the log determinant of the part eliminated, positive
    definite, [...].
    """
    size, left = matrices.shape[-1], matrices.shape[-1] - count
    flat = matrices.reshape(-1, size * size)
    out, log_det = np.empty((len(flat), left * left)), np.zeros(len(flat))
    for here, work in _blocks(flat, size):
        least = _least_pivots(work, count)
        for k in range(count):
            work[k, k] = np.where(work[k, k] == 0.0, least[k], work[k, k])
            log_det[here] += np.log(np.abs(work[k, k]))
            row = work[k, k + 1 :] / work[k, k]
            work[k + 1 :, k + 1 :] -= work[k, k + 1 :, None] * row
        out[here] = work[count:, count:].reshape(left * left, -1).T
    return out.reshape(*matrices.shape[:-2], left, left), log_det.reshape(matrices.shape[:-2])


def _blocks(flat: FloatArray, size: int) -> Iterator[tuple[slice, FloatArray]]:
    """Copies of the matrices [M, N * N], some at a time, as [N, N, some]: rows long enough to be quick."""
    step = max(BLOCK // size**2, 1)
    for start in range(0, len(flat), step):
        here = slice(start, start + step)
        yield here, np.array(flat[here].T, order="C").reshape(size, size, -1)


def _least_pivots(work: FloatArray, count: int) -> FloatArray:
    """What stands for a pivot that rounding leaves at nothing: the error that it has, [count, some]."""
    diagonal = np.abs(work[range(count), range(count)])
    return np.asarray(EPSILON * np.where(diagonal > 0.0, diagonal, 1.0))


def root(covariance: FloatArray) -> FloatArray:
    """A square root of each matrix; rounding may leave them barely indefinite."""
    try:
        return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    except np.linalg.LinAlgError:
        value, vector = np.linalg.eigh(covariance)
        return np.asarray(vector * np.sqrt(np.maximum(value, 0.0))[..., None, :])
