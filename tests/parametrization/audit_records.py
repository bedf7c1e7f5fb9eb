"""Records of small models that the audit's tests share."""

from __future__ import annotations

import copy
from typing import Any

from hptransfer.parametrization.custom import as_rule
from hptransfer.parametrization.rule_arithmetic import in_coordinates
from hptransfer.parametrization.tensor_settings import Growth, TrainingSettings, group_settings

SHAPES = {  # by name: (role, shape at width n, as factors of n where negative)
    "wte.weight": ("embedding", (128, -1)),
    "blocks.0.qkv.weight": ("hidden", (-3, -1)),
    "blocks.0.down.weight": ("hidden", (-1, -4)),
    "blocks.1.qkv.weight": ("hidden", (-3, -1)),
    "blocks.1.down.weight": ("hidden", (-1, -4)),
    "norm.weight": ("vector", (-1,)),
    "head.weight": ("readout", (128, -1)),
}


def record(width: int, rule: str = "mup", **training: Any) -> dict[str, Any]:
    """What a stack under the rule, with eta in muP coordinates, would record at base width 64."""
    chosen, m = in_coordinates(as_rule(rule), "mup"), width / 64
    settings = TrainingSettings("adamw", 0.01, 0.1, 1e-8, **training)
    rows = []
    for name, (role, sides) in SHAPES.items():
        shape = [side if side > 0 else -side * width for side in sides]
        got = group_settings(chosen, Growth(role, m, m, decays=len(shape) > 1), settings)
        std = 0.1 * got.init if len(shape) > 1 else 0.0
        rows.append(
            {
                **{"name": name, "shape": shape, "lr": got.lr, "wd": got.weight_decay, "eps": got.eps},
                **{"std": std, "multiplier": got.multiplier},
            }
        )
    return {"width": width, "tensors": rows}


def changed(data: dict[str, Any], name: str, **settings: Any) -> dict[str, Any]:
    """A copy with other settings of the tensors whose name begins like that."""
    data = copy.deepcopy(data)
    for row in data["tensors"]:
        if row["name"].startswith(name):
            row.update({key: f(row[key]) if callable(f) else f for key, f in settings.items()})
    return data
