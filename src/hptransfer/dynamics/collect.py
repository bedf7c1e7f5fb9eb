"""Every probe of one run at one update, from its tensors and the activations of its forward pass."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from hptransfer.dynamics import probes
from hptransfer.dynamics.activations import ForwardRecord, layer_kind
from hptransfer.dynamics.probe_table import Row
from hptransfer.parametrization.parameters import modules, parameters
from hptransfer.parametrization.rule import Role

Values = dict[Row, Tensor]


@dataclass(frozen=True)
class Sites:
    """Where a model is probed; plain data by name."""

    roles: Mapping[str, Role]  # of every tensor, by its canonical name
    # kind (`linear`, `transposed`, `embedding`, `other`) and weight's tensor name of every module that
    # has a weight, by module name
    layers: Mapping[str, tuple[str, str]]
    # the module that embeds the tokens, the embedding with the most rows; None where there is none
    tokens: str | None
    readout: str | None  # the module that makes the logits; None where there is none


def sites(model: nn.Module, roles: Mapping[str, Role]) -> Sites:
    """Where a model, plain or wrapped, is probed.

    A module whose weight has no role (a tied readout's) shares the tensor of the module that has it.
    """
    owned = parameters(model)
    tensors = {alias: name for name, item in owned.items() for alias in (name, *item.aliases)}
    layers: dict[str, tuple[str, str]] = {}
    for name, module in modules(model).items():
        kind, tensor = layer_kind(module), tensors.get(f"{name}.weight" if name else "weight", "")
        if kind is not None and tensor in roles:
            layers[name] = (kind, tensor)
    rows = {n: owned[t].parameter.shape[0] for n, (kind, t) in layers.items() if kind == "embedding"}
    tokens = max(rows, key=lambda name: rows[name]) if rows else None
    return Sites(roles, layers, tokens, _readout(layers, roles, tokens))


def _readout(
    layers: Mapping[str, tuple[str, str]], roles: Mapping[str, Role], tokens: str | None
) -> str | None:
    tied = None if tokens is None else layers[tokens][1]
    for name, (kind, tensor) in reversed(list(layers.items())):
        if kind in ("linear", "transposed") and (roles[tensor] == "readout" or tensor == tied):
            return name
    return None


@dataclass(frozen=True)
class Update:
    """One run's tensors around one update, by tensor name."""

    before: Mapping[str, Tensor]  # weights before the update
    after: Mapping[str, Tensor]  # weights after it
    grads: Mapping[str, Tensor]  # of the loss; tensors without one are left out
    # Adam's second moments after it, corrected for their start at zero, or their means; where the
    # optimizer has them
    second: Mapping[str, Tensor]
    eps: Mapping[str, Tensor | float]  # Adam's, where it has one


def collect(
    where: Sites,
    wanted: Collection[str],
    update: Update,
    forward: ForwardRecord,
    tokens: Tensor | None = None,
    quarter: Tensor | None = None,
) -> Values:
    """Every wanted probe of one run, zero-dimensional, by layer, role and name.

    The forward pass is one with the weights before the update. Tokens are those of the whole batch, by
    default what the token embedding was seen to read; `quarter` is that of each token, by frequency.
    """
    found: Values = {}

    def keep(layer: str, role: str, values: Mapping[str, Tensor]) -> None:
        found.update({(layer, role, name): value for name, value in values.items() if name in wanted})

    for name, weight in update.before.items():
        grad, second, eps = update.grads.get(name), update.second.get(name), update.eps.get(name)
        values = probes.tensor_probes(weight, update.after[name], grad, second, eps)
        keep(name.removesuffix(".weight"), where.roles[name], values)
    for name, (kind, tensor) in where.layers.items():
        if name in forward.inputs and tensor in update.before:  # an optimizer may hold a part of the tensors
            weights = update.before[tensor], update.after[tensor]
            keep(name, where.roles[tensor], _layer(kind, *weights, forward, name))
    for name, logits in forward.logits.items():
        keep(name, "hidden", probes.attention_probes(logits))
    if where.readout in forward.outputs:
        assert where.readout is not None
        keep(where.readout, "readout", probes.readout_probes(forward.outputs[where.readout]))
    if where.tokens is not None and (where.tokens in forward.inputs or tokens is not None):
        ids = forward.inputs[where.tokens] if tokens is None else tokens
        table = update.before.get(where.layers[where.tokens][1])
        if table is not None:
            keep(where.tokens, "embedding", probes.row_probes(table, ids, quarter))
    if update.grads:
        keep("", "", {"grad_norm": probes.grad_norm(update.grads)})
    return found


def _layer(kind: str, before: Tensor, after: Tensor, forward: ForwardRecord, name: str) -> dict[str, Tensor]:
    inputs = forward.inputs[name]
    values = {"activation_rms": probes.rms(forward.outputs[name])}
    if kind == "embedding":
        values |= probes.embedding_probes(before, after - before, inputs)
    elif kind in ("linear", "transposed"):
        weight, delta = (w.T if kind == "transposed" else w for w in (before, after - before))
        values |= probes.linear_probes(weight, delta, inputs)
    return values
