"""Probes for a training loop of your own: which tensors have which role, and a recorder to attach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, cast

import torch
from torch import nn

from hptransfer.dynamics.recorder import ProbePlan, Recorder
from hptransfer.errors import DynamicsError
from hptransfer.parametrization.parameters import NamedParameter, parameters
from hptransfer.parametrization.rule import ROLES, Role
from hptransfer.parametrization.scaling import Scaling


def probe(
    model: nn.Module,
    optimizer: torch.optim.Optimizer | Iterable[torch.optim.Optimizer],
    rule: Scaling | Mapping[str, Role | str] | None = None,
    **settings: Any,
) -> Recorder:
    """Probes for a training loop of your own; a context manager, `.table` holds what was measured.

    Between probed updates nothing is done but counting. At a probed one, a copy of the weights is kept for
    the length of the step, and the activations of its forward pass.

    Args:
        model: plain; the inside of a compiled one is not seen, so its layers are not probed.
        optimizer: one, or several that step in turn (Muon beside AdamW).
        rule: the scaling of `hpt.parametrize`, which knows every tensor's role and the unit of eta; or roles
            by name pattern, of which the first that matches counts. For other tensors, and without a rule,
            roles are guessed: embeddings and linear layers by type, vectors by shape, the linear layer with
            as many outputs as the token embedding has rows is the readout.
        **settings: see `ProbePlan`: every, names, run, loss, token_counts.

    Raises:
        DynamicsError: a setting is out of range, or a role or name is unknown.
    """
    plan = ProbePlan(**settings)
    optimizers = [optimizer] if isinstance(optimizer, torch.optim.Optimizer) else list(optimizer)
    if not isinstance(rule, Scaling):
        return Recorder(model, optimizers, _roles_by_name(model, rule or {}), {}, plan)
    roles = {tensor.name: tensor.role for tensor in rule.tensors}
    if missing := sorted(parameters(model).keys() - roles.keys()):
        raise DynamicsError(f"every tensor must have a role, but the rule's model has no {missing[0]}")
    return Recorder(
        model, optimizers, roles, {tensor.name: tensor.factors.lr for tensor in rule.tensors}, plan
    )


def _roles_by_name(model: nn.Module, patterns: Mapping[str, Role | str]) -> dict[str, Role]:
    """The role of every tensor: of the first pattern that matches its name, else by type and shape.

    A linear layer with as many outputs as an embedding has rows is the readout.

    Raises:
        DynamicsError: a pattern has an unknown role.
    """
    for pattern, role in patterns.items():
        if role not in ROLES:
            raise DynamicsError(f"a role must be one of {', '.join(ROLES)}, but {pattern!r} has {role!r}")
    owned = parameters(model)
    rows = {o.parameter.shape[0] for o in owned.values() if isinstance(o.module, nn.Embedding)}
    chosen = {
        name: next((role for pattern, role in patterns.items() if fnmatchcase(name, pattern)), None)
        for name in owned
    }
    return {name: cast(Role, chosen[name] or _guess(item, rows)) for name, item in owned.items()}


def _guess(item: NamedParameter, rows: set[int]) -> Role:
    if isinstance(item.module, nn.Embedding):
        return "embedding"
    if item.parameter.ndim < 2:
        return "vector"
    return "readout" if isinstance(item.module, nn.Linear) and item.parameter.shape[0] in rows else "hidden"
