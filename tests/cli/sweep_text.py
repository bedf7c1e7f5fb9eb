"""A sweep as the text of a CSV file."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def table(
    widths: Iterable[int] = (64, 128, 256, 512),
    variants: Iterable[str] = ("sp", "mup"),
    lrs: Iterable[int] = range(3, 12),
) -> str:
    """Losses are parabolas of log2 lr; the optimum of `sp` moves by -1 a doubling, that of others stays."""
    lines = ["variant,width,lr,seed,loss"]
    for variant in variants:
        for width in widths:
            for x in lrs:
                best = 7 + (np.log2(width / 64) if variant == "sp" else 0)
                loss = 3 + (width / 64) ** -0.5 + 0.05 * (x - best) ** 2
                lines.append(f"{variant},{width},{2.0**-x},0,{loss:.6f}")
    return "\n".join(lines) + "\n"
