"""Stacked training: the runs that share a shape trained together by one process."""

from __future__ import annotations

import math
import platform
import time
import warnings
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vmap

from hptransfer.lm.config import ModelConfig, RunRecord, RunSpec
from hptransfer.lm.data import Corpus, batch, load_corpus, validation_sequences
from hptransfer.lm.flops import run_flops
from hptransfer.lm.init import initial_weights
from hptransfer.lm.layout import parameter_count, tensor_layout
from hptransfer.lm.model import Decoder
from hptransfer.lm.settings import RunSettings, multiplied, stack_clock, stack_settings
from hptransfer.lm.step import (
    RunState,
    Shape,
    Step,
    initial_moments,
    run_logits,
    sequence_losses,
    stack_step,
)
from hptransfer.version import __version__

OnStep = Callable[[int, Sequence[float]], None]
CURVE_POINTS = 200  # a training curve is thinned to about so many
_EVALUATION_CHUNK = 16  # sequences evaluated at once; bounds memory
_SHAPES = 256  # compiled shapes a process may hold; torch's own limit of 8 is fewer than a study's widths


def stack_key(run: RunSpec) -> Hashable:
    """Runs with the same key may be trained in one stack: they differ in numbers alone.

    Those are rule, LR, decay, schedule, moments' rates, initial weights, attention scale, seeds and the like.
    """
    return run.model.structure(), run.data, run.train.structure(), run.steps


def train_stack(runs: Sequence[RunSpec], *, compiled: bool, on_step: OnStep | None = None) -> list[RunRecord]:
    """Train runs together and say what became of each.

    A member's numbers do not depend on the others' LR, rule, decay or seeds; a member that diverges stands
    still and is recorded as diverged. Floating-point rounding may depend on the size of the stack and on
    `compiled`, so a study fixes both in its plan.

    Args:
        runs: with one `stack_key`.
        compiled: compile the step with `torch.compile`; eager, with a warning, where no compiler is found.
        on_step: called after every step with the step's number and the members' training losses.

    Returns:
        One record a run, in order.

    Raises:
        ValueError: the runs do not share a key, or there are none.
        DataError: the text cannot be read or is too short.
    """
    if len({stack_key(run) for run in runs}) != 1:
        raise ValueError("the runs of a stack must share their model, data, optimizer, batch size and steps")
    compiled = compiled and compiler_found()
    first, start = runs[0], time.perf_counter()
    corpus = load_corpus(first.data, first.model)
    shape, state = initial_state(runs)
    settings = stack_settings(runs)
    validation = torch.from_numpy(validation_sequences(corpus, first.data, first.model))
    before = _evaluate(shape, state, settings, validation[:_EVALUATION_CHUNK])  # no need to know it well
    losses = _train(runs, _step(shape, compiled), state, settings, corpus, on_step)
    after = _evaluate(shape, state, settings, validation)
    engine = {
        "stack": len(runs),
        "compiled": compiled,
        "threads": torch.get_num_threads(),
        "device": "cpu",
        "corpus": corpus.sha256[:16],
    }
    wall = (time.perf_counter() - start) / len(runs)
    return [_record(run, before[i], after[i], losses[:, i], engine, wall) for i, run in enumerate(runs)]


def initial_state(runs: Sequence[RunSpec]) -> tuple[Shape, RunState]:
    """The shape that the runs of a stack share, and their state before the first step."""
    shape = Shape(runs[0].model.structure(), runs[0].train.structure(), multiplied(runs))
    members = [initial_weights(run) for run in runs]
    weights = {t.name: torch.stack([m[t.name] for m in members]) for t in tensor_layout(shape.model)}
    alive = torch.ones(len(runs), dtype=torch.bool)
    return shape, RunState(weights, initial_moments(shape, weights), alive)


def template(shape: Shape) -> Decoder:
    """The decoder whose forward pass is called with a run's weights; its own are not used."""
    return Decoder(shape.model).to(getattr(torch, shape.train.dtype))


