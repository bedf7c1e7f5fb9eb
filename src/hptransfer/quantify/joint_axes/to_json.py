"""The JSON of a joint fit over several axes: every number that the tables and figures show, and no NaN."""

from __future__ import annotations

from hptransfer.quantify.axes.to_json import as_plain
from hptransfer.quantify.joint.to_json import joint_head, optimum_json
from hptransfer.quantify.joint_axes.result import JointAxesFit, JointAxesVariant
from hptransfer.quantify.to_json import Json, plain


def joint_axes_json(fit: JointAxesFit) -> Json:
    """A joint fit over several axes as plain data; `kind` tells it from other fits."""
    return {
        **joint_head(fit, "joint over axes", ("loss", "variant", "seed")),
        "axes": list(fit.axes),
        "variants": {name: _variant(variant) for name, variant in fit.variants.items()},
    }


def _variant(v: JointAxesVariant) -> Json:
    optima = [{"at": plain(o.at), **optimum_json(o)} for o in v.optima]
    for item in optima:
        del item["scale"]  # the number of the point
    laws = {name: as_plain(law) for name, law in v.laws.items()}
    rest = {key: as_plain(value) for key, value in vars(v).items() if key not in ("name", "optima", "laws")}
    return {"optima": optima, "laws": laws, **rest}
