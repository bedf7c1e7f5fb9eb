"""Verification: a live optimizer and model against what a rule asks of every tensor."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hptransfer.errors import VerifyError
from hptransfer.parametrization.faults import Fault, fault_table
from hptransfer.parametrization.hooks import live_factors
from hptransfer.parametrization.nudges import Proof
from hptransfer.parametrization.optimizer_classes import ActsAs, acting_as
from hptransfer.parametrization.optimizers import get_optimizer
from hptransfer.parametrization.parameters import modules
from hptransfer.parametrization.plan import ModelPlan
from hptransfer.parametrization.proof import prove, recorded_proof
from hptransfer.parametrization.tensor_settings import GroupSettings
from hptransfer.words import precise

TOLERANCE = 1e-5  # relative; an LR may be a float32 tensor


@dataclass(frozen=True)
class Verification:
    """What was checked, where all of it holds.

    Attributes:
        tensors: number of trainable tensors checked.
        lr_factor: the schedule's common factor on every LR; None where every LR is zero.
        modules: number of forward multipliers and attention scales checked.
        proven: how many of them a forward pass showed to act; None where no forward pass was seen.
        unseen: modules that this forward pass did not call, such as the head of another task.
        notes: what could not be checked, in words.
    """

    tensors: int
    lr_factor: float | None
    modules: int
    proven: int | None = None
    unseen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


_Live = Mapping[str, Any]  # one tensor's group in a live optimizer, and what it does under `acts as`


def verify(
    plan: ModelPlan,
    wanted: Mapping[str, GroupSettings],
    model: nn.Module,
    optimizers: torch.optim.Optimizer | Iterable[torch.optim.Optimizer],
    batch: Any = None,
) -> Verification:
    """Checks every tensor's LR, decay and eps in the live optimizer, and the model's forward multipliers.

    LRs are compared up to one common factor, the schedule's: a scheduler that multiplies every group alike
    passes at any step, one that writes a single LR into all groups fails. The factor is the one that most
    tensors agree on. Where every LR is zero (the first step of a warmup) the groups' `initial_lr` are
    compared. The common factor itself is not judged: an eta that is wrong for every tensor alike is not seen.

    Forward multipliers and attention scales are checked for their values and, by one more forward pass, for
    acting: a model may read a layer's weight without calling the layer, or keep a scale that nothing reads.
    The pass is made on `batch`, or, once, on the first batch that the model was called with.

    Args:
        plan: of the model.
        wanted: by tensor name, what its group must hold: what `param_groups` (and `muon_groups`) gave.
        model: the live model: compiled, DDP, FSDP2, or plain.
        optimizers: one, or all those that share the model's tensors.
        batch: what the model is called with; see `hptransfer.parametrization.proof`.

    Raises:
        VerifyError: something is off; its text is a table, its `faults` the rows.
    """
    live = plan.live_parameters(model)
    if not wanted:
        raise VerifyError(
            "verify needs to know eta and lambda: build the optimizer from scaling.param_groups", ()
        )
    faults: list[Fault] = []
    several = [optimizers] if hasattr(optimizers, "param_groups") else list(optimizers)
    found = _by_tensor(several, {id(named.parameter): name for name, named in live.items()}, faults)
    trainable = [name for name, named in live.items() if named.parameter.requires_grad]
    faults += [Fault(n, "missing", "in the optimizer", "not there") for n in trainable if n not in found]
    common = _settings(wanted, found, faults)
    _forward(plan, model, faults)
    proof = None
    if not any(fault.what in ("multiplier", "attention scale") for fault in faults):
        proof = recorded_proof(plan, model) if batch is None else _proof(plan, model, batch)
        faults += [] if proof is None else proof.faults
    if faults:
        raise VerifyError(fault_table(faults, plan.rule.name, plan.ratio), tuple(faults))
    count = len(plan.factors) + len(plan.attention)
    proven, unseen = (None, ()) if proof is None else (proof.acting, tuple(proof.unseen))
    return Verification(len(trainable), common, count, proven, unseen)


def _proof(plan: ModelPlan, model: nn.Module, batch: Any) -> Proof:
    try:
        return prove(plan, model, batch)
    except VerifyError as error:
        return Proof(faults=[fault for fault in error.faults if isinstance(fault, Fault)])


def _by_tensor(optimizers: Iterable[Any], ids: Mapping[int, str], faults: list[Fault]) -> dict[str, _Live]:
    found: dict[str, _Live] = {}
    seen: Counter[str] = Counter()
    for optimizer in optimizers:
        inner = getattr(optimizer, "optimizer", optimizer)  # accelerate's and Lightning's wrappers
        for index, group in enumerate(optimizer.param_groups):
            for position, parameter in enumerate(group["params"]):
                name = ids.get(id(parameter))
                if name is None:
                    place = f"group {index}, tensor {position} {tuple(parameter.shape)}"
                    faults.append(Fault(place, "unknown", "a tensor of the model", "not one"))
                    continue
                seen[name] += 1
                found[name] = {**group, "acts as": acting_as(inner, group, parameter)}
    faults += [
        Fault(name, "duplicate", "once in the optimizer", f"{times} times")
        for name, times in seen.items()
        if times > 1
    ]
    return found


def _settings(
    expected: Mapping[str, GroupSettings], found: Mapping[str, _Live], faults: list[Fault]
) -> float | None:
    """Checks what the tensors' groups hold; gives the schedule's common factor on their LRs."""
    faults += [
        Fault(n, "unknown", "in no group of the rule", "in the optimizer") for n in found if n not in expected
    ]
    known = {name: live for name, live in found.items() if name in expected}
    for name, live in known.items():
        _fixed(name, expected[name], live, faults)
    by_muon: dict[bool, dict[str, _Live]] = {False: {}, True: {}}
    for name, live in known.items():
        by_muon[get_optimizer(expected[name].optimizer).matrices_only][name] = live
    # Muon's eta is not AdamW's: each has its own schedule.
    factors = [_lrs(part, expected, faults) for part in by_muon.values()]
    return next((factor for factor in factors if factor is not None), None)


def _fixed(name: str, expected: GroupSettings, live: _Live, faults: list[Fault]) -> None:
    """Decay, eps and the optimizer's family: what no scheduler changes."""
    _compare(name, "weight_decay", expected.weight_decay, live.get("weight_decay", 0.0), faults)
    eps = live.get("eps", live.get("epsilon"))
    if expected.eps is not None and eps is not None:
        _compare(name, "eps", expected.eps, eps[0] if isinstance(eps, tuple) else eps, faults)
    found: ActsAs = live["acts as"]
    if found.name != expected.optimizer and not _same_without_decay(found.name, expected):
        faults.append(Fault(name, "optimizer", expected.optimizer, found.name or found.why))
    elif found.adjust is not None and found.adjust != expected.muon_adjust:
        faults.append(Fault(name, "adjust_lr_fn", str(expected.muon_adjust), found.adjust))


