"""What the papers behind the demonstration ask, in plain sentences: SP, muP, the share of the embedding."""

from __future__ import annotations

import numpy as np

from hptransfer.quantify.intervals import estimate, missing
from hptransfer.quantify.result import Estimate, SweepFit, VariantFit
from hptransfer.report import number_format, sentences

_LEAST_GAIN = 0.0  # nats that muP must certainly gain for a share of it to mean anything


def recovered(fit: SweepFit, base: str, part: str, whole: str) -> Estimate:
    """The share of the loss that `whole` gains over `base`, at the largest scale, that `part` gains.

    From paired draws, since noise that the variants share cancels; unknown where the gain may be nothing.
    """
    losses = {name: fit.variants[name].metrics["R_n"].value for name in (base, part, whole)}
    draws = {name: fit.variants[name].draws.get("R_n") for name in losses}
    if any(value is None for value in (*losses.values(), *draws.values())):
        return missing("no_optimum")
    b, p, w = (np.asarray(draws[name], dtype=np.float64) for name in (base, part, whole))
    level = float(fit.settings["level"])
    if np.quantile(b - w, 0.5 * (1.0 - level)) <= _LEAST_GAIN:
        return missing("no_gain")
    at = {name: value or 0.0 for name, value in losses.items()}
    share = (at[base] - at[part]) / (at[base] - at[whole])
    return estimate(share, (b - p) / (b - w), level)


def plain_sentences(fit: SweepFit) -> list[str]:
    """Does the learning rate carry under SP, under muP, and how much of muP's gain is the embedding's alone?

    Empty where the study has other variants.
    """
    if not {"sp", "sp+embd", "mup"} <= fit.variants.keys():
        return []
    out = [_carries(fit, fit.variants["sp"], "SP"), _carries(fit, fit.variants["mup"], "muP")]
    found = recovered(fit, "sp", "sp+embd", "mup")
    largest = f"{fit.sweep.columns.scale} {number_format.scale(float(fit.sweep.scale.max()))}"
    if found.value is None:
        out.append(f"What muP gains over SP at {largest} may be nothing, so no share of it can be told.")
        return out
    low, high = (np.nan if end is None else 100 * end for end in (found.low, found.high))
    out.append(
        f"The embedding's learning rate alone (sp+embd) recovers {number_format.percent(found.value)} "
        f"[{number_format.count(low)}, {number_format.count(high)}] of what muP gains over SP at {largest}."
    )
    return out


def _carries(fit: SweepFit, variant: VariantFit, name: str) -> str:
    """Whether one variant's value carries over, in one sentence."""
    verdict, scale = variant.verdict, fit.sweep.columns.scale
    smallest, keep = number_format.scale(variant.optima[0].scale), verdict.keep
    does = {"yes": "transfers", "no": "does not transfer", "not known": "may or may not transfer"}[keep.value]
    told = sentences.amount(fit, keep.cost) if keep.cost.value is not None else "an unknown amount"
    at = "" if keep.scale is None else f" at {scale} {number_format.scale(keep.scale)}"
    none = f", where {number_format.precise(verdict.tolerance)} counts as none" if keep.value == "yes" else ""
    return (
        f"Under {name} the learning rate {does}: to keep that of {scale} {smallest} costs {told}{at}{none}."
    )
