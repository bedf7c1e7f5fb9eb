"""One training step, written for a single run and lifted over a stack of runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.nn import functional as F

from hptransfer.lm.config import ModelConfig, TrainConfig
from hptransfer.lm.layout import tensor_layout
from hptransfer.lm.model import Decoder
from hptransfer.lm.optimizer import AdamWScalars, Moments, adamw

Weights = dict[str, Tensor]


class RunState(NamedTuple):
    """What a step changes. For one run; a stack has one more leading dimension on every tensor."""

    weights: Weights
    moments: dict[str, Moments]
    alive: Tensor  # bool; False from the first step whose loss is not finite


class RunSettings(NamedTuple):
    """What tells the runs of a stack apart. All tensors, so that one compiled step serves them all."""

    lr: Weights  # peak LR by role
    weight_decay: Weights  # lambda by role
    attention_scale: Tensor  # factor on attention logits


class Clock(NamedTuple):
    """What changes with the step and is the same for every run; zero-dimensional tensors."""

    schedule: Tensor  # factor on the peak LR
    correction1: Tensor  # 1 - beta1**t
    correction2: Tensor  # 1 - beta2**t


Step = Callable[[RunState, RunSettings, Clock, Tensor], tuple[RunState, Tensor]]


def sequence_losses(model: Decoder, weights: Weights, attention_scale: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy of each sequence of one run, nats per token, [sequences].

    Args:
        model: template; its own weights are not used.
        weights: by tensor name.
        attention_scale: factor on attention logits, zero-dimensional.
        tokens: inputs and, shifted by one, targets; int64, [sequences, context + 1].
    """
    logits = functional_call(model, weights, (tokens[:, :-1], attention_scale))
    losses = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    return losses.view(logits.shape[:2]).mean(dim=1)


def run_step(model: Decoder, layout: ModelConfig, train: TrainConfig) -> Step:
    """The training step of one run: loss, gradient, AdamW. The one place where training is written."""
    roles = {tensor.name: tensor.role for tensor in tensor_layout(layout)}
    beta1, beta2 = train.betas

    def loss_of(weights: Weights, settings: RunSettings, tokens: Tensor) -> Tensor:
        return sequence_losses(model, weights, settings.attention_scale, tokens).mean()

    def step(state: RunState, settings: RunSettings, clock: Clock, tokens: Tensor) -> tuple[RunState, Tensor]:
        grads, loss = grad_and_value(loss_of)(state.weights, settings, tokens)
        alive = state.alive & torch.isfinite(loss)
        weights, moments = {}, {}
        for name, weight in state.weights.items():
            role = roles[name]
            scalars = AdamWScalars(
                settings.lr[role] * clock.schedule,
                settings.weight_decay[role],
                beta1,
                beta2,
                train.eps,
                clock.correction1,
                clock.correction2,
            )
            stepped, next_moments = adamw(weight, grads[name], state.moments[name], scalars)
            weights[name] = torch.where(alive, stepped, weight)  # a diverged run stands still
            moments[name] = next_moments
        return RunState(weights, moments, alive), loss

    return step


def stack_step(model: Decoder, layout: ModelConfig, train: TrainConfig) -> Step:
    """The step of a whole stack: every tensor of state, settings and tokens has a leading stack dimension.

    The state is updated in place, which spares the compiled step an allocation of all weights and moments.
    """
    lifted = vmap(run_step(model, layout, train), in_dims=(0, 0, None, 0))

    def step(state: RunState, settings: RunSettings, clock: Clock, tokens: Tensor) -> tuple[RunState, Tensor]:
        with torch.no_grad():
            after, losses = lifted(state, settings, clock, tokens)
            torch.utils._pytree.tree_map_(lambda old, new: old.copy_(new), state, after)
        return state, losses

    return step
