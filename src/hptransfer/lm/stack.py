"""Stack: runs trained together; which may be, the state they start from, and their compiled step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from hptransfer.lm.fused import aligned
from hptransfer.lm.model import Decoder
from hptransfer.lm.rule import init_stds
from hptransfer.lm.run_tensors import RunSettings, StepSettings, multiplied
from hptransfer.lm.step import (
    CompileKey,
    Gradient,
    RunState,
    Step,
    Update,
    Weights,
    initial_moments,
    run_gradient,
    run_update,
)
from hptransfer.runs.config import RunSpec
from hptransfer.runs.decoder_tensors import tensor_layout

# The first torch whose compiled step was found to be the eager one on a CPU, to 1e-9 in float64: the C++ that
# 2.6 and 2.11 generate gives other gradients of the embeddings (their decompositions alone do not).
RIGHT_ON_CPU = "2.13"
MOST_COMPILED = 256  # compiled steps a process may hold; torch allows 8, fewer than a study has widths


def stack_key(run: RunSpec) -> Hashable:
    """Runs with the same key may be trained in one stack: they differ in numbers alone.

    Those are rule, LR, decay, schedule, moments' rates, initial weights, attention scale, seeds and the like.
    """
    train = run.train.structure()
    return run.model.structure(), run.data, train, run.steps, run.train.evaluations, run.probes


def initial_state(runs: Sequence[RunSpec]) -> tuple[CompileKey, RunState]:
    """The compile key that the runs of a stack share, and their state before the first step."""
    key = CompileKey(runs[0].model.structure(), runs[0].train.structure(), multiplied(runs))
    drawn = [initial_weights(run) for run in runs]
    weights = {t.name: torch.stack([own[t.name] for own in drawn]) for t in tensor_layout(key.model)}
    alive = torch.ones(len(runs), dtype=torch.bool)
    return key, RunState(weights, initial_moments(key, weights), alive)


def initial_weights(run: RunSpec) -> dict[str, Tensor]:
    """Initial weights by tensor name, in the run's dtype.

    The normal draws depend on the seed and the shapes only; the rule scales them. So variants of one width
    and seed start from the same draws, and a difference between them is the rule's.
    """
    generator = torch.Generator().manual_seed(run.seed)
    stds = init_stds(run)
    dtype = getattr(torch, run.train.dtype)
    weights = {}
    for tensor in tensor_layout(run.model):
        if tensor.start == "normal":
            draws = torch.randn(tensor.shape, generator=generator, dtype=torch.float64) * stds[tensor.name]
            draws[: tensor.zero_rows] = 0
            weights[tensor.name] = draws.to(dtype)
        else:
            weights[tensor.name] = torch.full(tensor.shape, float(tensor.start == "ones"), dtype=dtype)
    return weights


def template(key: CompileKey, device: str = "cpu", fused: bool | None = None) -> Decoder:
    """The decoder whose forward pass is called with a run's weights; its own are not used.

    Args:
        key: of the runs.
        device: of its tables (mask, rotations).
        fused: whether attention is one kernel; default: on CUDA, where there is one (see `fused.aligned`).
    """
    if fused is None:
        fused = device.startswith("cuda") and key.train.dtype != "float64" and aligned(key.model.d_head)
    return Decoder(key.model, fused).to(device, getattr(torch, key.train.dtype))


def stack_step(
    model: Decoder, key: CompileKey, compiler: Callable[[Any], Any] = lambda function: function
) -> Step:
    """The step of a whole stack: every tensor that goes in has a leading stack dimension.

    The state is updated in place, which spares the compiled step an allocation of all weights and moments.

    Args:
        model: template; its own weights are not used.
        key: of the runs.
        compiler: compiles what is to be one graph: the step, or, where gradients are accumulated, one part's
            gradient and the update, so that no graph grows with the number of parts.
    """
    gradient, update = stack_gradient(model, key), stack_update(key)
    if key.train.accumulation > 1:
        return accumulating(compiler(gradient), compiler(update), key.train.accumulation)

    def step(
        state: RunState, settings: RunSettings, now: StepSettings, tokens: Tensor
    ) -> tuple[RunState, Tensor]:
        grads, losses = gradient(state.weights, settings, tokens)
        return update(state, settings, now, grads, losses), losses

    compiled: Step = compiler(step)
    return compiled


def accumulating(gradient: Gradient, update: Update, parts: int) -> Step:
    """A stack's step that goes through its batch in parts: the mean of their gradients, then one update."""

    def step(
        state: RunState, settings: RunSettings, now: StepSettings, tokens: Tensor
    ) -> tuple[RunState, Tensor]:
        sums: Weights = {}
        total = torch.zeros_like(settings.beta1)
        for part in tokens.chunk(parts, dim=1):
            grads, losses = gradient(state.weights, settings, part)
            sums = {name: grad + sums[name] if sums else grad for name, grad in grads.items()}
            total = total + losses
        means = {name: grad / parts for name, grad in sums.items()}
        return update(state, settings, now, means, total / parts), total / parts

    return step


