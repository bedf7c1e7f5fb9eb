"""Stacks of small matrices against LAPACK, one matrix at a time."""

from __future__ import annotations

import numpy as np
import pytest

from hptransfer.quantify.basin import batched_linalg


def definite(count: int, size: int, spread: float = 1.0) -> np.ndarray:
    """Positive definite matrices with condition numbers up to about 10**(2 * spread)."""
    rng = np.random.default_rng(size)
    basis = np.linalg.qr(rng.standard_normal((count, size, size)))[0]
    values = 10.0 ** rng.uniform(-spread, spread, (count, 1, size))
    return (basis * values) @ np.swapaxes(basis, -1, -2)


@pytest.mark.parametrize(("count", "size"), [(1, 1), (1, 5), (7, 3), (3000, 7), (500, 13)])
def test_inverse_and_determinant(count: int, size: int) -> None:
    matrices = definite(count, size)
    before = matrices.copy()
    inverse, log_det = batched_linalg.inverse(matrices)
    assert np.allclose(inverse @ matrices, np.eye(size), atol=1e-9)
    assert np.allclose(log_det, np.linalg.slogdet(matrices)[1], atol=1e-9)
    assert np.array_equal(matrices, before), "the matrices given are left as they were"


def test_an_ill_conditioned_stack() -> None:
    matrices = definite(50, 8, spread=5.0)
    inverse, log_det = batched_linalg.inverse(matrices)
    exact = np.linalg.inv(matrices)
    assert np.abs(inverse - exact).max() < 1e-4 * np.abs(exact).max()
    assert np.allclose(log_det, np.linalg.slogdet(matrices)[1], atol=1e-3)


def test_a_pivot_that_rounding_leaves_at_nothing_stands_for_its_error() -> None:
    singular = np.array([[[4.0, 2.0], [2.0, 1.0]]])
    inverse, log_det = batched_linalg.inverse(singular)
    assert np.isfinite(inverse).all()
    assert log_det[0] == pytest.approx(np.log(4.0 * np.finfo(float).eps))
    left, eliminated = batched_linalg.eliminated(np.zeros((1, 2, 2)), 1)
    assert np.isfinite(left).all()
    assert np.isfinite(eliminated).all()


def test_a_barely_indefinite_matrix_is_inverted_as_it_is() -> None:
    matrices = definite(3, 5)
    values, vectors = np.linalg.eigh(matrices)
    values[:, 0] = -1e-3
    matrices = (vectors * values[:, None]) @ np.swapaxes(vectors, -1, -2)
    inverse, log_det = batched_linalg.inverse(matrices)
    assert np.allclose(inverse @ matrices, np.eye(5), atol=1e-8)
    assert np.allclose(log_det, np.linalg.slogdet(matrices)[1])


def test_leading_axes_are_kept() -> None:
    matrices = definite(12, 4).reshape(2, 3, 2, 4, 4)
    inverse, log_det = batched_linalg.inverse(matrices)
    assert inverse.shape == matrices.shape
    assert log_det.shape == (2, 3, 2)
    left, _ = batched_linalg.eliminated(matrices, 1)
    assert left.shape == (2, 3, 2, 3, 3)


@pytest.mark.parametrize(("count", "size", "gone"), [(1, 3, 1), (40, 6, 3), (2000, 17, 3), (900, 14, 13)])
def test_elimination_is_the_schur_complement(count: int, size: int, gone: int) -> None:
    matrices = definite(count, size)
    left, log_det = batched_linalg.eliminated(matrices, gone)
    a, b, d = matrices[:, :gone, :gone], matrices[:, :gone, gone:], matrices[:, gone:, gone:]
    assert np.allclose(left, d - np.swapaxes(b, -1, -2) @ np.linalg.solve(a, b), atol=1e-8)
    assert np.allclose(log_det, np.linalg.slogdet(a)[1], atol=1e-9)


def test_an_empty_stack() -> None:
    inverse, log_det = batched_linalg.inverse(np.zeros((0, 3, 3)))
    assert inverse.shape == (0, 3, 3)
    assert log_det.shape == (0,)


def test_root_of_a_barely_indefinite_matrix() -> None:
    matrix = np.diag([1.0, -1e-18])[None]
    root = batched_linalg.root(matrix)
    assert np.allclose(root @ np.swapaxes(root, -1, -2), matrix, atol=1e-15)
