"""Probing: what `hptransfer.dynamics` measures of a run, lifted over a stack, beside its training step.

The step itself is never changed: around a probed one the state is copied before it and read after it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap

from hptransfer.dynamics.activations import record_forward
from hptransfer.dynamics.collect import Update, collect, sites
from hptransfer.dynamics.critical import critical_lr
from hptransfer.dynamics.probe_table import ProbeLog, Row
from hptransfer.dynamics.probes import quarters
from hptransfer.lm.data import Corpus
from hptransfer.lm.model import Decoder
from hptransfer.lm.optimizer import Moments, optimizer_of
from hptransfer.lm.run_tensors import RunSettings, StepSettings
from hptransfer.lm.step import (
    CompileKey,
    RunState,
    Weights,
    effective_weights,
    forward_factors,
    run_logits,
    sequence_losses,
)
from hptransfer.runs.config import RunSpec
from hptransfer.runs.decoder_tensors import TensorLayout, tensor_layout
from hptransfer.runs.probe_names import check_names
from hptransfer.runs.train_config import TrainConfig

_TOKENS_COUNTED = 1_000_000  # training tokens that frequencies are counted in
_CRITICAL = ("critical_lr", "critical_sharpness")


class StateBefore(NamedTuple):
    """Copies of what a probed step changes, from before it."""

    weights: Weights
    moments: dict[str, Moments]  # the first alone


class Prober:
    """Probes of one stack.

    Args:
        runs: of the stack, with one probe config.
        key: that they share.
        settings: of the runs.
        model: template; its own weights are not used.
        corpus: for the frequencies of tokens.
    """

    def __init__(
        self, runs: Sequence[RunSpec], key: CompileKey, settings: RunSettings, model: Decoder, corpus: Corpus
    ) -> None:
        config = runs[0].probes
        assert config is not None
        self._every = config.interval(runs[0].steps)
        self._sequences = config.sequences
        self._names = check_names(config.names)
        self._key, self._settings, self._model = key, settings, model
        self._tensors = {tensor.name: tensor for tensor in tensor_layout(key.model)}
        self._sites = sites(model, {name: tensor.role for name, tensor in self._tensors.items()})
        counts = np.bincount(corpus.train[:_TOKENS_COUNTED], minlength=key.model.vocab)
        self._quarter = quarters(torch.from_numpy(counts[: key.model.vocab]))
        self._eta = torch.tensor([run.lr * run.train.lr_batch_factor for run in runs], dtype=torch.float64)
        self._guess: Tensor | None = None
        self._rows: tuple[Row, ...] = ()  # of what `_probes_of_run` gives
        self._all_rows: tuple[Row, ...] = ()
        self._steps: list[int] = []
        self._found: list[np.ndarray] = []

    def snapshot(self, number: int, state: RunState) -> StateBefore | None:
        """A copy of the state before step `number`, where that is probed; else None."""
        if number % self._every:
            return None
        weights = {name: weight.clone() for name, weight in state.weights.items()}
        moments: dict[str, Moments] = {name: (kept[0].clone(),) for name, kept in state.moments.items()}
        return StateBefore(weights, moments)

    @torch.no_grad()
    def measure(
        self, number: int, before: StateBefore, state: RunState, now: StepSettings, tokens: Tensor
    ) -> None:
        """Every probe of the step that led from `before` to `state`.

        Args:
            number: of the step.
            before: it.
            state: after it.
            now: of the step.
            tokens: that it was trained on, [runs, sequences, context + 1].
        """
        values = vmap(self._probes_of_run)(before, state, self._settings, now, tokens)
        columns, rows = [values.double().cpu().numpy()], list(self._rows)
        eta = self._eta * now.schedule.double().cpu()
        if "lr" in self._names:
            columns.append(eta.numpy()[:, None])
            rows.append(("", "", "lr"))
        if any(name in self._names for name in _CRITICAL):
            found = self._critical(before, state, eta, tokens)
            for name, value in zip(_CRITICAL, (found, 2 / found), strict=True):
                if name in self._names:
                    columns.append(value.numpy()[:, None])
                    rows.append(("", "", name))
        line = np.concatenate(columns, axis=1)
        line[~state.alive.cpu().numpy()] = np.nan
        self._steps.append(number)
        self._found.append(line)
        self._all_rows = tuple(rows)

    def logs(self) -> list[dict[str, Any]]:
        """Plain data of every run's probes, in the stack's order; see `ProbeLog`."""
        runs = len(self._eta)
        if not self._steps:
            return [ProbeLog((), (), np.zeros((0, 0))).as_data() for _ in range(runs)]
        values = np.stack(self._found)  # [steps, runs, rows]
        return [ProbeLog(tuple(self._steps), self._all_rows, values[:, i]).as_data() for i in range(runs)]

    def state_dict(self) -> dict[str, Any]:
        """Plain data of what was measured so far, for a checkpoint."""
        return {
            "steps": self._steps,
            "rows": [list(row) for row in self._all_rows],
            "found": [line.tolist() for line in self._found],
            "guess": None if self._guess is None else self._guess.tolist(),
        }

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self._steps = [int(step) for step in kept["steps"]]
        self._all_rows = tuple((str(a), str(b), str(c)) for a, b, c in kept["rows"])
        self._found = [np.array(line) for line in kept["found"]]
        guess = kept["guess"]
        self._guess = None if guess is None else torch.tensor(guess, dtype=torch.float64)

    def _probes_of_run(
        self, before: StateBefore, after: RunState, settings: RunSettings, now: StepSettings, tokens: Tensor
    ) -> Tensor:
        """Every probe of one run but those of its whole loss, [rows]; `vmap` lifts it over the stack."""
        train, key = self._key.train, self._key
        grads, second = {}, {}
        for name, tensor in self._tensors.items():
            moments = after.moments[name]
            grads[name] = taken_gradient(train, tensor, before.moments[name], moments, settings)
            if len(moments) == 2:
                second[name] = moments[1].mean() / now.correction2
        eps = {name: settings.eps[self._tensors[name].group] for name in second}
        with record_forward(self._model) as forward:
            weights = effective_weights(key, before.weights, settings)
            seen = (tokens[: self._sequences, :-1], *forward_factors(key, settings))
            functional_call(self._model, weights, seen)
        update = Update(before.weights, after.weights, grads, second, eps)
        quarter = self._quarter.to(tokens.device)
        found = collect(self._sites, self._names, update, forward, tokens[:, :-1], quarter)
        self._rows = tuple(found)
        return torch.stack([value.to(settings.beta1.dtype) for value in found.values()])

    def _critical(self, before: StateBefore, state: RunState, eta: Tensor, tokens: Tensor) -> Tensor:
        """Critical LR of every run, from its own batch along its own update; NaN for one that diverged."""

        def loss(weights: Weights, settings: RunSettings, tokens: Tensor) -> Tensor:
            return sequence_losses(
                run_logits(self._model, self._key, weights, settings, tokens), tokens
            ).mean()

        lifted = vmap(loss)

        def loss_at(rate: Tensor) -> Tensor:
            share = (rate / eta).to(self._settings.beta1.dtype).to(tokens.device)  # no float64 on MPS
            moved = {
                name: torch.lerp(weight, state.weights[name], _beside_tensor(share, weight))
                for name, weight in before.weights.items()
            }
            losses: Tensor = lifted(moved, self._settings, tokens)
            return losses.double().cpu()

        start = loss_at(torch.zeros_like(eta))
        alive = state.alive.cpu()
        # One that diverged would keep the search of the others going: it is given an edge at once.
        found = critical_lr(
            lambda rate: torch.where(alive, loss_at(rate), torch.where(rate > eta, torch.inf, -torch.inf)),
            torch.where(alive, start, 0.0),
            eta if self._guess is None else self._guess,
        )
        known = torch.isfinite(found.lr) & alive
        self._guess = torch.where(known, found.lr, eta)
        return torch.where(known, found.lr, math.nan)


def taken_gradient(
    train: TrainConfig, tensor: TensorLayout, before: Moments, after: Moments, s: RunSettings
) -> Tensor:
    """The gradient that an optimizer took, read off what it did to its first moment; no second backward pass.

    It is the one after clipping, and with Adam and SGD it holds the decay that they add to it.

    Args:
        train: of the run.
        tensor: whose gradient it is.
        before: its moments before the step.
        after: its moments after it.
        s: settings of the run.
    """
    optimizer = optimizer_of(train, tensor)
    rate: Tensor = getattr(s, optimizer.first_moment)
    if optimizer.sums_gradients:
        return after[0] - rate * before[0]
    # The moment moved by 1 - rate of the way to it.
    return torch.lerp(before[0], after[0], torch.reciprocal(1 - rate))


def _beside_tensor(share: Tensor, weight: Tensor) -> Tensor:
    """A number a run, shaped to act on a stacked tensor."""
    return share.to(weight.dtype).view(-1, *[1] * (weight.ndim - 1))
