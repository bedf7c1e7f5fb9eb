"""Where a rule departs from muP by its own exponents, so that a failed check can be attributed to it."""

from __future__ import annotations

from collections.abc import Collection

from hptransfer.parametrization.rule import ROLES, Role, Rule
from hptransfer.parametrization.rule_arithmetic import in_coordinates, without_multipliers
from hptransfer.words import precise

# Effective exponents (multipliers shifted away) of muP in muP coordinates: Tensor Programs V, Table 3.
_INIT = {"embedding": 0.0, "hidden": -0.5, "readout": -1.0}
_LR = {
    "adam": {"embedding": 0.0, "hidden": -1.0, "readout": -1.0, "vector": 0.0, "scalar": 0.0},
    "sgd": {"embedding": 1.0, "hidden": 0.0, "readout": -1.0, "vector": 1.0, "scalar": 0.0},
}
_ATTENTION = -1.0


def departures(rule: Rule, roles: Collection[Role]) -> tuple[str, ...]:
    """The exponents of m by which a rule, read in its coordinates, is not muP; none: it promises flat slopes.

    Only the roles that a model has count. A readout that starts smaller is muP too: it may start at zero.
    """
    plain = without_multipliers(rule)
    found = []
    for role in (role for role in ROLES if role in roles):
        exponents = plain.roles[role]
        init = exponents.init
        if role in _INIT and init != _INIT[role] and not (role == "readout" and init < _INIT[role]):
            found.append(f"{role} init m^{precise(init)}, not m^{precise(_INIT[role])}")
        lr, wanted = exponents.lr + plain.lr_exponent, _LR[rule.optimizer][role]
        if lr != wanted:
            found.append(f"{role} LR m^{precise(lr)}, not m^{precise(wanted)}")
    if rule.attention != _ATTENTION:
        found.append(
            f"attention logits x head_dim^{precise(rule.attention)}, not head_dim^{precise(_ATTENTION)}"
        )
    return tuple(found)


def initial_slope(rule: Rule, role: Role) -> float | None:
    """How a layer's output at initialisation scales with width, by its weight's role; None: nothing is said.

    A hidden layer sums over its inputs, which gives sqrt(m). Readouts may start smaller.
    """
    init = without_multipliers(rule).roles[role].init
    return {"embedding": init, "hidden": init + 0.5}.get(role)


def natural_coordinates(rule: Rule) -> Rule:
    """The rule in the coordinates in which one eta is meant to serve every width: muP's.

    SP itself stays as plain training has it: one LR for all tensors and widths.
    """
    return rule if rule.keeps_native_multipliers else in_coordinates(rule, "mup")
