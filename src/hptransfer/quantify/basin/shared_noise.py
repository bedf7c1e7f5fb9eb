"""How much noise variants share: runs of two variants with the same seed and batches err together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hptransfer.quantify.priors import SEARCH

MOST_PAIRS = 200  # of variants looked at


def shared_noise(residuals: Sequence[Mapping[tuple[float, float], float]]) -> float:
    """Correlation of the residuals of different variants in the same cell, pooled over pairs, at least 0.

    Residuals are of each variant, standardised, by (scale, log2 eta).
    """
    product = weight = 0.0
    pairs = [(i, j) for j in range(len(residuals)) for i in range(j)]
    step = max(len(pairs) // MOST_PAIRS, 1)
    cells = 0
    for i, j in pairs[::step]:
        both = residuals[i].keys() & residuals[j].keys()
        if not both:
            continue
        # Sorted: the sum must not depend on the order of a set.
        a, b = (np.array([r[key] for key in sorted(both)]) for r in (residuals[i], residuals[j]))
        a, b = (np.clip(z, -SEARCH.shared_noise_clip, SEARCH.shared_noise_clip) for z in (a, b))
        product += float(a @ b)
        weight += float(np.sqrt((a @ a) * (b @ b)))
        cells = max(cells, len(both))
    if weight == 0.0:
        return 0.0
    shrunk = product / weight * cells / (cells + SEARCH.shared_noise_cells)
    return float(np.clip(shrunk, 0.0, SEARCH.shared_noise_most))
