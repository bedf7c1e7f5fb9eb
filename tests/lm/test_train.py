"""A member of a stack follows the same run trained alone in an ordinary PyTorch loop."""

import math
import shutil

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hptransfer.lm.data import batch, load_corpus, validation_sequences
from hptransfer.lm.model import Decoder
from hptransfer.lm.rule import forward_scales
from hptransfer.lm.run_tensors import stack_settings
from hptransfer.lm.stack import compiler_found, initial_state, initial_weights, stack_key, template
from hptransfer.lm.train import train_stack
from hptransfer.parametrization.catalogue import KALRA, RULES
from hptransfer.parametrization.rule_arithmetic import get_rule
from hptransfer.parametrization.tensor_settings import width_settings
from hptransfer.runs.config import RunSpec
from hptransfer.runs.decoder_tensors import tensor_layout
from hptransfer.runs.schedule import schedule_factor
from hptransfer.runs.train_config import TrainConfig


def varied(run: RunSpec, **changes: object) -> RunSpec:
    """The run with other fields; `weight_decay` belongs to its train config."""
    if "weight_decay" in changes:
        changes["train"] = run.train.model_copy(update={"weight_decay": changes.pop("weight_decay")})
    return run.model_copy(update=changes)


def members(tiny: RunSpec) -> list[RunSpec]:
    """Four runs that differ in everything a stack may differ in."""
    return [
        varied(tiny, rule="mup", lr=0.01, weight_decay=0.1),
        varied(tiny, rule="sp", lr=0.03, seed=1, data_seed=5),
        varied(tiny, rule="sp+embd", lr=0.003),
        varied(tiny, rule="mup-attn", lr=0.02, seed=2, data_seed=2, weight_decay=0.01),
    ]


def trained_alone(run: RunSpec) -> tuple[list[float], float]:
    """Training losses and final validation loss of a plain loop with torch's AdamW and parameter groups."""
    corpus = load_corpus(run.data, run.model)
    model = Decoder(run.model).double()
    model.load_state_dict(initial_weights(run))
    rule, m = get_rule(run.rule), run.model.width / run.base_width
    roles = {t.name: t.role for t in tensor_layout(run.model)}
    groups = [
        {
            "params": [weight],
            "lr": run.lr * width_settings(rule, roles[name], m).lr,
            "weight_decay": run.train.weight_decay if weight.ndim >= 2 else 0.0,
        }
        for name, weight in model.named_parameters()
    ]
    optimizer = torch.optim.AdamW(groups, betas=run.train.betas, eps=run.train.eps)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: schedule_factor(run.train, run.steps, s)
    )
    scale = torch.tensor(forward_scales(run).attention, dtype=torch.float64)

    def loss_of(tokens: torch.Tensor) -> torch.Tensor:
        logits = model(tokens[:, :-1], scale)
        return F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    losses = []
    for step in range(run.steps):
        tokens = torch.from_numpy(batch(corpus, run.model, run.train.batch_size, run.data_seed, step))
        loss = loss_of(tokens)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    with torch.no_grad():
        held_out = loss_of(torch.from_numpy(validation_sequences(corpus, run.data, run.model)))
    return losses, held_out.item()


def test_member_follows_a_plain_loop(tiny: RunSpec) -> None:
    runs = members(tiny)
    for run, record in zip(runs, train_stack(runs, compiled=False), strict=True):
        losses, final = trained_alone(run)
        np.testing.assert_allclose([loss for _, loss in record.curve], losses, rtol=0, atol=1e-9)
        assert record.loss == pytest.approx(final, abs=1e-9)
        assert record.status == "done"
        assert final < losses[0]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_compiled_equals_eager(tiny: RunSpec) -> None:
    shallow = tiny.model_copy(update={"model": tiny.model.model_copy(update={"depth": 1})})
    runs = members(shallow)
    eager, compiled = (train_stack(runs, compiled=c) for c in (False, True))
    assert all(record.engine["compiled"] for record in compiled)
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_allclose([x for _, x in b.curve], [x for _, x in a.curve], rtol=0, atol=1e-9)
        assert b.loss == pytest.approx(a.loss, abs=1e-9)


def test_a_diverged_member_stands_still_and_the_others_do_not_notice(tiny: RunSpec) -> None:
    short = tiny.model_copy(update={"train": tiny.train.model_copy(update={"steps": 6})})
    calm = [varied(short, lr=0.01), varied(short, lr=0.02, seed=1)]
    wild = varied(short, lr=1e200)
    seen: list[tuple[int, list[float]]] = []
    with_wild = train_stack(
        [calm[0], wild, calm[1]], compiled=False, on_step=lambda n, losses: seen.append((n, list(losses)))
    )
    alone = train_stack(calm, compiled=False)
    assert [with_wild[0].loss, with_wild[2].loss] == pytest.approx([r.loss for r in alone], abs=1e-12)
    record = with_wild[1]
    assert record.status == "diverged"
    assert math.isnan(record.loss)
    assert record.diverged_step == 1
    assert record.curve == ((0, pytest.approx(record.initial_loss, abs=0.2)),)
    assert [n for n, _ in seen] == list(range(6))
    assert math.isnan(seen[-1][1][1])
    assert math.isfinite(seen[-1][1][0])


