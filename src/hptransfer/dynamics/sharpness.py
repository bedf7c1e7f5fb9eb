"""Curvature of the loss: Hessian-vector products, directional sharpness, the top eigenvalue by Lanczos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, jvp

from hptransfer.errors import DynamicsError

Weights = dict[str, Tensor]
LossOf = Callable[[Weights], Tensor]


def hessian_vector(loss_of: LossOf, weights: Weights, vector: Weights) -> Weights:
    """H v, exactly, by forward-over-reverse differentiation; about the cost of two gradients.

    Args:
        loss_of: a scalar loss of the weights, written in operations that can be differentiated twice (fused
            attention often cannot).
        weights: by name.
        vector: of the same names and shapes.
    """
    product: Weights = jvp(grad(loss_of), (weights,), (vector,))[1]
    return product


def directional_sharpness(loss_of: LossOf, weights: Weights, direction: Weights) -> Tensor:
    """d.H.d / d.g along an update direction d, where a step is weights - LR x d (arXiv:2601.16979).

    2 / critical LR where the loss is quadratic along d; the largest eigenvalue of H where d is its vector.

    Returns:
        Zero-dimensional; negative where the curvature is, or where d is no descent direction.
    """
    gradient = grad(loss_of)(weights)
    return dot(direction, hessian_vector(loss_of, weights, direction)) / dot(direction, gradient)


@dataclass(frozen=True)
class TopEigenvalue:
    """What Lanczos found.

    Attributes:
        value: the largest eigenvalue, with its sign.
        residual: |H u - value u| of the unit vector u that belongs to it: an eigenvalue lies within it.
        vector: u.
        products: Hessian-vector products taken.
    """

    value: float
    residual: float
    vector: Weights
    products: int


def top_eigenvalue(
    loss_of: LossOf,
    weights: Weights,
    *,
    preconditioner: Mapping[str, Tensor] | None = None,
    iterations: int = 40,
    tolerance: float = 1e-4,
    seed: int = 0,
) -> TopEigenvalue:
    """The largest eigenvalue of the Hessian by Lanczos with full reorthogonalisation; for small models.

    Keeps one vector as large as the model for every iteration.

    Args:
        loss_of: as for `hessian_vector`.
        weights: by name.
        preconditioner: diagonal P > 0 by name, such as Adam's sqrt(second moment) + eps; the eigenvalue is
            then that of P^-1/2 H P^-1/2, whose stability limit is 2 / LR.
        iterations: at most.
        tolerance: stops where residual <= tolerance x |value|.
        seed: of the start vector.

    Raises:
        DynamicsError: a setting is out of range, or a product is not finite.
    """
    if iterations < 1 or not tolerance > 0:
        raise DynamicsError(
            f"iterations >= 1 and tolerance > 0 must hold, but got {iterations}, {tolerance:g}"
        )
    root = None if preconditioner is None else _flat({n: preconditioner[n] for n in weights}).sqrt()

    def product(vector: Tensor) -> Tensor:
        scaled = vector if root is None else vector / root
        out = _flat(hessian_vector(loss_of, weights, _like(scaled, weights)))
        return out if root is None else out / root

    return _lanczos(product, weights, iterations, tolerance, seed)


def _lanczos(
    product: Callable[[Tensor], Tensor], weights: Weights, iterations: int, tolerance: float, seed: int
) -> TopEigenvalue:
    flat = _flat(weights)
    start = torch.randn(flat.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    basis = [(start / start.norm()).to(flat)]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        step = product(basis[-1])
        diagonal.append(float(basis[-1] @ step))
        for _ in range(2):  # twice is enough against loss of orthogonality
            step = step - torch.stack(basis).T @ (torch.stack(basis) @ step)
        beside.append(float(step.norm()))
        if not np.isfinite(diagonal[-1] + beside[-1]):
            raise DynamicsError("Hessian-vector products must be finite, but one is not")
        values, vectors = np.linalg.eigh(np.diag(diagonal) + _sides(beside[:-1]))
        value, residual = float(values[-1]), abs(beside[-1] * float(vectors[-1, -1]))
        if residual <= tolerance * abs(value) or len(basis) in (iterations, flat.numel()):
            break
        basis.append(step / beside[-1])
    weight = torch.from_numpy(vectors[:, -1].copy()).to(flat)
    return TopEigenvalue(value, residual, _like(torch.stack(basis).T @ weight, weights), len(basis))


def _sides(values: list[float]) -> np.ndarray:
    return np.diag(values, 1) + np.diag(values, -1)


def dot(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tensor:
    """Inner product over all tensors."""
    return torch.stack([(a[name] * b[name]).sum() for name in a]).sum()


def _flat(tensors: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors.values()])


def _like(flat: Tensor, weights: Weights) -> Weights:
    parts = torch.split(flat, [w.numel() for w in weights.values()])
    return {name: part.view(w.shape) for (name, w), part in zip(weights.items(), parts, strict=True)}
