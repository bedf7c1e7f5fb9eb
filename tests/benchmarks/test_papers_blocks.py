"""Rules compared within seeds: known differences."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest


def test_a_contrast_and_its_interval_by_hand(papers):
    blocks = papers("blocks")
    losses = pd.DataFrame({"a": [3.1, 3.3], "b": [3.0, 3.22], "c": [2.9, 3.08]})  # [seeds, variants]
    found = blocks.contrast(losses, {"a": 1.0, "b": -1.0})
    assert found.value == pytest.approx(0.09)
    # Beside rule and seed, the six losses keep 0, -0.01, 0.01 and 0, 0.01, -0.01: squares add up to 4e-4.
    half = 4.302653 * np.sqrt(4e-4 / 2) * np.sqrt(2 / 2)
    assert (found.low, found.high) == pytest.approx((0.09 - half, 0.09 + half))


def test_what_seeds_share_does_not_widen_the_interval(papers):
    blocks, rng = papers("blocks"), np.random.default_rng(0)
    noise = rng.normal(0, 0.01, (4, 16))
    quiet = pd.DataFrame(3 + noise, columns=[f"v{i}" for i in range(16)])
    loud = quiet.add([0.0, 0.5, 1.0, 1.5], axis=0)
    a, b = (blocks.contrast(f, {"v0": 1.0, "v1": -1.0}) for f in (quiet, loud))
    assert a.high - a.low == pytest.approx(b.high - b.low)
    assert a.high - a.low == pytest.approx(2 * 2.014 * 0.01 * np.sqrt(2 / 4), rel=0.3)  # t with 45 degrees
    assert blocks.contrast(quiet[:1], {"v0": 1.0, "v1": -1.0}).low is None


def test_the_lowest_loss_is_that_of_each_seed_at_the_largest_width(papers):
    rows = [
        (variant, width, seed, x, 3 + seed + (x - 1) ** 2 + (variant == "b") - width / 1000)
        for variant, width, seed, x in product("ab", (32, 64), (0, 1), (0, 1, 2))
    ]
    frame = pd.DataFrame(rows, columns=["variant", "width", "seed", "x", "loss"])
    found = papers("blocks").lowest(frame)
    assert found.loc[1, "b"] == pytest.approx(5 - 0.064)
    assert found.shape == (2, 2)
