"""Proof by a forward pass: factors and attention scales that are set act, and no weight is read past them.

One pass is watched, with each factor replaced by a tensor, and each weight, inside its own layer, by a
stand-in. What then takes part in an operation acts; a weight that takes part itself is read outside its
layer, as by a fused cross-entropy or logits computed from the embedding by hand. An attention module, and a
layer of someone's own with a factor, runs twice more, with its scale or factor nudged. Nothing is changed:
random numbers, buffers and gradients are as before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from hptransfer.errors import RuleError, VerifyError
from hptransfer.parametrization.faults import Fault, fault_table
from hptransfer.parametrization.hooks import Batch, Factor, batch_recorder, own_containers
from hptransfer.parametrization.multipliers import appliers, tied_readouts
from hptransfer.parametrization.nudges import (
    Proof,
    acting_sites,
    has_own_pass,
    moves,
    nudge,
    undone_fault,
)
from hptransfer.parametrization.parameters import modules, unwrapped
from hptransfer.parametrization.plan import ModelPlan, TensorPlan
from hptransfer.parametrization.stand_ins import StandIns
from hptransfer.parametrization.watch import Watch, watching
from hptransfer.words import precise

_SAME = 1e-2  # relative; sqrt(width) may have been rounded to bfloat16


def prove(plan: ModelPlan, model: nn.Module, batch: Any) -> Proof:
    """Runs the model on a batch, and shows that what the rule has set acts.

    Args:
        plan: of the model.
        model: live, with factors set.
        batch: what it is called with: a tensor, a tuple of arguments, or a mapping of named ones.

    Raises:
        RuleError: the model cannot be called so.
        VerifyError: a factor or scale does not act, or a weight is read past it; its `faults` say which.
    """
    try:
        found = proof_of(plan, model, as_batch(batch))
    except (TypeError, ValueError, RuntimeError, IndexError, KeyError, AttributeError) as error:
        line = " ".join(str(error).split())[:200]
        raise RuleError(
            "batch must be what the model is called with (a tensor, a tuple of arguments or a mapping of "
            f"named ones), but {type(unwrapped(model)).__name__} raised {type(error).__name__}: {line}"
        ) from error
    if found.faults:
        raise VerifyError(fault_table(found.faults, plan.rule.name, plan.ratio), tuple(found.faults))
    return found


def recorded_proof(plan: ModelPlan, model: nn.Module) -> Proof | None:
    """The same from the first batch that the model was called with; None where none is kept."""
    recorder = batch_recorder(model)
    if recorder is None or recorder.batch is None:
        return None
    if any(hasattr(module, "reshard") for module in model.modules()):
        return None  # a pass under FSDP2 waits for every process, and verify may have been called by one
    batch, recorder.batch, recorder.is_open = recorder.batch, None, False
    try:
        found = proof_of(plan, model, batch)
    except Exception:  # two rows of a batch may not be what a model takes; then nothing is proven
        return None
    if found.faults:
        recorder.batch, recorder.is_open = batch, True  # as long as it is wrong, it is said
    return found


def as_batch(batch: Any) -> Batch:
    """A batch as positional and named arguments."""
    if isinstance(batch, Batch):
        return batch
    if isinstance(batch, Mapping):
        return Batch(kwargs=dict(batch))
    return Batch(tuple(batch) if isinstance(batch, (tuple, list)) else (batch,))


def proof_of(plan: ModelPlan, model: nn.Module, batch: Batch) -> Proof:
    """What one forward pass on a batch shows."""
    inner, here = unwrapped(model), modules(model)
    found, sites = Proof(), {site.module: site for site in acting_sites(plan)}
    standing = StandIns(plan, inner, here)
    calls: set[str] = set()
    busy: list[str] = []  # the module whose scale is being nudged
    given: dict[str, Any] = {}  # by module: its arguments as they were before it ran
    own_passes = {f.module for f in plan.factors if has_own_pass(here[f.module])}
    undone: set[str] = set()  # modules that take off again what their input is multiplied by

    def before(name: str, args: Any, kwargs: Any) -> None:
        calls.add(name)
        if not busy and (name in sites or name in own_passes):
            given[name] = own_containers((args, kwargs))

    def after(name: str, module: nn.Module) -> None:
        standing.leave(name, module)
        if name in sites and not busy:
            busy.append(name)
            nudge(sites.pop(name), module, given.pop(name), watch, found)
            busy.pop()
        if name in own_passes and not busy:
            busy.append(name)
            own_passes.remove(name)
            if not moves(module, given.pop(name)):
                undone.add(name)
            busy.pop()

    with _as_it_was(inner), standing, watching(model, standing.enter, before, after) as watch:
        watch.is_factor = standing.is_factor
        args, kwargs = own_containers((batch.args, dict(batch.kwargs)), tensors=True)
        output = inner(*args, **kwargs)
        reached = _reached(output)
    found.unseen += sites
    _factors(plan, standing, watch, calls - undone, found)
    found.unseen = [name for name in found.unseen if name not in undone]
    found.faults += [undone_fault(factor) for factor in plan.factors if factor.module in undone]
    _read_by_hand(plan, standing, watch, reached, here, found)
    _own_multiplication(plan, standing, watch, inner, found)
    _unknown_attention(plan, watch, here, found)
    return found


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """Random numbers, buffers and a cache of keys and values as if nothing had run."""
    buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    config, caches = (
        getattr(model, "config", None),
        getattr(getattr(model, "config", None), "use_cache", None),
    )
    devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(devices=list(devices)), torch.enable_grad():
        try:
            if caches:
                config.use_cache = False  # type: ignore[union-attr]
            yield
        finally:
            if caches:
                config.use_cache = caches  # type: ignore[union-attr]
            for module in model.modules():
                if callable(
                    reshard := getattr(module, "reshard", None)
                ):  # FSDP2, after a pass without backward
                    reshard()
            with torch.no_grad():
                for name, buffer in model.named_buffers():
                    if name in buffers and buffers[name].shape == buffer.shape:
                        buffer.copy_(buffers[name])


def _reached(output: Any) -> set[int]:
    """Ids of the leaves of the graph behind what a model gives."""
    values = (
        list(vars(output).values()) if hasattr(output, "__dict__") and not isinstance(output, Tensor) else []
    )
    nodes = [leaf.grad_fn for leaf in tree_leaves([output, values]) if isinstance(leaf, Tensor)]
    seen, leaves = set(nodes), set[int]()
    while nodes:
        node = nodes.pop()
        if node is None:
            continue
        if (variable := getattr(node, "variable", None)) is not None:
            leaves.add(id(variable))
        fresh = {following for following, _ in node.next_functions} - seen
        seen |= fresh
        nodes += fresh
    return leaves


def _factors(plan: ModelPlan, standing: StandIns, watch: Watch, calls: set[str], found: Proof) -> None:
    for factor in plan.factors:
        own = [value for (module, _), value in standing.factors.items() if module == factor.module]
        if factor.module not in calls:
            found.unseen.append(factor.module)
        elif own and all(id(value) in watch.seen for value in own):
            found.acting += 1
        else:
            wanted = f"{precise(factor.on_input * factor.on_output)} applied"
            found.faults.append(
                Fault(factor.module, "multiplier", wanted, "the forward pass does not read it")
            )


def _read_by_hand(
    plan: ModelPlan,
    standing: StandIns,
    watch: Watch,
    reached: set[int],
    here: Mapping[str, nn.Module],
    found: Proof,
) -> None:
    """Weights that are read outside their layers, where the factor on the layer does not act."""
    factors = {factor.module: factor for factor in plan.factors}
    for tensor in plan.tensors:
        weight = standing.weights[tensor.name]
        operations = watch.seen.get(id(weight), set()) - {"__get__", "detach"}
        if id(weight) not in reached:
            continue
        if tensor.role == "embedding" and operations == {"embedding"}:
            needs, what = plan_multiplier(plan, tensor), "looked up"
        else:
            needs, what = _needs_factor(plan, tensor, factors, here), "read"
        if not needs and _is_transposed(plan, tensor, watch.contracted.get(id(weight), set())):
            wanted = "used one way; give the other way a weight of its own"
            way = "a readout" if tensor.role == "embedding" else "an embedding"
            how = f"multiplied outside its layer, as {way} is"
            found.faults.append(Fault(tensor.name, "multiplier", wanted, how))
        if needs:
            wanted = "used by its layer alone"
            found.faults.append(
                Fault(tensor.name, "multiplier", wanted, f"weight {what} outside its layer, past the factor")
            )
            found.unseen = [name for name in found.unseen if name not in _layers(tensor)]


def _is_transposed(plan: ModelPlan, tensor: TensorPlan, contracted: set[int]) -> bool:
    """Whether an embedding's weight is summed over the width, or a readout's over its outputs, by hand.

    So an autoencoder does that decodes by the encoder's transposed weight. No role is right for both.
    """
    if plan.rule.tied is None or tensor.tensor.ratio == 1.0 or tensor.tensor.dimension is None:
        return False
    shape = tensor.tensor.shape
    width = shape[tensor.tensor.dimension]
    if tensor.role == "embedding":
        return width in contracted
    return tensor.role == "readout" and bool(contracted & ({*shape} - {width}))


def plan_multiplier(plan: ModelPlan, tensor: TensorPlan) -> bool:
    """Whether the tensor's own rows must be multiplied, by the rule or to take off what the model does."""
    native = any(layer in plan.native for layer in _layers(tensor))
    return tensor.factors.multiplier != 1.0 or (native and not plan.rule.keeps_native_multipliers)


