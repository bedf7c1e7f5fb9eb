"""The JSON of a joint fit over several axes: every number that the tables and figures show, and no NaN."""

from __future__ import annotations

from hptransfer.quantify.axes.to_json import as_plain
from hptransfer.quantify.joint.to_json import optimum_json
from hptransfer.quantify.joint_axes.result import JointAxesFit, JointAxesVariant
from hptransfer.quantify.to_json import SCHEMA, Json, plain


def joint_axes_json(fit: JointAxesFit) -> Json:
    """A joint fit over several axes as plain data; `kind` tells it from other fits."""
    sweep, names = fit.sweep, fit.sweep.columns
    return {
        "schema": SCHEMA,
        "kind": "joint over axes",
        "version": fit.version,
        "source": {"path": sweep.source.path, "sha256": sweep.source.sha256},
        "metric": {"name": sweep.metric.name, "unit": sweep.metric.unit},
        "axes": list(fit.axes),
        "columns": {name: getattr(names, name) for name in ("loss", "variant", "seed")},
        "hp": list(fit.hp),
        "combinations": list(fit.combinations),
        "zero_places": plain(fit.zero_places),
        "runs": len(sweep),
        "diverged": int(sweep.diverged.sum()),
        "notes": list(sweep.notes),
        "settings": plain(fit.settings),
        "left_out": dict(fit.left_out),
        "variants": {name: _variant(variant) for name, variant in fit.variants.items()},
    }


def _variant(v: JointAxesVariant) -> Json:
    optima = [{"at": plain(o.at), **optimum_json(o)} for o in v.optima]
    for item in optima:
        del item["scale"]  # the number of the point
    laws = {name: as_plain(law) for name, law in v.laws.items()}
    rest = {key: as_plain(value) for key, value in vars(v).items() if key not in ("name", "optima", "laws")}
    return {"optima": optima, "laws": laws, **rest}