def compiler_found() -> bool:
    """Whether torch.compile can build for this machine; warns once where it cannot."""
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        warnings.warn("no C++ compiler found: training runs eager, about half as fast", stacklevel=2)
        return False
    return True


@lru_cache(maxsize=_SHAPES)
def _step(shape: Shape, compiled: bool) -> Step:
    """The stack's step for a shape, compiled at most once a process."""
    if not compiled:
        return stack_step(template(shape), shape)
    return stack_step(template(shape), shape, partial(torch.compile, fullgraph=True, dynamic=False))


def _train(
    runs: Sequence[RunSpec],
    step: Step,
    state: RunState,
    settings: RunSettings,
    corpus: Corpus,
    on_step: OnStep | None,
) -> NDArray[np.float64]:
    """Train the state in place; the members' loss at every step, [steps, runs], NaN once diverged."""
    steps, model = runs[0].steps, runs[0].model
    losses = np.full((steps, len(runs)), np.nan)
    with torch._dynamo.config.patch(recompile_limit=_SHAPES):
        for number in range(steps):
            tokens = _tokens(runs, corpus, model, number)
            state, loss = step(state, settings, stack_clock(runs, number), tokens)
            losses[number] = torch.where(state.alive, loss, math.nan).numpy()
            if on_step is not None:
                on_step(number, losses[number].tolist())
            if not bool(state.alive.any()):
                break
    return losses


def _tokens(runs: Sequence[RunSpec], corpus: Corpus, model: ModelConfig, number: int) -> Tensor:
    """Token ids of a step, [runs, batch, context + 1]; drawn once per data seed."""
    size = runs[0].train.batch_size
    drawn = {seed: batch(corpus, model, size, seed, number) for seed in {run.data_seed for run in runs}}
    return torch.from_numpy(np.stack([drawn[run.data_seed] for run in runs]))


def _evaluate(shape: Shape, state: RunState, settings: RunSettings, sequences: Tensor) -> NDArray[np.float64]:
    """Validation loss of every sequence under every member, nats per token, [runs, sequences]."""
    model = template(shape)

    def losses(weights: dict[str, Tensor], settings: RunSettings, tokens: Tensor) -> Tensor:
        return sequence_losses(run_logits(model, shape, weights, settings, tokens), tokens)

    lifted = vmap(losses, in_dims=(0, 0, None))
    with torch.no_grad():
        chunks = torch.split(sequences, _EVALUATION_CHUNK)
        parts = [lifted(state.weights, settings, tokens) for tokens in chunks]
    return torch.cat(parts, dim=1).double().numpy()


def _record(
    run: RunSpec,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    losses: NDArray[np.float64],
    engine: dict[str, object],
    wall: float,
) -> RunRecord:
    """A run is diverged where a loss was not finite, or where it ends above the loss it began with."""
    bad = np.flatnonzero(~np.isfinite(losses))
    final, initial = float(after.mean()), float(before.mean())
    diverged = bad.size > 0 or not math.isfinite(final) or final > initial
    stride = max(1, math.ceil(run.steps / CURVE_POINTS))
    kept = [i for i in range(run.steps) if (i % stride == 0 or i == run.steps - 1)]
    return RunRecord(
        run_id=run.run_id,
        status="diverged" if diverged else "done",
        loss=math.nan if diverged else final,
        loss_se=None
        if diverged
        else float(after.std(ddof=1) / math.sqrt(after.size))
        if after.size > 1
        else None,
        initial_loss=initial,
        curve=tuple((i, float(losses[i])) for i in kept if math.isfinite(losses[i])),
        diverged_step=int(bad[0]) if bad.size else None,
        tokens=run.tokens,
        params=parameter_count(run.model),
        flops=run_flops(run),
        wall_s=wall,
        engine=engine,
        versions={"hptransfer": __version__, "torch": torch.__version__, "python": platform.python_version()},
    )