def test_a_loss_above_the_initial_one_is_diverged(tiny: RunSpec) -> None:
    short = tiny.model_copy(update={"train": tiny.train.model_copy(update={"steps": 8})})
    (record,) = train_stack([varied(short, lr=30.0)], compiled=False)
    assert record.status == "diverged"
    assert record.diverged_step is not None


def test_every_lr_sees_the_same_batches(tiny: RunSpec) -> None:
    first = [r.curve[0][1] for r in train_stack([varied(tiny, lr=x) for x in (1e-3, 1e-2)], compiled=False)]
    assert first[0] == first[1]


def test_all_rules_are_the_same_run_at_the_base_width(tiny: RunSpec) -> None:
    base = tiny.model_copy(update={"base_width": tiny.model.width})
    rules = [name for name, rule in RULES.items() if rule.source == KALRA]
    losses = [r.loss for r in train_stack([varied(base, rule=rule) for rule in rules], compiled=False)]
    assert max(losses) - min(losses) < 1e-12


def test_the_same_spec_gives_the_same_numbers(tiny: RunSpec) -> None:
    a, b = (train_stack(members(tiny)[:2], compiled=False) for _ in range(2))
    assert [r.loss for r in a] == [r.loss for r in b]
    assert [r.curve for r in a] == [r.curve for r in b]


def test_gradient_against_finite_differences(tiny: RunSpec) -> None:
    from hptransfer.lm.step import run_logits, sequence_losses

    shape, state = initial_state([tiny])
    model = template(shape)
    of_stack = stack_settings([tiny])
    of_run = torch.utils._pytree.tree_map(lambda x: x[0], of_stack)
    weights = {n: w[0] for n, w in state.weights.items()}
    corpus = load_corpus(tiny.data, tiny.model)
    tokens = torch.from_numpy(batch(corpus, tiny.model, 2, 0, 0))

    def loss(shift: float, name: str, direction: torch.Tensor) -> torch.Tensor:
        moved = weights | {name: weights[name] + shift * direction}
        return loss_of(moved)

    def loss_of(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        return sequence_losses(run_logits(model, shape, weights, of_run, tokens), tokens).mean()

    grads = torch.func.grad(loss_of)(weights)
    generator = torch.Generator().manual_seed(0)
    for name, grad in grads.items():
        direction = torch.randn(grad.shape, generator=generator, dtype=torch.float64)
        central = (loss(1e-5, name, direction) - loss(-1e-5, name, direction)) / 2e-5
        assert (grad * direction).sum().item() == pytest.approx(central.item(), rel=1e-6, abs=1e-9)


def test_runs_of_other_shapes_share_no_stack(tiny: RunSpec) -> None:
    wider = tiny.model_copy(update={"model": tiny.model.model_copy(update={"width": 32})})
    assert stack_key(tiny) != stack_key(wider)
    assert stack_key(tiny) == stack_key(varied(tiny, lr=1.0, seed=3, rule="mup", weight_decay=0.1))
    with pytest.raises(ValueError, match="share"):
        train_stack([tiny, wider], compiled=False)


def test_a_torch_that_compiles_wrong_gradients_trains_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("2.6.0", "2.11.0+cu130"):
        monkeypatch.setattr(torch, "__version__", type(torch.__version__)(version))
        with pytest.warns(UserWarning, match="wrong gradients of the embeddings"):
            assert not compiler_found("cpu")
        assert compiler_found("cuda")


def test_without_a_compiler_training_runs_eager_and_says_so(
    tiny: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def none_found() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none_found)
    short = tiny.model_copy(update={"train": tiny.train.model_copy(update={"steps": 2})})
    with pytest.warns(UserWarning, match="no C\\+\\+ compiler"):
        assert not compiler_found()
    with pytest.warns(UserWarning, match="eager"):
        (record,) = train_stack([short], compiled=True)
    assert record.engine["compiled"] is False


@given(
    steps=st.integers(1, 500),
    warmup=st.floats(0, 0.6),
    decay=st.floats(0, 0.4),
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_schedule_rises_stays_and_falls(steps: int, warmup: float, decay: float) -> None:
    values = [schedule_factor(TrainConfig(warmup=warmup, decay=decay), steps, s) for s in range(steps)]
    assert all(0 < v <= 1 for v in values)
    peak = int(np.argmax(values))
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert values[peak:] == sorted(values[peak:], reverse=True)


def test_schedule_golden() -> None:
    values = [schedule_factor(TrainConfig(warmup=0.2, decay=0.3), 10, s) for s in range(10)]
    assert values == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1, 1, 3 / 4, 2 / 4, 1 / 4])
