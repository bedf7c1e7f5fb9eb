"""One training step, written for a single run and lifted over a stack of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.nn import functional as F

from hptransfer.lm.model import Decoder
from hptransfer.lm.optimizer import Moments, Scalars, moment_count, optimizer_of, update_for
from hptransfer.lm.precision import arithmetic
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


def run_step(model: Decoder, key: CompileKey) -> Step:
    """The training step of one run: loss, gradient, optimizer. The one place where training is written.

    Args:
        model: template; its own weights are not used.
        key: of the run.
    """
    gradient, update = run_gradient(model, key), run_update(key)

    def step(
        state: RunState, settings: RunSettings, now: StepSettings, tokens: Tensor
    ) -> tuple[RunState, Tensor]:
        grads, loss = gradient(state.weights, settings, tokens)
        return update(state, settings, now, grads, loss), loss

    return step


def run_gradient(model: Decoder, key: CompileKey) -> Gradient:
    """Gradient of what one run minimises on some sequences, and its mean cross-entropy there."""

    def objective(weights: Weights, settings: RunSettings, tokens: Tensor) -> tuple[Tensor, Tensor]:
        logits = run_logits(model, key, weights, settings, tokens)
        loss = sequence_losses(logits, tokens).mean()
        if key.train.z_loss:  # arXiv:2204.02311
            return loss + settings.z_loss * logits.logsumexp(dim=-1).square().mean(), loss
        return loss, loss

    def gradient(weights: Weights, settings: RunSettings, tokens: Tensor) -> tuple[Weights, Tensor]:
        grads, (_, loss) = grad_and_value(objective, has_aux=True)(weights, settings, tokens)
        return grads, loss

    return gradient


def run_logits(
    model: Decoder, key: CompileKey, weights: Weights, settings: RunSettings, tokens: Tensor
) -> Tensor:
    """Logits of one run, [sequences, context, vocab].

    Args:
        model: template; its own weights are not used.
        key: of the run.
        weights: by tensor name.
        settings: of the run.
        tokens: int64, [sequences, context + 1]; the last of each sequence is not read.
    """
    scales = (settings.attention, settings.logits) if key.model.tied else (settings.attention,)
    with arithmetic(key.train, tokens.device.type):
        logits: Tensor = functional_call(
            model, effective_weights(key, weights, settings), (tokens[:, :-1], *scales)
        )
    return logits.to(settings.attention.dtype)


def effective_weights(key: CompileKey, weights: Weights, settings: RunSettings) -> Weights:
    """The weights times the rule's multipliers: what the forward pass computes with.

    Args:
        key: of the run; says which groups have a multiplier.
        weights: by tensor name.
        settings: of the run.
    """
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
    return Scalars(
        lr=lr,
        decay=decay,
        beta1=settings.beta1,
        beta2=settings.beta2,
        eps=settings.eps[group],
        correction1=now.correction1,
        correction2=now.correction2,
        momentum=settings.momentum,
    )


def clipped(grads: Weights, limit: Tensor) -> Weights:
    """A run's gradients, shrunk together where their joint norm is above the limit, as torch does it."""
    norm = torch.stack([grad.square().sum() for grad in grads.values()]).sum().sqrt()
    factor = (limit / (norm + 1e-6)).clamp(max=1.0)
    return {name: grad * factor for name, grad in grads.items()}


def initial_moments(key: CompileKey, weights: Mapping[str, Tensor]) -> dict[str, Moments]:
    """Moments before the first step, of one run or of a stack."""
    counts = {tensor.name: moment_count(key.train, tensor) for tensor in tensor_layout(key.model)}
    return {
        name: tuple(torch.zeros_like(weight) for _ in range(counts[name])) for name, weight in weights.items()
    }


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
    parts = key.train.accumulation
    if parts > 1:
        return _accumulating(compiler(_stacked_gradient(model, key)), compiler(_stacked_update(key)), parts)
    lifted = vmap(run_step(model, key))

    def step(
        state: RunState, settings: RunSettings, now: StepSettings, tokens: Tensor
    ) -> tuple[RunState, Tensor]:
        with torch.no_grad():
            after, losses = lifted(state, settings, now, tokens)
            _write(state, after)
        return state, losses

    compiled: Step = compiler(step)
    return compiled


def _accumulating(gradient: Gradient, update: Update, parts: int) -> Step:
    """A step that goes through its batch in parts: the mean of their gradients, then one update."""

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


def _stacked_gradient(model: Decoder, key: CompileKey) -> Gradient:
    lifted = vmap(run_gradient(model, key))

    def gradient(weights: Weights, settings: RunSettings, tokens: Tensor) -> tuple[Weights, Tensor]:
        with torch.no_grad():
            found: tuple[Weights, Tensor] = lifted(weights, settings, tokens)
        return found

    return gradient


def _stacked_update(key: CompileKey) -> Update:
    lifted = vmap(run_update(key))

    def update(
        state: RunState, settings: RunSettings, now: StepSettings, grads: Weights, loss: Tensor
    ) -> RunState:
        with torch.no_grad():
            _write(state, lifted(state, settings, now, grads, loss))
        return state

    return update


def _write(state: RunState, after: RunState) -> None:
    torch.utils._pytree.tree_map_(lambda old, new: old.copy_(new), state, after)
