"""Differences between two variants of one fit, from draws that belong together."""

from __future__ import annotations

import numpy as np

from hptransfer.errors import QuantifyError
from hptransfer.quantify.intervals import estimate
from hptransfer.quantify.result import Estimate, SweepFit


def compare(fit: SweepFit, a: str, b: str) -> dict[str, Estimate]:
    """Metric of variant `a` minus metric of variant `b`, each with its interval, by name.

    The intervals come from paired draws: noise that both variants share cancels. A metric that either
    variant lacks is left out.

    Args:
        fit: with its draws.
        a: the variant whose metrics count positive.
        b: the variant whose metrics are taken off.

    Raises:
        QuantifyError: a name is not a variant of the fit, or the fit does not hold its draws.
    """
    for name in (a, b):
        if name not in fit.variants:
            valid = ", ".join(list(fit.variants)[:8])
            raise QuantifyError(f"compare needs variants of the fit, but got {name!r}; valid: {valid}")
    one, other = fit.variants[a], fit.variants[b]
    if not one.draws or not other.draws:
        raise QuantifyError(
            "compare needs a fit with its draws: one made by quantify() on few enough variants"
        )
    out = {}
    for name in one.draws.keys() & other.draws.keys():
        first, second = one.metrics[name].value, other.metrics[name].value
        if first is None or second is None:
            continue
        draws = one.draws[name].astype(np.float64) - other.draws[name]
        flags = tuple(dict.fromkeys((*one.metrics[name].flags, *other.metrics[name].flags)))
        out[name] = estimate(first - second, draws, fit.settings["level"], *flags)
    return {name: out[name] for name in one.metrics if name in out}
