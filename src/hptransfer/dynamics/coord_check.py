"""The coordinate check: do the changes of a model's activations keep their size as it grows?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hptransfer.dynamics.activation_trace import Batch, Trace, default_loss, trace
from hptransfer.dynamics.activations import LOGITS
from hptransfer.dynamics.check_options import CheckOptions, Groups, MakeOptimizer
from hptransfer.dynamics.result import CoordCheck
from hptransfer.dynamics.slopes import LayerCheck, LayerKind, check_layer
from hptransfer.errors import DynamicsError
from hptransfer.parametrization.attention import is_attention
from hptransfer.parametrization.custom import as_rule
from hptransfer.parametrization.mup_departures import departures, initial_slope, natural_coordinates
from hptransfer.parametrization.optimizers import OptimizerName, family, get_optimizer
from hptransfer.parametrization.parameters import modules, parameters
from hptransfer.parametrization.parametrize import parametrize
from hptransfer.parametrization.rule import Rule
from hptransfer.parametrization.rule_arithmetic import in_coordinates
from hptransfer.parametrization.scaling import Scaling
from hptransfer.words import plural, precise

Build = Callable[[int], nn.Module]
BETAS = (0.9, 0.95)  # of the optimizers that have them


@dataclass(frozen=True)
class _Setup:
    """What every run of a check shares."""

    build: Build
    rule: Rule | None
    widths: tuple[int, ...]  # ascending
    base_width: int
    options: CheckOptions
    scaling: Mapping[str, Any]  # further arguments of `hpt.parametrize`


def coord_check(
    build: Build,
    widths: Sequence[int],
    rule: Rule | str | Path | Mapping[str, Any] | None,
    batches: Sequence[Batch],
    **options: Any,
) -> CoordCheck:
    """Trains a model for a few steps at several widths and says, layer by layer, what grows or shrinks.

    At every width and seed the model is built, initialised and given its optimizer groups by the rule, and
    trained. Hooks measure each layer's output on the first batch, and its change since initialisation. Under
    muP (arXiv:2203.03466, section D.1) the changes neither grow nor vanish with width. A layer fails where
    the interval of d log2(RMS) / d log2(width) lies wholly beyond the threshold at any step: above it for
    outputs and changes, below it for changes, and for outputs at initialisation where the rule keeps them.

    Args:
        build: of a width; gives the model, with its usual initial weights, on a real device.
        widths: two or more; the wider, the nearer to the limit in which rules are derived.
        rule: as for `hpt.parametrize`; None checks the model and the optimizer as they are given.
        batches: trained on in turn; the first is also what is measured on. (inputs, targets), or mappings of
            a Hugging Face model's arguments. One small batch shows aligned changes best.
        **options: see `CheckOptions`: steps, lr, optimizer, base_width, seeds, level, threshold, loss,
            coordinates; and further arguments of `hpt.parametrize`: overrides, attention, residual,
            width_ratio.

    Raises:
        DynamicsError: an argument is out of range, there is too little to fit slopes to, or the narrowest
            model does not stay finite.
        RuleError: the rule does not fit the model; as VerifyError, the model passes a forward multiplier by.
    """
    names = {field.name for field in fields(CheckOptions)}
    chosen = CheckOptions(**{name: value for name, value in options.items() if name in names})
    scaling = {name: value for name, value in options.items() if name not in names}
    sizes = _widths(widths, chosen.seeds)
    if not batches:
        raise DynamicsError("batches must be at least 1, but got 0")
    setup = _Setup(build, _rule(rule, chosen, scaling), sizes, chosen.base_width or sizes[0], chosen, scaling)
    gpus = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=gpus):  # the user's draws stay as they were
        initial, promise = _promise(setup)
        traces = [[_run(setup, width, seed, batches) for seed in range(chosen.seeds)] for width in sizes]
        model = setup.build(sizes[0])
    return _judged(traces, _settings(setup), initial, promise, model)


def _settings(setup: _Setup) -> dict[str, Any]:
    rule, options = setup.rule, setup.options
    return {
        "rule": rule.name if rule else "the model as given",
        "coordinates": rule.coordinates if rule else "own",
        "widths": list(setup.widths),
        "base_width": setup.base_width if rule else None,
        "steps": options.steps,
        "seeds": options.seeds,
        "lr": options.lr,
        "optimizer": options.optimizer if isinstance(options.optimizer, str) else "own optimizer",
        "level": options.level,
        "threshold": list(options.flat),
    }


def _run(setup: _Setup, width: int, seed: int, batches: Sequence[Batch]) -> Trace:
    """One run at one width."""
    options = setup.options
    steps, loss = options.steps, options.loss or default_loss
    torch.manual_seed(seed)
    model = setup.build(width)
    groups: Groups = [{"params": [p for p in model.parameters() if p.requires_grad], "lr": options.lr}]
    if setup.rule is None:
        return trace(model, _optimizer(options.optimizer, model, groups), batches, steps, loss, {})
    scaling = _scaled(setup, setup.rule, model, width)
    # The draws differ from width to width: a residual of the fit is then one run's luck, and not shared.
    scaling.init_(model, seed=1_000_003 * seed + width)
    live = parameters(model)
    tables = {p.name: live[p.name].parameter for p in scaling.tensors if p.role in ("embedding", "vector")}
    kind = options.optimizer if isinstance(options.optimizer, str) else None
    groups = scaling.param_groups(model, lr=options.lr, optimizer=kind)
    optimizer = _optimizer(options.optimizer, model, groups)
    found = trace(model, optimizer, batches, steps, loss, tables)
    if kind is not None:  # a multiplier on a layer that the model never calls would be charged to the rule
        scaling.verify(model, optimizer)
    return found


def _scaled(setup: _Setup, rule: Rule, model: nn.Module, width: int) -> Scaling:
    base = setup.base_width
    other = setup.build(next(w for w in setup.widths if w != base)) if width == base else None
    return parametrize(
        model,
        base=setup.build(base),
        rule=rule,
        optimizer=rule.optimizer,
        other=other,
        narrower=width < base,
        **setup.scaling,
    )


def _optimizer(
    optimizer: OptimizerName | MakeOptimizer, model: nn.Module, groups: Groups
) -> torch.optim.Optimizer:
    if not isinstance(optimizer, str):
        return optimizer(model, groups)
    entry = get_optimizer(optimizer)
    betas = {"betas": BETAS} if "betas" in entry.hyperparameters else {}
    make: Callable[..., torch.optim.Optimizer] = getattr(torch.optim, str(entry.torch_class))
    return make(groups, weight_decay=0.0, **betas)


def _promise(setup: _Setup) -> tuple[dict[str, float], tuple[str, ...]]:
    """By layer, the slope of its output at initialisation by the rule; a note where that is not muP."""
    if setup.rule is None:
        return {}, ()
    rule = setup.rule
    narrow, wide = (setup.build(width) for width in setup.widths[:2])
    scaling = parametrize(wide, base=narrow, rule=rule, optimizer=rule.optimizer, **setup.scaling)
    weights = [p for p in scaling.tensors if p.name.endswith(".weight")]
    slopes = {p.name.removesuffix(".weight"): initial_slope(rule, p.role) for p in weights}
    found = departures(rule, {p.role for p in scaling.tensors})
    head = f"{rule.name} in {rule.coordinates} coordinates does not promise flat slopes"
    note = (f"{head}: {'; '.join(found)}.",) if found else ()
    return {name: slope for name, slope in slopes.items() if slope is not None}, note


def _judged(
    traces: list[list[Trace]],
    settings: dict[str, Any],
    initial: Mapping[str, float],
    promise: tuple[str, ...],
    model: nn.Module,
) -> CoordCheck:
    runs = [run for row in traces for run in row]
    idle = frozenset[str]().union(*(run.idle for run in runs))
    names = [n for n in dict.fromkeys(name for run in runs for name in run.sizes) if n not in idle]
    sizes = {
        name: np.array([[run.sizes[name] for run in row] for row in traces])
        for name in names
        if all(name in run.sizes for run in runs)
    }
    if not all(np.isfinite(found[0]).all() for found in sizes.values()):
        raise DynamicsError(
            f"the narrowest model must stay finite, but at width {settings['widths'][0]} it does not in "
            f"{plural(settings['steps'], 'step')} at lr={precise(settings['lr'])}; give a smaller lr"
        )
    flat = (float(settings["threshold"][0]), float(settings["threshold"][1]))
    matrices = {name for name, module in modules(model).items() if _has_matrix(module)} | {LOGITS}
    checked = {
        name: check_layer(
            name,
            found[..., [0, 2]],
            settings["widths"],
            settings["level"],
            flat,
            LayerKind(initial.get(name), name in matrices),
        )
        for name, found in sizes.items()
    }
    layers: tuple[LayerCheck, ...] = tuple(layer for layer in checked.values() if layer is not None)
    if not layers:
        raise DynamicsError("some layer's output must change in training, but none did: is anything trained?")
    return CoordCheck(
        layers=layers,
        sizes={layer.name: sizes[layer.name] for layer in layers},
        losses=np.array([[run.losses for run in row] for row in traces]),
        settings=settings,
        notes=promise
        + _left_out(set(names) - set(sizes), idle, sum(x is None for x in checked.values()))
        + _unseen_attention(model, names),
    )


def _has_matrix(module: nn.Module) -> bool:
    return any(
        p is not None and p.ndim >= 2 and p.numel() > max(p.shape) for p in module._parameters.values()
    )


def _unseen_attention(model: nn.Module, rows: Collection[str]) -> tuple[str, ...]:
    """Attention, by the class's name, whose logits no row shows."""
    names = [name for name, module in modules(model).items() if is_attention(module)]
    seen = [row.removesuffix("attention logits").strip() for row in rows if row.endswith("attention logits")]
    near = {n for n in names for s in seen if s == n or s.startswith(f"{n}.") or n.startswith(f"{s}.")}
    unseen = sorted(set(names) - near)
    return (f"Not seen, computed in a kernel: attention logits of {', '.join(unseen)}.",) if unseen else ()


