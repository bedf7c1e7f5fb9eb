"""How much of their noise variants share."""

import numpy as np
import pytest

from hptransfer.quantify.basin.shared_noise import shared_noise


def residuals(values):
    return {(64.0, float(i)): float(v) for i, v in enumerate(values)}


def test_noise_that_variants_share_is_shrunk_where_cells_are_few():
    z = np.random.default_rng(0).standard_normal(48).clip(-2.9, 2.9)
    assert shared_noise([residuals(z), residuals(z)]) == pytest.approx(48 / 60)
    assert shared_noise([residuals(z[:12]), residuals(z[:12])]) == pytest.approx(12 / 24)
    assert shared_noise([residuals(z), residuals(-z)]) == 0.0
    assert shared_noise([residuals(z)]) == 0.0
    assert shared_noise([{(1.0, 1.0): 1.0}, {(2.0, 1.0): 1.0}]) == 0.0
    assert shared_noise([residuals([100.0, 1.0]), residuals([3.0, 1.0])]) == pytest.approx(2 / 14)
    many = np.tile(z, 100)
    assert shared_noise([residuals(many), residuals(many)]) == 0.95


@pytest.mark.parametrize(("variants", "step"), [(20, 1), (29, 2), (36, 3)])  # 190, 406 and 630 pairs
def test_of_many_pairs_some_two_hundred_are_looked_at(variants: int, step: int):
    rng = np.random.default_rng(1)
    common = rng.standard_normal(40)
    z = (0.7 * common + 0.7 * rng.standard_normal((variants, 40))).clip(-2.9, 2.9)
    some = [(i, j) for j in range(variants) for i in range(j)][::step]
    product = sum(float(z[i] @ z[j]) for i, j in some)
    weight = sum(float(np.sqrt((z[i] @ z[i]) * (z[j] @ z[j]))) for i, j in some)
    assert shared_noise([residuals(row) for row in z]) == pytest.approx(product / weight * 40 / 52)
