"""The JSON of a fit, schema version 1: every number that the tables and plots show, and no NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from hptransfer.quantify.result import (
    Estimate,
    HoldOut,
    Law,
    Optimum,
    Prediction,
    Regret,
    SweepFit,
    VariantFit,
    Verdict,
)

SCHEMA = 1
LAWS = ("hp", "loss", "curvature")  # written for every variant, null where one could not be fitted
UNEXPLAINED = "not_estimated"  # the flag of a null that came without a reason

Json = dict[str, Any]


def to_json_dict(fit: SweepFit) -> Json:
    """A fit as plain data for `json.dumps(..., allow_nan=False)`.

    What cannot be estimated is null, and the nearest `flags` says why. `low` and `high` are limits at
    `settings.level`.
    """
    sweep = fit.sweep
    names = sweep.columns
    return {
        "schema": SCHEMA,
        "version": fit.version,
        "source": {"path": sweep.source.path, "sha256": sweep.source.sha256},
        "columns": {
            "scale": names.scale,
            "hp": names.hp,
            "loss": names.loss,
            "variant": names.variant,
            "seed": names.seed,
        },
        "runs": len(sweep),
        "diverged": int(sweep.diverged.sum()),
        "notes": list(sweep.notes),
        "settings": plain(fit.settings),
        "provenance": plain(fit.provenance),
        "variants": {name: _variant(variant) for name, variant in fit.variants.items()},
    }


def plain(value: Any) -> Any:
    """Any setting as JSON has it: arrays as lists, numbers that are not finite as null, else text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return _number(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _variant(variant: VariantFit) -> Json:
    laws = {name: _law(law) for name, law in variant.laws.items()}
    return {
        "optima": [_optimum(optimum) for optimum in variant.optima],
        "laws": {name: laws.get(name) for name in (*LAWS, *(extra for extra in laws if extra not in LAWS))},
        "metrics": {name: _estimate(metric) for name, metric in variant.metrics.items()},
        "regret": [_regret(pair) for pair in variant.regret],
        "predictions": [_prediction(prediction) for prediction in variant.predictions],
        "holdouts": [_holdout(holdout) for holdout in variant.holdouts],
        "verdict": _verdict(variant.verdict),
        "flags": list(variant.flags),
    }


def _optimum(optimum: Optimum) -> Json:
    parts = {
        "hp": optimum.hp,
        "hp_unpooled": optimum.unpooled_hp or optimum.hp,
        "loss": optimum.loss,
        "curvature": optimum.curvature,
        "log_curvature": optimum.log_curvature,
    }
    limits = {key: value for name, part in parts.items() for key, value in _limits(name, part).items()}
    return {
        "scale": optimum.scale,
        **limits,
        "runs": optimum.runs,
        "diverged": optimum.diverged,
        "flags": _flags(limits, optimum.flags, *(part.flags for part in parts.values())),
    }


def _law(law: Law) -> Json:
    limits = _limits("exponent", law.exponent)
    return {
        "family": law.family,
        **limits,
        "parameters": {name: _estimate(parameter) for name, parameter in law.parameters.items()},
        "aicc": {name: _number(value) for name, value in law.aicc.items()},
        "scatter": _number(law.scatter),
        "flags": _flags(limits, law.flags, law.exponent.flags),
    }


def _regret(pair: Regret) -> Json:
    estimate = _estimate(pair.regret)
    factor = _limits("factor", pair.factor)
    flags = _flags({**estimate, **factor}, pair.regret.flags, pair.factor.flags)
    return {"from": pair.source, "to": pair.to, **estimate, **factor, "flags": flags}


def _prediction(prediction: Prediction) -> Json:
    values = {
        **_limits("hp", prediction.hp),
        "hp_recommended": _number(prediction.hp_recommended),
        **_limits("loss", prediction.loss),
        "regret": _number(prediction.regret),
    }
    flags = _flags(values, prediction.flags, prediction.hp.flags, prediction.loss.flags)
    return {"scale": prediction.scale, **values, "flags": flags}


def _holdout(holdout: HoldOut) -> Json:
    parts = {"predicted": holdout.predicted, "found": holdout.found, "regret": holdout.regret}
    limits = {key: value for name, part in parts.items() for key, value in _limits(name, part).items()}
    values = {**limits, "error_octaves": _number(holdout.error_octaves), "covered": holdout.covered}
    flags = _flags(values, holdout.flags, *(part.flags for part in parts.values()))
    return {"scale": holdout.scale, **values, "flags": flags}


def _verdict(verdict: Verdict) -> Json:
    suggested = [
        {"scale": run.scale, "hp": run.hp, "seeds": run.seeds, "flops": _number(run.flops)}
        for run in verdict.suggested
    ]
    return {
        "value": verdict.value,
        "reason": verdict.reason,
        "tolerance": verdict.tolerance,
        "suggested": suggested,
    }


def _estimate(estimate: Estimate) -> Json:
    limits = {
        "value": _number(estimate.value),
        "low": _number(estimate.low),
        "high": _number(estimate.high),
    }
    return {**limits, "flags": _flags(limits, estimate.flags)}


def _limits(name: str, estimate: Estimate) -> Json:
    """An estimate as three keys of its row: hp, hp_low, hp_high."""
    return {
        name: _number(estimate.value),
        f"{name}_low": _number(estimate.low),
        f"{name}_high": _number(estimate.high),
    }


def _flags(values: Json, *sources: tuple[str, ...]) -> list[str]:
    """All flags once, in order; at least one where a value is null."""
    flags = list(dict.fromkeys(flag for source in sources for flag in source))
    return flags or [UNEXPLAINED] * (None in values.values())


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
