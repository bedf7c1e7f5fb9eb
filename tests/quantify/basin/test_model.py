"""The least-squares model of all basins of a variant: its derivatives, its step and its evidence."""

import numpy as np
import pytest

from hptransfer.quantify.basin import batched_linalg, model
from hptransfer.quantify.basin.model import (
    LOCAL,
    PRECISIONS,
    PRIOR_MEAN,
    SHARED,
    State,
    VariantBatch,
    _jacobian,
    apply_step,
    linearised,
    log_evidence,
    normal_equations,
)
from hptransfer.quantify.basin.shape import excess
from hptransfer.quantify.priors import SHAPE


def batch_of(scales: int = 2, cells: int = 6) -> VariantBatch:
    rng = np.random.default_rng(3)
    x = np.tile(np.linspace(-3.0, 2.0, cells), (1, scales, 1))
    return VariantBatch(
        x=x,
        y=3.0 + 0.1 * x**2 + 0.01 * rng.standard_normal(x.shape),
        count=np.ones(x.shape),
        spread=np.zeros(x.shape),
        t=np.linspace(-0.5, 0.5, scales)[None],
        real=np.ones((1, scales), dtype=bool),
        x_prior_mean=np.zeros((1, scales)),
        spacing=np.full((1, scales), 0.75),
    )


START = State(np.array([[[[3.0, 0.1, 0.0], [3.0, -0.1, 0.0]]]]), PRIOR_MEAN[None, None] + 0.01)


def predicted(batch: VariantBatch, vector: np.ndarray) -> np.ndarray:
    """The model's losses [K, N] for the parameters of all scales, then the shared ones."""
    local, shared = vector[: -model.SHARED].reshape(-1, LOCAL), vector[-SHARED:]
    out = []
    for k, (loss, x, deviation) in enumerate(local):
        log_curvature = shared[0] + shared[1] * batch.t[0, k] + deviation
        out.append(loss + excess(batch.x[0, k] - x, np.array(log_curvature), shared[2:]))
    return np.array(out)


def test_the_jacobian_holds_the_derivatives_and_the_residuals():
    batch = batch_of()
    vector = np.concatenate([START.local.ravel(), START.shared.ravel()])
    found, step = _jacobian(batch, START)[0, 0], 1e-6
    assert found[..., -1] == pytest.approx(batch.y[0] - predicted(batch, vector))
    for p in range(len(vector)):
        ahead, behind = vector.copy(), vector.copy()
        ahead[p], behind[p] = ahead[p] + step, behind[p] - step
        numeric = (predicted(batch, ahead) - predicted(batch, behind)) / (2 * step)
        own = p // LOCAL if p < 2 * LOCAL else None
        column = p % LOCAL if p < 2 * LOCAL else p - LOCAL
        for k in range(2):
            expected = numeric[k] if own in (None, k) else np.zeros(6)
            assert expected == pytest.approx(found[k, :, column] * (own in (None, k)), abs=1e-7), (p, k)


def test_a_step_solves_the_least_squares_problem_with_its_priors():
    batch = batch_of()
    variance = 0.02**2
    weight = batched_linalg.inverse(variance * np.ones((1, 1, 2, 1, 1)) * np.eye(6))
    found = normal_equations(batch, START, linearised(batch, START, *weight), PRECISIONS[None, :1])
    design, prior_mean, prior = _written_out(batch, START)
    residual = _jacobian(batch, START)[0, 0, ..., -1].ravel()
    inverse = np.linalg.inv(prior)
    inverse[0, 0] = inverse[LOCAL, LOCAL] = model.FLAT_PRECISION  # of the losses at the optima
    total = design.T @ design / variance + inverse
    step = np.linalg.solve(total, design.T @ residual / variance + inverse @ prior_mean)
    assert found.step.local.ravel() == pytest.approx(step[: 2 * LOCAL], rel=1e-6, abs=1e-9)
    assert found.step.shared.ravel() == pytest.approx(step[2 * LOCAL :], rel=1e-6, abs=1e-9)
    covariance = np.linalg.inv(total)
    assert found.shared[0, 0] == pytest.approx(covariance[2 * LOCAL :, 2 * LOCAL :], rel=1e-5, abs=1e-9)
    own = np.linalg.inv(total[:LOCAL, :LOCAL])
    assert found.cov_given_shape[0, 0, 0] == pytest.approx(own, rel=1e-6)
    assert found.cross[0, 0, 0] == pytest.approx(own @ total[:LOCAL, 2 * LOCAL :], rel=1e-5, abs=1e-9)


