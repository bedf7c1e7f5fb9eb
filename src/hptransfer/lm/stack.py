"""Stack: runs trained together; which may be, the state they start from, and their compiled step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from typing import Any

import torch

from hptransfer.lm.fused import aligned
from hptransfer.lm.init import initial_weights
from hptransfer.lm.model import Decoder
from hptransfer.lm.run_tensors import multiplied
from hptransfer.lm.step import CompileKey, RunState, Step, initial_moments, stack_step
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
    members = [initial_weights(run) for run in runs]
    weights = {t.name: torch.stack([m[t.name] for m in members]) for t in tensor_layout(key.model)}
    alive = torch.ones(len(runs), dtype=torch.bool)
    return key, RunState(weights, initial_moments(key, weights), alive)


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
