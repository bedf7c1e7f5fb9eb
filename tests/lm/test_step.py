"""What a step does besides the optimizer: clipping, accumulation, z-loss, gradients of a stack."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from tests.lm.reference import random_tokens, reference_logits, reference_loss, trained, trained_alone
from torch import Tensor
from torch.nn import functional as F

from hptransfer.lm.rule import decoder_settings, forward_scales
from hptransfer.lm.run_tensors import stack_settings, stack_step_settings
from hptransfer.lm.stack import initial_state, stack_key, stack_step, template
from hptransfer.lm.step import RunSettings, Weights, run_gradient, run_logits, sequence_losses
from hptransfer.lm.train import train_stack
from hptransfer.runs.config import ModelConfig, RunSpec, TrainConfig


def run_of(
    *, rule: str = "sp", lr: float = 0.01, model: dict[str, Any] | None = None, **train: Any
) -> RunSpec:
    shape = {"width": 16, "heads": 2, "depth": 1, "vocab": 260, "context": 6}
    fixed = {"dtype": "float64", "batch_size": 4, "steps": 20, "warmup": 0.0, "schedule": "constant"}
    return RunSpec(
        model=ModelConfig.model_validate(shape | (model or {})),
        train=TrainConfig.model_validate(fixed | train),
        rule=rule,
        base_width=8,
        lr=lr,
    )


def alone(run: RunSpec, steps: int, **more: Any) -> list[float]:
    """The run in an ordinary loop with AdamW, under SP."""
    losses, _ = trained_alone(
        run,
        steps,
        forward_scales(run).attention,
        lambda w: [torch.optim.AdamW(w.values(), lr=run.lr, betas=(0.9, 0.95), weight_decay=0.0)],
        **more,
    )
    return losses


def test_clipping_is_a_runs_own() -> None:
    runs = [run_of(clip=0.2), run_of(clip=1e6, lr=0.1), run_of(clip=0.05, lr=0.02)]
    together, _ = trained(runs, 6)

    def clip(limit: float) -> Any:
        return lambda weights: torch.nn.utils.clip_grad_norm_(weights.values(), limit)

    for index, run in enumerate(runs):
        assert run.train.clip is not None
        wanted = alone(run, 6, change=clip(run.train.clip))
        torch.testing.assert_close(together[:, index].tolist(), wanted, rtol=0, atol=1e-10)
    # Adam forgets a constant factor, but not one that changes from step to step.
    assert (together[:, 0] - trained([run_of()], 6)[0][:, 0]).abs().max() > 1e-6


def test_a_member_that_is_not_clipped_shares_no_stack_with_one_that_is() -> None:
    assert stack_key(run_of(clip=1.0)) == stack_key(run_of(clip=2.0))
    assert stack_key(run_of(clip=1.0)) != stack_key(run_of())
    assert stack_key(run_of(z_loss=1e-4)) == stack_key(run_of(z_loss=1e-3))
    assert stack_key(run_of(z_loss=1e-4)) != stack_key(run_of())


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_equals_the_whole_batch(optimizer: str, parts: int) -> None:
    more = {"optimizer": optimizer, "clip": 0.5, "z_loss": 1e-2}
    whole = trained([run_of(**more), run_of(**more, lr=0.03)], 5)
    in_parts = trained([run_of(**more, accumulation=parts), run_of(**more, accumulation=parts, lr=0.03)], 5)
    torch.testing.assert_close(in_parts[0], whole[0], rtol=0, atol=1e-11)
    for name, weight in whole[1].items():
        torch.testing.assert_close(in_parts[1][name], weight, rtol=0, atol=1e-11)


def test_accumulation_compiles_what_it_is_told_to() -> None:
    """The two graphs are one part's gradient and the update, however many parts there are."""
    seen = []

    def compiler(function: Any) -> Any:
        seen.append(function)
        return function

    runs = [run_of(accumulation=4)]
    shape, state = initial_state(runs)
    step = stack_step(template(shape), shape, compiler)
    assert len(seen) == 2
    tokens = random_tokens(runs[0].model, 4, 0)[None]
    _, loss = step(state, stack_settings(runs), stack_step_settings(runs, 0), tokens)
    assert loss.item() == pytest.approx(trained([run_of()], 1)[0].item())


def test_z_loss_is_minimised_and_not_reported() -> None:
    runs = [run_of(z_loss=z, lr=0.02) for z in (1e-9, 0.1)]
    losses, weights = trained(runs, 10)
    torch.testing.assert_close(losses[0, 1], losses[0, 0], rtol=0, atol=1e-12)  # cross-entropy alone
    tokens, scale = random_tokens(runs[0].model, 4, 0), forward_scales(runs[0]).attention

    def log_z(member: int) -> float:
        own = {name: weight[member] for name, weight in weights.items()}
        logits = reference_logits(runs[0].model, own, tokens[:, :-1], scale)
        return logits.logsumexp(-1).square().mean().item()

    assert log_z(1) < 0.9 * log_z(0)