def stack_gradient(model: Decoder, key: CompileKey) -> Gradient:
    """`run_gradient` of every run of a stack."""
    lifted = vmap(run_gradient(model, key))

    def gradient(weights: Weights, settings: RunSettings, tokens: Tensor) -> tuple[Weights, Tensor]:
        with torch.no_grad():
            found: tuple[Weights, Tensor] = lifted(weights, settings, tokens)
        return found

    return gradient


def stack_update(key: CompileKey) -> Update:
    """`run_update` of every run of a stack, whose state it changes in place."""
    lifted = vmap(run_update(key))

    def update(
        state: RunState, settings: RunSettings, now: StepSettings, grads: Weights, loss: Tensor
    ) -> RunState:
        with torch.no_grad():
            write_state(state, lifted(state, settings, now, grads, loss))
        return state

    return update


def write_state(state: RunState, new: RunState) -> None:
    """Put a new state's numbers into a state's own tensors."""
    torch.utils._pytree.tree_map_(lambda old, after: old.copy_(after), state, new)


@lru_cache(maxsize=MOST_COMPILED)
def step_of(key: CompileKey, compiled: bool, device: str) -> Step:
    """The stack's step for a compile key, compiled at most once a process.

    Args:
        key: of the runs.
        compiled: whether it is compiled.
        device: that trains.
    """
    if not compiled:
        return stack_step(template(key, device), key)
    return stack_step(template(key, device), key, compiler(device))


def many_compiled() -> AbstractContextManager[object]:
    """While it is open, a process may hold `MOST_COMPILED` compiled steps."""
    config = torch._dynamo.config
    name = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"  # torch 2.6
    opened: AbstractContextManager[object] = config.patch({name: MOST_COMPILED})
    return opened


def compiler(device: str) -> Callable[[Any], Any]:
    """torch.compile as a stack wants it: one graph, of fixed shapes; on CUDA replayed as a CUDA graph."""
    mode = "reduce-overhead" if device.startswith("cuda") else None
    return partial(or_eager, partial(torch.compile, fullgraph=True, dynamic=False, mode=mode))


def or_eager(compile_: Callable[[Any], Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled; from the first call on as it is, with a warning, where the backend fails at it.

    torch 2.13's inductor stops at one of our graphs: SGD's update with clipping, apart from the gradient.
    """
    chosen = compile_(function)

    def call(*arguments: Any) -> Any:
        nonlocal chosen
        try:
            return chosen(*arguments)
        except torch._dynamo.exc.BackendCompilerFailed as error:
            text = str(error).partition("\n")[0]
            warnings.warn(f"torch.compile failed ({text}): this part of a step runs eager", stacklevel=2)
            chosen = function
            return function(*arguments)

    return call


def compiler_found(device: str = "cpu") -> bool:
    """Whether torch.compile can build the right step for this machine; warns where it cannot on a CPU."""
    if device == "mps":
        return False
    if device != "cpu":
        return True
    if torch.__version__ < RIGHT_ON_CPU:
        warnings.warn(
            f"torch {torch.__version__} compiles wrong gradients of the embeddings on a CPU; torch "
            f"{RIGHT_ON_CPU} does not: training runs eager, about half as fast",
            stacklevel=2,
        )
        return False
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        warnings.warn("no C++ compiler found: training runs eager, about half as fast", stacklevel=2)
        return False
    return True
