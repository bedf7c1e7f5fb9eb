"""Probing: what `hptransfer.dynamics` measures of a run, lifted over a stack, beside its training step.

The step itself is never changed: a probed one is held between a copy of the state and a look at what came.
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
from hptransfer.dynamics.collect import collect, sites
from hptransfer.dynamics.critical import critical_lr
from hptransfer.dynamics.probe_table import ProbeLog, Row
from hptransfer.dynamics.probes import quarters
from hptransfer.lm.data import Corpus
from hptransfer.lm.model import Decoder
from hptransfer.lm.optimizer import Moments, optimizer_of
from hptransfer.lm.run_tensors import Clock, RunSettings
from hptransfer.lm.step import RunState, Shape, Weights, acting, run_logits, sequence_losses
from hptransfer.runs.config import RunSpec
from hptransfer.runs.decoder_tensors import TensorLayout, tensor_layout
from hptransfer.runs.probe_names import check_names
from hptransfer.runs.train_config import TrainConfig

_COUNTED = 1_000_000  # training tokens that frequencies are counted in
_CRITICAL = ("critical_lr", "critical_sharpness")


class Held(NamedTuple):
    """A stack's state before a probed step."""

    weights: Weights
    moments: dict[str, Moments]  # the first alone


class Prober:
    """Probes of one stack.

    Arguments:
        runs: of the stack, with one probe config.
        shape: that they share.
        settings: of the runs.
        model: template; its own weights are not used.
        corpus: for the frequencies of tokens.
    """

    def __init__(
        self, runs: Sequence[RunSpec], shape: Shape, settings: RunSettings, model: Decoder, corpus: Corpus
    ) -> None:
        config = runs[0].probes
        assert config is not None
        self._every = config.interval(runs[0].steps)
        self._sequences = config.sequences
        self._names = check_names(config.names)
        self._shape, self._settings, self._model = shape, settings, model
        self._tensors = {tensor.name: tensor for tensor in tensor_layout(shape.model)}
        self._sites = sites(model, {name: tensor.role for name, tensor in self._tensors.items()})
        counts = np.bincount(corpus.train[:_COUNTED], minlength=shape.model.vocab)
        self._quarter = quarters(torch.from_numpy(counts[: shape.model.vocab]))
        self._eta = torch.tensor([run.lr * run.train.lr_batch_factor for run in runs], dtype=torch.float64)
        self._guess: Tensor | None = None
        self._rows: tuple[Row, ...] = ()  # of what `_one` gives
        self._all_rows: tuple[Row, ...] = ()
        self._steps: list[int] = []
        self._found: list[np.ndarray] = []

    def hold(self, number: int, state: RunState) -> Held | None:
        """A copy of the state before step `number`, where that is probed; else None."""
        if number % self._every:
            return None
        weights = {name: weight.clone() for name, weight in state.weights.items()}
        moments: dict[str, Moments] = {name: (kept[0].clone(),) for name, kept in state.moments.items()}
        return Held(weights, moments)

    @torch.no_grad()
    def measure(self, number: int, held: Held, state: RunState, clock: Clock, tokens: Tensor) -> None:
        """Every probe of the step that led from `held` to `state`.

        Args:
            number: of the step.
            held: from before it.
            state: after it.
            clock: of the step.
            tokens: that it was trained on, [runs, sequences, context + 1].
        """
        values = vmap(self._one)(
            held.weights, state.weights, held.moments, state.moments, self._settings, clock, tokens
        )
        columns, rows = [values.double().cpu().numpy()], list(self._rows)
        eta = self._eta * clock.schedule.double().cpu()
        if "lr" in self._names:
            columns.append(eta.numpy()[:, None])
            rows.append(("", "", "lr"))
        if any(name in self._names for name in _CRITICAL):
            found = self._critical(held, state, eta, tokens)
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

    def kept(self) -> dict[str, Any]:
        """Plain data of what was measured so far, for a checkpoint."""
        return {
            "steps": self._steps,
            "rows": [list(row) for row in self._all_rows],
            "found": [line.tolist() for line in self._found],
            "guess": None if self._guess is None else self._guess.tolist(),
        }

    def go_on(self, kept: Mapping[str, Any]) -> None:
        """Take up what `kept` gave."""
        self._steps = [int(step) for step in kept["steps"]]
        self._all_rows = tuple((str(a), str(b), str(c)) for a, b, c in kept["rows"])
        self._found = [np.array(line) for line in kept["found"]]
        guess = kept["guess"]
        self._guess = None if guess is None else torch.tensor(guess, dtype=torch.float64)

    def _one(
        self,
        before: Weights,
        after: Weights,
        held: dict[str, Moments],
        moments: dict[str, Moments],
        settings: RunSettings,
        clock: Clock,
        tokens: Tensor,
    ) -> Tensor:
        """Every probe of one run but those of the run's whole loss, [rows]."""
        train = self._shape.train
        grads, second = {}, {}
        for name, tensor in self._tensors.items():
            grads[name] = taken_gradient(train, tensor, held[name], moments[name], settings)
            if len(moments[name]) == 2:
                second[name] = moments[name][1].mean() / clock.correction2
        eps = {name: settings.eps[self._tensors[name].group] for name in second}
        some = tokens[: self._sequences, :-1]
        scales = (settings.attention, settings.logits) if self._shape.model.tied else (settings.attention,)
        with record_forward(self._model) as forward:
            functional_call(self._model, acting(self._shape, before, settings), (some, *scales))
        found = collect(
            self._sites,
            self._names,
            before,
            after,
            grads,
            second,
            eps,
            forward,
            tokens[:, :-1],
            self._quarter.to(tokens.device),
        )
        self._rows = tuple(found)
        return torch.stack([value.to(settings.beta1.dtype) for value in found.values()])

    def _critical(self, held: Held, state: RunState, eta: Tensor, tokens: Tensor) -> Tensor:
        """Critical LR of every run, from its own batch along its own update; NaN for one that diverged."""

        def loss(weights: Weights, settings: RunSettings, tokens: Tensor) -> Tensor:
            return sequence_losses(
                run_logits(self._model, self._shape, weights, settings, tokens), tokens
            ).mean()

        lifted = vmap(loss)

        def loss_at(rate: Tensor) -> Tensor:
            share = (rate / eta).to(self._settings.beta1.dtype).to(tokens.device)  # no float64 on MPS
            moved = {
                name: torch.lerp(weight, state.weights[name], _beside(share, weight))
                for name, weight in held.weights.items()
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
    """
    optimizer = optimizer_of(train, tensor)
    rate: Tensor = getattr(s, optimizer.first_moment)
    if optimizer.sums_gradients:
        return after[0] - rate * before[0]
    # The moment moved by 1 - rate of the way to it.
    return torch.lerp(before[0], after[0], torch.reciprocal(1 - rate))


def _beside(share: Tensor, weight: Tensor) -> Tensor:
    """A number a run, shaped to act on a stacked tensor."""
    return share.to(weight.dtype).view(-1, *[1] * (weight.ndim - 1))
