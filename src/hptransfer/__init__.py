"""hptransfer measures whether a hyperparameter tuned on small models can be carried to a large one.

import hptransfer as hpt

sweep = hpt.read("runs.csv", scale="width", hp="lr", loss="loss", variant="variant")
fit = hpt.quantify(sweep, targets=[4096])
print(fit.summary())

scaling = hpt.parametrize(model, base=build(256), rule="sp+embd")
scaling.init_(model)
optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=3e-3, weight_decay=0.1))
scaling.verify(model, optimizer)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hptransfer.errors import HPTransferError
from hptransfer.fit import TransferFit, quantify
from hptransfer.quantify.compare import compare
from hptransfer.sweep import read
from hptransfer.sweep.table import SweepTable
from hptransfer.version import __version__

if TYPE_CHECKING:
    from hptransfer.dynamics.callbacks import lightning_probe, trainer_probe
    from hptransfer.dynamics.coord_check import coord_check
    from hptransfer.dynamics.recorder import Recorder
    from hptransfer.dynamics.result import CoordCheck
    from hptransfer.dynamics.training_loop import probe
    from hptransfer.joint import JointFit, quantify_joint
    from hptransfer.parametrization.audit import audit
    from hptransfer.parametrization.callbacks import lightning_callback, trainer_callback
    from hptransfer.parametrization.custom import load_rule, rule_from
    from hptransfer.parametrization.parametrize import parametrize
    from hptransfer.parametrization.roles import find_roles
    from hptransfer.parametrization.rule import Rule
    from hptransfer.parametrization.rule_arithmetic import get_rule, without_multipliers
    from hptransfer.parametrization.scaling import Scaling
    from hptransfer.parametrization.transfer import transfer_lr
    from hptransfer.sweep.example import example

__all__ = [
    "CoordCheck",
    "HPTransferError",
    "JointFit",
    "Recorder",
    "Rule",
    "Scaling",
    "SweepTable",
    "TransferFit",
    "__version__",
    "audit",
    "compare",
    "coord_check",
    "example",
    "find_roles",
    "get_rule",
    "lightning_callback",
    "lightning_probe",
    "load_rule",
    "parametrize",
    "probe",
    "quantify",
    "quantify_joint",
    "read",
    "rule_from",
    "trainer_callback",
    "trainer_probe",
    "transfer_lr",
    "without_multipliers",
]

# What needs torch, or is seldom needed, is imported when it is first asked for.
_LATER = {
    "CoordCheck": "dynamics.result",
    "JointFit": "joint",
    "Recorder": "dynamics.recorder",
    "Rule": "parametrization.rule",
    "Scaling": "parametrization.scaling",
    "audit": "parametrization.audit",
    "coord_check": "dynamics.coord_check",
    "example": "sweep.example",
    "find_roles": "parametrization.roles",
    "get_rule": "parametrization.rule_arithmetic",
    "lightning_callback": "parametrization.callbacks",
    "lightning_probe": "dynamics.callbacks",
    "load_rule": "parametrization.custom",
    "parametrize": "parametrization.parametrize",
    "probe": "dynamics.training_loop",
    "quantify_joint": "joint",
    "rule_from": "parametrization.custom",
    "trainer_callback": "parametrization.callbacks",
    "trainer_probe": "dynamics.callbacks",
    "transfer_lr": "parametrization.transfer",
    "without_multipliers": "parametrization.rule_arithmetic",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"hptransfer.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
