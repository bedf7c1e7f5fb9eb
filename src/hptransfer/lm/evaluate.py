"""Evaluation: the held-out loss of a stack, and the record of a run."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import vmap

from hptransfer.dynamics.spikes import find_spikes, pack_spikes
from hptransfer.lm.model import Decoder
from hptransfer.lm.run_tensors import RunSettings
from hptransfer.lm.step import CompileKey, RunState, run_logits, sequence_losses
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.runs.decoder_tensors import parameter_count
from hptransfer.runs.divergence import divergence
from hptransfer.runs.flops import run_flops
from hptransfer.version import __version__

FloatArray = NDArray[np.float64]
CURVE_POINTS = 200  # a training curve is thinned to about so many
CHUNK = 16  # sequences evaluated at once; bounds memory


@dataclass(frozen=True)
class Losses:
    """What was seen of a run's loss, nats per token.

    Attributes:
        training: of each step's batch, [steps]; NaN from the step on at which it was not finite.
        initial: held-out loss before the first step, on the first `CHUNK` sequences.
        steps: after which the held-out loss was measured, ascending; the last is all of them.
        held_out: of every sequence at each of these, [evaluations, sequences].
    """

    training: FloatArray
    initial: float
    steps: tuple[int, ...]
    held_out: FloatArray


def evaluate(
    model: Decoder, key: CompileKey, state: RunState, settings: RunSettings, sequences: Tensor
) -> FloatArray:
    """Held-out loss of every sequence under every run, nats per token, [runs, sequences].

    Args:
        model: template; its own weights are not used.
        key: of the runs.
        state: of the stack.
        settings: of the stack.
        sequences: token ids, int64, [sequences, context + 1].
    """

    def losses(weights: dict[str, Tensor], settings: RunSettings, tokens: Tensor) -> Tensor:
        return sequence_losses(run_logits(model, key, weights, settings, tokens), tokens)

    lifted = vmap(losses, in_dims=(0, 0, None))
    with torch.no_grad():
        chunks = torch.split(sequences, CHUNK)
        parts = [lifted(state.weights, settings, tokens).cpu() for tokens in chunks]
    return torch.cat(parts, dim=1).double().numpy()


def evaluation_steps(steps: int, evaluations: int) -> tuple[int, ...]:
    """Numbers of steps after which the held-out loss is measured: evenly spread, the last after all."""
    wanted = (math.ceil(steps * (i + 1) / evaluations) for i in range(evaluations))
    return tuple(sorted(set(wanted)))


def record(run: RunSpec, losses: Losses, engine: Mapping[str, Any], wall_s: float) -> RunRecord:
    """The record of a run that was trained to its end.

    Args:
        run: its spec.
        losses: what was seen of its loss.
        engine: how it was trained, kept with the record.
        wall_s: the run's share of the wall time, seconds.
    """
    final = float(losses.held_out[-1].mean())
    diverged, step = divergence(final, losses.initial, losses.training)
    means = losses.held_out.mean(axis=1)
    validation = [(s, float(m)) for s, m in zip(losses.steps, means, strict=True) if math.isfinite(m)]
    best = min(validation, key=lambda point: point[1], default=None)
    return RunRecord(
        run_id=run.run_id,
        status="diverged" if diverged else "done",
        loss=math.nan if diverged else final,
        loss_se=None if diverged else standard_error(losses.held_out[-1]),
        initial_loss=losses.initial,
        curve=_thinned(losses.training),
        validation=tuple(validation),
        best_loss=None if best is None else best[1],
        best_step=None if best is None else best[0],
        spikes=pack_spikes(find_spikes(losses.training)),
        diverged_step=step,
        tokens=run.tokens,
        params=parameter_count(run.model),
        flops=run_flops(run),
        wall_s=wall_s,
        engine=engine,
        versions={"hptransfer": __version__, "torch": torch.__version__, "python": platform.python_version()},
    )


def standard_error(losses: FloatArray) -> float | None:
    """Of the mean of sequences' losses; None of a single one."""
    return float(losses.std(ddof=1) / math.sqrt(losses.size)) if losses.size > 1 else None


def _thinned(training: FloatArray) -> tuple[tuple[int, float], ...]:
    steps = len(training)
    stride = max(1, math.ceil(steps / CURVE_POINTS))
    kept = (i for i in range(steps) if i % stride == 0 or i == steps - 1)
    return tuple((i, float(training[i])) for i in kept if math.isfinite(training[i]))
