"""The training step: loss, gradient and optimizer of one run, which `hptransfer.lm.stack` lifts over many.

This is the one place where training is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value
from torch.nn import functional as F

from hptransfer.lm.model import Decoder
from hptransfer.lm.optimizer import Moments, Scalars, optimizer_of, update_for
from hptransfer.lm.run_tensors import RESIDUAL, RunSettings, StepSettings
from hptransfer.runs.decoder_tensors import tensor_layout
from hptransfer.runs.model_config import ModelConfig
from hptransfer.runs.train_config import TrainConfig

Weights = dict[str, Tensor]


class RunState(NamedTuple):
    """What a step changes. For one run; a stack has one more leading dimension on every tensor."""

    weights: Weights
    moments: dict[str, Moments]
    alive: Tensor  # bool; False from the first step whose loss is not finite


class CompileKey(NamedTuple):
    """All that a step depends on besides tensors: runs with one key share one compiled step."""

    model: ModelConfig  # its structure
    train: TrainConfig  # its structure
    multiplied: frozenset[str] = frozenset()  # see `run_tensors.multiplied`


Gradient = Callable[[Weights, RunSettings, Tensor], tuple[Weights, Tensor]]
Update = Callable[[RunState, RunSettings, StepSettings, Weights, Tensor], RunState]
Step = Callable[[RunState, RunSettings, StepSettings, Tensor], tuple[RunState, Tensor]]


def run_gradient(model: Decoder, key: CompileKey) -> Gradient:
    """Gradient of what one run minimises on some sequences, and its mean cross-entropy there."""

    def objective(weights: Weights, settings: RunSettings, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return run_objective(key, run_logits(model, key, weights, settings, tokens), settings, tokens)

    def gradient(weights: Weights, settings: RunSettings, tokens: Tensor) -> tuple[Weights, Tensor]:
        grads, (_, loss) = grad_and_value(objective, has_aux=True)(weights, settings, tokens)
        return grads, loss

    return gradient


def run_objective(
    key: CompileKey, logits: Tensor, settings: RunSettings, tokens: Tensor
) -> tuple[Tensor, Tensor]:
    """What one run minimises, and its mean cross-entropy; they differ by the z-loss (arXiv:2204.02311)."""
    loss = sequence_losses(logits, tokens).mean()
    if key.train.z_loss:
        return loss + settings.z_loss * logits.logsumexp(dim=-1).square().mean(), loss
    return loss, loss


def run_logits(
    model: Decoder, key: CompileKey, weights: Weights | None, settings: RunSettings, tokens: Tensor
) -> Tensor:
    """Logits of one run, [sequences, context, vocab].

    Args:
        model: the decoder.
        key: of the run.
        weights: by tensor name, in place of the model's own; None: its own.
        settings: of the run.
        tokens: int64, [sequences, context + 1]; the last of each sequence is not read.
    """
    inputs = (tokens[:, :-1], *forward_factors(key, settings))
    with arithmetic(key.train, tokens.device.type):
        logits: Tensor = (
            model(*inputs)
            if weights is None
            else functional_call(model, effective_weights(key, weights, settings), inputs)
        )
    return logits.to(settings.attention.dtype)


def forward_factors(key: CompileKey, settings: RunSettings) -> tuple[Tensor, ...]:
    """What the decoder's forward pass is given besides tokens."""
    return (settings.attention, settings.logits) if key.model.tied else (settings.attention,)


def arithmetic(train: TrainConfig, device: str) -> AbstractContextManager[object]:
    """The context that a forward pass on a device (`cpu`, `cuda`, `mps`) runs in.

    With `autocast` its matrix products are in bfloat16; weights, moments, norms, softmax, the residual stream
    and the loss stay in float32. The cache of cast weights is off: each weight is cast once a step anyway,
    and a cached one would outlive the transform that it was made in.
    """
    if not train.autocast:
        return nullcontext()
    return torch.autocast(device, dtype=torch.bfloat16, cache_enabled=False)


def effective_weights(key: CompileKey, weights: Weights, settings: RunSettings) -> Weights:
    """The weights times the rule's multipliers: what the forward pass computes with, by tensor name."""
    if not key.multiplied:
        return weights
    found = dict(weights)
    for tensor in tensor_layout(key.model):
        if tensor.group in key.multiplied:
            found[tensor.name] = found[tensor.name] * settings.multiplier[tensor.group]
        if tensor.ends_branch and RESIDUAL in key.multiplied:
            found[tensor.name] = found[tensor.name] * settings.residual
    return found


def sequence_losses(logits: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy of each sequence, nats per token, [sequences].

    Args:
        logits: [sequences, context, vocab].
        tokens: inputs and, shifted by one, targets; int64, [sequences, context + 1].
    """
    losses = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    return losses.view(logits.shape[:2]).mean(dim=1)


def run_update(key: CompileKey) -> Update:
    """The optimizer's step of one run, from its gradient and loss."""
    tensors = {tensor.name: tensor for tensor in tensor_layout(key.model)}
    updates = {name: update_for(key.train, tensor) for name, tensor in tensors.items()}
    in_gradient = {n: optimizer_of(key.train, t).decay_in_gradient for n, t in tensors.items()}

    def update(
        state: RunState, settings: RunSettings, now: StepSettings, grads: Weights, loss: Tensor
    ) -> RunState:
        alive = state.alive & torch.isfinite(loss)
        if key.train.clip is not None:
            grads = clipped(grads, settings.clip)
        weights, moments = {}, {}
        for name, weight in state.weights.items():
            scalars = tensor_scalars(tensors[name].group, in_gradient[name], settings, now)
            stepped, moments[name] = updates[name](weight, grads[name], state.moments[name], scalars)
            weights[name] = torch.where(alive, stepped, weight)  # a diverged run stands still
        return RunState(weights, moments, alive)

    return update


def tensor_scalars(group: str, in_gradient: bool, settings: RunSettings, now: StepSettings) -> Scalars:
    """The numbers of one tensor's step.

    Args:
        group: of the tensor, see `TensorLayout.group`.
        in_gradient: whether its decay is added to the gradient; then the LR's schedule and ramp act on it.
        settings: of the run.
        now: of the step.
    """
    lr, decay = settings.lr[group] * now.schedule, settings.decay[group]
    if not in_gradient:
        decay = decay * now.schedule
    if group in now.ramp:
        lr, ramp = lr * now.ramp[group], now.decay_ramp[group]
        decay = decay * (ramp / now.ramp[group] if in_gradient else ramp)
    s = settings
    return Scalars(lr, decay, s.beta1, s.beta2, s.eps[group], now.correction1, now.correction2, s.momentum)


def clipped(grads: Weights, limit: Tensor, total: Callable[[Tensor], Tensor] = lambda own: own) -> Weights:
    """A run's gradients, shrunk together where their joint norm is above the limit, as torch does it.

    Args:
        grads: by tensor name.
        limit: of the norm.
        total: the squared norm of all processes' parts from that of this one's, where each holds a part.
    """
    square = total(torch.stack([grad.square().sum() for grad in grads.values()]).sum())
    factor = (limit / (square.sqrt() + 1e-6)).clamp(max=1.0)
    return {name: grad * factor for name, grad in grads.items()}


def initial_moments(key: CompileKey, weights: Mapping[str, Tensor]) -> dict[str, Moments]:
    """Moments before the first step, of one run or of a stack."""
    tensors = {tensor.name: tensor for tensor in tensor_layout(key.model)}
    return {
        name: tuple(torch.zeros_like(weight) for _ in range(optimizer_of(key.train, tensors[name]).moments))
        for name, weight in weights.items()
    }
