"""Stacked training: the runs that share a shape trained together by one process."""

from __future__ import annotations

import math
import platform
import time
import warnings
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import stack_module_state, vmap

from hptransfer.lm.config import ModelConfig, RunRecord, RunSpec, TrainConfig
from hptransfer.lm.data import Corpus, batch, load_corpus, validation_sequences
from hptransfer.lm.flops import run_flops
from hptransfer.lm.init import initial_weights
from hptransfer.lm.layout import decoder_rule, parameter_count, run_attention_scale
from hptransfer.lm.model import Decoder
from hptransfer.lm.optimizer import Moments
from hptransfer.lm.schedule import warmup_stable_decay
from hptransfer.lm.step import Clock, RunSettings, RunState, Step, sequence_losses, stack_step
from hptransfer.parametrization.rules import ROLES, role_settings
from hptransfer.version import __version__

OnStep = Callable[[int, Sequence[float]], None]
CURVE_POINTS = 200  # a training curve is thinned to about so many
_EVALUATION_CHUNK = 16  # sequences evaluated at once; bounds memory
_SHAPES = 256  # compiled shapes a process may hold; torch's own limit of 8 is fewer than a study's widths


def stack_key(run: RunSpec) -> Hashable:
    """Runs with the same key may be trained in one stack: all but rule, LR, decay and seeds agree."""
    train = run.train.model_copy(update={"weight_decay": 0.0})
    return run.model, run.data, train, run.base_width


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
        raise ValueError("the runs of a stack must share everything but rule, lr, weight_decay and seeds")
    compiled = compiled and compiler_found()
    first, start = runs[0], time.perf_counter()
    corpus = load_corpus(first.data, first.model)
    model, state = initial_state(runs)
    settings = stack_settings(runs)
    validation = torch.from_numpy(validation_sequences(corpus, first.data, first.model))
    before = _evaluate(model, state, settings, validation[:_EVALUATION_CHUNK])  # no need to know it well
    losses = _train(
        runs, _step(first.model, _shared(first.train), compiled), state, settings, corpus, on_step
    )
    after = _evaluate(model, state, settings, validation)
    engine = {
        "stack": len(runs),
        "compiled": compiled,
        "threads": torch.get_num_threads(),
        "device": "cpu",
        "corpus": corpus.sha256[:16],
    }
    wall = (time.perf_counter() - start) / len(runs)
    return [_record(run, before[i], after[i], losses[:, i], engine, wall) for i, run in enumerate(runs)]


def initial_state(runs: Sequence[RunSpec]) -> tuple[Decoder, RunState]:
    """The decoder (a template: its own weights are not used) and the stack's state before the first step."""
    members = []
    for run in runs:
        member = Decoder(run.model).to(getattr(torch, run.train.dtype))
        member.load_state_dict(initial_weights(run))
        members.append(member)
    stacked, _ = stack_module_state(members)
    weights = {name: weight.detach().clone() for name, weight in stacked.items()}
    moments = {n: Moments(torch.zeros_like(w), torch.zeros_like(w)) for n, w in weights.items()}
    return members[0], RunState(weights, moments, torch.ones(len(runs), dtype=torch.bool))


def stack_settings(runs: Sequence[RunSpec]) -> RunSettings:
    """LR and decay by role, and attention scale, of every run; tensors of shape [runs]."""
    dtype = getattr(torch, runs[0].train.dtype)
    rules = [decoder_rule(run.rule) for run in runs]
    factors = {
        role: [
            role_settings(rule, role, run.model.width / run.base_width)
            for rule, run in zip(rules, runs, strict=True)
        ]
        for role in ROLES
    }

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=dtype)

    return RunSettings(
        lr={
            role: column([run.lr * f.lr for run, f in zip(runs, factors[role], strict=True)])
            for role in ROLES
        },
        weight_decay={
            # Vectors and scalars do not decay, the usual choice for tensors of fewer than two dimensions.
            role: column(
                [
                    0.0 if role in ("vector", "scalar") else run.train.weight_decay * f.weight_decay
                    for run, f in zip(runs, factors[role], strict=True)
                ]
            )
            for role in ROLES
        },
        attention_scale=column(
            [run_attention_scale(run, rule) for run, rule in zip(runs, rules, strict=True)]
        ),
    )


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


def _shared(train: TrainConfig) -> TrainConfig:
    """What a compiled step depends on: decay enters as a tensor, and steps only through the clock."""
    return train.model_copy(update={"weight_decay": 0.0, "steps": 1})


@lru_cache(maxsize=_SHAPES)
def _step(model: ModelConfig, train: TrainConfig, compiled: bool) -> Step:
    """The stack's step for a shape, compiled at most once a process."""
    template = Decoder(model).to(getattr(torch, train.dtype))
    step = stack_step(template, model, train)
    if not compiled:
        return step
    return torch.compile(step, fullgraph=True, dynamic=False)


def _train(
    runs: Sequence[RunSpec],
    step: Step,
    state: RunState,
    settings: RunSettings,
    corpus: Corpus,
    on_step: OnStep | None,
) -> NDArray[np.float64]:
    """Train the state in place; the members' loss at every step, [steps, runs], NaN once diverged."""
    train, model = runs[0].train, runs[0].model
    losses = np.full((train.steps, len(runs)), np.nan)
    with torch._dynamo.config.patch(recompile_limit=_SHAPES):
        for number in range(train.steps):
            tokens = _tokens(runs, corpus, model, number)
            state, loss = step(state, settings, _clock(train, number), tokens)
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


def _clock(train: TrainConfig, number: int) -> Clock:
    beta1, beta2 = train.betas
    dtype = getattr(torch, train.dtype)
    return Clock(
        torch.tensor(warmup_stable_decay(number, train.steps, train.warmup, train.decay), dtype=dtype),
        torch.tensor(1 - beta1 ** (number + 1), dtype=dtype),
        torch.tensor(1 - beta2 ** (number + 1), dtype=dtype),
    )


def _evaluate(
    model: Decoder, state: RunState, settings: RunSettings, sequences: Tensor
) -> NDArray[np.float64]:
    """Validation loss of every sequence under every member, nats per token, [runs, sequences]."""
    lifted = vmap(lambda w, a, tokens: sequence_losses(model, w, a, tokens), in_dims=(0, 0, None))
    with torch.no_grad():
        parts = [
            lifted(state.weights, settings.attention_scale, tokens)
            for tokens in torch.split(sequences, _EVALUATION_CHUNK)
        ]
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
    stride = max(1, math.ceil(run.train.steps / CURVE_POINTS))
    kept = [i for i in range(run.train.steps) if (i % stride == 0 or i == run.train.steps - 1)]
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