def test_gradient_of_z_loss_by_hand() -> None:
    run = run_of(z_loss=0.3)
    shape, state = initial_state([run])
    weights = {name: weight[0].requires_grad_() for name, weight in state.weights.items()}
    tokens, scale = random_tokens(run.model, 4, 0), forward_scales(run).attention
    logits = reference_logits(run.model, weights, tokens[:, :-1], scale)
    loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    loss = loss + 0.3 * torch.log(torch.exp(logits).sum(-1)).square().mean()
    by_hand = torch.autograd.grad(loss, list(weights.values()))
    settings = torch.utils._pytree.tree_map(lambda x: x[0], stack_settings([run]))
    detached = {name: weight.detach() for name, weight in weights.items()}
    grads, reported = run_gradient(template(shape), shape)(detached, settings, tokens)
    assert reported.item() == pytest.approx(reference_loss(run.model, weights, tokens, scale).item())
    for grad, wanted in zip(grads.values(), by_hand, strict=True):
        torch.testing.assert_close(grad, wanted, rtol=0, atol=1e-11)


def test_gradient_of_the_stacked_loss_against_finite_differences() -> None:
    """Every tensor of every member, under rules with multipliers, RoPE, SwiGLU and shared keys."""
    model = {"positions": "rope", "activation": "swiglu", "kv_heads": 1, "norm": "rmsnorm", "qk_norm": True}
    runs = [
        run_of(rule=rule, model=model, z_loss=0.1) for rule in ("sp", "mup-tp5-table9", "u-mup", "completep")
    ]
    shape, state = initial_state(runs)
    settings, tokens = stack_settings(runs), random_tokens(runs[0].model, 3, 0).expand(4, -1, -1)
    decoder = template(shape)
    lifted = torch.vmap(run_gradient(decoder, shape))
    grads, _ = lifted(state.weights, settings, tokens)

    def objective(weights: Weights, settings: RunSettings) -> Tensor:
        logits = run_logits(decoder, shape, weights, settings, tokens[0])
        return sequence_losses(logits, tokens[0]).mean() + 0.1 * logits.logsumexp(-1).square().mean()

    stacked = torch.vmap(objective)
    generator = torch.Generator().manual_seed(0)
    for name, weight in state.weights.items():
        direction = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        ahead, behind = (
            stacked(state.weights | {name: weight + sign * 1e-5 * direction}, settings) for sign in (1, -1)
        )
        slope = (grads[name] * direction).flatten(1).sum(1)
        torch.testing.assert_close(slope, (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-8)


def test_lr_goes_with_the_batch_by_its_rule() -> None:
    for rule, factor in (("none", 1.0), ("sqrt", 2.0), ("linear", 4.0)):
        base = None if rule == "none" else 1
        run = run_of(lr_batch_rule=rule, base_batch_size=base)
        assert decoder_settings(run)["blocks.hidden"].lr == pytest.approx(0.01 * factor)


def test_members_of_a_stack_may_differ_in_schedule_and_rates() -> None:
    runs = [
        run_of(schedule="cosine", betas=(0.5, 0.9)),
        run_of(schedule="linear", warmup=0.3, eps=1e-3),
        run_of(schedule="wsd", decay=0.5, weight_decay=0.2),
    ]
    assert len({stack_key(run) for run in runs}) == 1
    together, _ = trained(runs, 8)
    for index, run in enumerate(runs):
        torch.testing.assert_close(together[:, index], trained([run], 8)[0][:, 0], rtol=0, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "sgd"])
def test_a_step_is_one_graph(optimizer: str) -> None:
    """What torch.compile is to compile holds no break, whatever the optimizer; and gives the same numbers."""
    model = {"positions": "rope", "activation": "swiglu", "kv_heads": 1, "norm": "rmsnorm", "tied": True}
    runs = [
        run_of(rule=rule, model=model, optimizer=optimizer, clip=0.5, z_loss=0.01)
        for rule in ("sp", "mup-tp5-table9")
    ]
    shape, state = initial_state(runs)
    one_graph = partial(torch.compile, fullgraph=True, dynamic=False, backend="eager")
    step, settings = stack_step(template(shape), shape, one_graph), stack_settings(runs)
    losses = []
    for number in range(2):
        tokens = random_tokens(runs[0].model, 4, number).expand(2, -1, -1)
        losses.append(step(state, settings, stack_step_settings(runs, number), tokens)[1].clone())
    torch.testing.assert_close(torch.stack(losses), trained(runs, 2)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("optimizer", "lr"), [("adamw", 0.01), ("adam", 0.01), ("sgd", 0.5), ("lion", 0.002), ("muon", 0.01)]
)
def test_a_run_on_text_takes_its_budget_and_learns(tiny: RunSpec, optimizer: str, lr: float) -> None:
    train = TrainConfig(
        optimizer=optimizer,
        schedule="cosine",
        tokens_per_param=0.08,
        batch_size=4,
        accumulation=2,
        clip=1.0,
        dtype="float64",
    )
    model = ModelConfig(
        width=16, depth=1, head_dim=8, context=12, vocab=280, positions="rope", norm="rmsnorm"
    )
    run = tiny.model_copy(update={"train": train, "model": model, "lr": lr, "rule": "mup"})
    (record,) = train_stack([run], compiled=False)
    assert len(record.curve) == run.steps == math.ceil(0.08 * record.params / 48)
    assert record.tokens == run.steps * 48
    assert record.status == "done"
    assert record.initial_loss is not None
    assert record.loss < record.initial_loss - 0.3
