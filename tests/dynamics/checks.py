"""A coordinate check made by hand, shared by the tests of its result and of its figure."""

from __future__ import annotations

import numpy as np

from hptransfer.dynamics.result import CoordCheck
from hptransfer.dynamics.slopes import check_layer

WIDTHS = (16, 64, 256)
SEEDS, STEPS = 2, 2
EXPONENTS = {"tokens": 0.0, "readout": 0.5}  # of the change against width; the readout grows


def by_hand() -> CoordCheck:
    n = np.array(WIDTHS, dtype=float)[:, None, None] * np.ones((1, SEEDS, STEPS + 1))
    noise = 1 + 1e-3 * np.random.default_rng(0).normal(size=n.shape)
    sizes = {}
    for name, exponent in EXPONENTS.items():
        change = n**exponent * noise * np.array([0, 1, 2])
        sizes[name] = np.stack([noise, 0.8 * noise, change, 0.5 * change], axis=-1)
    layers = [check_layer(k, v[..., [0, 2]], WIDTHS, 0.95, (-0.25, 0.1)) for k, v in sizes.items()]
    settings = {
        "rule": "sp",
        "coordinates": "sp",
        "widths": list(WIDTHS),
        "base_width": 16,
        "steps": STEPS,
        "seeds": SEEDS,
        "lr": 0.01,
        "optimizer": "adamw",
        "level": 0.95,
        "threshold": [-0.25, 0.1],
    }
    losses = np.array([[[3.0, 2.0]] * SEEDS] * len(WIDTHS))
    return CoordCheck(tuple(layer for layer in layers if layer), sizes, losses, settings, ("A note.",))
