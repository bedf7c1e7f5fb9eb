"""The decoder and its training written once more by hand, with torch's own layers and optimizers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hptransfer.lm.run_tensors import stack_settings, stack_step_settings
from hptransfer.lm.stack import initial_state, initial_weights, stack_step, template
from hptransfer.runs.config import ModelConfig, RunSpec

Weights = dict[str, Tensor]


def random_tokens(config: ModelConfig, sequences: int, step: int) -> Tensor:
    """Token ids, [sequences, context + 1]."""
    generator = torch.Generator().manual_seed(step)
    return torch.randint(0, 40, (sequences, config.context + 1), generator=generator)


def trained(runs: Sequence[RunSpec], steps: int) -> tuple[Tensor, Weights]:
    """Losses of a stack, [steps, runs], and the weights after; every run sees the same tokens."""
    shape, state = initial_state(runs)
    settings, step = stack_settings(runs), stack_step(template(shape), shape)
    losses = []
    for number in range(steps):
        tokens = random_tokens(runs[0].model, runs[0].train.batch_size, number)
        state, loss = step(
            state, settings, stack_step_settings(runs, number), tokens.expand(len(runs), -1, -1)
        )
        losses.append(loss)
    return torch.stack(losses), state.weights


def trained_alone(
    run: RunSpec,
    steps: int,
    scale: float,
    optimizers: Callable[[Weights], Sequence[torch.optim.Optimizer]],
    change: Callable[[Weights], None] = lambda grads: None,
) -> tuple[list[float], Weights]:
    """Losses of one run in an ordinary loop, and the weights after.

    Args:
        run: whose initial weights and options count.
        steps: to take.
        scale: factor on attention logits.
        optimizers: made of the weights; the schedule is theirs.
        change: what is done to the weights' gradients before a step.
    """
    weights = {name: weight.requires_grad_() for name, weight in initial_weights(run).items()}
    made = optimizers(weights)
    losses = []
    for number in range(steps):
        loss = reference_loss(
            run.model, weights, random_tokens(run.model, run.train.batch_size, number), scale
        )
        for optimizer in made:
            optimizer.zero_grad()
        loss.backward()
        change(weights)
        for optimizer in made:
            optimizer.step()
        losses.append(loss.item())
    return losses, {name: weight.detach() for name, weight in weights.items()}


def reference_loss(config: ModelConfig, weights: Weights, tokens: Tensor, scale: float) -> Tensor:
    """Mean cross-entropy, nats per token."""
    logits = reference_logits(config, weights, tokens[:, :-1], scale)
    return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())


def reference_logits(config: ModelConfig, weights: Weights, tokens: Tensor, scale: float) -> Tensor:
    """Logits, [sequences, context, vocab]."""
    x = F.embedding(tokens, weights["token_embedding.weight"])
    if config.positions == "learned":
        x = x + weights["position_embedding.weight"]
    if config.embedding_norm:
        x = normed(config, weights, "embedding_norm", x)
    for block in range(config.depth):
        name = f"blocks.{block}"
        x = x + attended(config, weights, name, normed(config, weights, f"{name}.attention_norm", x), scale)
        x = x + transformed(config, weights, name, normed(config, weights, f"{name}.mlp_norm", x))
    readout = weights["token_embedding.weight" if config.tied else "readout.weight"]
    return F.linear(normed(config, weights, "norm", x), readout, weights.get("readout.bias"))


def normed(config: ModelConfig, weights: Weights, name: str, x: Tensor) -> Tensor:
    gain, bias = weights.get(f"{name}.weight"), weights.get(f"{name}.bias")
    length = x.shape[-1]
    if gain is not None and config.gains == "scalar":
        gain = gain.expand(length)
    if config.norm == "rmsnorm":
        return F.rms_norm(x, (length,), gain, config.norm_eps)
    return F.layer_norm(x, (length,), gain, bias, config.norm_eps)


def attended(config: ModelConfig, weights: Weights, name: str, x: Tensor, scale: float) -> Tensor:
    d, heads, shared = config.d_head, config.query_heads, config.key_heads
    mixed = F.linear(x, weights[f"{name}.qkv.weight"], weights.get(f"{name}.qkv.bias"))
    q, k, v = mixed.split([heads * d, shared * d, shared * d], dim=-1)
    q, k, v = (part.unflatten(-1, (-1, d)).transpose(1, 2) for part in (q, k, v))
    if config.qk_norm:
        q = normed(config, weights, f"{name}.query_norm", q)
        k = normed(config, weights, f"{name}.key_norm", k)
    if config.positions == "rope":
        q, k = rotated(q, config.rope_base), rotated(k, config.rope_base)
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=True)
    return F.linear(
        out.transpose(1, 2).flatten(-2),
        weights[f"{name}.projection.weight"],
        weights.get(f"{name}.projection.bias"),
    )


def rotated(x: Tensor, base: float) -> Tensor:
    """RoPE by complex numbers: element i and i + d/2 of a head are one of them."""
    length, d = x.shape[-2:]
    planes = torch.tensor([base ** (-2 * i / d) for i in range(d // 2)], dtype=x.dtype)
    turns = torch.outer(torch.arange(length, dtype=x.dtype), planes)
    turned = torch.complex(x[..., : d // 2], x[..., d // 2 :]) * torch.polar(torch.ones_like(turns), turns)
    return torch.cat([turned.real, turned.imag], dim=-1)


def transformed(config: ModelConfig, weights: Weights, name: str, x: Tensor) -> Tensor:
    inner = F.linear(x, weights[f"{name}.mlp_in.weight"], weights.get(f"{name}.mlp_in.bias"))
    if config.activation == "swiglu":
        gate, up = inner[..., : config.hidden], inner[..., config.hidden :]
        inner = gate * torch.sigmoid(gate) * up
    elif config.activation == "relu2":
        inner = torch.where(inner > 0, inner, 0) ** 2
    else:
        inner = {"gelu": F.gelu, "relu": F.relu}[config.activation](inner)
    return F.linear(inner, weights[f"{name}.mlp_out.weight"], weights.get(f"{name}.mlp_out.bias"))
