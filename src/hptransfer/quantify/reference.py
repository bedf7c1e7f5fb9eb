"""What a variant's loss is measured from: the lower envelope of all variants, or one that the user names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.intervals import MetricDraws, measured, unknown
from hptransfer.quantify.law.laws import Laws
from hptransfer.quantify.law.loss_law import LossFit, fit_loss
from hptransfer.quantify.law.siblings import MIN_SCALES
from hptransfer.quantify.result import VariantFit
from hptransfer.sweep.table import FloatArray

ROUNDING = 1e-9  # nats; the reference measured against itself is 0


@dataclass(frozen=True)
class Reference:
    """Best losses by scale; K scales."""

    scale: FloatArray  # n, ascending, [K]
    loss: FloatArray  # best loss there, nats, [K]
    draws: FloatArray  # of it, [B, K]
    # The loss law through them; None with fewer than 3 scales, or before references are joined.
    law: LossFit | None = None

    def with_law(self) -> Reference:
        """The same with the loss law through it, where it has scales enough."""
        if len(self.scale) < MIN_SCALES:
            return self
        return replace(self, law=fit_loss(self.scale, self.loss, self.draws))


def reference_of(basins: Basins) -> Reference:
    """The losses of one variant at its optima."""
    inside = basins.fitted
    return Reference(basins.cells.scale[inside], basins.loss[inside], basins.loss_draws[:, inside])


def lower_envelope(parts: Sequence[Reference | None]) -> Reference | None:
    """At each scale the best loss of any of these, draw by draw, without a law; None where none has any."""
    known = [part for part in parts if part is not None and len(part.scale)]
    if not known:
        return None
    scales = np.unique(np.concatenate([part.scale for part in known]))
    best = np.full(len(scales), np.inf)
    draws = np.full((len(known[0].draws), len(scales)), np.inf)
    for part in known:
        at = np.searchsorted(scales, part.scale)
        best[at] = np.minimum(best[at], part.loss)
        draws[:, at] = np.minimum(draws[:, at], part.draws)
    return Reference(scales, best, draws)


def penalty_at_largest(basins: Basins, against: Reference | None, level: float) -> MetricDraws:
    """R_n: loss above the reference at the largest scale that both have, nats; needs no law."""
    if against is None:
        return unknown("no_optimum")
    both = np.flatnonzero(basins.fitted & np.isin(basins.cells.scale, against.scale))
    if not len(both):
        return unknown("no_optimum")
    k = int(both[-1])
    at = int(np.searchsorted(against.scale, basins.cells.scale[k]))
    flags = () if k == len(basins.fitted) - 1 else ("not_at_largest_scale",)
    value, draws = float(basins.loss[k] - against.loss[at]), basins.loss_draws[:, k] - against.draws[:, at]
    return measured(value, draws, level, *flags)


def penalty_at_infinity(laws: Laws | None, against: Reference | None, level: float) -> MetricDraws:
    """R_inf: L_inf above that of the reference, nats; unknown without laws of both."""
    if laws is None or against is None or against.law is None:
        return unknown("no_laws")
    draws = laws.loss.draws[:, 0] - against.law.draws[laws.index, 0]
    value = float(laws.loss.parameters[0] - against.law.parameters[0])
    if abs(value) < ROUNDING and np.abs(draws).max() < ROUNDING:
        value, draws = 0.0, np.zeros_like(draws)
    return measured(value, draws, level, *(laws.loss.flags or against.law.flags))


def check_crossing(variants: Mapping[str, VariantFit], reference: str | None) -> dict[str, VariantFit]:
    """The fits with `laws_cross` on every R_inf where the envelope's limit lies below that of every variant.

    That happens where the loss laws cross: the envelope takes one variant's losses at small scales and
    another's at large ones, and its law falls faster than any of them.
    """
    penalties = [v.metrics["R_inf"].value for v in variants.values() if "R_inf" in v.metrics]
    known = [value for value in penalties if value is not None]
    if reference is not None or len(known) < 2 or min(known) <= ROUNDING:
        return dict(variants)
    out = {}
    for name, variant in variants.items():
        found = variant.metrics.get("R_inf")
        if found is not None and found.value is not None:
            flagged = replace(found, flags=(*found.flags, "laws_cross"))
            variant = replace(variant, metrics={**variant.metrics, "R_inf": flagged})
        out[name] = variant
    return out
