"""How much of their noise variants share."""

import numpy as np
import pytest

from hptransfer.quantify.basin import shared_noise as module
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


def test_of_many_pairs_only_some_are_looked_at(monkeypatch):
    rng = np.random.default_rng(1)
    z = rng.standard_normal(40).clip(-2.9, 2.9)
    tables = [residuals(z), residuals(z), residuals(-z), residuals(z)]
    every = shared_noise(tables)
    assert every == 0.0  # three pairs agree and three are opposed
    monkeypatch.setattr(module, "MOST_PAIRS", 3)  # every second pair: (0, 1), (1, 2), (1, 3)
    assert shared_noise(tables) == pytest.approx((1 - 1 + 1) / 3 * 40 / 52)
