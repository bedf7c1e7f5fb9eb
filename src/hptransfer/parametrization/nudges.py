"""What moves when a number is nudged: attention with its scale, a layer with the factor on its input."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._pytree import tree_leaves

from hptransfer.parametrization.faults import Fault
from hptransfer.parametrization.hooks import (
    AttentionSite,
    Factor,
    live_factors,
    own_containers,
    set_scale,
)
from hptransfer.parametrization.plan import ModelPlan
from hptransfer.parametrization.watch import Watch, exponent
from hptransfer.words import precise

NUDGE = 1.25
_LEAST = 1e-2  # relative; an output that moves by less does not know the factor


@dataclass
class Proof:
    """What a forward pass showed.

    Attributes:
        acting: forward multipliers and attention scales that act.
        unseen: those whose modules the pass did not call, such as another task's head; by module.
        faults: what is not as it must be.
    """

    acting: int = 0
    unseen: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def has_own_pass(module: nn.Module) -> bool:
    """Whether a factor stands on the input of a layer of someone's own, which may normalise it."""
    plain = getattr(module, "_plain", type(module))
    known = (nn.Linear, _ConvNd)
    own = not any(issubclass(plain, kind) and plain.forward is kind.forward for kind in known)
    return (
        live_factors(module)[0] != 1.0
        and own
        and not plain.__module__.startswith(("torch.", "transformers."))
    )


def moves(module: nn.Module, given: Any) -> bool:
    """Whether a layer's output, on the arguments that it was given, moves with the factor on its input."""
    outputs, factor = [], module.factor_on_input
    state = torch.random.get_rng_state()
    for nudge in (1.0, NUDGE):
        module.factor_on_input = factor * nudge  # type: ignore[operator, assignment]
        torch.random.set_rng_state(state)
        args, kwargs = own_containers(given, tensors=True)
        with torch.no_grad():
            output = module.forward(*args, **kwargs)
        outputs.append([leaf.float() for leaf in tree_leaves(output) if isinstance(leaf, Tensor)])
    module.factor_on_input = factor
    pairs = list(zip(*outputs, strict=True))
    largest = max((float(a.abs().max()) for a, _ in pairs if a.numel()), default=0.0)
    moved = max((float((a - b).abs().max()) for a, b in pairs if a.numel()), default=0.0)
    return largest == 0.0 or moved > _LEAST * largest


def undone_fault(factor: Factor) -> Fault:
    """The fault of a factor that its layer takes off again."""
    return Fault(
        factor.module,
        "multiplier",
        f"{precise(factor.on_input)} applied; such as by rule=hpt.without_multipliers(rule)",
        "its output does not move with it: the layer normalises its input",
    )


def acting_sites(plan: ModelPlan) -> list[AttentionSite]:
    """Attention scales that the rule moves."""
    return [site for site in plan.attention if not math.isclose(site.value, site.native, rel_tol=1e-6)]


def nudge(site: AttentionSite, module: nn.Module, given: Any, watch: Watch, found: Proof) -> None:
    """Runs an attention module with its scale as it is, and nudged."""
    outputs, sizes = [], []
    state = torch.random.get_rng_state()
    for factor in (1.0, NUDGE):
        set_scale(module, site.attribute, site.value * factor)
        watch.sizes.clear()
        torch.random.set_rng_state(state)
        args, kwargs = own_containers(given)
        with torch.no_grad():
            outputs.append(
                [leaf for leaf in tree_leaves(module.forward(*args, **kwargs)) if isinstance(leaf, Tensor)]
            )
        sizes.append(math.prod(watch.sizes) if watch.sizes else None)
    set_scale(module, site.attribute, site.value)
    small, large = sizes
    if small == 0.0:  # queries that start at zero say nothing
        found.unseen.append(site.module)
        return
    name, wanted = f"{site.module}.{site.attribute}", f"{precise(site.value)} on the logits"
    if all(torch.equal(a, b) for a, b in zip(*outputs, strict=True)):
        read = "the forward pass does not read it"
        found.faults.append(Fault(name, "attention scale", wanted, read))
    elif small and large and (exponent(small, large, NUDGE) < -0.05) != site.divides:
        way = "divided" if not site.divides else "multiplied"
        found.faults.append(Fault(name, "attention scale", wanted, f"logits are {way} by it"))
    else:
        found.acting += 1