def _needs_factor(
    plan: ModelPlan, tensor: TensorPlan, factors: Mapping[str, Factor], here: Mapping[str, nn.Module]
) -> bool:
    layers, tied = appliers(tensor.tensor, here), tied_readouts(tensor.tensor, here)
    own = [factors[layer] for layer in (*layers, *tied) if layer in factors]
    # A factor on what a layer reads multiplies its matrix: a bias, read anywhere, stays as it is.
    if tensor.factors.multiplier != 1.0 or any(f.on_output != 1.0 or not _is_bias(tensor) for f in own):
        return True
    # Logits from an embedding by hand: no layer is there that could have the rule's factor on tied logits.
    by_hand = tensor.role == "embedding" and not tied and isinstance(here.get(layers[0]), nn.Embedding)
    return by_hand and bool(plan.rule.tied) and tensor.tensor.ratio != 1.0


def _is_bias(tensor: TensorPlan) -> bool:
    """Whether every layer that holds it adds it."""
    return all(name.rpartition(".")[2] == "bias" for name in (tensor.name, *tensor.tensor.aliases))


def _layers(tensor: TensorPlan) -> set[str]:
    return {name.rpartition(".")[0] for name in (tensor.name, *tensor.tensor.aliases)}


def _own_multiplication(
    plan: ModelPlan, standing: StandIns, watch: Watch, model: nn.Module, found: Proof
) -> None:
    """Embeddings that the model multiplies by sqrt(width) in its own code, where nothing takes it off."""
    if plan.rule.keeps_native_multipliers or plan.ratio == 1.0:
        return
    config = getattr(model, "config", None)
    taken_off = {tensor.name for tensor in plan.tensors if _layers(tensor) & plan.native.keys()}
    fixed = [v for v in getattr(config, "__dict__", {}).values() if isinstance(v, float)]
    for table, numbers in watch.tables.items():
        if (name := standing.table_of.get(table)) is None or name in taken_off:
            continue
        width = standing.weights[name].shape[-1]
        own = [n for n in numbers if math.isclose(n, width**0.5, rel_tol=_SAME) and n not in fixed]
        if own:
            base = (width / plan.ratio) ** 0.5
            wanted = f"one number at every width, such as the base's {precise(base)}"
            found.faults.append(
                Fault(name, "multiplier", wanted, f"times sqrt(width) = {precise(own[0])} in the model")
            )


def _unknown_attention(plan: ModelPlan, watch: Watch, here: Mapping[str, nn.Module], found: Proof) -> None:
    """Attention in modules that the rule has not scaled, and whose head dimension it does not know."""
    if plan.heads_known is None or plan.rule.attention == -0.5 or plan.ratio == 1.0:
        return
    known = plan.heads_known | {site.module for site in plan.attention}
    for stack, what in watch.attention.items():
        if not known.intersection(stack):
            inner = stack[-1] if stack else ""
            place = f"{inner or 'the model'} ({type(here[inner]).__name__})"
            wanted = "attention={module pattern: attribute with its scale}, or attention=False"
            found.faults.append(Fault(place, "attention scale", wanted, f"{what} that no scale is set for"))