def _left_out(uneven: Collection[str], idle: Collection[str], constant: int) -> tuple[str, ...]:
    notes = []
    if uneven:
        notes.append(f"Left out, not called alike in every run and step: {', '.join(sorted(uneven))}.")
    if idle:
        notes.append(f"Left out, a gradient of rounding alone: {', '.join(sorted(idle))}.")
    if constant:
        notes.append(f"Left out, never changing: {constant} layers.")
    return tuple(notes)


def _rule(
    rule: Rule | str | Path | Mapping[str, Any] | None, options: CheckOptions, scaling: Mapping[str, Any]
) -> Rule | None:
    if rule is None:
        if options.coordinates or options.base_width or scaling:
            raise DynamicsError(
                "without a rule the model is taken as it is: give no base_width or coordinates"
            )
        return None
    kind = family(options.optimizer) if isinstance(options.optimizer, str) else "adam"
    chosen = rule if isinstance(rule, Rule) else as_rule(rule, kind)
    return in_coordinates(chosen, options.coordinates) if options.coordinates else natural_coordinates(chosen)


def _widths(widths: Sequence[int], seeds: int) -> tuple[int, ...]:
    """The widths, ascending: enough of them, and of seeds, for a slope with an interval."""
    sizes = tuple(sorted(set(widths)))
    if len(sizes) < 2 or sizes[0] < 1:
        raise DynamicsError(f"a slope needs two or more positive widths, but got {list(widths)}")
    if len(sizes) * seeds < 3:
        raise DynamicsError(
            f"an interval needs widths x seeds >= 3, but got "
            f"{plural(len(sizes), 'width')} and {plural(seeds, 'seed')}; give more seeds"
        )
    return sizes