def _same_without_decay(found: str | None, expected: GroupSettings) -> bool:
    """Adam and AdamW are one where nothing decays."""
    return expected.weight_decay == 0.0 and {found, expected.optimizer} == {"adam", "adamw"}


def _lrs(
    known: Mapping[str, _Live], expected: Mapping[str, GroupSettings], faults: list[Fault]
) -> float | None:
    """LRs up to the schedule's common factor, which is given back."""
    if not known:
        return None
    lrs = {name: float(live["lr"]) for name, live in known.items()}
    zero = not any(lrs.values())
    if zero:
        if not all("initial_lr" in live for live in known.values()):
            faults.append(Fault("(every tensor)", "lr", "above zero", "0"))
            return None
        lrs = {name: float(live["initial_lr"]) for name, live in known.items()}
    common = _common(Counter(lr / expected[name].lr for name, lr in lrs.items()))
    for name, lr in lrs.items():
        _compare(name, "lr", expected[name].lr * common, lr, faults)
    return None if zero else common


def _common(factors: Counter[float]) -> float:
    """The factor that most tensors agree on; zero only where all are."""
    votes = {f: sum(count for other, count in factors.items() if _same(f, other)) for f in sorted(factors)}
    return max(votes, key=lambda factor: (factor > 0, votes[factor]))


def _forward(plan: ModelPlan, model: nn.Module, faults: list[Fault]) -> None:
    wanted = {factor.module: (factor.on_input, factor.on_output) for factor in plan.factors}
    here = modules(model)
    for name, module in here.items():
        expected, found = wanted.get(name, (1.0, 1.0)), live_factors(module)
        if not all(map(_same, expected, found)):
            both = (f"{precise(a)} in, {precise(b)} out" for a, b in (expected, found))
            faults.append(Fault(name, "multiplier", *both))
    for site in plan.attention:
        value = getattr(here[site.module], site.attribute)
        _compare(f"{site.module}.{site.attribute}", "attention scale", site.value, value, faults)


def _compare(name: str, what: str, wanted: float, found: Any, faults: list[Fault]) -> None:
    """Adds a fault where a number, perhaps in a tensor, is not the one that is wanted."""
    if not _same(float(found), wanted):
        faults.append(Fault(name, what, precise(wanted), precise(float(found))))


def _same(a: float, b: float) -> bool:
    return a == b or math.isclose(a, b, rel_tol=TOLERANCE)
