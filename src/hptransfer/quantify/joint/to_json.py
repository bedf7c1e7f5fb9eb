"""The JSON of a joint fit: every number that its tables and figures show, and no NaN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hptransfer.quantify.axes.to_json import as_plain
from hptransfer.quantify.joint.result import (
    JointHoldOut,
    JointLaw,
    JointMeasured,
    JointOptimum,
    JointPrediction,
    JointSweepFit,
    JointVariant,
)
from hptransfer.quantify.result import Answer, Estimate
from hptransfer.quantify.to_json import SCHEMA, Json, plain


def joint_json(fit: JointSweepFit) -> Json:
    """A joint fit as plain data; `kind` tells it from the JSON of a fit of one hyperparameter."""
    return {
        **joint_head(fit, "joint", ("scale", "loss", "variant", "seed")),
        "variants": {name: _variant(variant) for name, variant in fit.variants.items()},
    }


def joint_head(fit: JointMeasured, kind: str, columns: Sequence[str]) -> Json:
    """What a joint fit's JSON says of the whole, over one axis or several; names of these columns."""
    sweep = fit.sweep
    return {
        "schema": SCHEMA,
        "kind": kind,
        "version": fit.version,
        "source": {"path": sweep.source.path, "sha256": sweep.source.sha256},
        "metric": {"name": sweep.metric.name, "unit": sweep.metric.unit},
        "columns": {name: getattr(sweep.columns, name) for name in columns},
        "hp": list(fit.hp),
        "combinations": list(fit.combinations),
        "zero_places": plain(fit.zero_places),
        "runs": len(sweep),
        "diverged": int(sweep.diverged.sum()),
        "notes": list(sweep.notes),
        "settings": plain(fit.settings),
        "left_out": dict(fit.left_out),
    }


def _variant(v: JointVariant) -> Json:
    return {
        "optima": [optimum_json(o) for o in v.optima],
        "laws": {name: _law(law) for name, law in v.laws.items()},
        "loss_exponent": _estimate(v.loss_exponent),
        "predictions": [_prediction(p) for p in v.predictions],
        "holdouts": [_holdout(h) for h in v.holdouts],
        "verdict": {
            "value": v.verdict.value,
            "tolerance": v.verdict.tolerance,
            "kept": plain(v.verdict.kept),
            "keep": _answer(v.verdict.keep),
            "extrapolate": _answer(v.verdict.extrapolate),
        },
        "suggested": [plain(vars(runs)) for runs in v.suggested],
        "ridges": _estimates(v.ridges),
        "relations": as_plain(v.relations),
        "noise": plain(v.noise),
        "flags": list(v.flags),
    }


def _estimate(e: Estimate) -> Json:
    flags = list(e.flags) or (["not_estimated"] if e.value is None else [])
    return {"value": plain(e.value), "low": plain(e.low), "high": plain(e.high), "flags": flags}


def _estimates(items: Mapping[str, Estimate]) -> Json:
    return {name: _estimate(item) for name, item in items.items()}


def optimum_json(o: JointOptimum) -> Json:
    """The optimum of one scale."""
    return {
        "scale": o.scale,
        "hp": _estimates(o.hp),
        "combinations": _estimates(o.combinations),
        "loss": _estimate(o.loss),
        "covariance": plain(o.covariance),
        "curvature": plain(o.curvature),
        "correlation": plain(o.correlation),
        "octave": {name: {"half": half, "twice": twice} for name, (half, twice) in o.octave.items()},
        "best_run": plain(o.best_run),
        "runs": o.runs,
        "diverged": o.diverged,
        "counted": o.counted,
        "flags": list(o.flags),
    }


def _law(law: JointLaw) -> Json:
    return {
        "family": law.family,
        "exponent": _estimate(law.exponent),
        "half_steps": list(law.half_steps),
        "at_one": plain(law.at_one),
        "scatter": plain(law.scatter),
        "flags": list(law.flags),
        "rules": as_plain(law.rules),
    }


def _prediction(p: JointPrediction) -> Json:
    return {
        "scale": p.scale,
        "hp": _estimates(p.hp),
        "combinations": _estimates(p.combinations),
        "recommended": plain(p.recommended),
        "loss": _estimate(p.loss),
        "regret": plain(p.regret),
        "covariance": plain(p.covariance),
        "flags": list(p.flags),
    }


def _holdout(h: JointHoldOut) -> Json:
    return {
        "scale": h.scale,
        "predicted": _estimates(h.predicted),
        "found": _estimates(h.found),
        "error_octaves": plain(h.error_octaves),
        "covered": plain(h.covered),
        "regret": _estimate(h.regret),
        "flags": list(h.flags),
    }


def _answer(answer: Answer) -> Json:
    words: dict[str, Any] = {"value": answer.value, "reason": answer.reason, "why": list(answer.why)}
    costs = {name: _estimate(getattr(answer, name)) for name in ("cost", "share", "factor")}
    return {**words, **costs, "scale": plain(answer.scale)}
