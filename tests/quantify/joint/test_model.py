import numpy as np
import pytest

from hptransfer.quantify.joint.model import Batch, State, linearised, shared_mean


@pytest.mark.parametrize(("d", "axes"), [(2, 1), (3, 1), (2, 3)])
def test_the_jacobian_is_the_residuals_derivative(d, axes):
    rng = np.random.default_rng(d)
    scales, size = 3, 12
    count = np.ones((scales, size))
    count[1, -3:] = 0  # padding
    batch = Batch(
        x=rng.uniform(-3, 3, (scales, size, d)),
        y=rng.uniform(2, 3, (scales, size)),
        count=count,
        spread=np.zeros((scales, size)),
        place_sd=np.zeros((scales, size, d)),
        t=np.array([-1.0, 0.0, 1.0])[:, None] * np.arange(1, axes + 1),
        x_mean=np.zeros((scales, d)),
        x_sd=np.ones((scales, d)),
    )
    layout = batch.layout
    local = 0.2 * rng.standard_normal((scales, layout.local))
    shared = shared_mean(layout) + 0.1 * rng.standard_normal(layout.shared)
    found = linearised(batch, State(local, shared)).jacobian
    assert found.shape == (scales, size, layout.local + layout.shared + 1)
    assert (found[1, -3:] == 0).all()

    def residual(move, shift):
        return linearised(batch, State(local + move, shared + shift)).jacobian[..., -1]

    step = 1e-6
    for p in range(layout.local):
        move = step * np.eye(layout.local)[p]
        slope = -(residual(move, 0) - residual(-move, 0)) / (2 * step)
        np.testing.assert_allclose(found[..., p], slope, atol=1e-6)
    for p in range(layout.shared):
        shift = step * np.eye(layout.shared)[p]
        slope = -(residual(0, shift) - residual(0, -shift)) / (2 * step)
        np.testing.assert_allclose(found[..., layout.local + p], slope, atol=1e-6)


def test_parameters_split_where_the_layout_says():
    layout = Batch(
        *[np.zeros((1, 1, 3))],
        *[np.zeros((1, 1))] * 3,
        np.zeros((1, 1, 3)),
        np.zeros((1, 2)),
        *[np.zeros(1)] * 2,
    ).layout
    assert (layout.d, layout.couplings, layout.local) == (3, 3, 10)
    sizes = [len(part) for part in layout.split_shared(np.arange(layout.shared))]
    assert tuple(sizes) == layout.shared_sizes
    assert sizes[1] == 3 * 2
    assert [np.size(part) for part in layout.split_local(np.arange(10.0))] == [1, 3, 3, 3]