def test_steps_are_held_to_sane_sizes():
    far = State(np.full((1, 1, 1, LOCAL), 9.0), np.full((1, 1, SHARED), 9.0))
    zero = State(np.zeros((1, 1, 1, LOCAL)), np.zeros((1, 1, SHARED)))
    found = apply_step(zero, far, np.array([[0.2]]))
    assert found.local.ravel().tolist() == [9.0, 0.2, 0.5]
    assert found.shared.ravel() == pytest.approx([0.7, 0.3, 0.3, 0.4] + [0.3] * 9)
    for _ in range(20):
        found = apply_step(found, far, np.array([[0.2]]))
    assert found.shared[0, 0, 2:4].tolist() == [1.7, 3.0]  # tilt and bend have ends
    for _ in range(40):
        found = apply_step(found, State(-far.local, -far.shared), np.array([[0.2]]))
    assert found.shared[0, 0, 2:4].tolist() == [-1.7, -1.5]


def test_an_optimum_starts_with_a_weak_prior():
    assert batch_of().x_prior_sd.tolist() == [[2.0, 2.0]]  # 2 spacings and half an octave


def test_evidence_is_the_marginal_likelihood():
    """Against a normal with all parameters integrated out, its covariance written down in full."""
    batch = batch_of()
    variances = np.array([0.01, 0.03]) ** 2
    covariance = variances[None, :, None, None, None] * np.ones((1, 2, 2, 1, 1)) * np.eye(6)
    linear = linearised(batch, START, *batched_linalg.inverse(covariance))
    found = log_evidence(batch, START, linear, PRECISIONS[None, :1])
    direct = [_marginal(batch, START, v) for v in variances]
    # The loss at the optimum has a flat prior here, so only differences between settings mean anything.
    assert found[0, 1] - found[0, 0] == pytest.approx(direct[1] - direct[0], rel=1e-4)


def test_several_priors_at_once_are_each_alone():
    batch = batch_of()
    linear = linearised(batch, START, *batched_linalg.inverse(4e-4 * np.ones((1, 1, 2, 1, 1)) * np.eye(6)))
    together = log_evidence(batch, START, linear, PRECISIONS[None])
    alone = [log_evidence(batch, START, linear, PRECISIONS[None, i : i + 1])[0, 0] for i in range(3)]
    assert together[0] == pytest.approx(alone)


def _written_out(batch: VariantBatch, state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Design matrix, prior mean and prior covariance of all parameters at once, about the state."""
    jacobian = _jacobian(batch, state)[0, 0]
    scales, cells, _ = jacobian.shape
    width = LOCAL * scales + SHARED
    design, prior_mean = np.zeros((scales * cells, width)), np.zeros(width)
    prior = np.zeros((width, width))
    for k in range(scales):
        rows, own = slice(k * cells, (k + 1) * cells), slice(k * LOCAL, (k + 1) * LOCAL)
        design[rows, own], design[rows, LOCAL * scales :] = jacobian[k, :, :LOCAL], jacobian[k, :, LOCAL:-1]
        prior[own, own] = np.diag([1e4, batch.x_prior_sd[0, k] ** 2, SHAPE.curvature_scatter_sd**2])
        prior_mean[own] = -state.local[0, 0, k]
        prior_mean[k * LOCAL] = 0.0
    prior[LOCAL * scales :, LOCAL * scales :] = np.linalg.inv(PRECISIONS[0])
    prior_mean[LOCAL * scales :] = PRIOR_MEAN - state.shared[0, 0]
    return design, prior_mean, prior


def _marginal(batch: VariantBatch, state: State, variance: float) -> float:
    design, prior_mean, prior = _written_out(batch, state)
    residual = _jacobian(batch, state)[0, 0, ..., -1].ravel() - design @ prior_mean
    total = design @ prior @ design.T + variance * np.eye(len(residual))
    return float(-0.5 * (residual @ np.linalg.solve(total, residual) + np.linalg.slogdet(total)[1]))
