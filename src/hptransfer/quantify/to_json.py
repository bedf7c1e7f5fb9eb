"""The JSON of a fit, schema version 2: every number that the tables and plots show, and no NaN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from hptransfer.quantify.result import (
    Estimate,
    HoldOut,
    Law,
    Optimum,
    Regret,
    SweepFit,
    VariantFit,
    Verdict,
    finite,
)

SCHEMA = 2
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
        "metric": {"name": sweep.metric.name, "unit": sweep.metric.unit},
        "columns": {name: getattr(names, name) for name in ("scale", "hp", "loss", "variant", "seed")},
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
        return finite(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _variant(variant: VariantFit) -> Json:
    laws = {name: _law(law) for name, law in variant.laws.items()}
    return {
        "optima": [_optimum(optimum) for optimum in variant.optima],
        "laws": {name: laws.get(name) for name in (*LAWS, *(extra for extra in laws if extra not in LAWS))},
        "metrics": {name: _row({"value": metric}) for name, metric in variant.metrics.items()},
        "regret": [_regret(pair) for pair in variant.regret],
        "predictions": [_row(vars(prediction)) for prediction in variant.predictions],
        "holdouts": [_holdout(holdout) for holdout in variant.holdouts],
        "verdict": _verdict(variant.verdict),
        "flags": list(variant.flags),
    }


def _verdict(verdict: Verdict) -> Json:
    """The answers with their costs; estimates as three keys, as in every row."""
    words = {name: getattr(verdict, name) for name in ("value", "reason", "tolerance", "coordinates")}
    answers = {name: _row(vars(getattr(verdict, name))) for name in ("keep", "extrapolate")}
    own = {"kept_hp": verdict.kept_hp, "error_cost": verdict.error_cost}
    own |= {"other_cost": verdict.other_cost} if verdict.other_cost is not None else {}
    change = {"exponent": verdict.exponent, "base": verdict.base}
    suggested = None if verdict.suggested is None else plain(asdict(verdict.suggested))
    return {**plain(words), **plain(change), **answers, **_row(own), "suggested": suggested}


def _row(values: Mapping[str, Any]) -> Json:
    """One row: an estimate as three keys (hp, hp_low, hp_high), and last all `flags` once, in their order.

    The row's own flags stand before those of its estimates; there is at least one where a value is null.
    """
    out: Json = {}
    flags = dict.fromkeys(values.get("flags", ()))
    for name, value in values.items():
        if isinstance(value, Estimate):
            start = "" if name == "value" else f"{name}_"
            limits = {f"{start}low": value.low, f"{start}high": value.high}
            out |= plain({name: value.value, **limits})
            flags |= dict.fromkeys(value.flags)
        elif name != "flags":
            out[name] = plain(value)
    return {**out, "flags": list(flags) or [UNEXPLAINED] * (None in out.values())}


def _optimum(optimum: Optimum) -> Json:
    return _row(
        {
            "scale": optimum.scale,
            "hp": optimum.hp,
            "hp_unpooled": optimum.unpooled_hp or optimum.hp,
            "loss": optimum.loss,
            "curvature": optimum.curvature,
            "log_curvature": optimum.log_curvature,
            "runs": optimum.runs,
            "diverged": optimum.diverged,
            "flags": optimum.flags,
        }
    )


def _law(law: Law) -> Json:
    parameters = {name: _row({"value": parameter}) for name, parameter in law.parameters.items()}
    exponent = _row({"family": law.family, "exponent": law.exponent, "flags": law.flags})
    rest = {"parameters": parameters, "aicc": plain(law.aicc), "scatter": plain(law.scatter)}
    return {**exponent, **rest, "flags": exponent.pop("flags")}


def _regret(pair: Regret) -> Json:
    return _row({"from": pair.source, "to": pair.to, "value": pair.regret, "factor": pair.factor})


def _holdout(holdout: HoldOut) -> Json:
    row = _row(vars(holdout))
    after = {name: row.pop(name) for name in ("error_octaves", "covered", "flags")}
    return {**row, **after}
