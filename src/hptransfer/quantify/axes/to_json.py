"""The JSON of a fit over several axes: every number that the tables and figures show, and no NaN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from hptransfer.quantify.axes.result import AxesFit
from hptransfer.quantify.result import Estimate
from hptransfer.quantify.to_json import SCHEMA, plain

Json = dict[str, Any]


def axes_json(fit: AxesFit) -> Json:
    """A fit over several axes as plain data for `json.dumps(..., allow_nan=False)`."""
    sweep, names = fit.sweep, fit.sweep.columns
    return {
        "schema": SCHEMA,
        "version": fit.version,
        "source": {"path": sweep.source.path, "sha256": sweep.source.sha256},
        "metric": {"name": sweep.metric.name, "unit": sweep.metric.unit},
        "axes": list(fit.axes),
        "columns": {name: getattr(names, name) for name in ("hp", "loss", "variant", "seed")},
        "runs": len(sweep),
        "diverged": int(sweep.diverged.sum()),
        "notes": list(sweep.notes),
        "settings": plain(fit.settings),
        "provenance": plain(fit.provenance),
        "variants": {name: as_plain(variant) for name, variant in fit.variants.items()},
    }


def as_plain(value: Any) -> Any:
    """A dataclass as its fields, an estimate as value, low, high and flags."""
    if isinstance(value, Estimate) or not is_dataclass(value):
        if isinstance(value, Mapping):
            return {key: as_plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [as_plain(item) for item in value]
        if isinstance(value, Estimate):
            return {
                **{k: plain(getattr(value, k)) for k in ("value", "low", "high")},
                "flags": list(value.flags),
            }
        return plain(np.round(value, 6) if isinstance(value, np.ndarray) else value)
    return {
        f.name: as_plain(getattr(value, f.name))
        for f in fields(value)
        if f.name != "name" or not _named(value)
    }


def _named(value: Any) -> bool:
    """Whether the key already gives its name."""
    return type(value).__name__ in ("AxesVariant", "AxesLaws")
